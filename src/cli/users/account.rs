//! An account: how an operator names one, and how it is shown.

use std::fmt;

use chrono::{DateTime, SecondsFormat, Utc};
use uuid::Uuid;

use super::super::Context;
use super::super::output::shown_json;
use crate::app::AppState;
use crate::domain::{EmailAddress, UserId};
use crate::error::ApiError;
use crate::startup::StartError;
use crate::users::api::AdminUserResponse;
use crate::users::{AdminUser, service};

/// Which account is meant: by its address, in any spelling, or by its id. No address is a UUID, as it has an `@`.
#[derive(Clone, Debug)]
pub(in crate::cli) enum AccountArgument {
    Email(EmailAddress),
    Id(UserId),
}

impl std::str::FromStr for AccountArgument {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(id) = Uuid::try_parse(text) {
            return Ok(Self::Id(UserId::new(id)));
        }
        EmailAddress::parse(text)
            .map(Self::Email)
            .map_err(|fault| format!("{}, or be the account's id, a UUID", fault.detail()))
    }
}

impl fmt::Display for AccountArgument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Email(email) => fmt::Display::fmt(email, f),
            Self::Id(id) => fmt::Display::fmt(id, f),
        }
    }
}

impl AccountArgument {
    /// The id. One that was typed is taken as it is: what was done by and to an account that is gone can still be asked for.
    pub(in crate::cli) async fn id(&self, state: &AppState) -> Result<UserId, StartError> {
        match self {
            Self::Email(email) => Ok(service::find(state, email).await?.user.id),
            Self::Id(id) => Ok(*id),
        }
    }
}

/// The account that is meant.
pub(super) async fn find(state: &AppState, account: &AccountArgument) -> Result<AdminUser, StartError> {
    let id = account.id(state).await?;
    service::administered(state, id)
        .await
        .map_err(|error| match error {
            ApiError::NotFound(_) => StartError::new(format!("There is no account {account}.")),
            other => other.into(),
        })
}

/// Shows an account. As JSON it is what `GET /admin/users/{id}` answers.
pub(super) fn show(context: &Context, seen: &AdminUser) -> Result<(), StartError> {
    context.output.data(&AdminUserResponse::of(seen)?, text)
}

fn text(account: &AdminUserResponse<'_>) -> String {
    let time_or_dash = |at: Option<DateTime<Utc>>| at.map_or_else(|| "-".to_owned(), time);
    let rows = [
        ("id", account.id.to_string()),
        ("email", account.email.to_owned()),
        ("email verified", account.email_verified.to_string()),
        ("pending email", account.pending_email.unwrap_or("-").to_owned()),
        (
            "display name",
            account.display_name.unwrap_or("-").escape_debug().to_string(),
        ),
        ("language", account.locale.unwrap_or("-").to_owned()),
        ("status", account.status.to_owned()),
        ("roles", or_dash(account.roles.join(", "))),
        ("metadata", shown_json(account.metadata.get())),
        ("created", time(account.created_at)),
        ("updated", time(account.updated_at)),
        ("last login", time_or_dash(account.last_login_at)),
        ("sessions", account.sessions.to_string()),
        ("failed logins", account.failed_logins.to_string()),
        ("locked until", time_or_dash(account.locked_until)),
        ("password", account.password_scheme.unwrap_or("-").to_owned()),
    ];
    rows.map(|(name, value)| format!("{name:15} {value}")).join("\n")
}

/// To the second, in UTC.
pub(in crate::cli) fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

pub(super) fn or_dash(text: String) -> String {
    if text.is_empty() { "-".to_owned() } else { text }
}
