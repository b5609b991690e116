//! How much work a hash is, and how to do as much for nothing.
//!
//! `check.rs` says what for.

use std::hint::black_box;

use argon2::Params;

use super::scheme::{HashFault, SALT_BYTES, Scheme, argon2id_digest, bcrypt_digest};
use super::stored::{
    MAX_BCRYPT_COST, MIN_BCRYPT_COST, Pbkdf2Digest, ScryptCosts, ShaCryptVariant, StoredHash, StoredShaCrypt,
};
use super::work_memory::WorkMemory;
use crate::domain::PasswordAttempt;

/// How many argon2 blocks are filled in the time of one bcrypt round. Measured on two machines: 281 ms of 4,096 rounds
/// (cost 12) against 28 ms of 38,912 blocks (19 MiB, two passes) is 95, and 240 ms against 21 ms is 108.
///
/// Only [`Work`] uses it, to make unlike schemes cost nearly alike; a machine on which it is off by a third leaves a
/// difference of a few per cent in an attempt's time.
const BLOCKS_PER_BCRYPT_ROUND: u64 = 100;

/// How many argon2 blocks are filled in the time in which scrypt writes a KiB of its memory and reads one: 50 ms for
/// 16 MiB, beside 76 ms of 1,024 bcrypt rounds.
///
/// In the same measurement a thousand HMACs of PBKDF2 took 0.20 ms (SHA-1), 0.24 ms (SHA-256) and 1.1 ms (SHA-512), and a
/// thousand compressions of SHA-crypt 0.1 ms and 0.38 ms; that is what [`Work`] counts for them. A machine without
/// instructions for SHA-1 and SHA-256 takes about three times as long for these two: the attempts of accounts that still
/// have such a hash take longer there, until they are made anew.
const BLOCKS_PER_SCRYPT_KIB: u64 = 4;

/// The salt of hashes that are made for the time they take. Its value is of no use to anybody.
const STAND_IN_SALT: [u8; SALT_BYTES] = *b"roster stand-in!";

/// An amount of hashing work, in argon2 blocks filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Work(u64);

impl Work {
    pub(super) const NONE: Self = Self(0);

    fn of_bcrypt(cost: u32) -> Self {
        Self((1_u64 << cost.min(31)).saturating_mul(BLOCKS_PER_BCRYPT_ROUND))
    }

    fn of_argon2(memory_kib: u32, iterations: u32) -> Self {
        Self(u64::from(memory_kib).saturating_mul(u64::from(iterations)))
    }

    fn of_pbkdf2(digest: Pbkdf2Digest, rounds: u64) -> Self {
        let blocks_per_thousand = match digest {
            Pbkdf2Digest::Sha1 => 270,
            Pbkdf2Digest::Sha256 => 310,
            Pbkdf2Digest::Sha512 => 1450,
        };
        Self(rounds.saturating_mul(blocks_per_thousand) / 1000)
    }

    fn of_scrypt(costs: ScryptCosts) -> Self {
        let ScryptCosts { log_n, r, p } = costs;
        let kib = (1_u64 << log_n.min(31)).saturating_mul(u64::from(r)) / 8;
        let kib = kib.saturating_mul(u64::from(p));
        Self(kib.saturating_mul(BLOCKS_PER_SCRYPT_KIB))
    }

    /// A round digests the last digest, the password, in most rounds the password again, and in most the salt: what
    /// that is repeats every 42 rounds.
    fn of_sha_crypt(stored: &StoredShaCrypt, password: usize) -> Self {
        // The closing bytes of the digest's padding: a bit and the length.
        let (digest, compressed, closing, blocks_per_thousand) = match stored.variant {
            ShaCryptVariant::Sha256 => (32, 64, 9, 130),
            ShaCryptVariant::Sha512 => (64, 128, 17, 500),
        };
        let salt = stored.salt.len();
        let compressions = |round: u64| {
            let parts = [
                digest,
                password,
                if round.is_multiple_of(3) { 0 } else { salt },
                if round.is_multiple_of(7) { 0 } else { password },
                closing,
            ];
            u64::try_from(parts.iter().sum::<usize>().div_ceil(compressed)).unwrap_or(u64::MAX)
        };
        let compressions: u64 = (0..42).map(compressions).sum();
        let compressions = compressions.saturating_mul(u64::from(stored.rounds)) / 42;
        Self(compressions.saturating_mul(blocks_per_thousand) / 1000)
    }

    /// What hashing with a scheme costs.
    pub(super) fn of(scheme: Scheme) -> Self {
        match scheme {
            Scheme::Bcrypt { cost } => Self::of_bcrypt(cost),
            Scheme::Argon2id {
                memory_kib,
                iterations,
            } => Self::of_argon2(memory_kib, iterations),
        }
    }

    /// The work in blocks.
    pub(super) fn blocks(self) -> u64 {
        self.0
    }
}

/// The hashes to make for nothing until `spent` has become what today's scheme costs; none where it already is more.
///
/// They are of today's kind, so that nothing spent gives exactly one hash of today's scheme. bcrypt's work doubles
/// with its cost: the missing rounds, written in binary, are the costs to run.
pub(super) fn missing(spent: Work, today: Scheme) -> Vec<Scheme> {
    let missing = Work::of(today).0.saturating_sub(spent.0);
    match today {
        Scheme::Bcrypt { .. } => {
            let rounds = missing / BLOCKS_PER_BCRYPT_ROUND;
            let costs = (MIN_BCRYPT_COST..=MAX_BCRYPT_COST).filter(|cost| rounds & (1 << cost) != 0);
            costs.map(|cost| Scheme::Bcrypt { cost }).collect()
        }
        Scheme::Argon2id { memory_kib, .. } => {
            let pass = u64::from(memory_kib.max(Params::MIN_M_COST));
            let number = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
            let whole = Scheme::Argon2id {
                memory_kib,
                iterations: number(missing / pass),
            };
            let rest = Scheme::Argon2id {
                memory_kib: number(missing % pass),
                iterations: 1,
            };
            let can_run = |scheme: &Scheme| match scheme {
                Scheme::Argon2id {
                    memory_kib,
                    iterations,
                } => *memory_kib >= Params::MIN_M_COST && *iterations > 0,
                Scheme::Bcrypt { .. } => false,
            };
            [whole, rest].into_iter().filter(can_run).collect()
        }
    }
}

/// Makes the [`missing`] hashes. It fails where hashing does.
pub(super) fn top_up(
    spent: Work,
    today: Scheme,
    attempt: &PasswordAttempt,
    memory: &mut WorkMemory,
) -> Result<(), HashFault> {
    let password = attempt.expose().as_bytes();
    for scheme in missing(spent, today) {
        // The compiler must not find out that nobody needs them.
        match scheme {
            Scheme::Bcrypt { cost } => drop(black_box(bcrypt_digest(password, cost, STAND_IN_SALT))),
            Scheme::Argon2id {
                memory_kib,
                iterations,
            } => {
                let costs = [memory_kib, iterations, 1];
                drop(black_box(argon2id_digest(
                    password,
                    &STAND_IN_SALT,
                    costs,
                    memory,
                )?));
            }
        }
    }
    Ok(())
}

impl StoredHash {
    /// What [`StoredHash::matches`] costs with this attempt.
    pub(super) fn work(&self, attempt: &PasswordAttempt) -> Work {
        if self.is_out_of_reach(attempt) {
            return Work::NONE;
        }
        match self {
            Self::Bcrypt(stored) => Work::of_bcrypt(stored.cost),
            Self::Argon2(stored) => Work::of_argon2(stored.memory_kib, stored.iterations),
            Self::Pbkdf2(stored) => Work::of_pbkdf2(stored.digest, stored.rounds()),
            Self::Scrypt(stored) => Work::of_scrypt(stored.costs),
            Self::Firebase(stored) => Work::of_scrypt(stored.costs),
            Self::ShaCrypt(stored) => Work::of_sha_crypt(stored, attempt.expose().len()),
            // A microsecond or two.
            Self::SaltedSha(_) => Work::NONE,
        }
    }
}
