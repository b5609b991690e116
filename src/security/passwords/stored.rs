//! Stored hashes taken apart: bcrypt's modular crypt format and argon2's PHC strings.
//!
//! Everything is bounded here, before anything is allocated or run for it: a stored hash may come from an import, and
//! its cost parameters are numbers that somebody else wrote. Nothing here hashes; that is `scheme.rs`.

use std::fmt;

use argon2::{Algorithm, Version};
use base64::Engine as _;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD_NO_PAD};

use crate::domain::PasswordHash;

/// The lowest bcrypt cost there is.
pub const MIN_BCRYPT_COST: u32 = 4;
/// The highest bcrypt cost that is verified: sixteen times the work of cost 12, some seconds.
pub const MAX_BCRYPT_COST: u32 = 16;
/// The most memory, in KiB, that an argon2 hash is verified with.
pub const MAX_ARGON2_MEMORY_KIB: u32 = 262_144;
/// The most passes that an argon2 hash is verified with.
pub const MAX_ARGON2_ITERATIONS: u32 = 64;
/// The most lanes that an argon2 hash is verified with; they run one after the other.
pub const MAX_ARGON2_PARALLELISM: u32 = 16;
/// Lengths, in bytes, of salts that are accepted; RFC 9106 section 3.1 has 8 as the least.
const ARGON2_SALT_BYTES: std::ops::RangeInclusive<usize> = 8..=64;
/// Lengths, in bytes, of digests that are accepted. argon2 itself goes down to 4, which a guesser meets by accident.
const ARGON2_DIGEST_BYTES: std::ops::RangeInclusive<usize> = 12..=128;

/// bcrypt's alphabet, lenient about the unused bits of the last digit: OpenBSD's decoder ignores them and old
/// libraries left them set.
const BCRYPT_BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::BCRYPT,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::RequireNone)
        .with_decode_allow_trailing_bits(true),
);

/// A stored hash whose parameters are within the bounds.
pub(super) enum StoredHash {
    Bcrypt(StoredBcrypt),
    Argon2(StoredArgon2),
}

/// `$2b$12$` and so on.
pub(super) struct StoredBcrypt {
    /// `$2x$`: made by a `crypt_blowfish` of before 2011 that mistook bytes over 127. The bcrypt here doesn't have that
    /// mistake, so it is right for ASCII passwords only.
    pub sign_extended: bool,
    pub cost: u32,
    pub salt: [u8; 16],
    pub digest: [u8; 23],
}

/// `$argon2id$v=19$m=19456,t=2,p=1$` and so on; without `v=` it is version 16.
pub(super) struct StoredArgon2 {
    pub algorithm: Algorithm,
    pub version: Version,
    pub memory_kib: u32,
    pub iterations: u32,
    pub parallelism: u32,
    pub salt: Vec<u8>,
    pub digest: Vec<u8>,
}

impl StoredHash {
    /// Reads a stored hash.
    pub(super) fn parse(hash: &PasswordHash) -> Result<Self, UnreadableHash> {
        let text = hash.expose();
        if text.starts_with("$2") {
            StoredBcrypt::parse(text).map(Self::Bcrypt)
        } else if text.starts_with("$argon2") {
            StoredArgon2::parse(text).map(Self::Argon2)
        } else {
            Err(UnreadableHash::UnknownFormat)
        }
    }

    /// What made it, without salt and digest.
    pub(super) fn scheme(&self) -> StoredScheme {
        match self {
            Self::Bcrypt(bcrypt) => StoredScheme::Bcrypt { cost: bcrypt.cost },
            Self::Argon2(argon2) => StoredScheme::Argon2 {
                variant: argon2.algorithm.as_str(),
                memory_kib: argon2.memory_kib,
                iterations: argon2.iterations,
                parallelism: argon2.parallelism,
            },
        }
    }
}

impl StoredBcrypt {
    /// `$2b$`, two digits of cost, `$`, 22 digits of salt, 31 digits of digest: always 60 bytes.
    fn parse(text: &str) -> Result<Self, UnreadableHash> {
        let malformed = UnreadableHash::Malformed;
        let (version, rest) = text
            .strip_prefix('$')
            .and_then(|rest| rest.split_once('$'))
            .ok_or(malformed)?;
        let sign_extended = match version {
            "2a" | "2b" | "2y" => false,
            "2x" => true,
            _ => return Err(UnreadableHash::UnknownFormat),
        };
        let (cost, rest) = rest.split_once('$').ok_or(malformed)?;
        if cost.len() != 2 {
            return Err(malformed);
        }
        let cost = decimal(cost)?;
        if cost > MAX_BCRYPT_COST {
            return Err(UnreadableHash::TooCostly);
        }
        if cost < MIN_BCRYPT_COST {
            return Err(malformed);
        }
        let (salt, digest) = rest.split_at_checked(22).ok_or(malformed)?;
        let decode = |text: &str| BCRYPT_BASE64.decode(text).map_err(|_| malformed);
        Ok(Self {
            sign_extended,
            cost,
            salt: decode(salt)?.try_into().map_err(|_| malformed)?,
            digest: decode(digest)?.try_into().map_err(|_| malformed)?,
        })
    }
}

impl StoredArgon2 {
    /// The PHC string format as the reference implementation of argon2 writes it.
    fn parse(text: &str) -> Result<Self, UnreadableHash> {
        let malformed = UnreadableHash::Malformed;
        let mut fields = text.split('$').skip(1);
        let mut field = || fields.next().ok_or(malformed);
        let algorithm = match field()? {
            "argon2d" => Algorithm::Argon2d,
            "argon2i" => Algorithm::Argon2i,
            "argon2id" => Algorithm::Argon2id,
            _ => return Err(UnreadableHash::UnknownFormat),
        };
        let mut costs = field()?;
        let mut version = Version::V0x10;
        if let Some(number) = costs.strip_prefix("v=") {
            version = Version::try_from(decimal(number)?).map_err(|_| UnreadableHash::UnknownFormat)?;
            costs = field()?;
        }
        let salt = field()?;
        let digest = field()?;
        if fields.next().is_some() {
            return Err(malformed);
        }
        let (memory_kib, iterations, parallelism) = argon2_costs(costs)?;
        if memory_kib > MAX_ARGON2_MEMORY_KIB
            || iterations > MAX_ARGON2_ITERATIONS
            || parallelism > MAX_ARGON2_PARALLELISM
        {
            return Err(UnreadableHash::TooCostly);
        }
        if iterations == 0 || parallelism == 0 || memory_kib < parallelism.saturating_mul(8) {
            return Err(malformed);
        }
        let decode = |text: &str, lengths: std::ops::RangeInclusive<usize>| {
            // Four digits hold three bytes: refused by the digits before they are decoded.
            if text.len() > lengths.end().saturating_mul(2) {
                return Err(malformed);
            }
            let bytes = STANDARD_NO_PAD.decode(text).map_err(|_| malformed)?;
            if lengths.contains(&bytes.len()) {
                Ok(bytes)
            } else {
                Err(malformed)
            }
        };
        Ok(Self {
            algorithm,
            version,
            memory_kib,
            iterations,
            parallelism,
            salt: decode(salt, ARGON2_SALT_BYTES)?,
            digest: decode(digest, ARGON2_DIGEST_BYTES)?,
        })
    }
}

/// `m=…,t=…,p=…`, each once and nothing else: a `keyid` or `data` would need what isn't here.
fn argon2_costs(text: &str) -> Result<(u32, u32, u32), UnreadableHash> {
    let (mut memory, mut iterations, mut parallelism) = (None, None, None);
    for cost in text.split(',') {
        let (name, number) = cost.split_once('=').ok_or(UnreadableHash::Malformed)?;
        let place = match name {
            "m" => &mut memory,
            "t" => &mut iterations,
            "p" => &mut parallelism,
            _ => return Err(UnreadableHash::UnknownFormat),
        };
        if place.replace(decimal(number)?).is_some() {
            return Err(UnreadableHash::Malformed);
        }
    }
    match (memory, iterations, parallelism) {
        (Some(memory), Some(iterations), Some(parallelism)) => Ok((memory, iterations, parallelism)),
        _ => Err(UnreadableHash::Malformed),
    }
}

/// A number of decimal digits only; `str::parse` would take a sign.
fn decimal(text: &str) -> Result<u32, UnreadableHash> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(UnreadableHash::Malformed);
    }
    // Digits alone fail only by size.
    text.parse().map_err(|_| UnreadableHash::TooCostly)
}

/// What made a stored hash: for the administrator's list of schemes, and to check an import before it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum StoredScheme {
    /// Any of bcrypt's spellings.
    Bcrypt {
        /// The binary logarithm of its rounds.
        cost: u32,
    },
    /// Any of argon2's variants.
    Argon2 {
        /// `argon2id`, `argon2i` or `argon2d`.
        variant: &'static str,
        /// Memory in KiB.
        memory_kib: u32,
        /// Passes over the memory.
        iterations: u32,
        /// Lanes.
        parallelism: u32,
    },
}

impl StoredScheme {
    /// What made `hash`.
    ///
    /// # Errors
    /// [`UnreadableHash`]: nobody can sign in with it.
    pub fn of(hash: &PasswordHash) -> Result<Self, UnreadableHash> {
        StoredHash::parse(hash).map(|stored| stored.scheme())
    }
}

impl fmt::Display for StoredScheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bcrypt { cost } => write!(f, "bcrypt cost={cost}"),
            Self::Argon2 {
                variant,
                memory_kib,
                iterations,
                parallelism,
            } => write!(f, "{variant} m={memory_kib},t={iterations},p={parallelism}"),
        }
    }
}

/// Why a stored hash can't be verified against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnreadableHash {
    /// Neither bcrypt nor argon2, or a kind of them that isn't known here.
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
