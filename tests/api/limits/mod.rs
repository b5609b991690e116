//! Limits: who is let through how often, and what is told about it.

mod accounts;
mod addresses;
mod administered;
mod codes;
mod fields;
mod hashing;
mod honest;
mod others;
mod rows;
mod signed_in;

use std::time::Duration;

use serde_json::Value;

use crate::support::{Answer, Call, Stage, World, all};

/// A server with the limits that it has by default, behind a proxy that says where clients are.
async fn limited(stage: &Stage) -> World {
    limited_with(stage, &[]).await
}

/// The same with other limits: names as in `limits.account_burst`.
async fn limited_with(stage: &Stage, limits: &[(&str, &str)]) -> World {
    World::with(stage, |variables| {
        variables.set("ROSTER__LIMITS__ENABLED", "true");
        variables.set("ROSTER__SERVER__TRUSTED_PROXIES", "127.0.0.1,10.0.0.0/8");
        for (name, value) in limits {
            variables.set(&format!("ROSTER__LIMITS__{}", name.to_uppercase()), *value);
        }
    })
    .await
}

trait FromAddress {
    /// As a client of this address.
    fn from(self, address: &str) -> Self;
}

impl FromAddress for Call {
    fn from(self, address: &str) -> Self {
        self.header("x-forwarded-for", address)
    }
}

/// A number as an address, so that everybody can have another one.
fn address(number: usize) -> String {
    format!("198.51.{}.{}", number / 256, number % 256)
}

/// Tries a wrong password, each time from another address, until it isn't looked at; gives how often it was, and for how
/// long there is to wait.
async fn exhaust(world: &World, email: &str) -> (usize, u64) {
    for tries in 0..100 {
        let call = world.log_in(email, "wrong-lantern-88").from(&address(tries));
        let answer = call.await;
        if answer.status == 429 {
            return (tries, wait(&answer));
        }
        answer.expect(401);
    }
    panic!("a hundred guesses on one account");
}

/// How long a refusal says to wait, in seconds.
#[track_caller]
fn wait(answer: &Answer) -> u64 {
    assert_eq!(answer.status, 429, "{answer}");
    if !answer.is_oauth() {
        answer.problem("too-many-requests");
    }
    answer.header("retry-after").parse().unwrap()
}

/// What `RateLimit` says is left.
#[track_caller]
fn left(answer: &Answer) -> u64 {
    let field = answer.header("ratelimit");
    let left = field.split(';').find_map(|part| part.strip_prefix("r="));
    left.unwrap_or_else(|| panic!("{field}: {answer}"))
        .parse()
        .unwrap()
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// How many of the answers have this status.
fn count(answers: &[Answer], status: u16) -> usize {
    answers.iter().filter(|answer| answer.status == status).count()
}

/// Everything of an answer by which two could be told apart, but the time and the id of the request.
fn face(answer: &Answer) -> (u16, Vec<(String, String)>, Value) {
    let mut headers: Vec<(String, String)> = answer
        .headers
        .iter()
        .filter(|(name, _)| !matches!(name.as_str(), "date" | "x-request-id"))
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
        .collect();
    headers.sort();
    let mut body = answer.json().clone();
    body["request_id"] = Value::Null;
    (answer.status, headers, body)
}
