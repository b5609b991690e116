//! Seeing where one is signed in.

use std::time::Duration;

use roster::sessions::service::write_last_uses;
use serde_json::Value;

use crate::support::{Answer, Tokens, World};

async fn list(world: &World, tokens: &Tokens, query: &str) -> Answer {
    world
        .get(&format!("/users/me/sessions{query}"))
        .bearer(&tokens.access)
        .await
}

fn ids(answer: &Answer) -> Vec<String> {
    let items = answer.json()["items"].as_array().unwrap();
    items
        .iter()
        .map(|item| item["id"].as_str().unwrap().to_owned())
        .collect()
}

fn current(answer: &Answer) -> Value {
    let items = answer.json()["items"].as_array().unwrap();
    let mut found = items.iter().filter(|item| item["current"] == true);
    let item = found.next().unwrap().clone();
    assert!(found.next().is_none(), "{answer}");
    item
}

scenario! {
    async fn everybody_sees_the_own_sessions_the_newest_first(world: World) {
        let (ada, eve) = (world.register("ada").await, world.register("eve").await);
        let hers = world.begin(&eve).await;
        let mut begun = Vec::new();
        for agent in ["Phone \u{1f4f1}\u{7}/1 \"x\"", "<script>alert(1)</script>", ""] {
            let body = serde_json::json!({"email": ada.email, "password": ada.password});
            let call = world.post("/login").json(&body);
            let call = if agent.is_empty() { call } else { call.header("user-agent", agent.replace('\u{7}', "\t")) };
            begun.push(Tokens::of(&call.await.expect(200)));
            world.clock.advance(Duration::from_secs(1));
        }
        let answer = list(&world, &begun[0], "").await.expect(200);
        let expected: Vec<String> = begun.iter().rev().map(|tokens| tokens.session().to_string()).collect();
        assert_eq!(ids(&answer), expected);
        assert_eq!(answer.json()["next_cursor"], Value::Null);
        assert!(!answer.headers.contains_key("link"));
        let own = current(&answer);
        assert_eq!(own["id"], begun[0].session().to_string());
        let members: Vec<&String> = own.as_object().unwrap().keys().collect();
        let mut expected = vec!["id", "created_at", "last_used_at", "expires_at", "ip", "user_agent", "current"];
        expected.sort_unstable();
        let mut members: Vec<&str> = members.into_iter().map(String::as_str).collect();
        members.sort_unstable();
        assert_eq!(members, expected);
        assert_eq!(own["ip"], "127.0.0.1");
        assert_eq!(own["user_agent"], "Phone \u{1f4f1}/1 \"x\"");
        assert_eq!(answer.json()["items"][1]["user_agent"], "<script>alert(1)</script>");
        assert_eq!(answer.json()["items"][0]["user_agent"], Value::Null);
        assert_eq!(ids(&list(&world, &hers, "").await), [hers.session().to_string()]);
    }

    async fn pages_lead_from_one_to_the_next(world: World) {
        let ada = world.register("ada").await;
        let mut begun = Vec::new();
        for _ in 0..7 {
            begun.push(world.begin(&ada).await);
            world.clock.advance(Duration::from_secs(1));
        }
        let all = ids(&list(&world, &begun[0], "").await);
        let mut seen = Vec::new();
        let mut query = "?limit=3".to_owned();
        let mut pages = 0;
        loop {
            let answer = list(&world, &begun[0], &query).await.expect(200);
            seen.extend(ids(&answer));
            pages += 1;
            let Some(cursor) = answer.json()["next_cursor"].as_str() else {
                assert!(!answer.headers.contains_key("link"), "{answer}");
                break;
            };
            query = format!("?limit=3&cursor={cursor}");
            assert_eq!(answer.header("link"), format!("</users/me/sessions{query}>; rel=\"next\""));
        }
        assert_eq!(pages, 3);
        assert_eq!(seen, all);
        // A page that is exactly full is the last one.
        assert_eq!(list(&world, &begun[0], "?limit=7").await.json()["next_cursor"], Value::Null);
        // What ends or begins meanwhile shifts nothing.
        let first = list(&world, &begun[0], "?limit=3").await;
        world.log_out(&begun[6], "current").await;
        world.begin(&ada).await;
        let cursor = first.json()["next_cursor"].as_str().unwrap();
        let second = list(&world, &begun[0], &format!("?limit=3&cursor={cursor}")).await;
        assert_eq!(ids(&second), all[3..6]);
    }

    async fn what_a_list_does_not_know_is_refused(world: World) {
        let ada = world.register("ada").await;
        let tokens = world.begin(&ada).await;
        for limit in ["0", "201", "-1", "9223372036854775808", "1e9", "abc", "", "+1", "1.0"] {
            let answer = list(&world, &tokens, &format!("?limit={}", limit.replace('+', "%2B"))).await.expect(422);
            answer.faults(&[("/limit", "out_of_range")]);
        }
        for cursor in ["x", "", "AQ", "AgAAAAAAAAAAAAAAAAAAAAA", &tokens.session().to_string()] {
            list(&world, &tokens, &format!("?cursor={cursor}")).await.expect(422).faults(&[("/cursor", "invalid")]);
        }
        list(&world, &tokens, "?sort=password_hash").await.faults(&[("/sort", "unknown_member")]);
        list(&world, &tokens, "?limit=1&limit=2").await.problem("malformed-request");
        list(&world, &tokens, "?limit=%zz").await.problem("malformed-request");
        list(&world, &tokens, "?limit=200").await.expect(200);
    }

    async fn an_expired_session_is_not_shown(world: World) {
        let ada = world.register("ada").await;
        let old = world.begin(&ada).await;
        world.clock.advance(Duration::from_hours(24 * 30));
        let new = world.begin(&ada).await;
        let answer = list(&world, &new, "").await;
        assert_eq!(ids(&answer), [new.session().to_string()]);
        assert!(world.session_row(old.session()).await.is_some());
    }

    async fn a_use_is_noted_to_the_minute_and_written_once_a_minute(world: World) {
        let other = world.second_instance().await;
        let ada = world.register("ada").await;
        let tokens = world.begin(&ada).await;
        let began = world.session_row(tokens.session()).await.unwrap().last_used_at;
        let written = async || {
            write_last_uses(&world.state).await.unwrap();
            write_last_uses(&other.state).await.unwrap();
            world.session_row(tokens.session()).await.unwrap().last_used_at
        };
        world.clock.advance(Duration::from_secs(59));
        world.lives(&tokens).await;
        assert_eq!(written().await, began);
        assert_eq!(current(&list(&world, &tokens, "").await)["last_used_at"], current(&list(&other, &tokens, "").await)["created_at"]);
        world.clock.advance(Duration::from_secs(1));
        other.lives(&tokens).await;
        // Seen at once where it was noted, and everywhere when it has been written.
        assert_ne!(current(&list(&other, &tokens, "").await)["last_used_at"], current(&list(&other, &tokens, "").await)["created_at"]);
        let noted = written().await;
        assert_eq!((noted - began).num_seconds(), 60);
        // Where two instances have noted it, it is written once.
        world.clock.advance(Duration::from_mins(1));
        world.lives(&tokens).await;
        world.clock.advance(Duration::from_secs(1));
        other.lives(&tokens).await;
        let noted_again = written().await;
        assert_eq!((noted_again - noted).num_seconds(), 60);
        let noted = noted_again;
        world.clock.advance(Duration::from_secs(29));
        for instance in [&world, &other] {
            instance.lives(&tokens).await;
        }
        // A refresh is a use like any other.
        let tokens = world.refreshed(&tokens.refresh).await;
        assert_eq!(written().await, noted);
        world.clock.advance(Duration::from_secs(30));
        world.refreshed(&tokens.refresh).await;
        assert_eq!((written().await - noted).num_seconds(), 60);
    }

    async fn expires_at_moves_with_each_refresh(world: World) {
        let ada = world.register("ada").await;
        let tokens = world.begin(&ada).await;
        let before = current(&list(&world, &tokens, "").await)["expires_at"].clone();
        world.clock.advance(Duration::from_mins(10));
        let tokens = world.refreshed(&tokens.refresh).await;
        let after = current(&list(&world, &tokens, "").await)["expires_at"].clone();
        let time = |value: &Value| value.as_str().unwrap().parse::<chrono::DateTime<chrono::Utc>>().unwrap();
        assert_eq!(time(&after) - time(&before), chrono::TimeDelta::minutes(10));
    }
}
