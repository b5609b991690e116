//! A token is not a fact: user and session are read at each request, on every instance.

use std::time::Duration;

use reqwest::Method;
use roster::domain::UserStatus;
use serde_json::json;
use uuid::Uuid;

use crate::support::{ForeignKey, OTHER_PASSWORD, Stage, World, accepted, decoded, refused, with};

scenario! {
    async fn a_deleted_users_token_is_refused_everywhere(world: World) {
        let other = world.second_instance().await;
        let ada = world.register("ada").await;
        let token = world.sign_in(&ada).await;
        accepted(&other, &token, &ada).await;
        world.delete("/users/me").bearer(&token).await.expect(204);
        refused(&world, &token).await;
        refused(&other, &token).await;
    }

    async fn a_disabled_users_token_is_refused_for_good(world: World) {
        let other = world.second_instance().await;
        let ada = world.register("ada").await;
        let token = world.sign_in(&ada).await;
        accepted(&world, &token, &ada).await;
        accepted(&other, &token, &ada).await;
        world.set_status(&ada, UserStatus::Disabled).await;
        refused(&world, &token).await;
        refused(&other, &token).await;
        for method in [Method::PUT, Method::DELETE] {
            world
                .call(method, "/users/me")
                .bearer(&token)
                .json(&json!({}))
                .await
                .expect(401);
        }
        // Its session has ended: enabling the account doesn't bring it back.
        world.set_status(&ada, UserStatus::Active).await;
        refused(&world, &token).await;
        accepted(&world, &world.sign_in(&ada).await, &ada).await;
    }

    async fn a_status_alone_is_enough_to_refuse(world: World) {
        let ada = world.register("ada").await;
        let token = world.sign_in(&ada).await;
        // As a restored backup may leave it: disabled, with a session.
        let disabled = entity::users::ActiveModel {
            status: sea_orm::ActiveValue::Set("disabled".to_owned()),
            ..Default::default()
        };
        world.update_user(&ada, disabled).await;
        refused(&world, &token).await;
    }

    async fn an_ended_sessions_token_is_refused(world: World) {
        let ada = world.register("ada").await;
        let (here, there) = (world.sign_in(&ada).await, world.sign_in(&ada).await);
        accepted(&world, &here, &ada).await;
        let sid: Uuid = decoded(&here).1["sid"].as_str().unwrap().parse().unwrap();
        <entity::sessions::Entity as sea_orm::EntityTrait>::delete_by_id(sid)
            .exec(&world.db())
            .await
            .unwrap();
        refused(&world, &here).await;
        accepted(&world, &there, &ada).await;
    }

    async fn a_session_ends_at_its_absolute_age(stage: Stage) {
        let world = World::with(&stage, |variables| {
            variables.set("ROSTER__SESSION__REFRESH_IDLE_DAYS", "1");
            variables.set("ROSTER__SESSION__REFRESH_ABSOLUTE_DAYS", "2");
        })
        .await;
        let key = ForeignKey::in_store(&world, "in-our-hands").await;
        let ada = world.register("ada").await;
        let claims = world.good_claims(&ada).await;
        // However long its tokens live.
        let token = key.sign(&key.header(), &with(&claims, "exp", json!(99_999_999_999_i64)));
        accepted(&world, &token, &ada).await;
        world
            .clock
            .advance(Duration::from_hours(48) - Duration::from_millis(1));
        accepted(&world, &token, &ada).await;
        world.clock.advance(Duration::from_millis(1));
        refused(&world, &token).await;
    }

    async fn a_changed_password_is_known_to_every_instance(world: World) {
        let other = world.second_instance().await;
        let ada = world.register("ada").await;
        let token = world.sign_in(&ada).await;
        accepted(&other, &token, &ada).await;
        let change = json!({"password": OTHER_PASSWORD, "current_password": ada.password});
        world
            .put("/users/me")
            .bearer(&token)
            .json(&change)
            .await
            .expect(200);
        refused(&other, &token).await;
        refused(&world, &token).await;
        other.log_in(&ada.email, OTHER_PASSWORD).await.expect(200);
    }

    async fn a_password_set_by_an_operator_ends_every_session(world: World) {
        let ada = world.register("ada").await;
        let token = world.sign_in(&ada).await;
        let user = roster::users::user_by_id(&world.db(), ada.user_id())
            .await
            .unwrap()
            .unwrap();
        let length = roster::domain::PasswordLength::default();
        let password = roster::domain::Password::parse(OTHER_PASSWORD, &length).unwrap();
        let (actor, origin) = (roster::domain::Actor::Operator, roster::domain::Origin::default());
        roster::users::service::set_password(&world.state, &user, password, actor, origin)
            .await
            .unwrap();
        refused(&world, &token).await;
        assert_eq!(world.sessions_of(&ada).await.len(), 0);
        world.log_in(&ada.email, OTHER_PASSWORD).await.expect(200);
        assert_eq!(
            world.only_audit("user.password_changed").await.actor_kind,
            "operator"
        );
    }

    async fn roles_are_read_at_each_request(world: World) {
        let ada = world.register("ada").await;
        let token = world.sign_in(&ada).await;
        world.set_roles(&ada, &["support", "admin", "billing"]).await;
        world.register("keeper").await;
        assert_eq!(
            world.profile(&token).await["roles"],
            json!(["admin", "billing", "support"])
        );
        let keeper = world.admin().await;
        world.set_roles(&ada, &["support"]).await;
        assert_eq!(world.profile(&token).await["roles"], json!(["support"]));
        world.set_roles(&ada, &[]).await;
        assert_eq!(world.profile(&token).await["roles"], json!([]));
        assert_eq!(
            world.profile(&world.sign_in(&keeper).await).await["roles"],
            json!(["admin"])
        );
        let events = world.audit("user.roles_changed").await;
        assert_eq!(events.len(), 4);
        assert!(events.iter().all(|event| event.actor_kind == "operator"));
    }

    async fn operators_enabling_and_disabling_is_audited(world: World) {
        let ada = world.disabled_user().await;
        world.set_status(&ada, UserStatus::Active).await;
        for action in ["user.disabled", "user.enabled"] {
            let event = world.only_audit(action).await;
            assert_eq!((event.actor_kind.as_str(), event.actor_id), ("operator", None));
            assert_eq!(
                (event.outcome.as_str(), event.subject_id),
                ("success", Some(ada.id))
            );
        }
    }
}
