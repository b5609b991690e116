//! Access tokens and opaque secrets.
//!
//! The first byte says which: `t` a text as a token, `m` a good token with changes, `s` a header and claims (two lines)
//! that are signed with our own key, `r` an opaque secret, `k` a code of a mail, from its link or typed.

#![no_main]

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use jsonwebtoken::{Algorithm, EncodingKey};
use libfuzzer_sys::{Corpus, fuzz_target};
use roster::clock::{Ambient, Clock, Random, SystemRandom};
use roster::domain::{SessionId, SigningAlgorithm, UserId};
use roster::security::{
    AccessTokenSettings, AccessTokens, KeyRing, KeyState, MailToken, NewSigningKey, Party, RefreshToken,
    Sealer, StoredSigningKey, TypedCode,
};
use serde_json::{Value, json};
use uuid::Uuid;

/// Seconds since 1970 of the one instant that there is here.
const NOW: i64 = 1_800_000_000;
const ISSUER: &str = "https://accounts.example.org";

#[derive(Debug)]
struct Stopped;

impl Clock for Stopped {
    fn now(&self) -> DateTime<Utc> {
        DateTime::from_timestamp(NOW, 0).expect("an instant")
    }
}

/// Chance that isn't one.
#[derive(Debug)]
struct Given(Vec<u8>);

impl Random for Given {
    fn fill(&self, buffer: &mut [u8]) {
        for (to, from) in buffer.iter_mut().zip(&self.0) {
            *to = *from;
        }
    }
}

struct World {
    tokens: AccessTokens,
    ring: KeyRing,
    key: EncodingKey,
    key_id: String,
    good: String,
}

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let ambient = Ambient {
        clock: Arc::new(Stopped),
        random: Arc::new(SystemRandom),
    };
    let party = || Party {
        name: ISSUER.to_owned(),
        is_any_port: false,
    };
    let settings = AccessTokenSettings {
        issuer: party(),
        audience: party(),
        lifetime: Duration::from_mins(15),
    };
    let sealer = Sealer::new(&[1; 32], "fuzzing").expect("a sealer");
    let new = NewSigningKey::generate(SigningAlgorithm::EdDsa, &sealer, &SystemRandom).expect("a key");
    let context = format!("signing-key:{}:{}", new.algorithm, new.id);
    let private = sealer
        .open(&new.private_sealed, context.as_bytes())
        .expect("our own key");
    let stored = StoredSigningKey {
        id: new.id.clone(),
        algorithm: new.algorithm,
        state: KeyState::Current,
        public_jwk: new.public_jwk,
        private_sealed: new.private_sealed,
        created_at: DateTime::UNIX_EPOCH,
        activated_at: None,
        superseded_at: None,
    };
    let ring = KeyRing::open(&[stored], &sealer).expect("a ring");
    let tokens = AccessTokens::new(settings, ambient);
    let id = Uuid::from_u128(7);
    let good = tokens
        .issue(&ring, UserId::new(id), SessionId::new(id))
        .expect("a token")
        .expose()
        .to_owned();
    assert!(tokens.verify(&ring, &good).is_ok());
    World {
        tokens,
        ring,
        key: EncodingKey::from_ed_der(&private),
        key_id: new.id,
        good,
    }
});

fuzz_target!(|bytes: &[u8]| -> Corpus {
    let Some((&kind, rest)) = bytes.split_first() else {
        return Corpus::Reject;
    };
    match (kind, std::str::from_utf8(rest)) {
        (b't', Ok(text)) => unsigned(text),
        (b'm', _) => changed(rest),
        (b's', Ok(text)) => signed(text),
        (b'r', Ok(text)) => opaque(text),
        (b'k', Ok(text)) => mail_code(text),
        _ => return Corpus::Reject,
    }
    Corpus::Keep
});

/// Nobody makes a token without the key, which is another one at every start.
fn unsigned(text: &str) {
    assert!(WORLD.tokens.verify(&WORLD.ring, text).is_err());
    let _ = WORLD.tokens.details(text);
}

/// No other spelling of a good token is good. Changes are of three bytes: what is done, where, and with which byte.
fn changed(changes: &[u8]) {
    let mut token = WORLD.good.clone().into_bytes();
    for change in changes.chunks_exact(3).take(8) {
        let [kind, at, byte] = *change else { continue };
        // From both ends: header and signature are where the tricks are.
        let at = if kind & 1 == 0 {
            usize::from(at)
        } else {
            token.len().saturating_sub(usize::from(at))
        };
        let at = at.min(token.len());
        match kind >> 1 & 3 {
            0 => token.insert(at, byte),
            1 if at < token.len() => token[at] = byte,
            2 if at < token.len() => drop(token.remove(at)),
            3 => token.truncate(at),
            _ => {}
        }
    }
    let Ok(token) = String::from_utf8(token) else {
        return;
    };
    assert_eq!(
        WORLD.tokens.verify(&WORLD.ring, &token).is_ok(),
        token == WORLD.good
    );
}

/// Also with a signature of ours, a header is ours to the letter, and claims are in force and for us.
fn signed(text: &str) {
    let Some((header, claims)) = text.split_once('\n') else {
        return;
    };
    let header = header.replace("KID", &WORLD.key_id);
    let message = [header.as_str(), claims]
        .map(|part| BASE64_URL_SAFE_NO_PAD.encode(part))
        .join(".");
    let signature =
        jsonwebtoken::crypto::sign(message.as_bytes(), &WORLD.key, Algorithm::EdDSA).expect("a signature");
    let token = format!("{message}.{signature}");
    let Ok(verified) = WORLD.tokens.verify(&WORLD.ring, &token) else {
        return;
    };
    let header: Value = serde_json::from_str(&header).expect("a JSON header");
    assert_eq!(
        header,
        json!({"typ": "at+jwt", "alg": "EdDSA", "kid": WORLD.key_id})
    );
    let claims: Value = serde_json::from_str(claims).expect("JSON claims");
    let known = [
        "iss",
        "sub",
        "aud",
        "exp",
        "iat",
        "nbf",
        "jti",
        "client_id",
        "sid",
        "scope",
    ];
    assert!(
        claims
            .as_object()
            .expect("an object")
            .keys()
            .all(|name| known.contains(&name.as_str()))
    );
    assert_eq!((&claims["iss"], &claims["aud"]), (&json!(ISSUER), &json!(ISSUER)));
    assert!(claims["exp"].as_i64().is_some_and(|exp| exp > NOW));
    assert!(claims["iat"].as_i64().is_some_and(|iat| iat <= NOW + 30));
    assert!(claims["nbf"].is_null() || claims["nbf"].as_i64().is_some_and(|nbf| nbf <= NOW + 30));
    let id = |name: &str| claims[name].as_str().and_then(|text| Uuid::parse_str(text).ok());
    assert_eq!(id("sub"), Some(verified.user_id.get()));
    assert_eq!(id("sid"), Some(verified.session_id.get()));
    let details = WORLD.tokens.details(&token).expect("a token that was verified");
    assert_eq!(claims["exp"].as_i64(), Some(details.expires_at));
    assert!(token.len() <= 4096);
}

/// One text for each secret, and back.
fn opaque(text: &str) {
    if let Some(token) = RefreshToken::parse(text) {
        assert_eq!(token.expose().as_str(), text);
    }
    let token = RefreshToken::generate(&Given(text.as_bytes().to_vec()));
    let again = RefreshToken::parse(&token.expose()).expect("its own text");
    assert_eq!(again.bytes(), token.bytes());
}

/// A link's token is its text to the letter, and no other kind of secret; a typed code is eight characters, however they are
/// set apart.
fn mail_code(text: &str) {
    if let Some(token) = MailToken::parse(text) {
        assert_eq!(token.expose().as_str(), text);
        assert!(RefreshToken::parse(text).is_none() && TypedCode::parse(text).is_none());
    }
    if let Some(code) = TypedCode::parse(text) {
        let plain = code.expose();
        let (left, right) = plain.split_once('-').expect("two halves");
        assert_eq!((left.len(), right.len()), (4, 4));
        let typed: String = text.chars().filter(|c| !matches!(c, ' ' | '-')).collect();
        assert_eq!(typed.to_ascii_uppercase(), format!("{left}{right}"));
        for spelling in [
            plain.to_lowercase(),
            format!(" {left} {right} "),
            format!("{left}{right}"),
        ] {
            let again = TypedCode::parse(&spelling).expect("another spelling");
            assert_eq!(again.expose(), plain);
        }
        assert!(TypedCode::parse(&format!("{text}A")).is_none());
    }
    let code = TypedCode::generate(&Given(text.as_bytes().to_vec()));
    let again = TypedCode::parse(&code.expose()).expect("its own text");
    assert_eq!(again.expose(), code.expose());
}
