//! Nothing but a token of ours, spelled as we spell it, is an access token.
//!
//! Most of these are signed with a key that the server knows: they are refused for what they are, and not for their
//! signature.

use std::time::Duration;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{ForeignKey, Persona, World, accepted, refused, segments, with};

fn encode(value: &Value) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(value.to_string())
}

fn without(value: &Value, name: &str) -> Value {
    let mut changed = value.clone();
    changed
        .as_object_mut()
        .unwrap()
        .remove(name)
        .expect("it was there");
    changed
}

/// Somebody who has signed in, the claims of a token for that session, and a key whose signature the server accepts.
async fn forge(world: &World) -> (Persona, Value, ForeignKey) {
    let key = ForeignKey::in_store(world, "in-our-hands").await;
    let ada = world.register("ada").await;
    let claims = world.good_claims(&ada).await;
    // Whatever is refused from here on is refused for what the test has changed.
    accepted(world, &key.sign(&key.header(), &claims), &ada).await;
    (ada, claims, key)
}

scenario! {
    async fn a_token_without_a_signature_is_none(world: World) {
        let (_, claims, key) = forge(&world).await;
        let token = key.sign(&key.header(), &claims);
        let [header, payload, signature] = segments(&token);
        for alg in ["none", "None", "NONE", "nOnE", ""] {
            let unsigned = encode(&with(&key.header(), "alg", json!(alg)));
            refused(&world, &format!("{unsigned}.{payload}.")).await;
            refused(&world, &format!("{unsigned}.{payload}")).await;
            refused(&world, &format!("{unsigned}.{payload}.{signature}")).await;
            let bare = encode(&json!({"alg": alg, "typ": "at+jwt"}));
            refused(&world, &format!("{bare}.{payload}.")).await;
        }
        refused(&world, &format!("{header}.{payload}.")).await;
        refused(&world, &format!("{header}.{payload}")).await;
        refused(&world, &format!("{header}.{payload}.AAAA")).await;
        // r and s of zero, which careless libraries take for anything.
        refused(
            &world,
            &format!("{header}.{payload}.{}", BASE64_URL_SAFE_NO_PAD.encode([0; 64])),
        )
        .await;
    }

    async fn the_algorithm_is_that_of_the_key(world: World) {
        let (_, claims, key) = forge(&world).await;
        for alg in [
            "HS256", "HS384", "HS512", "RS256", "RS384", "PS256", "ES384", "ES512", "ES256K", "EdDSA",
            "es256", "ES256 ", "none",
        ] {
            // Rightly signed over the changed header, and with the bytes of another one.
            refused(
                &world,
                &key.sign(&with(&key.header(), "alg", json!(alg)), &claims),
            )
            .await;
            let good = key.sign(&key.header(), &claims);
            let [_, payload, signature] = segments(&good);
            let header = encode(&with(&key.header(), "alg", json!(alg)));
            refused(&world, &format!("{header}.{payload}.{signature}")).await;
        }
        for alg in [json!(null), json!(["ES256"]), json!(256)] {
            refused(&world, &key.sign(&with(&key.header(), "alg", alg), &claims)).await;
        }
        // What is public, as the secret of an HMAC.
        let message = format!(
            "{}.{}",
            encode(&with(&key.header(), "alg", json!("HS256"))),
            encode(&claims)
        );
        let jwk = key.jwk();
        let coordinates = [jwk["x"].as_str().unwrap(), jwk["y"].as_str().unwrap()];
        let point = coordinates
            .map(|part| BASE64_URL_SAFE_NO_PAD.decode(part).unwrap())
            .concat();
        for secret in [
            jwk.to_string().into_bytes(),
            point.clone(),
            [&[4], point.as_slice()].concat(),
            Vec::new(),
        ] {
            let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &secret), message.as_bytes());
            refused(
                &world,
                &format!("{message}.{}", BASE64_URL_SAFE_NO_PAD.encode(tag)),
            )
            .await;
        }
    }

    async fn a_signature_covers_every_bit(world: World) {
        let (ada, claims, key) = forge(&world).await;
        let other = world.register("bob").await;
        let token = key.sign(&key.header(), &claims);
        let [header, _, signature] = segments(&token);
        for changed in [
            with(&claims, "sub", json!(other.id.to_string())),
            with(&claims, "exp", json!(claims["exp"].as_i64().unwrap() + 1)),
            with(&claims, "scope", json!("account admin")),
        ] {
            refused(&world, &format!("{header}.{}.{signature}", encode(&changed))).await;
        }
        let another = key.sign(&key.header(), &with(&claims, "scope", json!("x")));
        refused(
            &world,
            &format!("{header}.{}.{}", encode(&claims), segments(&another)[2]),
        )
        .await;
        // Each character, on both sides of both dots.
        let bytes = token.as_bytes();
        let ends = [header.len(), token.len() - signature.len() - 1, token.len()];
        for end in ends {
            for at in end - 8..end {
                let mut flipped = bytes.to_vec();
                flipped[at] = if flipped[at] == b'A' { b'Q' } else { b'A' };
                refused(&world, std::str::from_utf8(&flipped).unwrap()).await;
            }
        }
        accepted(&world, &token, &ada).await;
    }

    async fn there_is_one_spelling_of_a_token(world: World) {
        let (ada, claims, key) = forge(&world).await;
        let token = key.sign(&key.header(), &claims);
        let [header, payload, signature] = segments(&token);
        for end in ["=", "==", ".", "%3D", "\u{a0}"] {
            refused(&world, &format!("{token}{end}")).await;
        }
        refused(&world, &format!("{header}=.{payload}.{signature}")).await;
        refused(&world, &format!("{header}.{payload}==.{signature}")).await;
        refused(&world, &format!(".{token}")).await;
        refused(&world, &format!("{header}..{payload}.{signature}")).await;
        // 64 bytes leave four bits of the last of 86 characters unused: they have to be zero.
        let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let last = alphabet.find(signature.chars().last().unwrap()).unwrap();
        assert_eq!((signature.len(), last % 16), (86, 0));
        for stray in 1..16 {
            let other = &alphabet[last + stray..=last + stray];
            refused(&world, &format!("{header}.{payload}.{}{other}", &signature[..85])).await;
        }
        // The alphabet of plain base64: a signature that has a character of it.
        let differing = std::iter::repeat_with(|| key.sign(&key.header(), &claims))
            .find(|token| segments(token)[2].contains(['-', '_']))
            .unwrap();
        let [header, payload, signature] = segments(&differing);
        let plain = signature.replace('-', "+").replace('_', "/");
        refused(&world, &format!("{header}.{payload}.{plain}")).await;
        accepted(&world, &differing, &ada).await;
    }

    async fn other_forms_of_jose_are_no_access_tokens(world: World) {
        let (_, claims, key) = forge(&world).await;
        let token = key.sign(&key.header(), &claims);
        let [header, payload, signature] = segments(&token);
        refused(
            &world,
            &format!("{header}.{payload}.{signature}.{payload}.{signature}"),
        )
        .await;
        refused(&world, &format!("{header}.{payload}.{signature}.{signature}")).await;
        let whole = json!({"protected": header, "payload": payload, "signature": signature}).to_string();
        refused(&world, &whole).await;
        refused(&world, &BASE64_URL_SAFE_NO_PAD.encode(&whole)).await;
        // A token in a token, a detached payload, and a payload that isn't an object.
        refused(&world, &key.sign_text(&key.header().to_string(), &token)).await;
        refused(
            &world,
            &key.sign_text(&with(&key.header(), "cty", json!("JWT")).to_string(), &token),
        )
        .await;
        let detached = key.sign_message(&format!("{header}."));
        refused(&world, &detached).await;
        for text in [
            "",
            "null",
            "[]",
            "1",
            "\"\"",
            "{}",
            "{",
            &format!("[{claims}]"),
            &format!("{claims}{claims}"),
        ] {
            refused(&world, &key.sign_text(&key.header().to_string(), text)).await;
        }
        for text in ["", "null", "[]", "{}", &format!("[{}]", key.header())] {
            refused(&world, &key.sign_text(text, &claims.to_string())).await;
        }
    }

    async fn a_header_has_three_members(world: World) {
        let (_, claims, key) = forge(&world).await;
        for (name, value) in [
            ("crit", json!(["exp"])),
            ("crit", json!([])),
            ("b64", json!(false)),
            ("b64", json!(true)),
            ("zip", json!("DEF")),
            ("cty", json!("JWT")),
            ("jku", json!("https://evil.test/jwks.json")),
            ("x5u", json!("https://evil.test/cert")),
            ("x5c", json!([])),
            ("x5t", json!("x")),
            ("jwk", key.jwk()),
            ("enc", json!("A256GCM")),
            ("x", json!(1)),
        ] {
            refused(&world, &key.sign(&with(&key.header(), name, value), &claims)).await;
        }
        for name in ["typ", "alg", "kid"] {
            refused(&world, &key.sign(&without(&key.header(), name), &claims)).await;
        }
    }

    async fn only_an_access_token_is_one(world: World) {
        let (_, claims, key) = forge(&world).await;
        for typ in [
            json!("JWT"),
            json!("jwt"),
            json!("id+jwt"),
            json!("refresh"),
            json!("logout+jwt"),
            json!("dpop+jwt"),
            json!("at+jwt "),
            json!(""),
            json!(null),
            json!(["at+jwt"]),
        ] {
            refused(&world, &key.sign(&with(&key.header(), "typ", typ), &claims)).await;
        }
    }

    async fn only_keys_of_the_store_sign(world: World) {
        let (_, claims, key) = forge(&world).await;
        let foreign = ForeignKey::unknown("unknown");
        refused(&world, &foreign.sign(&foreign.header(), &claims)).await;
        // Under the name of a key that is known, and with its own public half along.
        let current = world.state.keys.ring().current_id().to_owned();
        for kid in [current.as_str(), key.id.as_str()] {
            let header = with(&foreign.header(), "kid", json!(kid));
            refused(&world, &foreign.sign(&header, &claims)).await;
            refused(
                &world,
                &foreign.sign(&with(&header, "jwk", foreign.jwk()), &claims),
            )
            .await;
        }
        for kid in [
            json!("../../../../dev/null"),
            json!("' UNION SELECT 'x' --"),
            json!(""),
            json!("\0"),
            json!(0),
            json!(null),
            json!([key.id]),
            json!("in-our-hands "),
            json!("IN-OUR-HANDS"),
            json!("https://evil.test/key"),
        ] {
            refused(&world, &key.sign(&with(&key.header(), "kid", kid), &claims)).await;
        }
    }

    async fn a_member_counts_once(world: World) {
        let (ada, claims, key) = forge(&world).await;
        let header = key.header().to_string();
        let claims = claims.to_string();
        let twice = |json: &str, more: &str| format!("{},{more}}}", json.strip_suffix('}').unwrap());
        let sub = format!("\"sub\":\"{}\"", ada.id);
        for more in [
            sub.as_str(),
            "\"exp\":99999999999",
            "\"iss\":\"http://accounts.test\"",
            "\"aud\":\"http://accounts.test\"",
            "\"s\\u0075b\":\"x\"",
            "\"admin\":true",
            "\"cnf\":{}",
        ] {
            refused(&world, &key.sign_text(&header, &twice(&claims, more))).await;
        }
        for more in [
            "\"alg\":\"ES256\"",
            "\"kid\":\"in-our-hands\"",
            "\"typ\":\"at+jwt\"",
            "\"\\u0061lg\":\"none\"",
        ] {
            refused(&world, &key.sign_text(&twice(&header, more), &claims)).await;
        }
        // The order of members is nobody's business.
        let turned = format!("{{\"kid\":\"{}\",\"alg\":\"ES256\",\"typ\":\"at+jwt\"}}", key.id);
        accepted(&world, &key.sign_text(&turned, &claims), &ada).await;
    }

    async fn an_expiry_is_a_number_in_the_future(world: World) {
        let (ada, claims, key) = forge(&world).await;
        let now = claims["iat"].as_i64().unwrap();
        for exp in [
            json!(now),
            json!(now - 1),
            json!(now - 31),
            json!(0),
            json!(-1),
            json!(i64::MIN),
            json!(null),
            json!("x"),
            json!((now + 900).to_string()),
            json!([now + 900]),
            json!({}),
            json!(true),
            json!(1e300),
            json!(1e12 + 0.5),
            json!(u64::MAX),
        ] {
            refused(&world, &key.sign(&key.header(), &with(&claims, "exp", exp))).await;
        }
        refused(&world, &key.sign(&key.header(), &without(&claims, "exp"))).await;
        accepted(
            &world,
            &key.sign(&key.header(), &with(&claims, "exp", json!(now + 1))),
            &ada,
        )
        .await;
    }

    async fn a_token_of_the_future_waits(world: World) {
        let (ada, claims, key) = forge(&world).await;
        let now = claims["iat"].as_i64().unwrap();
        for name in ["nbf", "iat"] {
            // Clocks of two instances may differ by half a minute.
            accepted(
                &world,
                &key.sign(&key.header(), &with(&claims, name, json!(now + 30))),
                &ada,
            )
            .await;
            let early = key.sign(&key.header(), &with(&claims, name, json!(now + 31)));
            refused(&world, &early).await;
            world.clock.advance(Duration::from_secs(1));
            accepted(&world, &early, &ada).await;
            world.clock.turn_back(Duration::from_secs(1));
            refused(&world, &early).await;
            for wrong in [json!("0"), json!(true), json!({}), json!(1.5), json!(i64::MAX)] {
                refused(&world, &key.sign(&key.header(), &with(&claims, name, wrong))).await;
            }
        }
        refused(&world, &key.sign(&key.header(), &without(&claims, "iat"))).await;
        refused(
            &world,
            &key.sign(&key.header(), &with(&claims, "iat", json!(null))),
        )
        .await;
    }

    async fn a_token_is_for_this_server(world: World) {
        let (_, claims, key) = forge(&world).await;
        for name in ["iss", "aud"] {
            for wrong in [
                json!("http://accounts.test/"),
                json!("https://accounts.test"),
                json!("HTTP://ACCOUNTS.TEST"),
                json!("http://accounts.test.evil.test"),
                json!(""),
                json!(null),
                json!([]),
                json!(["http://evil.test"]),
                json!({"http://accounts.test": 1}),
                json!(7),
            ] {
                refused(&world, &key.sign(&key.header(), &with(&claims, name, wrong))).await;
            }
            refused(&world, &key.sign(&key.header(), &without(&claims, name))).await;
        }
    }

    async fn a_subject_is_a_user_with_that_session(world: World) {
        let (ada, claims, key) = forge(&world).await;
        let bob = world.register("bob").await;
        let of_bob = world.good_claims(&bob).await;
        for sub in [
            json!(Uuid::from_u128(7).to_string()),
            json!("1"),
            json!(1),
            json!("' OR 1=1 --"),
            json!("\0"),
            json!(""),
            json!(null),
            json!([ada.id.to_string()]),
            json!(bob.id.to_string()),
            json!(ada.email),
        ] {
            refused(&world, &key.sign(&key.header(), &with(&claims, "sub", sub))).await;
        }
        for sid in [
            json!(Uuid::from_u128(7).to_string()),
            json!("1"),
            json!("' OR 1=1 --"),
            json!(null),
            of_bob["sid"].clone(),
            json!(ada.id.to_string()),
        ] {
            refused(&world, &key.sign(&key.header(), &with(&claims, "sid", sid))).await;
        }
        for name in ["sub", "sid", "jti", "client_id", "scope"] {
            refused(&world, &key.sign(&key.header(), &without(&claims, name))).await;
        }
        accepted(&world, &key.sign(&key.header(), &of_bob), &bob).await;
    }
}
