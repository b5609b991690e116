//! Time and chance, as arguments.
//!
//! Whoever needs the hour or a random number is handed a [`Clock`] or a [`Random`]; tests hand in ones that they
//! steer. Nothing else in Roster asks the system for either.

use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, SubsecRound, Utc};
use uuid::Uuid;

/// Tells the time.
pub trait Clock: Send + Sync + fmt::Debug {
    /// The present instant in UTC, cut to whole milliseconds: what is stored and shown is what is compared.
    fn now(&self) -> DateTime<Utc>;
}

/// The system's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that asks the system for the time"
    )]
    fn now(&self) -> DateTime<Utc> {
        Utc::now().trunc_subsecs(3)
    }
}

/// Gives random bytes.
pub trait Random: Send + Sync + fmt::Debug {
    /// Fills the buffer with bytes that nobody can foretell.
    fn fill(&self, buffer: &mut [u8]);
}

/// The operating system's cryptographic generator, by way of aws-lc.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemRandom;

impl Random for SystemRandom {
    #[expect(
        clippy::expect_used,
        reason = "aws-lc ends the process itself before it reports a failing generator; going on without chance \
                  would be worse than ending"
    )]
    fn fill(&self, buffer: &mut [u8]) {
        aws_lc_rs::rand::fill(buffer).expect("the system's random generator works");
    }
}

/// The clock and the chance that a process runs with; clones share them.
#[derive(Clone, Debug)]
pub struct Ambient {
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Chance.
    pub random: Arc<dyn Random>,
}

impl Ambient {
    /// The system's own.
    #[must_use]
    pub fn system() -> Self {
        Self {
            clock: Arc::new(SystemClock),
            random: Arc::new(SystemRandom),
        }
    }

    /// The present instant.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// A new `UUIDv7` (RFC 9562 §5.7) of this instant.
    #[must_use]
    pub fn new_uuid(&self) -> Uuid {
        let mut chance = [0; 10];
        self.random.fill(&mut chance);
        let milliseconds = u64::try_from(self.clock.now().timestamp_millis()).unwrap_or_default();
        uuid::Builder::from_unix_timestamp_millis(milliseconds, &chance).into_uuid()
    }
}
