//! An attempt to show that one knows a password or a code: counted before anybody looks at it, and settled afterwards.

use std::time::Duration;

use tokio::time::Instant;

use super::super::model::{Counted, Counter, LimitKind};
use super::super::store;
use super::in_flight::{Awaited, Running};
use super::{Refused, count, now, policies, refused};
use crate::app::AppState;
use crate::audit::{self, AuditEvent};
use crate::db::Transaction;
use crate::domain::{Actor, AuditAction, Limited, Origin, Standing, UserId};
use crate::error::ApiError;

/// How much longer than for a hashing thread is waited for attempts that are before this one: they wait for a thread
/// themselves, and then are hashed.
const BEYOND_HASHING: Duration = Duration::from_secs(3);

/// An attempt that may be made, and is counted. What isn't settled stays counted as a failure.
#[derive(Debug)]
pub struct Attempt {
    counted: Vec<(Counter, Counted)>,
    /// What a failure counts for as well.
    also: Vec<Counter>,
    /// When it was counted, in milliseconds since 1970.
    begun: i64,
    /// Those that it keeps waiting are woken when it is dropped.
    _running: Vec<Running>,
}

pub(super) async fn begin(
    state: &AppState,
    counters: Vec<Counter>,
    also: Vec<Counter>,
) -> Result<Attempt, Refused> {
    let patience =
        Duration::from_millis(u64::from(state.config.password.hashing_max_wait_ms)) + BEYOND_HASHING;
    let deadline = Instant::now() + patience;
    loop {
        let begun = now(state);
        let enter = |counter: &Counter| state.limits.in_flight.enter(counter.key);
        let mut running: Vec<Running> = counters.iter().map(enter).collect();
        let refusal = match count(state, counters.clone(), begun).await {
            Ok(Ok(counted)) => {
                running.iter_mut().for_each(Running::counted);
                return Ok(Attempt {
                    counted: counters.into_iter().zip(counted).collect(),
                    also,
                    begun,
                    _running: running,
                });
            }
            Ok(Err(refusal)) => refusal,
            Err(error) => return Err(Box::new(Limited::freely(error))),
        };
        let is_refused = |counter: &Counter| counter.key == refusal.counter.key;
        let awaited = match counters.iter().position(is_refused) {
            Some(index) => {
                let running_there = running.swap_remove(index);
                drop(running);
                running_there.wait_for_others(deadline).await
            }
            None => Awaited::None,
        };
        match awaited {
            Awaited::Ended => {}
            Awaited::None => return Err(Box::new(refused(&refusal, &counters))),
            Awaited::TooLong => {
                let retry_after = Duration::from_secs(1);
                return Err(Box::new(Limited::freely(ApiError::Overloaded { retry_after })));
            }
        }
    }
}

impl Attempt {
    /// It was right, in the transaction that says so: nothing is held against the account any more, and the
    /// attempt was none that the client's address has to answer for. Others of that address stay counted.
    ///
    /// Last in its transaction, and in the order of the counters, as everywhere: so nobody waits for each other.
    ///
    /// # Errors
    /// [`ApiError::DatabaseUnavailable`].
    pub async fn succeeded(&self, transaction: &Transaction) -> Result<(), ApiError> {
        for (counter, _) in &self.counted {
            if is_forgotten_by_success(counter.kind) {
                store::forget(&**transaction, &counter.key).await?;
            } else {
                store::give_back(&**transaction, counter).await?;
            }
        }
        for counter in self
            .also
            .iter()
            .filter(|counter| is_forgotten_by_success(counter.kind))
        {
            store::forget(&**transaction, &counter.key).await?;
        }
        Ok(())
    }

    /// The password was wrong, in the transaction that writes that down. The wait begins now, and not when the attempt
    /// began. The one that made an account wait for the first time is told to the audit trail; those that follow are no
    /// news.
    ///
    /// # Errors
    /// [`ApiError::DatabaseUnavailable`].
    pub async fn failed(
        &self,
        state: &AppState,
        transaction: &Transaction,
        subject: Option<UserId>,
        origin: &Origin,
    ) -> Result<(), ApiError> {
        let now = now(state);
        for (counter, row) in &self.counted {
            let rule = &counter.rule;
            let count = rule.count(row.drained_at, self.begun);
            if rule.longest_wait.is_none() || count < rule.burst {
                continue;
            }
            let drained_at = row.drained_at - self.begun + now;
            store::block_until(&**transaction, &counter.key, rule.blocked_until(drained_at, now)).await?;
            tell(state, transaction, counter, count, subject, origin).await?;
        }
        for counter in &self.also {
            if let Some(row) = store::count(&**transaction, counter, now, true).await? {
                let count = counter.rule.count(row.drained_at, now);
                tell(state, transaction, counter, count, subject, origin).await?;
            }
        }
        Ok(())
    }

    /// Nothing is known of the password or the code: the attempt is none.
    ///
    /// # Errors
    /// [`ApiError::DatabaseUnavailable`]; it stays counted then.
    pub async fn undo(&self, state: &AppState) -> Result<(), ApiError> {
        if self.counted.is_empty() {
            return Ok(());
        }
        let counters: Vec<Counter> = self.counted.iter().map(|(counter, _)| *counter).collect();
        state
            .db
            .write(move |writer| async move {
                let transaction = writer.begin().await?;
                for counter in &counters {
                    store::give_back(&*transaction, counter).await?;
                }
                transaction.commit().await
            })
            .await
    }

    /// Whether there is anything to settle.
    #[must_use]
    pub const fn is_counted(&self) -> bool {
        !self.counted.is_empty() || !self.also.is_empty()
    }

    /// How the client stands, once it is known whether it was right.
    #[must_use]
    pub fn standing(&self, is_right: bool) -> Option<Standing> {
        let counters: Vec<Counter> = self.counted.iter().map(|(counter, _)| *counter).collect();
        if counters.is_empty() {
            return None;
        }
        // Not the account's: see `Standing`.
        let told = self
            .counted
            .iter()
            .find(|(counter, _)| counter.kind != LimitKind::Account);
        let remaining = told.map(|(counter, counted)| {
            let drained_at = match (is_right, is_forgotten_by_success(counter.kind)) {
                (false, _) => counted.drained_at,
                (true, false) => counted.drained_at - counter.rule.refill,
                (true, true) => 0,
            };
            counter.rule.remaining(counter.kind, drained_at, self.begun)
        });
        Some(Standing {
            policies: policies(&counters),
            remaining,
        })
    }
}

/// Tells the audit trail of an account that waits for the first time.
async fn tell(
    state: &AppState,
    transaction: &Transaction,
    counter: &Counter,
    count: i64,
    subject: Option<UserId>,
    origin: &Origin,
) -> Result<(), ApiError> {
    if counter.kind != LimitKind::Account || count != counter.rule.burst {
        return Ok(());
    }
    let event = AuditEvent::failure(
        &state.trail,
        AuditAction::UserLocked,
        Actor::Anonymous,
        subject,
        origin,
        "wrong_passwords",
    )
    .with("failed_logins", count);
    audit::record(&**transaction, event).await?;
    Ok(())
}

/// Whoever knows the password has a clean slate; a client's address hasn't, as others are behind it, or an attacker
/// with an account.
const fn is_forgotten_by_success(kind: LimitKind) -> bool {
    matches!(kind, LimitKind::Account | LimitKind::Session)
}
