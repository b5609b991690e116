//! Clients that go away while their transaction begins, and the writes that others lose by it: the fault as it is in the
//! driver, and Roster without it.

use std::time::Duration;

use futures_util::future::join_all;
use sea_orm::{ConnectOptions, ConnectionTrait as _, Database, TransactionTrait as _};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::rounds;
use crate::support::{Installation, Link, PASSWORD, PATIENCE, column, connect, count};

/// One way of a round trip.
const DISTANCE: Duration = Duration::from_millis(100);

/// Should this fail some day, the driver has been mended: see decision 2.
#[tokio::test]
async fn a_beginning_that_is_dropped_half_way_loses_the_next_write_in_the_driver() {
    let Some(installation) = Installation::on_postgresql().await else {
        return;
    };
    let (link, url) = Link::to(installation.url()).await;
    let mut options = ConnectOptions::new(url);
    options
        .max_connections(1)
        .test_before_acquire(false)
        .sqlx_logging(false);
    let pool = Database::connect(options).await.unwrap();
    pool.execute_unprepared("CREATE TABLE notes (id integer)")
        .await
        .unwrap();
    // It is pinged on its way back into the pool, and that mustn't take the time that is meant for what follows.
    while pool.get_postgres_connection_pool().num_idle() == 0 {
        tokio::task::yield_now().await;
    }
    link.delay(DISTANCE);
    // The answer to BEGIN is on its way when nobody waits for it any more.
    let dropped = tokio::time::timeout(DISTANCE * 3 / 2, pool.begin()).await;
    assert!(dropped.is_err(), "it began after all");
    let written = pool.execute_unprepared("INSERT INTO notes VALUES (1)").await;
    assert_eq!(written.unwrap().rows_affected(), 1, "and it says so");
    let others = connect(installation.url()).await;
    assert_eq!(
        count(&others, "SELECT id FROM notes").await,
        0,
        "nobody else sees it"
    );
}

/// Sends a registration and hangs up, with a reset, at some moment of its life.
async fn hang_up(address: &str, email: &str, after: Duration) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.set_zero_linger().unwrap();
    let body = serde_json::json!({"email": email, "password": PASSWORD}).to_string();
    let request = format!(
        "POST /users/ HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    tokio::time::sleep(after).await;
}

#[tokio::test]
async fn clients_that_hang_up_at_any_moment_lose_nobody_a_write() {
    let Some(installation) = Installation::on_postgresql().await else {
        return;
    };
    let (link, url) = Link::to(installation.url()).await;
    // Few connections, so that each is used by many.
    let server = Installation::new()
        .with("DATABASE_URL", &url)
        .with("ROSTER__DATABASE__MAX_CONNECTIONS", "4")
        .with("ROSTER__SERVER__WORKERS", "2")
        .serve()
        .await;
    let client = server.client();
    let database = connect(installation.url()).await;
    link.delay(Duration::from_millis(2));
    let mut acknowledged = Vec::new();
    for round in 0..rounds(8) {
        let rude = (0..24_u64).map(|number| {
            let email = format!("gone-{round}-{number}@example.com");
            let address = server.address().to_owned();
            async move { hang_up(&address, &email, Duration::from_micros(number * 1300)).await }
        });
        let polite = (0..8).map(|number| {
            let email = format!("here-{round}-{number}@example.com");
            let client = client.clone();
            async move {
                let body = serde_json::json!({"email": &email, "password": PASSWORD});
                let (status, body) = client.post("/users/", &body).await;
                assert!(matches!(status, 201 | 503), "{body}");
                (status == 201).then_some(email)
            }
        });
        let (_, registered) = tokio::join!(join_all(rude), join_all(polite));
        acknowledged.extend(registered.into_iter().flatten());
    }
    link.flow();
    let there = column(&database, "SELECT email FROM users").await;
    assert!(!acknowledged.is_empty());
    let lost: Vec<_> = acknowledged
        .iter()
        .filter(|email| !there.contains(email))
        .collect();
    assert!(lost.is_empty(), "{lost:?}");
    // Every transaction that was begun has ended.
    let open = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() \
                AND state LIKE 'idle in transaction%'";
    let ended = async { while count(&database, open).await > 0 {} };
    assert!(
        tokio::time::timeout(PATIENCE, ended).await.is_ok(),
        "a transaction was left open"
    );
    client.live_a_whole_life("eve").await;
    server.stop().await;
}
