//! Stored hashes taken apart: our own bcrypt and argon2, and those that other systems bring with them.
//!
//! Everything is bounded here, before anything is allocated or run for it: a stored hash may come from an import, and
//! its cost parameters are numbers that somebody else wrote. Nothing here hashes; that is `scheme.rs` and `foreign.rs`.
//! `docs/password-formats.md` lists the formats.

mod argon2;
mod bcrypt;
mod name;
mod pbkdf2;
mod scrypt;
mod sha;

use std::fmt;
use std::ops::RangeInclusive;

use base64::Engine;
use base64::alphabet::Alphabet;
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD};

pub use self::argon2::{MAX_ARGON2_ITERATIONS, MAX_ARGON2_MEMORY_KIB, MAX_ARGON2_PARALLELISM};
pub use self::bcrypt::{MAX_BCRYPT_COST, MIN_BCRYPT_COST};
pub use self::name::StoredScheme;
pub use self::pbkdf2::MAX_PBKDF2_ROUNDS;
pub use self::scrypt::{MAX_SCRYPT_BLOCK, MAX_SCRYPT_MEMORY_KIB, MAX_SCRYPT_PARALLELISM};
pub use self::sha::{MAX_SHA_CRYPT_ROUNDS, MIN_SHA_CRYPT_ROUNDS};
pub(super) use self::{
    argon2::StoredArgon2,
    bcrypt::{BcryptKey, StoredBcrypt},
    pbkdf2::{Pbkdf2Digest, StoredPbkdf2},
    scrypt::{ScryptCosts, StoredFirebase, StoredScrypt},
    sha::{SaltedShaVariant, ShaCryptVariant, StoredSaltedSha, StoredShaCrypt},
};
use crate::domain::PasswordHash;

/// Lengths, in bytes, of digests that are accepted. argon2 itself goes down to 4, which a guesser meets by accident.
const DIGEST_BYTES: RangeInclusive<usize> = 12..=128;
/// Lengths, in bytes, of other systems' salts. A short one is their weakness, and gone with the next sign-in; none at
/// all is refused.
const SALT_BYTES: RangeInclusive<usize> = 1..=128;

/// The digits of the largest number that fits.
const LONGEST_NUMBER: usize = 10;

/// passlib's base64: a dot in place of the plus, and no padding.
const AB64: GeneralPurpose = GeneralPurpose::new(&AB64_ALPHABET, NO_PAD);
const AB64_ALPHABET: Alphabet =
    match Alphabet::new("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789./") {
        Ok(alphabet) => alphabet,
        // Decided by the compiler; the test of passlib's hashes holds it.
        Err(_) => base64::alphabet::STANDARD,
    };

/// A stored hash whose parameters are within the bounds.
pub(super) enum StoredHash {
    Bcrypt(StoredBcrypt),
    Argon2(StoredArgon2),
    Pbkdf2(StoredPbkdf2),
    Scrypt(StoredScrypt),
    Firebase(StoredFirebase),
    ShaCrypt(StoredShaCrypt),
    SaltedSha(StoredSaltedSha),
}

impl StoredHash {
    /// Reads a stored hash.
    pub(super) fn parse(hash: &PasswordHash) -> Result<Self, UnreadableHash> {
        let text = hash.expose();
        match text.as_bytes() {
            [b'$', ..] => Self::parse_crypt(text),
            [b'{', ..] => Self::parse_ldap(text),
            _ => Self::parse_named(text),
        }
    }

    /// What begins with a `$`: the modular crypt format and the PHC string format.
    fn parse_crypt(text: &str) -> Result<Self, UnreadableHash> {
        if text.starts_with("$2") {
            StoredBcrypt::parse(text).map(Self::Bcrypt)
        } else if text.starts_with("$argon2") {
            StoredArgon2::parse(text).map(Self::Argon2)
        } else if text.starts_with("$pbkdf2$") || text.starts_with("$pbkdf2-") {
            StoredPbkdf2::parse_crypt(text).map(Self::Pbkdf2)
        } else if text.starts_with("$scrypt$") {
            StoredScrypt::parse_phc(text).map(Self::Scrypt)
        } else if text.starts_with("$fbscrypt$") {
            StoredFirebase::parse(text).map(Self::Firebase)
        } else {
            StoredShaCrypt::parse(text).map(Self::ShaCrypt)
        }
    }

    /// What begins with a scheme in braces, as the `userPassword` of LDAP (RFC 2307).
    fn parse_ldap(text: &str) -> Result<Self, UnreadableHash> {
        let (scheme, text) = text
            .strip_prefix('{')
            .and_then(|rest| rest.split_once('}'))
            .ok_or(UnreadableHash::UnknownFormat)?;
        if !scheme.eq_ignore_ascii_case("crypt") {
            return StoredSaltedSha::parse(scheme, text).map(Self::SaltedSha);
        }
        if text.starts_with("$2") {
            StoredBcrypt::parse(text).map(Self::Bcrypt)
        } else {
            StoredShaCrypt::parse(text).map(Self::ShaCrypt)
        }
    }

    /// What begins with a name or with nothing of the kind: Django, Werkzeug, Better Auth and ASP.NET.
    fn parse_named(text: &str) -> Result<Self, UnreadableHash> {
        if text.starts_with("pbkdf2_") {
            StoredPbkdf2::parse_django(text).map(Self::Pbkdf2)
        } else if text.starts_with("pbkdf2:") {
            StoredPbkdf2::parse_werkzeug(text).map(Self::Pbkdf2)
        } else if text.starts_with("scrypt$") {
            StoredScrypt::parse_django(text).map(Self::Scrypt)
        } else if text.starts_with("scrypt:") {
            StoredScrypt::parse_werkzeug(text).map(Self::Scrypt)
        } else if let Some(text) = text.strip_prefix("bcrypt_sha256$") {
            StoredBcrypt::parse_django_sha256(text).map(Self::Bcrypt)
        } else if let Some(text) = text.strip_prefix("bcrypt$") {
            StoredBcrypt::parse(text).map(Self::Bcrypt)
        } else if let Some(text) = text.strip_prefix("argon2$") {
            // Django leaves out the `$` that the rest begins with.
            StoredArgon2::parse(&format!("${text}")).map(Self::Argon2)
        } else if text.starts_with("AQAAAA") {
            StoredPbkdf2::parse_aspnet(text).map(Self::Pbkdf2)
        } else if text.as_bytes().get(32) == Some(&b':') {
            StoredScrypt::parse_better_auth(text).map(Self::Scrypt)
        } else {
            Err(UnreadableHash::UnknownFormat)
        }
    }
}

/// Why a stored hash can't be verified against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnreadableHash {
    /// None of the formats that are known here, or a kind of one that isn't.
    UnknownFormat,
    /// It looks like a known format and isn't well-formed.
    Malformed,
    /// Its cost parameters are over the bounds of this module.
    TooCostly,
}

impl fmt::Display for UnreadableHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnknownFormat => "the password hash is in no known format",
            Self::Malformed => "the password hash is malformed",
            Self::TooCostly => "the password hash asks for more work or memory than is allowed",
        })
    }
}

impl std::error::Error for UnreadableHash {}

/// A number of decimal digits only; `str::parse` would take a sign.
fn decimal(text: &str) -> Result<u32, UnreadableHash> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(UnreadableHash::Malformed);
    }
    // Zeros before a number would make a text of any length.
    if text.len() > LONGEST_NUMBER {
        return Err(UnreadableHash::TooCostly);
    }
    // Digits alone fail only by size.
    text.parse().map_err(|_| UnreadableHash::TooCostly)
}

/// `name=number` with commas between: of these names each at most once, in any order, and no other.
fn numbers<const COUNT: usize>(
    text: &str,
    names: [&str; COUNT],
) -> Result<[Option<u32>; COUNT], UnreadableHash> {
    let mut numbers = [None; COUNT];
    for pair in text.split(',') {
        let (name, number) = pair.split_once('=').ok_or(UnreadableHash::Malformed)?;
        let place = names
            .iter()
            .position(|known| *known == name)
            .and_then(|known| numbers.get_mut(known))
            .ok_or(UnreadableHash::UnknownFormat)?;
        if place.replace(decimal(number)?).is_some() {
            return Err(UnreadableHash::Malformed);
        }
    }
    Ok(numbers)
}

/// Exactly so many fields.
fn fields<const COUNT: usize>(text: &str, separator: char) -> Result<[&str; COUNT], UnreadableHash> {
    let mut fields = text.split(separator);
    let mut found = [""; COUNT];
    for place in &mut found {
        *place = fields.next().ok_or(UnreadableHash::Malformed)?;
    }
    match fields.next() {
        None => Ok(found),
        Some(_) => Err(UnreadableHash::Malformed),
    }
}

/// A salt that is used as it stands.
fn plain_salt(text: &str) -> Result<Vec<u8>, UnreadableHash> {
    if !SALT_BYTES.contains(&text.len()) {
        return Err(UnreadableHash::Malformed);
    }
    Ok(text.as_bytes().to_vec())
}

/// The bytes of a base64 text, if there are so many.
fn base64(
    engine: &GeneralPurpose,
    text: &str,
    lengths: RangeInclusive<usize>,
) -> Result<Vec<u8>, UnreadableHash> {
    // Four digits hold three bytes: refused by the digits, padding included, before they are decoded.
    if text.len() > lengths.end().saturating_mul(2).saturating_add(2) {
        return Err(UnreadableHash::Malformed);
    }
    let bytes = engine.decode(text).map_err(|_| UnreadableHash::Malformed)?;
    if lengths.contains(&bytes.len()) {
        Ok(bytes)
    } else {
        Err(UnreadableHash::Malformed)
    }
}

/// The bytes of a text in small hexadecimal digits, as the libraries write them, if there are so many.
fn hexadecimal(text: &str, lengths: RangeInclusive<usize>) -> Result<Vec<u8>, UnreadableHash> {
    let malformed = UnreadableHash::Malformed;
    if !text.len().is_multiple_of(2) || !lengths.contains(&(text.len() / 2)) {
        return Err(malformed);
    }
    let value = |digit: &u8| match digit {
        b'0'..=b'9' => Ok(digit.wrapping_sub(b'0')),
        b'a'..=b'f' => Ok(digit.wrapping_sub(b'a').wrapping_add(10)),
        _ => Err(malformed),
    };
    let byte = |pair: &[u8]| match pair {
        [high, low] => Ok((value(high)? << 4) | value(low)?),
        _ => Err(malformed),
    };
    text.as_bytes().chunks(2).map(byte).collect()
}
