//! The refresh token in a cookie, for pages that must not hold it in script.

use serde_json::json;

use crate::support::{Answer, Call, PUBLIC_URL, Stage, World};

const HTTPS: &str = "https://accounts.example.test";
const APP: &str = "https://app.example.test";

/// The token in the cookie that an answer sets.
#[track_caller]
fn cookie(answer: &Answer) -> String {
    let text = answer.header("set-cookie");
    let (_, rest) = text.split_once('=').unwrap();
    let token = rest.split(';').next().unwrap().to_owned();
    assert!(token.starts_with("roster_rt_"), "{answer}");
    token
}

fn log_in(world: &World, email: &str, password: &str) -> Call {
    world
        .post("/login")
        .json(&json!({"email": email, "password": password, "cookie": true}))
}

/// A refresh that brings nothing but a cookie.
fn refresh(world: &World, name: &str, token: &str) -> Call {
    world
        .post("/oauth/token")
        .form(&[("grant_type", "refresh_token")])
        .header("cookie", format!("theme=dark; {name}={token}; other=1"))
}

scenario! {
    async fn over_plain_http_it_has_no_prefix_and_goes_to_one_path(world: World) {
        let ada = world.register("ada").await;
        let answer = log_in(&world, &ada.email, &ada.password).await.expect(200);
        let first = cookie(&answer);
        assert_eq!(
            answer.header("set-cookie"),
            format!("roster_refresh={first}; Path=/oauth/token; Max-Age=2592000; HttpOnly; SameSite=Strict")
        );
        let answer = refresh(&world, "roster_refresh", &first).header("origin", PUBLIC_URL).await.expect(200);
        let second = cookie(&answer);
        assert_ne!(second, first);
        let access = answer.json()["access_token"].as_str().unwrap();
        world.get("/users/me").bearer(access).await.expect(200);
        // Whatever a neighbour has planted beside it.
        let planted = [b"x=\xff\xfe; roster_refresh=".as_slice(), first.as_bytes(), b"; y=\xe9"].concat();
        let fields = [("grant_type", "refresh_token")];
        let call = world.post("/oauth/token").form(&fields).header("cookie", planted);
        call.header("origin", PUBLIC_URL).await.expect(200);
        // The same again, for a second tab.
        let answer = refresh(&world, "roster_refresh", &first).header("sec-fetch-site", "same-origin").await.expect(200);
        assert_eq!(cookie(&answer), second);
    }

    async fn over_https_no_other_host_can_plant_it(stage: Stage) {
        let world = World::with(&stage, |variables| variables.set("ROSTER__SERVER__PUBLIC_URL", HTTPS)).await;
        let ada = world.register("ada").await;
        let answer = log_in(&world, &ada.email, &ada.password).await.expect(200);
        let token = cookie(&answer);
        assert_eq!(
            answer.header("set-cookie"),
            format!("__Host-roster_refresh={token}; Path=/; Max-Age=2592000; HttpOnly; Secure; SameSite=Strict")
        );
        // Under the name without the prefix it is nobody's.
        refresh(&world, "roster_refresh", &token).header("origin", HTTPS).await.oauth_error("invalid_request");
        let answer = refresh(&world, "__Host-roster_refresh", &token).header("origin", HTTPS).await.expect(200);
        let access = answer.json()["access_token"].as_str().unwrap().to_owned();
        let token = cookie(&answer);
        // Signing out takes it away.
        let answer = world
            .post("/logout")
            .bearer(&access)
            .header("cookie", format!("__Host-roster_refresh={token}"))
            .await
            .expect(204);
        assert!(answer.header("set-cookie").starts_with("__Host-roster_refresh=; Path=/; Max-Age=0;"), "{answer}");
    }

    async fn it_is_taken_only_from_pages_of_our_own_or_of_configured_origins(stage: Stage) {
        let world = World::with(&stage, |variables| {
            variables.set("ROSTER__SERVER__PUBLIC_URL", HTTPS);
            variables.set("ROSTER__CORS__ALLOWED_ORIGINS", APP);
        })
        .await;
        let ada = world.register("ada").await;
        let mut token = cookie(&log_in(&world, &ada.email, &ada.password).await.expect(200));
        let send = |token: &str, headers: &[(&str, &str)]| {
            let call = refresh(&world, "__Host-roster_refresh", token);
            headers.iter().fold(call, |call, (name, value)| call.header(name, value))
        };
        let refused: &[&[(&str, &str)]] = &[
            &[],
            &[("origin", "https://evil.example")],
            &[("origin", "null")],
            &[("origin", "https://accounts.example.test.evil.example")],
            &[("origin", "http://accounts.example.test")],
            &[("origin", HTTPS), ("origin", HTTPS)],
            &[("sec-fetch-site", "cross-site")],
            &[("sec-fetch-site", "same-site")],
            &[("sec-fetch-site", "none")],
            &[("origin", HTTPS), ("sec-fetch-site", "cross-site")],
            &[("origin", "https://evil.example"), ("sec-fetch-site", "same-origin")],
            &[("referer", HTTPS)],
        ];
        for headers in refused {
            let answer = send(&token, headers).await;
            assert_eq!(answer.status, 403, "{headers:?}: {answer}");
            assert!(!answer.headers.contains_key("set-cookie"), "{answer}");
        }
        assert_eq!(world.token_rows().await.len(), 1, "it was spent by none of them");
        let welcome: &[&[(&str, &str)]] = &[
            &[("origin", HTTPS)],
            &[("sec-fetch-site", "same-origin")],
            &[("origin", HTTPS), ("sec-fetch-site", "same-origin")],
            &[("origin", APP)],
            &[("origin", APP), ("sec-fetch-site", "same-site")],
        ];
        for headers in welcome {
            let answer = send(&token, headers).await.expect(200);
            token = cookie(&answer);
        }
    }

    async fn no_other_site_signs_its_visitors_in(world: World) {
        let ada = world.register("ada").await;
        for (name, value) in [("origin", "https://evil.example"), ("sec-fetch-site", "cross-site")] {
            let answer = log_in(&world, &ada.email, &ada.password).header(name, value).await;
            answer.expect(403).problem("forbidden");
            let fields = [
                ("grant_type", "password"),
                ("username", ada.email.as_str()),
                ("password", ada.password.as_str()),
                ("cookie", "true"),
            ];
            world.post("/oauth/token").form(&fields).header(name, value).await.expect(403);
        }
        assert_eq!(world.count_sessions().await, 0);
        let fields = [("username", ada.email.as_str()), ("password", ada.password.as_str()), ("cookie", "true")];
        cookie(&world.post("/login").form(&fields).await.expect(200));
        let fields = [("username", ada.email.as_str()), ("password", ada.password.as_str()), ("cookie", "yes")];
        world.post("/login").form(&fields).await.expect(422);
    }

    async fn what_came_in_a_cookie_never_goes_back_in_the_body(world: World) {
        let ada = world.register("ada").await;
        let token = cookie(&log_in(&world, &ada.email, &ada.password).await);
        let body = json!({"grant_type": "refresh_token", "cookie": false});
        let answer = world
            .post("/oauth/token")
            .json(&body)
            .header("cookie", format!("roster_refresh={token}"))
            .header("origin", PUBLIC_URL)
            .await
            .expect(200);
        // The client of these scenarios makes sure that it isn't in the body as well.
        cookie(&answer);
        // From the body into the cookie it may go.
        let tokens = world.begin(&ada).await;
        let body = json!({"grant_type": "refresh_token", "refresh_token": tokens.refresh, "cookie": true});
        cookie(&world.post("/oauth/token").json(&body).await.expect(200));
    }

    async fn a_cookie_that_is_no_good_is_told_as_any_token_is(world: World) {
        let ada = world.register("ada").await;
        let tokens = world.begin(&ada).await;
        let send = |cookie: String| {
            world
                .post("/oauth/token")
                .form(&[("grant_type", "refresh_token")])
                .header("cookie", cookie)
                .header("origin", PUBLIC_URL)
        };
        // It is left alone: another tab may have got a better one meanwhile.
        let answer = send("roster_refresh=garbage".to_owned()).await;
        answer.oauth_error("invalid_grant");
        assert!(!answer.headers.contains_key("set-cookie"), "{answer}");
        send("roster_refresh=".to_owned()).await.oauth_error("invalid_grant");
        send(format!("roster_refresh={0}; roster_refresh={0}", tokens.refresh)).await.oauth_error("invalid_request");
        send(format!("Roster_Refresh={}", tokens.refresh)).await.oauth_error("invalid_request");
        // Nowhere else does a cookie count.
        world.get("/users/me").header("cookie", format!("roster_refresh={}", tokens.refresh)).await.expect(401);
        world.post("/logout").header("cookie", format!("roster_refresh={}", tokens.refresh)).await.expect(401);
        world.refreshed(&tokens.refresh).await;
    }
}
