//! Plain data about codes.

use chrono::{DateTime, TimeDelta, Utc};

use crate::domain::{EmailAddress, Password, UserId};
use crate::mail::MailKind;
use crate::security::{MailSecret, MailToken, SecretDigest, TypedCode};

/// What a code is good for. The names in the database are those of the mails that carry them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To prove the address of an account.
    VerifyEmail,
    /// To prove an address, and complete its registration by that.
    Registration,
    /// To choose a new password.
    ResetPassword,
    /// To confirm a new address.
    ConfirmEmail,
    /// To take over an account that an operator has made.
    Invitation,
}

impl Purpose {
    /// Every purpose.
    pub const ALL: [Self; 5] = [
        Self::VerifyEmail,
        Self::Registration,
        Self::ResetPassword,
        Self::ConfirmEmail,
        Self::Invitation,
    ];

    /// Its name in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::VerifyEmail => "verify_email",
            Self::Registration => "registration",
            Self::ResetPassword => "reset_password",
            Self::ConfirmEmail => "confirm_email",
            Self::Invitation => "invitation",
        }
    }

    /// Reads what [`Self::as_str`] wrote.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|purpose| purpose.as_str() == name)
    }
}

/// How long the code in a mail is good.
#[must_use]
pub const fn lifetime(kind: MailKind) -> TimeDelta {
    match kind {
        MailKind::ResetPassword => TimeDelta::minutes(30),
        MailKind::Invitation => TimeDelta::days(7),
        _ => TimeDelta::hours(24),
    }
}

/// What a mail is to say, decided when it is sent.
#[derive(Debug)]
pub struct Prepared {
    /// Which template.
    pub kind: MailKind,
    /// The reader's language.
    pub locale: Option<String>,
    /// The code that goes into it.
    pub secret: Option<MailSecret>,
}

/// A code to be stored.
#[derive(Debug)]
pub struct NewCode {
    /// What it is good for.
    pub purpose: Purpose,
    /// For whom; none where the account isn't there before the proof.
    pub user_id: Option<UserId>,
    /// The address that it is mailed to.
    pub email: String,
    /// The digest of the link's token.
    pub token: SecretDigest,
    /// The digest of the short form.
    pub typed: SecretDigest,
    /// The registration that the proof completes.
    pub registration: Option<String>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it is worth nothing any more.
    pub expires_at: DateTime<Utc>,
}

/// A code as it is stored.
#[derive(Clone, Debug)]
pub struct StoredCode {
    /// Its row.
    pub id: uuid::Uuid,
    /// What it is good for.
    pub purpose: Purpose,
    /// For whom.
    pub user_id: Option<UserId>,
    /// The address that it was mailed to.
    pub email: String,
    /// The digest of the short form.
    pub typed: SecretDigest,
    /// The registration that the proof completes.
    pub registration: Option<String>,
    /// When it is worth nothing any more.
    pub expires_at: DateTime<Utc>,
}

/// A code as somebody presents it. What can't be one at all is one that isn't good: no answer tells them apart.
#[derive(Debug)]
pub enum PresentedCode {
    /// From a link: it names itself.
    Token(MailToken),
    /// Typed, with the address that it was mailed to.
    Typed(TypedCode, EmailAddress),
    /// Neither.
    Nonsense,
}

impl PresentedCode {
    /// Reads `token` and, for a typed code, `email`.
    #[must_use]
    pub fn parse(token: &str, email: Option<&str>) -> Self {
        if let Some(token) = MailToken::parse(token) {
            return Self::Token(token);
        }
        let email = email.and_then(|email| EmailAddress::parse(email).ok());
        match (TypedCode::parse(token), email) {
            (Some(code), Some(email)) => Self::Typed(code, email),
            _ => Self::Nonsense,
        }
    }
}

/// A code and the password that it is to set.
#[derive(Debug)]
pub struct PasswordReset {
    /// The code.
    pub code: PresentedCode,
    /// The password; its strength is judged where it is hashed.
    pub password: Password,
}
