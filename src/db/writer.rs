//! What a service writes with.

use std::sync::Arc;

use sea_orm::{
    DatabaseConnection, DatabaseTransaction, SqliteTransactionMode, TransactionOptions, TransactionTrait,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use super::reader::free_statement_names;
use super::{classify, unavailable};
use crate::error::ApiError;

/// Lets a service begin its transaction.
#[derive(Debug)]
pub struct Writer {
    pub(super) pool: DatabaseConnection,
    /// How often a beginning is tried whose connection turns out to be broken.
    pub(super) attempts: u32,
    /// Whether a transaction-mode pooler stands in between.
    pub(super) is_pooled: bool,
    /// The one turn to write to an `SQLite` file.
    pub(super) writing: Option<Arc<Semaphore>>,
    /// From when on whoever asked has been told that it can't be done: nothing begins any more, and nothing is committed.
    pub(super) deadline: Instant,
    /// Whether everything is taken back where it would be committed.
    pub(super) is_rehearsal: bool,
}

impl Writer {
    /// Begins a transaction. Nothing has been done yet, so a broken connection is replaced without a word.
    ///
    /// On `SQLite` it takes the write lock at once: a transaction that began as a read can't wait for it later.
    ///
    /// What is begun too late is rolled back: its client has had a 503 and may have come again, and a queue of writes that
    /// nobody waits for would keep those away who do, long after whatever held it up is gone.
    ///
    /// # Errors
    /// [`ApiError::DatabaseUnavailable`] when there is no connection to be had, or no turn in time.
    pub async fn begin(&self) -> Result<Transaction, ApiError> {
        let turn = match &self.writing {
            Some(writing) => {
                let turn = timeout_at(self.deadline, Arc::clone(writing).acquire_owned()).await;
                Some(turn.map_err(|_| too_late("begun"))?.map_err(ApiError::internal)?)
            }
            None => None,
        };
        let mut attempt = 1;
        loop {
            let options = TransactionOptions {
                sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
                ..Default::default()
            };
            let begun = async {
                let transaction = self.pool.begin_with_options(options).await?;
                if self.is_pooled {
                    free_statement_names(&transaction).await?;
                }
                Ok(transaction)
            };
            match begun.await {
                Ok(_) if Instant::now() >= self.deadline => return Err(too_late("begun")),
                Ok(transaction) => {
                    return Ok(Transaction {
                        inner: transaction,
                        deadline: self.deadline,
                        is_rehearsal: self.is_rehearsal,
                        _turn: turn,
                    });
                }
                Err(error) if attempt < self.attempts && classify::is_broken_connection(&error) => {
                    attempt += 1;
                }
                Err(error) => return Err(classify::api_error(error)),
            }
        }
    }
}

fn too_late(what: &str) -> ApiError {
    unavailable(format!("no transaction could be {what} in time"))
}

/// A transaction; dropped without [`Transaction::commit`], it is rolled back.
#[derive(Debug)]
pub struct Transaction {
    inner: DatabaseTransaction,
    /// The [`Writer`]'s.
    deadline: Instant,
    /// Likewise.
    is_rehearsal: bool,
    /// Given back when the transaction has ended.
    _turn: Option<OwnedSemaphorePermit>,
}

impl Transaction {
    /// Makes everything that was done durable; after the deadline, and in a rehearsal, takes it all back instead.
    ///
    /// A statement that waits for a lock isn't cancelled when its client is refused, and may get the lock a moment later.
    /// Only a commit that is on its way at the deadline can still succeed behind a 503: nobody can call that back.
    ///
    /// # Errors
    /// [`ApiError::DatabaseUnavailable`] when it is too late, or the database didn't say that it has.
    pub async fn commit(self) -> Result<(), ApiError> {
        if Instant::now() >= self.deadline {
            // What this says makes no difference: whatever isn't committed is gone with its connection at the latest.
            let _ = self.inner.rollback().await;
            return Err(too_late("committed"));
        }
        if self.is_rehearsal {
            return self.inner.rollback().await.map_err(classify::api_error);
        }
        self.inner.commit().await.map_err(classify::api_error)
    }
}

impl std::ops::Deref for Transaction {
    type Target = DatabaseTransaction;

    fn deref(&self) -> &DatabaseTransaction {
        &self.inner
    }
}
