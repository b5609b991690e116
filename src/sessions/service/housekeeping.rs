//! What happens beside requests: noting uses, and removing what has ended.
//!
//! Every instance does it; a batch is small, holds its locks for a moment, and never waits for a request's. On
//! PostgreSQL an advisory lock lets one instance at a time clean up, on `SQLite` the write lock does.

use std::time::Duration;

use chrono::TimeDelta;

use super::super::store;
use super::last_uses::EXACT_TO;
use crate::app::AppState;
use crate::error::ApiError;

/// How often noted uses are written.
const WRITE_EVERY: Duration = Duration::from_secs(5);
/// How many rounds of that there are to one clean-up.
const ROUNDS: u32 = 12;
/// How many uses are written in one transaction.
const USES: usize = 200;
/// How many rows a batch removes at most: some milliseconds of work.
const BATCH: u64 = 500;
/// How far another instance's clock may be behind ours: what could still be asked for there isn't wiped here.
const CLOCK_SKEW: TimeDelta = TimeDelta::seconds(30);
/// How long the clean-up rests between two batches, so that writers of requests come in between.
const REST: Duration = Duration::from_millis(50);

/// Keeps house for as long as the process runs.
pub async fn keep_house(state: AppState) {
    let mut round = 0;
    loop {
        tokio::time::sleep(WRITE_EVERY).await;
        if let Err(error) = write_last_uses(&state).await {
            log::warn!("cannot note when sessions were used: {error}");
        }
        round = (round + 1) % ROUNDS;
        if round != 0 {
            continue;
        }
        match housekeep(&state).await {
            Ok(0) => {}
            Ok(count) => log::debug!("cleaned up {count} rows of sessions and refresh tokens"),
            Err(error) => log::warn!("cannot remove expired sessions, trying again in a minute: {error}"),
        }
    }
}

/// Writes down which sessions were used.
///
/// # Errors
/// [`ApiError::DatabaseUnavailable`]; what wasn't written is forgotten, and noted again by the next use.
pub async fn write_last_uses(state: &AppState) -> Result<(), ApiError> {
    let uses = state.last_uses.take();
    for chunk in uses.chunks(USES) {
        let chunk = chunk.to_vec();
        state
            .db
            .write(move |writer| async move {
                let transaction = writer.begin().await?;
                for (session, at) in chunk {
                    store::note_use(&*transaction, session, at, at - EXACT_TO).await?;
                }
                transaction.commit().await
            })
            .await?;
    }
    Ok(())
}

/// Removes expired sessions and spent refresh tokens that tell nothing any more, and wipes sealed successors whose
/// window has passed; batch by batch until there is nothing left, or another instance is at it. Gives how many rows were changed.
///
/// # Errors
/// [`ApiError::DatabaseUnavailable`]; what was removed before stays removed.
pub async fn housekeep(state: &AppState) -> Result<u64, ApiError> {
    let mut total = 0;
    loop {
        let now = state.ambient.now();
        let removed = state
            .db
            .write(move |writer| async move {
                let transaction = writer.begin().await?;
                if !store::lock_clean_up(&*transaction).await? {
                    return Ok([0; 3]);
                }
                // Tokens before their sessions, each of which takes along what it still has.
                let counts = [
                    store::remove_expired_tokens(&*transaction, now, BATCH).await?,
                    store::remove_expired_sessions(&*transaction, now, BATCH).await?,
                    store::wipe_successors(&*transaction, now - CLOCK_SKEW, BATCH).await?,
                ];
                transaction.commit().await?;
                Ok(counts)
            })
            .await?;
        total += removed.iter().sum::<u64>();
        if removed.iter().all(|&count| count < BATCH) {
            return Ok(total);
        }
        tokio::time::sleep(REST).await;
    }
}
