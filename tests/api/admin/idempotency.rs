//! Requests that are sent again.

use std::collections::BTreeSet;
use std::time::Duration;

use entity::idempotency_keys;
use futures_util::future::{Either, select};
use sea_orm::{
    ConnectionTrait as _, DatabaseTransaction, DbBackend, EntityTrait as _, PaginatorTrait as _,
    SqliteTransactionMode, TransactionOptions, TransactionTrait as _,
};
use serde_json::{Value, json};

use super::Admin;
use crate::support::{Answer, OTHER_PASSWORD, PASSWORD, World, all};

fn told(answer: &Answer) -> (u16, String, Option<String>, Option<String>) {
    let header = |name: &str| {
        answer
            .headers
            .get(name)
            .map(|value| value.to_str().unwrap().to_owned())
    };
    (
        answer.status,
        answer.text().to_owned(),
        header("etag"),
        header("location"),
    )
}

fn ada(password: &str) -> Value {
    json!({"email": "ada@example.test", "password": password})
}

/// Keeps everybody from making accounts, and from nothing else, until it is rolled back.
async fn hold_registrations(world: &World) -> DatabaseTransaction {
    let options = TransactionOptions {
        sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
        ..Default::default()
    };
    let transaction = world.db().begin_with_options(options).await.unwrap();
    if transaction.get_database_backend() == DbBackend::Postgres {
        let lock = "LOCK TABLE users IN SHARE ROW EXCLUSIVE MODE";
        transaction.execute_unprepared(lock).await.unwrap();
    }
    transaction
}

scenario! {
    async fn the_same_request_with_the_same_key_is_answered_as_the_first_time(world: World) {
        let send = || world.post("/users/").header("idempotency-key", "\"k-1\"").json(&ada(PASSWORD));
        let first = send().await.expect(201);
        let token = world.log_in("ada@example.test", PASSWORD).await.expect(200);
        let token = token.json()["access_token"].as_str().unwrap().to_owned();
        world.patch("/users/me").bearer(&token).json(&json!({"display_name": "Ada"})).await.expect(200);
        let other = world.second_instance().await;
        assert_eq!(told(&send().await), told(&first));
        let bare = other.post("/users/").header("idempotency-key", "k-1").json(&ada(PASSWORD));
        assert_eq!(told(&bare.await), told(&first));
        assert_eq!(world.count_users().await, 1);
        // Whoever doesn't know the password learns nothing, and another key does nothing new.
        let guess = world.post("/users/").header("idempotency-key", "k-1").json(&ada(OTHER_PASSWORD)).await;
        guess.expect(422).faults(&[("/Idempotency-Key", "reused")]);
        let another = world.post("/users/").header("idempotency-key", "k-2").json(&ada(PASSWORD)).await;
        another.expect(409).problem("email-taken");
        let rows = idempotency_keys::Entity::find().all(&world.db()).await.unwrap();
        assert_eq!(rows.len(), 1);
        for secret in [PASSWORD, "$2b$", "k-1"] {
            assert!(!format!("{rows:?}").contains(secret), "{secret}");
        }
    }

    async fn an_answer_is_remembered_for_a_day_and_cleaned_up(world: World) {
        let send = || world.post("/users/").header("idempotency-key", "k").json(&ada(PASSWORD));
        send().await.expect(201);
        world.clock.advance(Duration::from_hours(24).saturating_sub(Duration::from_millis(1)));
        send().await.expect(201);
        world.clock.advance(Duration::from_millis(1));
        send().await.expect(409).problem("email-taken");
        assert_eq!(roster::users::service::housekeep(&world.state).await.unwrap(), 1);
        assert_eq!(idempotency_keys::Entity::find().count(&world.db()).await.unwrap(), 0);
    }

    async fn what_fails_is_not_remembered(world: World) {
        let send = |password: &str| world.post("/users/").header("idempotency-key", "k").json(&ada(password));
        send("password1").await.expect(422);
        send(PASSWORD).await.expect(201);
    }

    async fn a_key_is_one_text_of_visible_characters(world: World) {
        let long = "k".repeat(256);
        for key in ["", "a b", "\"a", "\"\"", long.as_str(), "\u{e9}"] {
            let answer = world.post("/users/").header("idempotency-key", key).json(&ada(PASSWORD)).await;
            answer.expect(400).problem("malformed-request");
        }
        let call = world.post("/users/").header("idempotency-key", "a").header("idempotency-key", "b");
        call.json(&ada(PASSWORD)).await.expect(400).problem("malformed-request");
        assert_eq!(world.count_users().await, 0);
    }

    async fn twenty_at_once_on_two_instances_make_one_account(world: World) {
        let other = world.second_instance().await;
        let calls = (0..20).map(|n| {
            let place = if n % 2 == 0 { &world } else { &other };
            place.post("/users/").header("idempotency-key", "k").json(&ada(PASSWORD))
        });
        let answers = all(calls).await;
        let done: BTreeSet<_> = answers.iter().filter(|answer| answer.status == 201).map(told).collect();
        assert_eq!(done.len(), 1);
        for answer in answers.iter().filter(|answer| answer.status != 201) {
            assert_eq!(answer.status, 409);
            answer.problem("conflict");
        }
        assert_eq!(world.count_users().await, 1);
        let after = world.post("/users/").header("idempotency-key", "k").json(&ada(PASSWORD)).await;
        assert!(done.contains(&told(&after)));
    }

    async fn while_the_first_is_answered_each_instance_refuses_the_next_and_all_that_wait_are_told_the_same(world: World) {
        let other = world.second_instance().await;
        let held = hold_registrations(&world).await;
        let mut waiting = Vec::new();
        for place in [&world, &other] {
            let send = || place.post("/users/").header("idempotency-key", "k").json(&ada(PASSWORD)).into_future();
            // One of the two comes first and can't write: whichever ends now is the other, and is refused for it.
            let (refused, first) = match select(send(), send()).await {
                Either::Left(ended) | Either::Right(ended) => ended,
            };
            assert_eq!(refused.expect(409).problem("conflict")["detail"],
                "The first request with this Idempotency-Key is still being answered.");
            waiting.push(tokio::spawn(first));
        }
        assert!(waiting.iter().all(|first| !first.is_finished()), "an answer without an account");
        held.rollback().await.unwrap();
        let mut answers = Vec::new();
        for first in waiting {
            answers.push(told(&first.await.unwrap().expect(201)));
        }
        assert_eq!(answers[0], answers[1]);
        assert_eq!(world.count_users().await, 1);
        assert_eq!(idempotency_keys::Entity::find().count(&world.db()).await.unwrap(), 1);
    }

    async fn an_admins_keys_are_nobody_elses(world: World) {
        let admin = Admin::of(&world).await;
        let second = world.register("second").await;
        world.set_roles(&second, &["admin"]).await;
        let second = world.sign_in(&second).await;
        let send = |token: &str| world.post("/admin/users").bearer(token).header("idempotency-key", "k").json(&ada(PASSWORD));
        let first = send(&admin.token).await.expect(201);
        assert_eq!(told(&send(&admin.token).await), told(&first));
        send(&second).await.expect(409).problem("email-taken");
        world.post("/users/").header("idempotency-key", "k").json(&ada(PASSWORD)).await.expect(409);
        // With the account, what was told about it is gone.
        let id = first.json()["id"].as_str().unwrap();
        world.delete(&format!("/admin/users/{id}")).bearer(&admin.token).await.expect(204);
        assert_eq!(idempotency_keys::Entity::find().count(&world.db()).await.unwrap(), 0);
    }

    async fn where_addresses_are_proven_first_one_mail_goes_out(stage: crate::support::Stage) {
        let world = World::with(&stage, |variables| variables.set("ROSTER__REGISTRATION__MODE", "verified")).await;
        let send = || world.post("/users/").header("idempotency-key", "k").json(&ada(PASSWORD));
        let first = send().await.expect(202);
        assert_eq!(told(&send().await), told(&first));
        world.only_letter().await;
    }
}
