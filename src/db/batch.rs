//! Clean-ups, a batch at a time.

use sea_orm::{ConnectionTrait, DbBackend, DbErr, Statement, Value};

/// Does something with at most so many of the rows that a query finds, and that nobody has locked: who never waits can't
/// be part of a deadlock. Gives with how many.
///
/// `what` ends with the column that identifies a row, `rows` selects that column and takes the `value` as `$1`, and
/// `table` is how it calls the table whose rows are to be locked.
///
/// # Errors
/// The database's.
pub async fn batch_of(
    connection: &impl ConnectionTrait,
    what: &str,
    rows: &str,
    table: &str,
    value: impl Into<Value>,
    batch: u64,
) -> Result<u64, DbErr> {
    let backend = connection.get_database_backend();
    let sql = match backend {
        // As an array the query is run once, whatever plan there is; a limit that is a constant lets it plan for that.
        DbBackend::Postgres => {
            format!("{what} = ANY(ARRAY({rows} LIMIT {batch} FOR UPDATE OF {table} SKIP LOCKED))")
        }
        _ => format!("{what} IN ({rows} LIMIT {batch})"),
    };
    let statement = Statement::from_sql_and_values(backend, sql, [value.into()]);
    Ok(connection.execute_raw(statement).await?.rows_affected())
}
