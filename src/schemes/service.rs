//! Counting accounts by how their passwords are hashed.

use std::collections::BTreeMap;

use super::model::{Ledger, SchemeCount};
use super::store;
use crate::app::AppState;
use crate::domain::PasswordHash;
use crate::error::ApiError;
use crate::security::passwords::StoredScheme;

/// How many accounts are read at a time.
const BATCH: i64 = 5000;

/// Reads every account's hash and counts. Its time grows with the accounts (`scripts/benchmark moving` measures it), which is
/// the price of keeping nothing beside the hash that could say something else than it. Each batch is a read of its own, with
/// the deadline of every other: counting holds up nobody, however long it takes, and ends where the database does. Who
/// registers or signs in meanwhile is counted as before or as after.
///
/// # Errors
/// [`ApiError::DatabaseUnavailable`].
pub async fn ledger(state: &AppState) -> Result<Ledger, ApiError> {
    let mut counts: BTreeMap<(String, String), SchemeCount> = BTreeMap::new();
    let mut ledger = Ledger::default();
    let mut after = None;
    loop {
        let batch = state
            .db
            .read(move |reader| async move { store::passwords(&reader, after, BATCH).await })
            .await?;
        let Some((passwords, place)) = batch else {
            ledger.schemes = counts.into_values().collect();
            return Ok(ledger);
        };
        after = Some(place);
        for password in passwords {
            let Some(hash) = &password.hash else {
                ledger.without_password += 1;
                continue;
            };
            let (scheme, cost) = described(hash);
            let count = counts
                .entry((scheme.clone(), cost.clone()))
                .or_insert_with(|| SchemeCount {
                    retired_at: state.retired.at(&scheme),
                    scheme,
                    cost,
                    accounts: 0,
                    oldest_login_at: None,
                    never_signed_in: 0,
                });
            count.accounts += 1;
            match (password.last_login_at, count.oldest_login_at) {
                (None, _) => count.never_signed_in += 1,
                (Some(at), Some(oldest)) if at >= oldest => {}
                (Some(at), _) => count.oldest_login_at = Some(at),
            }
        }
    }
}

/// A scheme's name and its cost.
fn described(hash: &PasswordHash) -> (String, String) {
    let text = StoredScheme::of(hash).map_or_else(|_| "unreadable".to_owned(), |scheme| scheme.to_string());
    match text.split_once(' ') {
        Some((scheme, cost)) => (scheme.to_owned(), cost.to_owned()),
        None => (text, String::new()),
    }
}
