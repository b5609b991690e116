//! Requests that don't come, or come too slowly, and clients that ask before they send.

use futures_util::FutureExt as _;
use futures_util::future::join_all;
use reqwest::Method;

use super::{check_refusal, signed_in, wire, works};
use crate::support::{Stage, World};

/// Sends a head byte by byte, one for each answer that somebody else has got meanwhile, until that is refused.
macro_rules! trickle {
    ($world:expr, $connection:expr) => {{
        $connection
            .send("GET /livez HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
            .await;
        let answer = loop {
            $connection.send("x").await;
            works($world).await;
            if let Some(answer) = $connection.answer().now_or_never() {
                break answer;
            }
        };
        if let Some(answer) = answer {
            is_refused!(answer, &[408], "a head that trickles in");
        }
    }};
}

scenario! {
    async fn a_head_that_does_not_end_is_not_waited_for(stage: Stage) {
        let world = World::with(&stage, |variables| variables.set("ROSTER__SERVER__HEADER_TIMEOUT_SECONDS", "1")).await;
        let mut connections = Vec::new();
        for start in ["", "G", "GET /livez HTTP/1.1\r\n", "GET /livez HTTP/1.1\r\nHost: localhost\r\nX-Slow: ", "\r\n\r\n"] {
            let mut connection = world.connection().await;
            connection.send(start).await;
            connections.push((connection, start));
        }
        for (mut connection, start) in connections {
            if let Some(answer) = connection.answer().await {
                is_refused!(answer, &[408], start);
            }
            assert!(connection.rest().await.is_empty(), "the connection is closed");
        }
        works(&world).await;
    }

    async fn a_head_that_trickles_in_is_not_waited_for(stage: Stage) {
        let world = World::with(&stage, |variables| variables.set("ROSTER__SERVER__HEADER_TIMEOUT_SECONDS", "1")).await;
        let mut connection = world.connection().await;
        trickle!(&world, connection);
        assert!(connection.rest().await.is_empty(), "the connection is closed");
    }

    async fn a_head_that_trickles_in_later_is_not_waited_for_either(stage: Stage) {
        let world = World::with(&stage, |variables| {
            variables.set("ROSTER__SERVER__HEADER_TIMEOUT_SECONDS", "1");
            variables.set("ROSTER__SERVER__BODY_TIMEOUT_SECONDS", "1");
        })
        .await;
        let mut connection = world.connection().await;
        connection.send(wire("GET", "/livez", &[], "")).await;
        assert_eq!(connection.answer().await.unwrap().status, 200);
        trickle!(&world, connection);
        assert!(connection.rest().await.is_empty(), "the connection is closed");
    }

    async fn a_body_that_does_not_come_is_not_waited_for(stage: Stage) {
        let world = World::with(&stage, |variables| variables.set("ROSTER__SERVER__BODY_TIMEOUT_SECONDS", "1")).await;
        let (_, token) = signed_in(&world, "ada").await;
        let operations = [("POST", "/users/"), ("POST", "/login"), ("PUT", "/users/me"), ("PATCH", "/users/me")];
        let mut connections = Vec::new();
        for (method, path) in operations {
            for (framing, start) in [
                ("Content-Length: 100", ""),
                ("Content-Length: 100", "{\"email\": "),
                ("Transfer-Encoding: chunked", "5\r\n{\"ema"),
                ("Transfer-Encoding: chunked", "2\r\n{}\r\n"),
            ] {
                let mut connection = world.connection().await;
                let head = format!(
                    "{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\
                     Content-Type: application/json\r\n{framing}\r\n\r\n{start}"
                );
                connection.send(head).await;
                connections.push((connection, method, path));
            }
        }
        for (mut connection, method, path) in connections {
            let answer = connection.answer().await.expect("an answer before the end");
            let answer = answer.checked(Method::from_bytes(method.as_bytes()).unwrap(), path);
            answer.problem("malformed-request");
            assert!(connection.rest().await.is_empty(), "the connection is closed");
        }
        works(&world).await;
    }

    async fn a_body_that_trickles_in_is_not_waited_for(stage: Stage) {
        let world = World::with(&stage, |variables| variables.set("ROSTER__SERVER__BODY_TIMEOUT_SECONDS", "1")).await;
        let mut connection = world.connection().await;
        let head = "POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 60000\r\n\r\n";
        connection.send(head).await;
        let answer = loop {
            connection.send(" ").await;
            works(&world).await;
            if let Some(answer) = connection.answer().now_or_never() {
                break answer;
            }
        };
        let answer = answer.expect("an answer before the end").checked(Method::POST, "/login");
        answer.problem("malformed-request");
        assert!(connection.rest().await.is_empty(), "the connection is closed");
    }

    async fn who_asks_before_sending_too_much_is_told_not_to(world: World) {
        let (_, token) = signed_in(&world, "ada").await;
        let bearer = format!("Bearer {token}");
        let mut asked = Vec::new();
        for (method, path) in [("POST", "/users/"), ("POST", "/login"), ("PUT", "/users/me"), ("PATCH", "/users/me")] {
            let headers = [
                ("Authorization", bearer.as_str()),
                ("Content-Type", "application/json"),
                ("Content-Length", "65537"),
                ("Expect", "100-continue"),
            ];
            let mut connection = world.connection().await;
            connection.send(wire(method, path, &headers, "")).await;
            asked.push(connection.rest());
        }
        for all in join_all(asked).await {
            let all = String::from_utf8(all).unwrap();
            let status = all.get(..12);
            assert!(matches!(status, Some("HTTP/1.1 413" | "HTTP/1.1 417")), "{all}");
            assert!(all.contains("application/problem+json") && all.contains("payload-too-large"), "{all}");
            assert_eq!(all.matches("HTTP/1.1 ").count(), 1, "{all}");
        }
        works(&world).await;
    }

    async fn who_asks_before_sending_what_may_be_sent_is_told_to_go_on(world: World) {
        let (ada, token) = signed_in(&world, "ada").await;
        let bearer = format!("Bearer {token}");
        let body = "{\"display_name\":\"Ada\"}";
        let length = body.len().to_string();
        let headers = [
            ("Authorization", bearer.as_str()),
            ("Content-Type", "application/json"),
            ("Content-Length", length.as_str()),
            ("Expect", "100-continue"),
            ("Connection", "close"),
        ];
        let mut connection = world.connection().await;
        connection.send(wire("PUT", "/users/me", &headers, "")).await;
        connection.send(body).await;
        let all = String::from_utf8(connection.rest().await).unwrap();
        let last = all.strip_prefix("HTTP/1.1 100 Continue\r\n\r\n").expect("to go on");
        assert!(last.starts_with("HTTP/1.1 200 "), "{last}");
        assert_eq!(world.user_row(&ada).await.display_name.as_deref(), Some("Ada"));
        // What else there is to expect, nobody knows.
        let answer = world.raw(wire("GET", "/livez", &[("Expect", "the-unexpected")], "")).await;
        assert!(matches!(answer.status, 200 | 417), "{}", answer.status);
    }
}
