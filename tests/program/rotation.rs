//! A change of keys from the command line, and the servers that follow it without a restart.
//!
//! This is the one place whose subject is what happens in the course of time.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use base64::Engine as _;
use serde_json::{Value, json};
use tokio::time::{interval, timeout};

use crate::support::{Client, Installation, PASSWORD, Server};

const ADA: &str = "ada@example.com";
/// Within which every server has followed.
const LIMIT: Duration = Duration::from_secs(30);

/// Looks again and again.
async fn until(wanted: &str, mut holds: impl AsyncFnMut() -> bool) {
    let mut looks = interval(Duration::from_millis(250));
    let held = async {
        while !holds().await {
            looks.tick().await;
        }
    };
    assert!(
        timeout(LIMIT, held).await.is_ok(),
        "not within {LIMIT:?}: {wanted}"
    );
}

fn key_id(token: &str) -> String {
    let header = base64::prelude::BASE64_URL_SAFE_NO_PAD
        .decode(token.split('.').next().unwrap())
        .unwrap();
    serde_json::from_slice::<Value>(&header).unwrap()["kid"]
        .as_str()
        .unwrap()
        .to_owned()
}

fn in_state(keys: &Value, state: &str) -> String {
    let key = keys.as_array().unwrap().iter().find(|key| key["state"] == state);
    key.unwrap_or_else(|| panic!("no {state} key in {keys}"))["id"]
        .as_str()
        .unwrap()
        .to_owned()
}

async fn published(client: &Client) -> BTreeSet<String> {
    let (_, set) = client.get("/.well-known/jwks.json").await;
    set["keys"]
        .as_array()
        .unwrap()
        .iter()
        .map(|key| key["kid"].as_str().unwrap().to_owned())
        .collect()
}

async fn a_server_follows(installation: Installation) {
    let server = installation.serve().await;
    let client = server.client();
    client.register(ADA).await;
    let old = client.login(ADA).await;
    let keys = installation.json(&["keys", "list"]).await;
    assert_eq!(key_id(&old), in_state(&keys, "current"));
    // The next key is known to verifiers before it signs.
    assert_eq!(
        published(&client).await,
        ["current", "next"].map(|state| in_state(&keys, state)).into()
    );

    installation.succeeds(&["keys", "rotate"]).await;
    let rotated = installation.json(&["keys", "list"]).await;
    assert_eq!(in_state(&rotated, "current"), in_state(&keys, "next"));
    assert_eq!(in_state(&rotated, "previous"), in_state(&keys, "current"));
    until("the new key signs", async || {
        key_id(&client.login(ADA).await) == in_state(&rotated, "current")
    })
    .await;
    let states = ["previous", "current", "next"].map(|state| in_state(&rotated, state));
    assert_eq!(published(&client).await, states.into());
    let new = client.login(ADA).await;
    for token in [&old, &new] {
        assert_eq!(
            client.me(token).await.0,
            200,
            "a token of the previous key stays good"
        );
    }

    installation
        .succeeds(&["keys", "retire", &key_id(&old), "--yes"])
        .await;
    until("a retired key's tokens are refused", async || {
        client.me(&old).await.0 == 401
    })
    .await;
    assert!(!published(&client).await.contains(&key_id(&old)));
    assert_eq!(client.me(&new).await.0, 200);
    server.stop().await;
}

#[tokio::test]
async fn a_rotation_and_a_retirement_reach_a_running_server() {
    let on_postgresql = async {
        if let Some(installation) = Installation::on_postgresql().await {
            a_server_follows(installation).await;
        }
    };
    // At the same time, because both do little but wait.
    tokio::join!(a_server_follows(Installation::new()), on_postgresql);
}

/// How many clients call at once.
const CONNECTIONS: usize = 64;

/// What a server says that has too much to do, two processes on one SQLite file keeping each other waiting, and what
/// stock clients send again: 408, 503. What is tried here is that nobody gets a wrong 401.
const BUSY: [u16; 2] = [408, 503];

/// Signs in, calls, refreshes, on both servers in turn, until the end; gives how often it called.
async fn call_until(ended: Arc<AtomicBool>, clients: [Client; 2], email: String, number: usize) -> usize {
    let mut calls = 0;
    let mut tokens = loop {
        let (status, tokens) = clients[number % 2].try_login(&email, PASSWORD).await;
        if !BUSY.contains(&status) {
            assert_eq!(status, 200, "{tokens}");
            break tokens;
        }
    };
    let mut turn = 0;
    while !ended.load(Ordering::SeqCst) {
        turn += 1;
        for step in 0..20 {
            let (status, body) = clients[step % 2]
                .me(tokens["access_token"].as_str().unwrap())
                .await;
            calls += usize::from(status == 200);
            assert!(
                status == 200 || BUSY.contains(&status),
                "a good token was refused: {body}"
            );
        }
        let body = json!({"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]});
        let (status, next) = clients[turn % 2].post("/oauth/token", &body).await;
        if BUSY.contains(&status) {
            continue;
        }
        assert_eq!(status, 200, "{next}");
        // A new token is used at once, on the server that hasn't signed it.
        tokens = next;
    }
    calls
}

async fn nobody_notices(installation: Installation) {
    let servers = [installation.serve().await, installation.serve().await];
    let clients = servers.each_ref().map(Server::client);
    // Looks so often that the oldest of its sessions go.
    clients[0].register(ADA).await;
    for number in 0..4 {
        clients[0].register(&format!("person-{number}@example.com")).await;
    }
    let ended = Arc::new(AtomicBool::new(false));
    let load: Vec<_> = (0..CONNECTIONS)
        .map(|number| {
            let email = format!("person-{}@example.com", number % 4);
            tokio::spawn(call_until(Arc::clone(&ended), clients.clone(), email, number))
        })
        .collect();
    for _ in 0..3 {
        installation.succeeds(&["keys", "rotate"]).await;
        let keys = installation.json(&["keys", "list"]).await;
        let current = in_state(&keys, "current");
        for client in &clients {
            until("the new key signs", async || {
                let (status, tokens) = client.try_login(ADA, PASSWORD).await;
                status == 200 && key_id(tokens["access_token"].as_str().unwrap()) == current
            })
            .await;
        }
    }
    ended.store(true, Ordering::SeqCst);
    let mut calls = 0;
    for client in load {
        calls += client.await.unwrap();
    }
    assert!(calls >= CONNECTIONS * 20, "{calls}");
    for server in servers {
        server.stop().await;
    }
}

#[tokio::test]
async fn nobody_notices_a_rotation_under_load() {
    let on_postgresql = async {
        if let Some(installation) = Installation::on_postgresql().await {
            nobody_notices(installation).await;
        }
    };
    tokio::join!(nobody_notices(Installation::new()), on_postgresql);
}
