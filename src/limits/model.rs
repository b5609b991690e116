//! Plain data of limits, and what they come to.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::domain::{QuotaPolicy, RemainingQuota};

/// What is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitKind {
    /// Wrong passwords on an account, by its address in canonical form, whether there is such an account or not.
    Account,
    /// Wrong current passwords from a session.
    Session,
    /// Wrong passwords and codes from a client address.
    Address,
    /// Registrations from a client address, and other ways to hear that an address is taken.
    Registration,
    /// Wrong client secrets from a client address.
    Client,
}

impl LimitKind {
    /// Its name, in the database and to clients.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::Session => "session",
            Self::Address => "address",
            Self::Registration => "registration",
            Self::Client => "client",
        }
    }
}

/// How attempts are limited: the generic cell rate algorithm (ITU-T I.371). What is remembered is one instant, at
/// which everything that was counted will be forgotten; each attempt moves it on by the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// How many attempts there are at once.
    pub burst: i64,
    /// After how many milliseconds one of them is forgotten.
    pub refill: i64,
    /// None: what is over the burst waits until one is forgotten. Otherwise it waits a second, two, four and so on, up
    /// to so many milliseconds.
    pub longest_wait: Option<i64>,
}

/// The first wait of a growing one.
const FIRST_WAIT: i64 = 1000;
/// More than the longest wait that can be set needs, and few enough for integers of 32 bits.
const MOST_DOUBLINGS: i64 = 20;
/// How far the clocks of two instances may be apart before what the other one has written is nonsense.
const CLOCK_SKEW: i64 = 60_000;
/// To what `stale_at` is rounded, in milliseconds, so that it rarely changes: 15 minutes, the longest wait.
pub const ROUNDING: i64 = 900_000;

impl Rule {
    /// How many attempts are counted at most; there are waits that grow for so many.
    #[must_use]
    pub fn most(&self) -> i64 {
        let longest = self.longest_wait.unwrap_or(0);
        let doublings = (0..MOST_DOUBLINGS).find(|&step| FIRST_WAIT << step >= longest);
        self.burst + doublings.unwrap_or(MOST_DOUBLINGS)
    }

    /// How many attempts are remembered.
    #[must_use]
    pub const fn count(&self, drained_at: i64, now: i64) -> i64 {
        if drained_at <= now {
            0
        } else {
            (drained_at - now + self.refill - 1) / self.refill
        }
    }

    /// Until when nothing more is let through, after one more was counted.
    #[must_use]
    pub fn blocked_until(&self, drained_at: i64, now: i64) -> i64 {
        match self.longest_wait {
            None => drained_at - (self.burst - 1) * self.refill,
            Some(longest) => {
                let count = self.count(drained_at, now).min(self.most());
                if count < self.burst {
                    0
                } else {
                    now + (FIRST_WAIT << (count - self.burst)).min(longest)
                }
            }
        }
    }

    /// The furthest that a row of a clock like ours can say: whoever has used everything up waits for one attempt to be
    /// forgotten, and never for all of them.
    #[must_use]
    pub fn furthest_block(&self, now: i64) -> i64 {
        now + CLOCK_SKEW + self.longest_wait.unwrap_or(self.refill)
    }

    /// What a client is told of it.
    #[must_use]
    pub fn policy(&self, kind: LimitKind) -> QuotaPolicy {
        QuotaPolicy {
            name: kind.as_str(),
            quota: u32::try_from(self.burst).unwrap_or(u32::MAX),
            window_seconds: whole_seconds(self.burst * self.refill),
        }
    }

    /// What a client is told is left of it.
    #[must_use]
    pub fn remaining(&self, kind: LimitKind, drained_at: i64, now: i64) -> RemainingQuota {
        let count = self.count(drained_at, now);
        RemainingQuota {
            name: kind.as_str(),
            remaining: u32::try_from((self.burst - count).max(0)).unwrap_or(u32::MAX),
            reset_seconds: whole_seconds((drained_at - now - (count - 1).max(0) * self.refill).max(0)),
        }
    }
}

/// Rounded up: who comes back after so many seconds isn't early.
fn whole_seconds(milliseconds: i64) -> u64 {
    u64::try_from(milliseconds).unwrap_or(0).div_ceil(1000)
}

/// What a limit counts by: a digest under the installation's secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key(pub [u8; 32]);

/// One limit for one account, session or address.
#[derive(Clone, Copy, Debug)]
pub struct Counter {
    /// Which limit.
    pub kind: LimitKind,
    /// Of whom.
    pub key: Key,
    /// How it counts.
    pub rule: Rule,
}

/// What the database remembers of a counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted {
    /// When everything will be forgotten, in milliseconds since 1970.
    pub drained_at: i64,
    /// Until when nothing more is let through, in milliseconds since 1970.
    pub blocked_until: i64,
}

/// A counter that lets nothing through.
#[derive(Clone, Copy, Debug)]
pub struct Refusal {
    /// Which.
    pub counter: Counter,
    /// For how long yet.
    pub wait: Duration,
}

impl Refusal {
    /// What a client is told is left: nothing.
    #[must_use]
    pub fn remaining(&self) -> RemainingQuota {
        RemainingQuota {
            name: self.counter.kind.as_str(),
            remaining: 0,
            reset_seconds: whole_seconds(i64::try_from(self.wait.as_millis()).unwrap_or(i64::MAX)).max(1),
        }
    }
}

/// How an account stands, for administrators.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AccountState {
    /// How many wrong passwords are remembered.
    pub failed_logins: u32,
    /// Until when no further one is looked at; none where the next one is.
    pub locked_until: Option<DateTime<Utc>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROWING: Rule = Rule {
        burst: 10,
        refill: 3_600_000,
        longest_wait: Some(900_000),
    };
    const STEADY: Rule = Rule {
        burst: 3,
        refill: 10_000,
        longest_wait: None,
    };

    #[test]
    fn waits_double_from_one_second_and_end_at_the_longest() {
        assert_eq!(GROWING.most(), 20);
        let now = 1_000_000_000;
        let wait = |count| GROWING.blocked_until(now + count * GROWING.refill, now) - now;
        assert_eq!(GROWING.blocked_until(now + 9 * GROWING.refill, now), 0);
        let waits: Vec<i64> = (10..=21).map(wait).collect();
        let seconds = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900].map(|seconds| seconds * 1000);
        assert_eq!(waits, seconds);
        let short = Rule {
            longest_wait: Some(1000),
            ..GROWING
        };
        assert_eq!(short.most(), 10);
        assert_eq!(short.blocked_until(now + 30 * short.refill, now) - now, 1000);
    }

    #[test]
    fn a_burst_is_refilled_one_by_one() {
        let now = 50;
        assert!(STEADY.blocked_until(now + 2 * STEADY.refill, now) <= now);
        assert_eq!(
            STEADY.blocked_until(now + 3 * STEADY.refill, now),
            now + STEADY.refill
        );
        let left = |counted| STEADY.remaining(LimitKind::Address, counted, now);
        assert_eq!((left(0).remaining, left(0).reset_seconds), (3, 0));
        assert_eq!(
            (left(now + 9_001).remaining, left(now + 9_001).reset_seconds),
            (2, 10)
        );
        assert_eq!(
            (left(now + 20_001).remaining, left(now + 20_001).reset_seconds),
            (0, 1)
        );
        assert_eq!(
            (left(now + 30_000).remaining, left(now + 30_000).reset_seconds),
            (0, 10)
        );
        let policy = STEADY.policy(LimitKind::Address);
        assert_eq!((policy.quota, policy.window_seconds), (3, 30));
    }

    #[test]
    fn no_row_of_a_clock_like_ours_is_beyond_the_furthest() {
        let now = 1_000_000_000;
        for rule in [GROWING, STEADY] {
            let everything = now + rule.most() * rule.refill;
            let furthest = rule.furthest_block(now) - CLOCK_SKEW;
            assert_eq!(rule.blocked_until(everything, now), furthest, "{rule:?}");
        }
    }
}
