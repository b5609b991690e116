//! How passwords become hashes, and how a stored hash is compared with an attempt.
//!
//! Everything here costs from milliseconds to seconds of a core: it runs in the hashing pool and nowhere else.

use std::fmt;

use argon2::{Argon2, Params, Version};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::foreign::{SHA_CRYPT_MAX_BYTES, hexadecimal_sha256, sign_extended_key};
use super::stored::{
    BcryptKey, MAX_ARGON2_ITERATIONS, MAX_ARGON2_MEMORY_KIB, MAX_BCRYPT_COST, MIN_BCRYPT_COST, StoredArgon2,
    StoredBcrypt, StoredHash, UnreadableHash,
};
use super::work_memory::{OutOfMemory, WorkMemory};
use crate::domain::{PasswordAttempt, PasswordHash};

/// bcrypt reads no byte of a password after this many.
pub const BCRYPT_MAX_BYTES: usize = 72;
/// The length of a new salt in bytes (RFC 9106 section 3.1; bcrypt has no other).
pub const SALT_BYTES: usize = 16;
/// The length of a new argon2 digest in bytes.
const ARGON2_DIGEST_BYTES: usize = 32;

/// The algorithm for new hashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// bcrypt, except for passwords that it would cut.
    Bcrypt,
    /// argon2id for every password.
    Argon2id,
}

/// What new hashes are made with, as configured. Both costs count whichever is preferred.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashSettings {
    /// The algorithm where a password leaves the choice.
    pub preferred: Algorithm,
    /// bcrypt's cost, 4 to 16: the binary logarithm of its rounds.
    pub bcrypt_cost: u32,
    /// argon2id's memory in KiB, 8 to 262,144.
    pub argon2_memory_kib: u32,
    /// argon2id's passes over the memory, 1 to 64.
    pub argon2_iterations: u32,
}

impl Default for HashSettings {
    /// bcrypt at cost 12; argon2id with 19 MiB and two passes (OWASP Password Storage Cheat Sheet).
    fn default() -> Self {
        Self {
            preferred: Algorithm::Bcrypt,
            bcrypt_cost: 12,
            argon2_memory_kib: 19_456,
            argon2_iterations: 2,
        }
    }
}

impl HashSettings {
    /// Whether hashes made with them can be made, and verified afterwards: the bounds for stored hashes hold for
    /// our own as well.
    #[must_use]
    pub fn is_within_bounds(&self) -> bool {
        (MIN_BCRYPT_COST..=MAX_BCRYPT_COST).contains(&self.bcrypt_cost)
            && (Params::MIN_M_COST..=MAX_ARGON2_MEMORY_KIB).contains(&self.argon2_memory_kib)
            && (Params::MIN_T_COST..=MAX_ARGON2_ITERATIONS).contains(&self.argon2_iterations)
    }

    /// The scheme of today for a password of so many bytes: every byte counts, so bcrypt gets none over its 72.
    #[must_use]
    pub fn scheme_for(&self, password_bytes: usize) -> Scheme {
        match self.preferred {
            Algorithm::Bcrypt if password_bytes <= BCRYPT_MAX_BYTES => Scheme::Bcrypt {
                cost: self.bcrypt_cost,
            },
            Algorithm::Bcrypt | Algorithm::Argon2id => Scheme::Argon2id {
                memory_kib: self.argon2_memory_kib,
                iterations: self.argon2_iterations,
            },
        }
    }

    /// Hashes a password, which has no NUL, with today's scheme for its length.
    ///
    /// # Errors
    /// A [`HashFault`] where the settings are out of range or the system has no memory.
    pub fn hash(
        &self,
        password: &str,
        salt: [u8; SALT_BYTES],
        memory: &mut WorkMemory,
    ) -> Result<PasswordHash, HashFault> {
        if !self.is_within_bounds() {
            return Err(HashFault::Settings);
        }
        self.scheme_for(password.len()).hash(password, salt, memory)
    }

    /// Whether a hash isn't what a password of so many bytes would get today: another algorithm, another cost, another
    /// system's spelling, or a salt or digest shorter than ours. One that can't be read is: `true`.
    #[must_use]
    pub fn needs_rehash(&self, hash: &PasswordHash, password_bytes: usize) -> bool {
        let Ok(stored) = StoredHash::parse(hash) else {
            return true;
        };
        // Django and LDAP put a name before hashes that are like ours.
        if !hash.expose().starts_with('$') {
            return true;
        }
        match (stored, self.scheme_for(password_bytes)) {
            // $2a$, $2b$ and $2y$ are one algorithm as computed here.
            (StoredHash::Bcrypt(stored), Scheme::Bcrypt { cost }) => {
                stored.key != BcryptKey::Password || stored.cost != cost
            }
            (
                StoredHash::Argon2(stored),
                Scheme::Argon2id {
                    memory_kib,
                    iterations,
                },
            ) => {
                stored.algorithm != argon2::Algorithm::Argon2id
                    || stored.version != Version::V0x13
                    || stored.memory_kib != memory_kib
                    || stored.iterations != iterations
                    || stored.parallelism != 1
                    || stored.salt.len() < SALT_BYTES
                    || stored.digest.len() < ARGON2_DIGEST_BYTES
            }
            _ => true,
        }
    }
}

/// What a new hash is made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// `$2b$`.
    Bcrypt {
        /// The binary logarithm of its rounds.
        cost: u32,
    },
    /// Version 19, one lane: more lanes would only be run one after the other.
    Argon2id {
        /// Memory in KiB.
        memory_kib: u32,
        /// Passes over the memory.
        iterations: u32,
    },
}

impl Scheme {
    /// Hashes a password, which has no NUL.
    ///
    /// # Errors
    /// [`HashFault::Settings`] for a cost out of range, and for bcrypt with a password that it would cut;
    /// [`HashFault::OutOfMemory`].
    fn hash(
        self,
        password: &str,
        salt: [u8; SALT_BYTES],
        memory: &mut WorkMemory,
    ) -> Result<PasswordHash, HashFault> {
        match self {
            Self::Bcrypt { cost } => {
                // The crate's own refusal to cut starts at 72 bytes, one too early: there the closing NUL falls off,
                // but no byte of the password.
                if password.len() > BCRYPT_MAX_BYTES {
                    return Err(HashFault::Settings);
                }
                let parts = bcrypt::hash_with_salt(password, cost, salt).map_err(|_| HashFault::Settings)?;
                Ok(PasswordHash::from_stored(
                    parts.format_for_version(bcrypt::Version::TwoB),
                ))
            }
            Self::Argon2id {
                memory_kib,
                iterations,
            } => {
                let costs = [memory_kib, iterations, 1];
                let digest = argon2id_digest(password.as_bytes(), &salt, costs, memory)?;
                Ok(PasswordHash::from_stored(format!(
                    "$argon2id$v=19$m={memory_kib},t={iterations},p=1${}${}",
                    STANDARD_NO_PAD.encode(salt),
                    STANDARD_NO_PAD.encode(digest.as_slice())
                )))
            }
        }
    }
}

/// Compares an attempt with a stored hash, by the hash's own format and cost whatever is configured.
///
/// An attempt over 72 bytes never matches a bcrypt hash of the password itself. Ours are never made from such a password. A foreign one may
/// be, by a library that cut it; matching would then let in everybody who knows the first 72 bytes, also where the
/// hash is of exactly these 72, so its owner has to reset the password instead. The answer comes at once: what it
/// should cost is the caller's business, who knows what else would be tried.
///
/// # Errors
/// A [`HashFault`] where the stored hash can't be read or the system has no memory for it.
pub fn verify(
    hash: &PasswordHash,
    attempt: &PasswordAttempt,
    memory: &mut WorkMemory,
) -> Result<bool, HashFault> {
    StoredHash::parse(hash)?.matches(attempt, memory)
}

impl StoredHash {
    /// [`verify`] for a hash already read.
    pub(super) fn matches(
        &self,
        attempt: &PasswordAttempt,
        memory: &mut WorkMemory,
    ) -> Result<bool, HashFault> {
        if self.is_out_of_reach(attempt) {
            return Ok(false);
        }
        let text = attempt.expose();
        let same = match self {
            Self::Bcrypt(stored) => stored.matches(text),
            Self::Argon2(stored) => stored.matches(text, memory)?,
            Self::Pbkdf2(stored) => stored.matches(text),
            Self::Scrypt(stored) => stored.matches(text)?,
            Self::Firebase(stored) => stored.matches(text)?,
            Self::ShaCrypt(stored) => stored.matches(text)?,
            Self::SaltedSha(stored) => stored.matches(text),
        };
        Ok(same && attempt.can_match())
    }

    /// Whether an attempt is longer than any password of this hash, so that nothing is computed for it.
    pub(super) fn is_out_of_reach(&self, attempt: &PasswordAttempt) -> bool {
        let longest = match self {
            Self::Bcrypt(stored) if stored.key != BcryptKey::Sha256 => BCRYPT_MAX_BYTES,
            Self::ShaCrypt(_) => SHA_CRYPT_MAX_BYTES,
            _ => return false,
        };
        attempt.expose().len() > longest
    }
}

impl StoredBcrypt {
    fn matches(&self, attempt: &str) -> bool {
        let attempt = attempt.as_bytes();
        let digest = match self.key {
            BcryptKey::Password => bcrypt_digest(attempt, self.cost, self.salt),
            BcryptKey::SignExtended => {
                bcrypt_digest(sign_extended_key(attempt).as_slice(), self.cost, self.salt)
            }
            BcryptKey::Sha256 => bcrypt_digest(hexadecimal_sha256(attempt).as_slice(), self.cost, self.salt),
        };
        bool::from(digest.ct_eq(&self.digest))
    }
}

impl StoredArgon2 {
    fn matches(&self, attempt: &str, memory: &mut WorkMemory) -> Result<bool, HashFault> {
        let mut digest = Zeroizing::new(vec![0; self.digest.len()]);
        argon2(
            self.algorithm,
            self.version,
            [self.memory_kib, self.iterations, self.parallelism],
            (attempt.as_bytes(), &self.salt),
            &mut digest,
            memory,
        )?;
        Ok(bool::from(digest.ct_eq(&self.digest)))
    }
}

/// The raw bcrypt digest of the first 72 bytes, closed by a NUL where there is room for one.
pub(super) fn bcrypt_digest(password: &[u8], cost: u32, salt: [u8; SALT_BYTES]) -> Zeroizing<[u8; 23]> {
    let mut key = Zeroizing::new([0; BCRYPT_MAX_BYTES]);
    let used = password.len().min(BCRYPT_MAX_BYTES);
    for (place, byte) in key.iter_mut().zip(password) {
        *place = *byte;
    }
    let closed = used.saturating_add(1).min(BCRYPT_MAX_BYTES);
    let output = bcrypt::bcrypt(cost, salt, key.get(..closed).unwrap_or(key.as_slice()));
    let mut digest = Zeroizing::new([0; 23]);
    // bcrypt has always thrown the last byte away.
    for (place, byte) in digest.iter_mut().zip(output) {
        *place = byte;
    }
    digest
}

/// The digest of a new argon2id hash.
pub(super) fn argon2id_digest(
    password: &[u8],
    salt: &[u8; SALT_BYTES],
    costs: [u32; 3],
    memory: &mut WorkMemory,
) -> Result<Zeroizing<[u8; ARGON2_DIGEST_BYTES]>, HashFault> {
    let mut digest = Zeroizing::new([0; ARGON2_DIGEST_BYTES]);
    let input = (password, salt.as_slice());
    argon2(
        argon2::Algorithm::Argon2id,
        Version::V0x13,
        costs,
        input,
        digest.as_mut_slice(),
        memory,
    )?;
    Ok(digest)
}

/// argon2 in the worker's memory. `costs` are memory in KiB, passes and lanes; `input` is password and salt.
fn argon2(
    algorithm: argon2::Algorithm,
    version: Version,
    costs: [u32; 3],
    input: (&[u8], &[u8]),
    digest: &mut [u8],
    memory: &mut WorkMemory,
) -> Result<(), HashFault> {
    let [memory_kib, iterations, parallelism] = costs;
    let params = Params::new(memory_kib, iterations, parallelism, Some(digest.len()))
        .map_err(|_| HashFault::Settings)?;
    let blocks = memory.blocks(params.block_count())?;
    Argon2::new(algorithm, version, params)
        .hash_password_into_with_memory(input.0, input.1, digest, blocks)
        .map_err(|_| HashFault::Settings)
}

/// Why nothing was hashed or compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HashFault {
    /// The stored hash can't be verified against.
    Unreadable(UnreadableHash),
    /// The system has no memory for argon2 or scrypt.
    OutOfMemory,
    /// A cost is outside of what the algorithm allows: the configuration let it through.
    Settings,
}

impl From<UnreadableHash> for HashFault {
    fn from(fault: UnreadableHash) -> Self {
        Self::Unreadable(fault)
    }
}

impl From<OutOfMemory> for HashFault {
    fn from(OutOfMemory: OutOfMemory) -> Self {
        Self::OutOfMemory
    }
}

impl fmt::Display for HashFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(fault) => fault.fmt(f),
            Self::OutOfMemory => f.write_str("there is no memory for hashing"),
            Self::Settings => f.write_str("the hashing parameters are out of range"),
        }
    }
}

impl std::error::Error for HashFault {}
