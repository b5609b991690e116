//! `signing_keys`: the key store behind access tokens.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{binary, text, timestamp_with_time_zone, timestamp_with_time_zone_null};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .create_table(
                Table::create()
                    .table(SigningKeys::Table)
                    // The `kid` of tokens: the key's RFC 7638 thumbprint.
                    .col(text(SigningKeys::Id).primary_key())
                    .col(text(SigningKeys::Algorithm))
                    .col(
                        text(SigningKeys::State)
                            .check(Expr::col(SigningKeys::State).is_in(["next", "current", "previous"])),
                    )
                    .col(text(SigningKeys::PublicJwk))
                    // PKCS#8, sealed with AES-256-GCM under a key derived from `security.secret_key`.
                    .col(binary(SigningKeys::PrivateSealed))
                    .col(timestamp_with_time_zone(SigningKeys::CreatedAt))
                    .col(timestamp_with_time_zone_null(SigningKeys::ActivatedAt))
                    .col(timestamp_with_time_zone_null(SigningKeys::SupersededAt))
                    .to_owned(),
            )
            .await?;
        // One key signs and one waits: instances that start or rotate at the same instant can't make two.
        manager
            .create_index(
                Index::create()
                    .name("signing_keys_one_current_one_next_idx")
                    .table(SigningKeys::Table)
                    .col(SigningKeys::State)
                    .unique()
                    .cond_where(Expr::col(SigningKeys::State).is_in(["next", "current"]))
                    .to_owned(),
            )
            .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .drop_table(Table::drop().table(SigningKeys::Table).to_owned())
            .await
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

#[derive(DeriveIden)]
enum SigningKeys {
    Table,
    Id,
    Algorithm,
    State,
    PublicJwk,
    PrivateSealed,
    CreatedAt,
    ActivatedAt,
    SupersededAt,
}
