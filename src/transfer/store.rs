//! Users in the database, many at a time.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use entity::{mail_codes, mail_outbox, user_roles, users};
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, Condition, ConnectionTrait, DbBackend, DbErr, EntityTrait as _,
    QueryFilter as _, QueryOrder as _, QuerySelect as _, Statement, Value,
};
use uuid::Uuid;

use super::model::{NewRow, OpenCode, Outcome, UserRecord, WaitingMail};
use crate::db::one_of;
use crate::domain::{DisplayName, EmailAddress, Locale, Metadata, PasswordHash, Role, UserId, UserStatus};

/// The columns of a new row, in the order of [`values`].
const COLUMNS: [&str; 15] = [
    "id",
    "email",
    "email_verified",
    "pending_email",
    "display_name",
    "display_name_key",
    "locale",
    "metadata",
    "status",
    "password_hash",
    "password_changed_at",
    "revision",
    "created_at",
    "updated_at",
    "last_login_at",
];

/// How many rows one statement has: the same text each time, which a database prepares once.
const ROWS: usize = 250;

fn values(row: NewRow) -> [Value; COLUMNS.len()] {
    let NewRow {
        id,
        record,
        created_at,
        updated_at,
        password_changed_at,
    } = row;
    let time = |at: Option<DateTime<Utc>>| at.map(|at| at.fixed_offset());
    [
        id.get().into(),
        record.email.as_str().into(),
        record.email_verified.into(),
        record.pending_email.map(|email| email.as_str().to_owned()).into(),
        record.display_name.as_ref().map(DisplayName::as_str).into(),
        record.display_name.as_ref().map(DisplayName::search_key).into(),
        record.locale.map(Locale::into_string).into(),
        record.metadata.as_json().into(),
        record.status.as_str().into(),
        record.password_hash.map(|hash| hash.expose().to_owned()).into(),
        time(password_changed_at).into(),
        1_i64.into(),
        created_at.fixed_offset().into(),
        updated_at.fixed_offset().into(),
        time(record.last_login_at).into(),
    ]
}

/// Adds accounts, apart from those whose address is there already, and says what became of each. The database decides
/// what is there, as everywhere: a registration of the same moment may be faster.
///
/// # Errors
/// The database's.
pub async fn insert(connection: &impl ConnectionTrait, rows: Vec<NewRow>) -> Result<Vec<Outcome>, DbErr> {
    let mut outcomes = Vec::with_capacity(rows.len());
    let mut rows = rows;
    while !rows.is_empty() {
        let rest = rows.split_off(rows.len().min(ROWS));
        outcomes.extend(insert_some(connection, rows).await?);
        rows = rest;
    }
    Ok(outcomes)
}

async fn insert_some(connection: &impl ConnectionTrait, rows: Vec<NewRow>) -> Result<Vec<Outcome>, DbErr> {
    let names: Vec<(UserId, String, Vec<Role>)> = rows
        .iter()
        .map(|row| {
            (
                row.id,
                row.record.email.as_str().to_owned(),
                row.record.roles.clone(),
            )
        })
        .collect();
    let backend = connection.get_database_backend();
    let sql = statement(backend, rows.len());
    let values: Vec<Value> = rows.into_iter().flat_map(values).collect();
    let inserted = connection
        .query_all_raw(Statement::from_sql_and_values(backend, sql, values))
        .await?;
    let inserted = inserted
        .iter()
        .map(|row| -> Result<(Uuid, String), DbErr> {
            Ok((row.try_get_by_index(0)?, row.try_get_by_index(1)?))
        })
        .collect::<Result<HashMap<Uuid, String>, DbErr>>()?;
    // An id may stand twice in a batch: the account, its roles and what is said of them are of one row alone.
    let mut given = HashSet::new();
    let is_imported: Vec<bool> = names
        .iter()
        .map(|(id, email, _)| inserted.get(&id.get()) == Some(email) && given.insert(*id))
        .collect();

    let roles: Vec<user_roles::ActiveModel> = names
        .iter()
        .zip(&is_imported)
        .filter(|(_, is_imported)| **is_imported)
        .flat_map(|((id, _, roles), _)| {
            roles.iter().map(move |role| user_roles::ActiveModel {
                user_id: Set(id.get()),
                role: Set(role.as_str().to_owned()),
            })
        })
        .collect();
    if !roles.is_empty() {
        user_roles::Entity::insert_many(roles)
            .exec_without_returning(connection)
            .await?;
    }
    let left_out: Vec<&str> = names
        .iter()
        .zip(&is_imported)
        .filter(|(_, is_imported)| !**is_imported)
        .map(|((_, email, _), _)| email.as_str())
        .collect();
    let existing = present(connection, &left_out, &[]).await?.0;
    Ok(names
        .iter()
        .zip(is_imported)
        .map(|((_, email, _), is_imported)| {
            if is_imported {
                Outcome::Imported
            } else if existing.contains(email) {
                Outcome::Existing
            } else {
                Outcome::IdTaken
            }
        })
        .collect())
}

/// SQLite's parameters have no numbers: it looks up a numbered one by its name, one after the other, which took a third
/// of the time of an import.
fn statement(backend: DbBackend, rows: usize) -> String {
    let row = |number: usize| {
        let places: Vec<String> = (1..=COLUMNS.len())
            .map(|place| match backend {
                DbBackend::Postgres => format!("${}", number * COLUMNS.len() + place),
                _ => "?".to_owned(),
            })
            .collect();
        format!("({})", places.join(", "))
    };
    let rows: Vec<String> = (0..rows).map(row).collect();
    format!(
        "INSERT INTO users ({}) VALUES {} ON CONFLICT DO NOTHING RETURNING id, email",
        COLUMNS.join(", "),
        rows.join(", ")
    )
}

/// Which of these addresses and ids accounts have.
///
/// # Errors
/// The database's.
pub async fn present(
    connection: &impl ConnectionTrait,
    emails: &[&str],
    ids: &[UserId],
) -> Result<(HashSet<String>, HashSet<UserId>), DbErr> {
    let mut found = HashSet::new();
    for some in emails.chunks(ROWS) {
        let emails: Vec<String> = users::Entity::find()
            .select_only()
            .column(users::Column::Email)
            .filter(one_of(
                connection,
                users::Column::Email,
                some.iter().map(|email| (*email).to_owned()),
            ))
            .into_tuple()
            .all(connection)
            .await?;
        found.extend(emails);
    }
    let mut found_ids = HashSet::new();
    for some in ids.chunks(ROWS) {
        let ids: Vec<Uuid> = users::Entity::find()
            .select_only()
            .column(users::Column::Id)
            .filter(one_of(
                connection,
                users::Column::Id,
                some.iter().map(|id| id.get()),
            ))
            .into_tuple()
            .all(connection)
            .await?;
        found_ids.extend(ids.into_iter().map(UserId::new));
    }
    Ok((found, found_ids))
}

/// Users in the order of their ids, from after one of them on.
///
/// # Errors
/// The database's; where a row holds what Roster never writes.
pub async fn export(
    connection: &impl ConnectionTrait,
    after: Option<UserId>,
    limit: u64,
) -> Result<Vec<UserRecord>, DbErr> {
    let mut query = users::Entity::find().order_by_asc(users::Column::Id).limit(limit);
    if let Some(after) = after {
        query = query.filter(users::Column::Id.gt(after.get()));
    }
    records(connection, query.all(connection).await?).await
}

/// One user.
///
/// # Errors
/// As [`export`].
pub async fn export_one(connection: &impl ConnectionTrait, id: UserId) -> Result<Option<UserRecord>, DbErr> {
    let row = users::Entity::find_by_id(id.get()).one(connection).await?;
    let found = records(connection, row.into_iter().collect()).await?;
    Ok(found.into_iter().next())
}

/// The mails of an account that haven't been sent, the oldest first: its own, and those to its proven address that nobody has
/// looked an account up for yet.
///
/// # Errors
/// The database's.
pub async fn waiting_mails(
    connection: &impl ConnectionTrait,
    id: UserId,
    proven_email: Option<&str>,
) -> Result<Vec<WaitingMail>, DbErr> {
    let mut is_own = Condition::any().add(mail_outbox::Column::UserId.eq(id.get()));
    if let Some(email) = proven_email {
        is_own = is_own.add(mail_outbox::Column::Recipient.eq(email));
    }
    let rows = mail_outbox::Entity::find()
        .filter(is_own)
        .order_by_asc(mail_outbox::Column::Id)
        .all(connection)
        .await?;
    let mails = rows.into_iter().map(|row| WaitingMail {
        kind: row.kind,
        recipient: row.recipient,
        created_at: row.created_at.to_utc(),
    });
    Ok(mails.collect())
}

/// The codes of an account that haven't been used or cleaned up, the oldest first.
///
/// # Errors
/// The database's.
pub async fn open_codes(connection: &impl ConnectionTrait, id: UserId) -> Result<Vec<OpenCode>, DbErr> {
    let rows = mail_codes::Entity::find()
        .filter(mail_codes::Column::UserId.eq(id.get()))
        .order_by_asc(mail_codes::Column::Id)
        .all(connection)
        .await?;
    let codes = rows.into_iter().map(|row| OpenCode {
        purpose: row.purpose,
        email: row.email,
        created_at: row.created_at.to_utc(),
        expires_at: row.expires_at.to_utc(),
    });
    Ok(codes.collect())
}

async fn records(
    connection: &impl ConnectionTrait,
    rows: Vec<users::Model>,
) -> Result<Vec<UserRecord>, DbErr> {
    let mut roles: HashMap<Uuid, Vec<Role>> = HashMap::new();
    let (Some(first), Some(last)) = (rows.first().map(|row| row.id), rows.last().map(|row| row.id)) else {
        return Ok(Vec::new());
    };
    let found = user_roles::Entity::find()
        .filter(user_roles::Column::UserId.gte(first))
        .filter(user_roles::Column::UserId.lte(last))
        .order_by_asc(user_roles::Column::Role)
        .all(connection)
        .await?;
    for row in found {
        let role = Role::parse(&row.role).map_err(|fault| unknown(row.user_id, &fault.to_string()))?;
        roles.entry(row.user_id).or_default().push(role);
    }
    rows.into_iter()
        .map(|row| {
            let roles = roles.remove(&row.id).unwrap_or_default();
            record(row, roles)
        })
        .collect()
}

fn record(row: users::Model, roles: Vec<Role>) -> Result<UserRecord, DbErr> {
    let id = row.id;
    let email = |text: &str| EmailAddress::parse(text).map_err(|fault| unknown(id, fault.detail()));
    let time = |at: Option<DateTime<chrono::FixedOffset>>| at.map(|at| at.to_utc());
    Ok(UserRecord {
        id: Some(UserId::new(id)),
        email: email(&row.email)?,
        email_verified: row.email_verified,
        pending_email: row.pending_email.as_deref().map(email).transpose()?,
        display_name: DisplayName::parse(row.display_name.unwrap_or_default())
            .map_err(|fault| unknown(id, fault.detail()))?,
        locale: Locale::parse(&row.locale.unwrap_or_default())
            .map_err(|fault| unknown(id, fault.detail()))?,
        metadata: Metadata::from_stored(row.metadata),
        roles,
        status: UserStatus::from_name(&row.status).ok_or_else(|| unknown(id, "an unknown status"))?,
        password_hash: row.password_hash.map(PasswordHash::from_stored),
        created_at: Some(row.created_at.to_utc()),
        updated_at: Some(row.updated_at.to_utc()),
        last_login_at: time(row.last_login_at),
        password_changed_at: time(row.password_changed_at),
    })
}

fn unknown(id: Uuid, what: &str) -> DbErr {
    DbErr::Type(format!("user {id} has a value that Roster doesn't write: {what}"))
}
