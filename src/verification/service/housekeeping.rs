//! Forgetting codes that are over, and who was written to.

use std::time::Duration;

use chrono::TimeDelta;

use super::super::store;
use crate::app::AppState;
use crate::error::ApiError;
use crate::mail;

const EVERY: Duration = Duration::from_mins(10);
/// An expired code stays this long, so that its mail, if it is still waiting, gets a new one.
const KEPT: TimeDelta = TimeDelta::hours(48);

/// Forgets for as long as the process runs.
pub async fn keep_house(state: AppState) {
    loop {
        tokio::time::sleep(EVERY).await;
        match housekeep(&state).await {
            Ok(0) => {}
            Ok(count) => log::debug!("cleaned up {count} rows of mailed codes"),
            Err(error) => log::warn!("cannot remove expired codes, trying again in ten minutes: {error}"),
        }
    }
}

async fn housekeep(state: &AppState) -> Result<u64, ApiError> {
    let now = state.ambient.now();
    state
        .db
        .write(move |writer| async move {
            let transaction = writer.begin().await?;
            let codes = store::remove_expired(&*transaction, now - KEPT).await?;
            let sendings = mail::forget_sendings(&*transaction, now - mail::WINDOW).await?;
            transaction.commit().await?;
            Ok(codes + sendings)
        })
        .await
}
