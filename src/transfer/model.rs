//! Plain data about users that are moved, and the line that one is written as.

use std::fmt;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use crate::domain::{DisplayName, EmailAddress, Locale, Metadata, PasswordHash, Role, UserId, UserStatus};

/// How much of a foreign name is repeated in a refusal, in bytes.
const MAX_NAME: usize = 64;

/// A user as it is moved in and out.
#[derive(Clone, Debug)]
pub struct UserRecord {
    /// Its id, where the source has a UUID for it.
    pub id: Option<UserId>,
    /// The address.
    pub email: EmailAddress,
    /// Whether its owner has shown that mail to it arrives.
    pub email_verified: bool,
    /// An address that waits to be confirmed.
    pub pending_email: Option<EmailAddress>,
    /// The name to be shown.
    pub display_name: Option<DisplayName>,
    /// The language of mails to the user.
    pub locale: Option<Locale>,
    /// What is kept with the account.
    pub metadata: Metadata,
    /// Roles, each once and in order.
    pub roles: Vec<Role>,
    /// Whether the account may be used.
    pub status: UserStatus,
    /// The hash, in a format that [`Checks`](super::sources::Checks) found readable; none without a password.
    pub password_hash: Option<PasswordHash>,
    /// When the user was registered.
    pub created_at: Option<DateTime<Utc>>,
    /// When the user was changed last.
    pub updated_at: Option<DateTime<Utc>>,
    /// When somebody signed in last.
    pub last_login_at: Option<DateTime<Utc>>,
    /// When the password was chosen.
    pub password_changed_at: Option<DateTime<Utc>>,
}

/// The members of a line, in their order.
#[derive(Serialize)]
struct Line<'a> {
    version: u8,
    id: Option<String>,
    email: &'a str,
    email_verified: bool,
    pending_email: Option<&'a str>,
    display_name: Option<&'a str>,
    locale: Option<String>,
    metadata: &'a RawValue,
    roles: Vec<&'a str>,
    status: &'static str,
    /// Not there at all unless it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    password_hash: Option<Hash<'a>>,
    created_at: Option<String>,
    updated_at: Option<String>,
    last_login_at: Option<String>,
    password_changed_at: Option<String>,
}

/// A hash that was asked for; none for a user without a password.
#[derive(Serialize)]
struct Hash<'a>(Option<&'a str>);

impl UserRecord {
    /// The user as one line of JSON, without its line end: what `roster` as a source reads. One user has one line:
    /// every member in a fixed order, times in UTC with milliseconds.
    ///
    /// # Errors
    /// Where the metadata isn't JSON, which it always is unless somebody changed it in the database.
    pub fn to_line(&self, with_password_hash: bool) -> Result<Zeroizing<String>, serde_json::Error> {
        let line = Line {
            version: 1,
            id: self.id.map(|id| id.to_string()),
            email: self.email.as_str(),
            email_verified: self.email_verified,
            pending_email: self.pending_email.as_ref().map(EmailAddress::as_str),
            display_name: self.display_name.as_ref().map(DisplayName::as_str),
            locale: self.locale.as_ref().map(ToString::to_string),
            metadata: serde_json::from_str(self.metadata.as_json())?,
            roles: self.roles.iter().map(Role::as_str).collect(),
            status: self.status.as_str(),
            password_hash: with_password_hash
                .then(|| Hash(self.password_hash.as_ref().map(PasswordHash::expose))),
            created_at: self.created_at.map(written),
            updated_at: self.updated_at.map(written),
            last_login_at: self.last_login_at.map(written),
            password_changed_at: self.password_changed_at.map(written),
        };
        serde_json::to_string(&line).map(Zeroizing::new)
    }
}

fn written(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// Why a row isn't taken. It never holds the row itself, and above all no hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The member or column that is to blame; `row` where it is the row as a whole.
    pub member: String,
    /// What is wrong and what is allowed.
    pub detail: String,
}

impl Refusal {
    /// Blames a member. The name may be a stranger's: it is cut, and can't speak to a terminal.
    #[must_use]
    pub fn new(member: &str, detail: impl Into<String>) -> Self {
        let shown = member
            .get(..member.floor_char_boundary(MAX_NAME))
            .unwrap_or_default();
        Self {
            member: shown.escape_debug().to_string(),
            detail: detail.into(),
        }
    }

    /// Blames the row as a whole.
    #[must_use]
    pub fn row(detail: impl Into<String>) -> Self {
        Self::new("row", detail)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.member, self.detail)
    }
}

/// A mail to somebody that hasn't been sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitingMail {
    /// What it is about.
    pub kind: String,
    /// Where it goes.
    pub recipient: String,
    /// When it was caused.
    pub created_at: DateTime<Utc>,
}

/// A code that somebody was mailed and that hasn't been used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenCode {
    /// What it is good for.
    pub purpose: String,
    /// Where it was mailed to.
    pub email: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it is worth nothing any more.
    pub expires_at: DateTime<Utc>,
}

/// An account that is to be made of a record: what the source doesn't know is filled in.
#[derive(Debug)]
pub(super) struct NewRow {
    /// Its id.
    pub(super) id: UserId,
    /// What the source says.
    pub(super) record: UserRecord,
    /// When it was registered.
    pub(super) created_at: DateTime<Utc>,
    /// When it was changed last.
    pub(super) updated_at: DateTime<Utc>,
    /// When the password was chosen, where there is one.
    pub(super) password_changed_at: Option<DateTime<Utc>>,
}

/// What became of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// An account was made of it.
    Imported,
    /// Its address has an account already, which stays as it is.
    Existing,
    /// Another account has its id.
    IdTaken,
}
