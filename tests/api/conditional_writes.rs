//! `ETag` and `If-Match`: nobody overwrites what they haven't seen.

use serde_json::json;

use crate::support::{Answer, OTHER_PASSWORD, PASSWORD, World, all};

async fn read(world: &World, token: &str) -> Answer {
    world.get("/users/me").bearer(token).await.expect(200)
}

scenario! {
    async fn every_state_has_a_tag_of_its_own(world: World) {
        let body = json!({"email": "ada@x.test", "password": PASSWORD});
        let registered = world
            .post("/users/")
            .json(&body)
            .await
            .expect(201)
            .header("etag")
            .to_owned();
        let token = world.log_in("ada@x.test", PASSWORD).await.expect(200);
        let token = token.json()["access_token"].as_str().unwrap();
        // The sign-in is in the profile, so the state is another one.
        let signed_in = read(&world, token).await.header("etag").to_owned();
        assert_ne!(registered, signed_in);
        assert_eq!(
            read(&world, token).await.header("etag"),
            signed_in,
            "reading changes nothing"
        );
        let changed = world
            .put("/users/me")
            .bearer(token)
            .json(&json!({"display_name": "Ada"}))
            .await
            .expect(200);
        let changed = changed.header("etag").to_owned();
        assert!(changed != signed_in && changed != registered);
        assert_eq!(read(&world, token).await.header("etag"), changed);
        assert!(changed.starts_with('"') && changed.ends_with('"'), "a strong tag");
    }

    async fn a_change_of_the_seen_state_is_done(world: World) {
        let ada = world.register("ada").await;
        let token = world.sign_in(&ada).await;
        let seen = read(&world, &token).await.header("etag").to_owned();
        for (number, tag) in [seen.clone(), "*".to_owned()].into_iter().enumerate() {
            let change = json!({"display_name": format!("Ada {number}")});
            world
                .put("/users/me")
                .bearer(&token)
                .header("if-match", &tag)
                .json(&change)
                .await
                .expect(200);
        }
        let seen = read(&world, &token).await.header("etag").to_owned();
        let list = format!("\"other\", {seen} ,\"r99999\"");
        let change = json!({"display_name": "Ada 3"});
        world
            .patch("/users/me")
            .bearer(&token)
            .header("if-match", list)
            .json(&change)
            .await
            .expect(200);
        let seen = read(&world, &token).await.header("etag").to_owned();
        let call = world
            .put("/users/me")
            .bearer(&token)
            .json(&json!({"display_name": "Ada 4"}));
        call.header("if-match", "\"r99999\"")
            .header("if-match", &seen)
            .await
            .expect(200);
    }

    async fn a_change_of_another_state_is_refused(world: World) {
        let ada = world.register("ada").await;
        let token = world.sign_in(&ada).await;
        let stale = read(&world, &token).await.header("etag").to_owned();
        world
            .put("/users/me")
            .bearer(&token)
            .json(&json!({"display_name": "Ada"}))
            .await
            .expect(200);
        let before = world.user_row(&ada).await;
        let weak = format!("W/{}", read(&world, &token).await.header("etag"));
        for tag in [
            stale.as_str(),
            "\"other\"",
            "\"\"",
            "\"r\"",
            "\"r-1\"",
            weak.as_str(),
        ] {
            for change in [
                json!({"display_name": "Mallory"}),
                json!({"metadata": {"a": 1}}),
                json!({}),
                json!({"email": "new@x.test", "current_password": ada.password}),
                json!({"password": OTHER_PASSWORD, "current_password": ada.password}),
            ] {
                let call = world
                    .put("/users/me")
                    .bearer(&token)
                    .header("if-match", tag)
                    .json(&change);
                call.await.expect(412).problem("precondition-failed");
            }
            let call = world.delete("/users/me").bearer(&token).header("if-match", tag);
            call.await.expect(412).problem("precondition-failed");
        }
        assert_eq!(world.user_row(&ada).await, before);
        world.profile(&token).await;
    }

    async fn tags_that_are_none_are_malformed(world: World) {
        let ada = world.register("ada").await;
        let token = world.sign_in(&ada).await;
        for tag in ["", "r1", "\"r1", "\"r1\" \"r2\"", "\"r1\",,\"r2\"", "*, \"r1\""] {
            let call = world.put("/users/me").bearer(&token).header("if-match", tag);
            call.json(&json!({"display_name": "Mallory"}))
                .await
                .expect(400)
                .problem("malformed-request");
            let call = world.delete("/users/me").bearer(&token).header("if-match", tag);
            call.await.expect(400).problem("malformed-request");
        }
        assert_eq!(world.user_row(&ada).await.display_name, None);
    }

    async fn leaving_can_be_conditional(world: World) {
        let ada = world.register("ada").await;
        let token = world.sign_in(&ada).await;
        let seen = read(&world, &token).await.header("etag").to_owned();
        world
            .delete("/users/me")
            .bearer(&token)
            .header("if-match", seen)
            .await
            .expect(204);
        let bob = world.register("bob").await;
        let token = world.sign_in(&bob).await;
        world
            .delete("/users/me")
            .bearer(&token)
            .header("if-match", "*")
            .await
            .expect(204);
        assert_eq!(world.count_users().await, 0);
    }

    async fn without_a_condition_the_last_writer_wins(world: World) {
        let ada = world.register("ada").await;
        let token = world.sign_in(&ada).await;
        for name in ["One", "Two"] {
            world
                .put("/users/me")
                .bearer(&token)
                .json(&json!({"display_name": name}))
                .await
                .expect(200);
        }
        assert_eq!(world.profile(&token).await["display_name"], "Two");
    }

    async fn of_parallel_changes_of_one_state_one_is_done(world: World) {
        let ada = world.register("ada").await;
        let token = world.sign_in(&ada).await;
        for _ in 0..5 {
            let seen = read(&world, &token).await.header("etag").to_owned();
            let calls = (0..10).map(|n| {
                let change = json!({"display_name": format!("Ada {n}")});
                world
                    .put("/users/me")
                    .bearer(&token)
                    .header("if-match", &seen)
                    .json(&change)
            });
            let answers = all(calls.collect::<Vec<_>>()).await;
            let done: Vec<_> = answers.iter().filter(|answer| answer.status == 200).collect();
            assert_eq!(done.len(), 1);
            for answer in answers.iter().filter(|answer| answer.status != 200) {
                answer.problem("precondition-failed");
            }
            assert_eq!(read(&world, &token).await.json(), done[0].json());
        }
    }

    async fn of_a_parallel_change_and_deletion_of_one_state_one_is_done(world: World) {
        for round in 0..6 {
            let ada = world.register(&format!("ada{round}")).await;
            let token = world.sign_in(&ada).await;
            let seen = read(&world, &token).await.header("etag").to_owned();
            let calls = vec![
                world
                    .put("/users/me")
                    .bearer(&token)
                    .header("if-match", &seen)
                    .json(&json!({"display_name": "Ada"})),
                world.delete("/users/me").bearer(&token).header("if-match", &seen),
            ];
            let answers = all(calls).await;
            match (answers[0].status, answers[1].status) {
                (200, 412) => {
                    assert_eq!(world.user_row(&ada).await.display_name.as_deref(), Some("Ada"));
                    world.delete("/users/me").bearer(&token).await.expect(204);
                }
                // Gone: the token isn't good any more, or the state is no longer there.
                (401 | 412, 204) => assert_eq!(world.count_users().await, 0),
                _ => panic!("{} {}", answers[0], answers[1]),
            }
        }
    }
}
