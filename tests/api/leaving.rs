//! `DELETE /users/me`.

use roster::domain::UserStatus;
use serde_json::{Value, json};

use crate::support::World;

scenario! {
    async fn whoever_leaves_is_gone(world: World) {
        let ada = world.admin().await;
        let bob = world.register("bob").await;
        world.set_roles(&bob, &["admin", "support"]).await;
        let (token, other) = (world.sign_in(&bob).await, world.sign_in(&bob).await);
        let answer = world.delete("/users/me").bearer(&token).await.expect(204);
        assert!(answer.body.is_empty());
        for token in [&token, &other] {
            world
                .get("/users/me")
                .bearer(token)
                .await
                .expect(401)
                .problem("invalid-token");
            world
                .delete("/users/me")
                .bearer(token)
                .await
                .expect(401)
                .problem("invalid-token");
        }
        world
            .log_in(&bob.email, &bob.password)
            .await
            .expect(401)
            .problem("invalid-credentials");
        assert_eq!(world.count_users().await, 1);
        assert_eq!(world.count_sessions().await, 0);
        // The address may come back, as somebody else who has nothing of the first.
        let heir = world.register_as(&bob.email, &bob.password).await;
        assert_ne!(heir.id, bob.id);
        let profile = world.profile(&world.sign_in(&heir).await).await;
        assert_eq!(profile["roles"], json!([]));
        assert_eq!(profile["display_name"], Value::Null);
        world.get("/users/me").bearer(&token).await.expect(401);
        assert_eq!(world.sessions_of(&heir).await.len(), 1);
        assert_eq!(world.user_row(&ada).await.id, ada.id);
    }

    async fn leaving_is_audited_and_its_trail_stays(world: World) {
        let ada = world.register("ada").await;
        let token = world.sign_in(&ada).await;
        world
            .delete("/users/me")
            .bearer(&token)
            .header("x-request-id", "leave-1")
            .await
            .expect(204);
        let event = world.only_audit("user.deleted").await;
        assert_eq!(
            (event.outcome.as_str(), event.actor_id, event.subject_id),
            ("success", Some(ada.id), Some(ada.id))
        );
        assert_eq!(event.request_id.as_deref(), Some("leave-1"));
        assert_eq!(world.only_audit("user.registered").await.subject_id, Some(ada.id));
        assert_eq!(world.audit("user.sign_in").await.len(), 1);
    }

    async fn the_last_active_admin_stays(world: World) {
        let admin = world.admin().await;
        let token = world.sign_in(&admin).await;
        world
            .delete("/users/me")
            .bearer(&token)
            .await
            .expect(409)
            .problem("conflict");
        world.profile(&token).await;
        // A disabled admin administers nothing.
        let second = world.register("second").await;
        world.set_roles(&second, &["admin"]).await;
        world.set_status(&second, UserStatus::Disabled).await;
        world
            .delete("/users/me")
            .bearer(&token)
            .await
            .expect(409)
            .problem("conflict");
        world.set_status(&second, UserStatus::Active).await;
        world.delete("/users/me").bearer(&token).await.expect(204);
        assert_eq!(world.audit("user.deleted").await.len(), 1);
    }
}
