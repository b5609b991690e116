//! Checking what [`KeyRing::sign`](super::KeyRing::sign) has signed, long after its key has ceased to verify tokens.

use jsonwebtoken::DecodingKey;
use jsonwebtoken::jwk::{Jwk, ThumbprintHash};

use super::access_token::{decode, parse};
use super::signing_key::Header;
use crate::domain::SigningAlgorithm;

/// Why a statement isn't what it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatementFault {
    /// It isn't a statement of this type, in JWS compact serialisation (RFC 7515 §7.1).
    Malformed,
    /// The key that was handed over isn't the one that it names.
    OtherKey,
    /// It was changed, or another key has signed it.
    Signature,
}

/// A signed statement. What it says is to be had with its key only.
#[derive(Debug)]
pub struct SignedStatement<'a> {
    key_id: String,
    algorithm: SigningAlgorithm,
    message: &'a str,
    signature: &'a str,
    claims: Vec<u8>,
}

impl<'a> SignedStatement<'a> {
    /// Reads a statement of this type, as strictly as an access token is read.
    ///
    /// # Errors
    /// [`StatementFault::Malformed`].
    pub fn parse(text: &'a str, typ: &str) -> Result<Self, StatementFault> {
        let malformed = |_| StatementFault::Malformed;
        let (message, signature) = text.rsplit_once('.').ok_or(StatementFault::Malformed)?;
        let (header, claims) = message.split_once('.').ok_or(StatementFault::Malformed)?;
        let header = decode(header).map_err(malformed)?;
        let header: Header<'_> = parse(&header).map_err(malformed)?;
        if header.typ != typ {
            return Err(StatementFault::Malformed);
        }
        decode(signature).map_err(malformed)?;
        Ok(Self {
            key_id: header.kid.to_owned(),
            algorithm: header.alg.parse().map_err(|_| StatementFault::Malformed)?,
            message,
            signature,
            claims: decode(claims).map_err(malformed)?,
        })
    }

    /// The `kid` of the key that it says to be signed with: that key's thumbprint (RFC 7638).
    #[must_use]
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// What it says, in JSON, if the key with this public half (a JWK, RFC 7517) has signed it and is the one that it
    /// names. Whose key that is, is for the caller to know.
    ///
    /// # Errors
    /// [`StatementFault::OtherKey`] or [`StatementFault::Signature`].
    pub fn verify(&self, public_jwk: &str) -> Result<&[u8], StatementFault> {
        let jwk: Jwk = serde_json::from_str(public_jwk).map_err(|_| StatementFault::OtherKey)?;
        let thumbprint = jwk
            .thumbprint(ThumbprintHash::SHA256)
            .map_err(|_| StatementFault::OtherKey)?;
        if thumbprint != self.key_id {
            return Err(StatementFault::OtherKey);
        }
        let key = DecodingKey::from_jwk(&jwk).map_err(|_| StatementFault::OtherKey)?;
        let message = self.message.as_bytes();
        match jsonwebtoken::crypto::verify(self.signature, message, &key, self.algorithm.into()) {
            Ok(true) => Ok(&self.claims),
            Ok(false) | Err(_) => Err(StatementFault::Signature),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::{KeyRing, KeyState, NewSigningKey, Sealer, StoredSigningKey};
    use super::*;
    use crate::clock::SystemRandom;

    const TYPE: &str = "statement+jwt";

    fn made(algorithm: SigningAlgorithm, sealer: &Sealer) -> StoredSigningKey {
        let new = NewSigningKey::generate(algorithm, sealer, &SystemRandom).unwrap();
        StoredSigningKey {
            id: new.id,
            algorithm: new.algorithm,
            state: KeyState::Current,
            public_jwk: new.public_jwk,
            private_sealed: new.private_sealed,
            created_at: chrono::DateTime::UNIX_EPOCH,
            activated_at: None,
            superseded_at: None,
        }
    }

    #[test]
    fn a_statement_is_taken_from_its_own_key_and_no_other() {
        let sealer = Sealer::new(&[7; 32], "statements").unwrap();
        for algorithm in SigningAlgorithm::ALL {
            let (one, other) = (made(algorithm, &sealer), made(algorithm, &sealer));
            let ring = KeyRing::open(std::slice::from_ref(&one), &sealer).unwrap();
            let claims = json!({"last": 7});
            let text = ring.sign(TYPE, &claims).unwrap();
            let statement = SignedStatement::parse(&text, TYPE).unwrap();
            assert_eq!(statement.key_id(), one.id);
            assert_eq!(statement.verify(ring.current_jwk()), Ok(&b"{\"last\":7}"[..]));
            assert_eq!(statement.verify(&other.public_jwk), Err(StatementFault::OtherKey));
            // A key that only says to be that one.
            let posing = other.public_jwk.replace(&other.id, &one.id);
            assert_eq!(statement.verify(&posing), Err(StatementFault::OtherKey));
            let another = ring.sign(TYPE, &json!({"last": 8})).unwrap();
            let (message, _) = text.rsplit_once('.').unwrap();
            let (_, signature) = another.rsplit_once('.').unwrap();
            let mixed = format!("{message}.{signature}");
            let mixed = SignedStatement::parse(&mixed, TYPE).unwrap();
            assert_eq!(mixed.verify(&one.public_jwk), Err(StatementFault::Signature));
            for malformed in ["", "a.b", "a.b.c", &format!("{text}="), &format!("{text}.a")] {
                let fault = SignedStatement::parse(malformed, TYPE).unwrap_err();
                assert_eq!(fault, StatementFault::Malformed, "{malformed}");
            }
            let fault = SignedStatement::parse(&text, "at+jwt").unwrap_err();
            assert_eq!(fault, StatementFault::Malformed);
            assert!(one.was_made_with(&sealer));
            assert!(!one.was_made_with(&Sealer::new(&[8; 32], "statements").unwrap()));
            let renamed = StoredSigningKey { id: other.id, ..one };
            assert!(!renamed.was_made_with(&sealer));
        }
    }
}
