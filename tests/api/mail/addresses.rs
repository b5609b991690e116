//! Changing an address: at once, or once mail to it has been answered.

use serde_json::{Value, json};

use crate::support::{OTHER_PASSWORD, Persona, Stage, World, all, token};

async fn confirming(stage: &Stage) -> World {
    World::with(stage, |variables| {
        variables.set("ROSTER__ACCOUNT__CONFIRM_NEW_EMAIL", "true");
    })
    .await
}

/// Somebody with a proven address, and a bearer token.
async fn proven(world: &World, name: &str) -> (Persona, String) {
    let persona = world.register(name).await;
    let code = token(&world.only_letter().await);
    let body = json!({"token": code});
    world.post("/verify-email").json(&body).await.expect(204);
    let bearer = world.sign_in(&persona).await;
    (persona, bearer)
}

scenario! {
    async fn without_confirmation_a_change_takes_effect_at_once_and_is_told_to_the_old_address(world: World) {
        let (ada, bearer) = proven(&world, "ada").await;
        let change = ada.confirming(json!({"email": "countess@example.test"}));
        let answer = world.put("/users/me").bearer(&bearer).json(&change).await.expect(200);
        assert_eq!(answer.json()["email"], "countess@example.test");
        assert_eq!(answer.json()["email_verified"], false);
        let letters = world.deliver().await;
        let told: Vec<(&str, &str)> =
            letters.iter().map(|letter| (letter.to.as_str(), letter.subject.as_str())).collect();
        assert_eq!(told, [
            (ada.email.as_str(), "Your e-mail address was changed"),
            ("countess@example.test", "Confirm your e-mail address"),
        ]);
        world.post("/verify-email").json(&json!({"token": token(&letters[1])})).await.expect(204);
        assert_eq!(world.profile(&bearer).await["email_verified"], true);
    }

    async fn an_address_with_any_characters_is_registered_written_to_and_proven(stage: Stage) {
        let world = World::with(&stage, |variables| {
            variables.set("ROSTER__REGISTRATION__MODE", "verified");
        })
        .await;
        // Combining marks and symbols are as good as letters (RFC 6531 §3.3).
        for email in ["josé@x.test", "用户@x.test", "हिन्दी@x.test", "ก็@x.test", "a·b@x.test", "€@x.test", "💩@x.test"] {
            let body = json!({"email": email, "password": OTHER_PASSWORD});
            world.post("/users/").json(&body).await.expect(202);
            let letter = world.only_letter().await;
            assert_eq!(letter.to.as_str(), email);
            world.post("/verify-email").json(&json!({"token": token(&letter)})).await.expect(204);
            let tokens = world.log_in(email, OTHER_PASSWORD).await.expect(200);
            let user = world.profile(tokens.json()["access_token"].as_str().unwrap()).await;
            assert_eq!((&user["email"], &user["email_verified"]), (&json!(email), &json!(true)));
        }
    }

    async fn a_new_address_waits_until_its_mail_is_answered(stage: Stage) {
        let world = confirming(&stage).await;
        let (ada, bearer) = proven(&world, "ada").await;
        let change = ada.confirming(json!({"email": "countess@example.test"}));
        let answer = world.put("/users/me").bearer(&bearer).json(&change).await.expect(200);
        assert_eq!(answer.json()["email"], ada.email.as_str());
        assert_eq!(answer.json()["pending_email"], "countess@example.test");
        assert_eq!(answer.json()["email_verified"], true);
        let letters = world.deliver().await;
        let told: Vec<(&str, &str)> =
            letters.iter().map(|letter| (letter.to.as_str(), letter.subject.as_str())).collect();
        assert_eq!(told, [
            (ada.email.as_str(), "Your account is to get another address"),
            ("countess@example.test", "Confirm your new e-mail address"),
        ]);
        // The old one works until then, and the new one is nobody's.
        world.log_in(&ada.email, &ada.password).await.expect(200);
        world.log_in("countess@example.test", &ada.password).await.expect(401);
        world.post("/forgot-password").json(&json!({"email": "countess@example.test"})).await.expect(202);
        assert!(world.deliver().await.is_empty());

        let body = json!({"token": token(&letters[1])});
        let answer = world.post("/users/me/email/confirm").json(&body).await.expect(200);
        assert_eq!(answer.json()["email"], "countess@example.test");
        assert_eq!(answer.json()["pending_email"], Value::Null);
        assert_eq!(answer.json()["email_verified"], true);
        assert!(answer.headers.contains_key("etag"));
        assert_eq!(world.profile(&bearer).await["email"], "countess@example.test");
        let notice = world.only_letter().await;
        assert_eq!((notice.to.as_str(), notice.subject.as_str()), (ada.email.as_str(), "Your e-mail address was changed"));
        assert!(!notice.text.contains("countess"));
        world.post("/users/me/email/confirm").json(&body).await.problem("invalid-or-expired-code");
        world.only_audit("user.email_change_requested").await;
        world.only_audit("user.email_changed").await;
    }

    async fn of_two_changes_only_the_last_can_be_confirmed(stage: Stage) {
        let world = confirming(&stage).await;
        let (ada, bearer) = proven(&world, "ada").await;
        let mut codes = Vec::new();
        for email in ["one@example.test", "two@example.test"] {
            let change = ada.confirming(json!({"email": email}));
            world.put("/users/me").bearer(&bearer).json(&change).await.expect(200);
            let letters = world.deliver().await;
            codes.push(token(letters.iter().find(|letter| letter.to.as_str() == email).unwrap()));
        }
        let confirm = |code: &str| world.post("/users/me/email/confirm").json(&json!({"token": code}));
        confirm(&codes[0]).await.problem("invalid-or-expired-code");
        assert_eq!(confirm(&codes[1]).await.expect(200).json()["email"], "two@example.test");
    }

    async fn a_race_of_changes_confirms_no_address_but_the_one_that_was_written_to(stage: Stage) {
        let world = confirming(&stage).await;
        let (mut ada, _) = proven(&world, "ada").await;
        for round in 0..3 {
            world.clock.advance(std::time::Duration::from_hours(1));
            ada.email = world.user_row(&ada).await.email;
            let bearer = world.sign_in(&ada).await;
            let change = |email: &str| {
                world.put("/users/me").bearer(&bearer).json(&ada.confirming(json!({"email": email})))
            };
            let wanted: Vec<String> = (0..4).map(|number| format!("new-{round}-{number}@example.test")).collect();
            for answer in all(wanted.iter().map(|email| change(email))).await {
                assert!([200, 409].contains(&answer.status), "{answer}");
            }
            let letters = world.deliver().await;
            let codes: Vec<_> = letters.iter().filter(|letter| letter.link.is_some()).collect();
            let confirm = |code: &str| world.post("/users/me/email/confirm").json(&json!({"token": code}));
            // Another change overtakes the confirmations.
            let overtaking = format!("late-{round}@example.test");
            let mut calls: Vec<_> = codes.iter().map(|letter| confirm(&token(letter))).collect();
            calls.push(change(&overtaking));
            let answers = all(calls).await;
            for (letter, answer) in codes.iter().zip(&answers) {
                if answer.status == 200 {
                    assert_eq!(answer.json()["email"], letter.to.as_str());
                }
            }
            let row = world.user_row(&ada).await;
            let is_written_to = codes.iter().any(|letter| letter.to.as_str() == row.email);
            assert!(is_written_to || row.email == ada.email, "{}", row.email);
            world.deliver().await;
        }
    }

    async fn naming_the_present_address_gives_up_the_change(stage: Stage) {
        let world = confirming(&stage).await;
        let (ada, bearer) = proven(&world, "ada").await;
        let change = |email: &str| world.put("/users/me").bearer(&bearer).json(&ada.confirming(json!({"email": email})));
        change("typo@example.test").await.expect(200);
        let letters = world.deliver().await;
        let answer = change(&ada.email).await.expect(200);
        assert_eq!(answer.json()["pending_email"], Value::Null);
        assert_eq!(answer.json()["email_verified"], true);
        let body = json!({"token": token(&letters[1])});
        world.post("/users/me/email/confirm").json(&body).await.problem("invalid-or-expired-code");
    }

    async fn an_address_that_is_taken_is_refused_or_told_to_its_owner_alone(stage: Stage) {
        let world = confirming(&stage).await;
        let (bob, _) = proven(&world, "bob").await;
        let (ada, bearer) = proven(&world, "ada").await;
        let change = ada.confirming(json!({"email": bob.email}));
        world.put("/users/me").bearer(&bearer).json(&change).await.problem("email-taken");
        assert!(world.deliver().await.is_empty());

        let private = world.second_instance_with(|variables| {
            variables.set("ROSTER__REGISTRATION__MODE", "verified");
        }).await;
        let answer = private.put("/users/me").bearer(&bearer).json(&change).await.expect(200);
        assert_eq!(answer.json()["pending_email"], bob.email.as_str());
        let letters = private.deliver().await;
        let told: Vec<(&str, &str)> =
            letters.iter().map(|letter| (letter.to.as_str(), letter.subject.as_str())).collect();
        assert_eq!(told, [
            (ada.email.as_str(), "Your account is to get another address"),
            (bob.email.as_str(), "You already have an account"),
        ]);
    }

    async fn an_address_that_somebody_registers_meanwhile_stays_theirs(stage: Stage) {
        let world = confirming(&stage).await;
        let (ada, bearer) = proven(&world, "ada").await;
        let change = ada.confirming(json!({"email": "bob@example.test"}));
        world.put("/users/me").bearer(&bearer).json(&change).await.expect(200);
        let letters = world.deliver().await;
        let bob = world.register_as("bob@example.test", OTHER_PASSWORD).await;
        let body = json!({"token": token(&letters[1])});
        world.post("/users/me/email/confirm").json(&body).await.problem("email-taken");
        assert_eq!(world.user_row(&ada).await.email, ada.email);
        world.log_in(&bob.email, OTHER_PASSWORD).await.expect(200);
    }

    async fn a_code_for_the_old_address_says_nothing_about_the_new_one(world: World) {
        let ada = world.register("ada").await;
        let old = token(&world.only_letter().await);
        let bearer = world.sign_in(&ada).await;
        let change = ada.confirming(json!({"email": "countess@example.test"}));
        world.put("/users/me").bearer(&bearer).json(&change).await.expect(200);
        world.post("/verify-email").json(&json!({"token": old})).await.problem("invalid-or-expired-code");
        assert_eq!(world.profile(&bearer).await["email_verified"], false);
    }

    async fn somebody_elses_confirmation_changes_the_account_that_it_was_mailed_for(stage: Stage) {
        let world = confirming(&stage).await;
        let (ada, bearer) = proven(&world, "ada").await;
        let (bob, other) = proven(&world, "bob").await;
        let change = ada.confirming(json!({"email": "countess@example.test"}));
        world.put("/users/me").bearer(&bearer).json(&change).await.expect(200);
        let letters = world.deliver().await;
        let body = json!({"token": token(&letters[1])});
        let answer = world.post("/users/me/email/confirm").bearer(&other).json(&body).await.expect(200);
        assert_eq!(answer.json()["id"], ada.id.to_string());
        assert_eq!(world.profile(&other).await["email"], bob.email.as_str());
    }
}
