//! `rate_limits`: what has been counted of each account, address and session that is limited.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, binary, text};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // Times are milliseconds since 1970 here, and not timestamps: counting and deciding is one statement that
        // does arithmetic with them, which both databases do alike with integers alone.
        manager
            .create_table(
                Table::create()
                    .table(RateLimits::Table)
                    // A keyed digest of what is limited: no address of a person or a machine is here.
                    .col(binary(RateLimits::Key).primary_key())
                    // Which limit it is, for people.
                    .col(text(RateLimits::Kind))
                    // When everything that was counted will be forgotten: how much is counted is how far off that is.
                    .col(big_integer(RateLimits::DrainedAt))
                    // Until when nothing more is let through.
                    .col(big_integer(RateLimits::BlockedUntil))
                    // From when on the row says nothing any more.
                    .col(big_integer(RateLimits::StaleAt))
                    .to_owned(),
            )
            .await?;
        manager
            .create_index(
                Index::create()
                    // For the clean-up. `stale_at` is rounded, so that counting rarely touches the index.
                    .name("rate_limits_stale_at_idx")
                    .table(RateLimits::Table)
                    .col(RateLimits::StaleAt)
                    .to_owned(),
            )
            .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .drop_table(Table::drop().table(RateLimits::Table).to_owned())
            .await
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

#[derive(DeriveIden)]
enum RateLimits {
    Table,
    Key,
    Kind,
    DrainedAt,
    BlockedUntil,
    StaleAt,
}
