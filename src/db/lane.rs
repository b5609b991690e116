//! A few connections of their own for the one query that stands in front of every private request.
//!
//! A pool tests a connection each time it comes back: one more round trip to the database, and on `SQLite` one more
//! pair of thread switches, for a query that takes a few microseconds. Here a connection is taken, used and put
//! back, and nothing else; one that has failed is thrown away. That is safe because work on the database runs in tasks
//! that nobody drops half-way: whatever is put back has finished what it was asked.
//!
//! The lane has half of the connections that the settings allow, and the pool has the rest.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, FixedOffset};
use sea_orm::sqlx::postgres::{PgConnectOptions, PgConnection};
use sea_orm::sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sea_orm::sqlx::{self, Connection};
use sea_orm::{DbErr, QueryResult, RuntimeErr};
use tokio::sync::Semaphore;
use uuid::Uuid;

use super::classify;
use super::connect::MAX_LIFETIME;

/// How long a connection may lie unused: firewalls forget quiet ones, and swallow what is sent on them then.
const MAX_IDLE: Duration = Duration::from_mins(1);

/// A value to bind.
#[derive(Clone, Copy, Debug)]
pub enum Parameter {
    /// An identifier.
    Uuid(Uuid),
    /// An instant.
    Time(DateTime<FixedOffset>),
}

/// The connections.
#[derive(Debug)]
pub(super) struct Lane {
    permits: Semaphore,
    wait: Duration,
    parking: Parking,
}

#[derive(Debug)]
enum Parking {
    Sqlite(Idle<SqliteConnection>),
    Postgres(Idle<PgConnection>),
}

#[derive(Debug)]
struct Idle<C: Connection> {
    options: C::Options,
    connections: Mutex<Vec<Parked<C>>>,
}

#[derive(Debug)]
struct Parked<C> {
    connection: C,
    opened: Instant,
    used: Instant,
}

impl<C: Connection> Idle<C> {
    const fn new(options: C::Options) -> Self {
        Self {
            options,
            connections: Mutex::new(Vec::new()),
        }
    }

    /// The one that was used last: those that aren't needed at all grow old, and aren't used again.
    fn take(&self) -> Option<(C, Instant)> {
        let mut connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        let parked = connections.pop()?;
        let is_good = parked.opened.elapsed() < MAX_LIFETIME && parked.used.elapsed() < MAX_IDLE;
        is_good.then_some((parked.connection, parked.opened))
    }

    fn put_back(&self, connection: C, opened: Instant) {
        let parked = Parked {
            connection,
            opened,
            used: Instant::now(),
        };
        self.connections
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(parked);
    }

    fn take_all(&self) -> Vec<Parked<C>> {
        std::mem::take(&mut *self.connections.lock().unwrap_or_else(PoisonError::into_inner))
    }

    async fn open(&self) -> Result<(C, Instant), sqlx::Error> {
        Ok((C::connect_with(&self.options).await?, Instant::now()))
    }

    async fn close(&self) {
        for parked in self.take_all() {
            // What can't be closed in good order is closed all the same.
            let _ = parked.connection.close().await;
        }
    }
}

/// The same for either database; a generic function would need a page of bounds.
macro_rules! fetch {
    ($idle:expr, $sql:expr, $parameters:expr) => {{
        let mut is_fresh = false;
        loop {
            let taken = if is_fresh { None } else { $idle.take() };
            let (mut connection, since) = match taken {
                Some(parked) => parked,
                None => {
                    is_fresh = true;
                    $idle.open().await.map_err(query_error)?
                }
            };
            let mut query = sqlx::query($sql);
            for parameter in $parameters {
                query = match *parameter {
                    Parameter::Uuid(id) => query.bind(id),
                    Parameter::Time(at) => query.bind(at),
                };
            }
            match query.fetch_all(&mut connection).await.map_err(query_error) {
                Ok(rows) => {
                    $idle.put_back(connection, since);
                    break Ok(rows.into_iter().map(QueryResult::from).collect());
                }
                // After an outage every parked connection is broken: one that is opened now tells the truth.
                Err(error) if !is_fresh && classify::is_broken_connection(&error) => {
                    drop($idle.take_all());
                    is_fresh = true;
                }
                Err(error) => break Err(error),
            }
        }
    }};
}

impl Lane {
    pub(super) const fn sqlite(options: SqliteConnectOptions, size: usize, wait: Duration) -> Self {
        Self {
            permits: Semaphore::const_new(size),
            wait,
            parking: Parking::Sqlite(Idle::new(options)),
        }
    }

    pub(super) const fn postgres(options: PgConnectOptions, size: usize, wait: Duration) -> Self {
        Self {
            permits: Semaphore::const_new(size),
            wait,
            parking: Parking::Postgres(Idle::new(options)),
        }
    }

    /// Runs a query. In a task that nobody drops; see the module.
    pub(super) async fn fetch(
        &self,
        sql: &'static str,
        parameters: &[Parameter],
    ) -> Result<Vec<QueryResult>, DbErr> {
        let permit = tokio::time::timeout(self.wait, self.permits.acquire()).await;
        let permit = permit.map_err(|_| query_error(sqlx::Error::PoolTimedOut))?;
        let _permit = permit.map_err(|_| query_error(sqlx::Error::PoolClosed))?;
        match &self.parking {
            Parking::Sqlite(idle) => fetch!(idle, sql, parameters),
            Parking::Postgres(idle) => fetch!(idle, sql, parameters),
        }
    }

    /// Closes what is parked, and lets nothing more begin.
    pub(super) async fn close(&self) {
        self.permits.close();
        match &self.parking {
            Parking::Sqlite(idle) => idle.close().await,
            Parking::Postgres(idle) => idle.close().await,
        }
    }
}

fn query_error(error: sqlx::Error) -> DbErr {
    DbErr::Query(RuntimeErr::SqlxError(error.into()))
}
