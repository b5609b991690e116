//! Better Auth: its `user`s, each with the password of its `account`; JSON lines, an array, or the CSV of the join.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use super::Source;
use super::draft::Draft;
use super::row::Row;
use super::table::Columns;
use crate::domain::{PasswordHash, UserStatus};
use crate::transfer::model::Refusal;

pub(super) const COLUMNS: Columns = Columns {
    required: &["email", "password"],
    known: None,
};

/// Columns that a project may have named in the manner of its database.
const SPELLINGS: [(&str, &str); 6] = [
    ("email_verified", "emailVerified"),
    ("created_at", "createdAt"),
    ("updated_at", "updatedAt"),
    ("ban_reason", "banReason"),
    ("ban_expires", "banExpires"),
    ("is_anonymous", "isAnonymous"),
];

/// What a join brings along of `account` and `twoFactor`, and nobody may see in the metadata: tokens that are still
/// good, and secrets.
const SECRETS: [&str; 14] = [
    "accessToken",
    "refreshToken",
    "idToken",
    "accessTokenExpiresAt",
    "refreshTokenExpiresAt",
    "twoFactorSecret",
    "twoFactorBackupCodes",
    "access_token",
    "refresh_token",
    "id_token",
    "access_token_expires_at",
    "refresh_token_expires_at",
    "secret",
    "backupCodes",
];

pub(super) fn draft(mut row: Row, now: DateTime<Utc>) -> Result<Draft, Refusal> {
    for (spelling, name) in SPELLINGS {
        row.rename(spelling, name);
    }
    row.forget(&SECRETS);
    let mut draft = Draft::new(Source::BetterAuth);
    draft.take_id(&mut row, "id");
    draft.email = row.text("email")?;
    draft.email_verified = row.flag("emailVerified")?.unwrap_or_default();
    draft.display_name = row.text("name")?;
    draft.created_at = row.time("createdAt")?;
    draft.updated_at = row.time("updatedAt")?;
    let until = row.time("banExpires")?;
    if row.flag("banned")? == Some(true) {
        draft.keep("banned", true);
        if until.is_none_or(|until| until > now) {
            draft.status = UserStatus::Disabled;
        }
    }
    let (nested, elsewhere) = accounts(row.list("accounts")?)?;
    draft.password_hash = row.text("password")?.or(nested).map(PasswordHash::from_stored);
    draft.keep("accounts", elsewhere);
    // Fields of plugins, and the project's own.
    for (name, value) in row.rest() {
        draft.keep(&name, value);
    }
    Ok(draft)
}

/// The password among a user's accounts, and what the others are called elsewhere.
fn accounts(accounts: Vec<Value>) -> Result<(Option<String>, Vec<Value>), Refusal> {
    let (mut password, mut elsewhere) = (None, Vec::new());
    for account in accounts {
        let Value::Object(members) = account else {
            return Err(Refusal::new("accounts", "must be an array of objects"));
        };
        let mut account = Row::new(members);
        account.rename("provider_id", "providerId");
        account.rename("account_id", "accountId");
        let provider = account.text("providerId")?.unwrap_or_default();
        if provider == "credential" {
            password = password.or(account.text("password")?);
        } else {
            let id = account.foreign_id("accountId").unwrap_or_default();
            let kept = [("providerId", Value::String(provider)), ("accountId", id)];
            let kept: Map<String, Value> = kept
                .map(|(name, value)| (name.to_owned(), value))
                .into_iter()
                .collect();
            elsewhere.push(Value::Object(kept));
        }
    }
    Ok((password, elsewhere))
}
