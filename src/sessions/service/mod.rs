//! Deciding about sessions: how one begins, goes on and ends.

mod housekeeping;
mod last_uses;
mod refresh;

use std::time::Duration;

use chrono::{DateTime, Days, Utc};

use super::model::{IssuedTokens, LogoutScope, NewSession, Session};
use super::store;
use crate::app::AppState;
use crate::audit::{self, AuditEvent};
use crate::config::SessionConfig;
use crate::domain::{Actor, AuditAction, Origin, SessionId, UserId};
use crate::error::ApiError;
use crate::security::RefreshToken;
use crate::users;

pub use housekeeping::{housekeep, keep_house, write_last_uses};
pub use last_uses::LastUses;
pub use refresh::{end_of_access_token, end_of_token, refresh};

/// A session of this moment, and the refresh token that goes with it.
#[must_use]
pub fn new_session(state: &AppState, user_id: UserId, origin: Origin) -> (NewSession, RefreshToken) {
    let now = state.ambient.now();
    let config = &state.config.session;
    let token = RefreshToken::generate(state.ambient.random.as_ref());
    let expires_at = after_days(now, config.refresh_absolute_days);
    let session = NewSession {
        id: SessionId::new(state.ambient.new_uuid()),
        user_id,
        created_at: now,
        idle_expires_at: prolonged(config, now, expires_at),
        expires_at,
        origin,
        token: token.digest(),
    };
    (session, token)
}

/// When a session that is used now ends if nobody uses it again: never after `expires_at`.
#[must_use]
pub fn prolonged(config: &SessionConfig, now: DateTime<Utc>, expires_at: DateTime<Utc>) -> DateTime<Utc> {
    after_days(now, config.refresh_idle_days).min(expires_at)
}

fn after_days(from: DateTime<Utc>, days: u32) -> DateTime<Utc> {
    from.checked_add_days(Days::new(u64::from(days)))
        .unwrap_or(DateTime::<Utc>::MAX_UTC)
}

/// What a client gets, `now` being when its refresh token was written.
///
/// # Errors
/// Where the access token can't be signed.
pub fn issue(
    state: &AppState,
    user_id: UserId,
    session_id: SessionId,
    refresh_token: RefreshToken,
    now: DateTime<Utc>,
    idle_expires_at: DateTime<Utc>,
) -> Result<IssuedTokens, ApiError> {
    let access_token = state
        .tokens
        .issue(&state.keys.ring(), user_id, session_id)
        .map_err(ApiError::internal)?;
    Ok(IssuedTokens {
        access_token,
        expires_in: state.tokens.lifetime(),
        refresh_token,
        refresh_expires_in: (idle_expires_at - now).to_std().unwrap_or(Duration::ZERO),
    })
}

/// Sessions of a user, the newest first.
///
/// # Errors
/// [`ApiError::DatabaseUnavailable`].
pub async fn list(
    state: &AppState,
    user_id: UserId,
    after: Option<SessionId>,
    limit: u64,
) -> Result<Vec<Session>, ApiError> {
    let now = state.ambient.now();
    let mut sessions = state
        .db
        .read(move |reader| async move { store::list(&reader, user_id, after, limit, now).await })
        .await?;
    for session in &mut sessions {
        if let Some(noted) = state.last_uses.of(session.id) {
            session.last_used_at = session.last_used_at.max(noted);
        }
    }
    Ok(sessions)
}

/// Ends one of a user's own sessions.
///
/// # Errors
/// [`ApiError::NotFound`] where the user has no such session; [`ApiError::InvalidToken`] where the session that asks
/// has ended meanwhile.
pub async fn end(
    state: &AppState,
    user_id: UserId,
    asking: SessionId,
    id: SessionId,
    origin: Origin,
) -> Result<(), ApiError> {
    let event = ended(state, user_id, &origin)
        .with("session", id.to_string())
        .with("reason", "ended_by_user");
    let now = state.ambient.now();
    state
        .db
        .write(move |writer| async move {
            let transaction = writer.begin().await?;
            users::lock_own_account(&transaction, user_id, asking, now).await?;
            if !store::end_session(&*transaction, user_id, id).await? {
                return Err(ApiError::NotFound("You have no such session.".into()));
            }
            audit::record(&*transaction, event).await?;
            transaction.commit().await
        })
        .await
}

/// Whether there is such an account at all.
///
/// # Errors
/// [`ApiError::NotFound`] where there isn't.
pub async fn check_account(state: &AppState, user_id: UserId) -> Result<(), ApiError> {
    let found = state
        .db
        .read(move |reader| async move { users::user_by_id(&reader, user_id).await })
        .await?;
    found.map(drop).ok_or_else(ApiError::no_such_account)
}

/// Ends every session of somebody else's account.
///
/// # Errors
/// [`ApiError::NotFound`] where there is no such account; [`ApiError::Forbidden`] where whoever asks is no admin any more.
pub async fn end_all(
    state: &AppState,
    user_id: UserId,
    actor: Actor,
    origin: Origin,
) -> Result<(), ApiError> {
    let event = ended_for(state, user_id, actor, &origin).with("scope", LogoutScope::All.as_str());
    state
        .db
        .write(move |writer| async move {
            let transaction = writer.begin().await?;
            users::lock_administered(&transaction, user_id, actor).await?;
            store::end_sessions(&*transaction, user_id).await?;
            audit::record(&*transaction, event).await?;
            transaction.commit().await
        })
        .await
}

/// Ends one session of somebody else's account.
///
/// # Errors
/// [`ApiError::NotFound`] where there is no such account, or the account has no such session; [`ApiError::Forbidden`] where
/// whoever asks is no admin any more.
pub async fn end_one(
    state: &AppState,
    user_id: UserId,
    id: SessionId,
    actor: Actor,
    origin: Origin,
) -> Result<(), ApiError> {
    let event = ended_for(state, user_id, actor, &origin).with("session", id.to_string());
    state
        .db
        .write(move |writer| async move {
            let transaction = writer.begin().await?;
            // The account first, as in `end_all`: an admin and its owner can't wait for each other.
            users::lock_administered(&transaction, user_id, actor).await?;
            if !store::end_session(&*transaction, user_id, id).await? {
                return Err(ApiError::NotFound(
                    format!("The account has no session {id}.").into(),
                ));
            }
            audit::record(&*transaction, event).await?;
            transaction.commit().await
        })
        .await
}

/// Signs out: ends the session that asks, all others, or all.
///
/// # Errors
/// [`ApiError::InvalidToken`] where the session that asks has ended meanwhile.
pub async fn logout(
    state: &AppState,
    user_id: UserId,
    asking: SessionId,
    scope: LogoutScope,
    origin: Origin,
) -> Result<(), ApiError> {
    let event = ended(state, user_id, &origin)
        .with("session", asking.to_string())
        .with("reason", "logout")
        .with("scope", scope.as_str());
    let now = state.ambient.now();
    state
        .db
        .write(move |writer| async move {
            let transaction = writer.begin().await?;
            users::lock_own_account(&transaction, user_id, asking, now).await?;
            match scope {
                LogoutScope::Current => {
                    store::end_session(&*transaction, user_id, asking).await?;
                }
                LogoutScope::Others => {
                    store::end_sessions_except(&*transaction, user_id, asking).await?;
                }
                LogoutScope::All => store::end_sessions(&*transaction, user_id).await?,
            }
            audit::record(&*transaction, event).await?;
            transaction.commit().await
        })
        .await
}

/// Ended by somebody else, and by whom.
fn ended_for(state: &AppState, user_id: UserId, actor: Actor, origin: &Origin) -> AuditEvent {
    let reason = match actor {
        Actor::Operator => "ended_by_operator",
        _ => "ended_by_admin",
    };
    AuditEvent::success(
        &state.trail,
        AuditAction::SessionEnded,
        actor,
        Some(user_id),
        origin,
    )
    .with("reason", reason)
}

fn ended(state: &AppState, user_id: UserId, origin: &Origin) -> AuditEvent {
    AuditEvent::success(
        &state.trail,
        AuditAction::SessionEnded,
        Actor::User(user_id),
        Some(user_id),
        origin,
    )
}
