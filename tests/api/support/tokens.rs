//! Tokens that nobody issued.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use entity::signing_keys;
use roster::clock::Clock as _;
use roster::keys;
use sea_orm::{ActiveValue::Set, EntityTrait as _};
use serde_json::{Value, json};

use super::world::{PUBLIC_URL, Persona, World};

/// A signing key whose private half is in our hands.
pub struct ForeignKey {
    pub id: String,
    pair: EcdsaKeyPair,
}

impl ForeignKey {
    /// A key that no server knows.
    pub fn unknown(id: &str) -> Self {
        let document =
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref()).unwrap();
        Self {
            id: id.to_owned(),
            pair,
        }
    }

    /// A key that is in the store of this world and that the world's server knows: what it signs is as good as what
    /// the server signs itself.
    pub async fn in_store(world: &World, id: &str) -> Self {
        let key = Self::unknown(id);
        let now = world.clock.now().fixed_offset();
        let row = signing_keys::ActiveModel {
            id: Set(id.to_owned()),
            algorithm: Set("ES256".to_owned()),
            // The database allows any number of these, and verifying is all that they are asked for.
            state: Set("previous".to_owned()),
            public_jwk: Set(key.jwk().to_string()),
            private_sealed: Set(Vec::new()),
            created_at: Set(now),
            activated_at: Set(Some(now)),
            superseded_at: Set(Some(now)),
        };
        signing_keys::Entity::insert(row)
            .exec_without_returning(&world.db())
            .await
            .unwrap();
        keys::service::reload(&world.state).await.unwrap();
        key
    }

    /// The public half.
    pub fn jwk(&self) -> Value {
        let point = self.pair.public_key().as_ref();
        let part = |from: usize| BASE64_URL_SAFE_NO_PAD.encode(&point[from..from + 32]);
        json!({
            "kty": "EC", "crv": "P-256", "x": part(1), "y": part(33),
            "kid": self.id, "alg": "ES256", "use": "sig",
        })
    }

    /// The header that tokens of the server have.
    pub fn header(&self) -> Value {
        json!({"typ": "at+jwt", "alg": "ES256", "kid": self.id})
    }

    /// Signs whatever is in header and claims.
    pub fn sign(&self, header: &Value, claims: &Value) -> String {
        self.sign_text(&header.to_string(), &claims.to_string())
    }

    /// Signs texts that needn't even be JSON.
    pub fn sign_text(&self, header: &str, claims: &str) -> String {
        let message = format!(
            "{}.{}",
            BASE64_URL_SAFE_NO_PAD.encode(header),
            BASE64_URL_SAFE_NO_PAD.encode(claims)
        );
        self.sign_message(&message)
    }

    /// Signs two segments that are encoded already.
    pub fn sign_message(&self, message: &str) -> String {
        let signature = self.pair.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
        format!("{message}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
    }
}

/// Fails unless the token opens this account.
pub async fn accepted(world: &World, token: &str, persona: &Persona) {
    assert_eq!(
        world.profile(token).await["id"],
        persona.id.to_string(),
        "{token}"
    );
}

/// Fails unless the token is refused as such.
pub async fn refused(world: &World, token: &str) {
    let answer = world.get("/users/me").bearer(token).await;
    assert_eq!(answer.status, 401, "{token}: {answer}");
    answer.problem("invalid-token");
}

/// A header, or claims, with one member changed or added.
pub fn with(value: &Value, name: &str, member: Value) -> Value {
    let mut changed = value.clone();
    changed[name] = member;
    changed
}

/// The three parts of a token, still encoded.
pub fn segments(token: &str) -> [&str; 3] {
    let parts: Vec<_> = token.split('.').collect();
    parts.try_into().expect("three segments")
}

/// Header and claims of a token.
pub fn decoded(token: &str) -> (Value, Value) {
    let [header, claims, _] = segments(token);
    let decode = |part| serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap();
    (decode(header), decode(claims))
}

impl World {
    /// The claims of a token that would be good now, for the session of somebody who has signed in.
    pub async fn good_claims(&self, persona: &Persona) -> Value {
        let (_, claims) = decoded(&self.sign_in(persona).await);
        assert_eq!(claims["iss"], PUBLIC_URL);
        claims
    }
}
