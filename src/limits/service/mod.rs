//! Deciding what may be tried once more.

mod attempt;
mod housekeeping;
mod in_flight;

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::model::{AccountState, Counted, Counter, Key, LimitKind, Refusal, Rule};
use super::store;
use crate::app::AppState;
use crate::config::LimitsConfig;
use crate::db::Transaction;
use crate::domain::{EmailAddress, Limited, Origin, QuotaPolicy, SessionId, Standing};
use crate::error::ApiError;
use crate::security::KeyedDigest;
use in_flight::InFlight;

pub use attempt::Attempt;
pub use housekeeping::{housekeep, keep_house};

/// What limits need besides the database; bounded by the requests that are being answered.
#[derive(Debug)]
pub struct Limits {
    digests: KeyedDigest,
    in_flight: Arc<InFlight>,
}

impl Limits {
    /// Limits that count by digests of this kind.
    #[must_use]
    pub fn new(digests: KeyedDigest) -> Self {
        Self {
            digests,
            in_flight: Arc::default(),
        }
    }
}

/// A refusal, and how the client stands. On the heap, because it is far larger than what is handed on otherwise.
pub type Refused = Box<Limited<ApiError>>;

/// Somebody who isn't signed in tries a password, on an account or on none. Limited for the account and for the
/// client's address.
///
/// # Errors
/// [`ApiError::TooManyRequests`]; [`ApiError::Overloaded`] where others that are before it take too long;
/// [`ApiError::DatabaseUnavailable`].
pub async fn check_sign_in(
    state: &AppState,
    email: Option<&EmailAddress>,
    origin: &Origin,
) -> Result<Attempt, Refused> {
    let account = email.and_then(|email| of_account(state, email.as_str()));
    let counters = account
        .into_iter()
        .chain(of_address(state, LimitKind::Address, origin));
    attempt::begin(state, counters.collect(), Vec::new()).await
}

/// Somebody who is signed in tries the account's password.
///
/// What anonymous clients have tried on the account doesn't count here, or whoever knows an address could keep its owner
/// from changing the password; each session has as many attempts as an account has. A wrong one counts for the account
/// and the client's address as well, so that a stolen session opens no second door.
///
/// # Errors
/// As [`check_sign_in`].
pub async fn check_in_session(
    state: &AppState,
    session: SessionId,
    email: &str,
    origin: &Origin,
) -> Result<Attempt, Refused> {
    let own = counter(state, LimitKind::Session, session.get().as_bytes());
    let account = of_account(state, email);
    let also = account
        .into_iter()
        .chain(of_address(state, LimitKind::Address, origin));
    attempt::begin(state, own.into_iter().collect(), also.collect()).await
}

/// Somebody tries a code that can be guessed. Limited for the client's address, together with wrong passwords: whoever
/// guesses has one number of guesses, whatever at. How many a code survives is the code's own matter.
///
/// # Errors
/// As [`check_sign_in`].
pub async fn check_code(state: &AppState, origin: &Origin) -> Result<Attempt, Refused> {
    let counters = of_address(state, LimitKind::Address, origin).into_iter();
    attempt::begin(state, counters.collect(), Vec::new()).await
}

/// Somebody who is signed in asks for another address, and may hear that it is taken. Limited for the client's address,
/// together with registrations, which tell the same. It counts beforehand, and whoever isn't told so gets it back: a look
/// before and a count behind would let many at once through, and a refusal of taken addresses alone would tell them.
///
/// # Errors
/// As [`check_sign_in`].
pub async fn check_address_change(state: &AppState, origin: &Origin) -> Result<Attempt, Refused> {
    let counters = of_address(state, LimitKind::Registration, origin).into_iter();
    attempt::begin(state, counters.collect(), Vec::new()).await
}

/// Somebody does something that everybody may do so often, whatever comes of it.
pub async fn spend(state: &AppState, kind: LimitKind, origin: &Origin) -> Limited<Result<(), ApiError>> {
    let Some(counter) = of_address(state, kind, origin) else {
        return Limited::freely(Ok(()));
    };
    let now = now(state);
    match count(state, vec![counter], now).await {
        Ok(Ok(rows)) => {
            let drained_at = rows.first().map_or(0, |row| row.drained_at);
            Limited {
                outcome: Ok(()),
                standing: Some(Standing {
                    policies: vec![counter.rule.policy(kind)],
                    remaining: Some(counter.rule.remaining(kind, drained_at, now)),
                }),
            }
        }
        Ok(Err(refusal)) => {
            let refused = refused(&refusal, &[counter]);
            Limited {
                outcome: Err(refused.outcome),
                standing: refused.standing,
            }
        }
        Err(error) => Limited::freely(Err(error)),
    }
}

/// Forgets what was tried on an account, in the transaction that gives it another password or removes it.
///
/// # Errors
/// [`ApiError::DatabaseUnavailable`].
pub async fn forget_account(
    state: &AppState,
    transaction: &Transaction,
    email: &str,
) -> Result<(), ApiError> {
    if let Some(counter) = of_account(state, email) {
        store::forget(&**transaction, &counter.key).await?;
    }
    Ok(())
}

/// How accounts with these addresses stand, in the same order. Each is the canonical form, as it is stored.
///
/// # Errors
/// [`ApiError::DatabaseUnavailable`].
pub async fn account_states(state: &AppState, emails: &[&str]) -> Result<Vec<AccountState>, ApiError> {
    let counters: Vec<Option<Counter>> = emails.iter().map(|email| of_account(state, email)).collect();
    let keys: Vec<Key> = counters.iter().flatten().map(|counter| counter.key).collect();
    if keys.is_empty() {
        return Ok(vec![AccountState::default(); emails.len()]);
    }
    let now = now(state);
    let rows = state
        .db
        .read(move |reader| {
            let keys = keys.clone();
            async move { store::read_all(&reader, &keys).await }
        })
        .await?;
    let told = |counter: &Option<Counter>| {
        let found = counter.and_then(|counter| Some((counter.rule, rows.get(&counter.key)?)));
        found.map_or_else(AccountState::default, |(rule, row)| {
            account_state(&rule, row, now)
        })
    };
    Ok(counters.iter().map(told).collect())
}

fn account_state(rule: &Rule, row: &Counted, now: i64) -> AccountState {
    let count = rule.count(row.drained_at, now).min(rule.most());
    let is_blocked = row.blocked_until > now && row.blocked_until <= rule.furthest_block(now);
    AccountState {
        failed_logins: u32::try_from(count).unwrap_or(u32::MAX),
        locked_until: is_blocked
            .then(|| DateTime::<Utc>::from_timestamp_millis(row.blocked_until))
            .flatten(),
    }
}

/// Counts on all of these, or on none. The inner result is the refusal.
///
/// The look beforehand makes a refusal cheap: a client that goes on for ever costs a read each time, and no turn at the
/// write lock. Whoever passes it is counted by the statement that decides.
async fn count(
    state: &AppState,
    counters: Vec<Counter>,
    now: i64,
) -> Result<Result<Vec<Counted>, Refusal>, ApiError> {
    if counters.is_empty() {
        return Ok(Ok(Vec::new()));
    }
    let looked_at = counters.clone();
    let refusal = state
        .db
        .read(move |reader| {
            let counters = looked_at.clone();
            async move { store::refusal(&reader, &counters, now).await }
        })
        .await?;
    if let Some(refusal) = refusal {
        return Ok(Err(refusal));
    }
    state
        .db
        .write(move |writer| async move {
            let transaction = writer.begin().await?;
            let mut counted = Vec::with_capacity(counters.len());
            for counter in counters {
                if let Some(row) = store::count(&*transaction, &counter, now, false).await? {
                    counted.push(row);
                    continue;
                }
                let refusal = store::refusal(&*transaction, &[counter], now).await?;
                // What was counted before it is undone with the transaction.
                return Ok(Err(refusal.unwrap_or(Refusal {
                    counter,
                    wait: Duration::from_secs(1),
                })));
            }
            transaction.commit().await?;
            Ok(Ok(counted))
        })
        .await
}

fn refused(refusal: &Refusal, counters: &[Counter]) -> Limited<ApiError> {
    Limited {
        outcome: ApiError::TooManyRequests {
            retry_after: refusal.wait,
        },
        standing: Some(Standing {
            policies: policies(counters),
            remaining: Some(refusal.remaining()),
        }),
    }
}

fn policies(counters: &[Counter]) -> Vec<QuotaPolicy> {
    counters
        .iter()
        .map(|counter| counter.rule.policy(counter.kind))
        .collect()
}

/// In milliseconds since 1970, as it is counted in the database.
fn now(state: &AppState) -> i64 {
    state.ambient.now().timestamp_millis()
}

fn of_account(state: &AppState, email: &str) -> Option<Counter> {
    counter(state, LimitKind::Account, email.as_bytes())
}

fn of_address(state: &AppState, kind: LimitKind, origin: &Origin) -> Option<Counter> {
    counter(state, kind, origin.network().as_bytes())
}

/// None where this isn't limited.
fn counter(state: &AppState, kind: LimitKind, name: &[u8]) -> Option<Counter> {
    Some(Counter {
        kind,
        key: Key(state.limits.digests.of(kind.as_str(), name)),
        rule: rule(&state.config.limits, kind)?,
    })
}

fn rule(config: &LimitsConfig, kind: LimitKind) -> Option<Rule> {
    let (burst, refill_seconds) = match kind {
        LimitKind::Account | LimitKind::Session => (config.account_burst, config.account_refill_seconds),
        LimitKind::Address => (config.address_burst, config.address_refill_seconds),
        LimitKind::Registration => (config.registration_burst, config.registration_refill_seconds),
        LimitKind::Client => (config.client_burst, config.client_refill_seconds),
    };
    let grows = matches!(kind, LimitKind::Account | LimitKind::Session);
    (config.enabled && burst > 0).then(|| Rule {
        burst: i64::from(burst),
        refill: i64::from(refill_seconds) * 1000,
        longest_wait: grows.then(|| i64::from(config.account_longest_wait_seconds) * 1000),
    })
}
