//! Plain data about accounts.

mod administration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::domain::{
    Change, DisplayName, EmailAddress, Locale, Metadata, Password, PasswordAttempt, PasswordHash, UserId,
    UserStatus,
};

pub use administration::{
    AccountChanges, AdminUser, Answer, Found, Hit, NewAccount, Position, Remembered, SortColumn, UserSearch,
    UserSort,
};

/// An account as it is stored, without its password's hash.
#[derive(Clone, Debug)]
pub struct User {
    /// Its id.
    pub id: UserId,
    /// The address, in canonical form.
    pub email: String,
    /// Whether its owner has shown that mail to it arrives.
    pub email_verified: bool,
    /// An address that waits to be confirmed.
    pub pending_email: Option<String>,
    /// The name to be shown.
    pub display_name: Option<String>,
    /// The language of mails to the user; none for the default one.
    pub locale: Option<String>,
    /// What the client keeps with the account.
    pub metadata: Metadata,
    /// Names of roles, in order.
    pub roles: Vec<String>,
    /// Whether the account may be used.
    pub status: UserStatus,
    /// When it was registered.
    pub created_at: DateTime<Utc>,
    /// When it was changed last.
    pub updated_at: DateTime<Utc>,
    /// When somebody signed in last.
    pub last_login_at: Option<DateTime<Utc>>,
    /// Counts every change that a client can see.
    pub revision: i64,
}

/// A user with the hash to check a password against.
#[derive(Clone, Debug)]
pub struct Account {
    /// The user.
    pub user: User,
    /// The hash; none where the account has no password.
    pub password_hash: Option<PasswordHash>,
}

/// What a sign-in needs to know of an account.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// Whose they are.
    pub user_id: UserId,
    /// Whether the account may be used.
    pub status: UserStatus,
    /// The hash; none where the account has no password.
    pub password_hash: Option<PasswordHash>,
}

/// What it takes to register.
#[derive(Debug)]
pub struct NewUser {
    /// The address.
    pub email: EmailAddress,
    /// The password; its strength is judged where it is hashed.
    pub password: Password,
    /// The name to be shown.
    pub display_name: Option<DisplayName>,
    /// The language of mails to the user.
    pub locale: Option<Locale>,
    /// What the client keeps with the account.
    pub metadata: Metadata,
}

/// What is to be changed of a profile; what isn't there stays.
#[derive(Debug, Default)]
pub struct ProfileChanges {
    /// A new address.
    pub email: Option<EmailAddress>,
    /// A new password.
    pub password: Option<Password>,
    /// The present password, as typed.
    pub current_password: Option<PasswordAttempt>,
    /// A new name, or none any more.
    pub display_name: Change<DisplayName>,
    /// A new language of mails, or none any more.
    pub locale: Change<Locale>,
    /// New metadata, in place of the old.
    pub metadata: Option<Metadata>,
}

/// What is written to a user's row; what isn't there stays.
#[derive(Debug, Default)]
pub struct Changes {
    /// A new address; not verified unless that is said as well.
    pub email: Option<EmailAddress>,
    /// Whether mail to the address was answered.
    pub email_verified: Option<bool>,
    /// An address that waits to be confirmed, or none any more.
    pub pending_email: Change<EmailAddress>,
    /// A new name, or none.
    pub display_name: Change<DisplayName>,
    /// A new language, or none.
    pub locale: Change<Locale>,
    /// New metadata.
    pub metadata: Option<Metadata>,
    /// A new status.
    pub status: Option<UserStatus>,
    /// A new hash.
    pub password_hash: Option<PasswordHash>,
}

impl Changes {
    /// Whether there is nothing to write.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.email.is_none()
            && self.email_verified.is_none()
            && self.pending_email.is_keep()
            && self.display_name.is_keep()
            && self.locale.is_keep()
            && self.metadata.is_none()
            && self.status.is_none()
            && self.password_hash.is_none()
    }
}

/// Under which name a mail that waits carries a [`Registration`].
pub const REGISTRATION: &str = "registration";

/// What an account begins with, apart from its address: a [`NewUser`] whose password is hashed.
#[derive(Clone, Debug)]
pub struct Registration {
    /// The hash; none where the owner is to choose a password first.
    pub password_hash: Option<PasswordHash>,
    /// The name to be shown.
    pub display_name: Option<DisplayName>,
    /// The language of mails to the user.
    pub locale: Option<Locale>,
    /// What the client keeps with the account.
    pub metadata: Metadata,
}

/// How a registration waits in the database for the proof of its address.
#[derive(Serialize, Deserialize)]
struct WaitingRegistration {
    password_hash: Option<String>,
    display_name: Option<String>,
    locale: Option<String>,
    metadata: String,
}

impl Registration {
    /// The language, as text.
    #[must_use]
    pub fn locale(&self) -> Option<String> {
        self.locale.as_ref().map(ToString::to_string)
    }

    /// As it waits.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::json!({
            "password_hash": self.password_hash.as_ref().map(PasswordHash::expose),
            "display_name": self.display_name.as_ref().map(DisplayName::as_str),
            "locale": self.locale(),
            "metadata": self.metadata.as_json(),
        })
    }

    /// Reads what [`Self::to_json`] wrote.
    #[must_use]
    pub fn from_json(text: &str) -> Option<Self> {
        let waiting: WaitingRegistration = serde_json::from_str(text).ok()?;
        Some(Self {
            password_hash: waiting.password_hash.map(PasswordHash::from_stored),
            display_name: DisplayName::parse(waiting.display_name.unwrap_or_default()).ok()?,
            locale: Locale::parse(&waiting.locale.unwrap_or_default()).ok()?,
            metadata: Metadata::from_stored(waiting.metadata),
        })
    }

    /// As what takes the place of all that was set before.
    #[must_use]
    pub fn into_changes(self) -> Changes {
        Changes {
            password_hash: self.password_hash,
            display_name: self.display_name.into(),
            locale: self.locale.into(),
            metadata: Some(self.metadata),
            email_verified: Some(true),
            pending_email: Change::Remove,
            ..Changes::default()
        }
    }
}
