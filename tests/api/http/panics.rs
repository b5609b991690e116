//! A defect of ours: a handler that panics. The program has none, so these servers have two more routes than it has.

use std::future::ready;
use std::sync::{Mutex, Once};

use actix_web::HttpResponse;
use actix_web::web::{self, ServiceConfig};
use futures_util::future::join_all;
use serde_json::Value;

use super::{check_refusal, has_common_headers, signed_in, wire};
use crate::support::World;

/// Nobody outside is to read it.
const TEXT: &str = "plum-orbit-canvas-47 isn't for others to read";

async fn panics() -> HttpResponse {
    // Not before it is polled again, as in a handler that has waited for something.
    ready(()).await;
    panic!("{TEXT}")
}

fn more(config: &mut ServiceConfig) {
    for path in ["/panic", "/oauth/panic"] {
        config.service(web::resource(path).to(panics));
    }
}

/// Every failure that this process has logged with the id of a request: the id, and what was logged.
static FAILURES: Mutex<Vec<(String, String)>> = Mutex::new(Vec::new());

/// Keeps failures. There is one logger in a process, so whoever looks goes by the id of his request.
struct Failures;

impl log::Log for Failures {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.level() == log::Level::Error
    }

    fn log(&self, record: &log::Record<'_>) {
        if let Some(id) = record.key_values().get(log::kv::Key::from("request_id"))
            && self.enabled(record.metadata())
        {
            let said = (id.to_string(), record.args().to_string());
            FAILURES.lock().unwrap().push(said);
        }
    }

    fn flush(&self) {}
}

fn keep_failures() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        log::set_logger(&Failures).expect("no other logger in this process");
        log::set_max_level(log::LevelFilter::Error);
    });
}

/// What was logged of a request.
fn failures(id: &str) -> Vec<String> {
    let failures = FAILURES.lock().unwrap();
    let of_it = failures.iter().filter(|(of, _)| of == id);
    of_it.map(|(_, said)| said.clone()).collect()
}

scenario! {
    async fn a_handler_that_panics_is_answered_told_once_and_nobody_else_notices(world: World) {
        keep_failures();
        let (ada, token) = signed_in(&world, "ada").await;
        let bearer = format!("Bearer {token}");
        let world = world.with_more_mounted(more);
        let mut connection = world.connection().await;
        for _ in 0..3 {
            connection.send(wire("GET", "/panic", &[], "")).await;
            let answer = connection.answer().await.expect("an answer");
            is_refused!(answer, &[500], "a panic");
            assert!(answer.text().contains("\"/problems/internal-error\""), "{}", answer.text());
            assert!(!answer.text().contains(TEXT), "{}", answer.text());
            let id = answer.headers["x-request-id"].to_str().unwrap();
            assert_eq!(failures(id), ["a request handler panicked"]);
            // The connection goes on.
            connection.send(wire("GET", "/users/me", &[("Authorization", &bearer)], "")).await;
            let me = connection.answer().await.expect("the next answer");
            assert_eq!(me.status, 200);
            assert!(me.text().contains(&ada.email), "{}", me.text());
        }
        // With an id and a body of its sender's.
        let raw = world.raw(wire("POST", "/panic", &[("X-Request-Id", "panic-47")], "{}")).await;
        is_refused!(raw, &[500], "a panic with a body");
        assert_eq!(raw.headers["x-request-id"], "panic-47");
        // Where failures are told in another form.
        let raw = world.raw(wire("GET", "/oauth/panic", &[], "")).await;
        assert_eq!(raw.status, 500);
        has_common_headers(&raw.headers, "a panic below /oauth/");
        assert!(!raw.text().contains(TEXT), "{}", raw.text());
        let body: Value = serde_json::from_str(raw.text()).unwrap();
        assert!(body["error"].is_string(), "{body}");
    }

    async fn panics_of_many_at_once_hold_up_nobody_else(world: World) {
        let (_, token) = signed_in(&world, "ada").await;
        let bearer = format!("Bearer {token}");
        let world = world.with_more_mounted(more);
        let ask = async |number: usize| {
            let is_panic = number.is_multiple_of(2);
            let path = if is_panic { "/panic" } else { "/users/me" };
            let raw = world.raw(wire("GET", path, &[("Authorization", &bearer)], "")).await;
            assert_eq!(raw.status, if is_panic { 500 } else { 200 }, "{path}: {}", raw.text());
        };
        join_all((0..100).map(ask)).await;
        world.get("/users/me").bearer(&token).await.expect(200);
    }
}
