//! The `password` section: which passwords are taken, and how they are hashed.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};

use super::layer::Form;
use super::reader::{Choice, Reader, Row};
use super::server::or_cores;
use super::values;

/// How new password hashes are made; hashes of every known algorithm verify in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PasswordAlgorithm {
    /// bcrypt, and argon2id for a password longer than bcrypt's 72 bytes.
    Bcrypt,
    /// argon2id.
    Argon2id,
}

impl PasswordAlgorithm {
    /// What a password longer than bcrypt's 72 bytes is hashed with, whatever is chosen.
    pub(super) const FOR_LONG: Self = Self::Argon2id;

    /// The name that chooses it, which is that of the scheme of its hashes as well.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Bcrypt => "bcrypt",
            Self::Argon2id => "argon2id",
        }
    }
}

impl Choice for PasswordAlgorithm {
    const NAMES: &'static [(&'static str, Self)] = &[
        (Self::Bcrypt.name(), Self::Bcrypt),
        (Self::Argon2id.name(), Self::Argon2id),
    ];
}

/// A hash scheme that is given up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetiredScheme {
    /// Its name, as in the list of schemes.
    pub scheme: String,
    /// The day, in UTC, from whose beginning on nobody can sign in with it.
    pub from: NaiveDate,
}

impl RetiredScheme {
    /// The names that hash schemes have.
    const NAMES: [&'static str; 15] = [
        "argon2d",
        "argon2i",
        PasswordAlgorithm::Argon2id.name(),
        PasswordAlgorithm::Bcrypt.name(),
        "bcrypt-sha256",
        "firebase-scrypt",
        "pbkdf2-sha1",
        "pbkdf2-sha256",
        "pbkdf2-sha512",
        "scrypt",
        "sha256-crypt",
        "sha512-crypt",
        "ssha",
        "ssha256",
        "ssha512",
    ];

    /// The moment from which on it is out of use.
    #[must_use]
    pub fn at(&self) -> DateTime<Utc> {
        self.from.and_time(NaiveTime::MIN).and_utc()
    }
}

impl FromStr for RetiredScheme {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (scheme, day) = text
            .split_once('=')
            .ok_or_else(|| format!("{text:?} isn't SCHEME=DATE"))?;
        if !Self::NAMES.contains(&scheme) {
            return Err(format!("{scheme:?} is no hash scheme"));
        }
        let from = NaiveDate::parse_from_str(day, "%Y-%m-%d")
            .ok()
            .filter(|from| from.to_string() == day)
            .ok_or_else(|| format!("{day:?} is no date"))?;
        let scheme = scheme.to_owned();
        Ok(Self { scheme, from })
    }
}

impl fmt::Display for RetiredScheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.scheme, self.from)
    }
}

/// The `password` section.
#[derive(Clone, Debug)]
pub struct PasswordConfig {
    /// How new password hashes are made.
    pub algorithm: PasswordAlgorithm,
    /// bcrypt's cost: each step doubles the work.
    pub bcrypt_cost: u32,
    /// argon2id's memory in KiB.
    pub argon2_memory_kib: u32,
    /// argon2id's passes over its memory.
    pub argon2_iterations: u32,
    /// Fewest characters (Unicode code points) of a new password.
    pub min_length: usize,
    /// Most characters (Unicode code points) of a password; never less than `min_length`.
    pub max_length: usize,
    /// Lowest zxcvbn score of a new password: 0 takes any, 4 only very strong ones.
    pub min_strength: u8,
    /// File of SHA-1 prefixes of breached passwords, readable when the configuration was loaded.
    pub breached_file: Option<PathBuf>,
    /// Threads that hash; 0 for one per core ([`PasswordConfig::hashing_threads`]).
    pub hashing_threads: usize,
    /// Milliseconds that a request waits for a hashing thread; 0 for not at all.
    pub hashing_max_wait_ms: u32,
    /// Hash schemes that are given up: none that new passwords get.
    pub retire_before: Vec<RetiredScheme>,
}

impl PasswordConfig {
    pub(super) fn read(r: &mut Reader) -> Self {
        Self {
            algorithm: r.choice(
                "password.algorithm",
                PasswordAlgorithm::Bcrypt,
                "How new password hashes are made; over 72 bytes always argon2id",
            ),
            // Below 4 bcrypt doesn't run; at 16 one hash takes seconds.
            bcrypt_cost: r.number(
                "password.bcrypt_cost",
                12,
                4..=16,
                "Cost of bcrypt, each step doubling the work; in production at least 10",
            ),
            argon2_memory_kib: r.number(
                "password.argon2_memory_kib",
                19_456,
                8..=262_144,
                "Memory of argon2id in KiB; in production at least 19456 with 2 iterations, or as strong",
            ),
            argon2_iterations: r.number(
                "password.argon2_iterations",
                2,
                1..=64,
                "Passes of argon2id over its memory",
            ),
            min_length: r.number(
                "password.min_length",
                8,
                1..=64,
                "Fewest characters of a new password; in production at least 8",
            ),
            max_length: r.number(
                "password.max_length",
                128,
                64..=1024,
                "Most characters of a password",
            ),
            min_strength: r.number(
                "password.min_strength",
                3,
                0..=4,
                "Lowest zxcvbn score of a new password; 0 takes any",
            ),
            breached_file: r.text(
                Row::new(
                    "password.breached_file",
                    Form::Plain,
                    "the path of a readable file",
                    "File of SHA-1 prefixes of breached passwords, which are refused",
                ),
                None,
                |text| values::path(text).map(Some),
                |path| path.as_ref().map(|path| path.display().to_string()),
            ),
            hashing_threads: r.number(
                "password.hashing_threads",
                0,
                0..=256,
                "Threads that hash passwords; 0 for one per core",
            ),
            hashing_max_wait_ms: r.number(
                "password.hashing_max_wait_ms",
                2000,
                0..=60_000,
                "Milliseconds that a request waits for a hashing thread before it gets 503",
            ),
            retire_before: r.list(
                "password.retire_before",
                &format!(
                    "a list of SCHEME=DATE such as ssha=2027-01-31; a scheme is one of {}",
                    RetiredScheme::NAMES.join(", ")
                ),
                "Hash schemes that nobody signs in with from a day on; who has such a hash needs a reset",
                str::parse,
            ),
        }
    }

    /// Hashing threads to start: the configured number, or one per core.
    #[must_use]
    pub fn hashing_threads(&self) -> usize {
        or_cores(self.hashing_threads)
    }
}
