//! Plain data about what an admin does with accounts.

use chrono::{DateTime, Utc};

use super::User;
use crate::domain::{
    Change, DisplayName, EmailAddress, Locale, Metadata, Password, Role, SearchPrefix, UserId, UserStatus,
};

/// An account as an admin sees it: never a hash.
#[derive(Clone, Debug)]
pub struct AdminUser {
    /// The user.
    pub user: User,
    /// How many wrong passwords are remembered.
    pub failed_logins: u32,
    /// Until when no password is looked at.
    pub locked_until: Option<DateTime<Utc>>,
    /// How many sessions there are.
    pub sessions: u64,
    /// How the password is hashed; none where there is none.
    pub password_scheme: Option<String>,
}

/// An account that an admin makes.
#[derive(Debug)]
pub struct NewAccount {
    /// The address.
    pub email: EmailAddress,
    /// The password; none where the owner is invited to choose one.
    pub password: Option<Password>,
    /// The name to be shown.
    pub display_name: Option<DisplayName>,
    /// The language of mails to the user.
    pub locale: Option<Locale>,
    /// What the client keeps with the account.
    pub metadata: Metadata,
    /// Roles.
    pub roles: Vec<Role>,
    /// Whether the address needs no proof any more.
    pub email_verified: bool,
}

/// What an admin changes of an account; what isn't there stays.
#[derive(Debug, Default)]
pub struct AccountChanges {
    /// A new address.
    pub email: Option<EmailAddress>,
    /// A new password.
    pub password: Option<Password>,
    /// A new name, or none any more.
    pub display_name: Change<DisplayName>,
    /// A new language of mails, or none any more.
    pub locale: Change<Locale>,
    /// New metadata, in place of the old.
    pub metadata: Option<Metadata>,
    /// Roles, in place of the present ones.
    pub roles: Option<Vec<Role>>,
    /// Whether the account may be used.
    pub status: Option<UserStatus>,
    /// Whether the address counts as proven.
    pub email_verified: Option<bool>,
}

/// What a list of accounts is sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SortColumn {
    /// When they came to be.
    Created,
    /// Their addresses.
    Email,
}

/// The order of a list of accounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UserSort {
    /// By what.
    pub column: SortColumn,
    /// Whether the greatest is first.
    pub is_descending: bool,
}

impl UserSort {
    /// The order of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        let (is_descending, name) = name.strip_prefix('-').map_or((false, name), |name| (true, name));
        let column = match name {
            "created_at" => SortColumn::Created,
            "email" => SortColumn::Email,
            _ => return None,
        };
        Some(Self {
            column,
            is_descending,
        })
    }
}

/// Which accounts are looked for, and in which order.
#[derive(Clone, Debug)]
pub struct UserSearch {
    /// With an address or a name that begins so.
    pub prefix: Option<SearchPrefix>,
    /// With this address.
    pub email: Option<EmailAddress>,
    /// With this role.
    pub role: Option<Role>,
    /// In this state.
    pub status: Option<UserStatus>,
    /// That came to be after this.
    pub created_after: Option<DateTime<Utc>>,
    /// That came to be before this.
    pub created_before: Option<DateTime<Utc>>,
    /// The order.
    pub sort: UserSort,
}

/// A place in an order of accounts: that of one of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Position {
    /// When it came to be, and its id.
    Created(DateTime<Utc>, UserId),
    /// Its address.
    Email(String),
}

/// An account that was found.
#[derive(Clone, Debug)]
pub struct Hit {
    /// Its id.
    pub id: UserId,
    /// Where it is in the order.
    pub position: Position,
}

/// A page of what was found.
#[derive(Clone, Debug)]
pub struct Found {
    /// The accounts, in order.
    pub ids: Vec<UserId>,
    /// Where to go on.
    pub next: Option<Position>,
}

/// What was answered, to be answered again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The body, in JSON.
    pub body: String,
    /// `Location`.
    pub location: Option<String>,
    /// `ETag`.
    pub etag: Option<String>,
}

/// An answer, and to what it was given.
#[derive(Clone, Debug)]
pub struct Remembered {
    /// The digest of the request's body.
    pub request: Vec<u8>,
    /// The answer.
    pub answer: Answer,
}
