//! The keys that sign access tokens.
//!
//! At each moment one key is `current` and signs, one is `next` and is published already, and `previous` ones still
//! verify until the last token they signed has expired. A rotation makes the next key the current one, so no
//! verifier meets a token whose key it couldn't have known.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use jsonwebtoken::jwk::{Jwk, PublicKeyUse, ThumbprintHash};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::seal::{Sealer, Unsealable};
use crate::clock::Random;
use crate::domain::SigningAlgorithm;

/// Where a key is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyState {
    /// Published, and waiting to sign.
    Next,
    /// Signs.
    Current,
    /// Signed once, and verifies until the last of its tokens has expired.
    Previous,
}

impl KeyState {
    /// Its name in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Next => "next",
            Self::Current => "current",
            Self::Previous => "previous",
        }
    }
}

impl FromStr for KeyState {
    type Err = KeyFault;

    fn from_str(text: &str) -> Result<Self, KeyFault> {
        [Self::Next, Self::Current, Self::Previous]
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or_else(|| KeyFault::new(format!("unknown state {text:?} of a signing key")))
    }
}

/// Something is wrong with a key. Its text names the key and the cure, never the key's content.
#[derive(Debug)]
pub struct KeyFault(String);

impl KeyFault {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    fn unsealable(id: &str, _: Unsealable) -> Self {
        Self(format!(
            "signing key {id} in the database cannot be decrypted with this security.secret_key: start with the \
             secret it was made with, or end that key with `roster keys retire {id}` (every token it signed is \
             refused from then on)"
        ))
    }
}

impl fmt::Display for KeyFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for KeyFault {}

/// A key as the database holds it: the private half sealed.
#[derive(Clone, Debug)]
pub struct StoredSigningKey {
    /// The `kid`.
    pub id: String,
    /// What it signs with.
    pub algorithm: SigningAlgorithm,
    /// Where it is in its life.
    pub state: KeyState,
    /// The public half, as a JWK (RFC 7517) with `kid`, `alg` and `use`.
    pub public_jwk: String,
    /// The private half.
    pub private_sealed: Vec<u8>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it began to sign.
    pub activated_at: Option<DateTime<Utc>>,
    /// When it ceased to sign.
    pub superseded_at: Option<DateTime<Utc>>,
}

impl StoredSigningKey {
    /// Whether it was made with this secret: its private half is sealed together with its `kid`, which nobody can do who
    /// can only write to the database. The `kid` is the thumbprint of the public half, which is held to it elsewhere.
    #[must_use]
    pub fn was_made_with(&self, sealer: &Sealer) -> bool {
        let context = seal_context(&self.id, self.algorithm);
        sealer.open(&self.private_sealed, &context).is_ok()
    }
}

/// A fresh key, ready to be stored.
#[derive(Clone, Debug)]
pub struct NewSigningKey {
    /// The `kid`: the key's thumbprint (RFC 7638), so that it follows from the key and can't clash.
    pub id: String,
    /// What it signs with.
    pub algorithm: SigningAlgorithm,
    /// The public half, as a JWK.
    pub public_jwk: String,
    /// The private half, PKCS#8, sealed.
    pub private_sealed: Vec<u8>,
}

impl NewSigningKey {
    /// Makes a key. RSA keys have 3072 bits, which are as strong as the others' 256 (NIST SP 800-57 part 1, table 2), and
    /// take a second or two; the others take no time.
    ///
    /// # Errors
    /// [`KeyFault`] where the cryptographic library fails.
    pub fn generate(
        algorithm: SigningAlgorithm,
        sealer: &Sealer,
        random: &dyn Random,
    ) -> Result<Self, KeyFault> {
        let failed = |step: &str| KeyFault::new(format!("cannot make a signing key: {step} failed"));
        let private = generate_pkcs8(algorithm).ok_or_else(|| failed("generation"))?;
        let encoding = encoding_key(algorithm, &private).map_err(|_| failed("encoding"))?;
        let mut jwk =
            Jwk::from_encoding_key(&encoding, algorithm.into()).map_err(|_| failed("the public half"))?;
        let id = jwk
            .thumbprint(ThumbprintHash::SHA256)
            .map_err(|_| failed("the thumbprint"))?;
        jwk.common.key_id = Some(id.clone());
        jwk.common.public_key_use = Some(PublicKeyUse::Signature);
        let public_jwk = serde_json::to_string(&jwk).map_err(|_| failed("the public half"))?;
        let private_sealed = sealer
            .seal(&private, &seal_context(&id, algorithm), random)
            .map_err(|_| failed("sealing"))?;
        Ok(Self {
            id,
            algorithm,
            public_jwk,
            private_sealed,
        })
    }
}

fn generate_pkcs8(algorithm: SigningAlgorithm) -> Option<Zeroizing<Vec<u8>>> {
    let system = aws_lc_rs::rand::SystemRandom::new();
    let bytes = match algorithm {
        SigningAlgorithm::Es256 => EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &system)
            .ok()?
            .as_ref()
            .to_vec(),
        // Version 1 of PKCS#8 holds the seed alone, which is what jsonwebtoken reads.
        SigningAlgorithm::EdDsa => Ed25519KeyPair::generate_pkcs8v1(&system).ok()?.as_ref().to_vec(),
        SigningAlgorithm::Rs256 => {
            let pair = RsaKeyPair::generate(KeySize::Rsa3072).ok()?;
            let der: Pkcs8V1Der<'_> = pair.as_der().ok()?;
            der.as_ref().to_vec()
        }
    };
    Some(Zeroizing::new(bytes))
}

fn encoding_key(algorithm: SigningAlgorithm, pkcs8: &[u8]) -> Result<EncodingKey, KeyFault> {
    Ok(match algorithm {
        SigningAlgorithm::Es256 => EncodingKey::from_ec_der(pkcs8),
        SigningAlgorithm::EdDsa => EncodingKey::from_ed_der(pkcs8),
        SigningAlgorithm::Rs256 => EncodingKey::from_rsa_der(&pkcs1_of_pkcs8(pkcs8)?),
    })
}

/// jsonwebtoken signs RSA from PKCS#1 (RFC 8017 §A.1.2), which is the octet string inside PKCS#8 (RFC 5208 §5):
/// `SEQUENCE { version, algorithm, OCTET STRING { PKCS#1 } }`. The lengths of a 3072-bit key all take two bytes,
/// and so do those of the 2048 bits that keys had before.
fn pkcs1_of_pkcs8(pkcs8: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeyFault> {
    /// Outer sequence (4), version (3), rsaEncryption with NULL (15), octet string header (4).
    const HEADER: usize = 4 + 3 + 15 + 4;
    match pkcs8.split_at_checked(HEADER) {
        Some((header, pkcs1))
            if header.get(22..24) == Some(&[0x04, 0x82]) && pkcs1.first() == Some(&0x30) =>
        {
            Ok(Zeroizing::new(pkcs1.to_vec()))
        }
        _ => Err(KeyFault::new("an RSA signing key has an unknown form")),
    }
}

/// Binds a sealed private half to its `kid` and algorithm, so that rows can't be swapped.
fn seal_context(id: &str, algorithm: SigningAlgorithm) -> Vec<u8> {
    format!("signing-key:{algorithm}:{id}").into_bytes()
}

impl From<SigningAlgorithm> for Algorithm {
    fn from(algorithm: SigningAlgorithm) -> Self {
        match algorithm {
            SigningAlgorithm::Es256 => Self::ES256,
            SigningAlgorithm::EdDsa => Self::EdDSA,
            SigningAlgorithm::Rs256 => Self::RS256,
        }
    }
}

/// The header of everything that is signed here. Exactly these members; another one, or one of them twice, isn't ours.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Header<'a> {
    pub(super) typ: &'a str,
    pub(super) alg: &'a str,
    pub(super) kid: &'a str,
}

/// The keys in use, as an instance holds them in memory.
pub struct KeyRing {
    current: SigningKey,
    verifying: Vec<VerifyingKey>,
    jwks: String,
}

struct SigningKey {
    id: String,
    algorithm: SigningAlgorithm,
    public_jwk: String,
    private: EncodingKey,
}

pub(super) struct VerifyingKey {
    id: String,
    pub(super) algorithm: SigningAlgorithm,
    pub(super) public: DecodingKey,
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids: Vec<_> = self.verifying.iter().map(|key| &key.id).collect();
        f.debug_struct("KeyRing")
            .field("current", &self.current.id)
            .field("verifying", &ids)
            .finish_non_exhaustive()
    }
}

impl KeyRing {
    /// Opens the keys that the database holds.
    ///
    /// Every private half is opened, not only the current one: a wrong `security.secret_key` shows at the start and
    /// not at the next rotation.
    ///
    /// # Errors
    /// [`KeyFault`] where there is no current key, or one can't be opened or read.
    pub fn open(keys: &[StoredSigningKey], sealer: &Sealer) -> Result<Self, KeyFault> {
        let mut current = None;
        let mut verifying = Vec::with_capacity(keys.len());
        let mut jwks = Vec::with_capacity(keys.len());
        for key in keys {
            let unreadable =
                |_| KeyFault::new(format!("signing key {} in the database cannot be read", key.id));
            let jwk: Jwk = serde_json::from_str(&key.public_jwk).map_err(|_| {
                KeyFault::new(format!("signing key {} in the database cannot be read", key.id))
            })?;
            if key.state != KeyState::Previous {
                let private = sealer
                    .open(&key.private_sealed, &seal_context(&key.id, key.algorithm))
                    .map_err(|error| KeyFault::unsealable(&key.id, error))?;
                let private = encoding_key(key.algorithm, &private)?;
                if key.state == KeyState::Current {
                    current = Some(SigningKey {
                        id: key.id.clone(),
                        algorithm: key.algorithm,
                        public_jwk: key.public_jwk.clone(),
                        private,
                    });
                }
            }
            let public = DecodingKey::from_jwk(&jwk).map_err(unreadable)?;
            verifying.push(VerifyingKey {
                id: key.id.clone(),
                algorithm: key.algorithm,
                public,
            });
            jwks.push(key.public_jwk.as_str());
        }
        let current = current.ok_or_else(|| KeyFault::new("the database has no current signing key"))?;
        Ok(Self {
            current,
            verifying,
            jwks: format!(r#"{{"keys":[{}]}}"#, jwks.join(",")),
        })
    }

    /// The public keys as a JWK Set (RFC 7517 §5), in JSON.
    #[must_use]
    pub fn jwks(&self) -> &str {
        &self.jwks
    }

    /// The `kid` that signs.
    #[must_use]
    pub fn current_id(&self) -> &str {
        &self.current.id
    }

    /// The public half of the key that signs, as a JWK.
    #[must_use]
    pub fn current_jwk(&self) -> &str {
        &self.current.public_jwk
    }

    /// Signs a statement with the current key, in JWS compact serialisation (RFC 7515 §7.1). Its type keeps it from being
    /// taken for another kind of statement; that of access tokens is given to nothing else.
    ///
    /// # Errors
    /// Where the cryptographic library fails to sign.
    pub fn sign(&self, typ: &str, claims: &impl Serialize) -> Result<String, jsonwebtoken::errors::Error> {
        let key = &self.current;
        let header = Header {
            typ,
            alg: key.algorithm.as_str(),
            kid: &key.id,
        };
        let mut statement = BASE64_URL_SAFE_NO_PAD.encode(serde_json::to_vec(&header)?);
        statement.push('.');
        BASE64_URL_SAFE_NO_PAD.encode_string(serde_json::to_vec(claims)?, &mut statement);
        let signature = jsonwebtoken::crypto::sign(statement.as_bytes(), &key.private, key.algorithm.into())?;
        statement.push('.');
        statement.push_str(&signature);
        Ok(statement)
    }

    #[cfg(test)]
    const fn current(&self) -> &SigningKey {
        &self.current
    }

    /// The key with this `kid`, and no other: what a token says about its key beyond that isn't heard.
    pub(super) fn verifying(&self, id: &str) -> Option<&VerifyingKey> {
        self.verifying.iter().find(|key| key.id == id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemRandom;

    fn stored(new: NewSigningKey, state: KeyState) -> StoredSigningKey {
        StoredSigningKey {
            id: new.id,
            algorithm: new.algorithm,
            state,
            public_jwk: new.public_jwk,
            private_sealed: new.private_sealed,
            created_at: DateTime::UNIX_EPOCH,
            activated_at: None,
            superseded_at: None,
        }
    }

    #[test]
    fn every_algorithm_makes_keys_that_sign_and_verify() {
        let sealer = Sealer::new(&[1; 32], "test").unwrap();
        for algorithm in SigningAlgorithm::ALL {
            let key = NewSigningKey::generate(algorithm, &sealer, &SystemRandom).unwrap();
            let ring = KeyRing::open(&[stored(key.clone(), KeyState::Current)], &sealer).unwrap();
            let signing = ring.current();
            let signature = jsonwebtoken::crypto::sign(b"text", &signing.private, algorithm.into()).unwrap();
            let verifying = ring.verifying(&key.id).unwrap();
            let verify = |text| {
                jsonwebtoken::crypto::verify(&signature, text, &verifying.public, algorithm.into()).unwrap()
            };
            assert!(verify(b"text"));
            assert!(!verify(b"test"));
            assert!(!ring.jwks().contains("\"d\""), "the private half stays private");
        }
    }

    #[test]
    fn another_secret_key_is_told_apart_from_every_other_fault() {
        let sealer = Sealer::new(&[1; 32], "test").unwrap();
        let key = NewSigningKey::generate(SigningAlgorithm::Es256, &sealer, &SystemRandom).unwrap();
        let other = Sealer::new(&[2; 32], "test").unwrap();
        let fault = KeyRing::open(&[stored(key, KeyState::Current)], &other).unwrap_err();
        assert!(fault.to_string().contains("security.secret_key"), "{fault}");
        assert!(KeyRing::open(&[], &sealer).is_err());
    }
}
