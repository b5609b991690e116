//! The table of FastAPI Users as CSV, with whatever columns a project has added.

use super::Source;
use super::draft::Draft;
use super::row::Row;
use super::table::Columns;
use crate::domain::{PasswordHash, UserStatus};
use crate::transfer::model::Refusal;

pub(super) const COLUMNS: Columns = Columns {
    required: &["email", "hashed_password", "is_active"],
    known: None,
};

pub(super) fn draft(mut row: Row) -> Result<Draft, Refusal> {
    let mut draft = Draft::new(Source::FastapiUsers);
    draft.take_id(&mut row, "id");
    draft.email = row.text("email")?;
    draft.email_verified = row.flag("is_verified")?.unwrap_or_default();
    draft.password_hash = row.text("hashed_password")?.map(PasswordHash::from_stored);
    if row.flag("is_active")? == Some(false) {
        draft.status = UserStatus::Disabled;
    }
    draft.keep("is_superuser", row.flag("is_superuser")?);
    for (name, value) in row.rest() {
        draft.keep(&name, value);
    }
    Ok(draft)
}
