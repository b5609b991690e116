//! Deciding who may sign in, and who is signed in.

use std::sync::Arc;
use std::time::Duration;

use super::model::{AuthenticatedUser, SignIn};
use super::store;
use crate::app::AppState;
use crate::audit::{self, AuditEvent};
use crate::domain::{Actor, AuditAction, Limited, Origin, PasswordHash, UserId, UserStatus};
use crate::error::ApiError;
use crate::keys;
use crate::limits::{self, Attempt};
use crate::security::passwords::Verified;
use crate::security::{RefreshToken, TokenFault, VerifiedToken};
use crate::sessions::{self, IssuedTokens, NewSession};
use crate::users::{self, Credentials};

/// How often a sign-in is tried that a change of the same account's hash has overtaken.
const ATTEMPTS: usize = 4;

/// By how much at most a refusal leaves later than it could.
///
/// All refusals do the same work, but not to the last microsecond: a row that is found is decoded, and an audit row
/// about somebody is in one index more. A moment of chance, a hundred times as long as such differences, drowns them:
/// who wants to see one needs some ten thousand attempts at one account, which limits don't give. It costs a
/// mistyped password half of that on average, beside a hash of a quarter of a second.
const BLUR: Duration = Duration::from_millis(10);

/// Who sent this access token: the signature is checked once, user and session at each request, in one query. A
/// token is not a fact.
///
/// # Errors
/// [`ApiError::InvalidToken`], [`ApiError::DatabaseUnavailable`].
pub async fn identify(state: &AppState, token: &str) -> Result<AuthenticatedUser, ApiError> {
    let token = verify(state, token).await?;
    let now = state.ambient.now();
    let found = store::authenticated_user(&state.db, token, now).await?;
    let found = found.ok_or(ApiError::InvalidToken)?;
    state
        .last_uses
        .note(found.user.session_id, found.last_used_at, now);
    Ok(found.user)
}

/// What a token says, as far as its signature and its times go.
///
/// # Errors
/// [`ApiError::InvalidToken`], [`ApiError::DatabaseUnavailable`].
pub async fn verify(state: &AppState, token: &str) -> Result<VerifiedToken, ApiError> {
    let first = state.tokens.verify(&state.keys.ring(), token);
    let verified = match first {
        Err(TokenFault::UnknownKey) => {
            keys::service::look_for_unknown(state).await?;
            state.tokens.verify(&state.keys.ring(), token)
        }
        known => known,
    };
    verified.map_err(|_| ApiError::InvalidToken)
}

/// Signs in with address and password.
///
/// An unknown address, a wrong password, a password that nobody can have and an account without one take the same
/// path: one count, one query, one hash, one audit row, one answer. A text that can't be an address saves the query, which
/// tells nobody anything about an account. What differs all the same is less than the moment by which a refusal is late.
///
/// # Errors
/// [`ApiError::InvalidCredentials`]; [`ApiError::AccountDisabled`], only with the right password;
/// [`ApiError::TooManyRequests`], whatever the password is; [`ApiError::Overloaded`], where nothing is counted.
pub async fn sign_in(
    state: &AppState,
    attempt: SignIn,
    origin: Origin,
) -> Limited<Result<IssuedTokens, ApiError>> {
    // Before the count: a flood that can't be hashed would otherwise cost two transactions a time, to count and to undo.
    if let Err(overloaded) = state.passwords.has_room(origin.network()) {
        return Limited::freely(Err(overloaded.into()));
    }
    let counted = match limits::check_sign_in(state, attempt.email.as_ref(), &origin).await {
        Ok(counted) => Arc::new(counted),
        Err(refused) => return refused.map(Err),
    };
    // From here on it goes to its end, also where the client has gone: what was counted is settled.
    let all = state.clone();
    let going = tokio::spawn(async move {
        let state = all;
        let outcome = try_password(&state, attempt, &counted, origin).await;
        match &outcome {
            Ok(_) | Err(ApiError::InvalidCredentials | ApiError::AccountDisabled) => {}
            // Nothing is known of the password. Where the database is in trouble, nobody waits for it twice.
            Err(ApiError::DatabaseUnavailable(_)) => {
                let counted = Arc::clone(&counted);
                tokio::spawn(async move { counted.undo(&state).await });
            }
            Err(_) => counted.undo(&state).await?,
        }
        let is_right = !matches!(outcome, Err(ApiError::InvalidCredentials));
        Ok((outcome, counted.standing(is_right)))
    });
    let ended = going.await;
    if let Ok(Ok((Err(ApiError::InvalidCredentials), _))) = &ended {
        let mut chance = [0; 4];
        state.ambient.random.fill(&mut chance);
        // Of 2³² parts, so many.
        let share = f64::from(u32::from_le_bytes(chance)) / f64::from(u32::MAX);
        tokio::time::sleep(BLUR.mul_f64(share)).await;
    }
    match ended {
        Ok(Ok((outcome, standing))) => Limited { outcome, standing },
        Ok(Err(error)) => Limited::freely(Err(error)),
        Err(ended) => Limited::freely(Err(ApiError::internal(ended))),
    }
}

async fn try_password(
    state: &AppState,
    attempt: SignIn,
    counted: &Arc<Attempt>,
    origin: Origin,
) -> Result<IssuedTokens, ApiError> {
    for _ in 0..ATTEMPTS {
        let found = find(state, &attempt).await?;
        let id = found.as_ref().map(|account| account.user_id);
        let stored = found.as_ref().and_then(|account| account.password_hash.clone());
        let stored = state.retired.filter(stored, state.ambient.now());
        // No database connection is held while hashing.
        let verified = state
            .passwords
            .verify(attempt.password.clone(), stored.clone(), origin.network())
            .await?;
        let (Verified::Match { rehash }, Some(account), Some(checked)) = (verified, found, stored) else {
            refuse(state, id, &origin, counted, false).await?;
            return Err(ApiError::InvalidCredentials);
        };
        if account.status == UserStatus::Disabled {
            refuse(state, id, &origin, counted, true).await?;
            return Err(ApiError::AccountDisabled);
        }
        let user_id = account.user_id;
        if let Some((session, token)) =
            begin_session(state, user_id, checked, rehash, origin.clone(), counted).await?
        {
            return sessions::issue(
                state,
                user_id,
                session.id,
                token,
                session.created_at,
                session.idle_expires_at,
            );
        }
        // The account has changed since it was read: another sign-in has rewritten the hash, or the password was
        // changed, or the account closed. Look again; a password change wins.
    }
    Err(ApiError::Conflict(
        "The account is being changed by other requests.".into(),
    ))
}

async fn find(state: &AppState, attempt: &SignIn) -> Result<Option<Credentials>, ApiError> {
    let Some(email) = attempt.email.clone() else {
        return Ok(None);
    };
    state
        .db
        .read(move |reader| {
            let email = email.clone();
            async move { users::credentials_by_email(&reader, &email).await }
        })
        .await
}

/// Writes down that nobody was let in, and settles the attempt: the password was wrong, or right and the account closed.
async fn refuse(
    state: &AppState,
    subject: Option<UserId>,
    origin: &Origin,
    counted: &Arc<Attempt>,
    is_right: bool,
) -> Result<(), ApiError> {
    let reason = if is_right {
        "account_disabled"
    } else {
        "invalid_credentials"
    };
    let event = AuditEvent::failure(
        &state.trail,
        AuditAction::SignIn,
        Actor::Anonymous,
        subject,
        origin,
        reason,
    );
    let (all, counted, origin) = (state.clone(), Arc::clone(counted), origin.clone());
    state
        .db
        .write(move |writer| async move {
            let transaction = writer.begin().await?;
            audit::record(&*transaction, event).await?;
            if is_right {
                counted.succeeded(&transaction).await?;
            } else {
                counted.failed(&all, &transaction, subject, &origin).await?;
            }
            transaction.commit().await
        })
        .await
}

/// Begins a session, in the transaction that notes the sign-in, rewrites an outdated hash and settles the attempt. `None` where the account
/// isn't any more what was checked.
async fn begin_session(
    state: &AppState,
    user_id: UserId,
    checked: PasswordHash,
    rehash: Option<PasswordHash>,
    origin: Origin,
    counted: &Arc<Attempt>,
) -> Result<Option<(NewSession, RefreshToken)>, ApiError> {
    let (session, token) = sessions::new_session(state, user_id, origin.clone());
    let mut event = AuditEvent::success(
        &state.trail,
        AuditAction::SignIn,
        Actor::User(user_id),
        Some(user_id),
        &origin,
    )
    .with("session", session.id.to_string());
    if rehash.is_some() {
        event = event.with("rehashed", true);
    }
    let (begun, counted) = (session.clone(), Arc::clone(counted));
    let most = state.config.session.max_per_user;
    let is_begun = state
        .db
        .write(move |writer| async move {
            let transaction = writer.begin().await?;
            let now = begun.created_at;
            // Locks the account, so that nobody else counts its sessions at the same moment.
            if !users::record_sign_in(&*transaction, user_id, &checked, rehash.as_ref(), now).await? {
                return Ok(false);
            }
            let id = begun.id;
            sessions::insert_session(&*transaction, begun).await?;
            let ended = sessions::end_oldest(&*transaction, user_id, id, most, now).await?;
            if ended > 0 {
                event = event.with("ended_sessions", ended);
            }
            audit::record(&*transaction, event).await?;
            counted.succeeded(&transaction).await?;
            transaction.commit().await?;
            Ok(true)
        })
        .await?;
    Ok(is_begun.then_some((session, token)))
}
