//! What accounts are searched and sorted by: `users.display_name_key`, and indexes for prefixes and for order.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::text_null;
use sea_orm_migration::sea_orm::{DbBackend, Statement};
use unicode_normalization::UnicodeNormalization as _;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

/// How many rows are read at a time.
const BATCH: usize = 1000;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .alter_table(
                Table::alter()
                    .table(Users::Table)
                    // The name in lower case and NFC, as Roster itself writes it: SQLite lower-cases ASCII alone.
                    .add_column(text_null(Users::DisplayNameKey))
                    .to_owned(),
            )
            .await?;
        fill(manager).await?;
        let connection = manager.get_connection();
        // Prefixes are ranges of code points, whatever the language of the database is.
        let by_code_point = match manager.get_database_backend() {
            DbBackend::Postgres => " COLLATE \"C\"",
            _ => "",
        };
        for sql in [
            "CREATE INDEX users_created_at_idx ON users (created_at, id)".to_owned(),
            "CREATE INDEX users_status_idx ON users (status, created_at, id)".to_owned(),
            format!("CREATE INDEX users_email_search_idx ON users (email{by_code_point}, created_at, id)"),
            format!(
                "CREATE INDEX users_display_name_search_idx \
                 ON users (display_name_key{by_code_point}, created_at, id, email) \
                 WHERE display_name_key IS NOT NULL"
            ),
            "CREATE INDEX user_roles_holders_idx ON user_roles (role, user_id)".to_owned(),
            "DROP INDEX user_roles_role_idx".to_owned(),
        ] {
            connection.execute_unprepared(&sql).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let connection = manager.get_connection();
        for sql in [
            "CREATE INDEX \"user_roles_role_idx\" ON \"user_roles\" (\"role\")",
            "DROP INDEX user_roles_holders_idx",
            "DROP INDEX users_display_name_search_idx",
            "DROP INDEX users_email_search_idx",
            "DROP INDEX users_status_idx",
            "DROP INDEX users_created_at_idx",
        ] {
            connection.execute_unprepared(sql).await?;
        }
        manager
            .alter_table(
                Table::alter()
                    .table(Users::Table)
                    .drop_column(Users::DisplayNameKey)
                    .to_owned(),
            )
            .await
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

/// Writes the keys of the names that are there already.
async fn fill(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let connection = manager.get_connection();
    let backend = manager.get_database_backend();
    let mut last = Uuid::nil();
    loop {
        let sql = format!(
            "SELECT id, display_name FROM users WHERE id > $1 AND display_name IS NOT NULL ORDER BY id LIMIT {BATCH}"
        );
        let rows = connection
            .query_all_raw(Statement::from_sql_and_values(backend, sql, [last.into()]))
            .await?;
        for row in &rows {
            last = row.try_get_by_index(0)?;
            let name: String = row.try_get_by_index(1)?;
            let lower: String = name.nfc().flat_map(char::to_lowercase).nfc().collect();
            let sql = "UPDATE users SET display_name_key = $1 WHERE id = $2";
            let values: [Value; 2] = [lower.into(), last.into()];
            connection
                .execute_raw(Statement::from_sql_and_values(backend, sql, values))
                .await?;
        }
        if rows.len() < BATCH {
            return Ok(());
        }
    }
}

type Uuid = sea_orm_migration::sea_orm::prelude::Uuid;

#[derive(DeriveIden)]
enum Users {
    Table,
    DisplayNameKey,
}
