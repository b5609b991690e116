//! Reading hashes, all of them.
//!
//! A driver takes longer to hand over a row than the database takes to read it, so a batch comes as one text: of a million
//! accounts that saves most of the time. The numbers are those of the rows themselves, each read with the code that a
//! sign-in reads it with; nothing is kept beside them that could say something else.

use chrono::DateTime;
use sea_orm::{ConnectionTrait, DbBackend, DbErr, Statement, Value};
use uuid::Uuid;

use super::model::{Place, StoredPassword};
use crate::domain::{PasswordHash, UserId};

/// In the order of the rows: that of the ids meets each row somewhere else in the file, where ids came with an import.
const BY_ROW: &str = "SELECT max(place), json_group_array(json_array(password_hash, last_login_at)) \
    FROM (SELECT rowid AS place, password_hash, last_login_at FROM users WHERE rowid > $1 ORDER BY rowid LIMIT $2) batch";
/// In the order of the ids, which is the only one that PostgreSQL can go on with.
const BY_ID: &str = "SELECT max(id::text COLLATE \"C\"), \
    coalesce(json_agg(json_build_array(password_hash, last_login_at))::text, '[]') \
    FROM (SELECT id, password_hash, last_login_at FROM users WHERE id > $1 ORDER BY id LIMIT $2) batch";

/// Hash and last sign-in of an account, as they are in the text.
type Written = (Option<String>, Option<String>);

/// The hashes of so many accounts, from after a place on, and the place of the last one; none where there are no more.
///
/// # Errors
/// The database's; where a row holds what Roster never writes.
pub async fn passwords(
    connection: &impl ConnectionTrait,
    after: Option<Place>,
    limit: i64,
) -> Result<Option<(Vec<StoredPassword>, Place)>, DbErr> {
    let backend = connection.get_database_backend();
    let is_by_id = backend == DbBackend::Postgres;
    let (sql, from): (&str, Value) = match after {
        None if is_by_id => (BY_ID, Uuid::nil().into()),
        None => (BY_ROW, i64::MIN.into()),
        Some(Place::Id(id)) => (BY_ID, id.get().into()),
        Some(Place::Row(number)) => (BY_ROW, number.into()),
    };
    let statement = Statement::from_sql_and_values(backend, sql, [from, limit.into()]);
    let rows = connection.query_all_raw(statement).await?;
    let Some(row) = rows.first() else {
        return Ok(None);
    };
    let place = if is_by_id {
        let id: Option<String> = row.try_get_by_index(0)?;
        let id = id.map(|text| Uuid::try_parse(&text)).transpose();
        id.map_err(unreadable)?.map(|id| Place::Id(UserId::new(id)))
    } else {
        row.try_get_by_index::<Option<i64>>(0)?.map(Place::Row)
    };
    let Some(place) = place else {
        return Ok(None);
    };
    let text: String = row.try_get_by_index(1)?;
    let written: Vec<Written> = serde_json::from_str(&text).map_err(unreadable)?;
    let passwords = written
        .into_iter()
        .map(password)
        .collect::<Result<Vec<StoredPassword>, DbErr>>()?;
    Ok(Some((passwords, place)))
}

fn password((hash, last_login_at): Written) -> Result<StoredPassword, DbErr> {
    let at = last_login_at
        .map(|text| DateTime::parse_from_rfc3339(&text))
        .transpose();
    Ok(StoredPassword {
        hash: hash.map(PasswordHash::from_stored),
        last_login_at: at.map_err(unreadable)?.map(|at| at.to_utc()),
    })
}

/// It holds a hash: the cause says where in the text, and not what is there.
fn unreadable(cause: impl std::fmt::Display) -> DbErr {
    DbErr::Type(format!("accounts have values that Roster doesn't write: {cause}"))
}
