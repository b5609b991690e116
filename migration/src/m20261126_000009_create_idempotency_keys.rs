//! `idempotency_keys`: what was answered to requests that may be sent again.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, binary, text, text_null, timestamp_with_time_zone, uuid_null};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .create_table(
                Table::create()
                    .table(IdempotencyKeys::Table)
                    // A keyed digest of who asks, for what, and the key that was sent.
                    .col(binary(IdempotencyKeys::Digest).primary_key())
                    // A keyed digest of the request's body, which has a password in it as a rule.
                    .col(binary(IdempotencyKeys::Request))
                    // The account that came of it: with its end, what was told about it goes as well.
                    .col(uuid_null(IdempotencyKeys::UserId))
                    .col(big_integer(IdempotencyKeys::Status))
                    .col(text(IdempotencyKeys::Body))
                    .col(text_null(IdempotencyKeys::Location))
                    .col(text_null(IdempotencyKeys::Etag))
                    .col(timestamp_with_time_zone(IdempotencyKeys::ExpiresAt))
                    .foreign_key(
                        ForeignKey::create()
                            .name("idempotency_keys_user_id_fkey")
                            .from(IdempotencyKeys::Table, IdempotencyKeys::UserId)
                            .to(Users::Table, Users::Id)
                            .on_delete(ForeignKeyAction::Cascade),
                    )
                    .to_owned(),
            )
            .await?;
        for (name, column) in [
            ("idempotency_keys_expires_at_idx", IdempotencyKeys::ExpiresAt),
            // For the end of an account.
            ("idempotency_keys_user_id_idx", IdempotencyKeys::UserId),
        ] {
            manager
                .create_index(
                    Index::create()
                        .name(name)
                        .table(IdempotencyKeys::Table)
                        .col(column)
                        .to_owned(),
                )
                .await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .drop_table(Table::drop().table(IdempotencyKeys::Table).to_owned())
            .await
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

#[derive(DeriveIden)]
enum IdempotencyKeys {
    Table,
    Digest,
    Request,
    UserId,
    Status,
    Body,
    Location,
    Etag,
    ExpiresAt,
}

#[derive(DeriveIden)]
enum Users {
    Table,
    Id,
}
