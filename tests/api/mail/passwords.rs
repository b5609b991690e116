//! Forgotten passwords.

use std::time::Duration;

use serde_json::json;

use crate::support::{OTHER_PASSWORD, PASSWORD, Stage, World, all, token};

scenario! {
    async fn whoever_reads_the_mail_chooses_a_new_password(world: World) {
        let ada = world.register("ada").await;
        world.only_letter().await;
        let [here, there] = [world.sign_in(&ada).await, world.sign_in(&ada).await];
        let letter = world.forgot(&ada.email).await;
        assert!(letter.text.contains("30 minutes"), "{}", letter.text);
        world.only_audit("user.reset_requested").await;
        let body = json!({"token": token(&letter), "password": OTHER_PASSWORD});
        let answer = world.post("/reset-password").json(&body).await.expect(204);
        assert!(!answer.headers.contains_key("set-cookie"));
        for token in [here, there] {
            world.get("/users/me").bearer(&token).await.expect(401);
        }
        assert_eq!(world.count_sessions().await, 0);
        world.log_in(&ada.email, &ada.password).await.expect(401);
        world.log_in(&ada.email, OTHER_PASSWORD).await.expect(200);
        let notice = world.only_letter().await;
        assert_eq!(notice.subject, "Your password was changed");
        assert_eq!((notice.to.as_str(), &notice.link), (ada.email.as_str(), &None));
        let event = world.only_audit("user.password_changed").await;
        assert!(event.details.contains("reset_password"), "{}", event.details);
    }

    async fn a_refused_password_leaves_the_code_good(world: World) {
        let ada = world.register("ada").await;
        world.only_letter().await;
        let code = token(&world.forgot(&ada.email).await);
        for password in ["password1234", "short", "ada@example.test"] {
            let body = json!({"token": code, "password": password});
            world.post("/reset-password").json(&body).await.problem("validation-failed");
        }
        world.log_in(&ada.email, &ada.password).await.expect(200);
        let body = json!({"token": code, "password": OTHER_PASSWORD});
        world.post("/reset-password").json(&body).await.expect(204);
    }

    async fn known_and_unknown_addresses_get_the_same_answer(world: World) {
        let ada = world.register("ada").await;
        world.disabled_user().await;
        world.deliver().await;
        for path in ["/forgot-password", "/verify-email/request"] {
            let mut seen = Vec::new();
            for email in [ada.email.as_str(), "nobody@example.test", "shut-out@example.test"] {
                let answer = world.post(path).json(&json!({"email": email})).await.expect(202);
                let names: Vec<String> = answer.headers.keys().map(ToString::to_string).collect();
                seen.push((answer.body.clone(), names));
            }
            assert!(seen.iter().all(|one| *one == seen[0]), "{path}");
            let letters = world.deliver().await;
            assert_eq!(letters.len(), 1, "{path}");
            assert_eq!(letters[0].to.as_str(), ada.email);
        }
    }

    async fn a_reset_ends_every_other_code_and_every_change_that_waits(stage: Stage) {
        let world = World::with(&stage, |variables| {
            variables.set("ROSTER__ACCOUNT__CONFIRM_NEW_EMAIL", "true");
        }).await;
        let ada = world.register("ada").await;
        let verification = token(&world.only_letter().await);
        let bearer = world.sign_in(&ada).await;
        let change = ada.confirming(json!({"email": "eve@example.test"}));
        world.put("/users/me").bearer(&bearer).json(&change).await.expect(200);
        let letters = world.deliver().await;
        let confirmation = letters.iter().find(|letter| letter.to.as_str() == "eve@example.test").unwrap();
        // One more change, whose mail has not been sent yet.
        world.put("/users/me").bearer(&bearer).json(&ada.confirming(json!({"email": "mallory@example.test"})))
            .await.expect(200);
        let reset = token(&world.forgot_among(&ada.email, "Choose a new password").await);
        let body = json!({"token": reset, "password": OTHER_PASSWORD});
        world.post("/reset-password").json(&body).await.expect(204);
        world.deliver().await;
        for (path, code) in [("/verify-email", &verification), ("/users/me/email/confirm", &token(confirmation))] {
            world.post(path).json(&json!({"token": code})).await.problem("invalid-or-expired-code");
        }
        let row = world.user_row(&ada).await;
        assert_eq!((row.email.as_str(), row.pending_email, row.email_verified), (ada.email.as_str(), None, true));
    }

    async fn a_new_password_ends_a_reset_that_was_asked_for_before(world: World) {
        let ada = world.register("ada").await;
        world.only_letter().await;
        let code = token(&world.forgot(&ada.email).await);
        let bearer = world.sign_in(&ada).await;
        let change = ada.confirming(json!({"password": OTHER_PASSWORD}));
        world.put("/users/me").bearer(&bearer).json(&change).await.expect(200);
        assert_eq!(world.only_letter().await.subject, "Your password was changed");
        let body = json!({"token": code, "password": PASSWORD});
        world.post("/reset-password").json(&body).await.problem("invalid-or-expired-code");
    }

    async fn a_hundred_requests_mail_an_address_three_times_an_hour(world: World) {
        let ada = world.register("ada").await;
        world.only_letter().await;
        let ask = || world.post("/forgot-password").json(&json!({"email": ada.email}));
        for answer in all((0..100).map(|_| ask())).await {
            answer.expect(202);
        }
        // The mail of the registration was the first of three.
        let letters = world.deliver().await;
        assert_eq!(letters.len(), 2);
        world.clock.advance(Duration::from_mins(59));
        ask().await.expect(202);
        assert!(world.deliver().await.is_empty());
        world.clock.advance(Duration::from_mins(1));
        ask().await.expect(202);
        assert_eq!(world.deliver().await.len(), 1);
        // Somebody else isn't counted with that address.
        world.register("bob").await;
        assert_eq!(world.deliver().await.len(), 1);
    }

    async fn leaving_and_coming_back_does_not_get_around_the_limit(world: World) {
        let mut count = 0;
        for _ in 0..6 {
            let ada = world.register("ada").await;
            count += world.deliver().await.len();
            let bearer = world.sign_in(&ada).await;
            world.delete("/users/me").bearer(&bearer).await.expect(204);
        }
        assert_eq!(count, 3);
    }

    async fn an_account_without_a_password_gets_one(world: World) {
        let ada = world.register("ada").await;
        world.only_letter().await;
        world.put_hash(&ada, None).await;
        let code = token(&world.forgot(&ada.email).await);
        let body = json!({"token": code, "password": OTHER_PASSWORD});
        world.post("/reset-password").json(&body).await.expect(204);
        world.log_in(&ada.email, OTHER_PASSWORD).await.expect(200);
    }

    async fn an_account_that_is_closed_meanwhile_stays_as_it_is(world: World) {
        let ada = world.register("ada").await;
        world.only_letter().await;
        let code = token(&world.forgot(&ada.email).await);
        world.set_status(&ada, roster::domain::UserStatus::Disabled).await;
        let before = world.hash_of(&ada).await;
        let body = json!({"token": code, "password": OTHER_PASSWORD});
        world.post("/reset-password").json(&body).await.problem("invalid-or-expired-code");
        assert_eq!(world.hash_of(&ada).await, before);
        assert_eq!(world.only_letter().await.subject, "Your account was disabled");
    }
}

scenario! {
    async fn a_client_address_asks_for_so_many_mails_and_no_more(stage: Stage) {
        let world = World::with(&stage, |variables| {
            variables.set("ROSTER__LIMITS__ENABLED", "true");
            variables.set("ROSTER__LIMITS__REGISTRATION_BURST", "3");
        }).await;
        for number in 0..3 {
            let body = json!({"email": format!("user-{number}@example.test")});
            world.post("/forgot-password").json(&body).await.expect(202);
        }
        let body = json!({"email": "user-5@example.test"});
        for path in ["/forgot-password", "/verify-email/request"] {
            world.post(path).json(&body).await.problem("too-many-requests");
        }
    }
}
