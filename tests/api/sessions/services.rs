//! What other services may ask, and the metadata that tells them where.

use std::time::Duration;

use roster::domain::UserStatus;
use serde_json::{Value, json};

use crate::support::{Answer, Call, PUBLIC_URL, Stage, World, basic, decoded};

fn ask(world: &World, client: &str, token: &str) -> Call {
    world
        .post("/oauth/introspect")
        .header("authorization", client)
        .form(&[("token", token)])
}

#[track_caller]
fn is_inactive(answer: &Answer) {
    assert_eq!(*answer.json(), json!({"active": false}), "{answer}");
}

scenario! {
    async fn a_registered_service_learns_what_a_token_is_worth(world: World) {
        let other = world.second_instance().await;
        let client = world.resource_server().await;
        let ada = world.register("ada").await;
        let tokens = world.begin(&ada).await;
        let (_, claims) = decoded(&tokens.access);
        for instance in [&world, &other] {
            let answer = ask(instance, &client, &tokens.access).await.expect(200);
            let expected = json!({
                "active": true, "scope": "account", "client_id": "roster", "token_type": "Bearer",
                "exp": claims["exp"], "iat": claims["iat"], "sub": ada.id, "aud": PUBLIC_URL, "iss": PUBLIC_URL,
                "jti": claims["jti"], "sid": tokens.session(),
            });
            assert_eq!(*answer.json(), expected);
        }
        let body = json!({"token": tokens.access, "token_type_hint": "refresh_token"});
        let answer = world.post("/oauth/introspect").header("authorization", &client).json(&body).await.expect(200);
        assert_eq!(answer.json()["active"], true);
        // A refresh token is for this server alone.
        is_inactive(&ask(&world, &client, &tokens.refresh).await);
        for nonsense in ["x", "a.b.c", " ", "é"] {
            is_inactive(&ask(&world, &client, nonsense).await);
        }
        ask(&world, &client, "").await.oauth_error("invalid_request");
        world.log_out(&tokens, "current").await;
        is_inactive(&ask(&other, &client, &tokens.access).await);
        let expiring = world.begin(&ada).await;
        world.clock.advance(Duration::from_mins(15));
        is_inactive(&ask(&world, &client, &expiring.access).await);
        let closed = world.refreshed(&expiring.refresh).await;
        world.set_status(&ada, UserStatus::Disabled).await;
        is_inactive(&ask(&world, &client, &closed.access).await);
    }

    async fn nobody_else_may_ask(world: World) {
        let client = world.resource_server().await;
        let ada = world.register("ada").await;
        let tokens = world.begin(&ada).await;
        let (id, secret) = {
            use base64::Engine as _;
            let joined = base64::prelude::BASE64_STANDARD.decode(client.strip_prefix("Basic ").unwrap()).unwrap();
            let joined = String::from_utf8(joined).unwrap();
            let (id, secret) = joined.split_once(':').unwrap();
            (id.to_owned(), secret.to_owned())
        };
        let wrong = [
            basic(&id, "wrong"),
            basic(&id, ""),
            basic("", ""),
            basic("roster", &secret),
            basic("019a0000-0000-7000-8000-000000000001", &secret),
            basic(&id.to_uppercase(), &secret),
            basic(&id, &format!("{secret} ")),
            basic(&id, &secret.replace("roster_cs_", "roster_rt_")),
            format!("Bearer {}", tokens.access),
            "Basic".to_owned(),
            "Basic ???".to_owned(),
        ];
        let mut bodies = std::collections::BTreeSet::new();
        for credentials in &wrong {
            let answer = ask(&world, credentials, &tokens.access).await;
            answer.oauth_error("invalid_client");
            bodies.insert(answer.body);
        }
        let answer = world.post("/oauth/introspect").form(&[("token", &tokens.access)]).await;
        answer.oauth_error("invalid_client");
        bodies.insert(answer.body);
        assert_eq!(bodies.len(), 1);
        let two = ask(&world, &client, &tokens.access).header("authorization", &client).await;
        two.oauth_error("invalid_client");
        // In the spellings of RFC 6749 §2.3.1 and RFC 7617 it is welcome.
        let encode = |text: &str| text.replace('-', "%2D").replace('_', "%5F");
        ask(&world, &basic(&encode(&id), &encode(&secret)), &tokens.access).await.expect(200);
        ask(&world, &client.replacen("Basic", "bASIC", 1), &tokens.access).await.expect(200);
        // Every wrong secret of a client that there is has left its row.
        assert_eq!(world.audit("client.authentication").await.len(), 4);
    }

    async fn the_metadata_is_complete_and_true(world: World) {
        let answer = world.get("/.well-known/oauth-authorization-server").await.expect(200);
        let metadata = answer.json();
        let expected = json!({
            "issuer": PUBLIC_URL,
            "jwks_uri": format!("{PUBLIC_URL}/.well-known/jwks.json"),
            "response_types_supported": [],
            "token_endpoint": format!("{PUBLIC_URL}/oauth/token"),
            "token_endpoint_auth_methods_supported": ["none"],
            "grant_types_supported": ["refresh_token", "password"],
            "scopes_supported": ["account"],
            "revocation_endpoint": format!("{PUBLIC_URL}/oauth/revoke"),
            "revocation_endpoint_auth_methods_supported": ["none"],
            "introspection_endpoint": format!("{PUBLIC_URL}/oauth/introspect"),
            "introspection_endpoint_auth_methods_supported": ["client_secret_basic"],
            "service_documentation": format!("{PUBLIC_URL}/openapi.json"),
        });
        assert_eq!(*metadata, expected);
        for (name, value) in metadata.as_object().unwrap() {
            let Some(path) = value.as_str().and_then(|url| url.strip_prefix(PUBLIC_URL)) else { continue };
            if name == "issuer" {
                continue;
            }
            let status = if name.ends_with("_endpoint") {
                world.post(path).form(&[("x", "y")]).await.status
            } else {
                world.get(path).await.status
            };
            assert!(matches!(status, 200 | 400 | 401), "{name}: {status}");
        }
    }

    async fn an_issuer_of_ones_own_is_what_tokens_and_metadata_say(stage: Stage) {
        let world = World::with(&stage, |variables| variables.set("ROSTER__TOKEN__ISSUER", "https://id.example.test")).await;
        let client = world.resource_server().await;
        let ada = world.register("ada").await;
        let tokens = world.begin(&ada).await;
        let answer = ask(&world, &client, &tokens.access).await;
        assert_eq!(answer.json()["iss"], "https://id.example.test");
        let metadata = world.get("/.well-known/oauth-authorization-server").await;
        assert_eq!(metadata.json()["issuer"], "https://id.example.test");
        assert_ne!(answer.json()["sid"], Value::Null);
    }
}
