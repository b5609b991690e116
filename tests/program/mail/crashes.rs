//! Servers that are killed between a request and its mail, and mail servers that are down.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;

use super::server::{MailServer, PLAIN};
use crate::support::{Installation, PASSWORD, on_both_databases, rounds};

/// How often the server is killed.
const ROUNDS: usize = 12;
/// How many people register in each round.
const PEOPLE: usize = 4;

on_both_databases! {
    no_mail_is_lost_by_a_server_that_is_killed_at_any_moment
    a_mail_server_that_is_down_slows_no_request_and_gets_the_mails_when_it_is_back
}

mod stories {
    use super::*;

    pub async fn no_mail_is_lost_by_a_server_that_is_killed_at_any_moment(installation: Installation) {
        let Some(mut mails) = MailServer::start(PLAIN).await else {
            return;
        };
        let installation = installation
            .with("ROSTER__MAIL__SMTP_URL", &mails.url())
            // What the dead had in hand is taken on again after this and ten seconds.
            .with("ROSTER__MAIL__TIMEOUT_SECONDS", "1");
        let mut promised = BTreeSet::new();
        for round in 0..rounds(ROUNDS) {
            let server = installation.serve().await;
            let client = server.client();
            for person in 0..PEOPLE {
                let email = format!("user-{round}-{person}@example.com");
                let body = json!({ "email": email, "password": PASSWORD });
                assert_eq!(client.post("/users/", &body).await.0, 201);
                promised.insert(email);
            }
            // Somewhere between the last answer and the end of the delivery.
            tokio::time::sleep(Duration::from_millis(60 * (round % 12) as u64)).await;
            server.signal(Signal::KILL);
            server.ended().await;
        }
        let server = installation.serve().await;
        for email in &promised {
            mails.mail_to(email, 1).await;
        }
        // Where one came twice, it can be told that it is the same.
        let arrived = mails.mails();
        let ids: BTreeSet<&str> = arrived.iter().map(|mail| mail.header("Message-ID")).collect();
        assert_eq!(ids.len(), promised.len());
        server.stop().await;
    }

    pub async fn a_mail_server_that_is_down_slows_no_request_and_gets_the_mails_when_it_is_back(
        installation: Installation,
    ) {
        let Some(mut mails) = MailServer::start(PLAIN).await else {
            return;
        };
        let installation = installation.with("ROSTER__MAIL__SMTP_URL", &mails.url());
        mails.go_down().await;
        let mut server = installation.serve().await;
        let client = server.client();
        let mut times = Vec::new();
        for number in 0..20 {
            let email = format!("user-{number}@example.com");
            client.register(&email).await;
            let started = Instant::now();
            let (status, _) = client.post("/forgot-password", &json!({ "email": email })).await;
            times.push(started.elapsed());
            assert_eq!(status, 202);
        }
        // A server that waits for the mail server does so each time; a busy machine holds up one or two.
        times.sort_unstable();
        assert!(times[17] < Duration::from_millis(500), "{times:?}");
        server.wait_for_log("a mail was not sent").await;
        // The queue outlives a restart as well.
        server.stop().await;
        mails.come_up().await;
        let server = installation.serve().await;
        for number in 0..20 {
            mails.mail_to(&format!("user-{number}@example.com"), 2).await;
        }
        server.stop().await;
    }
}
