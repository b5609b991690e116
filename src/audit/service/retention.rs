//! What happens to the trail beside requests: it is sealed, and its old end is cut off.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::super::model::link;
use super::super::store;
use super::{BATCH, seal};
use crate::app::AppState;
use crate::error::ApiError;

/// How often events are sealed: so long can the newest ones be removed without a trace.
const SEAL_EVERY: Duration = Duration::from_secs(1);
/// How many rounds of that there are to one look for old events.
const ROUNDS: u32 = 600;
/// How long this rests between two batches, so that writers of requests come in between.
const REST: Duration = Duration::from_millis(50);
/// How far ahead of now an event may be dated and still be believed: clocks of instances differ by less, and a clock that
/// is set wrong is mostly wrong by more.
const AHEAD: TimeDelta = TimeDelta::days(1);
/// How many rounds pass after a fault: what is wrong is said once in a while, not every second.
const AFTER_A_FAULT: u32 = 60;

/// Keeps the trail for as long as the process runs.
pub async fn keep_house(state: AppState) {
    let (mut round, mut paused) = (0, 0_u32);
    loop {
        tokio::time::sleep(SEAL_EVERY).await;
        paused = paused.saturating_sub(1);
        if paused == 0
            && let Err(error) = seal_in_turns(&state).await
        {
            log::warn!("cannot seal the audit trail: {error}");
            paused = AFTER_A_FAULT;
        }
        round = (round + 1) % ROUNDS;
        if round != 0 {
            continue;
        }
        match remove_old(&state).await {
            Ok(0) => {}
            Ok(count) => log::info!("removed {count} old events from the audit trail"),
            Err(error) => log::warn!("cannot remove old events from the audit trail: {error}"),
        }
    }
}

async fn seal_in_turns(state: &AppState) -> Result<(), ApiError> {
    while seal(state).await? == BATCH {
        tokio::time::sleep(REST).await;
    }
    Ok(())
}

/// Removes sealed events that are older than `audit.retention_days`, from the beginning of the chain on. Where the chain
/// begins afterwards is signed, so that a check can tell this from a removal by somebody else. Gives how many.
///
/// An event that is dated more than a day after now was written by a clock that was wrong. It counts for as old as
/// the next one behind it that isn't: otherwise it would keep all that follow for as long as the clock was ahead.
///
/// # Errors
/// [`ApiError::DatabaseUnavailable`]; [`ApiError::Internal`] where the row of the chain or an old event was changed by
/// somebody else, or is missing: it stays as it is, to be found.
pub async fn remove_old(state: &AppState) -> Result<u64, ApiError> {
    let days = state.config.audit.retention_days;
    if days == 0 {
        return Ok(0);
    }
    let now = state.ambient.now();
    let (Some(older_than), Some(ahead)) = (
        now.checked_sub_signed(TimeDelta::days(i64::from(days))),
        now.checked_add_signed(AHEAD),
    ) else {
        return Ok(0);
    };
    let last_old = state
        .db
        .read(move |reader| async move {
            let Some((head, _)) = store::head(&reader, false).await? else {
                return Ok(0);
            };
            store::last_old(&reader, head.cut_number, older_than, ahead).await
        })
        .await?;
    if last_old == 0 {
        return Ok(0);
    }
    let is_due = move |at: DateTime<Utc>| at < older_than || at > ahead;
    let mut total = 0;
    loop {
        let removed = remove_some(state, last_old, is_due).await?;
        total += removed;
        if removed < BATCH {
            return Ok(total);
        }
        tokio::time::sleep(REST).await;
    }
}

/// Removes the first events of the chain that are due, at most a batch of them and none behind this number.
async fn remove_some(
    state: &AppState,
    last_old: i64,
    is_due: impl Fn(DateTime<Utc>) -> bool + Send + Sync + 'static,
) -> Result<u64, ApiError> {
    let key = state.trail.key.clone();
    state
        .db
        .write(move |writer| async move {
            let transaction = writer.begin().await?;
            let Some((mut head, mac)) = store::head(&*transaction, true).await? else {
                return Ok(0);
            };
            if mac != head.mac(&key) {
                return Err(ApiError::internal(
                    "the row of audit_chain was changed by somebody else",
                ));
            }
            let last = last_old.min(head.number);
            let begin = head.cut_number;
            let old = store::sealed(&*transaction, begin, last, BATCH).await?;
            for event in old {
                // What was dated back by hand would go without a trace, under a cut that is signed; and a gap would.
                let number = head.cut_number + 1;
                let mac = event.entry.mac(&key);
                let is_right = event.number == number
                    && event.mac == mac
                    && event.link == link(&key, &head.cut_link, number, &mac);
                if !is_right {
                    return Err(ApiError::internal(
                        "old events were changed or are missing: see `roster audit verify`",
                    ));
                }
                // The time that was digested. SQLite compares texts, and a hand can write the same time in a way that sorts
                // before all others.
                if !is_due(event.entry.occurred_at) {
                    break;
                }
                head.cut_number = number;
                head.cut_link = event.link;
            }
            if head.cut_number == begin {
                return Ok(0);
            }
            let removed = store::remove_up_to(&*transaction, head.cut_number).await?;
            store::move_head(&*transaction, &head, &head.mac(&key)).await?;
            transaction.commit().await?;
            Ok(removed)
        })
        .await
}
