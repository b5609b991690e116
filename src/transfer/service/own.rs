//! Everything that is held about somebody, for that person; an operator may be asked to hand it over.

use super::super::model::{OpenCode, UserRecord, WaitingMail};
use super::super::store;
use crate::app::AppState;
use crate::audit::{self, AuditEvent, Entry, EventFilter};
use crate::domain::{Actor, AuditAction, Origin, UserId};
use crate::error::ApiError;
use crate::sessions::{self, Session};

/// How many rows are read at a time.
const BATCH: u64 = 500;

/// What is held about a user.
#[derive(Debug)]
pub struct OwnData {
    /// The account; its hash is here and isn't told.
    pub user: UserRecord,
    /// Where the user is signed in.
    pub sessions: Vec<Session>,
    /// Mails that haven't been sent.
    pub mails: Vec<WaitingMail>,
    /// Codes that haven't been used, without the codes themselves, which nobody has.
    pub codes: Vec<OpenCode>,
    /// What was done by the user and to the account, the newest first.
    pub events: Vec<Entry>,
}

/// Everything that is held about a user (GDPR, articles 15 and 20). That it was asked for is the newest event.
///
/// # Errors
/// [`ApiError::DatabaseUnavailable`]; where the account has gone meanwhile [`ApiError::InvalidToken`] for its owner, and
/// [`ApiError::NotFound`] for an operator.
pub async fn own_data(
    state: &AppState,
    id: UserId,
    actor: Actor,
    origin: &Origin,
) -> Result<OwnData, ApiError> {
    let event = AuditEvent::success(&state.trail, AuditAction::UserExported, actor, Some(id), origin);
    audit::record_alone(&state.db, event).await?;
    let (user, mails, codes) = state
        .db
        .read(move |reader| async move {
            let Some(user) = store::export_one(&reader, id).await? else {
                return Ok(None);
            };
            let proven = Some(user.email.as_str()).filter(|_| user.email_verified);
            let mails = store::waiting_mails(&reader, id, proven).await?;
            let codes = store::open_codes(&reader, id).await?;
            Ok(Some((user, mails, codes)))
        })
        .await?
        .ok_or_else(|| match actor {
            Actor::User(_) => ApiError::InvalidToken,
            _ => ApiError::no_such_account(),
        })?;
    let mut sessions = Vec::new();
    loop {
        let after = sessions.last().map(|session: &Session| session.id);
        let page = sessions::list(state, id, after, BATCH).await?;
        let is_last = (page.len() as u64) < BATCH;
        sessions.extend(page);
        if is_last {
            break;
        }
    }
    let filter = EventFilter {
        concerning: Some(id),
        ..EventFilter::default()
    };
    let mut events = Vec::new();
    loop {
        let before = events.last().map(|entry: &Entry| entry.id);
        let page = audit::list(state, filter.clone(), before, BATCH).await?;
        let is_last = (page.len() as u64) < BATCH;
        events.extend(page);
        if is_last {
            return Ok(OwnData {
                user,
                sessions,
                mails,
                codes,
                events,
            });
        }
    }
}
