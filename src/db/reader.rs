//! What a store reads with.

use std::sync::Arc;

use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, ExecResult, QueryResult,
    Statement,
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
