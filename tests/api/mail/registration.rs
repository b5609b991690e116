//! Registering where the address has to be proven first, and nobody is told who has an account.

use serde_json::{Value, json};

use crate::support::{Answer, OTHER_PASSWORD, PASSWORD, Stage, World, all, token};

async fn private(stage: &Stage) -> World {
    World::with(stage, |variables| {
        variables.set("ROSTER__REGISTRATION__MODE", "verified");
    })
    .await
}

async fn register(world: &World, email: &str, password: &str) -> Answer {
    let body = json!({"email": email, "password": password, "display_name": "Ada", "locale": "en-GB"});
    world.post("/users/").json(&body).await.expect(202)
}

async fn prove(world: &World, code: &str) -> Answer {
    world.post("/verify-email").json(&json!({"token": code})).await
}

scenario! {
    async fn there_is_an_account_once_its_address_is_proven(stage: Stage) {
        let world = private(&stage).await;
        let answer = register(&world, "ada@example.test", PASSWORD).await;
        assert!(!answer.headers.contains_key("location"));
        world.log_in("ada@example.test", PASSWORD).await.problem("invalid-credentials");
        assert_eq!(world.count_users().await, 0);
        let letter = world.only_letter().await;
        prove(&world, &token(&letter)).await.expect(204);
        let tokens = world.log_in("ada@example.test", PASSWORD).await.expect(200);
        let user = world.profile(tokens.json()["access_token"].as_str().unwrap()).await;
        assert_eq!(user["email_verified"], true);
        assert_eq!((&user["display_name"], &user["locale"]), (&json!("Ada"), &json!("en-GB")));
        prove(&world, &token(&letter)).await.problem("invalid-or-expired-code");
        world.only_audit("user.registered").await;
    }

    async fn a_known_address_gets_the_same_answer_and_its_owner_a_mail_that_says_so(stage: Stage) {
        let world = private(&stage).await;
        let first = register(&world, "ada@example.test", PASSWORD).await;
        prove(&world, &token(&world.only_letter().await)).await.expect(204);
        let second = register(&world, "Ada@Example.Test", OTHER_PASSWORD).await;
        assert_eq!(first.body, second.body);
        let names = |answer: &Answer| answer.headers.keys().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(names(&first), names(&second));
        let letter = world.only_letter().await;
        assert_eq!((letter.to.as_str(), letter.subject.as_str()), ("ada@example.test", "You already have an account"));
        assert_eq!(letter.link, None);
        world.log_in("ada@example.test", PASSWORD).await.expect(200);
        world.log_in("ada@example.test", OTHER_PASSWORD).await.expect(401);
        assert_eq!(world.count_users().await, 1);
    }

    async fn the_last_registration_is_the_one_that_counts(stage: Stage) {
        let world = private(&stage).await;
        register(&world, "ada@example.test", OTHER_PASSWORD).await;
        let first = token(&world.only_letter().await);
        register(&world, "ada@example.test", PASSWORD).await;
        let second = token(&world.only_letter().await);
        prove(&world, &first).await.problem("invalid-or-expired-code");
        prove(&world, &second).await.expect(204);
        world.log_in("ada@example.test", PASSWORD).await.expect(200);
        world.log_in("ada@example.test", OTHER_PASSWORD).await.expect(401);
    }

    async fn another_mail_can_be_asked_for_while_a_registration_waits(stage: Stage) {
        let world = private(&stage).await;
        register(&world, "ada@example.test", PASSWORD).await;
        let first = token(&world.only_letter().await);
        let body = json!({"email": "ada@example.test"});
        world.post("/verify-email/request").json(&body).await.expect(202);
        let second = token(&world.only_letter().await);
        prove(&world, &first).await.problem("invalid-or-expired-code");
        prove(&world, &second).await.expect(204);
        world.log_in("ada@example.test", PASSWORD).await.expect(200);
        world.post("/verify-email/request").json(&body).await.expect(202);
        assert!(world.deliver().await.is_empty(), "it is proven");
    }

    async fn a_proof_wipes_what_a_stranger_set_before(stage: Stage) {
        let open = World::with(&stage, |variables| {
            variables.set("ROSTER__ACCOUNT__CONFIRM_NEW_EMAIL", "true");
        }).await;
        // Somebody takes an address that isn't theirs, and settles in.
        let stranger = open.register_as("ada@example.test", OTHER_PASSWORD).await;
        let planted = token(&open.only_letter().await);
        let bearer = open.sign_in(&stranger).await;
        let change = stranger.confirming(json!({
            "email": "stranger@example.test", "display_name": "Stranger", "metadata": {"planted": true},
        }));
        open.put("/users/me").bearer(&bearer).json(&change).await.expect(200);
        let letters = open.deliver().await;
        let confirmation = letters.iter().find(|letter| letter.to.as_str() == "stranger@example.test").unwrap();

        let world = open.second_instance_with(|variables| {
            variables.set("ROSTER__REGISTRATION__MODE", "verified");
        }).await;
        world.clock.advance(std::time::Duration::from_hours(1));
        register(&world, "ada@example.test", PASSWORD).await;
        let code = token(&world.only_letter().await);
        prove(&world, &code).await.expect(204);

        world.get("/users/me").bearer(&bearer).await.expect(401);
        world.log_in("ada@example.test", OTHER_PASSWORD).await.expect(401);
        let body = json!({"token": token(confirmation)});
        world.post("/users/me/email/confirm").json(&body).await.problem("invalid-or-expired-code");
        prove(&world, &planted).await.problem("invalid-or-expired-code");
        let tokens = world.log_in("ada@example.test", PASSWORD).await.expect(200);
        let user = world.profile(tokens.json()["access_token"].as_str().unwrap()).await;
        assert_eq!(user["id"], stranger.id.to_string());
        assert_eq!((&user["display_name"], &user["metadata"]), (&json!("Ada"), &json!({})));
        assert_eq!((&user["pending_email"], &user["email_verified"]), (&Value::Null, &json!(true)));
    }

    async fn a_closed_account_is_not_opened_by_registering_it_again(stage: Stage) {
        let open = World::with(&stage, |_| {}).await;
        let ada = open.disabled_user().await;
        open.deliver().await;
        let world = open.second_instance_with(|variables| {
            variables.set("ROSTER__REGISTRATION__MODE", "verified");
        }).await;
        register(&world, &ada.email, OTHER_PASSWORD).await;
        assert_eq!(world.only_letter().await.subject, "You already have an account");
        world.log_in(&ada.email, OTHER_PASSWORD).await.expect(401);
    }

    async fn twenty_proofs_at_once_make_one_account(stage: Stage) {
        let world = private(&stage).await;
        register(&world, "ada@example.test", PASSWORD).await;
        let code = token(&world.only_letter().await);
        let calls = (0..20).map(|_| world.post("/verify-email").json(&json!({"token": code})));
        let answers = all(calls).await;
        assert_eq!(answers.iter().filter(|answer| answer.status == 204).count(), 1);
        assert!(answers.iter().all(|answer| [204, 422].contains(&answer.status)));
        assert_eq!(world.count_users().await, 1);
    }

    async fn a_password_is_judged_as_everywhere(stage: Stage) {
        let world = private(&stage).await;
        let body = json!({"email": "ada@example.test", "password": "password1234"});
        world.post("/users/").json(&body).await.problem("validation-failed");
        assert!(world.deliver().await.is_empty());
    }

    async fn an_invitation_lets_choose_a_first_password(world: World) {
        let ada = world.register("ada").await;
        world.only_letter().await;
        world.put_hash(&ada, None).await;
        world.invite(&ada).await;
        let letter = world.only_letter().await;
        assert_eq!(letter.subject, "You are invited to Roster");
        world.clock.advance(std::time::Duration::from_hours(24 * 7).saturating_sub(std::time::Duration::from_millis(1)));
        let body = json!({"token": token(&letter), "password": OTHER_PASSWORD});
        world.post("/reset-password").json(&body).await.expect(204);
        world.log_in(&ada.email, OTHER_PASSWORD).await.expect(200);
        assert!(world.user_row(&ada).await.email_verified);
        assert!(world.deliver().await.is_empty(), "nobody is warned of a first password");
    }
}
