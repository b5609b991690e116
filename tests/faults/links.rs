//! A way to the database that breaks, again and again; and too few connections for all who want one.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::Value;

use crate::rounds;
use crate::support::{Installation, Link, on_both_databases};

const ADA: &str = "ada@example.com";
/// What the contract gives an answer when the database can't.
const ANSWERED_WITHIN: Duration = Duration::from_secs(3);
/// And the server, when it can again.
const BACK_WITHIN: Duration = Duration::from_secs(5);

const BETWEEN_REQUESTS: Duration = Duration::from_millis(50);

#[tokio::test]
async fn a_link_that_breaks_again_and_again_is_survived() {
    let Some(direct) = Installation::on_postgresql().await else {
        return;
    };
    let (link, url) = Link::to(direct.url()).await;
    let server = Installation::new().with("DATABASE_URL", &url).serve().await;
    let client = server.client();
    client.register(ADA).await;
    let token = client.login(ADA).await;
    for round in 0..rounds(6) {
        link.cut();
        let started = Instant::now();
        for (status, body) in join_all((0..20).map(|_| client.me(&token))).await {
            let told = (status, &body["type"]);
            let problem = (503, &Value::from("/problems/database-unavailable"));
            assert_eq!(told, problem, "round {round}: {body}");
        }
        assert!(started.elapsed() < ANSWERED_WITHIN, "{:?}", started.elapsed());
        link.flow();
        // One at a time, twenty a second: whoever asks as fast as he can is no client that anybody has.
        let back = async {
            let mut pace = tokio::time::interval(BETWEEN_REQUESTS);
            loop {
                pace.tick().await;
                if client.me(&token).await.0 == 200 {
                    break;
                }
            }
        };
        let back = tokio::time::timeout(BACK_WITHIN, back).await;
        assert!(back.is_ok(), "round {round}: not back in time");
        let answers = join_all((0..100).map(|_| client.me(&token))).await;
        let good = answers.iter().filter(|(status, _)| *status == 200).count();
        assert!(good >= 95, "round {round}: {good} of 100");
        assert!(
            answers.iter().all(|(status, _)| matches!(status, 200 | 503)),
            "round {round}: an outage is no refusal"
        );
    }
    client.live_a_whole_life("eve").await;
    server.stop().await;
}

on_both_databases! {
    two_connections_serve_two_hundred_at_once
}

mod stories {
    use super::*;

    pub async fn two_connections_serve_two_hundred_at_once(installation: Installation) {
        let installation = installation
            .with("ROSTER__DATABASE__MAX_CONNECTIONS", "2")
            .with("ROSTER__SERVER__WORKERS", "2");
        let server = installation.serve().await;
        let client = server.client();
        client.register(ADA).await;
        let token = client.login(ADA).await;
        let started = Instant::now();
        // Fewer logins than a user may have sessions.
        let ask = async |number: usize| match number % 8 {
            0 => client.try_login(ADA, crate::support::PASSWORD).await.0,
            1 => client.get("/readyz").await.0,
            _ => client.me(&token).await.0,
        };
        let statuses = join_all((0..200).map(ask)).await;
        assert!(
            statuses.iter().all(|status| matches!(status, 200 | 503)),
            "{statuses:?}"
        );
        // Each waits for a connection at most as long as one may; the hashes of the logins come on top.
        assert!(
            started.elapsed() < Duration::from_secs(20),
            "{:?}",
            started.elapsed()
        );
        assert_eq!(client.me(&token).await.0, 200);
        server.stop().await;
    }
}
