//! The checks fail where they have to: else every scenario would pass for nothing.

use std::panic::catch_unwind;

use reqwest::Method;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};

use super::*;

const USER: &str = r#"{"id":"01c2b7b9-c823-7868-a755-05cbe629de42","email":"ada@example.test","email_verified":false,
    "pending_email":null,"display_name":null,"metadata":{"any":1},"roles":[],"created_at":"2031-05-06T07:08:09.123Z",
    "updated_at":"2031-05-06T07:08:09.123Z","last_login_at":null}"#;

const PROBLEM: &str =
    r#"{"type":"/problems/invalid-token","title":"t","status":401,"detail":"d","request_id":"r1"}"#;

/// An answer that is right, to be spoilt.
#[derive(Clone)]
struct Draft {
    method: Method,
    path: &'static str,
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: String,
}

impl Draft {
    fn user() -> Self {
        Self {
            method: Method::GET,
            path: "/users/me",
            status: 200,
            headers: [
                ("x-request-id", "r1"),
                ("x-content-type-options", "nosniff"),
                ("referrer-policy", "no-referrer"),
                (
                    "content-security-policy",
                    "default-src 'none'; frame-ancestors 'none'",
                ),
                ("cache-control", "no-store"),
                ("content-type", "application/json"),
            ]
            .map(|(name, value)| (name, value.to_owned()))
            .into(),
            body: USER.to_owned(),
        }
    }

    fn problem() -> Self {
        Self {
            status: 401,
            body: PROBLEM.to_owned(),
            ..Self::user()
        }
        .with("content-type", "application/problem+json")
        .with("www-authenticate", r#"Bearer realm="roster""#)
    }

    fn with(mut self, name: &'static str, value: &str) -> Self {
        self = self.without(name);
        self.headers.push((name, value.to_owned()));
        self
    }

    fn without(mut self, name: &'static str) -> Self {
        self.headers.retain(|(known, _)| *known != name);
        self
    }

    fn member(mut self, name: &str, value: Value) -> Self {
        let mut body: Value = serde_json::from_str(&self.body).unwrap();
        body[name] = value;
        self.body = body.to_string();
        self
    }

    fn without_member(mut self, name: &str) -> Self {
        let mut body: Value = serde_json::from_str(&self.body).unwrap();
        body.as_object_mut().unwrap().remove(name).unwrap();
        self.body = body.to_string();
        self
    }

    fn passes(&self, asked: Asked) -> bool {
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            headers.append(
                HeaderName::from_static(name),
                HeaderValue::from_str(value).unwrap(),
            );
        }
        let draft = self.clone();
        catch_unwind(move || {
            let body = draft.body.into_bytes();
            let answer = Answer::new(draft.method, draft.path.to_owned(), draft.status, headers, body);
            check(&answer, asked);
        })
        .is_ok()
    }
}

#[test]
fn right_answers_pass() {
    let plainly = Asked::plainly();
    assert!(Draft::user().passes(plainly));
    assert!(Draft::problem().passes(plainly));
    let slashed = Draft {
        path: "/users/me/?x=1",
        ..Draft::user()
    };
    assert!(slashed.passes(plainly));
    let elsewhere = Draft {
        path: "/docs/nothing.css",
        status: 404,
        ..Draft::problem()
    };
    let elsewhere = elsewhere
        .member("status", json!(404))
        .member("type", json!("/problems/not-found"));
    assert!(elsewhere.without("www-authenticate").passes(plainly));
}

#[test]
fn a_missing_or_wrong_header_is_noticed() {
    for name in Draft::user().headers.iter().map(|(name, _)| *name) {
        assert!(!Draft::user().without(name).passes(Asked::plainly()), "{name}");
        assert!(
            !Draft::user().with(name, "wrong here!").passes(Asked::plainly()),
            "{name}"
        );
    }
    for (name, value) in [
        ("server", "actix"),
        ("x-powered-by", "x"),
        ("set-cookie", "a=b"),
        ("strict-transport-security", "max-age=1"),
        ("x-hash", "$2b$04$x"),
    ] {
        assert!(
            !Draft::user().with(name, value).passes(Asked::plainly()),
            "{name}"
        );
    }
    let https = Asked {
        is_https: true,
        ..Asked::plainly()
    };
    assert!(!Draft::user().passes(https));
    assert!(
        Draft::user()
            .with("strict-transport-security", "max-age=1")
            .passes(https)
    );
}

#[test]
fn a_body_that_is_not_documented_is_noticed() {
    for (name, value) in [
        ("is_admin", json!(true)),
        ("email_verified", json!("no")),
        ("id", json!("7")),
        ("id", json!("2c5ea4c0-4067-11e9-8bad-9b1deb4d3b7d")),
        ("created_at", json!("2031-05-06 07:08:09Z")),
        ("created_at", json!("2031-05-06T07:08:09.123456Z")),
        ("created_at", json!("2031-05-06T07:08:09+00:00")),
        ("roles", json!([1])),
        ("email", json!(null)),
        ("display_name", json!("$argon2id$v=19")),
        ("metadata", json!({"a": "password_hash"})),
    ] {
        assert!(
            !Draft::user().member(name, value).passes(Asked::plainly()),
            "{name}"
        );
    }
    for name in ["id", "email", "pending_email", "last_login_at", "metadata"] {
        assert!(
            !Draft::user().without_member(name).passes(Asked::plainly()),
            "{name}"
        );
    }
    for (status, path, method) in [
        (201, "/users/me", Method::GET),
        (200, "/users/me", Method::POST),
        (200, "/users", Method::GET),
        (200, "/nothing", Method::GET),
        (200, "/users/me", Method::HEAD),
        (204, "/users/me", Method::DELETE),
    ] {
        let draft = Draft {
            method,
            path,
            status,
            ..Draft::user()
        };
        assert!(!draft.passes(Asked::plainly()), "{status} {path}");
    }
    assert!(
        !Draft::user()
            .with("content-type", "text/html")
            .passes(Asked::plainly())
    );
}

#[test]
fn a_problem_that_is_none_is_noticed() {
    for (name, value) in [
        ("type", json!("/problems/unheard-of")),
        ("type", json!("/problems/forbidden")),
        ("type", json!("about:blank")),
        ("status", json!(403)),
        ("request_id", json!("r2")),
        ("detail", json!("")),
        ("detail", json!("SELECT 1")),
        ("detail", json!("expected a string at line 1 column 7")),
        ("detail", json!("panicked at src/main.rs:7")),
        (
            "errors",
            json!([{"pointer": "/email", "code": "missing", "detail": "is required"}]),
        ),
        ("errors", json!([])),
        ("instance", json!("/users/me")),
    ] {
        assert!(
            !Draft::problem().member(name, value).passes(Asked::plainly()),
            "{name}"
        );
    }
    for name in ["type", "title", "status", "detail", "request_id"] {
        assert!(
            !Draft::problem().without_member(name).passes(Asked::plainly()),
            "{name}"
        );
    }
    assert!(
        !Draft::problem()
            .without("www-authenticate")
            .passes(Asked::plainly())
    );
    assert!(
        !Draft::problem()
            .with("content-type", "application/json")
            .passes(Asked::plainly())
    );
    let with_token = Asked {
        has_token: true,
        ..Asked::plainly()
    };
    assert!(
        !Draft::problem().passes(with_token),
        "a token was sent, and isn't called invalid"
    );
    let challenge = r#"Bearer realm="roster", error="invalid_token""#;
    assert!(
        Draft::problem()
            .with("www-authenticate", challenge)
            .passes(with_token)
    );
    assert!(
        !Draft::problem()
            .with("www-authenticate", challenge)
            .passes(Asked::plainly())
    );
}

#[test]
fn what_a_known_path_refuses_it_says() {
    let refused = Draft {
        method: Method::DELETE,
        path: "/login",
        status: 405,
        ..Draft::problem()
    };
    let refused = refused
        .member("status", json!(405))
        .member("type", json!("/problems/method-not-allowed"));
    let refused = refused.without("www-authenticate");
    assert!(
        refused
            .clone()
            .with("allow", "POST, OPTIONS")
            .passes(Asked::plainly())
    );
    for allow in ["POST", "POST, OPTIONS, GET", "OPTIONS"] {
        assert!(
            !refused.clone().with("allow", allow).passes(Asked::plainly()),
            "{allow}"
        );
    }
    assert!(!refused.passes(Asked::plainly()));
}

#[test]
fn a_request_that_is_not_documented_must_not_be_taken() {
    let answer = |status| {
        let headers = HeaderMap::new();
        Answer::new(Method::POST, "/users/".to_owned(), status, headers, Vec::new())
    };
    let taken =
        |status: u16, body: Value| catch_unwind(move || check_request(&answer(status), &body)).is_ok();
    let good = json!({"email": "ada@x.test", "password": "plum-orbit-canvas-47"});
    let odd = json!({"email": "ada@x.test", "password": "plum-orbit-canvas-47", "role": "admin"});
    assert!(taken(201, good));
    assert!(!taken(201, odd.clone()));
    assert!(!taken(201, json!([])));
    assert!(taken(422, odd));
}
