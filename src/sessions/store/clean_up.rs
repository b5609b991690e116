//! Noting uses and removing what has ended, without waiting for anybody: on PostgreSQL, a row that a request has locked
//! is left for the next time. Who never waits can't be part of a deadlock.

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, DbBackend, DbErr, Statement, Value};

use crate::db::batch_of;
use crate::domain::SessionId;

/// Any number that nobody else uses with `pg_try_advisory_xact_lock` on the same database.
const CLEAN_UP_LOCK: i64 = 0x726f_7374_6573;

/// Makes sure, for as long as the transaction lasts, that no other instance cleans up. False where one does. On
/// `SQLite` a transaction that writes is alone anyway.
///
/// # Errors
/// The database's.
pub async fn lock_clean_up(connection: &impl ConnectionTrait) -> Result<bool, DbErr> {
    if connection.get_database_backend() != DbBackend::Postgres {
        return Ok(true);
    }
    let sql = format!("SELECT pg_try_advisory_xact_lock({CLEAN_UP_LOCK})");
    let row = connection
        .query_one_raw(Statement::from_string(DbBackend::Postgres, sql))
        .await?;
    row.map_or(Ok(false), |row| row.try_get_by_index(0))
}

/// Notes when a session was used last, unless something after `unless_after` is noted already: by another instance, or
/// by a refresh.
///
/// # Errors
/// The database's.
pub async fn note_use(
    connection: &impl ConnectionTrait,
    session: SessionId,
    at: DateTime<Utc>,
    unless_after: DateTime<Utc>,
) -> Result<(), DbErr> {
    let sql = match connection.get_database_backend() {
        DbBackend::Postgres => {
            "UPDATE sessions SET last_used_at = $2 WHERE id = \
             (SELECT id FROM sessions WHERE id = $1 AND last_used_at <= $3 FOR NO KEY UPDATE SKIP LOCKED)"
        }
        _ => "UPDATE sessions SET last_used_at = $2 WHERE id = $1 AND last_used_at <= $3",
    };
    let backend = connection.get_database_backend();
    let values: [Value; 3] = [
        session.get().into(),
        at.fixed_offset().into(),
        unless_after.fixed_offset().into(),
    ];
    connection
        .execute_raw(Statement::from_sql_and_values(backend, sql, values))
        .await?;
    Ok(())
}

/// Removes some of the tokens whose own time, or whose session's, is over: nobody is told anything by them any more.
/// Those of sessions that live are spent ones, as a session lives as long as its last token. Gives how many.
///
/// # Errors
/// The database's.
pub async fn remove_expired_tokens(
    connection: &impl ConnectionTrait,
    now: DateTime<Utc>,
    batch: u64,
) -> Result<u64, DbErr> {
    let own = "SELECT t.digest FROM refresh_tokens t WHERE t.expires_at <= $1";
    let removed = batch_of(
        connection,
        "DELETE FROM refresh_tokens WHERE digest",
        own,
        "t",
        now.fixed_offset(),
        batch,
    )
    .await?;
    // They differ where `session.refresh_idle_days` was lowered.
    let of_session = "SELECT t.digest FROM sessions s JOIN refresh_tokens t ON t.session_id = s.id \
                      WHERE s.idle_expires_at <= $1";
    let more = batch_of(
        connection,
        "DELETE FROM refresh_tokens WHERE digest",
        of_session,
        "t",
        now.fixed_offset(),
        batch,
    )
    .await?;
    Ok(removed + more)
}

/// Removes some of the sessions that have expired; gives how many. Their tokens go first: a session in daily use for
/// months has thousands, which would all go in one batch otherwise.
///
/// # Errors
/// The database's.
pub async fn remove_expired_sessions(
    connection: &impl ConnectionTrait,
    now: DateTime<Utc>,
    batch: u64,
) -> Result<u64, DbErr> {
    let expired = "SELECT s.id FROM sessions s WHERE s.idle_expires_at <= $1 AND NOT EXISTS \
                   (SELECT 1 FROM refresh_tokens t WHERE t.session_id = s.id)";
    batch_of(
        connection,
        "DELETE FROM sessions WHERE id",
        expired,
        "s",
        now.fixed_offset(),
        batch,
    )
    .await
}

/// Wipes some of the sealed successors that could be asked for until this time, and not after.
///
/// # Errors
/// The database's.
pub async fn wipe_successors(
    connection: &impl ConnectionTrait,
    until: DateTime<Utc>,
    batch: u64,
) -> Result<u64, DbErr> {
    let sealed = "SELECT t.digest FROM refresh_tokens t WHERE t.successor_sealed IS NOT NULL AND t.repeatable_until <= $1";
    let wipe = "UPDATE refresh_tokens SET successor_sealed = NULL WHERE digest";
    batch_of(connection, wipe, sealed, "t", until.fixed_offset(), batch).await
}
