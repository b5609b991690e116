//! What a stored hash is called, without its salt and digest.

use std::fmt;

use super::{BcryptKey, StoredHash, UnreadableHash};
use crate::domain::PasswordHash;

/// What made a stored hash: for the administrator's list of schemes, and to check an import before it is stored.
///
/// Spellings of one algorithm have one name: Django's `scrypt$…` and Werkzeug's `scrypt:…` are both `scrypt`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum StoredScheme {
    /// Any of bcrypt's spellings.
    Bcrypt {
        /// The binary logarithm of its rounds.
        cost: u32,
    },
    /// bcrypt over the SHA-256 of the password.
    BcryptSha256 {
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
    /// PBKDF2 with an HMAC of SHA-1 or SHA-2.
    Pbkdf2 {
        /// `pbkdf2-sha1`, `pbkdf2-sha256` or `pbkdf2-sha512`.
        variant: &'static str,
        /// Iterations for each block of output.
        iterations: u32,
    },
    /// scrypt.
    Scrypt {
        /// The binary logarithm of N.
        log_n: u8,
        /// r, the size of a block.
        block: u32,
        /// p, lanes.
        parallelism: u32,
    },
    /// Firebase's variant of scrypt.
    FirebaseScrypt {
        /// The binary logarithm of N, which Firebase calls the memory cost.
        log_n: u8,
        /// r, which Firebase calls rounds.
        block: u32,
    },
    /// `$5$` or `$6$` of `crypt(3)`.
    ShaCrypt {
        /// `sha256-crypt` or `sha512-crypt`.
        variant: &'static str,
        /// Rounds.
        rounds: u32,
    },
    /// One digest over password and salt.
    SaltedSha {
        /// `ssha`, `ssha256` or `ssha512`.
        variant: &'static str,
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

impl StoredHash {
    /// What made it, without salt and digest.
    pub(in super::super) fn scheme(&self) -> StoredScheme {
        match self {
            Self::Bcrypt(bcrypt) => match bcrypt.key {
                BcryptKey::Password | BcryptKey::SignExtended => StoredScheme::Bcrypt { cost: bcrypt.cost },
                BcryptKey::Sha256 => StoredScheme::BcryptSha256 { cost: bcrypt.cost },
            },
            Self::Argon2(argon2) => StoredScheme::Argon2 {
                variant: argon2.algorithm.as_str(),
                memory_kib: argon2.memory_kib,
                iterations: argon2.iterations,
                parallelism: argon2.parallelism,
            },
            Self::Pbkdf2(pbkdf2) => StoredScheme::Pbkdf2 {
                variant: pbkdf2.digest.scheme(),
                iterations: pbkdf2.iterations.get(),
            },
            Self::Scrypt(scrypt) => StoredScheme::Scrypt {
                log_n: scrypt.costs.log_n,
                block: scrypt.costs.r,
                parallelism: scrypt.costs.p,
            },
            Self::Firebase(firebase) => StoredScheme::FirebaseScrypt {
                log_n: firebase.costs.log_n,
                block: firebase.costs.r,
            },
            Self::ShaCrypt(crypt) => StoredScheme::ShaCrypt {
                variant: crypt.variant.scheme(),
                rounds: crypt.rounds,
            },
            Self::SaltedSha(salted) => StoredScheme::SaltedSha {
                variant: salted.variant.scheme(),
            },
        }
    }
}

impl fmt::Display for StoredScheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bcrypt { cost } => write!(f, "bcrypt cost={cost}"),
            Self::BcryptSha256 { cost } => write!(f, "bcrypt-sha256 cost={cost}"),
            Self::Argon2 {
                variant,
                memory_kib,
                iterations,
                parallelism,
            } => write!(f, "{variant} m={memory_kib},t={iterations},p={parallelism}"),
            Self::Pbkdf2 { variant, iterations } => write!(f, "{variant} i={iterations}"),
            Self::Scrypt {
                log_n,
                block,
                parallelism,
            } => write!(f, "scrypt ln={log_n},r={block},p={parallelism}"),
            Self::FirebaseScrypt { log_n, block } => write!(f, "firebase-scrypt ln={log_n},r={block}"),
            Self::ShaCrypt { variant, rounds } => write!(f, "{variant} rounds={rounds}"),
            Self::SaltedSha { variant } => f.write_str(variant),
        }
    }
}
