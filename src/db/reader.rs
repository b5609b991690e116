//! What a store reads with.

use std::sync::Arc;

use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, ExecResult, QueryResult,
    Statement, TransactionTrait,
};

/// Lets a store read.
#[derive(Debug)]
pub struct Reader(pub(super) Executor);

/// On what.
#[derive(Debug)]
pub(super) enum Executor {
    Pool(DatabaseConnection),
    /// Behind a transaction-mode pooler, a statement is prepared on one server connection and run on another
    /// unless a transaction holds them together.
    Transaction(Arc<DatabaseTransaction>),
}

#[async_trait::async_trait]
impl ConnectionTrait for Reader {
    fn get_database_backend(&self) -> DbBackend {
        match &self.0 {
            Executor::Pool(pool) => pool.get_database_backend(),
            Executor::Transaction(transaction) => transaction.get_database_backend(),
        }
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        match &self.0 {
            Executor::Pool(pool) => pool.execute_raw(statement).await,
            Executor::Transaction(transaction) => transaction.execute_raw(statement).await,
        }
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        match &self.0 {
            Executor::Pool(pool) => pool.execute_unprepared(sql).await,
            Executor::Transaction(transaction) => transaction.execute_unprepared(sql).await,
        }
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        match &self.0 {
            Executor::Pool(pool) => pool.query_one_raw(statement).await,
            Executor::Transaction(transaction) => transaction.query_one_raw(statement).await,
        }
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        match &self.0 {
            Executor::Pool(pool) => pool.query_all_raw(statement).await,
            Executor::Transaction(transaction) => transaction.query_all_raw(statement).await,
        }
    }
}

/// Runs reads inside one transaction, so that they have one server connection.
pub(super) async fn read_in_transaction<T, F, Fut>(pool: &DatabaseConnection, work: &F) -> Result<T, DbErr>
where
    F: Fn(Reader) -> Fut,
    Fut: Future<Output = Result<T, DbErr>>,
{
    // Not a read-only one: SeaORM would say so in a prepared statement, before the names are free.
    let transaction = pool.begin().await?;
    free_statement_names(&transaction).await?;
    let transaction = Arc::new(transaction);
    let result = work(Reader(Executor::Transaction(Arc::clone(&transaction)))).await;
    // The reader is gone with `work`, so this is the last owner.
    if let Some(transaction) = Arc::into_inner(transaction) {
        transaction.commit().await?;
    }
    result
}

/// Behind a transaction-mode pooler, a server connection has statements under names that others gave, and sqlx
/// counts its names from one on each connection of its own, also where it keeps none of them.
pub(super) async fn free_statement_names(transaction: &DatabaseTransaction) -> Result<(), DbErr> {
    transaction.execute_unprepared("DEALLOCATE ALL").await?;
    Ok(())
}
