//! PBKDF2, in the spellings of Django, passlib, the PHC string format, Werkzeug and ASP.NET Core Identity.

use std::num::NonZeroU32;

use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};

use super::{
    AB64, DIGEST_BYTES, SALT_BYTES, UnreadableHash, base64, decimal, fields, hexadecimal, numbers, plain_salt,
};

/// The most HMACs that a PBKDF2 hash is verified with, its iterations times the blocks of its output: ten times what
/// Django and Werkzeug begin with, some seconds.
pub const MAX_PBKDF2_ROUNDS: u32 = 10_000_000;
/// The length of ASP.NET's blob at the shortest and at the longest: 13 bytes of header, salt and subkey.
const ASPNET_BLOB_BYTES: std::ops::RangeInclusive<usize> = 45..=269;
/// The least that ASP.NET itself takes for a salt and for a subkey.
const ASPNET_LEAST_BYTES: usize = 16;

/// The hash function in the HMAC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Pbkdf2Digest {
    Sha1,
    Sha256,
    Sha512,
}

impl Pbkdf2Digest {
    fn named(name: &str) -> Result<Self, UnreadableHash> {
        match name {
            "sha1" => Ok(Self::Sha1),
            "sha256" => Ok(Self::Sha256),
            "sha512" => Ok(Self::Sha512),
            _ => Err(UnreadableHash::UnknownFormat),
        }
    }

    /// The scheme's name.
    pub(super) fn scheme(self) -> &'static str {
        match self {
            Self::Sha1 => "pbkdf2-sha1",
            Self::Sha256 => "pbkdf2-sha256",
            Self::Sha512 => "pbkdf2-sha512",
        }
    }

    /// The bytes of one block of output.
    pub(in super::super) fn bytes(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }
}

/// Any of the spellings.
pub(in super::super) struct StoredPbkdf2 {
    pub digest: Pbkdf2Digest,
    pub iterations: NonZeroU32,
    pub salt: Vec<u8>,
    pub key: Vec<u8>,
}

impl StoredPbkdf2 {
    /// Django: `pbkdf2_sha256$720000$salt$digest`, the salt as it stands.
    pub(super) fn parse_django(text: &str) -> Result<Self, UnreadableHash> {
        let malformed = UnreadableHash::Malformed;
        let text = text.strip_prefix("pbkdf2_").ok_or(malformed)?;
        let [digest, iterations, salt, key] = fields(text, '$')?;
        let digest = Pbkdf2Digest::named(digest)?;
        let iterations = decimal(iterations)?;
        let of_digest = digest.bytes()..=digest.bytes();
        let key = base64(&STANDARD, key, of_digest)?;
        Self::bounded(digest, iterations, plain_salt(salt)?, key)
    }

    /// Werkzeug: `pbkdf2:sha256:600000$salt$digest`, the salt as it stands and the digest in hexadecimal digits.
    pub(super) fn parse_werkzeug(text: &str) -> Result<Self, UnreadableHash> {
        let malformed = UnreadableHash::Malformed;
        let text = text.strip_prefix("pbkdf2:").ok_or(malformed)?;
        let [method, salt, key] = fields(text, '$')?;
        let (digest, iterations) = method.split_once(':').ok_or(malformed)?;
        let digest = Pbkdf2Digest::named(digest)?;
        let iterations = decimal(iterations)?;
        let of_digest = digest.bytes()..=digest.bytes();
        let key = hexadecimal(key, of_digest)?;
        Self::bounded(digest, iterations, plain_salt(salt)?, key)
    }

    /// passlib, `$pbkdf2-sha256$29000$salt$digest` in its own base64; and the PHC string format,
    /// `$pbkdf2-sha256$i=29000,l=32$salt$digest`. Of both, `$pbkdf2$` is SHA-1.
    pub(super) fn parse_crypt(text: &str) -> Result<Self, UnreadableHash> {
        let malformed = UnreadableHash::Malformed;
        let [nothing, name, costs, salt, key] = fields(text, '$')?;
        if !nothing.is_empty() {
            return Err(malformed);
        }
        let digest = match name.strip_prefix("pbkdf2").ok_or(malformed)? {
            "" => Pbkdf2Digest::Sha1,
            named => Pbkdf2Digest::named(named.strip_prefix('-').unwrap_or_default())?,
        };
        if !costs.contains('=') {
            let key = base64(&AB64, key, digest.bytes()..=digest.bytes())?;
            return Self::bounded(digest, decimal(costs)?, base64(&AB64, salt, SALT_BYTES)?, key);
        }
        let [Some(iterations), length] = numbers(costs, ["i", "l"])? else {
            return Err(malformed);
        };
        let key = base64(&STANDARD_NO_PAD, key, DIGEST_BYTES)?;
        let length = length
            .map_or(Ok(key.len()), usize::try_from)
            .map_err(|_| malformed)?;
        if key.len() != length {
            return Err(malformed);
        }
        let salt = base64(&STANDARD_NO_PAD, salt, SALT_BYTES)?;
        Self::bounded(digest, iterations, salt, key)
    }

    /// ASP.NET Core Identity, version 3: the base64 of 1, three big-endian numbers (which HMAC, iterations, bytes of
    /// salt), salt and subkey. Version 2, of before 2016, begins with 0 and is unknown here.
    pub(super) fn parse_aspnet(text: &str) -> Result<Self, UnreadableHash> {
        let malformed = UnreadableHash::Malformed;
        let blob = base64(&STANDARD, text, ASPNET_BLOB_BYTES)?;
        let (marker, rest) = blob.split_first().ok_or(malformed)?;
        if *marker != 1 {
            return Err(UnreadableHash::UnknownFormat);
        }
        let (prf, rest) = number(rest)?;
        let (iterations, rest) = number(rest)?;
        let (salt_bytes, rest) = number(rest)?;
        let digest = match prf {
            0 => Pbkdf2Digest::Sha1,
            1 => Pbkdf2Digest::Sha256,
            2 => Pbkdf2Digest::Sha512,
            _ => return Err(UnreadableHash::UnknownFormat),
        };
        let salt_bytes = usize::try_from(salt_bytes).map_err(|_| malformed)?;
        let (salt, key) = rest.split_at_checked(salt_bytes).ok_or(malformed)?;
        let long_enough = |part: &[u8], most: usize| (ASPNET_LEAST_BYTES..=most).contains(&part.len());
        if !long_enough(salt, *SALT_BYTES.end()) || !long_enough(key, *DIGEST_BYTES.end()) {
            return Err(malformed);
        }
        Self::bounded(digest, iterations, salt.to_vec(), key.to_vec())
    }

    fn bounded(
        digest: Pbkdf2Digest,
        iterations: u32,
        salt: Vec<u8>,
        key: Vec<u8>,
    ) -> Result<Self, UnreadableHash> {
        let stored = Self {
            digest,
            iterations: NonZeroU32::new(iterations).ok_or(UnreadableHash::Malformed)?,
            salt,
            key,
        };
        if stored.rounds() > u64::from(MAX_PBKDF2_ROUNDS) {
            return Err(UnreadableHash::TooCostly);
        }
        Ok(stored)
    }

    /// The HMACs that it takes: each block of output runs all iterations.
    pub(in super::super) fn rounds(&self) -> u64 {
        let blocks = u64::try_from(self.key.len().div_ceil(self.digest.bytes())).unwrap_or(u64::MAX);
        u64::from(self.iterations.get()).saturating_mul(blocks)
    }
}

/// A big-endian number and what follows it.
fn number(bytes: &[u8]) -> Result<(u32, &[u8]), UnreadableHash> {
    let (number, rest) = bytes.split_first_chunk().ok_or(UnreadableHash::Malformed)?;
    Ok((u32::from_be_bytes(*number), rest))
}
