//! `mail_outbox`, `mail_codes`, `mail_sendings`, and the language that a user reads mails in.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{
    big_integer, binary, binary_null, text, text_null, timestamp_with_time_zone, uuid, uuid_null,
};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .alter_table(
                Table::alter()
                    .table(Users::Table)
                    // A BCP 47 language tag; null: the default language.
                    .add_column(text_null(Users::Locale))
                    .to_owned(),
            )
            .await?;
        create_outbox(manager).await?;
        create_codes(manager).await?;
        create_sendings(manager).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .drop_table(Table::drop().table(MailSendings::Table).to_owned())
            .await?;
        manager
            .drop_table(Table::drop().table(MailCodes::Table).to_owned())
            .await?;
        manager
            .drop_table(Table::drop().table(MailOutbox::Table).to_owned())
            .await?;
        manager
            .alter_table(
                Table::alter()
                    .table(Users::Table)
                    .drop_column(Users::Locale)
                    .to_owned(),
            )
            .await
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

/// A mail that is to be sent is a row, written with the change that causes it, and gone once it is sent.
async fn create_outbox(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    manager
        .create_table(
            Table::create()
                .table(MailOutbox::Table)
                .col(uuid(MailOutbox::Id).primary_key())
                .col(text(MailOutbox::Kind))
                // Null: nobody has looked yet whether the address has an account.
                .col(uuid_null(MailOutbox::UserId))
                .col(text(MailOutbox::Recipient))
                // JSON: what the mail tells, or what it is about. No secret.
                .col(text(MailOutbox::Details))
                // The code that goes into it, sealed, from when it was made until the mail is sent.
                .col(binary_null(MailOutbox::SecretSealed))
                .col(text(MailOutbox::State).check(Expr::col(MailOutbox::State).is_in(["queued", "dead"])))
                .col(big_integer(MailOutbox::Attempts))
                .col(timestamp_with_time_zone(MailOutbox::CreatedAt))
                // When it is to be tried next. Whoever takes it on moves this ahead: that is the lease.
                .col(timestamp_with_time_zone(MailOutbox::DueAt))
                .col(text_null(MailOutbox::LastError))
                .foreign_key(
                    ForeignKey::create()
                        .name("mail_outbox_user_id_fkey")
                        .from(MailOutbox::Table, MailOutbox::UserId)
                        .to(Users::Table, Users::Id)
                        .on_delete(ForeignKeyAction::Cascade),
                )
                .to_owned(),
        )
        .await?;
    manager
        .create_index(
            Index::create()
                .name("mail_outbox_due_idx")
                .table(MailOutbox::Table)
                .col(MailOutbox::State)
                .col(MailOutbox::DueAt)
                .to_owned(),
        )
        .await?;
    manager
        .create_index(
            Index::create()
                .name("mail_outbox_user_id_idx")
                .table(MailOutbox::Table)
                .col(MailOutbox::UserId)
                .to_owned(),
        )
        .await
}

/// What a mailed code is good for. Digests only.
async fn create_codes(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    manager
        .create_table(
            Table::create()
                .table(MailCodes::Table)
                .col(uuid(MailCodes::Id).primary_key())
                .col(text(MailCodes::Purpose))
                // Null: a registration, whose account isn't there before its address is proven.
                .col(uuid_null(MailCodes::UserId))
                // The address that it was mailed to.
                .col(text(MailCodes::Email))
                // SHA-256 of the 256 random bits in the link.
                .col(binary(MailCodes::TokenDigest).unique_key())
                // HMAC-SHA256 of the short code, under a key that isn't in the database.
                .col(binary(MailCodes::TypedDigest))
                .col(big_integer(MailCodes::WrongGuesses))
                // JSON: the registration that the proof of the address completes.
                .col(text_null(MailCodes::Registration))
                .col(timestamp_with_time_zone(MailCodes::CreatedAt))
                .col(timestamp_with_time_zone(MailCodes::ExpiresAt))
                .foreign_key(
                    ForeignKey::create()
                        .name("mail_codes_user_id_fkey")
                        .from(MailCodes::Table, MailCodes::UserId)
                        .to(Users::Table, Users::Id)
                        .on_delete(ForeignKeyAction::Cascade),
                )
                .to_owned(),
        )
        .await?;
    // One of a purpose for each user: the last one is the one that works.
    manager
        .create_index(
            Index::create()
                .name("mail_codes_user_id_purpose_key")
                .table(MailCodes::Table)
                .col(MailCodes::UserId)
                .col(MailCodes::Purpose)
                .unique()
                .to_owned(),
        )
        .await?;
    manager
        .create_index(
            Index::create()
                .name("mail_codes_email_idx")
                .table(MailCodes::Table)
                .col(MailCodes::Email)
                .to_owned(),
        )
        .await?;
    manager
        .create_index(
            Index::create()
                .name("mail_codes_expires_at_idx")
                .table(MailCodes::Table)
                .col(MailCodes::ExpiresAt)
                .to_owned(),
        )
        .await
}

/// How often something was mailed to an address, so that nobody can flood it. Outlives mails and accounts.
async fn create_sendings(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    manager
        .create_table(
            Table::create()
                .table(MailSendings::Table)
                .col(uuid(MailSendings::Id).primary_key())
                // HMAC-SHA256 of the address: who was written to is told by nothing here.
                .col(binary(MailSendings::AddressDigest))
                .col(timestamp_with_time_zone(MailSendings::SentAt))
                .to_owned(),
        )
        .await?;
    manager
        .create_index(
            Index::create()
                .name("mail_sendings_address_idx")
                .table(MailSendings::Table)
                .col(MailSendings::AddressDigest)
                .col(MailSendings::SentAt)
                .to_owned(),
        )
        .await?;
    manager
        .create_index(
            Index::create()
                .name("mail_sendings_sent_at_idx")
                .table(MailSendings::Table)
                .col(MailSendings::SentAt)
                .to_owned(),
        )
        .await
}

#[derive(DeriveIden)]
enum Users {
    Table,
    Id,
    Locale,
}

#[derive(DeriveIden)]
enum MailOutbox {
    Table,
    Id,
    Kind,
    UserId,
    Recipient,
    Details,
    SecretSealed,
    State,
    Attempts,
    CreatedAt,
    DueAt,
    LastError,
}

#[derive(DeriveIden)]
enum MailCodes {
    Table,
    Id,
    Purpose,
    UserId,
    Email,
    TokenDigest,
    TypedDigest,
    WrongGuesses,
    Registration,
    CreatedAt,
    ExpiresAt,
}

#[derive(DeriveIden)]
enum MailSendings {
    Table,
    Id,
    AddressDigest,
    SentAt,
}
