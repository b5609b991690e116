//! What codes are good for, how often, and for how long.

use std::time::Duration;

use serde_json::json;

use crate::support::{PASSWORD, Stage, World, all, token, typed_code};

const DAY: Duration = Duration::from_hours(24);

scenario! {
    async fn whoever_registers_proves_the_address_with_the_code_from_the_mail(world: World) {
        let ada = world.register("ada").await;
        let letter = world.only_letter().await;
        assert_eq!(letter.to.as_str(), ada.email);
        let bearer = world.sign_in(&ada).await;
        assert_eq!(world.profile(&bearer).await["email_verified"], false);
        world.post("/verify-email").json(&json!({"token": token(&letter)})).await.expect(204);
        assert_eq!(world.profile(&bearer).await["email_verified"], true);
        world.only_audit("user.email_verified").await;
    }

    async fn a_code_that_is_not_good_is_refused_in_one_way_whatever_is_wrong_with_it(world: World) {
        let ada = world.register("ada").await;
        let used = token(&world.only_letter().await);
        world.post("/verify-email").json(&json!({"token": used})).await.expect(204);
        let reset = token(&world.forgot(&ada.email).await);
        let bob = world.register("bob").await;
        let replaced = token(&world.only_letter().await);
        world.post("/verify-email/request").json(&json!({"email": bob.email})).await.expect(202);
        let expired = token(&world.only_letter().await);
        let mut told = Vec::new();
        for code in [
            used.as_str(),
            replaced.as_str(),
            reset.as_str(),
            "roster_ml_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
            "K7QM-2XWD",
            "",
            "nonsense",
        ] {
            told.push(world.post("/verify-email").json(&json!({"token": code})).await.expect(422));
        }
        world.clock.advance(DAY);
        told.push(world.post("/verify-email").json(&json!({"token": expired})).await.expect(422));
        let without_id = |answer: &crate::support::Answer| {
            let mut body = answer.problem("invalid-or-expired-code").clone();
            body["request_id"].take();
            body
        };
        for answer in &told {
            assert_eq!(without_id(answer), without_id(&told[0]));
            assert_eq!(answer.headers.len(), told[0].headers.len());
        }
    }

    async fn a_code_is_good_to_the_last_moment_and_not_longer(world: World) {
        world.register("ada").await;
        let code = token(&world.only_letter().await);
        let ada = world.register("bob").await;
        world.only_letter().await;
        let reset = token(&world.forgot(&ada.email).await);
        world.clock.advance(Duration::from_mins(30));
        let body = json!({"token": reset, "password": PASSWORD});
        world.post("/reset-password").json(&body).await.problem("invalid-or-expired-code");
        world.clock.advance(Duration::from_mins(23 * 60 + 30).saturating_sub(Duration::from_millis(1)));
        world.post("/verify-email").json(&json!({"token": code})).await.expect(204);
    }

    async fn a_short_code_does_what_the_link_does_for_whoever_knows_the_address(world: World) {
        let ada = world.register("ada").await;
        let code = typed_code(&world.only_letter().await);
        assert_eq!(code.len(), 9);
        for (token, email) in [(code.as_str(), "eve@example.test"), ("AAAA-AAAA", ada.email.as_str())] {
            let body = json!({"token": token, "email": email});
            world.post("/verify-email").json(&body).await.problem("invalid-or-expired-code");
        }
        let body = json!({"token": code.to_lowercase().replace('-', " "), "email": " ADA@Example.TEST"});
        world.post("/verify-email").json(&body).await.expect(204);
        world.post("/verify-email").json(&body).await.problem("invalid-or-expired-code");
    }

    async fn ten_wrong_guesses_end_a_short_code_also_all_at_once_and_a_new_one_brings_no_more(world: World) {
        let ada = world.register("ada").await;
        world.only_letter().await;
        let first = world.forgot(&ada.email).await;
        let guess = |code: &str| {
            let body = json!({"token": code, "email": ada.email, "password": "velvet-harbor-cinder-52"});
            world.post("/reset-password").json(&body)
        };
        for answer in all((0..10).map(|_| guess("AAAA-AAAA"))).await {
            answer.problem("invalid-or-expired-code");
        }
        guess(&typed_code(&first)).await.problem("invalid-or-expired-code");
        let second = world.forgot(&ada.email).await;
        guess(&typed_code(&second)).await.problem("invalid-or-expired-code");
        // Nobody guesses a link.
        guess(&token(&second)).await.expect(204);
    }

    async fn wrong_guesses_at_a_code_are_in_the_trail_of_its_account_and_no_more_than_it_takes(world: World) {
        let ada = world.register("ada").await;
        world.only_letter().await;
        let code = typed_code(&world.forgot(&ada.email).await);
        let guess = |code: &str, email: &str| {
            let body = json!({"token": code, "email": email, "password": "velvet-harbor-cinder-52"});
            world.post("/reset-password").json(&body)
        };
        // Where there is no code to be charged there is nobody to tell, and nothing stays.
        let before = world.mail_rows().await;
        guess("AAAA-AAAA", "nobody@example.test").await.problem("invalid-or-expired-code");
        assert_eq!(world.mail_rows().await, before);
        assert!(world.audit("code.refused").await.is_empty());
        for guesses in 1..=12 {
            guess("AAAA-AAAA", &ada.email).await.problem("invalid-or-expired-code");
            let events = world.audit("code.refused").await;
            assert_eq!(events.len(), guesses.min(10));
            for event in events {
                assert_eq!(event.subject_id, Some(ada.id));
                assert_eq!((event.actor_kind.as_str(), event.outcome.as_str()), ("anonymous", "failure"));
                assert_eq!(event.details, r#"{"purpose":"reset_password","reason":"wrong_code"}"#);
                assert_eq!(event.ip.as_deref(), Some("127.0.0.1"));
            }
        }
        // Used up: the right one is charged to nothing any more.
        guess(&code, &ada.email).await.problem("invalid-or-expired-code");
        assert_eq!(world.audit("code.refused").await.len(), 10);
        // The owner sees them.
        let token = world.sign_in(&ada).await;
        let trail = world.get("/users/me/audit?limit=200").bearer(&token).await.expect(200);
        let items = trail.json()["items"].as_array().unwrap();
        assert_eq!(items.iter().filter(|item| item["action"] == "code.refused").count(), 10, "{trail}");
    }

    async fn a_right_code_leaves_no_event_of_a_wrong_one_and_an_accountless_one_neither(stage: Stage) {
        let world = World::with(&stage, |variables| {
            variables.set("ROSTER__REGISTRATION__MODE", "verified");
        })
        .await;
        let body = json!({"email": "ada@example.test", "password": PASSWORD});
        world.post("/users/").json(&body).await.expect(202);
        let code = typed_code(&world.only_letter().await);
        let verify = |code: &str| {
            world.post("/verify-email").json(&json!({"token": code, "email": "ada@example.test"}))
        };
        // There is no account yet whose trail could tell.
        verify("AAAA-AAAA").await.problem("invalid-or-expired-code");
        verify(&code).await.expect(204);
        assert!(world.audit("code.refused").await.is_empty());
    }

    async fn a_right_guess_with_a_bad_password_costs_nothing(world: World) {
        let ada = world.register("ada").await;
        world.only_letter().await;
        let code = typed_code(&world.forgot(&ada.email).await);
        for _ in 0..12 {
            let body = json!({"token": code, "email": ada.email, "password": "password1"});
            world.post("/reset-password").json(&body).await.problem("validation-failed");
        }
        let body = json!({"token": code, "email": ada.email, "password": "velvet-harbor-cinder-52"});
        world.post("/reset-password").json(&body).await.expect(204);
    }

    async fn of_twenty_uses_of_one_code_at_once_exactly_one_succeeds(world: World) {
        let ada = world.register("ada").await;
        world.only_letter().await;
        let code = token(&world.forgot(&ada.email).await);
        let passwords: Vec<String> = (0..20).map(|number| format!("velvet-harbor-cinder-{number}")).collect();
        let calls = passwords.iter().map(|password| {
            world.post("/reset-password").json(&json!({"token": code, "password": password}))
        });
        let answers = all(calls).await;
        let winners: Vec<usize> = (0..20).filter(|&at| answers[at].status == 204).collect();
        assert_eq!(winners.len(), 1);
        for (at, answer) in answers.iter().enumerate() {
            if at != winners[0] {
                answer.problem("invalid-or-expired-code");
            }
        }
        world.log_in(&ada.email, &passwords[winners[0]]).await.expect(200);
        world.log_in(&ada.email, &ada.password).await.expect(401);
    }

    async fn no_token_of_a_mail_is_an_access_token(world: World) {
        let ada = world.register("ada").await;
        let verification = token(&world.only_letter().await);
        let reset = token(&world.forgot(&ada.email).await);
        for code in [&verification, &reset] {
            world.get("/users/me").bearer(code).await.expect(401);
            let body = json!({"grant_type": "refresh_token", "refresh_token": code});
            world.post("/oauth/token").json(&body).await.oauth_error("invalid_grant");
        }
        let access = world.sign_in(&ada).await;
        let body = json!({"token": access, "password": "velvet-harbor-cinder-52"});
        world.post("/reset-password").json(&body).await.problem("invalid-or-expired-code");
    }

    async fn the_database_holds_no_code_that_can_be_used(world: World) {
        let ada = world.register("ada").await;
        let letter = world.only_letter().await;
        world.post("/forgot-password").json(&json!({"email": ada.email})).await.expect(202);
        world.post.fail(Some(roster::mailer::SendFault::Failed("down".to_owned())));
        world.deliver().await;
        let rows = world.mail_rows().await;
        for secret in [token(&letter), typed_code(&letter), typed_code(&letter).replace('-', "")] {
            assert!(!rows.contains(&secret), "{secret}");
        }
        assert!(!rows.contains("roster_ml_"));
    }

    async fn what_a_request_does_not_offer_is_refused(world: World) {
        for path in ["/verify-email", "/users/me/email/confirm"] {
            world.post(path).json(&json!({})).await.faults(&[("/token", "missing")]);
            world.post(path).json(&json!({"token": 5})).await.faults(&[("/token", "wrong_type")]);
            let body = json!({"token": "x", "user_id": "y"});
            world.post(path).json(&body).await.faults(&[("/user_id", "unknown_member")]);
            world.post(path).form(&[("token", "x")]).await.problem("unsupported-media-type");
        }
        for path in ["/verify-email/request", "/forgot-password"] {
            world.post(path).json(&json!({"email": "nobody"})).await.faults(&[("/email", "invalid_email")]);
            world.post(path).json(&json!({"email": "a@x.test\r\nBcc: eve@x.test"})).await.faults(&[("/email", "invalid_characters")]);
        }
        let body = json!({"token": "x"});
        world.post("/reset-password").json(&body).await.faults(&[("/password", "missing")]);
        world.post("/reset-password").json(&json!({"token": "x", "password": "short"})).await
            .faults(&[("/password", "too_short")]);
    }
}
