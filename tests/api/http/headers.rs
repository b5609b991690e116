//! What every answer has: headers that protect its reader, and the id of its request.

use std::collections::BTreeSet;

use reqwest::header::HeaderMap;

use super::{check_refusal, has_common_headers, one_of_each_status};
use crate::support::{PASSWORD, Stage, World};

scenario! {
    async fn every_answer_has_the_headers_that_protect_its_reader(world: World) {
        for (status, answer) in one_of_each_status(&world, &[]).await {
            has_common_headers(&answer.headers, &answer.to_string());
            assert_eq!(
                answer.header("content-security-policy"),
                "default-src 'none'; frame-ancestors 'none'",
                "{answer}"
            );
            assert_eq!(answer.header("cache-control"), "no-store", "{answer}");
            assert!(!answer.headers.contains_key("set-cookie"), "{answer}");
            assert!(!answer.headers.contains_key("strict-transport-security"), "{answer}");
            assert!(answer.headers.contains_key("date"), "{answer}");
            if status >= 400 {
                assert_eq!(answer.header("content-type"), "application/problem+json", "{answer}");
            }
        }
    }

    async fn https_is_insisted_on_where_it_is_what_clients_use(stage: Stage) {
        let world = World::with(&stage, |variables| {
            variables.set("ROSTER__SERVER__PUBLIC_URL", "https://accounts.example.test");
        })
        .await;
        let is_told = |headers: &HeaderMap, what: &str| {
            let value = headers.get("strict-transport-security").unwrap_or_else(|| panic!("{what}"));
            let age = value.to_str().unwrap().strip_prefix("max-age=").unwrap();
            let (seconds, rest) = age.split_once(';').unwrap();
            assert!(seconds.parse::<u64>().unwrap() >= 31_536_000, "{what}");
            assert_eq!(rest.trim(), "includeSubDomains", "{what}");
        };
        for answer in one_of_each_status(&world, &[]).await.values() {
            is_told(&answer.headers, &answer.to_string());
        }
        for path in ["/", "/docs", "/problems"] {
            let answer = world.get(path).header("accept", "text/html").await.expect(200);
            is_told(&answer.headers, path);
        }
        for refused in ["GARBAGE\r\n\r\n", "GET /livez HTTP/1.1\r\n\r\n"] {
            let answer = world.raw(refused).await;
            is_told(&answer.headers, refused);
        }
    }

    async fn a_well_formed_request_id_is_kept(world: World) {
        let longest = "x".repeat(64);
        for id in ["a", "0", "-", "_", "A-z_09", "0af7651916cd43dd8448eb211c80319c", longest.as_str()] {
            let answer = world.get("/livez").header("x-request-id", id).await.expect(200);
            assert_eq!(answer.header("x-request-id"), id);
            for call in [
                world.get("/nowhere"),
                world.get("/users/me"),
                world.delete("/livez"),
                world.post("/login").body("application/json", "{"),
                world.get("/users/me").bearer("garbage"),
                world.log_in("nobody@example.test", PASSWORD),
            ] {
                let answer = call.header("x-request-id", id).await;
                assert_eq!(answer.header("x-request-id"), id, "{answer}");
                assert_eq!(answer.json()["request_id"], id, "{answer}");
            }
        }
    }

    async fn any_other_request_id_is_replaced(world: World) {
        let too_long = "x".repeat(65);
        let much_too_long = "x".repeat(5000);
        let ids: [&[u8]; 17] = [
            b"", too_long.as_bytes(), much_too_long.as_bytes(), b"a b", b"a.b", b"a/b", b"../x", b"a:b", b"a,b", b"a\tb",
            b"{}", b"\"a\"", b"<script>", b"%0d%0a", "é".as_bytes(), b"\xff", b"a=b",
        ];
        let mut seen = BTreeSet::new();
        for id in ids {
            for path in ["/livez", "/nowhere"] {
                let answer = world.get(path).header("x-request-id", id).await;
                let made = answer.header("x-request-id").to_owned();
                assert_ne!(made.as_bytes(), id, "{answer}");
                if path == "/nowhere" {
                    assert_eq!(answer.json()["request_id"], made, "{answer}");
                }
                assert!(seen.insert(made), "made twice: {answer}");
            }
        }
        // Two of them: which one is it?
        let answer = world.get("/nowhere").header("x-request-id", "one").header("x-request-id", "two").await;
        let made = answer.header("x-request-id").to_owned();
        assert!(!["one", "two"].contains(&made.as_str()), "{answer}");
        for _ in 0..20 {
            let made = world.get("/livez").await.header("x-request-id").to_owned();
            assert!(seen.insert(made));
        }
    }

    async fn refusals_below_http_have_ids_of_their_own(world: World) {
        let mut seen = BTreeSet::new();
        for _ in 0..5 {
            for bytes in ["GARBAGE\r\n\r\n", "GET /livez HTTP/1.1\r\nX-Request-Id: mine\r\n\r\n"] {
                let answer = world.raw(bytes).await;
                is_refused!(answer, &[400], bytes);
                seen.insert(answer.headers["x-request-id"].to_str().unwrap().to_owned());
            }
        }
        seen.remove("mine");
        assert!(seen.len() >= 5, "{seen:?}");
    }
}
