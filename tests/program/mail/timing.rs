//! Whether the time of an answer tells who has an account, with a mail server that takes two seconds over each mail.

use std::time::{Duration, Instant};

use serde_json::json;

use super::server::{MailServer, Manner};
use crate::support::Installation;

/// Pairs of requests that are compared.
const PAIRS: usize = 600;

/// The chance that a request for a known address takes longer than one for an unknown address (the area under the ROC
/// curve): a half where the time tells nothing.
fn area(known: &[Duration], unknown: &[Duration]) -> f64 {
    let mut wins = 0.0;
    for one in known {
        for other in unknown {
            wins += match one.cmp(other) {
                std::cmp::Ordering::Greater => 1.0,
                std::cmp::Ordering::Equal => 0.5,
                std::cmp::Ordering::Less => 0.0,
            };
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "these are small numbers")]
    let all = (known.len() * unknown.len()) as f64;
    wins / all
}

#[tokio::test]
async fn the_time_of_an_answer_does_not_tell_who_has_an_account() {
    let slow = Manner {
        tls: "none",
        asks_who: false,
        seconds: 2.0,
    };
    let Some(mails) = MailServer::start(slow).await else {
        return;
    };
    let server = Installation::new()
        .with("ROSTER__MAIL__SMTP_URL", &mails.url())
        // So many from one client address are refused otherwise.
        .with("ROSTER__LIMITS__ENABLED", "false")
        .serve()
        .await;
    let client = server.client();
    client.register("ada@example.com").await;
    let mut times = [Vec::new(), Vec::new()];
    for pair in 0..PAIRS + 50 {
        // In another order each time, so that neither always comes second.
        let order = if pair % 4 < 2 { [0, 1] } else { [1, 0] };
        for which in order {
            let email = if which == 0 {
                "ada@example.com"
            } else {
                "eve@example.com"
            };
            let started = Instant::now();
            let (status, _) = client.post("/forgot-password", &json!({ "email": email })).await;
            let took = started.elapsed();
            assert_eq!(status, 202);
            // The first ones open connections.
            if pair >= 50 {
                times[which].push(took);
            }
        }
    }
    let area = area(&times[0], &times[1]);
    println!("area under the curve: {area:.3}");
    assert!((area - 0.5).abs() < 0.06, "{area}");
    server.stop().await;
}
