//! What an operator does with accounts, and how one ends.

use crate::app::AppState;
use crate::audit::{self, AuditEvent};
use crate::db::Transaction;
use crate::domain::{
    Actor, AuditAction, Change, Origin, Password, Precondition, Role, SessionId, UserId, UserStatus,
};
use crate::error::ApiError;
use crate::limits;
use crate::mail::{self, MailKind};
use crate::policy;
use crate::sessions;
use crate::verification;

use super::super::model::{Changes, User};
use super::super::store;
use super::administer::lock_administered;
use super::profile::lock_own_account;
use super::{context_after, hash_new, names};

/// Removes an account and all that hangs on it. Its address can register again, as somebody else. Whoever removes
/// the own account names the session that asks for it.
///
/// # Errors
/// [`ApiError::NotFound`] where it is gone already, [`ApiError::PreconditionFailed`], [`ApiError::Conflict`] where it
/// is the last active admin.
pub async fn delete(
    state: &AppState,
    id: UserId,
    own: Option<SessionId>,
    precondition: Precondition,
    actor: Actor,
    origin: Origin,
) -> Result<(), ApiError> {
    let event = AuditEvent::success(&state.trail, AuditAction::UserDeleted, actor, Some(id), &origin)
        .with("by", actor.part(id));
    let (now, all) = (state.ambient.now(), state.clone());
    state
        .db
        .write(move |writer| async move {
            let transaction = writer.begin().await?;
            keep_an_admin(&transaction, id).await?;
            let account = match own {
                Some(session) => lock_own_account(&transaction, id, session, now).await?,
                None => lock_administered(&transaction, id, actor).await?,
            };
            if !precondition.allows(account.user.revision) {
                return Err(ApiError::PreconditionFailed);
            }
            // What goes with it: nothing else tells of that afterwards.
            let counted = sessions::count_sessions(&*transaction, &[id], now).await?;
            let event = event
                .with("roles", account.user.roles)
                .with("status", account.user.status.as_str())
                .with("sessions", counted.get(&id).copied().unwrap_or_default());
            store::delete(&*transaction, id).await?;
            audit::record(&*transaction, event).await?;
            limits::forget_account(&all, &transaction, &account.user.email).await?;
            transaction.commit().await
        })
        .await
}

pub(super) async fn keep_an_admin(transaction: &Transaction, id: UserId) -> Result<(), ApiError> {
    let admins = store::lock_active_admins(&**transaction).await?;
    policy::may_lose_admin(&admins, id)
}

/// Sets another person's password; every session of theirs ends.
///
/// # Errors
/// [`ApiError::NotFound`], [`ApiError::Validation`] for a password that is easy to guess.
pub async fn set_password(
    state: &AppState,
    user: &User,
    password: Password,
    actor: Actor,
    origin: Origin,
) -> Result<(), ApiError> {
    let context = context_after(user, None, &Change::Keep);
    let hash = hash_new(state, password, context, origin.network()).await?;
    let changes = Changes {
        password_hash: Some(hash),
        ..Changes::default()
    };
    let event = AuditEvent::success(
        &state.trail,
        AuditAction::PasswordChanged,
        actor,
        Some(user.id),
        &origin,
    );
    let forgiven = Some(user.email.clone());
    write_and_end_sessions(
        state,
        user.id,
        changes,
        event,
        MailKind::PasswordChanged,
        forgiven,
    )
    .await
}

/// Closes an account, or opens it again. Closing it ends every session. Its owner is told, where there is mail and
/// anything was changed.
///
/// # Errors
/// [`ApiError::NotFound`], [`ApiError::Conflict`] where it is the last active admin.
pub async fn set_status(
    state: &AppState,
    id: UserId,
    status: UserStatus,
    actor: Actor,
    origin: Origin,
) -> Result<(), ApiError> {
    let (action, notice) = match status {
        UserStatus::Active => (AuditAction::UserEnabled, MailKind::AccountEnabled),
        UserStatus::Disabled => (AuditAction::UserDisabled, MailKind::AccountDisabled),
    };
    let changes = Changes {
        status: Some(status),
        ..Changes::default()
    };
    let event = AuditEvent::success(&state.trail, action, actor, Some(id), &origin);
    write_and_end_sessions(state, id, changes, event, notice, None).await
}

async fn write_and_end_sessions(
    state: &AppState,
    id: UserId,
    changes: Changes,
    event: AuditEvent,
    notice: MailKind,
    forgiven: Option<String>,
) -> Result<(), ApiError> {
    let (now, all) = (state.ambient.now(), state.clone());
    let notice = mail::compose(state, notice, Some(id), String::new());
    state
        .db
        .write(move |writer| async move {
            let transaction = writer.begin().await?;
            if changes.status == Some(UserStatus::Disabled) {
                keep_an_admin(&transaction, id).await?;
            }
            let before = store::lock_account(&*transaction, id)
                .await?
                .ok_or_else(ApiError::no_such_account)?
                .user;
            if changes.password_hash.is_none() && changes.status == Some(before.status) {
                // It is so already: nobody's session ends for that.
                return Ok(());
            }
            store::update(&*transaction, id, changes, now).await?;
            mail::queue(&*transaction, notice.map(|mail| mail.to(before.email))).await?;
            // A code that was asked for before doesn't undo this.
            verification::drop_codes(&*transaction, id).await?;
            sessions::end_sessions(&*transaction, id).await?;
            audit::record(&*transaction, event).await?;
            // What was tried against the old password says nothing about the new one.
            if let Some(email) = forgiven {
                limits::forget_account(&all, &transaction, &email).await?;
            }
            transaction.commit().await
        })
        .await
}

/// Puts a set of roles in place of the present one.
///
/// # Errors
/// [`ApiError::NotFound`], [`ApiError::Conflict`] where the last active admin would lose that role.
pub async fn set_roles(
    state: &AppState,
    id: UserId,
    mut roles: Vec<Role>,
    actor: Actor,
    origin: Origin,
) -> Result<(), ApiError> {
    roles.sort_unstable();
    roles.dedup();
    let event = AuditEvent::success(&state.trail, AuditAction::RolesChanged, actor, Some(id), &origin)
        .with("roles", names(&roles));
    let now = state.ambient.now();
    state
        .db
        .write(move |writer| async move {
            let transaction = writer.begin().await?;
            if !roles.iter().any(|role| role.as_str() == Role::ADMIN) {
                keep_an_admin(&transaction, id).await?;
            }
            let before = store::lock_account(&*transaction, id)
                .await?
                .ok_or_else(ApiError::no_such_account)?
                .user;
            if before.roles.iter().eq(roles.iter().map(Role::as_str)) {
                return Ok(());
            }
            store::update(&*transaction, id, Changes::default(), now).await?;
            store::replace_roles(&*transaction, id, &roles).await?;
            audit::record(&*transaction, event.with("roles_before", before.roles)).await?;
            transaction.commit().await
        })
        .await
}
