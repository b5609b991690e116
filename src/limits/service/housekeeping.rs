//! Removing what says nothing any more, beside requests. Every instance does it; a batch is small, holds its locks for
//! a moment, and leaves alone what a request has locked.

use std::time::Duration;

use super::super::store;
use super::now;
use crate::app::AppState;
use crate::error::ApiError;

/// How long the clean-up rests when nothing is left to be done.
const EVERY: Duration = Duration::from_mins(1);
/// How many rows a batch removes at most: some milliseconds of work.
const BATCH: u64 = 500;
/// How long it rests between two batches, so that writers of requests come in between.
const REST: Duration = Duration::from_millis(50);

/// Keeps house for as long as the process runs; also where limits are off now, and were on before.
pub async fn keep_house(state: AppState) {
    loop {
        tokio::time::sleep(EVERY).await;
        match housekeep(&state).await {
            Ok(0) => {}
            Ok(count) => log::debug!("cleaned up {count} rows of limits"),
            Err(error) => log::warn!("cannot remove rows of limits, trying again in a minute: {error}"),
        }
    }
}

/// Removes every row that says nothing any more, batch by batch. Gives how many.
///
/// # Errors
/// [`ApiError::DatabaseUnavailable`]; what was removed before stays removed.
pub async fn housekeep(state: &AppState) -> Result<u64, ApiError> {
    let mut total = 0;
    loop {
        let now = now(state);
        let removed = state
            .db
            .write(move |writer| async move {
                let transaction = writer.begin().await?;
                let removed = store::remove_stale(&*transaction, now, BATCH).await?;
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
