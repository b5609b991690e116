//! What a database error means for the caller.

use sea_orm::sqlx::error::{DatabaseError, ErrorKind};
use sea_orm::sqlx::{self, postgres::PgDatabaseError, sqlite::SqliteError};
use sea_orm::{ConnAcquireErr, DbErr, RuntimeErr};

use crate::error::{ApiError, Cause};

/// The unique keys that a client can run into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UniqueKey {
    /// `users.email`.
    UserEmail,
    /// Any other.
    Other,
}

/// Which unique key an error says was violated, if it was one. The database decides uniqueness, also between two
/// requests of the same instant.
#[must_use]
pub fn violated_key(error: &DbErr) -> Option<UniqueKey> {
    let error = database_error(error)?;
    if error.kind() != ErrorKind::UniqueViolation {
        return None;
    }
    // PostgreSQL names the constraint, SQLite the column.
    let is_email = match error.constraint() {
        Some(constraint) => constraint == "users_email_key",
        None => error.message().contains("users.email"),
    };
    Some(if is_email {
        UniqueKey::UserEmail
    } else {
        UniqueKey::Other
    })
}

/// Whether the connection itself failed, so that the same on another one may succeed.
pub(super) fn is_broken_connection(error: &DbErr) -> bool {
    match sqlx_error(error) {
        Some(sqlx::Error::Io(_) | sqlx::Error::Protocol(_) | sqlx::Error::Tls(_)) => true,
        // 57P01 to 57P03: the server is ending or starting, 08: connection exceptions.
        Some(sqlx::Error::Database(error)) => postgres_code(error.as_ref())
            .is_some_and(|code| code.starts_with("57P") || code.starts_with("08")),
        _ => false,
    }
}

/// Whether another process has the `SQLite` file locked at this moment (`BUSY`, sqlite.org/rescode.html).
pub(super) fn is_locked(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(error) => sqlite_code(error.as_ref()) == Some(5),
        _ => false,
    }
}

/// Whether this connection takes no writes although the database may: it leads to a PostgreSQL server that isn't the
/// primary any more and hasn't hung up, or it was opened while the `SQLite` file couldn't be written, which it never
/// looks at again (`READONLY`, sqlite.org/rescode.html).
pub(super) fn is_read_only(cause: &Cause) -> bool {
    let Some(error) = cause.of_type::<DbErr>().and_then(database_error) else {
        return false;
    };
    postgres_code(error) == Some("25006") || sqlite_code(error) == Some(8)
}

/// What a client is told of a database error that nobody has handled before.
pub(super) fn api_error(error: DbErr) -> ApiError {
    let unavailable = match &error {
        DbErr::ConnectionAcquire(ConnAcquireErr::Timeout | ConnAcquireErr::ConnectionClosed)
        | DbErr::Conn(_) => true,
        other => match sqlx_error(other) {
            Some(sqlx::Error::Database(error)) => {
                if is_deadlock(error.as_ref()) {
                    return ApiError::Conflict(
                        "The same account is being changed by another request.".into(),
                    );
                }
                is_unavailable(error.as_ref())
            }
            Some(
                sqlx::Error::Io(_)
                | sqlx::Error::Protocol(_)
                | sqlx::Error::Tls(_)
                | sqlx::Error::PoolTimedOut
                | sqlx::Error::PoolClosed
                | sqlx::Error::WorkerCrashed,
            ) => true,
            _ => false,
        },
    };
    if unavailable {
        ApiError::DatabaseUnavailable(Cause::new(error))
    } else {
        ApiError::internal(error)
    }
}

fn sqlx_error(error: &DbErr) -> Option<&sqlx::Error> {
    match error {
        DbErr::Conn(RuntimeErr::SqlxError(error))
        | DbErr::Exec(RuntimeErr::SqlxError(error))
        | DbErr::Query(RuntimeErr::SqlxError(error)) => Some(error),
        _ => None,
    }
}

fn database_error(error: &DbErr) -> Option<&dyn DatabaseError> {
    match sqlx_error(error)? {
        sqlx::Error::Database(error) => Some(error.as_ref()),
        _ => None,
    }
}

fn postgres_code(error: &dyn DatabaseError) -> Option<&str> {
    error
        .try_downcast_ref::<PgDatabaseError>()
        .map(PgDatabaseError::code)
}

fn is_deadlock(error: &dyn DatabaseError) -> bool {
    matches!(postgres_code(error), Some("40P01" | "40001"))
}

/// Whether the database is at fault, now, rather than what it was asked.
fn is_unavailable(error: &dyn DatabaseError) -> bool {
    if let Some(code) = postgres_code(error) {
        // Connection, authorisation, missing database, resources, operator, system; and single codes: a read-only
        // server after a failover, a statement or lock wait that took too long, an idle transaction cut off.
        return ["08", "28", "3D", "53", "57", "58"]
            .iter()
            .any(|class| code.starts_with(class))
            || matches!(code, "25006" | "25P03" | "55P03");
    }
    // BUSY, LOCKED, READONLY, IOERR, CORRUPT, FULL, CANTOPEN, PROTOCOL, NOTADB (sqlite.org/rescode.html).
    matches!(sqlite_code(error), Some(5 | 6 | 8 | 10 | 11 | 13 | 14 | 15 | 26))
}

/// The primary result code of `SQLite`, without what extends it.
fn sqlite_code(error: &dyn DatabaseError) -> Option<u32> {
    error.try_downcast_ref::<SqliteError>()?;
    let extended: u32 = error.code()?.parse().ok()?;
    Some(extended & 0xff)
}
