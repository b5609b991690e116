//! Opening connections, with the settings that keep them honest.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use sea_orm::sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sea_orm::sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sea_orm::sqlx::{ConnectOptions, Connection, SqliteConnection};
use sea_orm::{DbErr, SqlxPostgresConnector, SqlxSqliteConnector};

use super::file::create_owner_only;
use super::lane::Lane;
use super::{Db, Link, one_at_a_time};
use crate::config::{DatabaseConfig, DatabaseKind};

/// How long an unused PostgreSQL connection is kept.
const IDLE_TIMEOUT: Duration = Duration::from_mins(5);
/// How long a PostgreSQL connection is used at most, so that a failover or a changed DNS name is noticed.
pub(super) const MAX_LIFETIME: Duration = Duration::from_mins(30);
/// How long a writer waits for the write lock of `SQLite`. Below the deadline of a request.
const BUSY_TIMEOUT: Duration = Duration::from_secs(2);
/// How long what isn't a request waits for the write lock of `SQLite`: an instance for another one that migrates.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);
/// How long a request waits for the database in all. The contract promises an answer within 3 s.
const DEADLINE: Duration = Duration::from_millis(2_600);
/// How much memory, in KiB, a load of many rows keeps pages of an `SQLite` file in: every row touches a page of each index.
const LOADING_CACHE: u32 = 48 << 10;
/// After how many pages of `SQLite`'s log a load brings them into the file. Each page is written there once for all the
/// transactions in between, and the log stays well under [`LARGEST_LOG`].
const LOADING_CHECKPOINT: u32 = 12_000;
/// How many bytes of `SQLite`'s log stay when it begins again.
const LARGEST_LOG: u32 = 64 << 20;
/// Enough readers for a machine's cores; a writer is always alone.
const SQLITE_CONNECTIONS: u32 = 8;
/// Shared among the workers.
const POSTGRES_CONNECTIONS: u32 = 20;

/// How to connect.
#[derive(Clone, Debug)]
pub struct DatabaseSettings {
    pub(super) config: DatabaseConfig,
    connections: u32,
    per_worker: u32,
    create: bool,
    purpose: Purpose,
}

/// What connections are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    /// Requests, which have a deadline.
    Requests,
    /// A migration, which takes as long as it takes.
    Migrations,
    /// A load of many rows by a command: nobody waits for it, and it waits for others.
    Loading,
}

/// The database can't be opened. Its text names the cause and the cure, and no password.
#[derive(Debug)]
pub struct ConnectError(pub(super) String);

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ConnectError {}

impl DatabaseSettings {
    /// Settings for a process with this many worker threads.
    #[must_use]
    pub fn new(config: &DatabaseConfig, workers: usize) -> Self {
        let connections = match (config.max_connections, config.url.kind()) {
            (0, DatabaseKind::Sqlite) => SQLITE_CONNECTIONS,
            (0, DatabaseKind::Postgres) => POSTGRES_CONNECTIONS,
            (chosen, _) => chosen,
        };
        let workers = u32::try_from(workers).unwrap_or(u32::MAX).max(1);
        Self {
            config: config.clone(),
            connections,
            per_worker: (connections / workers).max(1),
            create: false,
            purpose: Purpose::Requests,
        }
    }

    /// Lets a missing `SQLite` file, and its folder, be made.
    #[must_use]
    pub fn create_if_missing(mut self) -> Self {
        self.create = true;
        self
    }

    /// One connection that waits: a migration may take as long as it takes, and instances that start together wait
    /// for the one that migrates.
    pub(super) fn for_migrations(self) -> Self {
        Self {
            connections: 1,
            purpose: Purpose::Migrations,
            ..self
        }
    }

    /// One connection that loads many rows.
    pub(super) fn for_loading(&self) -> Self {
        Self {
            connections: 1,
            purpose: Purpose::Loading,
            ..self.clone()
        }
    }

    pub(super) fn for_worker(&self) -> Self {
        Self {
            connections: self.per_worker,
            ..self.clone()
        }
    }

    /// How often something is tried that failed for a broken connection: each connection of the pool may be
    /// broken after an outage, and one more is new.
    pub(super) const fn attempts(&self) -> u32 {
        self.connections + 1
    }

    /// How long whoever asks for a piece of work waits for it.
    pub(super) fn time_limit(&self) -> Duration {
        match self.purpose {
            Purpose::Requests | Purpose::Migrations => DEADLINE,
            Purpose::Loading => 2 * PATIENCE,
        }
    }

    pub(super) fn needs_transactions(&self) -> bool {
        self.config.url.kind() == DatabaseKind::Postgres && !self.config.prepared_statements
    }

    /// Opens a pool, and a lane beside it; connections are made when they are first needed.
    pub(super) fn open(&self) -> Result<Link, ConnectError> {
        let kept = if self.needs_transactions() {
            0
        } else {
            self.connections / 2
        };
        let size = usize::try_from(kept).unwrap_or_default();
        match self.config.url.kind() {
            DatabaseKind::Sqlite => {
                // It is there by now: where it is moved away later, no empty one takes its place.
                let options = self.sqlite()?.create_if_missing(false);
                let pool = SqlitePoolOptions::new()
                    .max_connections(self.connections - kept)
                    .acquire_timeout(self.acquire_timeout())
                    .test_before_acquire(false)
                    .idle_timeout(None)
                    .max_lifetime(None)
                    .after_release(|connection, _| Box::pin(has_ended_transactions(connection)))
                    .connect_lazy_with(options.clone());
                Ok(Link {
                    pool: SqlxSqliteConnector::from_sqlx_sqlite_pool(pool),
                    lane: (size > 0).then(|| Lane::sqlite(options, size, self.acquire_timeout())),
                })
            }
            DatabaseKind::Postgres => {
                let options = self.postgres()?;
                let pool = PgPoolOptions::new()
                    .max_connections(self.connections - kept)
                    .acquire_timeout(self.acquire_timeout())
                    .test_before_acquire(false)
                    .idle_timeout(IDLE_TIMEOUT)
                    .max_lifetime(MAX_LIFETIME)
                    .connect_lazy_with(options.clone());
                Ok(Link {
                    pool: SqlxPostgresConnector::from_sqlx_postgres_pool(pool),
                    lane: (size > 0).then(|| Lane::postgres(options, size, self.acquire_timeout())),
                })
            }
        }
    }

    pub(super) fn acquire_timeout(&self) -> Duration {
        Duration::from_millis(u64::from(self.config.acquire_timeout_ms))
    }

    pub(super) fn sqlite(&self) -> Result<SqliteConnectOptions, ConnectError> {
        let url = self.config.url.expose();
        if url.contains(":memory:") || url.contains("mode=memory") {
            return Err(ConnectError(
                "database.url: an in-memory SQLite database can't be shared by connections; name a file"
                    .into(),
            ));
        }
        let options = SqliteConnectOptions::from_str(url).map_err(|error| {
            ConnectError(format!(
                "database.url: {error}; expected sqlite://PATH, such as sqlite://data/roster.db"
            ))
        })?;
        let options = match self.purpose {
            Purpose::Loading => options
                .pragma("cache_size", format!("-{LOADING_CACHE}"))
                .pragma("wal_autocheckpoint", LOADING_CHECKPOINT.to_string()),
            Purpose::Requests | Purpose::Migrations => options,
        };
        Ok(options
            .create_if_missing(self.create)
            .journal_mode(SqliteJournalMode::Wal)
            // FULL: what was acknowledged survives a power cut, also in WAL mode.
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            // A log that a long reader made long gives the disk back when it has gone.
            .pragma("journal_size_limit", LARGEST_LOG.to_string())
            .busy_timeout(match self.purpose {
                Purpose::Requests => BUSY_TIMEOUT,
                Purpose::Migrations | Purpose::Loading => PATIENCE,
            })
            .disable_statement_logging())
    }

    pub(super) fn postgres(&self) -> Result<PgConnectOptions, ConnectError> {
        let options = PgConnectOptions::from_str(self.config.url.expose()).map_err(|error| {
            ConnectError(format!(
                "database.url: {error}; expected postgres://USER:PASSWORD@HOST:PORT/DATABASE, with ?sslmode=verify-full \
                 for a server that isn't on this machine"
            ))
        })?;
        let options = options.application_name("roster").disable_statement_logging();
        if !self.config.prepared_statements {
            // A pooler refuses start-up parameters that it doesn't know; set the time-outs on the role instead.
            return Ok(options.statement_cache_capacity(0).extra_float_digits(None));
        }
        if self.purpose == Purpose::Migrations {
            return Ok(options);
        }
        let statement_timeout = self.config.statement_timeout_ms.to_string();
        Ok(options.options([
            ("statement_timeout", statement_timeout.as_str()),
            ("lock_timeout", "2000"),
            // A connection that was left inside a transaction, by whatever fault, doesn't stay so.
            ("idle_in_transaction_session_timeout", "10000"),
        ]))
    }

    /// Brings everything into the file itself, so that a copy of it alone is a copy of the database.
    pub(super) async fn checkpoint(&self) {
        if self.config.url.kind() != DatabaseKind::Sqlite {
            return;
        }
        let done = async {
            let mut connection = self
                .sqlite()?
                .connect()
                .await
                .map_err(|error| self.explain(&error))?;
            let statement = sea_orm::sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)");
            statement
                .execute(&mut connection)
                .await
                .map_err(|error| self.explain(&error))?;
            connection.close().await.map_err(|error| self.explain(&error))
        };
        if let Err(error) = done.await {
            log::warn!("part of the database stays in its -wal file: {error}");
        }
    }

    /// The file behind an `SQLite` URL.
    #[must_use]
    pub fn sqlite_file(&self) -> Option<PathBuf> {
        match self.config.url.kind() {
            DatabaseKind::Sqlite => self
                .sqlite()
                .ok()
                .map(|options| options.get_filename().to_owned()),
            DatabaseKind::Postgres => None,
        }
    }

    /// The same, of a URL that says nothing else: what parameters ask for is left to sqlx.
    pub(super) fn plain_sqlite_file(&self) -> Option<PathBuf> {
        self.sqlite_file()
            .filter(|_| !self.config.url.expose().contains('?'))
    }
}

impl Db {
    /// Connects, and finds out at once whether the database can be used.
    ///
    /// # Errors
    /// [`ConnectError`], in one line, with the cause and the cure.
    pub async fn connect(settings: DatabaseSettings) -> Result<Self, ConnectError> {
        if let Some(file) = settings.sqlite_file() {
            if settings.create {
                create_owner_only(&file)?;
            } else if !file.exists() {
                return Err(ConnectError(format!(
                    "there is no database file {}: run `roster migrate up` first, or correct database.url",
                    file.display()
                )));
            }
        }
        // One connection outside the pool: the pool would hide the cause behind its time-out.
        settings.probe().await?;
        let link = settings.open()?;
        Ok(Self::new(settings, link, one_at_a_time()))
    }
}

/// Whether a connection may be used again.
///
/// `SQLite` ends a transaction by itself where the disk fails it. sqlx doesn't notice, counts on from there, and takes
/// the next transaction for one inside another, whose commit writes nothing: what was acknowledged would be lost when
/// the connection closes. Such a connection is closed at once, before anybody has used it.
async fn has_ended_transactions(connection: &mut SqliteConnection) -> Result<bool, sea_orm::sqlx::Error> {
    // A rollback that was asked for is done when this is answered.
    connection.ping().await?;
    Ok(!connection.is_in_transaction())
}

impl From<ConnectError> for DbErr {
    fn from(error: ConnectError) -> Self {
        Self::Custom(error.0)
    }
}
