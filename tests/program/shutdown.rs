//! The end: requests in flight finish, nothing new begins, a second signal waits for nobody.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::support::{Installation, PATIENCE, ROSTER, Raw, Server, on_both_databases};

const ADA: &str = "ada@example.com";

on_both_databases! {
    requests_in_flight_finish_before_the_end
}

mod stories {
    use super::*;

    pub async fn requests_in_flight_finish_before_the_end(installation: Installation) {
        // One thread and real costs: the logins wait for one another while the server is ending.
        let installation = installation
            .with("ROSTER__PASSWORD__BCRYPT_COST", "12")
            .with("ROSTER__PASSWORD__HASHING_THREADS", "1")
            .with("ROSTER__PASSWORD__HASHING_MAX_WAIT_MS", "60000");
        let mut server = installation.serve().await;
        server.client().register(ADA).await;
        let mut logins = Vec::new();
        for _ in 0..4 {
            logins.push(Raw::begin_login(server.address(), ADA).await);
        }
        server.signal(Signal::TERM);
        server.log.wait_for("stopping").await;
        for login in &mut logins {
            login.send_login(ADA).await;
        }
        for login in &mut logins {
            let (head, body) = login.answer().await;
            assert!(head.starts_with("HTTP/1.1 200 "), "{head}{body}");
            assert!(
                head.to_ascii_lowercase().contains("\r\nconnection: close\r\n"),
                "{head}"
            );
            assert!(body.contains("access_token"), "{body}");
            assert_eq!(login.rest().await, "", "the connection ends with the answer");
        }
        let (status, lines) = server.ended().await;
        assert_eq!(status.code(), Some(0), "{lines:#?}");
        assert_eq!(
            lines
                .iter()
                .filter(|line| line.contains("path=/login status=200"))
                .count(),
            4,
            "{lines:#?}"
        );
    }
}

#[tokio::test]
async fn an_interrupt_and_a_terminal_that_is_gone_end_the_server_as_well() {
    for signal in [Signal::INT, Signal::HUP] {
        let installation = Installation::new();
        // Whatever this test itself was started by: a signal that is ignored there would be here.
        let mut command = installation.program("/usr/bin/env");
        command.args(["--default-signal=HUP", ROSTER, "serve"]);
        let mut server = Server::start(&installation, command);
        server.ready().await;
        server.signal(signal);
        let (status, lines) = server.ended().await;
        assert_eq!(status.code(), Some(0), "{signal:?}: {lines:#?}");
        assert!(lines.last().unwrap().ends_with("stopped"), "{lines:#?}");
    }
}

#[tokio::test]
async fn a_server_that_was_started_to_outlive_its_terminal_does() {
    let installation = Installation::new();
    // As `nohup` does it.
    let mut command = installation.program("/bin/sh");
    command.args(["-c", &format!("trap '' HUP; exec {ROSTER} serve")]);
    let mut server = Server::start(&installation, command);
    server.ready().await;
    server.signal(Signal::HUP);
    assert_eq!(server.client().get("/readyz").await.0, 200);
    let lines = server.stop().await;
    // The end that was asked for is the only one that there was: a second signal ends at once, and says so.
    assert!(lines.last().unwrap().ends_with("stopped"), "{lines:#?}");
}

#[tokio::test]
async fn readiness_ends_with_the_signal_and_no_new_connection_is_taken() {
    let installation = Installation::new();
    let mut server = installation.serve().await;
    let address = server.address().to_owned();
    server.client().register(ADA).await;
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n");
    let mut kept_alive = Raw::connect(&address).await;
    kept_alive.send(get("/readyz")).await;
    assert!(kept_alive.answer().await.0.starts_with("HTTP/1.1 200 "));
    let mut in_flight = Raw::begin_login(&address, ADA).await;

    server.signal(Signal::TERM);
    server.log.wait_for("stopping").await;
    // Either it is answered, and then truthfully and for the last time, or the connection has been closed.
    kept_alive.send(get("/readyz")).await;
    let answer = kept_alive.rest().await;
    if !answer.is_empty() {
        assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
        assert!(answer.contains("shutting down"), "{answer}");
        assert!(
            answer.to_ascii_lowercase().contains("\r\nconnection: close\r\n"),
            "{answer}"
        );
    }
    // Each attempt is answered, refused or reset; in the end they all are refused.
    let started = Instant::now();
    while let Some(mut late) = Raw::connect_if_possible(&address).await {
        assert!(started.elapsed() < PATIENCE, "still takes connections");
        late.send(get("/readyz").replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n"))
            .await;
        let answer = late.rest().await;
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 503 "),
            "{answer}"
        );
    }
    in_flight.send_login(ADA).await;
    assert!(in_flight.answer().await.0.starts_with("HTTP/1.1 200 "));
    let (status, lines) = server.ended().await;
    assert_eq!(status.code(), Some(0), "{lines:#?}");
}

#[tokio::test]
async fn an_idle_connection_does_not_delay_the_end() {
    let installation = Installation::new();
    let server = installation.serve().await;
    let mut idle = Raw::connect(server.address()).await;
    idle.send(format!(
        "GET /livez HTTP/1.1\r\nHost: {}\r\n\r\n",
        server.address()
    ))
    .await;
    idle.answer().await;
    let mut silent = Raw::connect(server.address()).await;
    let started = Instant::now();
    server.stop().await;
    // Well below the time that requests in flight would get.
    assert!(
        started.elapsed() < Duration::from_secs(10),
        "{:?}",
        started.elapsed()
    );
    assert_eq!(idle.rest().await, "");
    assert_eq!(silent.rest().await, "");
}

#[tokio::test]
async fn a_second_signal_ends_what_is_in_flight_at_once() {
    let installation = Installation::new()
        .with("ROSTER__SERVER__BODY_TIMEOUT_SECONDS", "300")
        .with("ROSTER__SERVER__SHUTDOWN_TIMEOUT_SECONDS", "300");
    let mut server = installation.serve().await;
    let mut in_flight = Raw::begin_login(server.address(), ADA).await;
    server.signal(Signal::TERM);
    server.log.wait_for("stopping").await;
    server.signal(Signal::TERM);
    let started = Instant::now();
    let (status, lines) = server.ended().await;
    assert!(
        started.elapsed() < Duration::from_secs(10),
        "{:?}",
        started.elapsed()
    );
    assert_eq!(status.code(), Some(0), "{lines:#?}");
    assert_eq!(in_flight.rest().await, "");
}

#[tokio::test]
async fn a_request_that_does_not_finish_is_ended_when_its_time_is_over() {
    let installation = Installation::new()
        .with("ROSTER__SERVER__BODY_TIMEOUT_SECONDS", "300")
        .with("ROSTER__SERVER__SHUTDOWN_TIMEOUT_SECONDS", "1");
    let mut server = installation.serve().await;
    let mut in_flight = Raw::begin_login(server.address(), ADA).await;
    server.signal(Signal::TERM);
    server.log.wait_for("stopping").await;
    let started = Instant::now();
    let (status, lines) = server.ended().await;
    assert!(
        started.elapsed() < Duration::from_secs(10),
        "{:?}",
        started.elapsed()
    );
    assert_eq!(status.code(), Some(0), "{lines:#?}");
    assert_eq!(in_flight.rest().await, "");
}

#[tokio::test]
async fn a_stalled_body_and_a_deaf_reader_hold_up_no_end() {
    // Once the time runs out, once a second signal comes before it does.
    for (limit, is_impatient) in [("1", false), ("300", true)] {
        let installation = Installation::new()
            .with("ROSTER__SERVER__BODY_TIMEOUT_SECONDS", "300")
            .with("ROSTER__SERVER__WRITE_TIMEOUT_SECONDS", "300")
            .with("ROSTER__SERVER__SHUTDOWN_TIMEOUT_SECONDS", limit);
        let mut server = installation.serve().await;
        let mut stalled = Raw::begin_login(server.address(), ADA).await;
        let deaf = Raw::deaf(server.address(), "/openapi.json").await;
        server.wait_for_log("path=/openapi.json status=200").await;
        server.signal(Signal::TERM);
        server.log.wait_for("stopping").await;
        if is_impatient {
            server.signal(Signal::TERM);
        }
        let started = Instant::now();
        let (status, lines) = server.ended().await;
        let took = started.elapsed();
        assert!(took < Duration::from_secs(10), "{took:?}");
        assert_eq!(status.code(), Some(0), "{lines:#?}");
        assert_eq!(stalled.rest().await, "");
        drop(deaf);
    }
}

#[tokio::test]
async fn after_an_orderly_end_the_database_is_one_file() {
    let installation = Installation::new();
    installation.prepare().await;
    installation.create_user(ADA, &[]).await;
    assert_is_one_file(&installation);
    // The last request is hardly answered when the end comes.
    for _ in 0..4 {
        let mut server = installation.serve().await;
        let mut in_flight = Raw::begin_login(server.address(), ADA).await;
        server.signal(Signal::TERM);
        server.log.wait_for("stopping").await;
        in_flight.send_login(ADA).await;
        assert!(in_flight.answer().await.0.starts_with("HTTP/1.1 200 "));
        assert_eq!(server.ended().await.0.code(), Some(0));
        assert_is_one_file(&installation);
    }
}

/// Whoever copies the file copies the database: nothing is left in a write-ahead log.
fn assert_is_one_file(installation: &Installation) {
    let log = std::fs::metadata(installation.path("data/roster.db-wal"));
    assert!(
        log.is_err() || log.is_ok_and(|log| log.len() == 0),
        "part of the database is in its -wal file"
    );
}
