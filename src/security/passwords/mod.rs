//! Passwords: judged, hashed and compared, at a bounded price.
//!
//! Services come here through [`Passwords`] and nowhere else. It does everything that is slow on the threads of its
//! own pool, so awaiting it blocks nobody; no transaction may be open meanwhile, for it can take seconds.
//! It knows no accounts and no HTTP: which hash belongs to whom, and what an answer looks like, is decided outside.

mod breached;
mod check;
mod common;
mod estimate;
mod foreign;
mod job_costs;
mod pool;
mod queue;
mod scheme;
mod stand_in;
mod stored;
mod strength;
mod work_memory;

#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use self::breached::{BreachedFileFault, BreachedPasswords};
pub use self::check::Verified;
pub use self::job_costs::{JobCosts, JobCounts, JobKind};
pub use self::pool::{HashingError, HashingPool, HashingPoolSettings, MonotonicClock};
pub use self::scheme::{Algorithm, BCRYPT_MAX_BYTES, HashFault, HashSettings, SALT_BYTES, Scheme, verify};
pub use self::stored::{
    MAX_ARGON2_ITERATIONS, MAX_ARGON2_MEMORY_KIB, MAX_ARGON2_PARALLELISM, MAX_BCRYPT_COST, MAX_PBKDF2_ROUNDS,
    MAX_SCRYPT_BLOCK, MAX_SCRYPT_MEMORY_KIB, MAX_SCRYPT_PARALLELISM, MAX_SHA_CRYPT_ROUNDS, MIN_BCRYPT_COST,
    MIN_SHA_CRYPT_ROUNDS, StoredScheme, UnreadableHash,
};
pub use self::strength::{PasswordContext, PasswordPolicy, Weakness, WeaknessKind};
pub use self::work_memory::{OutOfMemory, WorkMemory};
use crate::clock::Random;
use crate::domain::{ClientNetwork, Password, PasswordAttempt, PasswordHash};

/// What passwords are held to and hashed with, and how much of the machine that may take.
#[derive(Clone, Debug)]
pub struct PasswordsSettings {
    /// How new hashes are made.
    pub hashing: HashSettings,
    /// What is asked of new passwords.
    pub policy: PasswordPolicy,
    /// Hashing threads; zero counts as one.
    pub threads: usize,
    /// The longest wait for one of them; zero for none.
    pub max_wait: Duration,
}

/// The door to everything about passwords. Clones are cheap and share the pool.
#[derive(Clone, Debug)]
pub struct Passwords {
    pool: HashingPool,
    hashing: HashSettings,
    policy: Arc<PasswordPolicy>,
    random: Arc<dyn Random>,
}

impl Passwords {
    /// Starts the hashing threads. No hash is made for it: starting takes no noticeable time.
    ///
    /// # Errors
    /// Where the settings could make hashes that couldn't be verified, and what the system said if it gave no threads.
    pub fn start(settings: PasswordsSettings, random: Arc<dyn Random>) -> io::Result<Self> {
        let PasswordsSettings {
            hashing,
            policy,
            threads,
            max_wait,
        } = settings;
        if !hashing.is_within_bounds() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, HashFault::Settings));
        }
        let pool = HashingPoolSettings {
            threads,
            max_wait,
            max_queued: HashingPoolSettings::MAX_QUEUED,
            kept_memory_kib: hashing.argon2_memory_kib,
            first_costs: JobCosts::expected(&hashing),
        };
        // Waits are measured in passed time, whatever is done to the hour.
        let pool = HashingPool::start(pool, Arc::new(Instant::now))?;
        Ok(Self {
            pool,
            hashing,
            policy: Arc::new(policy),
            random,
        })
    }

    /// Whether work for this client would be let in at this moment. Whoever writes something before a password is looked at
    /// asks first, so that being refused costs nothing; the work itself may still be refused.
    ///
    /// # Errors
    /// [`HashingError::Overloaded`].
    pub fn has_room(&self, client: ClientNetwork) -> Result<(), HashingError> {
        self.pool.has_room(client)
    }

    /// Judges a chosen password and hashes it if it is good enough, in one job, for this client.
    ///
    /// # Errors
    /// The inner result is the verdict; a [`HashingError`] means that there is none.
    pub async fn hash_new(
        &self,
        password: Password,
        context: PasswordContext,
        client: ClientNetwork,
    ) -> Result<Result<PasswordHash, Vec<Weakness>>, HashingError> {
        let (settings, policy, random) = (self.hashing, Arc::clone(&self.policy), Arc::clone(&self.random));
        let job = move |memory: &mut WorkMemory| {
            if let Err(weaknesses) = policy.judge(&password, &context).map_err(failed)? {
                return Ok(Err(weaknesses));
            }
            let hash = settings.hash(password.expose(), salt(&*random), memory);
            hash.map(Ok).map_err(failed)
        };
        self.pool.run(client, JobKind::Create, job).await?
    }

    /// Compares what this client has sent with what is stored for the address; `None` where nothing is.
    ///
    /// A refusal takes the same time whatever is stored, `None` included: see the `check` module.
    ///
    /// # Errors
    /// A [`HashingError`]: nothing is known about the attempt. Overload doesn't depend on what is stored either.
    pub async fn verify(
        &self,
        attempt: PasswordAttempt,
        stored: Option<PasswordHash>,
        client: ClientNetwork,
    ) -> Result<Verified, HashingError> {
        // By the attempt and not by the stored hash: what is admitted must not depend on that.
        let kind = JobKind::check(self.hashing.scheme_for(attempt.expose().len()));
        let (settings, random) = (self.hashing, Arc::clone(&self.random));
        let job = move |memory: &mut WorkMemory| {
            check::check(&settings, stored.as_ref(), &attempt, || salt(&*random), memory)
        };
        self.pool.run(client, kind, job).await?.map_err(failed)
    }

    /// Whether a chosen password is the one that is stored: for "the new one must differ". An unreadable hash is
    /// nobody's. It takes as long as that hash takes, so the answer is for its owner only.
    ///
    /// # Errors
    /// A [`HashingError`]: nothing is known.
    pub async fn matches(
        &self,
        password: Password,
        stored: PasswordHash,
        client: ClientNetwork,
    ) -> Result<bool, HashingError> {
        let attempt = PasswordAttempt::from(&password);
        let kind = match StoredScheme::of(&stored) {
            Ok(StoredScheme::Bcrypt { .. } | StoredScheme::BcryptSha256 { .. }) => JobKind::CheckBcrypt,
            Ok(StoredScheme::Argon2 { .. }) => JobKind::CheckArgon2,
            Ok(
                StoredScheme::Pbkdf2 { .. }
                | StoredScheme::Scrypt { .. }
                | StoredScheme::FirebaseScrypt { .. }
                | StoredScheme::ShaCrypt { .. }
                | StoredScheme::SaltedSha { .. },
            ) => JobKind::CheckForeign,
            Err(_) => return Ok(false),
        };
        let job = move |memory: &mut WorkMemory| verify(&stored, &attempt, memory);
        self.pool.run(client, kind, job).await?.map_err(failed)
    }
}

fn salt(random: &dyn Random) -> [u8; SALT_BYTES] {
    let mut salt = [0; SALT_BYTES];
    random.fill(&mut salt);
    salt
}

/// Tells the log what broke, which no client is told; no fault in this folder has a secret in it.
fn failed(fault: impl fmt::Display) -> HashingError {
    log::error!("password work failed: {fault}");
    HashingError::Failed
}
