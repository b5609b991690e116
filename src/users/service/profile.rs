//! Changing one's own profile.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::app::AppState;
use crate::audit::{self, AuditEvent};
use crate::db::Transaction;
use crate::domain::{
    Actor, AuditAction, ClientNetwork, Limited, Origin, Password, PasswordAttempt, PasswordHash,
    Precondition, SessionId, Standing, UserId, UserStatus,
};
use crate::error::ApiError;
use crate::limits::{self, Attempt};
use crate::mail::{self, MailKind, NewMail};
use crate::security::passwords::{PasswordContext, Verified};
use crate::sessions;
use crate::verification;

use super::super::model::{Account, Changes, ProfileChanges, User};
use super::super::store;
use super::email_change::{Asking, EmailChange};
use super::{context_after, hash_new, taken_or_fault};

/// Changes one's own profile.
///
/// A new password ends every other session, and gives the present one a new id, so that every access token issued
/// before is refused from the next request on; the refresh token of the present session goes on.
///
/// Whoever is told that an address is taken has asked who has an account, which counts as a registration from the client's
/// address does. A change that is done costs nothing.
///
/// # Errors
/// [`ApiError::WrongCurrentPassword`], [`ApiError::EmailTaken`], [`ApiError::PreconditionFailed`],
/// [`ApiError::Validation`], [`ApiError::TooManyRequests`], [`ApiError::Overloaded`]; [`ApiError::InvalidToken`] where
/// the account or the session has ended meanwhile.
pub async fn change_profile(
    state: &AppState,
    user: &User,
    session: SessionId,
    changes: ProfileChanges,
    precondition: Precondition,
    origin: Origin,
) -> Limited<Result<User, ApiError>> {
    let mut standing = None;
    let outcome = change(state, user, session, changes, precondition, origin, &mut standing).await;
    Limited { outcome, standing }
}

async fn change(
    state: &AppState,
    user: &User,
    session: SessionId,
    changes: ProfileChanges,
    precondition: Precondition,
    origin: Origin,
    standing: &mut Option<Standing>,
) -> Result<User, ApiError> {
    // A look before the work; the decision is made under the lock.
    if !precondition.allows(user.revision) {
        return Err(ApiError::PreconditionFailed);
    }
    let id = user.id;
    let mut row = Changes {
        display_name: changes.display_name,
        locale: changes.locale,
        metadata: changes.metadata,
        ..Changes::default()
    };
    let mut checked = None;
    let wanted: Vec<AuditAction> = [
        changes.email.as_ref().map(|_| AuditAction::EmailChanged),
        changes.password.as_ref().map(|_| AuditAction::PasswordChanged),
    ]
    .into_iter()
    .flatten()
    .collect();
    if !wanted.is_empty() {
        let current = changes.current_password.as_ref();
        let confirmed = confirm(state, user, session, current, wanted, &origin).await;
        *standing = confirmed.standing;
        let hash = confirmed.outcome?;
        if let Some(password) = changes.password {
            let context = context_after(user, changes.email.as_ref(), &row.display_name);
            let client = origin.network();
            let new = new_password(state, password, context, current, hash.as_ref(), client).await?;
            row.password_hash = Some(new);
        }
        row.email = changes.email;
        checked = Some(hash);
    }
    let asking = match Asking::begin(state, user, row.email.as_ref(), &origin).await {
        Ok(asking) => asking,
        Err(refused) => {
            *standing = refused.standing;
            return Err(refused.outcome);
        }
    };
    let event = |action| AuditEvent::success(&state.trail, action, Actor::User(id), Some(id), &origin);
    let now = state.ambient.now();
    let password_event = row
        .password_hash
        .as_ref()
        .map(|_| event(AuditAction::PasswordChanged));
    let change = ProfileChange {
        row,
        password_event,
        session,
        renewed: SessionId::new(state.ambient.new_uuid()),
        email_change: EmailChange::new(state, id, &event),
        password_notice: mail::compose(state, MailKind::PasswordChanged, Some(id), String::new()),
        now,
    };
    let asked = asking.attempt();
    let written = state
        .db
        .write(move |writer| async move {
            let transaction = writer.begin().await?;
            let present = lock_own_account(&transaction, id, session, now).await?;
            if !precondition.allows(present.user.revision) {
                return Err(ApiError::PreconditionFailed);
            }
            if let Some(checked) = checked
                && checked.as_ref().map(PasswordHash::expose)
                    != present.password_hash.as_ref().map(PasswordHash::expose)
            {
                let detail = "The password was changed by another request at the same moment.";
                return Err(ApiError::Conflict(detail.into()));
            }
            if !change.write(&transaction, &present.user).await? {
                return Ok((present.user, false));
            }
            let user = store::user_by_id(&*transaction, id)
                .await?
                .ok_or(ApiError::InvalidToken)?;
            if let Some(asked) = asked {
                asked.succeeded(&transaction).await?;
            }
            transaction.commit().await?;
            Ok((user, true))
        })
        .await;
    if !matches!(written, Ok((_, true)))
        && let Some(told) = asking.settle(state, written.as_ref().err()).await
    {
        *standing = Some(told);
    }
    written.map(|(user, _)| user)
}

/// A change of one's own profile, ready to be written.
struct ProfileChange {
    row: Changes,
    session: SessionId,
    /// What the session is called once there is a new password.
    renewed: SessionId,
    /// Of a new password, where there is one.
    password_event: Option<AuditEvent>,
    email_change: EmailChange,
    /// To be sent where there is a new password.
    password_notice: Option<NewMail>,
    now: DateTime<Utc>,
}

impl ProfileChange {
    /// Writes it with its audit rows and mails, and ends what has to end. False where there is nothing to change. With the
    /// account locked.
    async fn write(self, transaction: &Transaction, present: &User) -> Result<bool, ApiError> {
        let (id, mut row) = (present.id, self.row);
        let (email_event, mails) = self.email_change.settle(transaction, &mut row, present).await?;
        if row.is_empty() {
            return Ok(false);
        }
        let has_new_password = row.password_hash.is_some();
        if row.email.is_some() {
            // They were mailed to the address that is left behind.
            verification::drop_codes(&**transaction, id).await?;
        } else if has_new_password {
            verification::drop_codes_for(&**transaction, id, MailKind::ResetPassword.as_str()).await?;
        }
        store::update(&**transaction, id, row, self.now)
            .await
            .map_err(taken_or_fault)?;
        if has_new_password {
            sessions::end_sessions_except(&**transaction, id, self.session).await?;
            sessions::renew_session(&**transaction, self.session, self.renewed).await?;
        }
        for event in self.password_event.into_iter().chain(email_event) {
            audit::record(&**transaction, event).await?;
        }
        let password_notice = self
            .password_notice
            .filter(|_| has_new_password)
            .map(|mail| mail.to(present.email.as_str()));
        mail::queue(&**transaction, mails.into_iter().chain(password_notice)).await?;
        Ok(true)
    }
}

/// The caller's account, locked; if account and session are still good. Between the bearer check and this moment a
/// body was read and passwords were hashed: time enough to be signed out, disabled or deleted.
///
/// # Errors
/// [`ApiError::InvalidToken`] where they aren't.
pub async fn lock_own_account(
    transaction: &Transaction,
    id: UserId,
    session: SessionId,
    now: DateTime<Utc>,
) -> Result<Account, ApiError> {
    let account = store::lock_account(&**transaction, id)
        .await?
        .ok_or(ApiError::InvalidToken)?;
    let is_good = account.user.status == UserStatus::Active
        && sessions::session_lives(&**transaction, session, id, now).await?;
    if is_good {
        Ok(account)
    } else {
        Err(ApiError::InvalidToken)
    }
}

/// Makes sure that whoever changes address or password knows the present password, unless the configuration doesn't
/// ask for that. Gives the hash that was checked, for the write to insist on.
async fn confirm(
    state: &AppState,
    user: &User,
    session: SessionId,
    current: Option<&PasswordAttempt>,
    wanted: Vec<AuditAction>,
    origin: &Origin,
) -> Limited<Result<Option<PasswordHash>, ApiError>> {
    let id = user.id;
    let account = state
        .db
        .read(move |reader| async move { store::account_by_id(&reader, id).await })
        .await;
    let stored = match account.and_then(|account| account.ok_or(ApiError::InvalidToken)) {
        Ok(account) => state.retired.filter(account.password_hash, state.ambient.now()),
        Err(error) => return Limited::freely(Err(error)),
    };
    if !state.config.account.require_current_password {
        return Limited::freely(Ok(stored));
    }
    let Some(current) = current.cloned() else {
        let detail = "is required to change the e-mail address or the password";
        return Limited::freely(Err(ApiError::invalid("current_password", "missing", detail)));
    };
    // Before the count, which would have to be undone.
    if let Err(overloaded) = state.passwords.has_room(origin.network()) {
        return Limited::freely(Err(overloaded.into()));
    }
    let counted = match limits::check_in_session(state, session, &user.email, origin).await {
        Ok(counted) => Arc::new(counted),
        Err(refused) => return refused.map(Err),
    };
    // From here on it goes to its end, also where the client has gone: what was counted is settled.
    let (state, origin) = (state.clone(), origin.clone());
    let going = tokio::spawn(async move {
        let checked = match state
            .passwords
            .verify(current, stored.clone(), origin.network())
            .await
        {
            Ok(checked) => checked,
            Err(error) => {
                counted.undo(&state).await?;
                return Err(error.into());
            }
        };
        let is_right = matches!(checked, Verified::Match { .. });
        let standing = counted.standing(is_right);
        settle(&state, id, counted, is_right, wanted, origin).await?;
        let outcome = if is_right {
            Ok(stored)
        } else {
            Err(ApiError::WrongCurrentPassword)
        };
        Ok(Limited { outcome, standing })
    });
    match going.await {
        Ok(Ok(limited)) => limited,
        Ok(Err(error)) => Limited::freely(Err(error)),
        Err(ended) => Limited::freely(Err(ApiError::internal(ended))),
    }
}

/// Writes down what came of an attempt, and what was refused because of it.
async fn settle(
    state: &AppState,
    id: UserId,
    counted: Arc<Attempt>,
    is_right: bool,
    wanted: Vec<AuditAction>,
    origin: Origin,
) -> Result<(), ApiError> {
    if is_right && !counted.is_counted() {
        return Ok(());
    }
    let reason = "wrong_current_password";
    let refused =
        |action| AuditEvent::failure(&state.trail, action, Actor::User(id), Some(id), &origin, reason);
    let events: Vec<_> = wanted.into_iter().map(refused).collect();
    let all = state.clone();
    state
        .db
        .write(move |writer| async move {
            let transaction = writer.begin().await?;
            if is_right {
                counted.succeeded(&transaction).await?;
            } else {
                for event in events {
                    audit::record(&*transaction, event).await?;
                }
                counted.failed(&all, &transaction, Some(id), &origin).await?;
            }
            transaction.commit().await
        })
        .await
}

/// Hashes a new password, which mustn't be the present one.
async fn new_password(
    state: &AppState,
    password: Password,
    context: PasswordContext,
    current: Option<&PasswordAttempt>,
    stored: Option<&PasswordHash>,
    client: ClientNetwork,
) -> Result<PasswordHash, ApiError> {
    let is_unchanged = match (current, stored) {
        // The present password was checked a moment ago: comparing with it is enough.
        (Some(current), _) if state.config.account.require_current_password => password.same_as(current),
        (_, Some(stored)) => {
            let (password, stored) = (password.clone(), stored.clone());
            state.passwords.matches(password, stored, client).await?
        }
        (_, None) => false,
    };
    if is_unchanged {
        return Err(ApiError::invalid(
            "password",
            "unchanged",
            "must differ from the present password",
        ));
    }
    hash_new(state, password, context, client).await
}
