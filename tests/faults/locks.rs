//! A PostgreSQL whose tables somebody else has locked, and what bounds how long we wait there, and others for us.
//!
//! The time-outs are set on our connections, where nobody else can read them; what they do is seen in PostgreSQL's own log.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use rustix::process::Signal;
use sea_orm::{ConnectionTrait as _, DatabaseConnection, DatabaseTransaction, TransactionTrait as _};
use serde_json::{Value, json};

use crate::postgres::Cluster;
use crate::support::{Client, Installation, PASSWORD, PATIENCE, connect, count};

const ADA: &str = "ada@example.com";
/// What the contract gives an answer when the database can't.
const ANSWERED_WITHIN: Duration = Duration::from_secs(3);
/// And the server, when it can again.
const BACK_WITHIN: Duration = Duration::from_secs(5);
/// How often something outside is looked at.
const PACE: Duration = Duration::from_millis(50);
/// The name that our connections have there.
const OURS: &str = "FROM pg_stat_activity WHERE application_name = 'roster'";

async fn lock(behind: &DatabaseConnection, mode: &str) -> DatabaseTransaction {
    let locking = behind.begin().await.unwrap();
    let lock = format!("LOCK TABLE users IN {mode} MODE");
    locking.execute_unprepared(&lock).await.unwrap();
    locking
}

async fn register(client: &Client, email: &str) -> (u16, Value) {
    client
        .post("/users/", &json!({"email": email, "password": PASSWORD}))
        .await
}

#[tokio::test]
async fn a_table_that_somebody_locks_is_answered_as_an_outage_and_nobody_is_late_afterwards() {
    let Some(installation) = Installation::on_postgresql().await else {
        return;
    };
    let server = installation.serve().await;
    let client = server.client();
    client.register(ADA).await;
    let token = client.login(ADA).await;
    let behind = installation.database().await;
    let ask = async |path: &'static str| {
        let started = Instant::now();
        let answer = match path {
            "/login" => client.try_login(ADA, PASSWORD).await,
            "/users/" => register(&client, "eve@example.com").await,
            _ => client.me(&token).await,
        };
        (path, answer, started.elapsed())
    };
    for _ in 0..2 {
        let locking = lock(&behind, "ACCESS EXCLUSIVE").await;
        let paths = ["/login", "/users/"].into_iter().chain(["/users/me"; 20]);
        for (path, (status, body), elapsed) in join_all(paths.map(&ask)).await {
            let problem = (503, &Value::from("/problems/database-unavailable"));
            assert_eq!((status, &body["type"]), problem, "{path}: {body}");
            assert!(elapsed < ANSWERED_WITHIN, "{path}: {elapsed:?}");
        }
        locking.rollback().await.unwrap();
        let back = async {
            let mut pace = tokio::time::interval(PACE);
            for path in ["/users/me", "/login"] {
                loop {
                    pace.tick().await;
                    let (_, (status, body), _) = ask(path).await;
                    assert!(matches!(status, 200 | 503), "{path}: {status} {body}");
                    if status == 200 {
                        break;
                    }
                }
            }
        };
        let back = tokio::time::timeout(BACK_WITHIN, back).await;
        assert!(back.is_ok(), "not back in time");
    }
    // Whoever was refused hasn't got an account behind his back.
    assert_eq!(count(&behind, "SELECT email FROM users").await, 1);
    behind.close().await.unwrap();
    client.live_a_whole_life("eve").await;
    server.stop().await;
}

/// Waits until PostgreSQL has said something to one of our connections: a state of SQL (Appendix A of its manual).
async fn until_said(log: &Path, state: &str) {
    let wanted = format!("roster {state} ");
    let said = async {
        let mut pace = tokio::time::interval(PACE);
        loop {
            pace.tick().await;
            let text = std::fs::read(log).unwrap();
            if String::from_utf8_lossy(&text)
                .lines()
                .any(|line| line.starts_with(&wanted))
            {
                break;
            }
        }
    };
    let said = tokio::time::timeout(PATIENCE, said).await;
    assert!(said.is_ok(), "PostgreSQL never said {state} to us");
}

/// Waits until there are some of our connections of which this holds, or none.
async fn until_ours(behind: &DatabaseConnection, condition: &str, are_there: bool) {
    let query = format!("SELECT pid {OURS} AND {condition}");
    let seen = async {
        let mut pace = tokio::time::interval(PACE);
        loop {
            pace.tick().await;
            if (count(behind, &query).await > 0) == are_there {
                break;
            }
        }
    };
    let seen = tokio::time::timeout(PATIENCE, seen).await;
    assert!(seen.is_ok(), "{condition}: not {are_there}");
}

#[tokio::test]
async fn postgresql_itself_ends_what_takes_us_too_long_and_what_we_leave_open() {
    let mut log = PathBuf::new();
    // A line of its log begins with the name of the connection's program, and the state that it is told.
    let Some(cluster) = Cluster::start("log_line_prefix = '%a %e '", None, |data| log = data.join("log"))
    else {
        return;
    };
    let url = cluster.url("postgres");
    let behind = connect(&url).await;
    let installation = Installation::new().with("DATABASE_URL", &url);
    let with_statement_timeout =
        |milliseconds: &str| installation.but_with("ROSTER__DATABASE__STATEMENT_TIMEOUT_MS", milliseconds);

    // 57014, query_canceled: no statement goes on for longer than it may, whatever it waits for.
    let server = with_statement_timeout("1000").serve().await;
    let client = server.client();
    client.register(ADA).await;
    let token = client.login(ADA).await;
    let locking = lock(&behind, "ACCESS EXCLUSIVE").await;
    assert_eq!(client.me(&token).await.0, 503);
    until_said(&log, "57014").await;
    until_ours(&behind, "wait_event_type = 'Lock'", false).await;
    locking.rollback().await.unwrap();
    assert_eq!(client.me(&token).await.0, 200);
    server.stop().await;

    // 55P03, lock_not_available: the wait for a lock ends before the statement's time does.
    let server = with_statement_timeout("2800").serve().await;
    let client = server.client();
    let locking = lock(&behind, "ACCESS EXCLUSIVE").await;
    assert_eq!(client.me(&token).await.0, 503);
    until_said(&log, "55P03").await;
    until_ours(&behind, "wait_event_type = 'Lock'", false).await;
    locking.rollback().await.unwrap();
    assert_eq!(client.me(&token).await.0, 200);

    // 25P03, idle_in_transaction_session_timeout: a process that stands still inside a transaction keeps its locks from
    // others for so long, and no longer. It stops while it waits for the first of them.
    let locking = lock(&behind, "EXCLUSIVE").await;
    let registering = {
        let client = client.clone();
        tokio::spawn(async move { register(&client, "eve@example.com").await })
    };
    until_ours(&behind, "wait_event_type = 'Lock'", true).await;
    server.signal(Signal::STOP);
    locking.rollback().await.unwrap();
    until_ours(&behind, "state = 'idle in transaction'", true).await;
    until_said(&log, "25P03").await;
    until_ours(&behind, "state LIKE 'idle in transaction%'", false).await;
    server.signal(Signal::CONT);
    let (status, body) = registering.await.unwrap();
    assert_eq!(status, 503, "{body}");
    assert_eq!(count(&behind, "SELECT email FROM users").await, 1);
    client.live_a_whole_life("eve").await;
    server.stop().await;
    behind.close().await.unwrap();
}
