//! The SHA-2 schemes of `crypt(3)`, and LDAP's salted digests.

use std::ops::RangeInclusive;

use base64::engine::general_purpose::STANDARD;

use super::{SALT_BYTES, UnreadableHash, base64, decimal};

/// The fewest rounds of SHA-crypt; its own libraries raise smaller numbers to this before they write them down.
pub const MIN_SHA_CRYPT_ROUNDS: u32 = 1000;
/// The most rounds that SHA-crypt is verified with, above passlib's 656,000: some seconds with a long password.
pub const MAX_SHA_CRYPT_ROUNDS: u32 = 1_000_000;
/// The rounds where none are written down.
const DEFAULT_SHA_CRYPT_ROUNDS: u32 = 5000;
/// SHA-crypt reads no character of a salt after this many, and writes none.
const SHA_CRYPT_SALT_BYTES: RangeInclusive<usize> = 1..=16;

/// `$5$` and `$6$`.
pub(in super::super) struct StoredShaCrypt {
    pub variant: ShaCryptVariant,
    pub rounds: u32,
    pub salt: Vec<u8>,
    pub digest: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum ShaCryptVariant {
    Sha256,
    Sha512,
}

impl ShaCryptVariant {
    /// The scheme's name.
    pub(super) fn scheme(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256-crypt",
            Self::Sha512 => "sha512-crypt",
        }
    }

    fn digest_bytes(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }

    /// The place in the digest of the byte that is written as the `number`th.
    ///
    /// Groups of three take a byte from each third, and which third comes first turns from group to group, in either
    /// variant in its own direction. What is left over comes last, in reverse.
    fn place(self, number: usize) -> usize {
        let third = self.digest_bytes() / 3;
        let (group, member) = (number / 3, number % 3);
        if group >= third {
            return self.digest_bytes().saturating_sub(1).saturating_sub(number % 3);
        }
        let turned = match self {
            Self::Sha256 => group.saturating_mul(2),
            Self::Sha512 => group,
        };
        let which = member.saturating_add(turned) % 3;
        which.saturating_mul(third).saturating_add(group)
    }
}

impl StoredShaCrypt {
    /// `$6$rounds=5000$salt$digest`, where the rounds may be left out.
    pub(super) fn parse(text: &str) -> Result<Self, UnreadableHash> {
        let malformed = UnreadableHash::Malformed;
        let (variant, rest) = if let Some(rest) = text.strip_prefix("$5$") {
            (ShaCryptVariant::Sha256, rest)
        } else if let Some(rest) = text.strip_prefix("$6$") {
            (ShaCryptVariant::Sha512, rest)
        } else {
            return Err(UnreadableHash::UnknownFormat);
        };
        let (rounds, rest) = match rest.strip_prefix("rounds=") {
            Some(rest) => {
                let (rounds, rest) = rest.split_once('$').ok_or(malformed)?;
                (decimal(rounds)?, rest)
            }
            None => (DEFAULT_SHA_CRYPT_ROUNDS, rest),
        };
        if rounds > MAX_SHA_CRYPT_ROUNDS {
            return Err(UnreadableHash::TooCostly);
        }
        let (salt, digest) = rest.split_once('$').ok_or(malformed)?;
        if rounds < MIN_SHA_CRYPT_ROUNDS || !SHA_CRYPT_SALT_BYTES.contains(&salt.len()) {
            return Err(malformed);
        }
        Ok(Self {
            variant,
            rounds,
            salt: salt.as_bytes().to_vec(),
            digest: crypt_digest(variant, digest)?,
        })
    }
}

/// The digest from `crypt`'s base64: six bits a character, the lowest first, in the order of [`ShaCryptVariant::place`].
fn crypt_digest(variant: ShaCryptVariant, text: &str) -> Result<Vec<u8>, UnreadableHash> {
    let malformed = UnreadableHash::Malformed;
    let mut digest = vec![0; variant.digest_bytes()];
    if text.len() != digest.len().saturating_mul(8).div_ceil(6) {
        return Err(malformed);
    }
    let mut number = 0_usize;
    for characters in text.as_bytes().chunks(4) {
        let mut bits = 0_u32;
        for character in characters.iter().rev() {
            let value = match character {
                b'.' | b'/' => character.wrapping_sub(b'.'),
                b'0'..=b'9' => character.wrapping_sub(b'0').wrapping_add(2),
                b'A'..=b'Z' => character.wrapping_sub(b'A').wrapping_add(12),
                b'a'..=b'z' => character.wrapping_sub(b'a').wrapping_add(38),
                _ => return Err(malformed),
            };
            bits = (bits << 6) | u32::from(value);
        }
        let [_, high, middle, low] = bits.to_be_bytes();
        // Four characters hold three bytes, the first in the highest bits; fewer hold the rest in the lowest.
        let bytes: &[u8] = match characters.len() {
            4 => &[high, middle, low],
            3 => &[middle, low],
            _ => &[low],
        };
        let used = u32::try_from(bytes.len()).unwrap_or(3).saturating_mul(8);
        if bits.checked_shr(used).is_some_and(|unused| unused != 0) {
            return Err(malformed);
        }
        for byte in bytes {
            let place = variant.place(number);
            *digest.get_mut(place).ok_or(malformed)? = *byte;
            number = number.saturating_add(1);
        }
    }
    Ok(digest)
}

/// `{SSHA}`, `{SSHA256}` and `{SSHA512}`: one digest over password and salt.
pub(in super::super) struct StoredSaltedSha {
    pub variant: SaltedShaVariant,
    pub salt: Vec<u8>,
    pub digest: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum SaltedShaVariant {
    Sha1,
    Sha256,
    Sha512,
}

impl SaltedShaVariant {
    /// The scheme's name.
    pub(super) fn scheme(self) -> &'static str {
        match self {
            Self::Sha1 => "ssha",
            Self::Sha256 => "ssha256",
            Self::Sha512 => "ssha512",
        }
    }

    fn digest_bytes(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }
}

impl StoredSaltedSha {
    /// The scheme between the braces, whose case means nothing, and the base64 of digest and salt. Without a salt one
    /// table opens every account: `{SHA}` is unknown, and so is an empty salt.
    pub(super) fn parse(scheme: &str, text: &str) -> Result<Self, UnreadableHash> {
        let variant = match scheme.to_ascii_lowercase().as_str() {
            "ssha" => SaltedShaVariant::Sha1,
            "ssha256" => SaltedShaVariant::Sha256,
            "ssha512" => SaltedShaVariant::Sha512,
            _ => return Err(UnreadableHash::UnknownFormat),
        };
        let digest = variant.digest_bytes();
        let with = |salt: &usize| digest.saturating_add(*salt);
        let mut bytes = base64(&STANDARD, text, with(SALT_BYTES.start())..=with(SALT_BYTES.end()))?;
        let salt = bytes.split_off(digest);
        Ok(Self {
            variant,
            salt,
            digest: bytes,
        })
    }
}
