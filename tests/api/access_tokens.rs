//! Access tokens: where they are taken from, what they say, and how long they are good.

use std::collections::BTreeSet;
use std::time::Duration;

use reqwest::Method;
use roster::domain::SessionId;
use serde_json::{Value, json};

use crate::support::{PUBLIC_URL, Stage, World, accepted, decoded, refused};

scenario! {
    async fn nobody_gets_in_without_a_token(world: World) {
        for method in [
            Method::GET,
            Method::HEAD,
            Method::PUT,
            Method::PATCH,
            Method::DELETE,
        ] {
            for path in ["/users/me", "/users/me/"] {
                let answer = world.call(method.clone(), path).await.expect(401);
                assert_eq!(answer.header("www-authenticate"), r#"Bearer realm="roster""#);
            }
        }
    }

    async fn the_scheme_is_read_in_any_case(world: World) {
        let ada = world.register("ada").await;
        let token = world.sign_in(&ada).await;
        for scheme in ["Bearer ", "bearer ", "BEARER ", "bEaReR   "] {
            let call = world
                .get("/users/me")
                .header("authorization", format!("{scheme}{token}"));
            assert_eq!(call.await.expect(200).json()["id"], ada.id.to_string());
        }
    }

    async fn other_credentials_are_no_token(world: World) {
        let ada = world.register("ada").await;
        let token = world.sign_in(&ada).await;
        for value in [
            "Basic x".to_owned(),
            format!("Basic {token}"),
            format!("Token {token}"),
            format!("Digest {token}"),
            token.clone(),
            format!("Bearer{token}"),
            format!("Bearer\t{token}"),
            format!("Bearer: {token}"),
            "Bearer".to_owned(),
            "Bearer ".to_owned(),
            "Bearer a b".to_owned(),
            format!("Bearer {token} {token}"),
            format!("Bearer {token},"),
            format!("Bearer \"{token}\""),
            format!("Bearer {token};"),
            String::new(),
            format!("Bearer token={token}"),
            "Bearer null".to_owned(),
            "Bearer ..".to_owned(),
            "Bearer .".to_owned(),
        ] {
            let answer = world.get("/users/me").header("authorization", &value).await;
            assert_eq!(answer.status, 401, "{value:?}: {answer}");
        }
        for bytes in [&b"Bearer \xff\xfe"[..], b"Bearer \xc3\xa9", b"Bearer e\xcc\x81"] {
            world
                .get("/users/me")
                .header("authorization", bytes)
                .await
                .expect(401);
        }
    }

    async fn a_huge_token_is_refused_and_harms_nobody(world: World) {
        let ada = world.register("ada").await;
        let token = world.sign_in(&ada).await;
        refused(&world, &"a".repeat(5_000)).await;
        refused(&world, &format!("{token}{}", "A".repeat(5_000))).await;
        refused(&world, &".".repeat(5_000)).await;
        for size in [200_000, 1 << 20] {
            let request = format!(
                "GET /users/me HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\r\n",
                "a".repeat(size)
            );
            let mut connection = world.connection().await;
            connection.send(request).await;
            if let Some(answer) = connection.answer().await {
                assert!(matches!(answer.status, 400 | 401 | 431), "{}", answer.status);
            }
        }
        accepted(&world, &token, &ada).await;
    }

    async fn a_token_counts_in_its_header_only(world: World) {
        let ada = world.register("ada").await;
        let token = world.sign_in(&ada).await;
        world
            .get(&format!("/users/me?access_token={token}"))
            .await
            .expect(401);
        for name in ["access_token", "token", "__Host-access_token", "Authorization"] {
            world
                .get("/users/me")
                .header("cookie", format!("{name}={token}"))
                .await
                .expect(401);
        }
        world
            .get("/users/me")
            .header("x-access-token", &token)
            .await
            .expect(401);
        world
            .get("/users/me")
            .header("proxy-authorization", format!("Bearer {token}"))
            .await
            .expect(401);
        let call = world.put("/users/me").body(
            "application/x-www-form-urlencoded",
            format!("access_token={token}"),
        );
        call.await.expect(401);
    }

    async fn two_authorization_headers_are_one_too_many(world: World) {
        let ada = world.register("ada").await;
        let good = format!("Bearer {}", world.sign_in(&ada).await);
        for (first, second) in [
            (good.as_str(), "Bearer bad"),
            ("Bearer bad", good.as_str()),
            (&good, &good),
            ("Basic x", &good),
        ] {
            let call = world
                .get("/users/me")
                .header("authorization", first)
                .header("authorization", second);
            call.await.expect(400).problem("malformed-request");
        }
    }

    async fn tokens_say_what_the_profile_asks_for_and_no_more(world: World) {
        let ada = world.register("ada").await;
        let change = json!({"display_name": "Lovelace"});
        world
            .put("/users/me")
            .bearer(&world.sign_in(&ada).await)
            .json(&change)
            .await
            .expect(200);
        let token = world.sign_in(&ada).await;
        let (header, claims) = decoded(&token);
        let names = |value: &Value| {
            value
                .as_object()
                .unwrap()
                .keys()
                .cloned()
                .collect::<BTreeSet<_>>()
        };
        assert_eq!(names(&header), ["alg", "kid", "typ"].map(str::to_owned).into());
        assert_eq!(header["typ"], "at+jwt");
        assert_eq!(header["alg"], "ES256");
        let expected = [
            "aud",
            "client_id",
            "exp",
            "iat",
            "iss",
            "jti",
            "scope",
            "sid",
            "sub",
        ];
        assert_eq!(names(&claims), expected.map(str::to_owned).into());
        assert_eq!(claims["iss"], PUBLIC_URL);
        assert_eq!(claims["aud"], PUBLIC_URL);
        assert_eq!(claims["sub"], ada.id.to_string());
        assert_eq!(
            claims["iat"],
            "2031-05-06T07:08:09Z"
                .parse::<chrono::DateTime<chrono::Utc>>()
                .unwrap()
                .timestamp()
        );
        assert_eq!(
            claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(),
            900
        );
        assert_eq!(claims["client_id"], "roster");
        let sessions: Vec<_> = world
            .sessions_of(&ada)
            .await
            .iter()
            .map(|session| session.id.to_string())
            .collect();
        assert!(sessions.contains(&claims["sid"].as_str().unwrap().to_owned()));
        for personal in ["ada@", "example.test", "Lovelace", "$2b$"] {
            assert!(!claims.to_string().contains(personal), "{claims}");
        }
    }

    async fn no_two_tokens_are_the_same(world: World) {
        let ada = world.register("ada").await;
        let ring = world.state.keys.ring();
        let session = SessionId::new(world.state.ambient.new_uuid());
        let ids: BTreeSet<String> = (0..1_000)
            .map(|_| world.state.tokens.issue(&ring, ada.user_id(), session).unwrap())
            .map(|token| decoded(token.expose()).1["jti"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(ids.len(), 1_000);
    }

    async fn issuer_and_audience_are_configured(stage: Stage) {
        let world = World::with(&stage, |variables| {
            variables.set("ROSTER__TOKEN__ISSUER", "https://issuer.test/a");
            variables.set("ROSTER__TOKEN__AUDIENCE", "urn:api");
            variables.set("ROSTER__TOKEN__ACCESS_SECONDS", "60");
        })
        .await;
        let ada = world.register("ada").await;
        let answer = world.log_in(&ada.email, &ada.password).await.expect(200);
        assert_eq!(answer.json()["expires_in"], 60);
        let token = answer.json()["access_token"].as_str().unwrap();
        let claims = decoded(token).1;
        assert_eq!(
            (claims["iss"].as_str(), claims["aud"].as_str()),
            (Some("https://issuer.test/a"), Some("urn:api"))
        );
        accepted(&world, token, &ada).await;
        world.clock.advance(Duration::from_mins(1));
        refused(&world, token).await;
    }

    async fn a_token_lives_to_the_second_it_names(world: World) {
        let ada = world.register("ada").await;
        // One that is used in between, and one that isn't: the first is remembered.
        let (used, unused) = (world.sign_in(&ada).await, world.sign_in(&ada).await);
        // The clock stands at .123 of a second, and tokens count whole ones.
        world.clock.advance(Duration::from_millis(899_876));
        accepted(&world, &used, &ada).await;
        world.clock.advance(Duration::from_millis(1));
        for token in [&used, &unused] {
            refused(&world, token).await;
        }
        world.clock.advance(Duration::from_hours(24 * 36_500));
        for token in [&used, &unused] {
            refused(&world, token).await;
        }
    }

    async fn a_clock_that_is_turned_back_makes_nothing_immortal(world: World) {
        let ada = world.register("ada").await;
        let token = world.sign_in(&ada).await;
        accepted(&world, &token, &ada).await;
        world.clock.turn_back(Duration::from_mins(10));
        refused(&world, &token).await;
        let meanwhile = world.sign_in(&ada).await;
        accepted(&world, &meanwhile, &ada).await;
        world.clock.advance(Duration::from_mins(10));
        accepted(&world, &token, &ada).await;
        accepted(&world, &meanwhile, &ada).await;
        world.clock.advance(Duration::from_mins(5));
        refused(&world, &meanwhile).await;
        accepted(&world, &token, &ada).await;
    }

    async fn a_token_of_another_server_opens_nothing(stage: Stage) {
        let (ours, theirs) = (
            World::with(&stage, |_| {}).await,
            World::with(&stage, |_| {}).await,
        );
        let ada = ours.register("ada").await;
        theirs.register("ada").await;
        let token = ours.sign_in(&ada).await;
        accepted(&ours, &token, &ada).await;
        refused(&theirs, &token).await;
        // The same store under another address.
        let elsewhere = ours
            .second_instance_with(|variables| {
                variables.set("ROSTER__SERVER__PUBLIC_URL", "http://elsewhere.test");
            })
            .await;
        refused(&elsewhere, &token).await;
    }

    async fn tokens_outlive_a_restart(world: World) {
        let ada = world.register("ada").await;
        let token = world.sign_in(&ada).await;
        let world = world.restart().await;
        accepted(&world, &token, &ada).await;
        let after = world.sign_in(&ada).await;
        assert_eq!(decoded(&token).0, decoded(&after).0, "the same key signs");
    }

    async fn tokens_are_good_on_every_instance(world: World) {
        let other = world.second_instance().await;
        let ada = world.register("ada").await;
        let (here, there) = (world.sign_in(&ada).await, other.sign_in(&ada).await);
        for token in [&here, &there] {
            accepted(&world, token, &ada).await;
            accepted(&other, token, &ada).await;
        }
        assert_eq!(decoded(&here).0, decoded(&there).0);
    }
}
