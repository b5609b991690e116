//! Writes whose clients were refused while they still waited: they aren't done afterwards, when what they waited for is
//! to be had again.

use std::path::PathBuf;

use reqwest::Method;
use roster::config::{Config, Need, Sources};
use roster::db::Db;
use roster::error::ApiError;
use roster::startup;
use sea_orm::{
    ConnectionTrait as _, DatabaseConnection, DatabaseTransaction, DbBackend, TransactionTrait as _,
};
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::support::{Client, Installation, PATIENCE, column, count, on_both_databases};

const ADA: &str = "ada@example.com";
/// Who waits for a lock.
const WAITING: &str =
    "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
/// Transactions of Roster's that haven't ended.
const OPEN: &str = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() \
                    AND application_name = 'roster' AND xact_start IS NOT NULL";

/// Locks every account, as another program does that takes its time.
async fn hold_accounts(other: &DatabaseConnection) -> DatabaseTransaction {
    let holding = other.begin().await.unwrap();
    holding
        .execute_unprepared("SELECT id FROM users FOR NO KEY UPDATE")
        .await
        .unwrap();
    holding
}

async fn rename(client: &Client, token: &str, name: &str) -> (u16, Value) {
    let put = client.request(Method::PUT, "/users/me").bearer_auth(token);
    Client::answer(put.json(&json!({ "display_name": name }))).await
}

async fn assert_refused(client: &Client, token: &str) {
    let (status, body) = rename(client, token, "Late").await;
    let problem = (503, &Value::from("/problems/database-unavailable"));
    assert_eq!((status, &body["type"]), problem, "{body}");
}

async fn revision(other: &DatabaseConnection) -> i64 {
    let found = column(other, "SELECT CAST(revision AS TEXT) FROM users").await;
    found[0].parse().unwrap()
}

/// Waits until a query gives no row any more.
async fn none_left(other: &DatabaseConnection, query: &str) {
    let gone = async { while count(other, query).await > 0 {} };
    assert!(timeout(PATIENCE, gone).await.is_ok(), "there are some: {query}");
}

#[tokio::test]
async fn a_write_that_gets_its_lock_after_the_refusal_is_not_done() {
    let Some(installation) = Installation::on_postgresql().await else {
        return;
    };
    // As behind a pooler: the database ends nobody's wait by itself.
    let installation = installation.with("ROSTER__DATABASE__PREPARED_STATEMENTS", "false");
    let server = installation.serve().await;
    let client = server.client();
    client.register(ADA).await;
    let token = client.login(ADA).await;
    let other = installation.database().await;
    let (first, before) = (revision(&other).await, client.me(&token).await);
    let holding = hold_accounts(&other).await;
    assert_refused(&client, &token).await;
    assert_ne!(count(&other, WAITING).await, 0, "nobody waits any more");
    holding.rollback().await.unwrap();
    // It gets the lock now, and goes on to its end.
    none_left(&other, OPEN).await;
    assert_eq!(revision(&other).await, first);
    assert_eq!(client.me(&token).await, before);
    let (status, after) = rename(&client, &token, "In time").await;
    assert_eq!((status, &after["display_name"]), (200, &Value::from("In time")));
    assert_eq!(revision(&other).await, first + 1);
    server.stop().await;
}

#[tokio::test]
async fn postgresql_itself_ends_the_wait_for_a_lock() {
    let Some(installation) = Installation::on_postgresql().await else {
        return;
    };
    let server = installation.serve().await;
    let client = server.client();
    client.register(ADA).await;
    let token = client.login(ADA).await;
    let other = installation.database().await;
    let first = revision(&other).await;
    let holding = hold_accounts(&other).await;
    assert_refused(&client, &token).await;
    // The lock is still held: whoever waits no longer has given up.
    none_left(&other, WAITING).await;
    holding.rollback().await.unwrap();
    none_left(&other, OPEN).await;
    assert_eq!(revision(&other).await, first);
    assert_eq!(rename(&client, &token, "In time").await.0, 200);
    server.stop().await;
}

on_both_databases! {
    what_would_be_committed_after_its_refusal_is_taken_back
}

mod stories {
    use super::*;

    /// On `SQLite` nothing waits between the beginning and the commit, so that no client can be seen to be too late there:
    /// this is the unit of work by itself.
    pub async fn what_would_be_committed_after_its_refusal_is_taken_back(installation: Installation) {
        installation.prepare().await;
        let other = installation.database().await;
        other
            .execute_unprepared("CREATE TABLE notes (id integer)")
            .await
            .unwrap();
        let db = open(&installation, &other).await;
        let (refuse, refused) = oneshot::channel::<()>();
        let (tell, told) = oneshot::channel();
        let written = db.write(move |writer| async move {
            let transaction = writer.begin().await?;
            transaction
                .execute_unprepared("INSERT INTO notes VALUES (1)")
                .await?;
            let _ = refused.await;
            let committed = transaction.commit().await;
            let _ = tell.send(committed.is_ok());
            committed
        });
        assert!(matches!(written.await, Err(ApiError::DatabaseUnavailable(_))));
        refuse.send(()).unwrap();
        assert!(!told.await.unwrap(), "it was committed after its refusal");
        assert_eq!(count(&other, "SELECT id FROM notes").await, 0);
        // What it had in hands is free again.
        let written = db.write(|writer| async move {
            let transaction = writer.begin().await?;
            transaction
                .execute_unprepared("INSERT INTO notes VALUES (2)")
                .await?;
            transaction.commit().await
        });
        written.await.unwrap();
        assert_eq!(column(&other, "SELECT CAST(id AS TEXT) FROM notes").await, ["2"]);
        db.close().await;
    }

    /// The database, as the program opens it.
    async fn open(installation: &Installation, other: &DatabaseConnection) -> Db {
        let url = if other.get_database_backend() == DbBackend::Sqlite {
            format!("sqlite://{}", installation.path("data/roster.db").display())
        } else {
            installation.url().to_owned()
        };
        let sources = Sources {
            variables: [("ROSTER__DATABASE__URL".to_owned(), url)].into(),
            directory: PathBuf::from("/nonexistent"),
            file: None,
        };
        let config = Config::load(&sources, Need::Database)
            .expect("good settings")
            .config;
        Db::connect(startup::database_settings(&config)).await.unwrap()
    }
}
