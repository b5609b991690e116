//! Putting events into the chain.

use super::super::model::{Head, Trail, link};
use super::super::store;
use super::BATCH;
use crate::app::AppState;
use crate::db::Db;
use crate::error::ApiError;

/// Seals some of the events that wait. Gives how many.
///
/// One that wasn't written with the key stays outside: it waits to be found by a check of the trail.
///
/// # Errors
/// [`ApiError::DatabaseUnavailable`]; [`ApiError::Internal`] where the row of the chain was changed by a hand in the
/// database: nothing is sealed on top of that.
pub async fn seal(state: &AppState) -> Result<u64, ApiError> {
    let (sealed, _) = seal_some(&state.db, &state.trail).await?;
    Ok(sealed)
}

/// How many were sealed, and whether more may wait behind them.
async fn seal_some(db: &Db, trail: &Trail) -> Result<(u64, bool), ApiError> {
    // A look that takes no lock: most of the time there is nothing to do.
    let waits = db
        .read(|reader| async move { store::has_unsealed(&reader).await })
        .await?;
    if !waits {
        return Ok((0, false));
    }
    let (key, now) = (trail.key.clone(), trail.ambient.now());
    db.write(move |writer| async move {
        let transaction = writer.begin().await?;
        let first = Head::first(now);
        store::begin_chain(&*transaction, &first, &first.mac(&key)).await?;
        let Some((mut head, mac)) = store::head(&*transaction, true).await? else {
            return Err(ApiError::internal("the audit chain has no row"));
        };
        if mac != head.mac(&key) {
            let fault = "the row of audit_chain was changed by somebody else, or belongs to another security.secret_key: \
                             nothing is sealed until `roster audit verify` was looked at";
            return Err(ApiError::internal(fault));
        }
        let mut places = Vec::new();
        let (mut after, mut is_full) = (None, false);
        // Those that can't be sealed are passed over, so that they hold up nothing.
        while places.is_empty() {
            let waiting = store::unsealed(&*transaction, after, BATCH).await?;
            let Some((last, _)) = waiting.last() else { break };
            after = Some(last.id);
            is_full = waiting.len() as u64 == BATCH;
            for (entry, mac) in waiting {
                if mac != entry.mac(&key) {
                    continue;
                }
                head.number += 1;
                let link = link(&key, &head.link, head.number, &mac);
                head.link = link.to_vec();
                places.push((entry.id, head.number, link));
            }
        }
        if places.is_empty() {
            return Ok((0, false));
        }
        head.sealed_at = now;
        let count = places.len() as u64;
        store::seal(&*transaction, places).await?;
        store::move_head(&*transaction, &head, &head.mac(&key)).await?;
        transaction.commit().await?;
        Ok((count, is_full))
    })
    .await
}

/// Seals all that wait.
///
/// # Errors
/// As [`seal`].
pub async fn seal_all(state: &AppState) -> Result<u64, ApiError> {
    seal_waiting(&state.db, &state.trail).await
}

/// Seals all that wait, for who has no application state: a command that has done its work.
///
/// # Errors
/// As [`seal`].
pub async fn seal_waiting(db: &Db, trail: &Trail) -> Result<u64, ApiError> {
    let mut total = 0;
    loop {
        let (sealed, is_full) = seal_some(db, trail).await?;
        total += sealed;
        if !is_full {
            return Ok(total);
        }
    }
}
