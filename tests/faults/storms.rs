//! Servers that end in the middle of a storm of requests, whoever ends them.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use rustix::process::Signal;
use serde_json::json;
use tokio::sync::Notify;

use crate::postgres::Cluster;
use crate::rounds;
use crate::support::{Client, Installation, PASSWORD, PATIENCE, Server, column, connect, on_both_databases};

const CLIENTS: usize = 16;
/// How many registrations are answered before a process is killed; in the long form enough for thousands in all.
fn before_the_end() -> usize {
    if rounds(0) == 0 { 60 } else { 260 }
}

on_both_databases! {
    what_was_acknowledged_outlives_a_server_that_is_killed
    what_was_begun_is_finished_before_an_orderly_end
}

/// Registrations without end, and what came of them.
#[derive(Default)]
struct Storm {
    acknowledged: Mutex<Vec<String>>,
    is_over: AtomicBool,
    progress: Notify,
    number: AtomicUsize,
}

impl Storm {
    /// Registers one after the other, until the storm is over or nobody answers any more.
    async fn register(self: Arc<Self>, client: Client) {
        while !self.is_over.load(Ordering::SeqCst) {
            let email = format!(
                "person-{}@example.com",
                self.number.fetch_add(1, Ordering::SeqCst)
            );
            let body = json!({"email": email, "password": PASSWORD});
            let sent = client
                .request(reqwest::Method::POST, "/users/")
                .json(&body)
                .send()
                .await;
            let Ok(answer) = sent else {
                continue;
            };
            let status = answer.status().as_u16();
            assert!(matches!(status, 201 | 503), "{status}");
            if status == 201 {
                self.acknowledged.lock().unwrap().push(email);
                self.progress.notify_one();
            }
        }
    }

    fn count(&self) -> usize {
        self.acknowledged.lock().unwrap().len()
    }

    async fn until(&self, count: usize) {
        let there = async {
            while self.count() < count {
                self.progress.notified().await;
            }
        };
        tokio::time::timeout(PATIENCE, there)
            .await
            .expect("the storm goes on");
    }

    /// Starts it, does something when it has come to its height, and ends it.
    async fn around(self: &Arc<Self>, client: &Client, at_its_height: impl AsyncFnOnce()) {
        self.is_over.store(false, Ordering::SeqCst);
        let before = self.count();
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| tokio::spawn(Arc::clone(self).register(client.clone())))
            .collect();
        self.until(before + before_the_end()).await;
        at_its_height().await;
        self.is_over.store(true, Ordering::SeqCst);
        for client in clients {
            client.await.unwrap();
        }
    }

    /// Everybody who was told so has an account.
    async fn assert_nobody_is_lost(&self, installation: &Installation) {
        let database = installation.database().await;
        let mut there = column(&database, "SELECT email FROM users").await;
        there.sort_unstable();
        let acknowledged = self.acknowledged.lock().unwrap().clone();
        let lost: Vec<_> = acknowledged
            .iter()
            .filter(|email| there.binary_search(email).is_err())
            .collect();
        assert!(
            lost.is_empty(),
            "{} of {} are lost",
            lost.len(),
            acknowledged.len()
        );
        println!("{} acknowledged, 0 lost", acknowledged.len());
    }
}

async fn restarted(installation: &Installation) -> (Server, Duration) {
    let started = Instant::now();
    let server = installation.serve().await;
    let ready = async { while server.client().get("/readyz").await.0 != 200 {} };
    tokio::time::timeout(PATIENCE, ready).await.expect("ready again");
    (server, started.elapsed())
}

mod stories {
    use super::*;

    pub async fn what_was_acknowledged_outlives_a_server_that_is_killed(installation: Installation) {
        let storm = Arc::new(Storm::default());
        let (mut server, _) = restarted(&installation).await;
        let mut slowest = Duration::ZERO;
        for _ in 0..rounds(2) {
            let client = server.client();
            storm.around(&client, async || server.signal(Signal::KILL)).await;
            server.ended().await;
            let (next, took) = restarted(&installation).await;
            server = next;
            slowest = slowest.max(took);
        }
        println!("ready again after {slowest:?} at most");
        storm.assert_nobody_is_lost(&installation).await;
        server.stop().await;
    }

    pub async fn what_was_begun_is_finished_before_an_orderly_end(installation: Installation) {
        let mut server = installation.serve().await;
        let client = server.client();
        client.register("ada@example.com").await;
        let token = client.login("ada@example.com").await;
        let signalled: Arc<Mutex<Option<Instant>>> = Arc::default();
        // Two hundred a second: twenty clients, one each tenth of a second, each on a connection of its own.
        let asking: Vec<_> = (0..20_u64)
            .map(|number| {
                let (address, token) = (server.address().to_owned(), token.clone());
                let signalled = Arc::clone(&signalled);
                tokio::spawn(paced(
                    address,
                    token,
                    signalled,
                    Duration::from_millis(number * 5),
                ))
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(700)).await;
        *signalled.lock().unwrap() = Some(Instant::now());
        server.signal(Signal::TERM);
        server.log.wait_for("stopping").await;
        let (status, lines) = server.ended().await;
        assert_eq!(status.code(), Some(0), "{lines:#?}");
        let counts = join_all(asking).await;
        let answered: usize = counts.into_iter().map(Result::unwrap).sum();
        assert!(answered > 40, "{answered}");
    }
}

/// Asks once in a while until the server is gone. What was sent before the signal is answered, and whatever is answered is
/// answered in full; gives how often that was.
async fn paced(
    address: String,
    token: String,
    signalled: Arc<Mutex<Option<Instant>>>,
    first: Duration,
) -> usize {
    tokio::time::sleep(first).await;
    let mut pace = tokio::time::interval(Duration::from_millis(100));
    let mut answered = 0;
    loop {
        pace.tick().await;
        let Some(mut raw) = crate::support::Raw::connect_if_possible(&address).await else {
            return answered;
        };
        let request = format!(
            "GET /users/me HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n"
        );
        raw.send(request).await;
        let sent = Instant::now();
        let answer = raw.rest_if_any().await;
        if answer.starts_with("HTTP/1.1 200 ") && answer.ends_with('}') {
            answered += 1;
            continue;
        }
        // A connection that nobody has accepted when the listener closes is reset by the system.
        let signalled = *signalled.lock().unwrap();
        let is_late = signalled.is_some_and(|at| sent + Duration::from_millis(50) > at);
        assert!(is_late && answer.is_empty(), "{answer:?}");
    }
}

#[tokio::test]
async fn what_was_acknowledged_outlives_a_postgresql_that_crashes() {
    // What a commit promises is what is tried here: the throwaway cluster promises nothing otherwise.
    let promises = "fsync = on\nsynchronous_commit = on\nfull_page_writes = on";
    let Some(cluster) = Cluster::start(promises, None, |_| {}) else {
        return;
    };
    let url = cluster.url("postgres");
    let installation = Installation::new().with("DATABASE_URL", &url);
    let server = installation.serve().await;
    let client = server.client();
    let storm = Arc::new(Storm::default());
    for _ in 0..rounds(2) {
        storm
            .around(&client, async || cluster.control(&["-m", "immediate", "stop"]))
            .await;
        cluster.control(&["start"]);
        let ready = async { while client.get("/readyz").await.0 != 200 {} };
        let ready = tokio::time::timeout(Duration::from_secs(5), ready).await;
        assert!(ready.is_ok(), "not ready within 5 s");
    }
    let database = connect(&url).await;
    let there = column(&database, "SELECT email FROM users").await;
    let acknowledged = storm.acknowledged.lock().unwrap().clone();
    let lost = acknowledged.iter().filter(|email| !there.contains(email)).count();
    println!("{} acknowledged, {lost} lost", acknowledged.len());
    assert_eq!(lost, 0);
    client.live_a_whole_life("eve").await;
    server.stop().await;
}
