//! A database that goes away under a running server, and comes back.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::postgres::Cluster;
use crate::support::{Client, Installation, Link, PASSWORD};

/// What the contract gives an answer when the database can't.
const ANSWERED_WITHIN: Duration = Duration::from_secs(3);
/// And the server, when it can again.
const BACK_WITHIN: Duration = Duration::from_secs(5);

const ADA: &str = "ada@example.com";

/// Whatever is asked, however many ask at once: each has its answer in time, and it says what is wrong.
async fn assert_unavailable(client: &Client, token: &str) {
    let ask = async |path: &'static str| {
        let started = Instant::now();
        let answer = match path {
            "/users/me" => client.me(token).await,
            "/login" => client.try_login(ADA, PASSWORD).await,
            "/users/" => {
                client
                    .post(path, &json!({ "email": "eve@example.com", "password": PASSWORD }))
                    .await
            }
            _ => client.get(path).await,
        };
        (path, answer, started.elapsed())
    };
    let paths = ["/readyz", "/login", "/users/"]
        .into_iter()
        .chain(["/users/me"; 20]);
    for (path, (status, body), elapsed) in join_all(paths.map(ask)).await {
        let problem = (503, &Value::from("/problems/database-unavailable"));
        assert_eq!((status, &body["type"]), problem, "{path}: {body}");
        assert!(elapsed < ANSWERED_WITHIN, "{path}: {elapsed:?}");
    }
    assert_eq!(client.get("/livez").await.0, 200);
}

async fn assert_back(client: &Client, token: &str) {
    let back = async {
        while client.me(token).await.0 != 200 {}
        while client.get("/readyz").await.0 != 200 {}
        client.login(ADA).await;
    };
    tokio::time::timeout(BACK_WITHIN, back)
        .await
        .expect("the server is back in time");
}

#[tokio::test]
async fn a_postgresql_server_that_stops_and_starts_again_is_survived() {
    let Some(cluster) = Cluster::start("", None, |_| {}) else {
        return;
    };
    let installation = Installation::new().with("DATABASE_URL", &cluster.url("postgres"));
    let server = installation.serve().await;
    let client = server.client();
    client.register(ADA).await;
    let token = client.login(ADA).await;
    for mode in ["fast", "immediate"] {
        assert_eq!(client.me(&token).await.0, 200);
        cluster.control(&["-m", mode, "stop"]);
        assert_unavailable(&client, &token).await;
        cluster.control(&["start"]);
        assert_back(&client, &token).await;
    }
    // Every connection of every worker has been replaced by now, or is when it is met.
    for _ in 0..50 {
        assert_eq!(client.me(&token).await.0, 200);
    }
    server.stop().await;
}

#[tokio::test]
async fn a_link_that_swallows_everything_is_survived() {
    let Some(direct) = Installation::on_postgresql().await else {
        return;
    };
    let (link, url) = Link::to(direct.url()).await;
    let installation = Installation::new().with("DATABASE_URL", &url);
    let server = installation.serve().await;
    let client = server.client();
    client.register(ADA).await;
    let token = client.login(ADA).await;
    for _ in 0..2 {
        link.hold();
        assert_unavailable(&client, &token).await;
        link.flow();
        assert_back(&client, &token).await;
    }
    server.stop().await;
}
