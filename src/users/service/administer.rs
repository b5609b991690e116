//! What an admin or an operator does with accounts: making them, changing them, mailing a reset.

use crate::app::AppState;
use crate::audit::{self, AuditEvent};
use crate::db::Transaction;
use crate::domain::{Actor, AuditAction, Origin, Precondition, Role, UserId, UserStatus};
use crate::error::ApiError;
use crate::limits;
use crate::mail::{self, MailKind, NewMail};
use crate::policy;
use crate::security::passwords::PasswordContext;
use crate::sessions;
use crate::verification;

use super::super::model::{Account, AccountChanges, AdminUser, Changes, NewAccount, Registration, User};
use super::super::store;
use super::find::administered;
use super::idempotency::Repeat;
use super::lifecycle::keep_an_admin;
use super::{Making, context_after, hash_new, make, names, taken_or_fault};

/// Whoever administers others can still do so at the moment of the change: since the bearer check, a body was read and
/// passwords were hashed.
///
/// # Errors
/// [`ApiError::Forbidden`].
pub async fn still_may_administer(transaction: &Transaction, actor: Actor) -> Result<(), ApiError> {
    match actor {
        Actor::User(id) if !store::is_active_admin(&**transaction, id).await? => policy::may_administer(&[]),
        _ => Ok(()),
    }
}

/// Locks the account that somebody administers, who can still do so.
///
/// # Errors
/// [`ApiError::NotFound`] where there is no such account, [`ApiError::Forbidden`].
pub async fn lock_administered(
    transaction: &Transaction,
    id: UserId,
    actor: Actor,
) -> Result<Account, ApiError> {
    let account = store::lock_account(&**transaction, id)
        .await?
        .ok_or_else(ApiError::no_such_account)?;
    still_may_administer(transaction, actor).await?;
    Ok(account)
}

/// Makes an account. Without a password its owner is invited by mail to choose one.
///
/// # Errors
/// [`ApiError::EmailTaken`], [`ApiError::Validation`] for a password that is easy to guess, [`ApiError::Overloaded`].
pub async fn create_account(
    state: &AppState,
    new: NewAccount,
    actor: Actor,
    origin: Origin,
    repeat: Option<Repeat>,
) -> Result<AdminUser, ApiError> {
    let mail = new.password.is_none().then_some(MailKind::Invitation);
    let password_hash = match new.password {
        Some(password) => {
            let name = new.display_name.as_ref().map(|name| name.as_str().to_owned());
            let email = new.email.as_str().to_owned();
            let context = PasswordContext {
                email,
                display_name: name,
            };
            Some(hash_new(state, password, context, origin.network()).await?)
        }
        None => None,
    };
    let making = Making {
        email: new.email,
        roles: new.roles,
        registration: Registration {
            password_hash,
            display_name: new.display_name,
            locale: new.locale,
            metadata: new.metadata,
        },
        email_verified: new.email_verified,
        mail,
        repeat,
    };
    make(state, making, actor, origin).await
}

/// Changes what is named of an account, all of it or nothing. Another password or status ends the account's sessions.
///
/// # Errors
/// [`ApiError::NotFound`], [`ApiError::PreconditionFailed`], [`ApiError::EmailTaken`], [`ApiError::Validation`];
/// [`ApiError::Conflict`] where the last active admin would be none any more.
pub async fn change_account(
    state: &AppState,
    id: UserId,
    changes: AccountChanges,
    precondition: Precondition,
    actor: Actor,
    origin: Origin,
) -> Result<AdminUser, ApiError> {
    let before = administered(state, id).await?.user;
    // A look before the work; the decision is made under the lock.
    if !precondition.allows(before.revision) {
        return Err(ApiError::PreconditionFailed);
    }
    let AccountChanges {
        email,
        password,
        display_name,
        locale,
        metadata,
        mut roles,
        status,
        email_verified,
    } = changes;
    let hash = match password {
        Some(password) => {
            let context = context_after(&before, email.as_ref(), &display_name);
            Some(hash_new(state, password, context, origin.network()).await?)
        }
        None => None,
    };
    if let Some(roles) = &mut roles {
        roles.sort_unstable();
        roles.dedup();
    }
    let change = AccountChange {
        row: Changes {
            email,
            email_verified,
            display_name,
            locale,
            metadata,
            status,
            password_hash: hash,
            ..Changes::default()
        },
        roles,
        actor,
        origin,
    };
    let all = state.clone();
    state
        .db
        .write(move |writer| async move {
            let transaction = writer.begin().await?;
            let loses_admin = change.row.status == Some(UserStatus::Disabled)
                || change
                    .roles
                    .as_ref()
                    .is_some_and(|roles| !roles.iter().any(|role| role.as_str() == Role::ADMIN));
            if loses_admin {
                // Before any account is locked, as everybody does who may end an admin.
                keep_an_admin(&transaction, id).await?;
            }
            let present = lock_administered(&transaction, id, change.actor).await?.user;
            if !precondition.allows(present.revision) {
                return Err(ApiError::PreconditionFailed);
            }
            if change.write(&all, &transaction, present).await? {
                transaction.commit().await?;
            }
            Ok(())
        })
        .await?;
    administered(state, id).await
}

/// A change of an account, ready to be written.
struct AccountChange {
    row: Changes,
    roles: Option<Vec<Role>>,
    actor: Actor,
    origin: Origin,
}

impl AccountChange {
    /// Leaves out what is so already, writes the rest with its audit rows and mails, and ends what has to end. False where
    /// there is nothing to change. With the account locked.
    async fn write(
        self,
        state: &AppState,
        transaction: &Transaction,
        present: User,
    ) -> Result<bool, ApiError> {
        let (id, now) = (present.id, state.ambient.now());
        let event = |action| AuditEvent::success(&state.trail, action, self.actor, Some(id), &self.origin);
        let mail = |kind, to: &str| mail::compose(state, kind, Some(id), to);
        let mut row = self.row;
        row.email = row.email.filter(|email| email.as_str() != present.email);
        row.status = row.status.filter(|status| *status != present.status);
        let roles = self.roles.filter(|roles| names(roles) != present.roles);
        // Another address isn't proven, unless that is said as well.
        let was_verified = present.email_verified && row.email.is_none();
        row.email_verified = row.email_verified.filter(|verified| *verified != was_verified);
        if row.is_empty() && roles.is_none() {
            return Ok(false);
        }
        let mut events = Vec::new();
        let mut mails: Vec<Option<NewMail>> = Vec::new();
        if let Some(email) = &row.email {
            let is_proven = row.email_verified == Some(true);
            let changed = event(AuditAction::EmailChanged).with("way", "administered");
            events.push(changed.with("verified", is_proven));
            mails.push(mail(MailKind::EmailChanged, &present.email));
            if row.email_verified != Some(true) {
                mails.push(mail(MailKind::VerifyEmail, email.as_str()));
            }
        }
        if row.email_verified == Some(true) {
            events.push(event(AuditAction::EmailVerified));
        }
        if row.password_hash.is_some() {
            events.push(event(AuditAction::PasswordChanged));
            mails.push(mail(MailKind::PasswordChanged, &present.email));
        }
        if let Some(status) = row.status {
            let (action, kind) = match status {
                UserStatus::Active => (AuditAction::UserEnabled, MailKind::AccountEnabled),
                UserStatus::Disabled => (AuditAction::UserDisabled, MailKind::AccountDisabled),
            };
            events.push(event(action));
            mails.push(mail(kind, &present.email));
        }
        if let Some(roles) = &roles {
            let changed = event(AuditAction::RolesChanged).with("roles", names(roles));
            events.push(changed.with("roles_before", present.roles.clone()));
        }
        let members = profile_members(&row);
        if !members.is_empty() {
            events.push(event(AuditAction::ProfileChanged).with("members", members));
        }
        let ends_sessions = row.password_hash.is_some() || row.status.is_some();
        let drops_codes = ends_sessions || row.email.is_some();
        let is_forgiven = row.password_hash.is_some();
        store::update(&**transaction, id, row, now)
            .await
            .map_err(taken_or_fault)?;
        if let Some(roles) = roles {
            store::replace_roles(&**transaction, id, &roles).await?;
        }
        if drops_codes {
            // A code that was asked for before doesn't undo this.
            verification::drop_codes(&**transaction, id).await?;
        }
        if ends_sessions {
            sessions::end_sessions(&**transaction, id).await?;
        }
        mail::queue(&**transaction, mails.into_iter().flatten()).await?;
        for event in events {
            audit::record(&**transaction, event).await?;
        }
        if is_forgiven {
            // What was tried against the old password says nothing about the new one.
            limits::forget_account(state, transaction, &present.email).await?;
        }
        Ok(true)
    }
}

/// Which members of the profile change that have no event of their own.
fn profile_members(row: &Changes) -> Vec<&'static str> {
    [
        ("display_name", !row.display_name.is_keep()),
        ("locale", !row.locale.is_keep()),
        ("metadata", row.metadata.is_some()),
        ("email_verified", row.email_verified == Some(false)),
    ]
    .into_iter()
    .filter_map(|(name, changes)| changes.then_some(name))
    .collect()
}

/// Mails somebody a code to choose a new password. Whoever asks for it learns neither.
///
/// # Errors
/// [`ApiError::NotFound`] where there is no such account, or no mail; [`ApiError::Conflict`] where the account is disabled.
pub async fn mail_reset(state: &AppState, id: UserId, actor: Actor, origin: Origin) -> Result<(), ApiError> {
    let Some(mail) = mail::compose(state, MailKind::ResetPassword, Some(id), String::new()) else {
        return Err(ApiError::NotFound("This server sends no mail.".into()));
    };
    let event = AuditEvent::success(
        &state.trail,
        AuditAction::ResetRequested,
        actor,
        Some(id),
        &origin,
    );
    state
        .db
        .write(move |writer| async move {
            let transaction = writer.begin().await?;
            let user = lock_administered(&transaction, id, actor).await?.user;
            if user.status != UserStatus::Active {
                return Err(ApiError::Conflict(
                    "The account is disabled: enable it first.".into(),
                ));
            }
            mail::queue(&*transaction, Some(mail.to(user.email))).await?;
            audit::record(&*transaction, event).await?;
            transaction.commit().await
        })
        .await
}
