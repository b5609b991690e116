//! Roster's own records: JSON lines as [`UserRecord::to_line`](crate::transfer::UserRecord::to_line) writes them, held
//! to the letter; and a table of the same names, as people make it in a spreadsheet.

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::draft::{Draft, uuid};
use super::row::Row;
use super::table::Columns;
use super::{Source, time};
use crate::domain::{PasswordHash, Role, UserStatus};
use crate::transfer::model::Refusal;

const MEMBERS: &[&str] = &[
    "id",
    "email",
    "email_verified",
    "pending_email",
    "display_name",
    "locale",
    "metadata",
    "roles",
    "status",
    "password_hash",
    "created_at",
    "updated_at",
    "last_login_at",
    "password_changed_at",
];

pub(super) const COLUMNS: Columns = Columns {
    required: &["email"],
    known: Some(MEMBERS),
};

/// A line: every member of its own type, and none that isn't known.
pub(super) fn of_object(mut row: Row) -> Result<Draft, Refusal> {
    match row.take("version") {
        None => {}
        Some(Value::Number(number)) if number.as_u64() == Some(1) => {}
        Some(_) => return Err(Refusal::new("version", "must be 1")),
    }
    let mut draft = Draft::new(Source::Roster);
    texts(&mut draft, &mut row)?;
    draft.email_verified = match row.take("email_verified") {
        None => false,
        Some(Value::Bool(is_verified)) => is_verified,
        Some(_) => return Err(Refusal::new("email_verified", "must be true or false")),
    };
    draft.metadata = match row.take("metadata") {
        None => draft.metadata,
        Some(Value::Object(object)) => object,
        Some(_) => return Err(Refusal::new("metadata", "must be an object")),
    };
    for role in row.list("roles")? {
        let Value::String(role) = role else {
            return Err(Refusal::new("roles", "must be an array of strings"));
        };
        add_role(&mut draft, &role)?;
    }
    let [created, updated, last_login, password_changed] = times(|name| strict_time(&mut row, name))?;
    (draft.created_at, draft.updated_at) = (created, updated);
    (draft.last_login_at, draft.password_changed_at) = (last_login, password_changed);
    match row.first_left() {
        None => Ok(draft),
        Some(name) => Err(Refusal::new(
            name,
            format!("is unknown: there are {}", MEMBERS.join(", ")),
        )),
    }
}

/// A row of a table: roles are separated by semicolons, metadata is JSON.
pub(super) fn of_cells(mut row: Row) -> Result<Draft, Refusal> {
    let mut draft = Draft::new(Source::Csv);
    texts(&mut draft, &mut row)?;
    draft.email_verified = row.flag("email_verified")?.unwrap_or_default();
    draft.metadata = row.object("metadata")?.unwrap_or_default();
    let roles = row.text("roles")?.unwrap_or_default();
    for role in roles.split(';').map(str::trim).filter(|role| !role.is_empty()) {
        add_role(&mut draft, role)?;
    }
    let [created, updated, last_login, password_changed] = times(|name| row.time(name))?;
    (draft.created_at, draft.updated_at) = (created, updated);
    (draft.last_login_at, draft.password_changed_at) = (last_login, password_changed);
    Ok(draft)
}

fn texts(draft: &mut Draft, row: &mut Row) -> Result<(), Refusal> {
    if let Some(text) = row.text("id")? {
        // The one spelling that is exported, so that an id is never written in two ways.
        let id = uuid(&text).filter(|id| id.to_string().eq_ignore_ascii_case(&text));
        let detail = "must be a UUID such as 0190a5d0-3c5e-7b2f-8a41-0d6f2b7c9e13";
        draft.id = Some(id.ok_or_else(|| Refusal::new("id", detail))?);
    }
    draft.email = row.text("email")?;
    draft.pending_email = row.text("pending_email")?;
    draft.display_name = row.text("display_name")?;
    draft.locale = row.text("locale")?;
    if let Some(status) = row.text("status")? {
        let detail = "must be active or disabled";
        draft.status = UserStatus::from_name(&status).ok_or_else(|| Refusal::new("status", detail))?;
    }
    draft.password_hash = row.text("password_hash")?.map(PasswordHash::from_stored);
    Ok(())
}

fn add_role(draft: &mut Draft, name: &str) -> Result<(), Refusal> {
    let role = Role::parse(name).map_err(|fault| Refusal::new("roles", fault.to_string()))?;
    draft.roles.insert(role);
    Ok(())
}

type Time = Option<DateTime<Utc>>;

fn times(mut take: impl FnMut(&str) -> Result<Time, Refusal>) -> Result<[Time; 4], Refusal> {
    Ok([
        take("created_at")?,
        take("updated_at")?,
        take("last_login_at")?,
        take("password_changed_at")?,
    ])
}

fn strict_time(row: &mut Row, name: &str) -> Result<Time, Refusal> {
    row.text(name)?
        .map(|text| time::rfc3339(&text).ok_or_else(|| Refusal::new(name, time::DETAIL)))
        .transpose()
}
