//! Django's `auth_user` as CSV, also with columns that a project has added.

use super::Source;
use super::draft::Draft;
use super::row::Row;
use super::table::Columns;
use crate::domain::{PasswordHash, UserStatus};
use crate::transfer::model::Refusal;

/// Without `is_active`, everybody who was shut out would be let in again.
pub(super) const COLUMNS: Columns = Columns {
    required: &["email", "password", "is_active"],
    known: None,
};

pub(super) fn draft(mut row: Row) -> Result<Draft, Refusal> {
    let mut draft = Draft::new(Source::Django);
    draft.take_id(&mut row, "id");
    draft.email = row.text("email")?;
    // An unusable password is an exclamation mark and chance.
    draft.password_hash = row
        .text("password")?
        .filter(|text| !text.starts_with('!'))
        .map(PasswordHash::from_stored);
    let (first, last) = (row.text("first_name")?, row.text("last_name")?);
    draft.display_name = Draft::full_name(first.as_deref(), last.as_deref());
    draft.keep("first_name", first);
    draft.keep("last_name", last);
    if row.flag("is_active")? == Some(false) {
        draft.status = UserStatus::Disabled;
    }
    for name in ["is_superuser", "is_staff"] {
        draft.keep(name, row.flag(name)?);
    }
    draft.last_login_at = row.time("last_login")?;
    draft.created_at = row.time("date_joined")?;
    for (name, value) in row.rest() {
        draft.keep(&name, value);
    }
    Ok(draft)
}
