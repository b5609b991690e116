//! Where a request begins and ends, and what is no request at all.

use reqwest::Method;
use serde_json::json;

use super::{check_refusal, signed_in, wire, works};
use crate::support::World;

/// What follows a request that mustn't be answered: if this is, somebody has smuggled it in.
const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// Sends bytes that are refused, and makes sure that nothing behind them is answered.
async fn refused(world: &World, bytes: impl AsRef<[u8]>, statuses: &[u16]) {
    let what = String::from_utf8_lossy(bytes.as_ref())
        .chars()
        .take(120)
        .collect::<String>();
    let mut connection = world.connection().await;
    connection.send(bytes).await;
    let answer = connection
        .answer()
        .await
        .unwrap_or_else(|| panic!("closed without an answer: {what}"));
    is_refused!(answer, statuses, &what);
    let rest = connection.rest().await;
    assert!(
        rest.is_empty(),
        "answered twice: {what}: {}",
        String::from_utf8_lossy(&rest)
    );
}

scenario! {
    async fn a_request_has_exactly_one_host(world: World) {
        let refused_heads = [
            "GET /livez HTTP/1.1\r\n\r\n",
            "GET /livez HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n",
            "GET /livez HTTP/1.1\r\nHost: localhost\r\nhost: elsewhere.test\r\n\r\n",
            "POST /login HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
            "GET http://localhost/livez HTTP/1.1\r\n\r\n",
        ];
        for head in refused_heads {
            let raw = world.raw(head).await;
            is_refused!(raw, &[400], head);
        }
        let old = world.raw("GET /livez HTTP/1.0\r\n\r\n").await;
        assert_eq!(old.status, 200, "HTTP/1.0 knows no Host");
        works(&world).await;
    }

    async fn what_is_no_request_gets_a_problem_document_as_well(world: World) {
        let bytes: [&[u8]; 19] = [
            b"GARBAGE\r\n\r\n",
            b"GET\r\n\r\n",
            b"GET /livez\r\n\r\n",
            b"GET  HTTP/1.1\r\nHost: localhost\r\n\r\n",
            b"GET /livez HTTP/9.9\r\nHost: localhost\r\n\r\n",
            b"GET /livez HTTP/1.1 x\r\nHost: localhost\r\n\r\n",
            b"GET /live z HTTP/1.1\r\nHost: localhost\r\n\r\n",
            b"GET /livez HTTPS/1.1\r\nHost: localhost\r\n\r\n",
            b"G\xc3\x89T /livez HTTP/1.1\r\nHost: localhost\r\n\r\n",
            b"G@T: /livez HTTP/1.1\r\nHost: localhost\r\n\r\n",
            b"GET /livez HTTP/1.1\r\nno colon\r\n\r\n",
            b"GET /livez HTTP/1.1\r\nHost: localhost\r\nBad Name: 1\r\n\r\n",
            b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX-Space : 1\r\n\r\n",
            b"GET /livez HTTP/1.1\r\nHost: localhost\r\n: no name\r\n\r\n",
            b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX-Nul: a\0b\r\n\r\n",
            b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX-Return: a\rb\r\n\r\n",
            b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX-Folded: a\r\n b\r\n\r\n",
            // What a TLS client says first, and what an HTTP/2 client says.
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x00\x00\x00\x00\r\n\r\n",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        ];
        for bytes in bytes {
            refused(&world, bytes, &[400, 505]).await;
        }
        works(&world).await;
    }

    async fn a_body_whose_end_is_ambiguous_is_refused(world: World) {
        let framings = [
            "Content-Length: 5\r\nContent-Length: 6\r\n",
            "Content-Length: 5, 6\r\n",
            "Content-Length: -1\r\n",
            "Content-Length: +5\r\n",
            "Content-Length: 0x5\r\n",
            "Content-Length: 5 5\r\n",
            "Content-Length: five\r\n",
            "Content-Length: 99999999999999999999999999\r\n",
            "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
            "Transfer-Encoding: xchunked\r\n",
            "Transfer-Encoding: chunked, identity\r\n",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
            "Transfer-Encoding:\u{b}chunked\r\n",
        ];
        for framing in framings {
            let head = format!(
                "POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{framing}\r\n"
            );
            refused(&world, format!("{head}0\r\n\r\n{SMUGGLED}"), &[400, 413, 501]).await;
        }
        // The length of a chunk, likewise.
        for length in ["-1", "0x1", "g", "+1", "", "fffffffffffffffff", "1;\nx"] {
            let head = "POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
                        Transfer-Encoding: chunked\r\n\r\n";
            let mut connection = world.connection().await;
            connection.send(format!("{head}{length}\r\n{{\r\n0\r\n\r\n{SMUGGLED}")).await;
            let all = String::from_utf8(connection.rest().await).unwrap();
            assert!(!all.contains("HTTP/1.1 404"), "the second request was answered: {length:?}: {all}");
            assert!(all.is_empty() || all.starts_with("HTTP/1.1 400"), "{length:?}: {all}");
        }
        works(&world).await;
    }

    async fn a_head_of_usual_size_is_read(world: World) {
        let many: Vec<(String, String)> = (0..80).map(|n| (format!("x-header-{n}"), "x".repeat(40))).collect();
        let many: Vec<(&str, &str)> = many.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let long = "x".repeat(8_000);
        for headers in [&many[..], &[("x-long", long.as_str())]] {
            let answer = world.raw(wire("GET", "/livez", headers, "")).await;
            assert_eq!(answer.checked(Method::GET, "/livez").status, 200);
        }
        let path = format!("/livez?{long}");
        assert_eq!(world.raw(wire("GET", &path, &[], "")).await.status, 200);
    }

    async fn a_head_without_measure_is_refused(world: World) {
        let many: Vec<(String, String)> = (0..200).map(|n| (format!("x-header-{n}"), "x".to_owned())).collect();
        let many: Vec<(&str, &str)> = many.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let long = "x".repeat(200_000);
        let heads = [
            wire("GET", "/livez", &many, ""),
            wire("GET", "/livez", &[("x-long", &long)], ""),
            wire("GET", "/livez", &[("cookie", &long)], ""),
            wire("GET", "/users/me", &[("authorization", &format!("Bearer {long}"))], ""),
            wire("GET", &format!("/livez?{long}"), &[], ""),
            wire("GET", &format!("/{long}"), &[], ""),
            wire(&long, "/livez", &[], ""),
            // Without an end.
            format!("GET /livez HTTP/1.1\r\nHost: localhost\r\nx-long: {long}"),
        ];
        for head in heads {
            refused(&world, head, &[400, 414, 431]).await;
        }
        works(&world).await;
    }

    async fn what_of_a_head_is_too_long_is_told_by_the_status(world: World) {
        let usual = "x".repeat(60_000);
        for head in [
            wire("GET", &format!("/livez?{usual}"), &[], ""),
            wire("GET", "/livez", &[("x-long", &usual)], ""),
            wire("GET", "/livez", &[(&usual, "x")], ""),
            // Both, each of which may be as long as it is.
            wire("GET", &format!("/livez?{usual}"), &[("x-long", &usual)], ""),
        ] {
            assert_eq!(world.raw(head).await.status, 200);
        }
        // Around what the framework's parser of targets takes, and what its buffer holds.
        for size in [65_534, 70_000, 131_000, 131_072, 200_000] {
            let long = "x".repeat(size);
            for line in [
                wire("GET", &format!("/livez?{long}"), &[], ""),
                wire("GET", &format!("/{long}"), &[], ""),
                wire("GET", &format!("http://localhost/{long}"), &[], ""),
                wire(&long, "/livez", &[], ""),
                // Without an end.
                format!("GET /livez?{long}xxx"),
            ] {
                refused(&world, line, &[414]).await;
            }
            let many: Vec<(String, &str)> = (0..80).map(|n| (format!("x-header-{n}"), &long[..size / 80])).collect();
            let many: Vec<(&str, &str)> = many.iter().map(|(name, value)| (name.as_str(), *value)).collect();
            for fields in [
                wire("GET", "/livez", &[("x-long", &long)], ""),
                wire("GET", "/livez", &[("cookie", &long)], ""),
                wire("GET", "/livez", &many, ""),
                // The name of a header: the framework itself would panic at it.
                wire("GET", "/livez", &[(&long, "x")], ""),
                wire("GET", &format!("/livez?{usual}"), &[("x-long", &long)], ""),
                wire("POST", "/login", &[("x-long", &long)], "{}"),
                format!("GET /livez HTTP/1.1\r\nHost: localhost\r\nx-long: {long}"),
            ] {
                refused(&world, fields, &[431]).await;
            }
        }
        // Behind a request that is as it should be, whose answer comes first, also where it asks for another protocol.
        let long = "x".repeat(100_000);
        let other = wire("GET", "/livez", &[("Upgrade", "h2c")], "");
        for first in [wire("GET", "/livez", &[], ""), other] {
            let mut connection = world.connection().await;
            connection.send(first + &wire("GET", "/livez", &[(&long, "x")], "") + SMUGGLED).await;
            assert_eq!(connection.answer().await.expect("an answer").status, 200);
            let answer = connection.answer().await.expect("an answer");
            is_refused!(answer, &[431], "a long name behind another one");
        }
        for (head, status) in [
            (wire("GET", &format!("/livez?{long}"), &[], ""), 414),
            (wire("GET", "/livez", &[("x-long", &long)], ""), 431),
        ] {
            let mut connection = world.connection().await;
            connection.send(wire("GET", "/livez", &[], "") + &head + SMUGGLED).await;
            assert_eq!(connection.answer().await.expect("an answer").status, 200);
            let answer = connection.answer().await.expect("an answer");
            is_refused!(answer, &[status], "behind another one");
            let rest = connection.rest().await;
            assert!(rest.is_empty(), "{}", String::from_utf8_lossy(&rest));
        }
        works(&world).await;
    }

    async fn requests_in_one_breath_are_answered_in_order_and_each_as_its_own(world: World) {
        let (ada, ada_token) = signed_in(&world, "ada").await;
        let (bob, bob_token) = signed_in(&world, "bob").await;
        let (ada_bearer, bob_bearer) = (format!("Bearer {ada_token}"), format!("Bearer {bob_token}"));
        let mut breath = String::new();
        for round in 0..10 {
            let name = format!("{{\"display_name\":\"Ada {round}\"}}");
            breath += &wire("GET", "/users/me", &[("Authorization", &ada_bearer)], "");
            breath += &wire("GET", "/users/me", &[("Authorization", &bob_bearer)], "");
            breath += &wire("GET", "/users/me", &[], "");
            breath += &wire("PUT", "/users/me", &[("Authorization", &ada_bearer)], &name);
            breath += &wire("PUT", "/users/me", &[("Authorization", &bob_bearer)], "{\"unknown\":1}");
            breath += &wire("POST", "/login", &[("Authorization", &ada_bearer)], "{");
            breath += &wire("GET", "/nowhere", &[("Authorization", &bob_bearer)], "");
        }
        let mut connection = world.connection().await;
        connection.send(breath).await;
        for round in 0..10 {
            let mut next = async || connection.answer().await.expect("an answer");
            let me = next().await.checked(Method::GET, "/users/me").expect(200);
            assert_eq!(me.json()["email"], ada.email);
            if round > 0 {
                assert_eq!(me.json()["display_name"], format!("Ada {}", round - 1));
            }
            let me = next().await.checked(Method::GET, "/users/me").expect(200);
            assert_eq!((&me.json()["email"], &me.json()["display_name"]), (&json!(bob.email), &json!(null)));
            next().await.checked(Method::GET, "/users/me").problem("invalid-token");
            let changed = next().await.checked(Method::PUT, "/users/me").expect(200);
            assert_eq!(changed.json()["email"], ada.email);
            assert_eq!(changed.json()["display_name"], format!("Ada {round}"));
            next().await.checked(Method::PUT, "/users/me").faults(&[("/unknown", "unknown_member")]);
            next().await.checked(Method::POST, "/login").problem("malformed-request");
            next().await.checked(Method::GET, "/nowhere").problem("not-found");
        }
    }

    async fn who_asks_for_a_websocket_is_answered_as_ever_and_at_once(world: World) {
        let (ada, _) = signed_in(&world, "ada").await;
        let body = json!({"email": ada.email, "password": ada.password}).to_string();
        let length = body.len().to_string();
        let headers = [
            ("Connection", "Upgrade"),
            ("Upgrade", "websocket"),
            ("Content-Type", "application/json"),
            ("Content-Length", length.as_str()),
        ];
        // The time for a body is ten seconds, and nobody's patience is needed here.
        let started = std::time::Instant::now();
        let mut connection = world.connection().await;
        connection.send(wire("POST", "/login", &headers, "") + &body + SMUGGLED).await;
        let answer = connection.answer().await.expect("an answer").checked(Method::POST, "/login");
        answer.expect(200);
        let rest = connection.rest().await;
        assert!(rest.is_empty(), "{}", String::from_utf8_lossy(&rest));
        assert!(started.elapsed() < std::time::Duration::from_secs(8), "{:?}", started.elapsed());
        works(&world).await;
    }
}
