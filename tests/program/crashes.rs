//! Servers that are killed in the middle of whatever they do, and sessions that outlive it.
//!
//! Two servers share a database. In each round, clients refresh, sign out and revoke on both of them while one is killed;
//! whoever got no answer asks again. Nobody who keeps to the protocol is signed out, nothing that was ended lives on, and
//! no session has two living tokens.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::join_all;
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::support::{Client, Installation, PASSWORD, count, on_both_databases};

/// How often a server is killed.
const ROUNDS: usize = 14;
const DEVICES: usize = 6;

on_both_databases! {
    sessions_outlive_servers_that_are_killed_between_any_two_steps
}

#[derive(Clone, Debug)]
struct Pair {
    access: String,
    refresh: String,
}

impl Pair {
    fn of(body: &Value) -> Self {
        let text = |name: &str| {
            body[name]
                .as_str()
                .unwrap_or_else(|| panic!("{name} in {body}"))
                .to_owned()
        };
        Self {
            access: text("access_token"),
            refresh: text("refresh_token"),
        }
    }
}

/// Status and body of an answer; none where the server was killed before it came.
async fn answer(request: reqwest::RequestBuilder) -> Option<(u16, Value)> {
    let response = request.send().await.ok()?;
    let status = response.status().as_u16();
    let body = response.bytes().await.ok()?;
    Some((status, serde_json::from_slice(&body).unwrap_or(Value::Null)))
}

async fn refresh(client: &Client, pair: &Pair) -> Option<(u16, Value)> {
    let form = [
        ("grant_type", "refresh_token"),
        ("refresh_token", pair.refresh.as_str()),
    ];
    let encoded = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(form)
        .finish();
    let request = client
        .request(reqwest::Method::POST, "/oauth/token")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(encoded);
    answer(request).await
}

/// Which end of its session a device asks for in this round, if any.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Ending {
    None,
    Logout,
    Revocation,
}

/// What a device knows after its requests.
#[derive(Debug)]
struct Outcome {
    /// The newest pair that it has got, or the one it had.
    held: Pair,
    /// Every pair that it has ever got an answer with, in this round.
    got: Vec<Pair>,
    /// Whether it asked for the end, and whether it was told that it has come.
    ending: Ending,
    is_acknowledged: bool,
}

/// A device's requests of one round, one after the other, changing between the servers.
async fn use_session(
    servers: [Client; 2],
    mut held: Pair,
    ending: Ending,
    steps: usize,
    first: usize,
    answered: Arc<AtomicUsize>,
    progress: Arc<Notify>,
) -> Outcome {
    let mut got = Vec::new();
    for step in 0..steps {
        let server = &servers[(first + step) % 2];
        if let Some((status, body)) = refresh(server, &held).await {
            assert_eq!(status, 200, "an honest client was refused: {body}");
            held = Pair::of(&body);
            got.push(held.clone());
        }
        answered.fetch_add(1, Ordering::SeqCst);
        progress.notify_one();
    }
    let server = &servers[first % 2];
    let is_acknowledged = match ending {
        Ending::None => false,
        Ending::Logout => {
            let request = server
                .request(reqwest::Method::POST, "/logout")
                .bearer_auth(&held.access);
            answer(request).await.is_some_and(|(status, _)| status == 204)
        }
        Ending::Revocation => {
            let request = server
                .request(reqwest::Method::POST, "/oauth/revoke")
                .json(&json!({"token": held.refresh}));
            answer(request).await.is_some_and(|(status, _)| status == 200)
        }
    };
    Outcome {
        held,
        got,
        ending,
        is_acknowledged,
    }
}

async fn sign_in(client: &Client, email: &str) -> Pair {
    let (status, body) = client.try_login(email, PASSWORD).await;
    assert_eq!(status, 200, "{body}");
    Pair::of(&body)
}

mod stories {
    use super::*;

    pub async fn sessions_outlive_servers_that_are_killed_between_any_two_steps(installation: Installation) {
        // A restart on a slow machine stays within the window in which a lost answer is given again.
        let installation = installation.with("ROSTER__SESSION__REFRESH_GRACE_SECONDS", "60");
        let mut servers = [installation.serve().await, installation.serve().await];
        let email = "ada@example.com";
        servers[0].client().register(email).await;
        let mut devices: Vec<Pair> = Vec::new();
        for _ in 0..DEVICES {
            devices.push(sign_in(&servers[0].client(), email).await);
        }
        let database = installation.database().await;
        for round in 0..ROUNDS {
            let clients = [servers[0].client(), servers[1].client()];
            let (answered, progress) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
            let running: Vec<_> = devices
                .iter()
                .enumerate()
                .map(|(index, held)| {
                    let ending = match (index + round) % DEVICES {
                        0 => Ending::Logout,
                        1 => Ending::Revocation,
                        _ => Ending::None,
                    };
                    tokio::spawn(use_session(
                        clients.clone(),
                        held.clone(),
                        ending,
                        4,
                        index + round,
                        Arc::clone(&answered),
                        Arc::clone(&progress),
                    ))
                })
                .collect();
            // At another point of the round each time, with requests under way.
            while answered.load(Ordering::SeqCst) < 1 + round * 5 % 20 {
                progress.notified().await;
            }
            servers[round % 2].signal(Signal::KILL);
            let outcomes: Vec<Outcome> = join_all(running).await.into_iter().map(Result::unwrap).collect();
            let killed = std::mem::replace(&mut servers[round % 2], installation.serve().await);
            assert!(!killed.ended().await.0.success());

            let clients = [servers[0].client(), servers[1].client()];
            devices.clear();
            for (index, outcome) in outcomes.into_iter().enumerate() {
                let client = &clients[index % 2];
                // Whoever got no answer asks again with what it has.
                let (status, body) = refresh(client, &outcome.held).await.unwrap();
                match (outcome.ending, outcome.is_acknowledged) {
                    (Ending::None, _) => assert_eq!(status, 200, "an honest client was signed out: {body}"),
                    (_, true) => {
                        assert_eq!(body["error"], "invalid_grant", "it lives on after its end");
                        for pair in &outcome.got {
                            for client in &clients {
                                assert_eq!(client.me(&pair.access).await.0, 401);
                            }
                        }
                    }
                    // The end may have come, and the answer be lost.
                    (_, false) => assert!(status == 200 || body["error"] == "invalid_grant", "{body}"),
                }
                if status == 200 {
                    let pair = Pair::of(&body);
                    for client in &clients {
                        assert_eq!(client.me(&pair.access).await.0, 200);
                    }
                    devices.push(pair);
                } else {
                    devices.push(sign_in(client, email).await);
                }
            }
            let twice = "SELECT session_id FROM refresh_tokens WHERE spent_at IS NULL GROUP BY session_id HAVING count(*) <> 1";
            assert_eq!(
                count(&database, twice).await,
                0,
                "a session with two living tokens"
            );
            let reuse = "SELECT id FROM audit_events WHERE action = 'token_reuse'";
            assert_eq!(
                count(&database, reuse).await,
                0,
                "an honest client was taken for a thief"
            );
        }
        database.close().await.unwrap();
        for server in servers {
            server.stop().await;
        }
    }
}
