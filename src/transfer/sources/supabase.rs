//! Supabase's `auth.users`: a CSV, a JSON array, or JSON lines.
//!
//! Only named columns are kept: the others hold tokens that are still good.

use chrono::{DateTime, Utc};

use super::Source;
use super::draft::Draft;
use super::row::Row;
use super::table::Columns;
use crate::domain::{PasswordHash, UserStatus};
use crate::transfer::model::Refusal;

pub(super) const COLUMNS: Columns = Columns {
    required: &["email", "encrypted_password"],
    known: None,
};

/// Under which of these names an application keeps the name of a person; the dashboard looks for it in this order too.
const NAMES: [&str; 3] = ["display_name", "full_name", "name"];

pub(super) fn draft(mut row: Row, now: DateTime<Utc>) -> Result<Draft, Refusal> {
    if row.time("deleted_at")?.is_some() {
        return Err(Refusal::new("deleted_at", "says that the account was deleted"));
    }
    let mut draft = Draft::new(Source::Supabase);
    draft.take_id(&mut row, "id");
    draft.email = row.text("email")?;
    draft.email_verified = row.time("email_confirmed_at")?.is_some() || row.time("confirmed_at")?.is_some();
    draft.password_hash = row.text("encrypted_password")?.map(PasswordHash::from_stored);
    draft.take_own_metadata(row.json("raw_user_meta_data")?);
    draft.display_name = NAMES
        .iter()
        .filter_map(|name| draft.metadata.get(*name)?.as_str())
        .find(|name| !name.trim().is_empty())
        .map(str::to_owned);
    draft.keep("raw_app_meta_data", row.object("raw_app_meta_data")?);
    draft.created_at = row.time("created_at")?;
    draft.updated_at = row.time("updated_at")?;
    draft.last_login_at = row.time("last_sign_in_at")?;
    if is_banned(&mut draft, &mut row, now)? {
        draft.status = UserStatus::Disabled;
    }
    draft.keep(
        "is_super_admin",
        row.flag("is_super_admin")?.filter(|is_one| *is_one),
    );
    draft.keep("is_sso_user", row.flag("is_sso_user")?.filter(|is_one| *is_one));
    draft.keep_members(&mut row, &["role", "phone", "invited_at"]);
    Ok(draft)
}

fn is_banned(draft: &mut Draft, row: &mut Row, now: DateTime<Utc>) -> Result<bool, Refusal> {
    let Some(value) = row.take("banned_until") else {
        return Ok(false);
    };
    draft.keep("banned_until", value.clone());
    if value.as_str() == Some("infinity") {
        return Ok(true);
    }
    row.put("banned_until", value);
    Ok(row.time("banned_until")?.is_some_and(|until| until > now))
}
