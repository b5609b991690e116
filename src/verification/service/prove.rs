//! What the proof of a mailbox is good for. Each takes its code in the transaction of its effect: of many that come with the
//! same code at once, one succeeds. Wrong ones count for the client's address: see `present`.

use super::super::model::{PasswordReset, PresentedCode, Purpose, StoredCode};
use super::super::store;
use super::present::find;
use crate::app::AppState;
use crate::audit::{self, AuditEvent};
use crate::db::{Transaction, UniqueKey, violated_key};
use crate::domain::{
    Actor, AuditAction, Change, EmailAddress, Limited, Origin, Password, UserId, UserStatus,
};
use crate::error::ApiError;
use crate::mail::{self, MailKind};
use crate::security::passwords::PasswordContext;
use crate::sessions;
use crate::users::{self, Account, Changes, Registration, User};

/// Mails that carry a code for an account.
const WITH_CODES: [MailKind; 4] = [
    MailKind::VerifyEmail,
    MailKind::ResetPassword,
    MailKind::ConfirmEmail,
    MailKind::Invitation,
];

/// Proves an address: of an account, or of a registration, which there is an account for from then on.
///
/// # Errors
/// [`ApiError::InvalidCode`], [`ApiError::TooManyRequests`].
pub async fn verify_email(
    state: &AppState,
    code: PresentedCode,
    origin: Origin,
) -> Limited<Result<(), ApiError>> {
    let purposes = &[Purpose::VerifyEmail, Purpose::Registration];
    let Limited { outcome, standing } = find(state, code, purposes, &origin).await;
    let outcome = match outcome {
        Ok(code) => match code.user_id {
            Some(id) => verify_account(state, id, code, &origin).await,
            None => complete_registration(state, code, &origin).await,
        },
        Err(error) => Err(error),
    };
    Limited { outcome, standing }
}

async fn verify_account(
    state: &AppState,
    id: UserId,
    code: StoredCode,
    origin: &Origin,
) -> Result<(), ApiError> {
    let event = event(state, AuditAction::EmailVerified, id, origin);
    let now = state.ambient.now();
    state
        .db
        .write(move |writer| async move {
            let transaction = writer.begin().await?;
            let account = lock(&transaction, id).await?;
            if account.user.email != code.email || !store::take(&*transaction, code.id, now).await? {
                return Err(ApiError::InvalidCode);
            }
            let changes = Changes {
                email_verified: Some(true),
                ..Changes::default()
            };
            users::update(&*transaction, id, changes, now).await?;
            audit::record(&*transaction, event).await?;
            transaction.commit().await
        })
        .await
}

/// The owner of the mailbox has registered: an account comes to be, or takes the place of one that somebody else has made
/// with that address and never proven. What that stranger set is gone: password, sessions, pending changes, profile.
async fn complete_registration(state: &AppState, code: StoredCode, origin: &Origin) -> Result<(), ApiError> {
    let registration = code.registration.as_deref().and_then(Registration::from_json);
    let registration = registration.ok_or_else(|| ApiError::internal("a registration can't be read"))?;
    let new_id = UserId::new(state.ambient.new_uuid());
    let now = state.ambient.now();
    let (trail, origin) = (state.trail.clone(), origin.clone());
    let audited = move |action, id| AuditEvent::success(&trail, action, Actor::User(id), Some(id), &origin);
    state
        .db
        .write(move |writer| async move {
            let transaction = writer.begin().await?;
            let email = EmailAddress::parse(&code.email).map_err(|_| ApiError::InvalidCode)?;
            let before = users::lock_account_by_email(&*transaction, &email).await?;
            if !store::take(&*transaction, code.id, now).await? {
                return Err(ApiError::InvalidCode);
            }
            match before.map(|account| account.user) {
                None => {
                    users::insert(&*transaction, new_id, &email, registration, true, now)
                        .await
                        .map_err(overtaken)?;
                    audit::record(&*transaction, audited(AuditAction::UserRegistered, new_id)).await?;
                }
                Some(user) if !user.email_verified && user.status == UserStatus::Active => {
                    let id = user.id;
                    users::update(&*transaction, id, registration.into_changes(), now).await?;
                    forget(&transaction, id).await?;
                    let event = audited(AuditAction::EmailVerified, id).with("registered_anew", true);
                    audit::record(&*transaction, event).await?;
                }
                Some(_) => return Err(ApiError::InvalidCode),
            }
            transaction.commit().await
        })
        .await
}

/// Somebody else has registered the address at the same moment, where no proof is asked for.
fn overtaken(error: sea_orm::DbErr) -> ApiError {
    match violated_key(&error) {
        Some(UniqueKey::UserEmail) => ApiError::InvalidCode,
        _ => error.into(),
    }
}

/// Sets the password of whoever can read the mailbox. Every session ends, every other code dies, a change of address that
/// waits is forgotten, and nobody is signed in. The address counts as proven.
///
/// # Errors
/// [`ApiError::InvalidCode`]; [`ApiError::Validation`] for a password that is easy to guess, with the code still good;
/// [`ApiError::TooManyRequests`]; [`ApiError::Overloaded`].
pub async fn reset_password(
    state: &AppState,
    reset: PasswordReset,
    origin: Origin,
) -> Limited<Result<(), ApiError>> {
    let PasswordReset { code, password } = reset;
    // Before the count: what can't be hashed needn't be written down.
    if let Err(overloaded) = state.passwords.has_room(origin.network()) {
        return Limited::freely(Err(overloaded.into()));
    }
    let purposes = &[Purpose::ResetPassword, Purpose::Invitation];
    let Limited { outcome, standing } = find(state, code, purposes, &origin).await;
    let outcome = match outcome {
        Ok(code) => reset_with(state, code, password, &origin).await,
        Err(error) => Err(error),
    };
    Limited { outcome, standing }
}

async fn reset_with(
    state: &AppState,
    code: StoredCode,
    password: Password,
    origin: &Origin,
) -> Result<(), ApiError> {
    let id = code.user_id.ok_or(ApiError::InvalidCode)?;
    let user = state
        .db
        .read(move |reader| async move { users::user_by_id(&reader, id).await })
        .await?
        .ok_or(ApiError::InvalidCode)?;
    let context = PasswordContext {
        email: user.email.clone(),
        display_name: user.display_name.clone(),
    };
    // Nothing is used up before the password is found good.
    let hash = users::hash_new(state, password, context, origin.network()).await?;
    let reset_event =
        event(state, AuditAction::PasswordChanged, id, origin).with("by", code.purpose.as_str());
    let verified = event(state, AuditAction::EmailVerified, id, origin);
    let notice = mail::compose(state, MailKind::PasswordChanged, Some(id), user.email);
    let now = state.ambient.now();
    state
        .db
        .write(move |writer| async move {
            let transaction = writer.begin().await?;
            let account = lock(&transaction, id).await?;
            if account.user.email != code.email || !store::take(&*transaction, code.id, now).await? {
                return Err(ApiError::InvalidCode);
            }
            let changes = Changes {
                password_hash: Some(hash),
                email_verified: Some(true),
                pending_email: Change::Remove,
                ..Changes::default()
            };
            users::update(&*transaction, id, changes, now).await?;
            forget(&transaction, id).await?;
            audit::record(&*transaction, reset_event).await?;
            if !account.user.email_verified {
                audit::record(&*transaction, verified).await?;
            }
            // An invitation sets the first password, which nobody need be warned of.
            if code.purpose == Purpose::ResetPassword {
                mail::queue(&*transaction, notice).await?;
            }
            transaction.commit().await
        })
        .await
}

/// Puts the address that waits, and that the code was mailed to, in the place of the present one, which is told.
///
/// # Errors
/// [`ApiError::InvalidCode`], [`ApiError::TooManyRequests`]; [`ApiError::EmailTaken`] where somebody else has registered
/// the address meanwhile.
pub async fn confirm_email(
    state: &AppState,
    code: PresentedCode,
    origin: Origin,
) -> Limited<Result<User, ApiError>> {
    let Limited { outcome, standing } = find(state, code, &[Purpose::ConfirmEmail], &origin).await;
    let outcome = match outcome {
        Ok(code) => confirm_with(state, code, &origin).await,
        Err(error) => Err(error),
    };
    Limited { outcome, standing }
}

async fn confirm_with(state: &AppState, code: StoredCode, origin: &Origin) -> Result<User, ApiError> {
    let id = code.user_id.ok_or(ApiError::InvalidCode)?;
    let event = event(state, AuditAction::EmailChanged, id, origin)
        .with("way", "confirmed")
        .with("verified", true);
    let notice = mail::compose(state, MailKind::EmailChanged, Some(id), String::new());
    let now = state.ambient.now();
    state
        .db
        .write(move |writer| async move {
            let transaction = writer.begin().await?;
            let account = lock(&transaction, id).await?;
            let is_wanted = account.user.pending_email.as_deref() == Some(code.email.as_str());
            if !is_wanted || !store::take(&*transaction, code.id, now).await? {
                return Err(ApiError::InvalidCode);
            }
            let email = EmailAddress::parse(&code.email).map_err(|_| ApiError::InvalidCode)?;
            let changes = Changes {
                email: Some(email),
                email_verified: Some(true),
                ..Changes::default()
            };
            users::update(&*transaction, id, changes, now)
                .await
                .map_err(|error| match violated_key(&error) {
                    Some(UniqueKey::UserEmail) => ApiError::EmailTaken,
                    _ => error.into(),
                })?;
            // They were mailed to the old address.
            store::drop_codes(&*transaction, id).await?;
            mail::drop_queued(&*transaction, id, &WITH_CODES).await?;
            // A registration of that address has nothing to wait for any more.
            store::drop_registration(&*transaction, &code.email).await?;
            mail::queue(&*transaction, notice.map(|mail| mail.to(account.user.email))).await?;
            audit::record(&*transaction, event).await?;
            let user = users::user_by_id(&*transaction, id)
                .await?
                .ok_or(ApiError::InvalidCode)?;
            transaction.commit().await?;
            Ok(user)
        })
        .await
}

/// Ends what somebody else may have begun.
async fn forget(transaction: &Transaction, id: UserId) -> Result<(), ApiError> {
    sessions::end_sessions(&**transaction, id).await?;
    store::drop_codes(&**transaction, id).await?;
    mail::drop_queued(&**transaction, id, &WITH_CODES).await?;
    Ok(())
}

/// The account, locked before its code is: whoever removes the account takes them in the same order.
async fn lock(transaction: &Transaction, id: UserId) -> Result<Account, ApiError> {
    users::lock_account(&**transaction, id)
        .await?
        .filter(|account| account.user.status == UserStatus::Active)
        .ok_or(ApiError::InvalidCode)
}

fn event(state: &AppState, action: AuditAction, id: UserId, origin: &Origin) -> AuditEvent {
    // Whoever reads the mailbox is the user, as far as anybody can tell.
    AuditEvent::success(&state.trail, action, Actor::User(id), Some(id), origin)
}
