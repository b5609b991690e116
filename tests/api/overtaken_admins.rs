//! An admin who is none any more when a request is about to write, where that takes longer than one look at an account.
//!
//! The bearer check has let the request pass. It has looked at the clock for its own work by the time that the admin is
//! disabled, and can't write before that.

use std::convert::Infallible;

use entity::{signing_keys, users};
use futures_util::{StreamExt as _, stream};
use reqwest::Body;
use sea_orm::ActiveValue::Set;
use sea_orm::{
    ColumnTrait as _, EntityTrait as _, QueryFilter as _, SqliteTransactionMode, TransactionOptions,
    TransactionTrait as _,
};
use tokio::sync::oneshot;

use crate::support::World;

/// How often a request looks at the clock until it has passed the bearer check and begun with its own work.
const BEGUN: u64 = 3;

fn disabled() -> users::ActiveModel {
    users::ActiveModel {
        status: Set("disabled".to_owned()),
        ..Default::default()
    }
}

async fn current_key(world: &World) -> signing_keys::Model {
    let found = signing_keys::Entity::find().filter(signing_keys::Column::State.eq("current"));
    found.one(&world.db()).await.unwrap().unwrap()
}

scenario! {
    async fn a_rotation_by_whoever_is_no_admin_any_more_is_refused(world: World) {
        let admin = world.admin().await;
        let token = world.sign_in(&admin).await;
        let before = current_key(&world).await;
        let options = TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..Default::default()
        };
        let transaction = world.db().begin_with_options(options).await.unwrap();
        // Held, so that the rotation waits for this transaction on PostgreSQL as well.
        let held = signing_keys::ActiveModel {
            state: Set("current".to_owned()),
            ..Default::default()
        };
        let held = signing_keys::Entity::update_many()
            .set(held)
            .filter(signing_keys::Column::State.eq("current"));
        assert_eq!(held.exec(&transaction).await.unwrap().rows_affected, 1);
        let change = users::Entity::update_many().set(disabled()).filter(users::Column::Id.eq(admin.id));
        assert_eq!(change.exec(&transaction).await.unwrap().rows_affected, 1);
        let begun = world.clock.looked_at(BEGUN);
        let call = world.post("/admin/keys/rotate").bearer(&token);
        let request = tokio::spawn(call.into_future());
        begun.await;
        assert!(!request.is_finished(), "it answers without having written");
        transaction.commit().await.unwrap();
        request.await.unwrap().expect(403).problem("forbidden");
        assert_eq!(current_key(&world).await, before);
        assert!(world.audit("keys.rotated").await.is_empty());
    }

    async fn an_import_by_whoever_is_no_admin_any_more_is_refused(world: World) {
        let admin = world.admin().await;
        let token = world.sign_in(&admin).await;
        let (go_on, told) = oneshot::channel::<()>();
        let file = stream::once(async move {
            told.await.unwrap();
            Ok::<_, Infallible>("{\"email\": \"ada@example.test\", \"roles\": [\"admin\"]}\n")
        });
        let begun = world.clock.looked_at(BEGUN);
        let call = world
            .post("/admin/import")
            .bearer(&token)
            .body("application/x-ndjson", Body::wrap_stream(file));
        let request = tokio::spawn(call.into_future());
        begun.await;
        world.update_user(&admin, disabled()).await;
        go_on.send(()).unwrap();
        request.await.unwrap().expect(403).problem("forbidden");
        assert_eq!(world.count_users().await, 1);
        assert!(world.audit("users.imported").await.is_empty());
        // That it was tried is told, and why it stopped.
        let ended = world.only_audit("users.import_ended").await;
        assert_eq!((ended.outcome.as_str(), ended.actor_id), ("failure", Some(admin.id)));
        assert!(ended.details.contains(r#""reason":"forbidden""#), "{}", ended.details);
    }

    async fn an_import_whose_client_goes_away_ends_in_the_trail_all_the_same(world: World) {
        let admin = world.admin().await;
        let token = world.sign_in(&admin).await;
        let first = stream::once(async { Ok::<_, Infallible>("{\"email\": \"ada@example.test\"}\n") });
        let begun = world.clock.looked_at(BEGUN);
        let call = world
            .post("/admin/import")
            .bearer(&token)
            .body("application/x-ndjson", Body::wrap_stream(first.chain(stream::pending())));
        let request = tokio::spawn(call.into_future());
        begun.await;
        request.abort();
        assert!(request.await.unwrap_err().is_cancelled());
        // The server hears of it in its own time; one that never writes it down is ended by the stage.
        while world.audit("users.import_ended").await.is_empty() {
            tokio::task::yield_now().await;
        }
        let ended = world.only_audit("users.import_ended").await;
        assert_eq!((ended.outcome.as_str(), ended.actor_id), ("failure", Some(admin.id)));
        // Whether the server sees the request end first or its body.
        let is_told = |reason: &str| ended.details.contains(&format!("\"reason\":\"{reason}\""));
        assert!(is_told("abandoned") || is_told("unreadable"), "{}", ended.details);
    }
}
