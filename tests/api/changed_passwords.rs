//! A new password: who may set it, and what ends with the old one.

use serde_json::json;

use crate::support::{OTHER_PASSWORD, Stage, World, decoded};

scenario! {
    async fn a_new_password_needs_the_current_one(world: World) {
        let ada = world.register("ada").await;
        let token = world.sign_in(&ada).await;
        let change = json!({"password": OTHER_PASSWORD});
        let answer = world
            .put("/users/me")
            .bearer(&token)
            .json(&change)
            .await
            .expect(422);
        answer.faults(&[("/current_password", "missing")]);
        let change = json!({"password": OTHER_PASSWORD, "current_password": OTHER_PASSWORD});
        let answer = world
            .put("/users/me")
            .bearer(&token)
            .json(&change)
            .await
            .expect(403);
        answer.problem("wrong-current-password");
        world.log_in(&ada.email, &ada.password).await.expect(200);
        world.log_in(&ada.email, OTHER_PASSWORD).await.expect(401);
        world.profile(&token).await;
    }

    async fn a_new_password_ends_every_session_and_every_token(world: World) {
        let ada = world.register("ada").await;
        let bob = world.register("bob").await;
        let (here, elsewhere, for_bob) = (
            world.sign_in(&ada).await,
            world.sign_in(&ada).await,
            world.sign_in(&bob).await,
        );
        let change = ada.confirming(json!({"password": OTHER_PASSWORD}));
        world
            .put("/users/me")
            .bearer(&here)
            .json(&change)
            .await
            .expect(200);
        // In the same second, and in the same millisecond by this clock.
        for token in [&here, &elsewhere] {
            world
                .get("/users/me")
                .bearer(token)
                .await
                .expect(401)
                .problem("invalid-token");
        }
        world.log_in(&ada.email, &ada.password).await.expect(401);
        world.log_in(&ada.email, OTHER_PASSWORD).await.expect(200);
        world.profile(&for_bob).await;
        // The session in which it was done goes on under a new id, the others are gone.
        let sid = decoded(&here).1["sid"].as_str().unwrap().to_owned();
        let sessions = world.sessions_of(&ada).await;
        assert_eq!(sessions.len(), 2, "the renewed one and that of the new login");
        assert!(sessions.iter().all(|session| session.id.to_string() != sid));
    }

    async fn a_new_password_is_held_to_the_rules(world: World) {
        let ada = world.register("lovelace").await;
        let token = world.sign_in(&ada).await;
        let guessable = "rosterroster";
        for (password, code) in [
            (ada.password.as_str(), "unchanged"),
            ("short", "too_short"),
            ("password", "too_common"),
            (guessable, "too_guessable"),
            ("Lovelace-velvet-harbor", "contains_email"),
            ("velvet\0harbor-52", "nul"),
            (&"x".repeat(129), "too_long"),
        ] {
            let change = ada.confirming(json!({"password": password}));
            let answer = world
                .put("/users/me")
                .bearer(&token)
                .json(&change)
                .await
                .expect(422);
            answer.faults(&[("/password", code)]);
        }
        world.profile(&token).await;
        world.log_in(&ada.email, &ada.password).await.expect(200);
    }

    async fn a_new_password_is_judged_by_the_new_address_and_name(world: World) {
        let ada = world.register("ada").await;
        let token = world.sign_in(&ada).await;
        let change = ada.confirming(json!({"email": "countess@x.test", "password": "countess-velvet-52"}));
        let answer = world
            .put("/users/me")
            .bearer(&token)
            .json(&change)
            .await
            .expect(422);
        answer.faults(&[("/password", "contains_email")]);
        let change = ada.confirming(json!({
            "display_name": "Wilhelmina Featherstone", "password": "Wilhelmina Featherstone",
        }));
        let answer = world
            .put("/users/me")
            .bearer(&token)
            .json(&change)
            .await
            .expect(422);
        answer.faults(&[("/password", "too_guessable")]);
    }

    async fn a_current_password_of_any_scheme_is_known(world: World) {
        let ada = world.register("ada").await;
        let token = world.sign_in(&ada).await;
        let seed = bcrypt::hash_with_salt(&ada.password, 6, *b"sixteen bytes!!!").unwrap();
        world
            .put_hash(&ada, Some(&seed.format_for_version(bcrypt::Version::TwoY)))
            .await;
        let change = ada.confirming(json!({"password": OTHER_PASSWORD}));
        world
            .put("/users/me")
            .bearer(&token)
            .json(&change)
            .await
            .expect(200);
        assert!(world.hash_of(&ada).await.starts_with("$2b$04$"));
    }

    async fn an_account_without_a_password_confirms_nothing(world: World) {
        let ada = world.register("ada").await;
        let token = world.sign_in(&ada).await;
        world.put_hash(&ada, None).await;
        for current in [ada.password.as_str(), ""] {
            let change = json!({"password": OTHER_PASSWORD, "current_password": current});
            let answer = world
                .put("/users/me")
                .bearer(&token)
                .json(&change)
                .await
                .expect(403);
            answer.problem("wrong-current-password");
        }
        assert_eq!(world.user_row(&ada).await.password_hash, None);
    }

    async fn the_current_password_can_be_waived(stage: Stage) {
        let world = World::with(&stage, |variables| {
            variables.set("ROSTER__ACCOUNT__REQUIRE_CURRENT_PASSWORD", "false");
        })
        .await;
        let ada = world.register("ada").await;
        let token = world.sign_in(&ada).await;
        world
            .put("/users/me")
            .bearer(&token)
            .json(&json!({"email": "new@x.test"}))
            .await
            .expect(200);
        let same = json!({"password": ada.password});
        let answer = world
            .put("/users/me")
            .bearer(&token)
            .json(&same)
            .await
            .expect(422);
        answer.faults(&[("/password", "unchanged")]);
        let change = json!({"password": OTHER_PASSWORD});
        world
            .put("/users/me")
            .bearer(&token)
            .json(&change)
            .await
            .expect(200);
        world.get("/users/me").bearer(&token).await.expect(401);
        world.log_in("new@x.test", OTHER_PASSWORD).await.expect(200);
    }
}
