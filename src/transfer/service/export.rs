//! Moving users out.

use super::super::store;
use crate::app::AppState;
use crate::audit::{self, AuditEvent};
use crate::domain::{Actor, AuditAction, Origin, UserId};
use crate::error::ApiError;

/// How many users are read at a time.
const BATCH: u64 = 1000;

/// Hands out every user as a line, in the order of their ids: what `roster` as a source reads. That it is done is
/// written to the audit trail before the first line. Gives how many there were.
///
/// # Errors
/// [`ApiError::DatabaseUnavailable`], and whatever `line` fails with.
pub async fn export<E>(
    state: &AppState,
    with_password_hashes: bool,
    actor: Actor,
    origin: &Origin,
    mut line: impl FnMut(&str) -> Result<(), E>,
) -> Result<u64, E>
where
    E: From<ApiError>,
{
    let event = AuditEvent::success(&state.trail, AuditAction::UsersExported, actor, None, origin)
        .with("with_password_hashes", with_password_hashes);
    audit::record_alone(&state.db, event).await?;
    let mut after: Option<UserId> = None;
    let mut count = 0;
    loop {
        let users = state
            .db
            .read(move |reader| async move { store::export(&reader, after, BATCH).await })
            .await?;
        for user in &users {
            let text = user.to_line(with_password_hashes).map_err(ApiError::internal)?;
            line(&text)?;
            count += 1;
        }
        match users.last() {
            Some(last) if users.len() as u64 == BATCH => after = last.id,
            _ => return Ok(count),
        }
    }
}
