//! A statement that is written out piece by piece.

use sea_orm::{ConnectionTrait, DbErr, QueryResult, Statement, Value};

/// A statement in the making.
#[derive(Debug)]
pub struct Query {
    sql: String,
    values: Vec<Value>,
}

impl Query {
    /// Nothing yet.
    pub const fn new() -> Self {
        Self {
            sql: String::new(),
            values: Vec::new(),
        }
    }

    /// Adds text that is ours.
    pub fn push(&mut self, sql: &str) -> &mut Self {
        self.sql.push_str(sql);
        self
    }

    /// Adds a value, as a parameter.
    pub fn bind(&mut self, value: impl Into<Value>) -> &mut Self {
        self.values.push(value.into());
        let place = format!("${}", self.values.len());
        self.push(&place)
    }

    /// Runs it.
    ///
    /// # Errors
    /// The database's.
    pub async fn all(self, connection: &impl ConnectionTrait) -> Result<Vec<QueryResult>, DbErr> {
        let backend = connection.get_database_backend();
        connection
            .query_all_raw(Statement::from_sql_and_values(backend, self.sql, self.values))
            .await
    }
}
