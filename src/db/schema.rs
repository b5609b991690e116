//! The state of the schema, and bringing it up to date.
//!
//! Everything happens inside one transaction, which also is the lock: of several instances that start on an empty
//! database one migrates and the others wait for it. Killed half-way, it leaves the schema as it was.

use std::fmt;

use migration::{Migrator, MigratorTrait};
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, SqliteTransactionMode,
    TransactionOptions, TransactionTrait as _,
};

use super::Db;
use super::connect::{ConnectError, DatabaseSettings};

/// Any number that nobody else uses with `pg_advisory_xact_lock` on the same database.
const MIGRATION_LOCK: i64 = 0x726f_7374_6572;

/// A migration of this version, and whether the database has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MigrationState {
    /// Its name; names sort by age.
    pub name: String,
    /// Whether it has been applied.
    pub is_applied: bool,
}

/// What keeps the schema from being used or changed.
#[derive(Debug)]
pub enum SchemaError {
    /// The database can't be opened.
    Connect(ConnectError),
    /// The database has been migrated by a newer version.
    Newer {
        /// A migration that this version doesn't know.
        unknown: String,
    },
    /// A migration failed; nothing was changed.
    Failed(DbErr),
}

impl fmt::Display for SchemaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(error) => error.fmt(f),
            Self::Newer { unknown } => write!(
                f,
                "the database was migrated by a newer version of Roster (it has {unknown}, unknown to version {}): \
                 start that version or a later one",
                env!("CARGO_PKG_VERSION")
            ),
            Self::Failed(error) => {
                write!(
                    f,
                    "the database could not be migrated, and nothing was changed: {error}"
                )
            }
        }
    }
}

impl std::error::Error for SchemaError {}

impl From<ConnectError> for SchemaError {
    fn from(error: ConnectError) -> Self {
        Self::Connect(error)
    }
}

impl From<DbErr> for SchemaError {
    fn from(error: DbErr) -> Self {
        Self::Failed(error)
    }
}

/// The migrations of this version with their state, oldest first.
///
/// # Errors
/// [`SchemaError::Newer`], or where the database can't be read.
pub async fn status(connection: &impl ConnectionTrait) -> Result<Vec<MigrationState>, SchemaError> {
    let known: Vec<String> = Migrator::migrations()
        .iter()
        .map(|migration| migration.name().to_owned())
        .collect();
    let applied = applied(connection).await?;
    if let Some(unknown) = applied.iter().find(|name| !known.contains(name)) {
        return Err(SchemaError::Newer {
            unknown: unknown.clone(),
        });
    }
    let state = |name: String| MigrationState {
        is_applied: applied.contains(&name),
        name,
    };
    Ok(known.into_iter().map(state).collect())
}

/// The migrations of this version as a database has them that is still to be made: none is applied.
#[must_use]
pub fn none_applied() -> Vec<MigrationState> {
    Migrator::migrations()
        .iter()
        .map(|migration| MigrationState {
            name: migration.name().to_owned(),
            is_applied: false,
        })
        .collect()
}

/// The names of applied migrations. Creates nothing: a database that was never migrated has none.
async fn applied(connection: &impl ConnectionTrait) -> Result<Vec<String>, DbErr> {
    let backend = connection.get_database_backend();
    let exists = match backend {
        DbBackend::Postgres => "SELECT 1 WHERE to_regclass('seaql_migrations') IS NOT NULL",
        _ => "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'seaql_migrations'",
    };
    if connection
        .query_one_raw(sea_orm::Statement::from_string(backend, exists))
        .await?
        .is_none()
    {
        return Ok(Vec::new());
    }
    let versions = "SELECT version FROM seaql_migrations ORDER BY version";
    let rows = connection
        .query_all_raw(sea_orm::Statement::from_string(backend, versions))
        .await?;
    rows.iter().map(|row| row.try_get_by_index(0)).collect()
}

/// How many migrations are still to be applied.
///
/// # Errors
/// The database's.
pub async fn pending(connection: &impl ConnectionTrait) -> Result<usize, DbErr> {
    let applied = applied(connection).await?;
    Ok(Migrator::migrations()
        .iter()
        .filter(|migration| !applied.iter().any(|name| name == migration.name()))
        .count())
}

/// The schema of one database, for whoever changes it: connected without the time-outs of requests.
#[derive(Debug)]
pub struct SchemaManager {
    connection: DatabaseConnection,
    is_pooled: bool,
}

impl SchemaManager {
    /// Connects.
    ///
    /// # Errors
    /// [`SchemaError::Connect`].
    pub async fn connect(settings: &DatabaseSettings) -> Result<Self, SchemaError> {
        let db = Db::connect(settings.clone().for_migrations()).await?;
        Ok(Self {
            connection: db.connection(),
            is_pooled: settings.needs_transactions(),
        })
    }

    /// The state of every migration.
    ///
    /// # Errors
    /// As [`status`].
    pub async fn status(&self) -> Result<Vec<MigrationState>, SchemaError> {
        let transaction = self.begin(TransactionOptions::default()).await?;
        let status = status(&transaction).await?;
        transaction.commit().await?;
        Ok(status)
    }

    /// Applies what is pending; gives the names of what was applied.
    ///
    /// # Errors
    /// [`SchemaError`]; nothing has been changed then.
    pub async fn up(&self) -> Result<Vec<String>, SchemaError> {
        let transaction = self.lock().await?;
        let pending: Vec<_> = status(&transaction)
            .await?
            .into_iter()
            .filter(|state| !state.is_applied)
            .collect();
        if !pending.is_empty() {
            Migrator::up(&transaction, None).await?;
        }
        transaction.commit().await?;
        Ok(pending.into_iter().map(|state| state.name).collect())
    }

    /// Takes back the last `steps` migrations, and what was stored in them; gives their names.
    ///
    /// # Errors
    /// [`SchemaError`]; nothing has been changed then.
    pub async fn down(&self, steps: u32) -> Result<Vec<String>, SchemaError> {
        let transaction = self.lock().await?;
        let count = usize::try_from(steps).unwrap_or(usize::MAX);
        let status = status(&transaction).await?;
        let applied: Vec<_> = status
            .into_iter()
            .rev()
            .filter(|state| state.is_applied)
            .take(count)
            .map(|state| state.name)
            .collect();
        if !applied.is_empty() {
            Migrator::down(&transaction, Some(steps)).await?;
        }
        transaction.commit().await?;
        Ok(applied)
    }

    /// Takes everything back and applies it anew: an empty database. Tables that aren't Roster's stay.
    ///
    /// # Errors
    /// [`SchemaError`]; nothing has been changed then.
    pub async fn fresh(&self) -> Result<(), SchemaError> {
        let transaction = self.lock().await?;
        status(&transaction).await?;
        Migrator::down(&transaction, None).await?;
        Migrator::up(&transaction, None).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Begins the transaction that nobody else can have at the same time.
    async fn lock(&self) -> Result<DatabaseTransaction, SchemaError> {
        let options = TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..Default::default()
        };
        let transaction = self.begin(options).await?;
        if transaction.get_database_backend() == DbBackend::Postgres {
            let lock = format!("SELECT pg_advisory_xact_lock({MIGRATION_LOCK})");
            transaction.execute_unprepared(&lock).await?;
        }
        Ok(transaction)
    }

    async fn begin(&self, options: TransactionOptions) -> Result<DatabaseTransaction, DbErr> {
        let transaction = self.connection.begin_with_options(options).await?;
        if self.is_pooled {
            super::reader::free_statement_names(&transaction).await?;
        }
        Ok(transaction)
    }

    /// Closes the connection.
    pub async fn close(self) {
        let _ = self.connection.close().await;
    }
}
