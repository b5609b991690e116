//! Looking at a code that somebody presents, and counting those that are wrong for the client's address.
//!
//! A typed code is short enough to be guessed, so it is counted before anybody looks at it, like a password, and given back
//! where it was right. A link's token has 256 bits, so the right one is never refused, whatever others behind the same
//! address have tried; a wrong one counts all the same, and so does what can't be a code at all: no answer tells the three
//! apart.

use std::sync::Arc;

use super::super::model::{PresentedCode, Purpose, StoredCode};
use super::super::store;
use crate::app::AppState;
use crate::audit::{self, AuditEvent, Trail};
use crate::domain::{Actor, AuditAction, EmailAddress, Limited, Origin};
use crate::error::ApiError;
use crate::limits::{self, LimitKind};
use crate::security::{MailToken, TypedCode};

/// The code that somebody presents, for one of these purposes, still good.
///
/// # Errors
/// [`ApiError::InvalidCode`], [`ApiError::TooManyRequests`], [`ApiError::DatabaseUnavailable`].
pub(super) async fn find(
    state: &AppState,
    code: PresentedCode,
    purposes: &[Purpose],
    origin: &Origin,
) -> Limited<Result<StoredCode, ApiError>> {
    match code {
        PresentedCode::Typed(code, email) => guess(state, code, email, purposes, origin).await,
        PresentedCode::Token(token) => match look_up(state, &token, purposes).await {
            Ok(Some(code)) => Limited::freely(Ok(code)),
            Ok(None) => wrong(state, origin).await,
            Err(error) => Limited::freely(Err(error)),
        },
        PresentedCode::Nonsense => wrong(state, origin).await,
    }
}

/// One that nobody has guessed, and that isn't good.
async fn wrong(state: &AppState, origin: &Origin) -> Limited<Result<StoredCode, ApiError>> {
    limits::spend(state, LimitKind::Address, origin)
        .await
        .map(|spent| spent.and(Err(ApiError::InvalidCode)))
}

/// The code of a link.
async fn look_up(
    state: &AppState,
    token: &MailToken,
    purposes: &[Purpose],
) -> Result<Option<StoredCode>, ApiError> {
    let (digest, now) = (token.digest(), state.ambient.now());
    let found = state
        .db
        .read(move |reader| async move { store::by_token(&reader, digest).await })
        .await?;
    Ok(found.filter(|code| purposes.contains(&code.purpose) && code.expires_at > now))
}

/// A code that was typed: counted for the address, and charged to the codes that it may be, before it is compared.
/// A wrong one takes the same time whether or not there are any, and is told to the audit trail of the accounts whose codes
/// it was charged to: ten times for each code at most, as no code is charged more often.
async fn guess(
    state: &AppState,
    code: TypedCode,
    email: EmailAddress,
    purposes: &[Purpose],
    origin: &Origin,
) -> Limited<Result<StoredCode, ApiError>> {
    let Some(post) = &state.mail else {
        return Limited::freely(Err(ApiError::InvalidCode));
    };
    let counted = match limits::check_code(state, origin).await {
        Ok(counted) => Arc::new(counted),
        Err(refused) => return refused.map(Err),
    };
    let (state, purposes, keys) = (state.clone(), purposes.to_vec(), Arc::clone(&post.keys));
    let (trail, origin) = (state.trail.clone(), origin.clone());
    // From here on it goes to its end, also where the client has gone: what was counted is settled.
    let going = tokio::spawn(async move {
        let (now, settled) = (state.ambient.now(), Arc::clone(&counted));
        let decoy = state.ambient.new_uuid();
        let found = state
            .db
            .write(move |writer| async move {
                let transaction = writer.begin().await?;
                let charged = store::charge_guess(&*transaction, &email, &purposes, now).await?;
                let right = |stored: &StoredCode| {
                    keys.typed_digest(stored.purpose.as_str(), &stored.email, &code) == stored.typed
                };
                let found = charged.iter().find(|stored| right(stored)).cloned();
                if found.is_some() {
                    let ids: Vec<_> = charged.iter().map(|stored| stored.id).collect();
                    store::forgive_guess(&*transaction, &ids).await?;
                    settled.succeeded(&transaction).await?;
                } else {
                    // Of an account or not: a statement that adds what it adds, and one that removes.
                    let events: Vec<AuditEvent> = charged
                        .iter()
                        .filter(|stored| stored.user_id.is_some())
                        .map(|stored| refused(&trail, stored, &origin))
                        .collect();
                    if events.is_empty() {
                        store::write_decoy(&*transaction, decoy, now).await?;
                    } else {
                        audit::record_all(&*transaction, events).await?;
                    }
                    store::remove_decoy(&*transaction, decoy).await?;
                }
                transaction.commit().await?;
                Ok(found)
            })
            .await;
        match found {
            Ok(found) => Limited {
                standing: counted.standing(found.is_some()),
                outcome: found.ok_or(ApiError::InvalidCode),
            },
            Err(error) => {
                // Nothing is known of the code. The database is in trouble: nobody waits for it twice.
                tokio::spawn(async move { counted.undo(&state).await });
                Limited::freely(Err(error))
            }
        }
    });
    match going.await {
        Ok(limited) => limited,
        Err(ended) => Limited::freely(Err(ApiError::internal(ended))),
    }
}

/// That somebody has guessed wrongly at this code of an account.
fn refused(trail: &Trail, stored: &StoredCode, origin: &Origin) -> AuditEvent {
    let (action, reason) = (AuditAction::CodeRefused, "wrong_code");
    AuditEvent::failure(trail, action, Actor::Anonymous, stored.user_id, origin, reason)
        .with("purpose", stored.purpose.as_str())
}
