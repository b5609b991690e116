//! Wrong passwords on an account.

use std::time::Duration;

use roster::domain::{Actor, EmailAddress, Origin, Password, PasswordLength};
use roster::users::service;
use serde_json::{Value, json};

use super::{FromAddress as _, address, all, count, exhaust, face, limited, limited_with, seconds, wait};
use crate::support::{Answer, OTHER_PASSWORD, Stage};

scenario! {
    async fn after_ten_wrong_passwords_each_further_one_waits_twice_as_long(stage: Stage) {
        let world = limited(&stage).await;
        let ada = world.register("ada").await;
        assert_eq!(exhaust(&world, &ada.email).await, (10, 1));
        for expected in [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900] {
            let told = wait(&world.log_in(&ada.email, &ada.password).await);
            assert_eq!(told, expected);
            // Not a moment too early.
            world.clock.advance(seconds(told - 1) + Duration::from_millis(999));
            assert_eq!(wait(&world.log_in(&ada.email, &ada.password).await), 1);
            world.clock.advance(Duration::from_millis(1));
            world.log_in(&ada.email, "wrong-lantern-88").await.expect(401);
        }
        world.clock.advance(seconds(900));
        world.log_in(&ada.email, &ada.password).await.expect(200);
        // The right one forgets them all.
        assert_eq!(exhaust(&world, &ada.email).await, (10, 1));
    }

    async fn wrong_passwords_are_forgotten_one_by_one(stage: Stage) {
        let world = limited(&stage).await;
        let ada = world.register("ada").await;
        assert_eq!(exhaust(&world, &ada.email).await.0, 10);
        world.clock.advance(seconds(3 * 3600));
        assert_eq!(exhaust(&world, &ada.email).await, (3, 1));
        // However many there were, they are forgotten within a day.
        for _ in 0..30 {
            world.clock.advance(seconds(900));
            world.log_in(&ada.email, "wrong-lantern-88").await.expect(401);
        }
        world.clock.advance(seconds(21 * 3600));
        assert_eq!(exhaust(&world, &ada.email).await, (10, 1));
    }

    async fn every_spelling_of_an_address_is_one_account(stage: Stage) {
        let world = limited(&stage).await;
        let ada = world.register_as("b\u{fc}cher@example.test", "plum-orbit-canvas-47").await;
        let spellings = ["b\u{fc}cher@example.test", "BU\u{308}CHER@Example.Test", "  bu\u{308}cher@example.test\t"];
        for turn in 0..10 {
            world.log_in(spellings[turn % 3], OTHER_PASSWORD).from(&address(turn)).await.expect(401);
        }
        for spelling in spellings {
            wait(&world.log_in(spelling, &ada.password).from("203.0.113.9").await);
        }
    }

    async fn all_doors_that_take_a_password_share_what_is_counted(stage: Stage) {
        let world = limited(&stage).await;
        let ada = world.register("ada").await;
        let grant = |password: &str| {
            let form = [("grant_type", "password"), ("username", &ada.email), ("password", password)];
            world.post("/oauth/token").form(&form)
        };
        for _ in 0..5 {
            world.log_in(&ada.email, OTHER_PASSWORD).await.expect(401);
            grant(OTHER_PASSWORD).await.oauth_error("invalid_grant");
        }
        assert_eq!(wait(&world.log_in(&ada.email, &ada.password).await), 1);
        let refused = grant(&ada.password).await;
        assert_eq!(wait(&refused), 1);
        assert_eq!(refused.json()["error"], "temporarily_unavailable");
        world.clock.advance(seconds(1));
        grant(&ada.password).await.expect(200);
        world.log_in(&ada.email, &ada.password).await.expect(200);
    }

    async fn who_has_no_account_is_limited_like_everybody(stage: Stage) {
        let world = limited(&stage).await;
        let ada = world.register("ada").await;
        let passwordless = world.register("passwordless").await;
        world.put_hash(&passwordless, None).await;
        let disabled = world.disabled_user().await;
        let mut faces = Vec::new();
        for (place, email) in ["nobody@example.test", &ada.email, &passwordless.email, &disabled.email].into_iter().enumerate() {
            let mut seen = Vec::new();
            for password in ["wrong-lantern-88", "", &"x".repeat(5_000), "a\0b"] {
                for _ in 0..4 {
                    seen.push(face(&world.log_in(email, password).from(&address(place)).await));
                }
            }
            faces.push(seen);
        }
        assert_eq!(faces[0].iter().filter(|face| face.0 == 401).count(), 10);
        assert_eq!(faces[0].iter().filter(|face| face.0 == 429).count(), 6);
        for face in &faces[1..] {
            assert_eq!(*face, faces[0]);
        }
    }

    async fn parallel_guesses_do_not_slip_through(stage: Stage) {
        let world = limited(&stage).await;
        let ada = world.register("ada").await;
        let guesses = (0..60).map(|turn| world.log_in(&ada.email, "wrong-lantern-88").from(&address(turn)));
        let answers = all(guesses).await;
        assert_eq!((count(&answers, 401), count(&answers, 429)), (10, 50));
        // Nor while it waits already.
        world.clock.advance(seconds(1));
        let guesses = (0..30).map(|turn| world.log_in(&ada.email, "wrong-lantern-88").from(&address(turn)));
        let answers = all(guesses).await;
        assert_eq!((count(&answers, 401), count(&answers, 429)), (1, 29));
    }

    async fn instances_on_one_database_share_what_is_counted_and_so_do_their_successors(stage: Stage) {
        let world = limited(&stage).await;
        let other = world.second_instance().await;
        let ada = world.register("ada").await;
        let guesses = (0..40).map(|turn| {
            let at = if turn % 2 == 0 { &world } else { &other };
            at.log_in(&ada.email, "wrong-lantern-88").from(&address(turn))
        });
        let answers = all(guesses).await;
        assert_eq!((count(&answers, 401), count(&answers, 429)), (10, 30));
        let restarted = world.restart().await;
        for server in [&restarted, &other] {
            assert_eq!(wait(&server.log_in(&ada.email, &ada.password).await), 1);
        }
        world.clock.advance(seconds(1));
        restarted.log_in(&ada.email, &ada.password).await.expect(200);
        other.log_in(&ada.email, OTHER_PASSWORD).await.expect(401);
    }

    async fn the_first_wait_is_audited_and_no_other(stage: Stage) {
        let world = limited(&stage).await;
        let ada = world.register("ada").await;
        for _ in 0..9 {
            world.log_in(&ada.email, OTHER_PASSWORD).await.expect(401);
        }
        assert!(world.audit("user.locked").await.is_empty());
        world.log_in(&ada.email, OTHER_PASSWORD).from("203.0.113.9").await.expect(401);
        for _ in 0..3 {
            world.clock.advance(seconds(4));
            world.log_in(&ada.email, OTHER_PASSWORD).await.expect(401);
            for _ in 0..20 {
                wait(&world.log_in(&ada.email, OTHER_PASSWORD).await);
            }
        }
        let event = world.only_audit("user.locked").await;
        assert_eq!((event.subject_id, event.outcome.as_str()), (Some(ada.id), "failure"));
        assert_eq!(event.ip.as_deref(), Some("203.0.113.9"));
        let details: Value = serde_json::from_str(&event.details).unwrap();
        assert_eq!(details, json!({"reason": "wrong_passwords", "failed_logins": 10}));
        // What isn't looked at isn't written down either.
        assert_eq!(world.audit("user.sign_in").await.len(), 13);
    }

    async fn a_new_password_and_a_removal_forget_what_was_tried(stage: Stage) {
        let world = limited(&stage).await;
        let ada = world.register("ada").await;
        exhaust(&world, &ada.email).await;
        let account = service::find(&world.state, &EmailAddress::parse(&ada.email).unwrap()).await.unwrap();
        let length = PasswordLength { min: 8, max: 128 };
        let password = Password::parse(OTHER_PASSWORD, &length).unwrap();
        service::set_password(&world.state, &account.user, password, Actor::Operator, Origin::default()).await.unwrap();
        let answer = world.log_in(&ada.email, OTHER_PASSWORD).await.expect(200);
        let token = answer.json()["access_token"].as_str().unwrap();
        exhaust(&world, &ada.email).await;
        world.delete("/users/me").bearer(token).await.expect(204);
        assert_eq!(exhaust(&world, &ada.email).await, (10, 1));
    }

    async fn limits_can_be_changed_and_switched_off(stage: Stage) {
        let world = limited_with(&stage, &[("account_burst", "3"), ("account_longest_wait_seconds", "2")]).await;
        let ada = world.register("ada").await;
        assert_eq!(exhaust(&world, &ada.email).await, (3, 1));
        for _ in 0..5 {
            world.clock.advance(seconds(2));
            world.log_in(&ada.email, OTHER_PASSWORD).await.expect(401);
        }
        assert_eq!(wait(&world.log_in(&ada.email, OTHER_PASSWORD).await), 2);

        let world = limited_with(&stage, &[("account_burst", "0"), ("address_burst", "0")]).await;
        let ada = world.register("ada").await;
        for _ in 0..30 {
            let answer: Answer = world.log_in(&ada.email, OTHER_PASSWORD).await.expect(401);
            assert!(!answer.headers.contains_key("ratelimit-policy"));
        }
        let world = limited_with(&stage, &[("enabled", "false"), ("registration_burst", "1")]).await;
        let ada = world.register("ada").await;
        world.register("bob").await;
        for _ in 0..30 {
            let answer = world.log_in(&ada.email, OTHER_PASSWORD).await.expect(401);
            assert!(!answer.headers.contains_key("ratelimit-policy"));
        }
        assert!(world.limit_rows().await.is_empty());
    }

    async fn a_clock_that_was_set_back_locks_nobody_out_for_good(stage: Stage) {
        let world = limited(&stage).await;
        let ada = world.register("ada").await;
        exhaust(&world, &ada.email).await;
        world.clock.turn_back(seconds(3600));
        world.log_in(&ada.email, OTHER_PASSWORD).await.expect(401);
        let told = wait(&world.log_in(&ada.email, &ada.password).await);
        assert!(told <= 900, "{told}");
        world.clock.advance(seconds(told));
        world.log_in(&ada.email, &ada.password).await.expect(200);
    }
}
