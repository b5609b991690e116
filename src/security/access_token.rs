//! Access tokens: JWTs of the profile of RFC 9068.
//!
//! Verification reads less than a JWT library offers, on purpose (RFC 8725): the header must have exactly the three
//! members that ours have, `kid` is an index into our own keys, the algorithm is the one of that key, and claims are
//! ours to the letter. Time comes from an [`Ambient`], which jsonwebtoken's own validation doesn't take.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use quick_cache::sync::Cache;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::signing_key::{Header, KeyRing};
use crate::clock::Ambient;
use crate::domain::{SessionId, SigningAlgorithm, UserId};

/// The media type of RFC 9068 §2.1, which keeps other kinds of JWT from being taken for an access token.
const TYPE: &str = "at+jwt";
/// Our own tokens have some 600 bytes (ES256) to 1,000 (RS256).
const MAX_BYTES: usize = 4096;
/// How far another instance's clock may be ahead of ours, in seconds: for `iat` and `nbf` only. An expired token is
/// expired.
const CLOCK_SKEW: i64 = 30;
/// Checked tokens remembered at most: some 150 bytes each.
const REMEMBERED: usize = 16_384;
/// The first-party client that `/login` signs in.
pub const CLIENT_ID: &str = "roster";
/// What `/login` grants: the account itself.
pub const SCOPE: &str = "account";

/// A signed token, on its way to its owner.
pub struct AccessToken(SecretString);

impl AccessToken {
    /// The token's text, for the answer that carries it.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessToken([redacted])")
    }
}

/// What is put into tokens and asked of them.
#[derive(Clone, Debug)]
pub struct AccessTokenSettings {
    /// `iss`.
    pub issuer: Party,
    /// `aud`.
    pub audience: Party,
    /// How long a token is good.
    pub lifetime: Duration,
}

/// Who issues tokens, or for whom they are.
#[derive(Clone, Debug)]
pub struct Party {
    /// What new tokens say.
    pub name: String,
    /// Whether the name was derived from where this process listens, and another port in it means the same party:
    /// instances on one machine share their keys and their sessions, but not a port. A name that was configured is
    /// compared to the letter.
    pub is_any_port: bool,
}

impl Party {
    fn is(&self, claimed: &str) -> bool {
        claimed == self.name || self.is_any_port && without_port(claimed) == without_port(&self.name)
    }
}

fn without_port(url: &str) -> &str {
    match url.rsplit_once(':') {
        Some((rest, port)) if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => rest,
        _ => url,
    }
}

/// A token that was good when it was looked at. Whether its user and session still are is for the database to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VerifiedToken {
    /// `sub`.
    pub user_id: UserId,
    /// `sid`.
    pub session_id: SessionId,
}

/// What a token says besides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenDetails {
    /// `jti`.
    pub id: Uuid,
    /// `iss`.
    pub issuer: String,
    /// `aud`.
    pub audience: String,
    /// `iat`, in seconds since 1970.
    pub issued_at: i64,
    /// `exp`, in seconds since 1970.
    pub expires_at: i64,
}

/// Why a token isn't good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenFault {
    /// It isn't, whatever the reason: a client needn't know.
    Invalid,
    /// Well formed, but signed by a key that isn't in the ring: perhaps one that was made a moment ago.
    UnknownKey,
}

/// RFC 9068 §2.2, and `sid` of `OpenID` Connect Front-Channel Logout 1.0 §3.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Claims<'a> {
    #[serde(borrow)]
    iss: Cow<'a, str>,
    sub: Uuid,
    #[serde(borrow)]
    aud: Cow<'a, str>,
    exp: i64,
    iat: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    nbf: Option<i64>,
    jti: Uuid,
    client_id: &'a str,
    sid: Uuid,
    scope: &'a str,
}

/// A checked token, remembered by its digest, so that the memory holds no token that could be used.
#[derive(Clone)]
struct Remembered {
    token: VerifiedToken,
    key_id: Arc<str>,
    not_before: i64,
    expires: i64,
}

/// Issues and verifies access tokens.
pub struct AccessTokens {
    settings: AccessTokenSettings,
    ambient: Ambient,
    /// A signature check takes some 50 µs, as much as all the rest of a request: it is done once for a token.
    remembered: Cache<[u8; 32], Remembered>,
}

impl fmt::Debug for AccessTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessTokens")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

impl AccessTokens {
    /// Takes what tokens are made with.
    #[must_use]
    pub fn new(settings: AccessTokenSettings, ambient: Ambient) -> Self {
        Self {
            settings,
            ambient,
            remembered: Cache::new(REMEMBERED),
        }
    }

    /// How long a token is good.
    #[must_use]
    pub const fn lifetime(&self) -> Duration {
        self.settings.lifetime
    }

    /// Signs a token for a session with the current key of the ring.
    ///
    /// # Errors
    /// Where the cryptographic library fails to sign.
    pub fn issue(
        &self,
        ring: &KeyRing,
        user_id: UserId,
        session_id: SessionId,
    ) -> Result<AccessToken, jsonwebtoken::errors::Error> {
        let iat = self.ambient.now().timestamp();
        let claims = Claims {
            iss: Cow::Borrowed(&self.settings.issuer.name),
            sub: user_id.get(),
            aud: Cow::Borrowed(&self.settings.audience.name),
            exp: iat.saturating_add_unsigned(self.settings.lifetime.as_secs()),
            iat,
            nbf: None,
            jti: self.ambient.new_uuid(),
            client_id: CLIENT_ID,
            sid: session_id.get(),
            scope: SCOPE,
        };
        let token = ring.sign(TYPE, &claims)?;
        Ok(AccessToken(token.into()))
    }

    /// Verifies a token: RFC 9068 §4, less what needs the database.
    ///
    /// # Errors
    /// [`TokenFault`].
    pub fn verify(&self, ring: &KeyRing, token: &str) -> Result<VerifiedToken, TokenFault> {
        if token.len() > MAX_BYTES {
            return Err(TokenFault::Invalid);
        }
        let mut fingerprint = [0; 32];
        fingerprint.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
        let now = self.ambient.now();
        if let Some(known) = self.remembered.get(&fingerprint) {
            // A retired key takes its tokens with it, remembered or not.
            if ring.verifying(&known.key_id).is_none() {
                self.remembered.remove(&fingerprint);
                return Err(TokenFault::Invalid);
            }
            return known.at(now);
        }
        let checked = self.check(ring, token)?;
        let verified = checked.at(now)?;
        self.remembered.insert(fingerprint, checked);
        Ok(verified)
    }

    /// What else a token says; only of one that was verified.
    ///
    /// # Errors
    /// [`TokenFault::Invalid`] where it isn't one of ours.
    pub fn details(&self, token: &str) -> Result<TokenDetails, TokenFault> {
        let claims = token.split('.').nth(1).ok_or(TokenFault::Invalid)?;
        let claims = decode(claims)?;
        let claims: Claims<'_> = parse(&claims)?;
        Ok(TokenDetails {
            id: claims.jti,
            issuer: claims.iss.into_owned(),
            audience: claims.aud.into_owned(),
            issued_at: claims.iat,
            expires_at: claims.exp,
        })
    }

    fn check(&self, ring: &KeyRing, token: &str) -> Result<Remembered, TokenFault> {
        let (message, signature) = token.rsplit_once('.').ok_or(TokenFault::Invalid)?;
        let (header, claims) = message.split_once('.').ok_or(TokenFault::Invalid)?;
        if claims.contains('.') {
            return Err(TokenFault::Invalid);
        }
        let header = decode(header)?;
        let header: Header<'_> = parse(&header)?;
        if header.typ != TYPE {
            return Err(TokenFault::Invalid);
        }
        let algorithm: SigningAlgorithm = header.alg.parse().map_err(|_| TokenFault::Invalid)?;
        let key = ring.verifying(header.kid).ok_or(TokenFault::UnknownKey)?;
        if algorithm != key.algorithm {
            return Err(TokenFault::Invalid);
        }
        // The library decodes the signature more freely than we compare tokens: hold it to the canonical form.
        decode(signature)?;
        match jsonwebtoken::crypto::verify(signature, message.as_bytes(), &key.public, algorithm.into()) {
            Ok(true) => {}
            Ok(false) | Err(_) => return Err(TokenFault::Invalid),
        }
        let claims = decode(claims)?;
        let claims: Claims<'_> = parse(&claims)?;
        if !self.settings.issuer.is(&claims.iss) || !self.settings.audience.is(&claims.aud) {
            return Err(TokenFault::Invalid);
        }
        Ok(Remembered {
            token: VerifiedToken {
                user_id: UserId::new(claims.sub),
                session_id: SessionId::new(claims.sid),
            },
            key_id: header.kid.into(),
            not_before: claims.iat.max(claims.nbf.unwrap_or(i64::MIN)),
            expires: claims.exp,
        })
    }
}

impl Remembered {
    fn at(&self, now: DateTime<Utc>) -> Result<VerifiedToken, TokenFault> {
        let now = now.timestamp();
        if now >= self.expires || self.not_before > now.saturating_add(CLOCK_SKEW) {
            return Err(TokenFault::Invalid);
        }
        Ok(self.token)
    }
}

/// Strict base64url (RFC 7515 §2): no padding, no white space, no stray trailing bits.
pub(super) fn decode(part: &str) -> Result<Vec<u8>, TokenFault> {
    BASE64_URL_SAFE_NO_PAD
        .decode(part)
        .map_err(|_| TokenFault::Invalid)
}

/// One JSON object. Serde would take an array for a struct as well.
pub(super) fn parse<'a, T: Deserialize<'a>>(json: &'a [u8]) -> Result<T, TokenFault> {
    if json.first() != Some(&b'{') {
        return Err(TokenFault::Invalid);
    }
    serde_json::from_slice(json).map_err(|_| TokenFault::Invalid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_derived_name_may_have_another_port() {
        let party = |is_any_port| Party {
            name: "http://127.0.0.1:8000".to_owned(),
            is_any_port,
        };
        for (claimed, is_derived, is_exact) in [
            ("http://127.0.0.1:8000", true, true),
            ("http://127.0.0.1:8001", true, false),
            ("http://127.0.0.1", true, false),
            ("http://127.0.0.2:8000", false, false),
            ("https://127.0.0.1:8000", false, false),
            ("http://127.0.0.1:8000/", false, false),
            ("http://127.0.0.1:80a", false, false),
            ("", false, false),
        ] {
            assert_eq!(party(true).is(claimed), is_derived, "{claimed}");
            assert_eq!(party(false).is(claimed), is_exact, "{claimed}");
        }
    }

    #[test]
    fn of_ever_other_tokens_no_more_are_remembered_than_there_is_room_for() {
        let party = Party {
            name: "http://127.0.0.1:8000".to_owned(),
            is_any_port: false,
        };
        let settings = AccessTokenSettings {
            issuer: party.clone(),
            audience: party,
            lifetime: Duration::from_mins(15),
        };
        let tokens = AccessTokens::new(settings, Ambient::system());
        let remembered = Remembered {
            token: VerifiedToken {
                user_id: UserId::new(Uuid::from_u128(1)),
                session_id: SessionId::new(Uuid::from_u128(2)),
            },
            key_id: "key".into(),
            not_before: 0,
            expires: i64::MAX,
        };
        for number in 0..200_000_u64 {
            let mut fingerprint = [0; 32];
            fingerprint[..8].copy_from_slice(&number.to_le_bytes());
            tokens.remembered.insert(fingerprint, remembered.clone());
        }
        assert!(
            tokens.remembered.len() <= REMEMBERED,
            "{}",
            tokens.remembered.len()
        );
        assert!(
            tokens.remembered.len() > REMEMBERED / 2,
            "{}",
            tokens.remembered.len()
        );
    }
}
