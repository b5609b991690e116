//! The audit trail in the database.

use chrono::{DateTime, Utc};
use entity::audit_chain;
use entity::audit_events::{ActiveModel, Column, Entity, Model};
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, Condition, ConnectionTrait, DbBackend, DbErr, EntityTrait as _,
    QueryFilter as _, QueryOrder as _, QuerySelect as _, Statement, Value,
};
use uuid::Uuid;

use super::model::{AuditEvent, Entry, EventFilter, Head, Sealed};
use crate::domain::UserId;

/// The one row of the chain.
const HEAD: i16 = 1;

/// How many events one statement adds: each has more than a dozen values, and a database takes so many at once.
const ROWS: usize = 250;

/// Appends an event, in the transaction of what it tells about. It is sealed a moment later, so that no two
/// transactions wait for each other here.
///
/// # Errors
/// The database's.
pub async fn record(connection: &impl ConnectionTrait, event: AuditEvent) -> Result<(), DbErr> {
    Entity::insert(row(event))
        .exec_without_returning(connection)
        .await?;
    Ok(())
}

/// Appends many events, as [`record`] does one.
///
/// # Errors
/// The database's.
pub async fn record_all(connection: &impl ConnectionTrait, mut events: Vec<AuditEvent>) -> Result<(), DbErr> {
    while !events.is_empty() {
        let rest = events.split_off(events.len().min(ROWS));
        let rows: Vec<ActiveModel> = events.into_iter().map(row).collect();
        Entity::insert_many(rows)
            .exec_without_returning(connection)
            .await?;
        events = rest;
    }
    Ok(())
}

fn row(event: AuditEvent) -> ActiveModel {
    let (entry, mac) = event.into_entry();
    ActiveModel {
        id: Set(entry.id),
        occurred_at: Set(entry.occurred_at.fixed_offset()),
        action: Set(entry.action),
        outcome: Set(entry.outcome),
        actor_kind: Set(entry.actor_kind),
        actor_id: Set(entry.actor.map(UserId::get)),
        subject_id: Set(entry.subject.map(UserId::get)),
        ip: Set(entry.ip),
        user_agent: Set(entry.user_agent),
        request_id: Set(entry.request_id),
        details: Set(entry.details),
        mac: Set(mac.to_vec()),
        number: Set(None),
        link: Set(None),
    }
}

fn entry(row: Model) -> Entry {
    Entry {
        id: row.id,
        occurred_at: row.occurred_at.to_utc(),
        action: row.action,
        outcome: row.outcome,
        actor_kind: row.actor_kind,
        actor: row.actor_id.map(UserId::new),
        subject: row.subject_id.map(UserId::new),
        ip: row.ip,
        user_agent: row.user_agent,
        request_id: row.request_id,
        details: row.details,
    }
}

/// Events, the newest first, from before one of them on.
///
/// # Errors
/// The database's.
pub async fn list(
    connection: &impl ConnectionTrait,
    filter: &EventFilter,
    before: Option<Uuid>,
    limit: u64,
) -> Result<Vec<Entry>, DbErr> {
    let mut query = Entity::find().order_by_desc(Column::Id).limit(limit);
    if let Some(before) = before {
        query = query.filter(Column::Id.lt(before));
    }
    if let Some(actor) = filter.actor {
        query = query.filter(Column::ActorId.eq(actor.get()));
    }
    if let Some(subject) = filter.subject {
        query = query.filter(Column::SubjectId.eq(subject.get()));
    }
    if let Some(user) = filter.concerning {
        let is_subject = Condition::any().add(Column::SubjectId.eq(user.get()));
        query = query.filter(is_subject.add(Column::ActorId.eq(user.get())));
    }
    if let Some(action) = &filter.action {
        query = query.filter(Column::Action.eq(action.as_str()));
    }
    // An id begins with the time at which the event happened, so a range of times is a range of the index.
    if let Some(after) = filter.after {
        query = query.filter(Column::Id.gte(first_id_of(after)));
    }
    if let Some(before) = filter.before {
        query = query.filter(Column::Id.lt(first_id_of(before)));
    }
    let rows = query.all(connection).await?;
    Ok(rows.into_iter().map(entry).collect())
}

/// The least `UUIDv7` of a millisecond.
fn first_id_of(at: DateTime<Utc>) -> Uuid {
    let milliseconds = u64::try_from(at.timestamp_millis()).unwrap_or_default();
    Uuid::from_u128(u128::from(milliseconds & 0xffff_ffff_ffff) << 80)
}

/// Whether any event waits to be sealed.
///
/// # Errors
/// The database's.
pub async fn has_unsealed(connection: &impl ConnectionTrait) -> Result<bool, DbErr> {
    Ok(!unsealed(connection, None, 1).await?.is_empty())
}

/// Events that wait to be sealed and their digests, in the order of their ids, from after one of them on.
///
/// # Errors
/// The database's.
pub async fn unsealed(
    connection: &impl ConnectionTrait,
    after: Option<Uuid>,
    limit: u64,
) -> Result<Vec<(Entry, Vec<u8>)>, DbErr> {
    let mut query = Entity::find()
        .filter(Column::Number.is_null())
        .order_by_asc(Column::Id)
        .limit(limit);
    if let Some(after) = after {
        query = query.filter(Column::Id.gt(after));
    }
    let rows = query.all(connection).await?;
    Ok(rows
        .into_iter()
        .map(|mut row| {
            let mac = std::mem::take(&mut row.mac);
            (entry(row), mac)
        })
        .collect())
}

/// Puts events into their places in the chain, in one statement.
///
/// # Errors
/// The database's.
pub async fn seal(
    connection: &impl ConnectionTrait,
    places: Vec<(Uuid, i64, [u8; 32])>,
) -> Result<(), DbErr> {
    let rows: Vec<String> = (0..places.len())
        .map(|row| format!("(${}, ${}, ${})", row * 3 + 1, row * 3 + 2, row * 3 + 3))
        .collect();
    let sql = format!(
        "WITH sealed (id, number, link) AS (VALUES {}) UPDATE audit_events SET number = sealed.number, \
         link = sealed.link FROM sealed WHERE audit_events.id = sealed.id",
        rows.join(", ")
    );
    let values: Vec<Value> = places
        .into_iter()
        .flat_map(|(id, number, link)| [id.into(), number.into(), link.to_vec().into()])
        .collect();
    let backend = connection.get_database_backend();
    connection
        .execute_raw(Statement::from_sql_and_values(backend, sql, values))
        .await?;
    Ok(())
}

/// Sealed events in order, those with a number in this range.
///
/// # Errors
/// The database's.
pub async fn sealed(
    connection: &impl ConnectionTrait,
    after: i64,
    up_to: i64,
    limit: u64,
) -> Result<Vec<Sealed>, DbErr> {
    let rows = Entity::find()
        .filter(Column::Number.gt(after))
        .filter(Column::Number.lte(up_to))
        .order_by_asc(Column::Number)
        .limit(limit)
        .all(connection)
        .await?;
    Ok(rows
        .into_iter()
        .map(|mut row| Sealed {
            mac: std::mem::take(&mut row.mac),
            number: row.number.unwrap_or_default(),
            link: row.link.take().unwrap_or_default(),
            entry: entry(row),
        })
        .collect())
}

/// Takes events out of the beginning of the chain, up to a number. Gives how many.
///
/// # Errors
/// The database's.
pub async fn remove_up_to(connection: &impl ConnectionTrait, number: i64) -> Result<u64, DbErr> {
    let done = Entity::delete_many()
        .filter(Column::Number.lte(number))
        .exec(connection)
        .await?;
    Ok(done.rows_affected)
}

/// How far the trail is sealed, with the digest of that; none before the first event is. With `lock`, nobody else seals
/// until the transaction ends; on `SQLite` a writer is alone anyway.
///
/// # Errors
/// The database's.
pub async fn head(connection: &impl ConnectionTrait, lock: bool) -> Result<Option<(Head, Vec<u8>)>, DbErr> {
    let mut query = audit_chain::Entity::find_by_id(HEAD);
    if lock && connection.get_database_backend() == DbBackend::Postgres {
        query = query.lock_exclusive();
    }
    let row = query.one(connection).await?;
    Ok(row.map(|row| {
        let head = Head {
            number: row.number,
            link: row.link,
            sealed_at: row.sealed_at.to_utc(),
            cut_number: row.cut_number,
            cut_link: row.cut_link,
        };
        (head, row.mac)
    }))
}

/// Makes the row of the chain, unless another instance has; and locks it.
///
/// # Errors
/// The database's.
pub async fn begin_chain(connection: &impl ConnectionTrait, head: &Head, mac: &[u8]) -> Result<(), DbErr> {
    let sql = "INSERT INTO audit_chain (id, number, link, sealed_at, cut_number, cut_link, mac) \
               VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (id) DO NOTHING";
    let values: [Value; 7] = [
        HEAD.into(),
        head.number.into(),
        head.link.clone().into(),
        head.sealed_at.fixed_offset().into(),
        head.cut_number.into(),
        head.cut_link.clone().into(),
        mac.to_vec().into(),
    ];
    let backend = connection.get_database_backend();
    connection
        .execute_raw(Statement::from_sql_and_values(backend, sql, values))
        .await?;
    Ok(())
}

/// Writes how far the trail is sealed now.
///
/// # Errors
/// The database's.
pub async fn move_head(connection: &impl ConnectionTrait, head: &Head, mac: &[u8]) -> Result<(), DbErr> {
    let row = audit_chain::ActiveModel {
        number: Set(head.number),
        link: Set(head.link.clone()),
        sealed_at: Set(head.sealed_at.fixed_offset()),
        cut_number: Set(head.cut_number),
        cut_link: Set(head.cut_link.clone()),
        mac: Set(mac.to_vec()),
        ..Default::default()
    };
    audit_chain::Entity::update_many()
        .set(row)
        .filter(audit_chain::Column::Id.eq(HEAD))
        .exec(connection)
        .await?;
    Ok(())
}

/// An event with a place outside of the chain, if there is any: behind its head, or before where it begins. The event and
/// both ends are as they were at one moment.
///
/// # Errors
/// The database's.
pub async fn stray(connection: &impl ConnectionTrait) -> Result<Option<Uuid>, DbErr> {
    let sql = "SELECT audit_events.id FROM audit_chain CROSS JOIN audit_events WHERE audit_chain.id = 1 \
               AND (audit_events.number <= audit_chain.cut_number OR audit_events.number > audit_chain.number) LIMIT 1";
    let backend = connection.get_database_backend();
    let row = connection
        .query_one_raw(Statement::from_string(backend, sql))
        .await?;
    row.map(|row| row.try_get_by_index(0)).transpose()
}

/// Whether the head is missing, as there are events that have their places, or accounts and no event; all as they were at
/// one moment.
///
/// # Errors
/// The database's.
pub async fn is_beheaded(connection: &impl ConnectionTrait) -> Result<bool, DbErr> {
    let sql = "SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM audit_chain WHERE id = 1) \
               AND (EXISTS (SELECT 1 FROM audit_events WHERE number IS NOT NULL) \
               OR (EXISTS (SELECT 1 FROM users) AND NOT EXISTS (SELECT 1 FROM audit_events)))";
    let backend = connection.get_database_backend();
    let row = connection
        .query_one_raw(Statement::from_string(backend, sql))
        .await?;
    Ok(row.is_some())
}

/// The number of the last sealed event that is older than a time, of those after a number and before the first one that
/// isn't; 0 where there is none. Those that are dated after `ahead` are passed by, as if they had no time.
///
/// # Errors
/// The database's.
pub async fn last_old(
    connection: &impl ConnectionTrait,
    after: i64,
    older_than: DateTime<Utc>,
    ahead: DateTime<Utc>,
) -> Result<i64, DbErr> {
    let numbers = || {
        Entity::find()
            .select_only()
            .column(Column::Number)
            .filter(Column::Number.gt(after))
            .limit(1)
    };
    // Along the index of numbers: as far as there are old ones, and one step where there are none.
    let first_young: Option<i64> = numbers()
        .filter(Column::OccurredAt.gte(older_than.fixed_offset()))
        .filter(Column::OccurredAt.lte(ahead.fixed_offset()))
        .order_by_asc(Column::Number)
        .into_tuple()
        .one(connection)
        .await?;
    let before = first_young.unwrap_or(i64::MAX);
    let last_old: Option<i64> = numbers()
        .filter(Column::Number.lt(before))
        .filter(Column::OccurredAt.lt(older_than.fixed_offset()))
        .order_by_desc(Column::Number)
        .into_tuple()
        .one(connection)
        .await?;
    Ok(last_old.unwrap_or_default())
}
