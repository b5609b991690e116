//! A refresh token is exchanged once, and its successor is given again for a while.

use std::collections::BTreeSet;
use std::time::Duration;

use roster::domain::UserStatus;
use roster::sessions::service::housekeep;
use serde_json::json;

use crate::support::{Stage, Tokens, World, all};

const GRACE: Duration = Duration::from_secs(10);
const DAY: Duration = Duration::from_hours(24);

scenario! {
    async fn a_refresh_gives_a_new_pair_and_spends_the_old_one(world: World) {
        let ada = world.register("ada").await;
        let answer = world.log_in(&ada.email, &ada.password).await.expect(200);
        assert_eq!(answer.json()["refresh_expires_in"], 30 * 24 * 3600);
        let first = Tokens::of(&answer);
        world.clock.advance(Duration::from_mins(5));
        let answer = world.refresh(&first.refresh).await.expect(200);
        assert_eq!(answer.json()["token_type"], "bearer");
        assert_eq!(answer.json()["expires_in"], 900);
        assert_eq!(answer.json()["refresh_expires_in"], 30 * 24 * 3600);
        assert_eq!(answer.json()["scope"], "account");
        assert_eq!(answer.header("cache-control"), "no-store");
        assert_eq!(answer.header("pragma"), "no-cache");
        let second = Tokens::of(&answer);
        assert_ne!(second.refresh, first.refresh);
        assert_ne!(second.access, first.access);
        assert_eq!(second.session(), first.session());
        world.lives(&second).await;
        // The access token before lives out its time: it is the same session.
        world.lives(&first).await;
        assert_eq!(world.count_live_tokens(first.session()).await, 1);
        let third = world.refreshed(&second.refresh).await;
        world.lives(&third).await;
    }

    async fn json_and_a_slash_at_the_end_do_as_well(world: World) {
        let ada = world.register("ada").await;
        let tokens = world.begin(&ada).await;
        let body = json!({"grant_type": "refresh_token", "refresh_token": tokens.refresh, "scope": "account"});
        let next = Tokens::of(&world.post("/oauth/token/").json(&body).await.expect(200));
        let fields = [
            ("grant_type", "refresh_token"),
            ("refresh_token", next.refresh.as_str()),
            ("client_id", "anything"),
            ("client_secret", "at all"),
            ("scope", ""),
            ("username", ""),
            ("unknown", "ignored"),
        ];
        world.post("/oauth/token").form(&fields).await.expect(200);
    }

    async fn another_spelling_of_the_path_is_the_same_endpoint(world: World) {
        let body = "grant_type=refresh_token&refresh_token=x";
        for path in ["/oauth/token", "/%6fauth/token", "/oauth/%74oken/"] {
            let request = format!(
                "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n\
                 Content-Length: {}\r\n\r\n{body}",
                body.len()
            );
            let answer = world.raw(request).await;
            assert_eq!(answer.status, 400, "{path}: {}", answer.text());
            assert!(answer.text().starts_with(r#"{"error":"invalid_grant","#), "{path}: {}", answer.text());
        }
    }

    async fn a_lost_answer_gives_the_same_successor_again_on_every_instance(world: World) {
        let other = world.second_instance().await;
        let ada = world.register("ada").await;
        let first = world.begin(&ada).await;
        let second = world.refreshed(&first.refresh).await;
        for instance in [&world, &other, &world] {
            world.clock.advance(Duration::from_secs(3));
            let again = instance.refreshed(&first.refresh).await;
            assert_eq!(again.refresh, second.refresh);
            instance.lives(&again).await;
        }
        assert_eq!(world.count_live_tokens(first.session()).await, 1);
        assert!(world.audit("token_reuse").await.is_empty());
    }

    async fn after_the_window_the_whole_session_ends(world: World) {
        let other = world.second_instance().await;
        let ada = world.register("ada").await;
        let elsewhere = world.begin(&ada).await;
        let first = world.begin(&ada).await;
        let second = world.refreshed(&first.refresh).await;
        let third = world.refreshed(&second.refresh).await;
        world.clock.advance(GRACE);
        other.refresh(&first.refresh).await.oauth_error("invalid_grant");
        for tokens in [&first, &second, &third] {
            world.is_dead(tokens).await;
            other.is_dead(tokens).await;
        }
        world.lives(&elsewhere).await;
        other.refreshed(&elsewhere.refresh).await;
        let event = world.only_audit("token_reuse").await;
        assert_eq!(event.outcome, "failure");
        assert_eq!(event.subject_id, Some(ada.id));
        assert!(event.details.contains(&first.session().to_string()), "{}", event.details);
    }

    async fn the_window_is_a_matter_of_milliseconds(world: World) {
        let ada = world.register("ada").await;
        for (waited, is_good) in [(GRACE.saturating_sub(Duration::from_millis(1)), true), (GRACE, false)] {
            let tokens = world.begin(&ada).await;
            world.refreshed(&tokens.refresh).await;
            world.clock.advance(waited);
            let answer = world.refresh(&tokens.refresh).await;
            assert_eq!(answer.status, if is_good { 200 } else { 400 }, "{answer}");
        }
    }

    async fn without_a_window_every_second_use_ends_the_session(stage: Stage) {
        let world = World::with(&stage, |variables| {
            variables.set("ROSTER__SESSION__REFRESH_GRACE_SECONDS", "0");
        })
        .await;
        let ada = world.register("ada").await;
        let first = world.begin(&ada).await;
        let second = world.refreshed(&first.refresh).await;
        assert!(world.token_rows().await.iter().all(|row| row.successor_sealed.is_none()));
        world.refresh(&first.refresh).await.oauth_error("invalid_grant");
        world.is_dead(&second).await;
    }

    async fn a_token_given_out_again_has_the_whole_window_even_if_it_was_spent_meanwhile(world: World) {
        let ada = world.register("ada").await;
        let first = world.begin(&ada).await;
        // One after the other, as they are ordered by the time of their making.
        world.clock.advance(Duration::from_millis(1));
        let second = world.refreshed(&first.refresh).await;
        world.clock.advance(Duration::from_millis(1));
        let third = world.refreshed(&second.refresh).await;
        // A tab that was asleep still has the first token.
        world.clock.advance(Duration::from_secs(9));
        let asleep = world.refreshed(&first.refresh).await;
        assert_eq!(asleep.refresh, second.refresh);
        world.clock.advance(Duration::from_secs(9));
        let awake = world.refreshed(&asleep.refresh).await;
        assert_eq!(awake.refresh, third.refresh);
        // The first token's own window has not moved.
        world.refresh(&first.refresh).await.oauth_error("invalid_grant");
        world.is_dead(&third).await;
    }

    async fn a_tab_that_was_asleep_can_follow_a_chain_that_went_on_without_it(world: World) {
        let ada = world.register("ada").await;
        let mut chain = vec![world.begin(&ada).await];
        // A tab that refreshes at each page.
        for _ in 0..4 {
            chain.push(world.refreshed(&chain.last().unwrap().refresh).await);
            world.clock.advance(Duration::from_secs(2));
        }
        let mut asleep = world.refreshed(&chain[0].refresh).await;
        assert_eq!(asleep.refresh, chain[1].refresh);
        world.clock.advance(Duration::from_secs(7));
        chain.push(world.refreshed(&chain.last().unwrap().refresh).await);
        housekeep(&world.state).await.unwrap();
        world.clock.advance(Duration::from_secs(2));
        for expected in &chain[2..] {
            asleep = world.refreshed(&asleep.refresh).await;
            assert_eq!(asleep.refresh, expected.refresh);
        }
        world.lives(&asleep).await;
        assert!(world.audit("token_reuse").await.is_empty());
    }

    async fn a_window_cannot_be_kept_open(world: World) {
        let ada = world.register("ada").await;
        let mut chain = vec![world.begin(&ada).await];
        for _ in 0..5 {
            world.clock.advance(Duration::from_millis(1));
            chain.push(world.refreshed(&chain.last().unwrap().refresh).await);
        }
        // Whoever has all of them asks with one after the other, over and over, the newest first or the oldest.
        let mut waited = Duration::ZERO;
        let mut is_refused = false;
        while !is_refused && waited < Duration::from_mins(2) {
            for tokens in chain[..5].iter().rev().chain(&chain[..5]) {
                is_refused |= world.refresh(&tokens.refresh).await.status != 200;
            }
            world.clock.advance(Duration::from_secs(4));
            waited += Duration::from_secs(4);
        }
        assert!(is_refused && waited <= 5 * GRACE, "{waited:?}");
        assert_eq!(world.audit("token_reuse").await.len(), 1);
        world.is_dead(&chain[5]).await;
    }

    async fn twenty_at_once_make_one_chain(world: World) {
        let other = world.second_instance().await;
        let ada = world.register("ada").await;
        let tokens = world.begin(&ada).await;
        let calls = (0..20).map(|number| {
            let instance = if number % 2 == 0 { &world } else { &other };
            instance.refresh(&tokens.refresh)
        });
        let successors: BTreeSet<String> =
            all(calls).await.into_iter().map(|answer| Tokens::of(&answer.expect(200)).refresh).collect();
        assert_eq!(successors.len(), 1, "{successors:?}");
        assert_eq!(world.count_live_tokens(tokens.session()).await, 1);
        let next = successors.into_iter().next().unwrap();
        world.lives(&other.refreshed(&next).await).await;
        assert!(world.audit("token_reuse").await.is_empty());
    }

    async fn a_session_ends_when_nobody_uses_it(world: World) {
        let ada = world.register("ada").await;
        let tokens = world.begin(&ada).await;
        world.clock.advance((30 * DAY).saturating_sub(Duration::from_millis(1)));
        let tokens = world.refreshed(&tokens.refresh).await;
        world.clock.advance(30 * DAY);
        world.refresh(&tokens.refresh).await.oauth_error("invalid_grant");
        // An expired token is no stolen one.
        assert!(world.audit("token_reuse").await.is_empty());
    }

    async fn no_refresh_prolongs_a_session_past_its_absolute_age(world: World) {
        let ada = world.register("ada").await;
        let mut tokens = world.begin(&ada).await;
        for _ in 0..3 {
            world.clock.advance(29 * DAY);
            tokens = world.refreshed(&tokens.refresh).await;
        }
        let answer = world.refresh(&tokens.refresh).await.expect(200);
        assert_eq!(answer.json()["refresh_expires_in"], 3 * 24 * 3600);
        let last = Tokens::of(&answer);
        world.clock.advance(3 * DAY);
        world.is_dead(&last).await;
    }

    async fn a_clock_that_is_set_back_signs_nobody_out_and_makes_nothing_immortal(world: World) {
        let ada = world.register("ada").await;
        let first = world.begin(&ada).await;
        let second = world.refreshed(&first.refresh).await;
        world.clock.turn_back(Duration::from_mins(10));
        let again = world.refreshed(&first.refresh).await;
        assert_eq!(again.refresh, second.refresh);
        let third = world.refreshed(&second.refresh).await;
        world.lives(&third).await;
        world.clock.advance(100 * DAY);
        world.is_dead(&third).await;
    }

    async fn whatever_is_no_good_gets_one_and_the_same_answer(world: World) {
        let ada = world.register("ada").await;
        let eve = world.register("eve").await;
        let tokens = world.begin(&ada).await;
        let ended = world.begin(&eve).await;
        world.log_out(&ended, "current").await;
        let text = tokens.refresh.as_str();
        let changed = |at: usize| {
            let mut bytes = text.as_bytes().to_vec();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            String::from_utf8(bytes).unwrap()
        };
        let mut wrong = vec![
            "x".to_owned(),
            " ".to_owned(),
            text[..text.len() - 1].to_owned(),
            format!("{text}A"),
            format!("{text} "),
            text.to_uppercase(),
            text.trim_start_matches("roster_rt_").to_owned(),
            text.replace("roster_rt_", "roster_cs_"),
            tokens.access.clone(),
            ended.refresh.clone(),
            "' OR 1=1 --".to_owned(),
            "\u{0}".to_owned(),
            "é".repeat(40),
            "A".repeat(20_000),
        ];
        wrong.extend([0, 12, 30, text.len() - 2, text.len() - 1].map(changed));
        let mut bodies = BTreeSet::new();
        for token in wrong {
            let answer = world.refresh(&token).await;
            answer.oauth_error("invalid_grant");
            bodies.insert(answer.body);
        }
        assert_eq!(bodies.len(), 1);
        // Nobody was signed out by any of that.
        world.refreshed(&tokens.refresh).await;
        world.refresh("").await.oauth_error("invalid_request");
        let missing = [("grant_type", "refresh_token")];
        world.post("/oauth/token").form(&missing).await.oauth_error("invalid_request");
    }

    async fn a_refresh_token_is_no_access_token(world: World) {
        let ada = world.register("ada").await;
        let tokens = world.begin(&ada).await;
        world.get("/users/me").bearer(&tokens.refresh).await.problem("invalid-token");
        world.get("/users/me").header("cookie", format!("roster_refresh={}", tokens.refresh)).await.expect(401);
        world.get(&format!("/users/me?access_token={}", tokens.access)).await.expect(401);
    }

    async fn what_isn_t_offered_is_told_by_name(world: World) {
        let ada = world.register("ada").await;
        let tokens = world.begin(&ada).await;
        for grant in ["authorization_code", "client_credentials", "Refresh_Token", "implicit"] {
            let fields = [("grant_type", grant), ("refresh_token", tokens.refresh.as_str())];
            world.post("/oauth/token").form(&fields).await.oauth_error("unsupported_grant_type");
        }
        let wider = [
            ("grant_type", "refresh_token"),
            ("refresh_token", tokens.refresh.as_str()),
            ("scope", "account admin"),
        ];
        world.post("/oauth/token").form(&wider).await.oauth_error("invalid_scope");
        let twice = format!("grant_type=refresh_token&refresh_token={0}&refresh_token={0}", tokens.refresh);
        let answer = world.post("/oauth/token").body("application/x-www-form-urlencoded", twice).await;
        answer.oauth_error("invalid_request");
        // It was spent by none of them.
        assert_eq!(world.count_live_tokens(tokens.session()).await, 1);
        world.refreshed(&tokens.refresh).await;
    }

    async fn the_password_grant_does_what_login_does(world: World) {
        let ada = world.register("ada").await;
        let grant = |email: &str, password: &str| {
            let fields = [("grant_type", "password"), ("username", email), ("password", password), ("scope", "openid")];
            world.post("/oauth/token").form(&fields)
        };
        let tokens = Tokens::of(&grant(&ada.email, &ada.password).await.expect(200));
        world.lives(&tokens).await;
        world.refreshed(&tokens.refresh).await;
        let wrong = grant(&ada.email, "velvet-harbor-cinder-52").await;
        wrong.oauth_error("invalid_grant");
        let unknown = grant("nobody@example.test", "velvet-harbor-cinder-52").await;
        assert_eq!(unknown.body, wrong.body);
        world.set_status(&ada, UserStatus::Disabled).await;
        grant(&ada.email, &ada.password).await.oauth_error("invalid_grant");
        assert_eq!(grant(&ada.email, "velvet-harbor-cinder-52").await.body, wrong.body);
        assert_eq!(world.audit("user.sign_in").await.len(), 5);
    }

    async fn the_password_grant_can_be_switched_off(stage: Stage) {
        let world = World::with(&stage, |variables| variables.set("ROSTER__OAUTH__PASSWORD_GRANT", "false")).await;
        let ada = world.register("ada").await;
        let fields = [
            ("grant_type", "password"),
            ("username", ada.email.as_str()),
            ("password", ada.password.as_str()),
        ];
        world.post("/oauth/token").form(&fields).await.oauth_error("unsupported_grant_type");
        let tokens = world.begin(&ada).await;
        world.refreshed(&tokens.refresh).await;
        let metadata = world.get("/.well-known/oauth-authorization-server").await;
        assert_eq!(metadata.json()["grant_types_supported"], json!(["refresh_token"]));
    }

    async fn a_closed_account_cannot_be_refreshed_whoever_closed_it(world: World) {
        let ada = world.register("ada").await;
        let tokens = world.begin(&ada).await;
        // As a restored backup may leave it: disabled, with a session.
        let disabled = entity::users::ActiveModel {
            status: sea_orm::ActiveValue::Set("disabled".to_owned()),
            ..Default::default()
        };
        world.update_user(&ada, disabled).await;
        world.is_dead(&tokens).await;
    }
}
