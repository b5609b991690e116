//! HTTP itself, whatever the operation.

use std::fmt::Write as _;

use std::collections::{BTreeMap, BTreeSet};

use entity::users;
use reqwest::header::HeaderMap;
use sea_orm::ActiveValue::Set;
use serde_json::{Value, json};

use crate::support::{Answer, Call, PASSWORD, Persona, World, contract};

/// A documented path with something in its place-holders that there is.
fn concrete(path: &str) -> String {
    let path = path
        .replace("{name}", "not-found")
        .replace("{file}", "start.js")
        .replace("{id}", "019a0000-0000-7000-8000-000000000001");
    assert!(!path.contains('{'), "{path}: say what there is");
    path
}

/// Every path with the methods that `Allow` lists, in the document's spelling.
fn paths() -> Vec<(String, BTreeSet<String>)> {
    contract::documented_operations()
        .into_iter()
        .map(|(path, methods)| {
            let mut allowed: BTreeSet<String> = methods.into_iter().collect();
            if allowed.contains("GET") {
                allowed.insert("HEAD".to_owned());
            }
            allowed.insert("OPTIONS".to_owned());
            (concrete(&path), allowed)
        })
        .collect()
}

/// With and without the slash at its end.
fn spellings(path: &str) -> Vec<String> {
    let plain = path.trim_end_matches('/');
    if plain.is_empty() {
        vec!["/".to_owned()]
    } else {
        vec![plain.to_owned(), format!("{plain}/")]
    }
}

/// The paths that GET is answered on with the same each time: one's own data tell of every time that they were read.
fn readable() -> Vec<String> {
    let found: Vec<String> = paths()
        .into_iter()
        .filter(|(_, allowed)| allowed.contains("GET"))
        .map(|(path, _)| path)
        .filter(|path| path != "/users/me/export")
        .collect();
    assert!(found.len() > 8);
    found
}

/// A request as it goes over the wire. Without a body it has no length either.
fn wire(method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> String {
    let mut text = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n");
    for (name, value) in headers {
        let _ = write!(text, "{name}: {value}\r\n");
    }
    if !body.is_empty() {
        let _ = write!(
            text,
            "Content-Type: application/json\r\nContent-Length: {}\r\n",
            body.len()
        );
    }
    format!("{text}\r\n{body}")
}

/// The headers that no answer lacks, whoever has made it.
#[track_caller]
fn has_common_headers(headers: &HeaderMap, what: &str) {
    let only = |name: &str| {
        let values: Vec<_> = headers.get_all(name).iter().collect();
        assert_eq!(values.len(), 1, "{name}: {what}");
        values[0].to_str().unwrap().to_owned()
    };
    assert_eq!(only("x-content-type-options"), "nosniff", "{what}");
    assert_eq!(only("referrer-policy"), "no-referrer", "{what}");
    assert!(
        only("content-security-policy").contains("frame-ancestors 'none'"),
        "{what}"
    );
    let id = only("x-request-id");
    assert!((1..=64).contains(&id.len()), "{what}");
    for name in ["server", "x-powered-by", "via"] {
        assert!(!headers.contains_key(name), "{name}: {what}");
    }
}

/// A refusal that no handler has made: one of these statuses, with a problem document as any other.
macro_rules! is_refused {
    ($answer:expr, $statuses:expr, $what:expr) => {
        check_refusal($answer.status, &$answer.headers, $answer.text(), $statuses, $what)
    };
}

#[track_caller]
fn check_refusal(status: u16, headers: &HeaderMap, body: &str, statuses: &[u16], what: &str) {
    assert!(statuses.contains(&status), "{status} to {what}");
    has_common_headers(headers, what);
    assert_eq!(headers["content-type"], "application/problem+json", "{what}");
    assert_eq!(headers["cache-control"], "no-store", "{what}");
    let document: Value =
        serde_json::from_str(body).unwrap_or_else(|_| panic!("no problem document: {what}"));
    assert_eq!(document["status"], status, "{what}");
    assert_eq!(
        document["request_id"].as_str(),
        Some(headers["x-request-id"].to_str().unwrap()),
        "{what}"
    );
    let name = document["type"]
        .as_str()
        .unwrap()
        .strip_prefix("/problems/")
        .unwrap();
    assert!(
        contract::PROBLEMS.iter().any(|(known, _)| *known == name),
        "{name}: {what}"
    );
    for member in ["title", "detail"] {
        assert!(!document[member].as_str().unwrap().is_empty(), "{member}: {what}");
    }
}

/// The server is as it was.
async fn works(world: &World) {
    world.get("/livez").await.expect(200);
}

/// A signed-in person with the token.
async fn signed_in(world: &World, name: &str) -> (Persona, String) {
    let persona = world.register(name).await;
    let token = world.sign_in(&persona).await;
    (persona, token)
}

/// The values of a header whose value is a list.
fn listed(answer: &Answer, name: &str) -> BTreeSet<String> {
    answer
        .headers
        .get_all(name)
        .iter()
        .flat_map(|value| value.to_str().unwrap().split(','))
        .map(|value| value.trim().to_lowercase())
        .collect()
}

/// Headers as pairs, without those that differ from answer to answer.
fn comparable(headers: &HeaderMap) -> Vec<(String, String)> {
    let mut pairs: Vec<(String, String)> = headers
        .iter()
        .filter(|(name, _)| !["date", "x-request-id"].contains(&name.as_str()))
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
        .collect();
    pairs.sort();
    pairs
}

/// One answer of each status that there is an easy way to.
async fn one_of_each_status(world: &World, headers: &[(&str, &str)]) -> BTreeMap<u16, Answer> {
    let (ada, token) = signed_in(world, "ada").await;
    let (_, closing) = signed_in(world, "closing").await;
    let shut_out = world.disabled_user().await;
    let new = json!({"email": "new@example.test", "password": PASSWORD});
    let calls: Vec<Call> = vec![
        world.get("/users/me").bearer(&token),
        world.post("/users/").json(&new),
        world.delete("/users/me").bearer(&closing),
        world.post("/login").body("application/json", "{"),
        world.get("/users/me").bearer("garbage"),
        world.log_in(&shut_out.email, &shut_out.password),
        world.get("/nowhere"),
        world.delete("/livez"),
        world.post("/users/").json(&new),
        world
            .put("/users/me")
            .bearer(&token)
            .header("if-match", "\"r0\"")
            .json(&json!({"display_name": "Ada"})),
        world.post("/login").body("application/json", " ".repeat(70_000)),
        world.post("/login").body("text/plain", "x"),
        world.post("/login").json(&json!({})),
    ];
    let mut found = BTreeMap::new();
    for call in calls {
        let call = headers
            .iter()
            .fold(call, |call, (name, value)| call.header(name, value));
        let answer = call.await;
        found.insert(answer.status, answer);
    }
    // Who tries too often, at another server of the same database.
    let strict = world
        .second_instance_with(|variables| {
            variables.set("ROSTER__LIMITS__ENABLED", "true");
            variables.set("ROSTER__LIMITS__ACCOUNT_BURST", "1");
        })
        .await;
    let attempt = || {
        let call = strict.log_in("nobody@example.test", PASSWORD);
        headers
            .iter()
            .fold(call, |call, (name, value)| call.header(name, value))
    };
    // Time stands still here, so the second attempt is one too many.
    attempt().await.expect(401);
    found.insert(429, attempt().await.expect(429));
    // A fault of ours: a row that nobody of ours has written.
    let broken = users::ActiveModel {
        metadata: Set("no JSON".to_owned()),
        ..Default::default()
    };
    world.update_user(&ada, broken).await;
    let call = headers
        .iter()
        .fold(world.get("/users/me").bearer(&token), |call, (name, value)| {
            call.header(name, value)
        });
    found.insert(500, call.await.expect(500));
    world.state.lifecycle.end();
    let call = headers.iter().fold(world.get("/readyz"), |call, (name, value)| {
        call.header(name, value)
    });
    found.insert(503, call.await.expect(503));
    let statuses: Vec<u16> = found.keys().copied().collect();
    assert_eq!(
        statuses,
        [
            200, 201, 204, 400, 401, 403, 404, 405, 409, 412, 413, 415, 422, 429, 500, 503
        ]
    );
    found
}

mod framing;
mod headers;
mod lists;
mod methods;
mod origins;
mod pages;
mod panics;
mod paths;
mod pipelining;
mod slowness;
