//! Deciding about accounts: registering, changing, leaving; and what an operator does with them.

mod administer;
mod email_change;
mod find;
mod idempotency;
mod lifecycle;
mod profile;

use crate::app::AppState;
use crate::audit::{self, AuditEvent};
use crate::config::RegistrationMode;
use crate::db::{UniqueKey, violated_key};
use crate::domain::{
    Actor, AuditAction, Change, ClientNetwork, DisplayName, EmailAddress, Limited, Origin, Password,
    PasswordHash, Role, UserId,
};
use crate::error::{ApiError, FieldFault};
use crate::limits::{self, LimitKind};
use crate::mail::{self, MailKind};
use crate::security::passwords::{HashingError, PasswordContext, Weakness};

use super::model::{Account, AdminUser, NewUser, REGISTRATION, Registration, User};
use super::store;

pub use administer::{change_account, create_account, lock_administered, mail_reset, still_may_administer};
pub use find::{administered, search};
pub use idempotency::{Once, Render, Repeat, Repeats, housekeep, keep_house, once};
pub use lifecycle::{delete, set_password, set_roles, set_status};
pub use profile::{change_profile, lock_own_account};

/// What came of a registration.
#[derive(Debug)]
pub enum Registered {
    /// An account.
    Account(Box<User>),
    /// A mail, whatever it says: where nobody is told whether an address has an account.
    Mail,
}

/// Registers an account for whoever asks. Where the address has to be proven first, a mail is queued and nothing else:
/// for an address with an account and one without, the same is done here.
///
/// # Errors
/// [`ApiError::Forbidden`] where registration is closed, [`ApiError::EmailTaken`], [`ApiError::Validation`] for a
/// password that is easy to guess, [`ApiError::TooManyRequests`], [`ApiError::Overloaded`].
pub async fn register(
    state: &AppState,
    new: NewUser,
    origin: Origin,
    repeat: Option<Repeat>,
) -> Limited<Result<Registered, ApiError>> {
    let mode = state.config.registration.mode;
    if mode == RegistrationMode::Closed {
        let detail = "This server takes no registrations.";
        return Limited::freely(Err(ApiError::Forbidden(detail.into())));
    }
    // A look before the count: what can't be hashed needn't be written down.
    if let Err(overloaded) = state.passwords.has_room(origin.network()) {
        return Limited::freely(Err(overloaded.into()));
    }
    // Counted whatever comes of it: each one costs a hash, and tells whether the address is taken.
    let Limited { outcome, standing } = limits::spend(state, LimitKind::Registration, &origin).await;
    let outcome = match outcome {
        Ok(()) if mode == RegistrationMode::Verified => ask_for_proof(state, new, &origin, repeat)
            .await
            .map(|()| Registered::Mail),
        Ok(()) => create_once(state, new, origin, repeat)
            .await
            .map(|made| Registered::Account(Box::new(made.user))),
        Err(error) => Err(error),
    };
    Limited { outcome, standing }
}

async fn ask_for_proof(
    state: &AppState,
    new: NewUser,
    origin: &Origin,
    repeat: Option<Repeat>,
) -> Result<(), ApiError> {
    let (email, registration) = hashed(state, new, origin).await?;
    let mail = mail::compose(state, MailKind::Register, None, email.as_str())
        .map(|mail| mail.with(REGISTRATION, registration.to_json()));
    state
        .db
        .write(move |writer| async move {
            let transaction = writer.begin().await?;
            mail::queue(&*transaction, mail).await?;
            if let Some(repeat) = repeat {
                repeat.remember(&transaction, None).await?;
            }
            transaction.commit().await
        })
        .await
}

/// The same with the password hashed, and judged before.
async fn hashed(
    state: &AppState,
    new: NewUser,
    origin: &Origin,
) -> Result<(EmailAddress, Registration), ApiError> {
    let context = PasswordContext {
        email: new.email.as_str().to_owned(),
        display_name: new.display_name.as_ref().map(|name| name.as_str().to_owned()),
    };
    let registration = Registration {
        password_hash: Some(hash_new(state, new.password, context, origin.network()).await?),
        display_name: new.display_name,
        locale: new.locale,
        metadata: new.metadata,
    };
    Ok((new.email, registration))
}

async fn create_once(
    state: &AppState,
    new: NewUser,
    origin: Origin,
    repeat: Option<Repeat>,
) -> Result<AdminUser, ApiError> {
    let (email, registration) = hashed(state, new, &origin).await?;
    let making = Making {
        email,
        roles: Vec::new(),
        registration,
        email_verified: false,
        mail: Some(MailKind::VerifyEmail),
        repeat,
    };
    make(state, making, Actor::Anonymous, origin).await
}

/// An account that is to be.
struct Making {
    email: EmailAddress,
    roles: Vec<Role>,
    registration: Registration,
    email_verified: bool,
    /// What its owner is told.
    mail: Option<MailKind>,
    repeat: Option<Repeat>,
}

async fn make(state: &AppState, new: Making, actor: Actor, origin: Origin) -> Result<AdminUser, ApiError> {
    let Making {
        email,
        mut roles,
        registration,
        email_verified,
        mail,
        repeat,
    } = new;
    roles.sort_unstable();
    roles.dedup();
    let id = UserId::new(state.ambient.new_uuid());
    let now = state.ambient.now();
    let password_scheme = registration.password_hash.as_ref().map(find::scheme);
    let mut event = AuditEvent::success(
        &state.trail,
        AuditAction::UserRegistered,
        actor,
        Some(id),
        &origin,
    );
    if !roles.is_empty() {
        event = event.with("roles", names(&roles));
    }
    let mail = mail.and_then(|kind| mail::compose(state, kind, Some(id), email.as_str()));
    state
        .db
        .write(move |writer| async move {
            let transaction = writer.begin().await?;
            still_may_administer(&transaction, actor).await?;
            let mut user = store::insert(&*transaction, id, &email, registration, email_verified, now)
                .await
                .map_err(taken_or_fault)?;
            if !roles.is_empty() {
                store::replace_roles(&*transaction, id, &roles).await?;
                user.roles = names(&roles);
            }
            mail::queue(&*transaction, mail).await?;
            audit::record(&*transaction, event).await?;
            let made = AdminUser {
                user,
                failed_logins: 0,
                locked_until: None,
                sessions: 0,
                password_scheme,
            };
            if let Some(repeat) = repeat {
                repeat.remember(&transaction, Some(&made)).await?;
            }
            transaction.commit().await?;
            Ok(made)
        })
        .await
}

/// The database decides uniqueness: a look before the insert would be a race with good manners.
fn taken_or_fault(error: sea_orm::DbErr) -> ApiError {
    match violated_key(&error) {
        Some(UniqueKey::UserEmail) => ApiError::EmailTaken,
        _ => error.into(),
    }
}

fn names(roles: &[Role]) -> Vec<String> {
    roles.iter().map(|role| role.as_str().to_owned()).collect()
}

/// Hashes a new password for this client, if it isn't easy to guess for whoever knows the context.
///
/// # Errors
/// [`ApiError::Validation`], [`ApiError::Overloaded`].
pub async fn hash_new(
    state: &AppState,
    password: Password,
    context: PasswordContext,
    client: ClientNetwork,
) -> Result<PasswordHash, ApiError> {
    state
        .passwords
        .hash_new(password, context, client)
        .await?
        .map_err(|weaknesses| weak(&weaknesses))
}

/// What a new password of a user is judged beside. What the profile will say counts, not what it says now.
fn context_after(
    user: &User,
    email: Option<&EmailAddress>,
    display_name: &Change<DisplayName>,
) -> PasswordContext {
    PasswordContext {
        email: email.map_or(user.email.as_str(), EmailAddress::as_str).to_owned(),
        display_name: match display_name {
            Change::Keep => user.display_name.clone(),
            Change::Remove => None,
            Change::Set(name) => Some(name.as_str().to_owned()),
        },
    }
}

fn weak(weaknesses: &[Weakness]) -> ApiError {
    let fault = |weakness: &Weakness| FieldFault::member("password", weakness.code(), weakness.detail());
    ApiError::Validation(weaknesses.iter().map(fault).collect())
}

impl From<HashingError> for ApiError {
    fn from(error: HashingError) -> Self {
        match error {
            HashingError::Overloaded { retry_after } => Self::Overloaded { retry_after },
            HashingError::Failed => Self::internal("a password could not be hashed"),
        }
    }
}

/// The account with this address.
///
/// # Errors
/// [`ApiError::NotFound`].
pub async fn find(state: &AppState, email: &EmailAddress) -> Result<Account, ApiError> {
    let wanted = email.clone();
    state
        .db
        .read(move |reader| {
            let email = wanted.clone();
            async move { store::account_by_email(&reader, &email).await }
        })
        .await?
        .ok_or_else(|| ApiError::NotFound(format!("There is no account {email}.").into()))
}
