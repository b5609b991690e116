//! argon2's PHC strings.

use std::ops::RangeInclusive;

use argon2::{Algorithm, Version};
use base64::engine::general_purpose::STANDARD_NO_PAD;

use super::{DIGEST_BYTES, UnreadableHash, base64, decimal, numbers};

/// The most memory, in KiB, that an argon2 hash is verified with.
pub const MAX_ARGON2_MEMORY_KIB: u32 = 262_144;
/// The most passes that an argon2 hash is verified with.
pub const MAX_ARGON2_ITERATIONS: u32 = 64;
/// The most lanes that an argon2 hash is verified with; they run one after the other.
pub const MAX_ARGON2_PARALLELISM: u32 = 16;
/// Lengths, in bytes, of salts that are accepted; RFC 9106 section 3.1 has 8 as the least.
const ARGON2_SALT_BYTES: RangeInclusive<usize> = 8..=64;

/// `$argon2id$v=19$m=19456,t=2,p=1$` and so on; without `v=` it is version 16.
pub(in super::super) struct StoredArgon2 {
    pub algorithm: Algorithm,
    pub version: Version,
    pub memory_kib: u32,
    pub iterations: u32,
    pub parallelism: u32,
    pub salt: Vec<u8>,
    pub digest: Vec<u8>,
}

impl StoredArgon2 {
    /// The PHC string format as the reference implementation of argon2 writes it.
    pub(super) fn parse(text: &str) -> Result<Self, UnreadableHash> {
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
        // A `keyid` or `data` would need what isn't here.
        let costs = numbers(costs, ["m", "t", "p"])?;
        let [Some(memory_kib), Some(iterations), Some(parallelism)] = costs else {
            return Err(malformed);
        };
        if memory_kib > MAX_ARGON2_MEMORY_KIB
            || iterations > MAX_ARGON2_ITERATIONS
            || parallelism > MAX_ARGON2_PARALLELISM
        {
            return Err(UnreadableHash::TooCostly);
        }
        if iterations == 0 || parallelism == 0 || memory_kib < parallelism.saturating_mul(8) {
            return Err(malformed);
        }
        Ok(Self {
            algorithm,
            version,
            memory_kib,
            iterations,
            parallelism,
            salt: base64(&STANDARD_NO_PAD, salt, ARGON2_SALT_BYTES)?,
            digest: base64(&STANDARD_NO_PAD, digest, DIGEST_BYTES)?,
        })
    }
}
