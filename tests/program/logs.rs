//! The access log: one line a request, with what an operator needs and nothing that is private.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::support::{Client, Installation, PASSWORD, Raw, Server};

/// Nobody has this address or sends these, so that they can be looked for.
const EMAIL: &str = "private.person@example.com";
/// The last two are how our tokens begin, and one that was made up: fewer letters are in a random id now and then.
const MARKS: [&str; 5] = ["private.person", PASSWORD, "query-mark", "eyJ0eXAi", "eyJ."];

/// Requests of every sort; gives how many.
async fn requests(server: &Server) -> usize {
    let client = server.client();
    client.register(EMAIL).await;
    let token = client.login(EMAIL).await;
    client.me(&token).await;
    client.try_login(EMAIL, "query-mark").await;
    client
        .get(&format!(
            "/users/me?access_token={token}&email={EMAIL}&q=query-mark"
        ))
        .await;
    client.get("/nothing/here?q=query-mark").await;
    client.me("eyJ.eyJ.eyJ").await;
    client
        .post(
            "/users/",
            &json!({ "email": EMAIL, "password": PASSWORD, "query-mark": 1 }),
        )
        .await;
    Client::answer(client.request(reqwest::Method::PATCH, "/login?q=query-mark")).await;
    Client::answer(client.request(reqwest::Method::HEAD, "/livez")).await;
    10
}

#[tokio::test]
async fn a_request_is_one_line_of_text_without_anything_private() {
    let server = Installation::new().serve().await;
    let count = requests(&server).await;
    let lines = server.stop().await;
    let access: Vec<BTreeMap<&str, &str>> = lines
        .iter()
        .filter(|line| line.contains(" request method="))
        .map(|line| line.split(' ').filter_map(|word| word.split_once('=')).collect())
        .collect();
    assert_eq!(access.len(), count, "{lines:#?}");
    for line in &access {
        let names: Vec<_> = line.keys().copied().collect();
        assert_eq!(
            names,
            [
                "duration_us",
                "ip",
                "method",
                "path",
                "request_id",
                "status",
                "user"
            ]
        );
        assert!(
            line["duration_us"].parse::<u64>().is_ok_and(|micros| micros > 0),
            "{line:?}"
        );
        assert_eq!(line["ip"], "127.0.0.1");
    }
    let told: Vec<_> = access
        .iter()
        .map(|line| (line["method"], line["path"], line["status"]))
        .collect();
    assert_eq!(
        told,
        [
            ("POST", "/users/", "201"),
            ("POST", "/login", "200"),
            ("GET", "/users/me", "200"),
            ("POST", "/login", "401"),
            ("GET", "/users/me", "401"),
            ("GET", "/nothing/here", "404"),
            ("GET", "/users/me", "401"),
            ("POST", "/users/", "422"),
            ("PATCH", "/login", "405"),
            ("HEAD", "/livez", "200"),
        ]
    );
    assert_private(&lines);
}

#[tokio::test]
async fn a_request_is_one_line_of_json_without_anything_private() {
    let server = Installation::new()
        .with("ROSTER__LOG__FORMAT", "json")
        .serve()
        .await;
    let count = requests(&server).await;
    let lines = server.stop().await;
    let access: Vec<Value> = lines
        .iter()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|record| record["target"] == "roster::access")
        .collect();
    assert_eq!(access.len(), count, "{lines:#?}");
    for record in &access {
        assert!(
            record["status"].is_u64() && record["duration_us"].is_u64(),
            "{record}"
        );
        for field in ["method", "path", "ip", "request_id"] {
            assert!(record[field].is_string(), "{record}");
        }
    }
    assert_private(&lines);
}

fn assert_private(lines: &[String]) {
    for line in lines {
        for mark in MARKS {
            assert!(!line.contains(mark), "{mark:?} in {line}");
        }
    }
}

#[tokio::test]
async fn the_request_id_of_an_answer_is_the_one_in_the_log() {
    let server = Installation::new().serve().await;
    let response = server
        .client()
        .request(reqwest::Method::GET, "/livez")
        .send()
        .await
        .unwrap();
    let made = response.headers()["x-request-id"].to_str().unwrap().to_owned();
    let kept = server
        .client()
        .request(reqwest::Method::GET, "/livez")
        .header("x-request-id", "trace-47");
    kept.send().await.unwrap();
    let lines = server.stop().await;
    for id in [made.as_str(), "trace-47"] {
        assert_eq!(
            lines
                .iter()
                .filter(|line| line.ends_with(&format!("request_id={id}")))
                .count(),
            1,
            "{lines:#?}"
        );
    }
}

#[tokio::test]
async fn nothing_in_a_request_can_break_a_line_or_paint_the_terminal() {
    for format in ["text", "json"] {
        let server = Installation::new()
            .with("ROSTER__LOG__FORMAT", format)
            .serve()
            .await;
        let address = server.address().to_owned();
        let hostile = [
            "/a%0A2026-01-01T00:00:00Z%20ERROR%20forged".as_bytes(),
            b"/a\x1b[31mred",
            b"/a\x0bb\x0cc",
            b"/a\x7fb",
            "/\u{85}next\u{2028}line\u{202e}thgir".as_bytes(),
            b"/\xff\xfe",
            b"/a\tb",
            b"/a\rb",
        ];
        let mut answered = 0;
        for path in hostile {
            let mut raw = Raw::connect(&address).await;
            let rest =
                format!(" HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nX-Request-Id: a b\r\n\r\n");
            raw.send([b"GET ", path, rest.as_bytes()].concat()).await;
            let answer = raw.rest().await;
            assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
            answered += usize::from(answer.starts_with("HTTP/1.1 404"));
        }
        let lines = server.stop().await;
        assert_records(&lines);
        let access = lines
            .iter()
            .filter(|line| line.contains("status=404") || line.contains("\"status\":404"))
            .count();
        assert_eq!(access, answered, "{lines:#?}");
        assert!(answered > 0);
    }
}

#[tokio::test]
async fn a_line_is_short_however_long_its_request_is() {
    let server = Installation::new().serve().await;
    let mut raw = Raw::connect(server.address()).await;
    let (method, path) = ("M".repeat(4_000), "p".repeat(4_000));
    raw.send(format!(
        "{method} /{path} HTTP/1.1\r\nHost: {}\r\n\r\n",
        server.address()
    ))
    .await;
    let (head, _) = raw.answer().await;
    assert!(head.starts_with("HTTP/1.1 4"), "{head}");
    let lines = server.stop().await;
    let line = lines.iter().find(|line| line.contains(" request method=MMM"));
    let line = line.expect("a line for the request");
    assert!(line.contains("path=/ppp") && line.len() < 500, "{line}");
}

/// Each line is a record of ours, without anything that isn't to be seen.
fn assert_records(lines: &[String]) {
    let plain = |c: char| !c.is_control() && !matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}');
    for line in lines {
        assert!(line.chars().all(plain), "{line:?}");
        let is_record =
            serde_json::from_str::<Value>(line).is_ok() || line.starts_with("20") && line.contains("Z ");
        assert!(is_record, "{line:?}");
        assert!(!line.starts_with("2026-01-01T00:00:00Z"), "{line}");
    }
}

#[tokio::test]
async fn a_malformed_request_is_one_line_and_no_error_of_ours() {
    let server = Installation::new().serve().await;
    for head in ["G\0T / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\na b: c\r\n\r\n"] {
        let mut raw = Raw::connect(server.address()).await;
        raw.send(head).await;
        let (answer, _) = raw.answer().await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    }
    let lines = server.stop().await;
    assert!(lines.iter().all(|line| !line.contains("ERROR")), "{lines:#?}");
}

#[tokio::test]
async fn neither_addresses_nor_programs_of_clients_are_in_the_log_whatever_they_look_like() {
    const PROGRAM: &str = "agent-mark/1.0";
    for format in ["text", "json"] {
        let server = Installation::new()
            .with("ROSTER__LOG__FORMAT", format)
            .serve()
            .await;
        let client = server.client();
        client.register(EMAIL).await;
        let login = client
            .request(reqwest::Method::POST, "/login")
            .header("user-agent", PROGRAM)
            .json(&json!({ "email": EMAIL, "password": PASSWORD }));
        let (status, body) = Client::answer(login).await;
        assert_eq!(status, 200, "{body}");
        let sessions = client
            .request(reqwest::Method::GET, "/users/me/sessions")
            .bearer_auth(body["access_token"].as_str().unwrap());
        let (_, sessions) = Client::answer(sessions).await;
        // It is read, and kept where its owner sees it.
        assert_eq!(sessions["items"][0]["user_agent"], PROGRAM, "{sessions}");

        let emails = [
            EMAIL,
            "private.person@",
            "private.person\r\n2026-01-01T00:00:00Z ERROR forged@example.com",
            "private.person\u{1b}[31m@example.com",
            "private.person\0@example.com",
            "private.person\u{2028}\u{202e}@example.com",
            "\"private.person\\\"@example.com\",\"level\":\"ERROR\"",
        ];
        let programs: [&[u8]; 7] = [
            PROGRAM.as_bytes(),
            b"agent-mark \"quoted\\\" {\"level\":\"ERROR\"}",
            b"agent-mark\t%0d%0aforged=1 status=500",
            "agent-mark \u{2028}\u{202e}forged".as_bytes(),
            b"agent-mark \xff\xfe",
            // These two are no header at all.
            b"agent-mark\x1b[31mforged",
            b"agent-mark\rforged",
        ];
        let mut ids = Vec::new();
        for (email, program) in emails.into_iter().zip(programs) {
            for path in ["/users/", "/login"] {
                let body = json!({ "email": email, "password": "wrong-lantern-88" }).to_string();
                let head = format!(
                    "POST {path} HTTP/1.1\r\nHost: {}\r\nUser-Agent: ",
                    server.address()
                );
                let rest = format!(
                    "\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                    body.len()
                );
                let mut raw = Raw::connect(server.address()).await;
                raw.send([head.as_bytes(), program, rest.as_bytes()].concat())
                    .await;
                let answer = raw.rest().await;
                assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
                let id = answer
                    .lines()
                    .find_map(|line| line.strip_prefix("x-request-id: "));
                ids.push(id.expect("an id").to_owned());
            }
        }
        let lines = server.stop().await;
        assert_records(&lines);
        for id in ids {
            let told = lines.iter().filter(|line| line.contains(&id)).count();
            assert_eq!(told, 1, "{id}: {lines:#?}");
        }
        assert_private(&lines);
        for line in &lines {
            assert!(!line.contains("agent-mark") && !line.contains("forged"), "{line}");
        }
    }
}

#[tokio::test]
async fn a_quiet_log_is_quiet() {
    let server = Installation::new()
        .with("ROSTER__LOG__FILTER", "info,roster::access=off")
        .serve()
        .await;
    requests(&server).await;
    let lines = server.stop().await;
    assert!(!lines.iter().any(|line| line.contains("path=")), "{lines:#?}");
}

#[tokio::test]
async fn a_flood_of_refused_requests_does_not_flood_the_log() {
    const FLOOD: usize = 2_000;
    let server = Installation::new()
        .with("ROSTER__LIMITS__ENABLED", "true")
        .with("ROSTER__LIMITS__ACCOUNT_BURST", "1")
        .with("ROSTER__LIMITS__ACCOUNT_LONGEST_WAIT_SECONDS", "900")
        .serve()
        .await;
    let client = server.client();
    let begun = std::time::Instant::now();
    let (mut refused, mut looked_at) = (0, 0);
    while refused < FLOOD {
        let tries = (0..50).map(|_| client.try_login("nobody@example.com", "wrong-lantern-88"));
        for (status, _) in futures_util::future::join_all(tries).await {
            match status {
                429 => refused += 1,
                401 => looked_at += 1,
                other => panic!("{other}"),
            }
        }
    }
    let seconds = usize::try_from(begun.elapsed().as_secs()).unwrap() + 2;
    let lines = server.stop().await;
    let logged = lines.iter().filter(|line| line.contains("status=429")).count();
    assert!(logged >= 20 && logged <= 20 * seconds, "{logged} in {seconds} s");
    // Each of those that were looked at is there: they are far fewer than are logged of their kind.
    let failed = lines.iter().filter(|line| line.contains("status=401")).count();
    assert_eq!(failed, looked_at);
}

#[tokio::test]
async fn a_flood_of_strangers_does_not_flood_the_log_and_is_counted() {
    const AT_ONCE: usize = 50;
    const AT_LEAST: usize = 3_000;
    let server = Installation::new().serve().await;
    let client = server.client();
    let begun = std::time::Instant::now();
    // Over the end of a second and more, as what wasn't logged is told with the first line of the next one.
    let mut sent = 0;
    while sent < AT_LEAST || begun.elapsed().as_secs() < 3 {
        let unknown = (0..AT_ONCE).map(|_| client.get("/nothing/here"));
        let strangers = (0..AT_ONCE).map(|_| client.me("nonsense"));
        for (status, _) in futures_util::future::join_all(unknown).await {
            assert_eq!(status, 404);
        }
        for (status, _) in futures_util::future::join_all(strangers).await {
            assert_eq!(status, 401);
        }
        sent += AT_ONCE;
    }
    let seconds = usize::try_from(begun.elapsed().as_secs()).unwrap() + 2;
    // What isn't refused is logged in any case.
    assert_eq!(client.get("/livez").await.0, 200);
    let lines = server.stop().await;
    for status in ["401", "404"] {
        let of_status = format!(" status={status} ");
        let logged = lines.iter().filter(|line| line.contains(&of_status)).count();
        assert!(
            logged >= 100 && logged <= 100 * seconds,
            "{logged} of {status} in {seconds} s"
        );
        let answer = format!(" answer={status} count=");
        let left_out: usize = lines
            .iter()
            .filter_map(|line| {
                line.split_once(&answer)?
                    .1
                    .split(' ')
                    .next()?
                    .parse::<usize>()
                    .ok()
            })
            .sum();
        // As many as one second has room for, where the machine is that fast.
        assert!(
            left_out > 0 || sent <= 100 * seconds,
            "nobody is told of {status}"
        );
        assert!(logged + left_out <= sent, "{logged} + {left_out} of {sent}");
    }
    assert_eq!(
        lines.iter().filter(|line| line.contains(" path=/livez ")).count(),
        1
    );
}
