//! `/users/me`: reading and changing.

use reqwest::Method;
use sea_orm::ActiveValue::Set;
use serde_json::{Value, json};

use crate::support::{OTHER_PASSWORD, PASSWORD, World};

scenario! {
    async fn the_profile_is_that_of_the_caller(world: World) {
        let (ada, bob) = (world.register("ada").await, world.register("bob").await);
        let (for_ada, for_bob) = (world.sign_in(&ada).await, world.sign_in(&bob).await);
        let answer = world.get("/users/me").bearer(&for_ada).await.expect(200);
        assert_eq!(answer.json()["id"], ada.id.to_string());
        assert_eq!(answer.json()["email"], "ada@example.test");
        assert!(answer.header("etag").starts_with('"'));
        assert_eq!(world.profile(&for_bob).await["email"], "bob@example.test");
    }

    async fn put_and_patch_change_what_they_name(world: World) {
        let ada = world.register("ada").await;
        let token = world.sign_in(&ada).await;
        for (number, method) in [Method::PUT, Method::PATCH].into_iter().enumerate() {
            let name = format!("Ada {number}");
            world.clock.advance(std::time::Duration::from_millis(1500));
            let answer = world
                .call(method.clone(), "/users/me")
                .bearer(&token)
                .json(&json!({"display_name": name}));
            let answer = answer.await.expect(200);
            assert_eq!(answer.json()["display_name"], name.as_str());
            assert_eq!(*answer.json(), world.profile(&token).await);
            let metadata = json!({"number": number});
            let answer = world
                .call(method, "/users/me")
                .bearer(&token)
                .json(&json!({"metadata": metadata}));
            let answer = answer.await.expect(200);
            assert_eq!(answer.json()["metadata"], metadata, "as a whole");
            assert_eq!(
                answer.json()["display_name"],
                name.as_str(),
                "what isn't named stays"
            );
            assert_eq!(*answer.json(), world.profile(&token).await);
        }
        let profile = world.profile(&token).await;
        assert_eq!(profile["created_at"], "2031-05-06T07:08:09.123Z");
        assert_eq!(profile["updated_at"], "2031-05-06T07:08:12.123Z");
        assert_eq!(profile["email"], "ada@example.test");
        assert_eq!(profile["id"], ada.id.to_string());
    }

    async fn all_of_it_changes_at_once(world: World) {
        let ada = world.register("ada").await;
        let token = world.sign_in(&ada).await;
        let change = ada.confirming(json!({
            "email": "Countess@X.test", "password": OTHER_PASSWORD, "display_name": "Countess", "metadata": {"a": 1},
        }));
        let answer = world
            .put("/users/me")
            .bearer(&token)
            .json(&change)
            .await
            .expect(200);
        assert_eq!(answer.json()["email"], "countess@x.test");
        assert_eq!(answer.json()["display_name"], "Countess");
        assert_eq!(answer.json()["metadata"], json!({"a": 1}));
        world.log_in("countess@x.test", OTHER_PASSWORD).await.expect(200);
        world.log_in(&ada.email, &ada.password).await.expect(401);
        world.log_in(&ada.email, OTHER_PASSWORD).await.expect(401);
        world.log_in("countess@x.test", &ada.password).await.expect(401);
    }

    async fn all_of_it_or_nothing_changes(world: World) {
        let (ada, bob) = (world.register("ada").await, world.register("bob").await);
        let token = world.sign_in(&ada).await;
        let before = world.user_row(&ada).await;
        let change = ada.confirming(json!({
            "email": bob.email, "password": OTHER_PASSWORD, "display_name": "Countess", "metadata": {"a": 1},
        }));
        world
            .put("/users/me")
            .bearer(&token)
            .json(&change)
            .await
            .expect(409)
            .problem("email-taken");
        let change =
            ada.confirming(json!({"email": "c@x.test", "password": "password", "display_name": "C"}));
        world
            .put("/users/me")
            .bearer(&token)
            .json(&change)
            .await
            .expect(422)
            .faults(&[("/password", "too_common")]);
        assert_eq!(world.user_row(&ada).await, before);
        world.profile(&token).await;
        world.log_in(&ada.email, &ada.password).await.expect(200);
        assert_eq!(world.audit("user.password_changed").await.len(), 0);
        assert_eq!(world.audit("user.email_changed").await.len(), 0);
    }

    async fn nothing_to_change_changes_nothing(world: World) {
        let ada = world.register("ada").await;
        let token = world.sign_in(&ada).await;
        let before = world.get("/users/me").bearer(&token).await.expect(200);
        world.clock.advance(std::time::Duration::from_secs(5));
        for change in [
            json!({}),
            ada.confirming(json!({"email": "ADA@example.test"})),
            ada.confirming(json!({})),
        ] {
            let answer = world
                .put("/users/me")
                .bearer(&token)
                .json(&change)
                .await
                .expect(200);
            assert_eq!(answer.json(), before.json());
            assert_eq!(answer.header("etag"), before.header("etag"));
        }
        assert_eq!(world.audit("user.email_changed").await.len(), 0);
    }

    async fn the_empty_name_removes_it(world: World) {
        let ada = world.register("ada").await;
        let token = world.sign_in(&ada).await;
        let change = |name: &str| json!({"display_name": name});
        world
            .put("/users/me")
            .bearer(&token)
            .json(&change("Ada"))
            .await
            .expect(200);
        let answer = world
            .put("/users/me")
            .bearer(&token)
            .json(&change(""))
            .await
            .expect(200);
        assert_eq!(answer.json()["display_name"], Value::Null);
        assert_eq!(world.profile(&token).await["display_name"], Value::Null);
    }

    async fn faults_of_a_change_are_told_at_once(world: World) {
        let ada = world.register("ada").await;
        let token = world.sign_in(&ada).await;
        let change = json!({
            "email": "nobody", "password": "short", "display_name": "a\nb", "metadata": 7, "roles": ["admin"], "id": 1,
        });
        world
            .patch("/users/me")
            .bearer(&token)
            .json(&change)
            .await
            .expect(422)
            .faults(&[
                ("/current_password", "missing"),
                ("/display_name", "invalid_characters"),
                ("/email", "invalid_email"),
                ("/id", "unknown_member"),
                ("/metadata", "wrong_type"),
                ("/password", "too_short"),
                ("/roles", "unknown_member"),
            ]);
        for name in [
            "email",
            "password",
            "current_password",
            "display_name",
            "metadata",
        ] {
            for wrong in [json!(null), json!(7), json!([])] {
                let mut change = ada.confirming(json!({}));
                change[name] = wrong;
                let pointer = format!("/{name}");
                let answer = world
                    .put("/users/me")
                    .bearer(&token)
                    .json(&change)
                    .await
                    .expect(422);
                answer.faults(&[(pointer.as_str(), "wrong_type")]);
            }
        }
    }

    async fn nobody_raises_themselves(world: World) {
        let ada = world.register("ada").await;
        let token = world.sign_in(&ada).await;
        let before = world.profile(&token).await;
        for (name, value) in [
            ("roles", json!(["admin"])),
            ("role", json!("admin")),
            ("is_admin", json!(true)),
            ("email_verified", json!(true)),
            ("pending_email", json!("x@x.test")),
            ("status", json!("active")),
            ("created_at", json!("2001-01-01T00:00:00Z")),
            ("last_login_at", json!(null)),
            ("password_hash", json!("x")),
            ("revision", json!(1)),
            ("user_id", json!(ada.id.to_string())),
        ] {
            let mut change = json!({"display_name": "Mallory"});
            change[name] = value;
            let pointer = format!("/{name}");
            let answer = world
                .put("/users/me")
                .bearer(&token)
                .json(&change)
                .await
                .expect(422);
            answer.faults(&[(pointer.as_str(), "unknown_member")]);
        }
        assert_eq!(world.profile(&token).await, before);
    }

    async fn a_new_address_needs_the_current_password(world: World) {
        let ada = world.register("ada").await;
        let token = world.sign_in(&ada).await;
        let change = json!({"email": "new@x.test"});
        let answer = world
            .put("/users/me")
            .bearer(&token)
            .json(&change)
            .await
            .expect(422);
        answer.faults(&[("/current_password", "missing")]);
        for wrong in ["", OTHER_PASSWORD, "\0", &"x".repeat(5000)] {
            let change = json!({"email": "new@x.test", "current_password": wrong});
            let answer = world
                .put("/users/me")
                .bearer(&token)
                .json(&change)
                .await
                .expect(403);
            answer.problem("wrong-current-password");
        }
        assert_eq!(world.profile(&token).await["email"], ada.email.as_str());
        world.log_in(&ada.email, &ada.password).await.expect(200);
        world.log_in("new@x.test", &ada.password).await.expect(401);
    }

    async fn a_new_address_takes_effect_at_once(world: World) {
        let ada = world.register("ada").await;
        let verified = entity::users::ActiveModel {
            email_verified: Set(true),
            ..Default::default()
        };
        world.update_user(&ada, verified).await;
        let token = world.sign_in(&ada).await;
        assert_eq!(world.profile(&token).await["email_verified"], true);
        let change = ada.confirming(json!({"email": " New@X.TEST "}));
        let answer = world
            .put("/users/me")
            .bearer(&token)
            .json(&change)
            .await
            .expect(200);
        assert_eq!(answer.json()["email"], "new@x.test");
        assert_eq!(
            answer.json()["email_verified"],
            false,
            "that was the other address"
        );
        assert_eq!(answer.json()["pending_email"], Value::Null);
        // The session goes on; the old address is nobody's now.
        assert_eq!(world.profile(&token).await["email"], "new@x.test");
        world.log_in(&ada.email, &ada.password).await.expect(401);
        world.log_in("new@x.test", &ada.password).await.expect(200);
        let heir = world.register_as(&ada.email, PASSWORD).await;
        assert_ne!(heir.id, ada.id);
    }

    async fn a_taken_address_is_refused_in_any_spelling(world: World) {
        let (ada, bob) = (world.register("ada").await, world.register("bob").await);
        let token = world.sign_in(&ada).await;
        for spelling in [bob.email.as_str(), " BOB@Example.Test"] {
            let change = ada.confirming(json!({"email": spelling}));
            world
                .put("/users/me")
                .bearer(&token)
                .json(&change)
                .await
                .expect(409)
                .problem("email-taken");
        }
        assert_eq!(world.profile(&token).await["email"], ada.email.as_str());
    }

    async fn whether_an_address_is_taken_is_told_only_to_who_knows_the_password(world: World) {
        let (ada, bob) = (world.register("ada").await, world.register("bob").await);
        let token = world.sign_in(&ada).await;
        for email in [bob.email.as_str(), "nobody@x.test"] {
            let change = json!({"email": email, "current_password": OTHER_PASSWORD});
            let answer = world
                .put("/users/me")
                .bearer(&token)
                .json(&change)
                .await
                .expect(403);
            answer.problem("wrong-current-password");
        }
    }

    async fn changes_are_audited(world: World) {
        let ada = world.register("ada").await;
        let token = world.sign_in(&ada).await;
        world
            .put("/users/me")
            .bearer(&token)
            .json(&json!({"display_name": "Ada"}))
            .await
            .expect(200);
        let wrong = json!({"password": OTHER_PASSWORD, "current_password": "wrong"});
        let call = world
            .put("/users/me")
            .bearer(&token)
            .json(&wrong)
            .header("x-request-id", "refused-1");
        call.await.expect(403);
        let change = ada.confirming(json!({"email": "new@x.test"}));
        world
            .put("/users/me")
            .bearer(&token)
            .json(&change)
            .header("x-request-id", "email-1")
            .await
            .expect(200);
        let change = ada.confirming(json!({"password": OTHER_PASSWORD}));
        world
            .put("/users/me")
            .bearer(&token)
            .json(&change)
            .header("x-request-id", "password-1")
            .await
            .expect(200);

        let event = world.only_audit("user.email_changed").await;
        assert_eq!(event.outcome, "success");
        assert_eq!(event.request_id.as_deref(), Some("email-1"));
        let passwords = world.audit("user.password_changed").await;
        assert_eq!(passwords.len(), 2);
        for event in passwords.iter().chain([&event]) {
            assert_eq!(
                (event.actor_kind.as_str(), event.actor_id),
                ("user", Some(ada.id))
            );
            assert_eq!(event.subject_id, Some(ada.id));
            assert_eq!(event.ip.as_deref(), Some("127.0.0.1"));
        }
        let by_id = |id: &str| {
            passwords
                .iter()
                .find(|event| event.request_id.as_deref() == Some(id))
                .unwrap()
        };
        assert_eq!(by_id("password-1").outcome, "success");
        assert_eq!(by_id("refused-1").outcome, "failure");
        let details: Value = serde_json::from_str(&by_id("refused-1").details).unwrap();
        assert_eq!(details, json!({"reason": "wrong_current_password"}));
    }

    async fn a_refused_change_of_address_is_audited_as_one(world: World) {
        let ada = world.register("ada").await;
        let token = world.sign_in(&ada).await;
        let wrong = json!({"email": "new@x.test", "current_password": "wrong"});
        world
            .put("/users/me")
            .bearer(&token)
            .json(&wrong)
            .await
            .expect(403);
        let event = world.only_audit("user.email_changed").await;
        assert_eq!(event.outcome, "failure");
        assert_eq!(world.audit("user.password_changed").await.len(), 0);
    }
}
