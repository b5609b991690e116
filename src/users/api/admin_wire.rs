//! What admins send and get about accounts.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};
use uuid::Uuid;

use super::super::model::{AccountChanges, AdminUser, NewAccount};
use super::members::{
    parse_display_name, parse_email, parse_locale, parse_metadata, parse_password, parse_roles, parse_status,
};
use crate::config::Config;
use crate::domain::UserStatus;
use crate::error::ApiError;
use crate::http::body::FromMembers;
use crate::http::json::Members;
use crate::http::openapi::one_of;

/// An account, as an admin sees it
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AdminUser)]
#[serde(deny_unknown_fields)]
pub struct AdminUserResponse<'a> {
    /// A `UUIDv7`.
    pub id: Uuid,
    /// The address in its canonical form.
    #[schema(example = "ada@example.com", max_length = 254)]
    pub email: &'a str,
    /// Whether its owner has shown that mail to it arrives.
    pub email_verified: bool,
    /// An address that waits to be confirmed, or null.
    #[schema(required)]
    pub pending_email: Option<&'a str>,
    /// The name to be shown, or null.
    #[schema(required, max_length = 255)]
    pub display_name: Option<&'a str>,
    /// The language of mails to the user; not there where none was chosen.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, max_length = 35)]
    pub locale: Option<&'a str>,
    /// What the client keeps with the account.
    #[schema(value_type = Object)]
    pub metadata: &'a RawValue,
    /// Names of roles, in order.
    pub roles: &'a [String],
    /// When the account came to be.
    pub created_at: DateTime<Utc>,
    /// When it was changed last.
    pub updated_at: DateTime<Utc>,
    /// When somebody signed in last, or null.
    #[schema(required)]
    pub last_login_at: Option<DateTime<Utc>>,
    /// `active` or `disabled`.
    #[schema(example = "active")]
    pub status: &'static str,
    /// How many wrong passwords are remembered.
    pub failed_logins: u32,
    /// Until when no password is looked at, or null.
    #[schema(required)]
    pub locked_until: Option<DateTime<Utc>>,
    /// How many sessions there are.
    pub sessions: u64,
    /// How the password is hashed, or null where there is none.
    #[schema(required, example = "bcrypt cost=12")]
    pub password_scheme: Option<&'a str>,
}

impl<'a> AdminUserResponse<'a> {
    /// What is told of an account that was found.
    ///
    /// # Errors
    /// Where stored metadata isn't JSON, which only a hand in the database can do.
    pub fn of(seen: &'a AdminUser) -> Result<Self, ApiError> {
        let user = &seen.user;
        Ok(Self {
            id: user.id.get(),
            email: &user.email,
            email_verified: user.email_verified,
            pending_email: user.pending_email.as_deref(),
            display_name: user.display_name.as_deref(),
            locale: user.locale.as_deref(),
            metadata: serde_json::from_str(user.metadata.as_json()).map_err(ApiError::internal)?,
            roles: &user.roles,
            created_at: user.created_at,
            updated_at: user.updated_at,
            last_login_at: user.last_login_at,
            status: user.status.as_str(),
            failed_logins: seen.failed_logins,
            locked_until: seen.locked_until,
            sessions: seen.sessions,
            password_scheme: seen.password_scheme.as_deref(),
        })
    }
}

/// The name of a status.
pub(super) struct AccountStatus;

impl PartialSchema for AccountStatus {
    fn schema() -> RefOr<Schema> {
        one_of([UserStatus::Active, UserStatus::Disabled].map(UserStatus::as_str))
    }
}

impl ToSchema for AccountStatus {}

/// The name of a role; `admin` is the only one that means anything to Roster itself
#[derive(Debug, Serialize, ToSchema)]
#[schema(value_type = String, pattern = "^[a-z][a-z0-9_-]{0,31}$", example = "editor")]
pub struct RoleName(pub String);

/// What an account begins with
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateAccountRequest {
    /// One plain e-mail address.
    #[schema(example = "ada@example.com")]
    pub email: String,
    /// A password; without one, the owner is invited by mail to choose it, where the server sends mail.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = Password)]
    pub password: Option<String>,
    /// The name to be shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, max_length = 255)]
    pub display_name: Option<String>,
    /// The language of mails to the user, as a BCP 47 tag.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, max_length = 35)]
    pub locale: Option<String>,
    /// A JSON object of at most 16 KiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Object)]
    pub metadata: Option<Map<String, Value>>,
    /// Names of roles.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, max_items = 100, value_type = Vec<RoleName>)]
    pub roles: Option<Vec<String>>,
    /// Whether the address needs no proof.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub email_verified: Option<bool>,
}

/// What is to be changed of an account; what isn't named stays as it is
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateAccountRequest {
    /// A new address, in force at once; not verified unless that is said as well.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub email: Option<String>,
    /// A new password. Every session ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = Password)]
    pub password: Option<String>,
    /// A new name; the empty text removes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, max_length = 255)]
    pub display_name: Option<String>,
    /// Another language of mails; the empty text removes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, max_length = 35)]
    pub locale: Option<String>,
    /// New metadata, in place of the old as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Object)]
    pub metadata: Option<Map<String, Value>>,
    /// Roles, in place of the present ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, max_items = 100, value_type = Vec<RoleName>)]
    pub roles: Option<Vec<String>>,
    /// `active` or `disabled`. Where it changes, every session ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = AccountStatus, example = "disabled")]
    pub status: Option<String>,
    /// Whether the address counts as proven.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub email_verified: Option<bool>,
}

impl FromMembers for NewAccount {
    fn from_members(members: &mut Members, config: &Config) -> Option<Self> {
        let email = members.required_string("email");
        let email = email.and_then(|text| parse_email(members, &text));
        let has_password = members.has("password");
        if !has_password && !config.sends_mail() {
            let detail = "is required: this server sends no mail to invite somebody with";
            members.fault("password", "missing", detail);
        }
        let password = members
            .string("password")
            .and_then(|text| parse_password(members, &text, config));
        let display_name = parse_display_name(members);
        let locale = parse_locale(members);
        let metadata = parse_metadata(members);
        let roles = parse_roles(members);
        let email_verified = members.boolean("email_verified");
        if has_password && password.is_none() {
            return None;
        }
        Some(Self {
            email: email?,
            password,
            display_name: display_name.into_set(),
            locale: locale.into_set(),
            metadata: metadata.unwrap_or_default(),
            roles: roles.unwrap_or_default(),
            email_verified: email_verified.unwrap_or_default(),
        })
    }
}

impl FromMembers for AccountChanges {
    fn from_members(members: &mut Members, config: &Config) -> Option<Self> {
        Some(Self {
            email: members
                .string("email")
                .and_then(|text| parse_email(members, &text)),
            password: members
                .string("password")
                .and_then(|text| parse_password(members, &text, config)),
            display_name: parse_display_name(members),
            locale: parse_locale(members),
            metadata: parse_metadata(members),
            roles: parse_roles(members),
            status: parse_status(members),
            email_verified: members.boolean("email_verified"),
        })
    }
}
