//! What a mail is to say: found out when it is sent.

use chrono::TimeDelta;

use super::super::model::{NewCode, Prepared, Purpose, StoredCode, lifetime};
use super::super::store;
use super::origin_of;
use crate::app::AppState;
use crate::audit::{self, AuditEvent};
use crate::db::Transaction;
use crate::domain::{Actor, AuditAction, EmailAddress, UserId, UserStatus};
use crate::error::ApiError;
use crate::mail::{self, Mail, MailKind, QueuedMail};
use crate::security::MailSecret;
use crate::users::{self, User};

/// What became of a mail that asks for a code.
enum Outcome {
    /// It carries one, for this purpose; of this user, where there is an account; for this registration, where there
    /// isn't.
    Code(Purpose, Option<Box<User>>, Option<String>),
    /// It says something else.
    Notice(MailKind, Option<String>),
    /// There is nobody to write to, or nothing to say.
    Nothing,
}

/// Decides what a mail says, and makes its code. The same mail keeps the same code each time that it is tried, unless
/// that has expired. None where it is not to be sent: nobody has the address, what it was about is over, or enough went to
/// that address within the hour.
///
/// # Errors
/// [`ApiError::DatabaseUnavailable`].
pub async fn prepare(state: &AppState, mail: &QueuedMail) -> Result<Option<Prepared>, ApiError> {
    let Some(post) = &state.mail else { return Ok(None) };
    if !mail.mail.kind.has_code() {
        return notice(state, mail).await.map(Some);
    }
    if let Some(secret) = sealed(post, mail) {
        let digest = secret.token.digest();
        let code = state
            .db
            .read(move |reader| async move { store::by_token(&reader, digest).await })
            .await?;
        match code {
            // Used, or replaced by the code of a later mail.
            None => return Ok(None),
            Some(code) if code.expires_at > state.ambient.now() => {
                return with_code(state, mail, &code, secret).await.map(Some);
            }
            Some(_) => {}
        }
    }
    make(state, post, mail).await
}

fn sealed(post: &Mail, mail: &QueuedMail) -> Option<MailSecret> {
    // What can't be opened was sealed under another `security.secret_key`: a new code takes its place.
    post.keys.open(mail.secret_sealed.as_ref()?, mail.mail.id).ok()
}

async fn notice(state: &AppState, mail: &QueuedMail) -> Result<Prepared, ApiError> {
    Ok(Prepared {
        kind: mail.mail.kind,
        locale: locale_of(state, mail.mail.user_id).await?,
        secret: None,
    })
}

/// The language of a user, where it is known who that is and which one it is.
async fn locale_of(state: &AppState, id: Option<UserId>) -> Result<Option<String>, ApiError> {
    let Some(id) = id else { return Ok(None) };
    let user = state
        .db
        .read(move |reader| async move { users::user_by_id(&reader, id).await })
        .await?;
    Ok(user.and_then(|user| user.locale))
}

async fn with_code(
    state: &AppState,
    mail: &QueuedMail,
    code: &StoredCode,
    secret: MailSecret,
) -> Result<Prepared, ApiError> {
    let locale = match &code.registration {
        Some(registration) => users::Registration::from_json(registration).and_then(|new| new.locale()),
        None => locale_of(state, code.user_id).await?,
    };
    Ok(Prepared {
        kind: template(mail.mail.kind),
        locale,
        secret: Some(secret),
    })
}

const fn template(kind: MailKind) -> MailKind {
    match kind {
        MailKind::Register => MailKind::VerifyEmail,
        other => other,
    }
}

async fn make(state: &AppState, post: &Mail, mail: &QueuedMail) -> Result<Option<Prepared>, ApiError> {
    let secret = MailSecret::generate(state.ambient.random.as_ref());
    let sealed = post
        .keys
        .seal(&secret, mail.mail.id, state.ambient.random.as_ref())
        .map_err(ApiError::internal)?;
    let (token, now) = (secret.token.digest(), state.ambient.now());
    let keys = std::sync::Arc::clone(&post.keys);
    let address = keys.address_digest(&mail.mail.recipient);
    let most = state.config.mail.max_per_hour;
    let (code_id, sending_id) = (state.ambient.new_uuid(), state.ambient.new_uuid());
    let (trail, asked) = (state.trail.clone(), mail.clone());
    state
        .db
        .write(move |writer| async move {
            let transaction = writer.begin().await?;
            let new = asked.mail;
            let outcome = outcome(&transaction, &new, now).await?;
            // What anybody can ask for. The first attempt alone counts: another one is the same mail.
            let is_limited = match new.kind {
                MailKind::ResetPassword => new.user_id.is_none(),
                MailKind::Invitation => false,
                _ => true,
            };
            let is_limited = is_limited && asked.secret_sealed.is_none();
            if !matches!(outcome, Outcome::Nothing)
                && is_limited
                && !mail::may_send(&*transaction, address, (sending_id, now), mail::WINDOW, most).await?
            {
                return Ok(None);
            }
            let (purpose, user, registration) = match outcome {
                Outcome::Code(purpose, user, registration) => (purpose, user, registration),
                Outcome::Notice(kind, locale) => {
                    transaction.commit().await?;
                    return Ok(Some(Prepared {
                        kind,
                        locale,
                        secret: None,
                    }));
                }
                Outcome::Nothing => return Ok(None),
            };
            let locale = match &registration {
                Some(json) => users::Registration::from_json(json).and_then(|new| new.locale()),
                None => user.as_ref().and_then(|user| user.locale.clone()),
            };
            let user_id = user.as_ref().map(|user| user.id);
            let typed = keys.typed_digest(purpose.as_str(), &new.recipient, &secret.typed);
            let code = NewCode {
                purpose,
                user_id,
                email: new.recipient,
                token,
                typed,
                registration,
                created_at: now,
                expires_at: now + lifetime(new.kind),
            };
            store::replace(&*transaction, code_id, code, now - TimeDelta::hours(1)).await?;
            if !mail::seal(&*transaction, new.id, sealed).await? {
                // Somebody has removed the mail, or its account is gone.
                return Ok(None);
            }
            // Whoever asks for somebody else has said so already.
            if purpose == Purpose::ResetPassword && new.user_id.is_none() {
                let origin = origin_of(&new.details);
                let event = AuditEvent::success(
                    &trail,
                    AuditAction::ResetRequested,
                    Actor::Anonymous,
                    user_id,
                    &origin,
                );
                audit::record(&*transaction, event).await?;
            }
            transaction.commit().await?;
            Ok(Some(Prepared {
                kind: template(new.kind),
                locale,
                secret: Some(secret),
            }))
        })
        .await
}

/// Looks at the account as it is now, and locks it.
async fn outcome(
    transaction: &Transaction,
    mail: &mail::NewMail,
    now: chrono::DateTime<chrono::Utc>,
) -> Result<Outcome, ApiError> {
    let Ok(email) = EmailAddress::parse(&mail.recipient) else {
        return Ok(Outcome::Nothing);
    };
    let found = match mail.user_id {
        Some(id) => users::lock_account(&**transaction, id).await?,
        None => users::lock_account_by_email(&**transaction, &email).await?,
    };
    let user = found.map(|account| Box::new(account.user));
    let is_open = |user: &User| user.status == UserStatus::Active;
    let has_address = |user: &User| user.email == email.as_str();
    Ok(match (mail.kind, user) {
        (MailKind::Register, Some(user)) if user.email_verified || !is_open(&user) => {
            Outcome::Notice(MailKind::AlreadyRegistered, user.locale)
        }
        (MailKind::Register, _) => {
            let registration = mail.details.get(users::REGISTRATION).map(ToString::to_string);
            Outcome::Code(Purpose::Registration, None, registration)
        }
        (MailKind::VerifyEmail, user) => {
            let waiting = store::waiting_registration(&**transaction, email.as_str(), now).await?;
            match (waiting, user) {
                (_, Some(user)) if !is_open(&user) || !has_address(&user) || user.email_verified => {
                    Outcome::Nothing
                }
                // Before an account that nobody has proven: what its maker set would be proven with it.
                (Some(code), _) => Outcome::Code(Purpose::Registration, None, code.registration),
                (None, Some(user)) => Outcome::Code(Purpose::VerifyEmail, Some(user), None),
                (None, None) => Outcome::Nothing,
            }
        }
        (MailKind::ResetPassword, Some(user)) if is_open(&user) && has_address(&user) => {
            Outcome::Code(Purpose::ResetPassword, Some(user), None)
        }
        (MailKind::Invitation, Some(user)) if is_open(&user) && has_address(&user) => {
            Outcome::Code(Purpose::Invitation, Some(user), None)
        }
        (MailKind::ConfirmEmail, Some(user))
            if is_open(&user) && user.pending_email.as_deref() == Some(email.as_str()) =>
        {
            // Where nobody is told who has an account, its owner is.
            match users::account_by_email(&**transaction, &email).await? {
                Some(other) => Outcome::Notice(MailKind::AlreadyRegistered, other.user.locale),
                None => Outcome::Code(Purpose::ConfirmEmail, Some(user), None),
            }
        }
        _ => Outcome::Nothing,
    })
}
