//! What a hashing job costs, as measured: the base of the pool's promise about waiting.

use std::time::Duration;

use super::scheme::{HashSettings, Scheme};
use super::stand_in::Work;

/// How much of a new measurement goes into the average: one in this many parts.
const SMOOTHING: u32 = 4;

/// argon2 blocks filled in a millisecond of one core, roughly; the first measurements correct it.
const BLOCKS_PER_MILLISECOND: u64 = 1500;

/// Jobs that cost alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobKind {
    /// Judges a new password and, if it is good enough, hashes it.
    Create,
    /// Compares an attempt at the cost of a bcrypt hash.
    CheckBcrypt,
    /// Compares an attempt at the cost of an argon2 hash.
    CheckArgon2,
    /// Compares an attempt at the cost of another system's hash, whatever that is.
    CheckForeign,
}

impl JobKind {
    /// The kind of a comparison that costs what a hash of `scheme` costs.
    #[must_use]
    pub fn check(scheme: Scheme) -> Self {
        match scheme {
            Scheme::Bcrypt { .. } => Self::CheckBcrypt,
            Scheme::Argon2id { .. } => Self::CheckArgon2,
        }
    }
}

/// How many jobs there are of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JobCounts {
    create: u32,
    check_bcrypt: u32,
    check_argon2: u32,
    check_foreign: u32,
}

impl JobCounts {
    /// One more.
    pub fn add(&mut self, kind: JobKind) {
        let count = self.of(kind);
        *count = count.saturating_add(1);
    }

    /// One less.
    pub fn remove(&mut self, kind: JobKind) {
        let count = self.of(kind);
        *count = count.saturating_sub(1);
    }

    fn of(&mut self, kind: JobKind) -> &mut u32 {
        match kind {
            JobKind::Create => &mut self.create,
            JobKind::CheckBcrypt => &mut self.check_bcrypt,
            JobKind::CheckArgon2 => &mut self.check_argon2,
            JobKind::CheckForeign => &mut self.check_foreign,
        }
    }
}

/// The average cost of each kind of job: the time that one thread takes for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobCosts {
    create: Duration,
    check_bcrypt: Duration,
    check_argon2: Duration,
    check_foreign: Duration,
}

impl JobCosts {
    /// The same for every kind.
    #[must_use]
    pub fn all(cost: Duration) -> Self {
        Self {
            create: cost,
            check_bcrypt: cost,
            check_argon2: cost,
            check_foreign: cost,
        }
    }

    /// A guess from what is to be computed, good within a factor of two or three.
    #[must_use]
    pub fn expected(settings: &HashSettings) -> Self {
        let time = |scheme| Duration::from_millis(Work::of(scheme).blocks() / BLOCKS_PER_MILLISECOND);
        let bcrypt = time(Scheme::Bcrypt {
            cost: settings.bcrypt_cost,
        });
        let argon2 = time(Scheme::Argon2id {
            memory_kib: settings.argon2_memory_kib,
            iterations: settings.argon2_iterations,
        });
        Self {
            // Most passwords are short, and judging one is quick beside hashing it.
            create: time(settings.scheme_for(0)),
            check_bcrypt: bcrypt,
            check_argon2: argon2,
            // From microseconds to seconds; most systems' own settings aim at what ours do.
            check_foreign: bcrypt.max(argon2),
        }
    }

    /// The average cost of a kind.
    #[must_use]
    pub fn of(&self, kind: JobKind) -> Duration {
        match kind {
            JobKind::Create => self.create,
            JobKind::CheckBcrypt => self.check_bcrypt,
            JobKind::CheckArgon2 => self.check_argon2,
            JobKind::CheckForeign => self.check_foreign,
        }
    }

    /// The cost of so many jobs, one after the other.
    #[must_use]
    pub fn of_all(&self, counts: &JobCounts) -> Duration {
        [
            (self.create, counts.create),
            (self.check_bcrypt, counts.check_bcrypt),
            (self.check_argon2, counts.check_argon2),
            (self.check_foreign, counts.check_foreign),
        ]
        .into_iter()
        .fold(Duration::ZERO, |sum, (cost, count)| {
            sum.saturating_add(cost.saturating_mul(count))
        })
    }

    /// Moves the average of a kind towards a measurement.
    pub fn learn(&mut self, kind: JobKind, took: Duration) {
        let average = match kind {
            JobKind::Create => &mut self.create,
            JobKind::CheckBcrypt => &mut self.check_bcrypt,
            JobKind::CheckArgon2 => &mut self.check_argon2,
            JobKind::CheckForeign => &mut self.check_foreign,
        };
        let kept = average.saturating_mul(SMOOTHING.saturating_sub(1));
        let sum = kept.saturating_add(took);
        *average = sum.checked_div(SMOOTHING).unwrap_or(sum);
    }
}
