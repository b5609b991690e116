//! Counting in the database. Written out, because counting and deciding has to be one statement: between two, others
//! would count as well, and parallel guesses would slip through.

use std::collections::HashMap;
use std::time::Duration;

use entity::rate_limits::{Column, Entity};
use sea_orm::{ConnectionTrait, DbErr, EntityTrait as _, QueryFilter as _, QueryResult, Statement, Value};

use super::model::{Counted, Counter, Key, ROUNDING, Refusal};
use crate::db::{batch_of, one_of};

/// What is remembered, once one more attempt is counted; never more than there are waits for, and never what a clock
/// that was set back has left in the future.
const DRAINED: &str =
    "(CASE WHEN r.drained_at <= $3 THEN $3 WHEN r.drained_at > $5 THEN $5 ELSE r.drained_at END + $4)";
/// How many attempts that is.
const COUNT: &str = "((CASE WHEN r.drained_at <= $3 THEN 0 WHEN r.drained_at > $5 THEN $5 - $3 \
                     ELSE r.drained_at - $3 END + 2 * $4 - 1) / $4)";

/// Counts an attempt, if it may be made: decided and counted in one statement. None where it may not. With `always` it
/// is counted in any case, which is for attempts that another counter has let through.
///
/// # Errors
/// The database's.
pub async fn count(
    connection: &impl ConnectionTrait,
    counter: &Counter,
    now: i64,
    always: bool,
) -> Result<Option<Counted>, DbErr> {
    let rule = &counter.rule;
    let (blocked, limit) = match rule.longest_wait {
        None => (format!("{DRAINED} - ($6 - 1) * $4 + 0 * $7"), 0),
        Some(longest) => {
            let wait = format!("(1000 << CAST({COUNT} - $6 AS INTEGER))");
            let blocked =
                format!("CASE WHEN {COUNT} < $6 THEN 0 WHEN {wait} < $7 THEN $3 + {wait} ELSE $3 + $7 END");
            (blocked, longest)
        }
    };
    let condition = if always {
        "$8 = $8"
    } else {
        "r.blocked_until <= $3 OR r.blocked_until > $8"
    };
    let first = now + rule.refill;
    let sql = format!(
        "INSERT INTO rate_limits AS r (key, kind, drained_at, blocked_until, stale_at) VALUES ($1, $2, $3 + $4, $9, $10) \
         ON CONFLICT (key) DO UPDATE SET drained_at = {DRAINED}, blocked_until = {blocked}, \
         stale_at = ({DRAINED} / {ROUNDING} + 2) * {ROUNDING} WHERE {condition} RETURNING drained_at, blocked_until"
    );
    let values: [Value; 10] = [
        counter.key.0.to_vec().into(),
        counter.kind.as_str().into(),
        now.into(),
        rule.refill.into(),
        (now + (rule.most() - 1) * rule.refill).into(),
        rule.burst.into(),
        limit.into(),
        rule.furthest_block(now).into(),
        rule.blocked_until(first, now).into(),
        ((first / ROUNDING + 2) * ROUNDING).into(),
    ];
    let row = connection
        .query_one_raw(statement(connection, &sql, values))
        .await?;
    row.as_ref().map(counted).transpose()
}

/// The first of these counters that lets nothing through at this moment. A look before the work: the decision is
/// [`count`]'s.
///
/// # Errors
/// The database's.
pub async fn refusal(
    connection: &impl ConnectionTrait,
    counters: &[Counter],
    now: i64,
) -> Result<Option<Refusal>, DbErr> {
    for counter in counters {
        let Some(row) = read(connection, &counter.key).await? else {
            continue;
        };
        if row.blocked_until > now && row.blocked_until <= counter.rule.furthest_block(now) {
            let wait = Duration::from_millis(u64::try_from(row.blocked_until - now).unwrap_or(0));
            return Ok(Some(Refusal {
                counter: *counter,
                wait,
            }));
        }
    }
    Ok(None)
}

/// What is remembered of a counter.
///
/// # Errors
/// The database's.
pub async fn read(connection: &impl ConnectionTrait, key: &Key) -> Result<Option<Counted>, DbErr> {
    let sql = "SELECT drained_at, blocked_until FROM rate_limits WHERE key = $1";
    let row = connection
        .query_one_raw(statement(connection, sql, [key.0.to_vec().into()]))
        .await?;
    row.as_ref().map(counted).transpose()
}

/// What is remembered of each of these, where anything is.
///
/// # Errors
/// The database's.
pub async fn read_all(
    connection: &impl ConnectionTrait,
    keys: &[Key],
) -> Result<HashMap<Key, Counted>, DbErr> {
    let rows = Entity::find()
        .filter(one_of(
            connection,
            Column::Key,
            keys.iter().map(|key| key.0.to_vec()),
        ))
        .all(connection)
        .await?;
    let counted = rows.into_iter().filter_map(|row| {
        let key = Key(row.key.try_into().ok()?);
        let counted = Counted {
            drained_at: row.drained_at,
            blocked_until: row.blocked_until,
        };
        Some((key, counted))
    });
    Ok(counted.collect())
}

/// Forgets an attempt that turned out to be none to count, and what it made others wait for.
///
/// # Errors
/// The database's.
pub async fn give_back(connection: &impl ConnectionTrait, counter: &Counter) -> Result<(), DbErr> {
    let sql = match counter.rule.longest_wait {
        None => {
            "UPDATE rate_limits SET drained_at = drained_at - $2, blocked_until = blocked_until - $2 WHERE key = $1"
        }
        Some(_) => "UPDATE rate_limits SET drained_at = drained_at - $2, blocked_until = 0 WHERE key = $1",
    };
    let values: [Value; 2] = [counter.key.0.to_vec().into(), counter.rule.refill.into()];
    connection.execute_raw(statement(connection, sql, values)).await?;
    Ok(())
}

/// Lets a wait begin now, and not when the attempt that caused it began. Nothing happens where it was lifted meanwhile.
///
/// # Errors
/// The database's.
pub async fn block_until(connection: &impl ConnectionTrait, key: &Key, until: i64) -> Result<(), DbErr> {
    let sql = "UPDATE rate_limits SET blocked_until = $2 WHERE key = $1 AND blocked_until > 0 AND blocked_until < $2";
    let values: [Value; 2] = [key.0.to_vec().into(), until.into()];
    connection.execute_raw(statement(connection, sql, values)).await?;
    Ok(())
}

/// Forgets everything that was counted.
///
/// # Errors
/// The database's.
pub async fn forget(connection: &impl ConnectionTrait, key: &Key) -> Result<(), DbErr> {
    let sql = "DELETE FROM rate_limits WHERE key = $1";
    connection
        .execute_raw(statement(connection, sql, [key.0.to_vec().into()]))
        .await?;
    Ok(())
}

/// Removes some of the rows that say nothing any more, and that nobody has locked; gives how many.
///
/// # Errors
/// The database's.
pub async fn remove_stale(connection: &impl ConnectionTrait, now: i64, batch: u64) -> Result<u64, DbErr> {
    let stale = "SELECT key FROM rate_limits WHERE stale_at <= $1";
    let delete = "DELETE FROM rate_limits WHERE key";
    batch_of(connection, delete, stale, "rate_limits", now, batch).await
}

fn statement(
    connection: &impl ConnectionTrait,
    sql: &str,
    values: impl IntoIterator<Item = Value>,
) -> Statement {
    Statement::from_sql_and_values(connection.get_database_backend(), sql, values)
}

fn counted(row: &QueryResult) -> Result<Counted, DbErr> {
    Ok(Counted {
        drained_at: row.try_get_by_index(0)?,
        blocked_until: row.try_get_by_index(1)?,
    })
}
