//! Reading an `SQLite` file in the thread that asks.
//!
//! sqlx runs each `SQLite` connection on a thread of its own: two switches there and two back, for some ten microseconds
//! of work. In WAL mode a reader waits for nobody, so the one query in front of every private request is run right here,
//! on a connection that belongs to the worker. Only what needs no waiting is done so: where the file is locked, can't be
//! opened or anything else is wrong, nothing is decided here, and the lane, which can wait, is asked.
//!
//! The price: a page that is in no cache is read from the disk while the worker's other requests wait.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::SecondsFormat;
use rusqlite::{CachedStatement, Connection, ErrorCode, OpenFlags};
use sea_orm::DbErr;

use super::lane::Parameter;
use super::row::{Row, Source};

/// A connection that only reads, and never waits.
#[derive(Debug)]
pub(super) struct Direct {
    file: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug)]
enum State {
    /// Opened when it is needed, and again after a failure.
    Closed,
    Open(Connection),
    /// Closed while all connections are replaced.
    Paused,
    /// Closed for good.
    Ended,
}

/// Why there is no answer.
#[derive(Debug)]
enum Failure {
    Sqlite(rusqlite::Error),
    Decode,
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl Direct {
    pub(super) const fn new(file: PathBuf) -> Self {
        Self {
            file,
            state: Mutex::new(State::Closed),
        }
    }

    /// The rows of a query; none where somebody else has to be asked.
    pub(super) fn fetch<T>(
        &self,
        sql: &'static str,
        parameters: &[Parameter],
        decode: fn(&Row<'_>) -> Result<T, DbErr>,
    ) -> Option<Vec<T>> {
        // Held by nobody else but while it is closed: the worker has one thread, and there is no await in here.
        let mut state = self.state.try_lock().ok()?;
        if matches!(*state, State::Closed) {
            *state = State::Open(self.open().ok()?);
        }
        let State::Open(connection) = &*state else {
            return None;
        };
        match run(connection, sql, parameters, decode) {
            Ok(rows) => Some(rows),
            Err(failure) => {
                if !failure.is_passing() {
                    *state = State::Closed;
                }
                None
            }
        }
    }

    fn open(&self) -> rusqlite::Result<Connection> {
        // Readers of a WAL take part in its locking, so the file is opened for writing; the pragma sees to the rest.
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.file, flags)?;
        connection.busy_timeout(Duration::ZERO)?;
        connection.pragma_update(None, "query_only", true)?;
        Ok(connection)
    }

    /// Closes it, and opens nothing before [`Direct::resume`].
    pub(super) fn pause(&self) {
        let mut state = self.state();
        if !matches!(*state, State::Ended) {
            *state = State::Paused;
        }
    }

    /// Lets it be opened again.
    pub(super) fn resume(&self) {
        let mut state = self.state();
        if matches!(*state, State::Paused) {
            *state = State::Closed;
        }
    }

    /// Closes it for good.
    pub(super) fn close(&self) {
        *self.state() = State::Ended;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Failure {
    /// Whether the connection is as good as before.
    fn is_passing(&self) -> bool {
        match self {
            Self::Sqlite(error) => matches!(
                error.sqlite_error_code(),
                Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
            ),
            Self::Decode => true,
        }
    }
}

fn run<T>(
    connection: &Connection,
    sql: &'static str,
    parameters: &[Parameter],
    decode: fn(&Row<'_>) -> Result<T, DbErr>,
) -> Result<Vec<T>, Failure> {
    let mut statement = connection.prepare_cached(sql)?;
    bind(&mut statement, parameters)?;
    let mut rows = statement.raw_query();
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(decode(&Row(Source::Direct(row))).map_err(|_| Failure::Decode)?);
    }
    Ok(found)
}

/// In the form in which sqlx stores the same.
fn bind(statement: &mut CachedStatement<'_>, parameters: &[Parameter]) -> rusqlite::Result<()> {
    for (index, parameter) in (1..).zip(parameters) {
        match parameter {
            Parameter::Uuid(id) => statement.raw_bind_parameter(index, id.as_bytes().as_slice())?,
            Parameter::Time(at) => {
                statement.raw_bind_parameter(index, at.to_rfc3339_opts(SecondsFormat::AutoSi, false))?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn database() -> (tempfile::TempDir, Connection, Direct) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("direct.db");
        let writer = Connection::open(&file).unwrap();
        writer
            .execute_batch(
                "PRAGMA journal_mode = WAL; CREATE TABLE things (name TEXT); INSERT INTO things VALUES ('a')",
            )
            .unwrap();
        (folder, writer, Direct::new(file))
    }

    fn names(direct: &Direct) -> Option<Vec<String>> {
        direct.fetch("SELECT name FROM things ORDER BY name", &[], |row| row.text(0))
    }

    #[test]
    fn each_read_sees_what_was_committed_before_it() {
        let (_folder, writer, direct) = database();
        assert_eq!(names(&direct), Some(vec!["a".to_owned()]));
        writer.execute_batch("INSERT INTO things VALUES ('b')").unwrap();
        assert_eq!(names(&direct), Some(vec!["a".to_owned(), "b".to_owned()]));
        writer
            .execute_batch("BEGIN IMMEDIATE; DELETE FROM things")
            .unwrap();
        // A writer that hasn't committed is neither seen nor waited for.
        assert_eq!(names(&direct), Some(vec!["a".to_owned(), "b".to_owned()]));
        writer.execute_batch("COMMIT").unwrap();
        assert_eq!(names(&direct), Some(vec![]));
    }

    #[test]
    fn a_locked_file_is_left_to_the_lane_and_read_again_afterwards() {
        let (_folder, writer, direct) = database();
        writer
            .execute_batch("PRAGMA journal_mode = DELETE; BEGIN EXCLUSIVE")
            .unwrap();
        assert_eq!(names(&direct), None);
        writer.execute_batch("COMMIT").unwrap();
        assert_eq!(names(&direct), Some(vec!["a".to_owned()]));
    }

    #[test]
    fn a_value_of_another_form_is_left_to_the_lane() {
        let (_folder, writer, direct) = database();
        writer.execute_batch("INSERT INTO things VALUES (NULL)").unwrap();
        assert_eq!(names(&direct), None);
        writer
            .execute_batch("DELETE FROM things WHERE name IS NULL")
            .unwrap();
        assert_eq!(names(&direct), Some(vec!["a".to_owned()]));
    }

    #[test]
    fn it_writes_nothing_and_opens_nothing_after_the_end() {
        let (_folder, _writer, direct) = database();
        let written = direct.fetch("DELETE FROM things RETURNING name", &[], |row| row.text(0));
        assert_eq!(written, None);
        assert_eq!(names(&direct), Some(vec!["a".to_owned()]));
        direct.pause();
        assert_eq!(names(&direct), None);
        direct.resume();
        assert_eq!(names(&direct), Some(vec!["a".to_owned()]));
        direct.close();
        direct.resume();
        assert_eq!(names(&direct), None);
    }
}
