//! Servers that end in the middle of a storm of requests, whoever ends them.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use tokio::sync::Notify;

use crate::postgres::Cluster;
use crate::rounds;
use crate::support::{
    Client, Installation, PASSWORD, PATIENCE, Raw, Server, column, connect, on_both_databases,
};

const CLIENTS: usize = 16;
/// What the contract gives a server when its database is there again.
const BACK_WITHIN: Duration = Duration::from_secs(5);
/// And what a killed server has until it is ready again. It takes a fraction of a second, which is printed; this is for
/// machines that are busy with something else.
const RESTARTED_WITHIN: Duration = Duration::from_secs(10);
/// How many registrations are answered before a process is killed; in the long form enough for thousands in all.
fn before_the_end() -> usize {
    if rounds(0) == 0 { 60 } else { 260 }
}

/// From so many rounds on, so many registrations are in a figure that is told of.
const LONG_FORM: usize = 20;
const LONG_FORM_ACKNOWLEDGES: usize = 5_000;

/// The long form has tried what it is said to have tried.
fn assert_is_a_storm(acknowledged: usize) {
    assert!(
        rounds(0) < LONG_FORM || acknowledged >= LONG_FORM_ACKNOWLEDGES,
        "{acknowledged} were acknowledged, and {LONG_FORM_ACKNOWLEDGES} make a storm"
    );
}

on_both_databases! {
    what_was_acknowledged_outlives_a_server_that_is_killed
    what_was_begun_is_finished_before_an_orderly_end
    what_has_just_arrived_is_answered_before_an_orderly_end
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
        assert_is_a_storm(acknowledged.len());
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
        assert!(slowest < RESTARTED_WITHIN, "{slowest:?}");
        storm.assert_nobody_is_lost(&installation).await;
        server.stop().await;
    }

    pub async fn what_was_begun_is_finished_before_an_orderly_end(installation: Installation) {
        let mut server = installation.serve().await;
        let client = server.client();
        client.register("ada@example.com").await;
        let asked = Arc::new(Asked {
            address: server.address().to_owned(),
            token: client.login("ada@example.com").await,
            ..Asked::default()
        });
        // Two hundred a second: twenty clients, one each tenth of a second; half of them keep their connection.
        let asking: Vec<_> = (0..20_u64)
            .map(|number| {
                let first = Duration::from_millis(number * 5);
                tokio::spawn(paced(Arc::clone(&asked), number % 2 == 0, first))
            })
            .collect();
        let height = async {
            while asked.answered.load(Ordering::SeqCst) < 100 {
                asked.progress.notified().await;
            }
        };
        tokio::time::timeout(PATIENCE, height).await.expect("answers");
        *asked.signalled.lock().unwrap() = Some(Instant::now());
        server.signal(Signal::TERM);
        server.log.wait_for("stopping").await;
        asked.is_ending.store(true, Ordering::SeqCst);
        let (status, lines) = server.ended().await;
        assert_eq!(status.code(), Some(0), "{lines:#?}");
        for client in asking {
            client.await.unwrap();
        }
        println!(
            "{} answered in full, {} of them sent after the signal; {} were sent after it and not answered",
            asked.answered.load(Ordering::SeqCst),
            asked.late.load(Ordering::SeqCst),
            asked.unanswered.load(Ordering::SeqCst),
        );
    }

    pub async fn what_has_just_arrived_is_answered_before_an_orderly_end(installation: Installation) {
        let server = installation.serve().await;
        let client = server.client();
        client.register("ada@example.com").await;
        let address = server.address().to_owned();
        let request = own_account(&address, &client.login("ada@example.com").await, "");
        let mut connections = Vec::new();
        for _ in 0..100 {
            let mut kept = Raw::connect(&address).await;
            kept.send(&request).await;
            assert!(kept.answer().await.0.starts_with("HTTP/1.1 200 "));
            connections.push(kept);
        }
        for _ in 0..20 {
            connections.push(Raw::connect(&address).await);
        }
        for connection in &mut connections {
            connection.send(&request).await;
        }
        server.signal(Signal::TERM);
        let answers = join_all(connections.iter_mut().map(Raw::answer_if_any)).await;
        let missing = answers.iter().filter(|answer| answer.is_none()).count();
        assert_eq!(missing, 0, "of {} requests", answers.len());
        for (head, body) in answers.into_iter().flatten() {
            assert!(head.starts_with("HTTP/1.1 200 "), "{head}{body}");
        }
        for connection in &mut connections {
            assert_eq!(connection.rest().await, "", "nothing behind the answer");
        }
        let (status, lines) = server.ended().await;
        assert_eq!(status.code(), Some(0), "{lines:#?}");
    }
}

/// What several ask around the end of a server, and what came of it.
#[derive(Default)]
struct Asked {
    address: String,
    token: String,
    /// When the signal was sent: after this moment.
    signalled: Mutex<Option<Instant>>,
    /// Whether the server has said that it is ending.
    is_ending: AtomicBool,
    progress: Notify,
    /// In full.
    answered: AtomicUsize,
    /// Of these, those that were sent after the signal.
    late: AtomicUsize,
    /// Sent after the signal, and not answered.
    unanswered: AtomicUsize,
}

fn own_account(address: &str, token: &str, fields: &str) -> String {
    format!("GET /users/me HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\n{fields}\r\n")
}

fn is_last(head: &str) -> bool {
    head.to_ascii_lowercase().contains("\r\nconnection: close\r\n")
}

/// Asks once in a while until the server is gone, on one connection or on one for each request. What was sent before the
/// signal is answered, and whatever is answered is answered in full; from when the server says that it is ending, each
/// answer is the last of its connection.
async fn paced(asked: Arc<Asked>, keeps: bool, first: Duration) {
    let start = tokio::time::Instant::now() + first;
    let mut pace = tokio::time::interval_at(start, Duration::from_millis(100));
    let fields = if keeps { "" } else { "Connection: close\r\n" };
    let request = own_account(&asked.address, &asked.token, fields);
    let mut kept = None;
    loop {
        pace.tick().await;
        let connection = match kept.take() {
            Some(connection) => Some(connection),
            None => Raw::connect_if_possible(&asked.address).await,
        };
        let Some(mut connection) = connection else {
            return;
        };
        let is_ending = asked.is_ending.load(Ordering::SeqCst);
        connection.send(&request).await;
        let sent = Instant::now();
        let answer = connection.answer_if_any().await;
        let is_late = asked.signalled.lock().unwrap().is_some_and(|at| sent > at);
        let Some((head, body)) = answer else {
            assert!(is_late, "sent before the signal, and not answered");
            asked.unanswered.fetch_add(1, Ordering::SeqCst);
            continue;
        };
        assert!(
            head.starts_with("HTTP/1.1 200 ") && body.ends_with('}'),
            "{head}{body}"
        );
        asked.answered.fetch_add(1, Ordering::SeqCst);
        asked.late.fetch_add(usize::from(is_late), Ordering::SeqCst);
        asked.progress.notify_one();
        assert!(is_last(&head) || !is_ending, "{head}");
        if is_last(&head) {
            assert_eq!(connection.rest().await, "", "the connection ends with the answer");
        } else {
            kept = Some(connection);
        }
    }
}

/// State and parent of a process, if there is one with this id (`proc_pid_stat(5)`).
fn process(id: i32) -> Option<(String, i32)> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    Some((fields.next()?.to_owned(), fields.next()?.parse().ok()?))
}

/// Kills every process of a PostgreSQL server at once (`SIGKILL`), as a system does that is out of memory. Each of them
/// leads a group of its own, so they are found by their parent, which is in the first line of `postmaster.pid`.
fn kill_postgresql(data: &Path) {
    let file = data.join("postmaster.pid");
    let text = std::fs::read_to_string(&file).unwrap();
    let postmaster: i32 = text.lines().next().unwrap().trim().parse().unwrap();
    let signal = |id: i32, signal| kill_process(Pid::from_raw(id).unwrap(), signal);
    // It makes no more of them, and doesn't see one end before it ends itself.
    signal(postmaster, Signal::STOP).unwrap();
    let stopped = Instant::now();
    let until = |is_done: &dyn Fn() -> bool| {
        while !is_done() {
            assert!(stopped.elapsed() < PATIENCE, "PostgreSQL lives");
            std::thread::yield_now();
        }
    };
    until(&|| process(postmaster).is_none_or(|(state, _)| state == "T"));
    let children = std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok())
        .filter(|id| process(*id).is_some_and(|(_, parent)| parent == postmaster));
    let all: Vec<i32> = std::iter::once(postmaster).chain(children).collect();
    assert!(
        all.len() > 1,
        "a server has processes for what it does beside requests"
    );
    for id in &all {
        // A child that has heard of the postmaster's end may be gone by itself.
        let _ = signal(*id, Signal::KILL);
    }
    // Where nobody waits for orphans they stay as zombies, which have let go of everything but their id.
    until(&|| {
        all.iter()
            .all(|id| process(*id).is_none_or(|(state, _)| matches!(state.as_str(), "Z" | "X")))
    });
    // The next server would take such an id in its lock files for a server that lives.
    std::fs::remove_file(file).unwrap();
    for entry in std::fs::read_dir(data.parent().unwrap()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "lock") {
            std::fs::remove_file(path).unwrap();
        }
    }
}

#[tokio::test]
async fn what_was_acknowledged_outlives_a_postgresql_that_is_killed() {
    // What a commit promises is what is tried here: the throwaway cluster promises nothing otherwise.
    let promises = "fsync = on\nsynchronous_commit = on\nfull_page_writes = on";
    let mut data = PathBuf::new();
    let Some(cluster) = Cluster::start(promises, None, |folder| folder.clone_into(&mut data)) else {
        return;
    };
    let url = cluster.url("postgres");
    let installation = Installation::new().with("DATABASE_URL", &url);
    let server = installation.serve().await;
    let client = server.client();
    let storm = Arc::new(Storm::default());
    let (mut recovered, mut back) = (Duration::ZERO, Duration::ZERO);
    for _ in 0..rounds(2) {
        storm.around(&client, async || kill_postgresql(&data)).await;
        let started = Instant::now();
        // Waits until it has recovered.
        cluster.control(&["start"]);
        recovered = recovered.max(started.elapsed());
        let started = Instant::now();
        let ready = async { while client.get("/readyz").await.0 != 200 {} };
        let ready = tokio::time::timeout(BACK_WITHIN, ready).await;
        assert!(ready.is_ok(), "not ready within {BACK_WITHIN:?}");
        back = back.max(started.elapsed());
    }
    println!("recovered in {recovered:?} at most, and the server was ready {back:?} later");
    let database = connect(&url).await;
    let there = column(&database, "SELECT email FROM users").await;
    let acknowledged = storm.acknowledged.lock().unwrap().clone();
    let lost = acknowledged.iter().filter(|email| !there.contains(email)).count();
    println!("{} acknowledged, {lost} lost", acknowledged.len());
    assert_eq!(lost, 0);
    assert_is_a_storm(acknowledged.len());
    client.live_a_whole_life("eve").await;
    server.stop().await;
}
