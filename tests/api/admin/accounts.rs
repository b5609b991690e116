//! Making, changing and removing accounts.

use serde_json::{Value, json};

use super::{Admin, path};
use crate::support::{OTHER_PASSWORD, PASSWORD, World, token};

scenario! {
    async fn an_admin_makes_an_account_with_a_password(world: World) {
        let admin = Admin::of(&world).await;
        world.deliver().await;
        let body = json!({"email": " ADA@Example.test", "password": PASSWORD, "display_name": "Ada", "metadata": {"a": 1},
            "locale": "de", "roles": ["editor", "admin", "editor"], "email_verified": true});
        let made = world.post("/admin/users").bearer(&admin.token).json(&body).await.expect(201);
        let id = made.json()["id"].as_str().unwrap();
        assert_eq!(made.header("location"), format!("/admin/users/{id}"));
        assert_eq!(made.json()["roles"], json!(["admin", "editor"]));
        assert_eq!(made.json()["email_verified"], true);
        assert_eq!(made.json()["sessions"], 0);
        let read = world.get(&format!("/admin/users/{id}")).bearer(&admin.token).await.expect(200);
        assert_eq!(read.json(), made.json());
        assert_eq!(read.header("etag"), made.header("etag"));
        world.log_in("ada@example.test", PASSWORD).await.expect(200);
        assert!(world.deliver().await.is_empty(), "nobody is mailed");
        world.post("/admin/users").bearer(&admin.token).json(&body).await.expect(409).problem("email-taken");
        let body = json!({"email": "x", "password": "short", "roles": ["ok", "Not", 5], "id": 1});
        world.post("/admin/users").bearer(&admin.token).json(&body).await.expect(422).faults(&[
            ("/email", "invalid_email"), ("/password", "too_short"), ("/roles/2", "wrong_type"), ("/id", "unknown_member"),
        ]);
        let events = world.audit("user.registered").await;
        assert!(events.iter().any(|event| event.actor_id == Some(admin.persona.id)));
    }

    async fn without_a_password_its_owner_is_invited_to_choose_one(world: World) {
        let admin = Admin::of(&world).await;
        world.deliver().await;
        let made = world.post("/admin/users").bearer(&admin.token).json(&json!({"email": "ada@example.test"})).await;
        assert_eq!(made.expect(201).json()["password_scheme"], Value::Null);
        let letter = world.only_letter().await;
        world.log_in("ada@example.test", PASSWORD).await.expect(401);
        let body = json!({"token": token(&letter), "password": PASSWORD});
        world.post("/reset-password").json(&body).await.expect(204);
        world.log_in("ada@example.test", PASSWORD).await.expect(200);
    }

    async fn a_change_is_made_as_a_whole_audited_and_told(world: World) {
        let admin = Admin::of(&world).await;
        let ada = world.register("ada").await;
        let tokens = world.begin(&ada).await;
        world.deliver().await;
        let etag = world.get(&path(&ada)).bearer(&admin.token).await.header("etag").to_owned();
        let change = json!({"email": "countess@example.test", "password": OTHER_PASSWORD, "display_name": "Countess",
            "metadata": {"b": 2}, "locale": "de", "roles": ["editor"], "email_verified": true});
        let call = world.patch(&path(&ada)).bearer(&admin.token).header("if-match", &etag).json(&change);
        let changed = call.await.expect(200);
        for (name, value) in change.as_object().unwrap() {
            if name != "password" {
                assert_eq!(&changed.json()[name], value, "{name}");
            }
        }
        world.is_dead(&tokens).await;
        world.log_in("countess@example.test", OTHER_PASSWORD).await.expect(200);
        for action in ["user.email_changed", "user.email_verified", "user.password_changed", "user.roles_changed",
            "user.profile_changed"] {
            let mut events = world.audit(action).await;
            events.retain(|event| event.subject_id == Some(ada.id));
            assert_eq!(events.len(), 1, "{action}");
            assert_eq!(events[0].actor_id, Some(admin.persona.id), "{action}");
        }
        let letters = world.deliver().await;
        assert_eq!(letters.len(), 2);
        assert!(letters.iter().all(|letter| letter.to.as_str() == ada.email), "to the address before");
        // What was seen before isn't there any more, and nothing is changed.
        let call = world.patch(&path(&ada)).bearer(&admin.token).header("if-match", &etag);
        call.json(&json!({"roles": []})).await.expect(412);
        let call = world.delete(&path(&ada)).bearer(&admin.token).header("if-match", &etag);
        call.await.expect(412);
        let now = world.get(&path(&ada)).bearer(&admin.token).await;
        assert_eq!(now.json()["roles"], json!(["editor"]));
        // What is so already is no change.
        let again = world.patch(&path(&ada)).bearer(&admin.token).json(&json!({"roles": ["editor"], "status": "active"}));
        assert_eq!(again.await.expect(200).header("etag"), now.header("etag"));
    }

    async fn another_status_ends_sessions_and_is_told(world: World) {
        let admin = Admin::of(&world).await;
        let ada = world.register("ada").await;
        let tokens = world.begin(&ada).await;
        world.deliver().await;
        for (status, action, login) in [("disabled", "user.disabled", 403), ("active", "user.enabled", 200)] {
            let call = world.patch(&path(&ada)).bearer(&admin.token).json(&json!({"status": status}));
            assert_eq!(call.await.expect(200).json()["status"], status);
            world.is_dead(&tokens).await;
            world.log_in(&ada.email, &ada.password).await.expect(login);
            assert_eq!(world.only_audit(action).await.actor_id, Some(admin.persona.id));
            assert_eq!(world.only_letter().await.to.as_str(), ada.email);
        }
        let call = world.patch(&path(&ada)).bearer(&admin.token).json(&json!({"status": "gone", "email_verified": 1}));
        call.await.faults(&[("/status", "not_allowed"), ("/email_verified", "wrong_type")]);
    }

    async fn a_taken_address_changes_nothing_of_the_rest(world: World) {
        let admin = Admin::of(&world).await;
        let (ada, bob) = (world.register("ada").await, world.register("bob").await);
        let before = world.user_row(&ada).await;
        let change = json!({"email": bob.email, "display_name": "Ada", "roles": ["editor"]});
        world.patch(&path(&ada)).bearer(&admin.token).json(&change).await.expect(409).problem("email-taken");
        assert_eq!(world.user_row(&ada).await, before);
    }

    async fn a_removed_account_is_gone_and_an_unknown_one_is_not_found(world: World) {
        let admin = Admin::of(&world).await;
        let ada = world.register("ada").await;
        let tokens = world.begin(&ada).await;
        world.delete(&path(&ada)).bearer(&admin.token).await.expect(204);
        world.is_dead(&tokens).await;
        let gone = [path(&ada), "/admin/users/nobody".to_owned(), path(&admin.persona).to_uppercase().replace("/ADMIN/USERS", "/admin/users")];
        for unknown in gone {
            world.get(&unknown).bearer(&admin.token).await.expect(404).problem("not-found");
            world.patch(&unknown).bearer(&admin.token).json(&json!({"roles": []})).await.expect(404);
            world.delete(&unknown).bearer(&admin.token).await.expect(404);
            world.post(&format!("{unknown}/password-reset")).bearer(&admin.token).await.expect(404);
        }
        world.put(&path(&admin.persona)).bearer(&admin.token).json(&json!({})).await.expect(405);
    }

    async fn a_reset_is_mailed_to_the_user_and_the_admin_learns_nothing(world: World) {
        let admin = Admin::of(&world).await;
        let ada = world.register("ada").await;
        world.deliver().await;
        let call = world.post(&format!("{}/password-reset", path(&ada))).bearer(&admin.token);
        call.await.expect(202);
        assert_eq!(world.only_audit("user.reset_requested").await.actor_id, Some(admin.persona.id));
        let letter = world.only_letter().await;
        assert_eq!(letter.to.as_str(), ada.email);
        let body = json!({"token": token(&letter), "password": OTHER_PASSWORD});
        world.post("/reset-password").json(&body).await.expect(204);
        world.log_in(&ada.email, OTHER_PASSWORD).await.expect(200);
    }
}
