//! Finding out whether a database can be used, and saying why it can't.

use std::time::Duration;

use sea_orm::sqlx::{ConnectOptions, Connection};

use super::classify;
use super::connect::{ConnectError, DatabaseSettings, PATIENCE};
use crate::config::DatabaseKind;

/// How long to wait before a locked file is tried again.
const PAUSE: Duration = Duration::from_millis(20);

impl DatabaseSettings {
    pub(super) async fn probe(&self) -> Result<(), ConnectError> {
        // Another instance may be making or migrating the same file.
        let limit = match self.config.url.kind() {
            DatabaseKind::Sqlite => PATIENCE,
            DatabaseKind::Postgres => self.acquire_timeout(),
        };
        let place = self.config.url.redacted();
        let attempt = async {
            match self.config.url.kind() {
                DatabaseKind::Sqlite => self.probe_sqlite().await,
                DatabaseKind::Postgres => {
                    let connection = self
                        .postgres()?
                        .connect()
                        .await
                        .map_err(|error| self.explain(&error))?;
                    connection.close().await.map_err(|error| self.explain(&error))
                }
            }
        };
        tokio::time::timeout(limit, attempt).await.unwrap_or_else(|_| {
            Err(ConnectError(format!(
                "the database at {place} did not answer within {} ms: is it running, and is the address right?",
                limit.as_millis()
            )))
        })
    }

    /// Opens the file, which puts a new one into WAL mode, and reads its schema, which shows that it is a database at
    /// all.
    ///
    /// The change to WAL mode, and the clean-up of the last connection that closes, fail at once while another process
    /// holds a lock: `SQLite` doesn't ask its busy handler there, lest two such processes wait for each other. So they
    /// are tried again, until the other one has done.
    async fn probe_sqlite(&self) -> Result<(), ConnectError> {
        let mut is_told = false;
        loop {
            let tried = async {
                let mut connection = self.sqlite()?.connect().await?;
                sea_orm::sqlx::query("SELECT count(*) FROM sqlite_master")
                    .execute(&mut connection)
                    .await?;
                connection.close().await?;
                Ok::<(), ProbeError>(())
            };
            match tried.await {
                Ok(()) => return Ok(()),
                Err(ProbeError::Settings(error)) => return Err(error),
                Err(ProbeError::Database(error)) if classify::is_locked(&error) => {
                    if !is_told {
                        log::info!("waiting for another process that has the database locked");
                        is_told = true;
                    }
                    tokio::time::sleep(PAUSE).await;
                }
                Err(ProbeError::Database(error)) => return Err(self.explain(&error)),
            }
        }
    }

    pub(super) fn explain(&self, error: &sea_orm::sqlx::Error) -> ConnectError {
        let place = self.config.url.redacted();
        let cause = one_line(&error.to_string());
        let cure = match self.config.url.kind() {
            DatabaseKind::Sqlite => "check that database.url names a file that this user can read and write",
            DatabaseKind::Postgres => {
                "check that it is running and that user, password, database and sslmode in database.url are right"
            }
        };
        ConnectError(format!("cannot open the database {place}: {cause}; {cure}"))
    }
}

enum ProbeError {
    Settings(ConnectError),
    Database(sea_orm::sqlx::Error),
}

impl From<ConnectError> for ProbeError {
    fn from(error: ConnectError) -> Self {
        Self::Settings(error)
    }
}

impl From<sea_orm::sqlx::Error> for ProbeError {
    fn from(error: sea_orm::sqlx::Error) -> Self {
        Self::Database(error)
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
