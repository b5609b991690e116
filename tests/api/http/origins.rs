//! What web pages of other origins may do (CORS).

use std::collections::BTreeSet;

use reqwest::Method;

use super::{listed, one_of_each_status, paths, signed_in, spellings};
use crate::support::{Answer, Call, Stage, World};

const APP: &str = "https://app.example.test";
const OTHER_APP: &str = "http://localhost:3000";

async fn with_origins(stage: &Stage) -> World {
    World::with(stage, |variables| {
        variables.set("ROSTER__CORS__ALLOWED_ORIGINS", format!("{APP},{OTHER_APP}"));
    })
    .await
}

fn preflight(world: &World, path: &str, origin: &str, method: &str, headers: &str) -> Call {
    let call = world
        .call(Method::OPTIONS, path)
        .header("origin", origin)
        .header("access-control-request-method", method);
    if headers.is_empty() {
        call
    } else {
        call.header("access-control-request-headers", headers)
    }
}

/// Names of headers that let web pages of another origin do something.
fn permissions(answer: &Answer) -> Vec<&str> {
    let names = answer.headers.keys().map(reqwest::header::HeaderName::as_str);
    names
        .filter(|name| name.starts_with("access-control-allow-"))
        .collect()
}

const ORIGINS_OF_NOBODY: [&str; 10] = [
    "https://evil.example.test",
    "https://app.example.test.evil.test",
    "https://evil-app.example.test",
    "http://app.example.test",
    "https://app.example.test:8443",
    "https://app.example.test/",
    "https://sub.app.example.test",
    "http://localhost:3001",
    "null",
    "*",
];

scenario! {
    async fn pages_of_other_origins_may_do_nothing_unless_one_says_so(world: World) {
        for origin in [APP, "null", "http://accounts.test"] {
            for (path, allowed) in paths() {
                let answer = preflight(&world, &path, origin, "GET", "authorization").await.expect(204);
                assert!(permissions(&answer).is_empty(), "{answer}");
                let told: BTreeSet<String> = answer.header("allow").split(", ").map(str::to_owned).collect();
                assert_eq!(told, allowed);
            }
        }
        for answer in one_of_each_status(&world, &[("origin", APP)]).await.values() {
            assert!(!answer.headers.keys().any(|name| name.as_str().starts_with("access-control-")), "{answer}");
        }
    }

    async fn preflights_of_an_allowed_origin_are_answered_on_every_path(stage: Stage) {
        let world = with_origins(&stage).await;
        for origin in [APP, OTHER_APP] {
            for (path, allowed) in paths() {
                for spelling in spellings(&path) {
                    for method in &allowed {
                        let wanted = "authorization,content-type,if-match,x-request-id";
                        let answer = preflight(&world, &spelling, origin, method, wanted).await;
                        assert!(matches!(answer.status, 200 | 204), "{answer}");
                        assert_eq!(answer.header("access-control-allow-origin"), origin, "{answer}");
                        let methods = listed(&answer, "access-control-allow-methods");
                        assert!(methods.contains(&method.to_lowercase()), "{method}: {methods:?}: {answer}");
                        let headers = listed(&answer, "access-control-allow-headers");
                        for name in wanted.split(',') {
                            assert!(headers.contains(name), "{name}: {headers:?}: {answer}");
                        }
                        assert!(listed(&answer, "vary").contains("origin"), "{answer}");
                        assert!(answer.header("access-control-max-age").parse::<u32>().unwrap() > 0);
                        assert!(answer.body.is_empty(), "{answer}");
                    }
                }
            }
            let answer = preflight(&world, "/users/me", origin, "PUT", "").await;
            assert_eq!(answer.header("access-control-allow-origin"), origin, "{answer}");
        }
    }

    async fn every_answer_can_be_read_by_pages_of_an_allowed_origin(stage: Stage) {
        let world = with_origins(&stage).await;
        for answer in one_of_each_status(&world, &[("origin", APP)]).await.values() {
            assert_eq!(answer.header("access-control-allow-origin"), APP, "{answer}");
            let exposed = listed(answer, "access-control-expose-headers");
            for name in ["retry-after", "ratelimit", "ratelimit-policy", "x-request-id", "etag", "location", "link"] {
                assert!(exposed.contains(name), "{name}: {exposed:?}: {answer}");
            }
            assert!(listed(answer, "vary").contains("origin"), "{answer}");
            // For the refresh cookie, where a page has asked for one.
            assert_eq!(answer.header("access-control-allow-credentials"), "true", "{answer}");
        }
    }

    async fn another_origin_gets_nothing(stage: Stage) {
        let world = with_origins(&stage).await;
        let (_, token) = signed_in(&world, "ada").await;
        for origin in ORIGINS_OF_NOBODY {
            for (path, _) in paths() {
                let answer = preflight(&world, &path, origin, "PUT", "authorization").await;
                assert!(permissions(&answer).is_empty(), "{origin}: {answer}");
            }
            for call in [world.get("/users/me").bearer(&token), world.get("/"), world.get("/users/me"), world.get("/x")] {
                let answer = call.header("origin", origin).await;
                assert!(permissions(&answer).is_empty(), "{origin}: {answer}");
                assert!(listed(&answer, "vary").contains("origin"), "{answer}");
            }
        }
        // Nor does a request without an origin, or with two.
        let answer = world.get("/users/me").bearer(&token).await.expect(200);
        assert!(permissions(&answer).is_empty(), "{answer}");
        let answer = world.get("/users/me").bearer(&token).header("origin", "https://evil.test").header("origin", APP).await;
        assert!(permissions(&answer).is_empty(), "{answer}");
    }

    async fn what_is_not_offered_to_other_origins_is_not_allowed_by_a_preflight(stage: Stage) {
        let world = with_origins(&stage).await;
        for (method, headers) in [("TRACE", ""), ("FOO", ""), ("PUT", "cookie"), ("PUT", "authorization,x-evil"), ("PUT", "*")] {
            let answer = preflight(&world, "/users/me", APP, method, headers).await;
            let methods = listed(&answer, "access-control-allow-methods");
            let allowed = listed(&answer, "access-control-allow-headers");
            let grants = methods.contains(&method.to_lowercase())
                && headers.split(',').all(|name| name.is_empty() || allowed.contains(name));
            assert!(!grants, "{answer}");
        }
    }

    async fn nothing_is_ever_allowed_to_everybody(stage: Stage) {
        let world = with_origins(&stage).await;
        for origin in [APP, "https://evil.example.test", "null", "*"] {
            for path in ["/", "/users/me", "/openapi.json", "/.well-known/jwks.json", "/nowhere"] {
                for call in [world.get(path), preflight(&world, path, origin, "GET", "")] {
                    let answer = call.header("origin", origin).await;
                    let value = answer.headers.get("access-control-allow-origin");
                    assert!(value.is_none_or(|value| value != "*"), "{answer}");
                }
            }
        }
    }

    async fn a_negotiated_answer_varies_with_both(stage: Stage) {
        let world = with_origins(&stage).await;
        for path in ["/", "/problems", "/problems/not-found"] {
            for accept in ["text/html", "application/json"] {
                let answer = world.get(path).header("accept", accept).header("origin", APP).await.expect(200);
                let varies = listed(&answer, "vary");
                assert!(varies.contains("accept") && varies.contains("origin"), "{varies:?}: {answer}");
            }
        }
    }
}
