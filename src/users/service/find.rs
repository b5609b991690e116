//! Accounts as an admin sees them.

use std::collections::HashMap;

use crate::app::AppState;
use crate::domain::{PasswordHash, UserId};
use crate::error::ApiError;
use crate::limits;
use crate::security::passwords::StoredScheme;
use crate::sessions;

use super::super::model::{Account, AdminUser, Position, UserSearch};
use super::super::store;

/// The account with this id.
///
/// # Errors
/// [`ApiError::NotFound`].
pub async fn administered(state: &AppState, id: UserId) -> Result<AdminUser, ApiError> {
    let account = state
        .db
        .read(move |reader| async move { store::account_by_id(&reader, id).await })
        .await?
        .ok_or_else(ApiError::no_such_account)?;
    let mut seen = seen(state, vec![account]).await?;
    seen.pop().ok_or_else(ApiError::no_such_account)
}

/// A page of the accounts that are looked for, and where the next one begins.
///
/// # Errors
/// [`ApiError::DatabaseUnavailable`].
pub async fn search(
    state: &AppState,
    wanted: UserSearch,
    after: Option<Position>,
    limit: u64,
) -> Result<(Vec<AdminUser>, Option<Position>), ApiError> {
    let (found, mut accounts) = state
        .db
        .read(move |reader| {
            let (wanted, after) = (wanted.clone(), after.clone());
            async move {
                let found = store::search(&reader, &wanted, after.as_ref(), limit).await?;
                let accounts = store::accounts_by_ids(&reader, &found.ids).await?;
                Ok((found, accounts))
            }
        })
        .await?;
    let places: HashMap<UserId, usize> = found.ids.iter().enumerate().map(|(at, id)| (*id, at)).collect();
    accounts.sort_by_key(|account| places.get(&account.user.id).copied());
    Ok((seen(state, accounts).await?, found.next))
}

async fn seen(state: &AppState, accounts: Vec<Account>) -> Result<Vec<AdminUser>, ApiError> {
    let emails: Vec<&str> = accounts
        .iter()
        .map(|account| account.user.email.as_str())
        .collect();
    let states = limits::account_states(state, &emails).await?;
    let ids: Vec<UserId> = accounts.iter().map(|account| account.user.id).collect();
    let now = state.ambient.now();
    let sessions = state
        .db
        .read(move |reader| {
            let ids = ids.clone();
            async move { sessions::count_sessions(&reader, &ids, now).await }
        })
        .await?;
    Ok(accounts
        .into_iter()
        .zip(states)
        .map(|(account, limits)| AdminUser {
            failed_logins: limits.failed_logins,
            locked_until: limits.locked_until,
            sessions: sessions.get(&account.user.id).copied().unwrap_or(0),
            password_scheme: account.password_hash.as_ref().map(scheme),
            user: account.user,
        })
        .collect())
}

/// A hash that nobody can read has a scheme all the same, which nobody knows.
pub(super) fn scheme(hash: &PasswordHash) -> String {
    StoredScheme::of(hash).map_or_else(|_| "unknown".to_owned(), |scheme| scheme.to_string())
}
