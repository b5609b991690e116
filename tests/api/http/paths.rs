//! One resource, one path: apart from a slash at its end and needless escapes.

use reqwest::Method;
use serde_json::json;

use super::{check_refusal, comparable, has_common_headers, readable, signed_in, spellings, wire, works};
use crate::support::{PASSWORD, World};

scenario! {
    async fn a_slash_at_the_end_makes_no_difference(world: World) {
        let token = world.sign_in(&world.admin().await).await;
        // What has an id in its path is nowhere, and says under which id of a request.
        for path in readable().into_iter().filter(|path| !path.contains("-7000-")) {
            let mut answers = Vec::new();
            for spelling in spellings(&path) {
                // A list knows its parameters, and takes no other.
                let lists = ["/users/me/sessions", "/users/me/audit", "/admin/users", "/admin/audit"];
                let queries: &[&str] = if lists.contains(&path.as_str()) {
                    &["", "?", "?limit=50"]
                } else {
                    &["", "?", "?x=1", "?x=/", "?next=%2F"]
                };
                for query in queries {
                    let answer = world.get(&format!("{spelling}{query}")).bearer(&token).await.expect(200);
                    answers.push((answer.body.clone(), comparable(&answer.headers)));
                }
            }
            assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "{path}");
        }
        for (number, path) in ["/users", "/users/"].iter().enumerate() {
            let body = json!({"email": format!("new-{number}@example.test"), "password": PASSWORD});
            let answer = world.post(path).json(&body).await.expect(201);
            assert_eq!(answer.header("location"), "/users/me");
        }
        for path in ["/login", "/login/"] {
            let body = json!({"email": "new-0@example.test", "password": PASSWORD});
            let token = world.post(path).json(&body).await.expect(200).json()["access_token"].clone();
            let token = token.as_str().unwrap();
            for me in ["/users/me", "/users/me/"] {
                let name = json!({"display_name": format!("{path} {me}")});
                for method in [Method::PUT, Method::PATCH] {
                    let answer = world.call(method, me).bearer(token).json(&name).await.expect(200);
                    assert_eq!(answer.json()["display_name"], name["display_name"]);
                }
            }
        }
        let token = world.log_in("new-0@example.test", PASSWORD).await.json()["access_token"].clone();
        world.delete("/users/me/").bearer(token.as_str().unwrap()).await.expect(204);
    }

    async fn a_needless_escape_makes_no_difference(world: World) {
        let (ada, token) = signed_in(&world, "ada").await;
        let bearer = format!("Bearer {token}");
        for path in ["/%75sers/me", "/users/%6de", "/users/%6De/", "/%75%73%65%72%73/%6d%65"] {
            let signed_in = world.raw(wire("GET", path, &[("Authorization", &bearer)], "")).await;
            let answer = signed_in.checked(Method::GET, path).expect(200);
            assert_eq!(answer.json()["email"], ada.email);
            let anonymous = world.raw(wire("GET", path, &[], "")).await;
            anonymous.checked(Method::GET, path).problem("invalid-token");
            let other = world.raw(wire("POST", path, &[], "")).await;
            other.checked(Method::POST, path).problem("method-not-allowed");
        }
    }

    async fn a_path_that_only_looks_like_another_is_not_there(world: World) {
        let (ada, token) = signed_in(&world, "ada").await;
        let bearer = format!("Bearer {token}");
        let long = format!("/problems/{}", "x".repeat(10_000));
        let paths = [
            "//users/me", "/users//me", "/users/me//", "/users/x/../me", "/users/./me", "/users/me/.", "/users/me/..",
            "/./users/me", "/../users/me", "/users%2fme", "/users%2Fme", "/%2fusers/me", "/users/me%2f", "/users%5cme",
            "/users\\me", "/users/me;x", "/users/me;x=1", "/users;x/me", "/users/me%3b", "/users/me%3fx=1", "/users/me%23",
            "/users/me%00", "/users/me%00.json", "/users/me%0a", "/users/me%0d%0aX-Injected:%201", "/users/me%20",
            "/users/%20me", "/users/me%09", "/users/me%7f", "/users/ME", "/Users/me", "/USERS/ME", "/users/me.json",
            "/users/me.", "/users/me/index.html", "/users/me/x", "/users/me@", "/users/%6d%2565", "/users/m%25%36%35",
            "/users/m%ef%bc%85", "/users/%ef%bd%8de", "/users/%c0%ede", "/users/m%e5", "/users/%", "/users/%6", "/users/%zz",
            "/users/me%e2%80%8b", "/users/me*", "/users/*", "/users/~ada", "/users/x", "/login/x", "/login.", "/LOGIN",
            "/livez/x", "/Livez", "/openapi", "/openapi.json/x", "/openapi.yaml", "/docs/x", "/docs/../openapi.json",
            "/docs/..%2fopenapi.json", "/docs/%2e%2e/openapi.json", "/docs/..%5c..%5cCargo.toml", "/docs/%2e%2e%2f%2e%2e%2fetc%2fpasswd",
            "/docs/start.js/x", "/docs//start.js", "/docs/START.JS", "/problems/Not-Found", "/problems/not-found/x",
            "/problems//not-found", "/problems/..%2flivez", "/.well-known", "/.well-known/x", "/.Well-Known/jwks.json",
            "/.well-known/jwks.json/x", "/admin", "/metrics", "/.env", "/.git/config", "/index.html", "/favicon.ico",
            "/api/users/me", "/v1/users/me", "/users/me,/livez", &long,
        ];
        for path in paths {
            let answer = world.raw(wire("GET", path, &[("Authorization", &bearer)], "")).await;
            assert!(!answer.headers.contains_key("x-injected"), "{path}");
            is_refused!(answer, &[400, 404], path);
            let raw = world.raw(wire("DELETE", path, &[("Authorization", &bearer)], "")).await;
            assert!(matches!(raw.status, 400 | 404 | 405), "{path}: {}", raw.text());
        }
        let answer = world.raw(wire("GET", "//", &[], "")).await;
        is_refused!(answer, &[404], "//");
        assert_eq!(world.count_users_of(&ada.email).await, 1);
        works(&world).await;
    }

    async fn the_target_of_a_request_may_be_absolute(world: World) {
        for target in ["http://localhost/livez", "http://accounts.test/livez", "http://accounts.test:80/livez/?x=1"] {
            let answer = world.raw(wire("GET", target, &[], "")).await;
            assert_eq!((answer.status, answer.text()), (200, "{\"status\":\"ok\"}"), "{target}");
            has_common_headers(&answer.headers, target);
        }
    }
}
