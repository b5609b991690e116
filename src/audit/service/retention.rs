//! What happens to the trail beside requests: it is sealed, and its old end is cut off.

use std::time::Duration;

use chrono::TimeDelta;

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
/// # Errors
/// [`ApiError::DatabaseUnavailable`]; [`ApiError::Internal`] where the row of the chain was changed by somebody else.
pub async fn remove_old(state: &AppState) -> Result<u64, ApiError> {
    let days = state.config.audit.retention_days;
    if days == 0 {
        return Ok(0);
    }
    let Some(older_than) = state
        .ambient
        .now()
        .checked_sub_signed(TimeDelta::days(i64::from(days)))
    else {
        return Ok(0);
    };
    let mut total = 0;
    loop {
        let key = state.trail.key.clone();
        let removed = state
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
                let old = store::old_ones(&*transaction, head.cut_number, older_than, BATCH).await?;
                let Some(last) = old.last() else { return Ok(0) };
                // A gap stays where it is, to be found.
                if last.number != head.cut_number + i64::try_from(old.len()).unwrap_or(i64::MAX) {
                    return Err(ApiError::internal(
                        "events are missing: see `roster audit verify`",
                    ));
                }
                head.cut_number = last.number;
                head.cut_link.clone_from(&last.link);
                let removed = store::remove_up_to(&*transaction, last.number).await?;
                store::move_head(&*transaction, &head, &head.mac(&key)).await?;
                transaction.commit().await?;
                Ok(removed)
            })
            .await?;
        total += removed;
        if removed < BATCH {
            return Ok(total);
        }
        tokio::time::sleep(REST).await;
    }
}
