//! Methods that there are, and methods that there aren't.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::json;

use super::{
    check_refusal, comparable, has_common_headers, paths, readable, signed_in, spellings, wire, works,
};
use crate::support::World;

scenario! {
    async fn another_method_than_there_is_gets_405_and_hears_which_there_are(world: World) {
        let methods = [
            "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "TRACE", "QUERY", "PROPFIND", "LOCK", "FOO", "get", "Options",
        ];
        let mut refused = 0;
        for (path, allowed) in paths() {
            for spelling in spellings(&path) {
                for method in methods.iter().filter(|method| !allowed.contains(**method)) {
                    let call = world.call(Method::from_bytes(method.as_bytes()).unwrap(), &spelling);
                    let answer = call.await.expect(405);
                    let told: BTreeSet<String> = answer.header("allow").split(", ").map(str::to_owned).collect();
                    assert_eq!(told, allowed, "{answer}");
                    if *method != "HEAD" {
                        answer.problem("method-not-allowed");
                    }
                    refused += 1;
                }
            }
        }
        assert!(refused > 150, "{refused}");
    }

    async fn a_method_is_not_overridden(world: World) {
        let (ada, token) = signed_in(&world, "ada").await;
        for name in ["x-http-method-override", "x-http-method", "x-method-override"] {
            for method in ["DELETE", "PUT", "PATCH"] {
                world.get("/users/me").bearer(&token).header(name, method).await.expect(200);
                world.post("/users/me").bearer(&token).header(name, method).await.expect(405);
            }
            world.get("/users/").header(name, "POST").await.expect(405);
        }
        world.get("/users/me?_method=DELETE").bearer(&token).await.expect(200);
        world.post("/users/me?_method=DELETE").bearer(&token).await.expect(405);
        let form = [("_method", "DELETE"), ("username", &ada.email), ("password", &ada.password)];
        world.post("/login").form(&form).await.expect(200);
        let body = json!({"_method": "DELETE", "display_name": "Ada"});
        world.put("/users/me").bearer(&token).json(&body).await.faults(&[("/_method", "unknown_member")]);
        assert_eq!(world.count_users_of(&ada.email).await, 1);
        assert_eq!(world.user_row(&ada).await.display_name, None);
    }

    async fn nobody_tunnels_through_here(world: World) {
        for target in ["localhost:80", "/livez", "example.test:443", "/users/me"] {
            let mut connection = world.connection().await;
            connection.send(wire("CONNECT", target, &[], "")).await;
            let answer = connection.answer().await.expect("an answer");
            is_refused!(answer, &[400, 404, 405, 501], target);
        }
        works(&world).await;
    }

    async fn head_is_get_without_the_body(world: World) {
        let (_, token) = signed_in(&world, "ada").await;
        let bearer = format!("Bearer {token}");
        for path in readable().iter().map(String::as_str).chain(["/nowhere", "/problems/unknown", "/docs/unknown"]) {
            for accept in ["*/*", "text/html"] {
                for spelling in spellings(path) {
                    for headers in [&[("Accept", accept), ("Authorization", bearer.as_str())][..], &[("Accept", accept)]] {
                        let mut connection = world.connection().await;
                        // A body would be read as the answer to what follows.
                        connection.send(wire("HEAD", &spelling, headers, "")).await;
                        let head = connection.head_answer().await.unwrap();
                        connection.send(wire("GET", &spelling, headers, "")).await;
                        let get = connection.answer().await.unwrap();
                        let what = format!("{spelling} {headers:?}");
                        assert_eq!(head.status, get.status, "{what}");
                        assert_eq!(comparable(&head.headers), comparable(&get.headers), "{what}");
                        assert!(!get.body.is_empty(), "{what}");
                        let length: usize = head.headers["content-length"].to_str().unwrap().parse().unwrap();
                        // The id of a request is in every problem document, and it is of one length.
                        assert_eq!(length, get.body.len(), "{what}");
                    }
                }
            }
        }
    }

    async fn options_are_told_to_anybody(world: World) {
        for (path, allowed) in paths() {
            for spelling in spellings(&path) {
                let answer = world.call(Method::OPTIONS, &spelling).await.expect(204);
                let told: BTreeSet<String> = answer.header("allow").split(", ").map(str::to_owned).collect();
                assert_eq!(told, allowed, "{answer}");
                assert!(answer.body.is_empty());
                // To ask isn't to come from another origin.
                assert!(!answer.headers.keys().any(|name| name.as_str().starts_with("access-control-")), "{answer}");
            }
        }
        world.call(Method::OPTIONS, "/nowhere").await.problem("not-found");
        let answer = world.raw(wire("OPTIONS", "*", &[], "")).await;
        assert!(answer.status < 500);
        has_common_headers(&answer.headers, "OPTIONS *");
        works(&world).await;
    }
}
