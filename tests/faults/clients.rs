//! Clients that are slow, rude or many, and what others notice of them.

use std::io::Read as _;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::logs::{ready, unread};
use crate::postgres::free_port;
use crate::support::{Client, Installation, PASSWORD, PATIENCE, ROSTER, Raw};

const ADA: &str = "ada@example.com";

/// A login whose body doesn't come.
async fn stalled(address: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = format!(
        "POST /login HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: 60\r\n\r\n{{"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}

async fn is_closed(stream: &mut TcpStream) -> String {
    let mut said = Vec::new();
    let closed = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut said)).await;
    assert!(closed.is_ok(), "still open");
    String::from_utf8_lossy(&said).into_owned()
}

#[tokio::test]
async fn a_thousand_stalled_bodies_hold_nobody_up_and_are_closed() {
    let installation = Installation::new().with("ROSTER__SERVER__BODY_TIMEOUT_SECONDS", "4");
    let server = installation.serve().await;
    let client = server.client();
    client.register(ADA).await;
    let token = client.login(ADA).await;
    let mut stuck = join_all((0..1000).map(|_| stalled(server.address()))).await;
    let started = Instant::now();
    let mut slowest = Duration::ZERO;
    while started.elapsed() < Duration::from_secs(1) {
        let asked = Instant::now();
        assert_eq!(client.me(&token).await.0, 200);
        slowest = slowest.max(asked.elapsed());
    }
    // Well before the first of them is closed.
    assert!(slowest < Duration::from_secs(3), "{slowest:?}");
    for said in join_all(stuck.iter_mut().map(is_closed)).await {
        assert!(
            said.starts_with("HTTP/1.1 400 ") || said.starts_with("HTTP/1.1 408 "),
            "{said}"
        );
    }
    client.login(ADA).await;
    server.stop().await;
}

#[tokio::test]
async fn a_login_that_hangs_up_frees_no_place_before_its_hash_is_done() {
    let installation = Installation::new()
        .with("ROSTER__PASSWORD__BCRYPT_COST", "13")
        .with("ROSTER__PASSWORD__HASHING_THREADS", "1")
        .with("ROSTER__PASSWORD__HASHING_MAX_WAIT_MS", "0");
    let server = installation.serve().await;
    let client = server.client();
    client.register(ADA).await;
    let address = server.address();
    // Each hangs up while its hash is being made, which takes half a second of the only thread there is. Were its place
    // free then, the next one would be let in.
    let body = json!({"email": ADA, "password": "wrong-wrong-wrong-123"}).to_string();
    let head = format!(
        "POST /login HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let mut refused = 0;
    for _ in 0..10 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.set_zero_linger().unwrap();
        stream
            .write_all(format!("{head}{body}").as_bytes())
            .await
            .unwrap();
        tokio::time::sleep(Duration::from_millis(60)).await;
        drop(stream);
        let (status, body) = client.try_login(ADA, PASSWORD).await;
        assert!(matches!(status, 200 | 503), "{body}");
        refused += usize::from(status == 503);
    }
    assert!(refused > 0, "a place was free as soon as its owner had gone");
    let works = async { while client.try_login(ADA, PASSWORD).await.0 != 200 {} };
    tokio::time::timeout(PATIENCE, works)
        .await
        .expect("a login succeeds");
    server.stop().await;
}

#[tokio::test]
async fn passwords_of_a_megabyte_are_refused_unread_and_unhashed() {
    let installation = Installation::new();
    installation.prepare().await;
    installation.create_user(ADA, &[]).await;
    // From here on, one hash takes seconds of a processor.
    let installation = installation.with("ROSTER__PASSWORD__BCRYPT_COST", "16");
    let server = installation.serve().await;
    let client = server.client();
    let large = json!({"email": ADA, "password": "x".repeat(1 << 20)});
    let before = processor_seconds(server.id());
    let ask = async |_| {
        // A body that nobody reads to its end may break the connection before the answer is read.
        let request = client.request(reqwest::Method::POST, "/login").json(&large);
        match request.send().await {
            Ok(answer) => assert_eq!(answer.status().as_u16(), 413),
            Err(error) => assert!(error.is_request(), "{error}"),
        }
    };
    join_all((0..100).map(ask)).await;
    let used = processor_seconds(server.id()) - before;
    assert!(used < 2.0, "{used} s of processor time");
    server.stop().await;
}

#[tokio::test]
async fn connections_beyond_the_most_wait_and_idle_ones_make_room() {
    let installation = Installation::new()
        .with("ROSTER__SERVER__WORKERS", "1")
        .with("ROSTER__SERVER__MAX_CONNECTIONS", "16")
        .with("ROSTER__SERVER__HEADER_TIMEOUT_SECONDS", "1");
    let server = installation.serve().await;
    let idle = join_all((0..64).map(|_| TcpStream::connect(server.address()))).await;
    // Those that say nothing are closed, the next ones are let in, and in the end whoever asks for something.
    assert_eq!(server.client().get("/livez").await.0, 200);
    drop(idle);
    server.client().live_a_whole_life("eve").await;
    server.stop().await;
}

#[tokio::test]
async fn idle_clients_make_room_for_a_new_one_at_once() {
    let installation = Installation::new()
        .with("ROSTER__SERVER__WORKERS", "1")
        .with("ROSTER__SERVER__MAX_CONNECTIONS", "16");
    let server = installation.serve().await;
    // Each has had an answer, and is kept for its next request.
    let mut idle = Vec::new();
    for _ in 0..40 {
        let mut raw = Raw::connect(server.address()).await;
        raw.send(format!(
            "GET /livez HTTP/1.1\r\nHost: {}\r\n\r\n",
            server.address()
        ))
        .await;
        let answer = tokio::time::timeout(Duration::from_secs(2), raw.answer()).await;
        assert!(answer.expect("a place").0.starts_with("HTTP/1.1 200 "));
        idle.push(raw);
    }
    // Who came last is still there; who has waited longest has gone without a word.
    assert_eq!(idle[0].rest().await, "");
    let last = idle.last_mut().unwrap();
    last.send(format!(
        "GET /livez HTTP/1.1\r\nHost: {}\r\n\r\n",
        server.address()
    ))
    .await;
    assert!(last.answer().await.0.starts_with("HTTP/1.1 200 "));
    server.stop().await;
}

/// How many sockets a process has open.
pub fn sockets(id: u32) -> usize {
    let files = std::fs::read_dir(format!("/proc/{id}/fd")).unwrap();
    files
        .filter_map(|file| std::fs::read_link(file.ok()?.path()).ok())
        .filter(|target| target.to_string_lossy().starts_with("socket:"))
        .count()
}

#[tokio::test]
async fn an_answer_that_nobody_reads_is_not_waited_for() {
    let installation = Installation::new()
        .with("ROSTER__SERVER__WORKERS", "1")
        .with("ROSTER__SERVER__WRITE_TIMEOUT_SECONDS", "2");
    let server = installation.serve().await;
    let client = server.client();
    client.register(ADA).await;
    let token = client.login(ADA).await;
    let usual = sockets(server.id());
    let started = Instant::now();
    let deaf = Raw::deaf(server.address(), "/openapi.json").await;
    let closed = async {
        let mut slowest = Duration::ZERO;
        loop {
            let asked = Instant::now();
            assert_eq!(client.me(&token).await.0, 200);
            slowest = slowest.max(asked.elapsed());
            if started.elapsed() > Duration::from_secs(1) && sockets(server.id()) <= usual {
                break slowest;
            }
        }
    };
    let slowest = tokio::time::timeout(PATIENCE, closed)
        .await
        .expect("it is closed");
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
    let took = started.elapsed();
    let (least, most) = (Duration::from_millis(1900), Duration::from_secs(10));
    assert!(took > least && took < most, "{took:?}");
    drop(deaf);
    server.stop().await;
}

/// Seconds of processor time that a process has used.
fn processor_seconds(id: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    let ticks: f64 = fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
    ticks / 100.0
}

#[tokio::test]
async fn a_process_that_may_open_no_more_files_does_not_spin_and_recovers() {
    let installation = Installation::new().with("ROSTER__SERVER__WORKERS", "1");
    let mut command = installation.program("prlimit");
    command.args(["--nofile=64:64", ROSTER, "serve"]);
    let mut server = crate::support::Server::start(&installation, command);
    server.ready().await;
    server.wait_for_log("64 files may be open").await;
    let client = server.client();
    client.register(ADA).await;
    let token = client.login(ADA).await;
    let many = join_all((0..200).map(|_| TcpStream::connect(server.address()))).await;
    let before = processor_seconds(server.id());
    tokio::time::sleep(Duration::from_secs(2)).await;
    let used = processor_seconds(server.id()) - before;
    assert!(used < 1.0, "{used} s of processor time in 2 s of nothing");
    drop(many);
    let works = async {
        let fresh = server.client();
        while !matches!(
            fresh
                .request(reqwest::Method::GET, "/users/me")
                .bearer_auth(&token)
                .send()
                .await,
            Ok(answer) if answer.status() == 200
        ) {}
    };
    tokio::time::timeout(PATIENCE, works).await.expect("serves again");
    server.stop().await;
}

#[tokio::test]
async fn the_soft_limit_on_open_files_is_raised_to_the_hard_one() {
    let installation = Installation::new()
        .with("ROSTER__SERVER__WORKERS", "1")
        .with("ROSTER__SERVER__MAX_CONNECTIONS", "256");
    let mut command = installation.program("prlimit");
    command.args(["--nofile=64:1024", ROSTER, "serve"]);
    let mut server = crate::support::Server::start(&installation, command);
    server.ready().await;
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", server.id())).unwrap();
    let files = limits
        .lines()
        .find(|line| line.starts_with("Max open files"))
        .unwrap();
    assert_eq!(files.split_whitespace().nth(3), Some("1024"), "{files}");
    let lines = server.stop().await;
    assert!(
        !lines.iter().any(|line| line.contains("files may be open")),
        "{lines:#?}"
    );
}

#[tokio::test]
async fn a_log_that_nobody_reads_and_one_that_is_closed_hold_nobody_up() {
    let installation = Installation::new();
    let port = free_port();
    let mut child = unread(&installation, port);
    let client = Client::new(format!("http://127.0.0.1:{port}"));
    ready(&client).await;
    client.register(ADA).await;
    let token = client.login(ADA).await;
    // Far more than a pipe holds.
    for _ in 0..60 {
        for (status, body) in join_all((0..50).map(|_| client.me(&token))).await {
            assert_eq!(status, 200, "{body}");
        }
    }
    // It is read a little, and then its reader goes away.
    let mut pipe = child.stderr.take().unwrap();
    let mut some = [0; 1024];
    assert!(pipe.read(&mut some).unwrap() > 0);
    drop(pipe);
    for (status, body) in join_all((0..50).map(|_| client.me(&token))).await {
        assert_eq!(status, 200, "{body}");
    }
    let id = i32::try_from(child.id()).unwrap();
    let id = rustix::process::Pid::from_raw(id).unwrap();
    rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
