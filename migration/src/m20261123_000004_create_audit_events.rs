//! `audit_events`: who did what to whom, from where. Rows outlive the account that they are about and hold no
//! address of it, only its id. `audit_chain`: how far they are sealed, in one row.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{
    big_integer, big_integer_null, binary, binary_null, small_integer, text, text_null,
    timestamp_with_time_zone, uuid, uuid_null,
};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .create_table(
                Table::create()
                    .table(AuditEvents::Table)
                    // UUIDv7: newest first is descending id.
                    .col(uuid(AuditEvents::Id).primary_key())
                    .col(timestamp_with_time_zone(AuditEvents::OccurredAt))
                    .col(text(AuditEvents::Action))
                    .col(text(AuditEvents::Outcome))
                    .col(text(AuditEvents::ActorKind))
                    .col(uuid_null(AuditEvents::ActorId))
                    .col(uuid_null(AuditEvents::SubjectId))
                    .col(text_null(AuditEvents::Ip))
                    .col(text_null(AuditEvents::UserAgent))
                    .col(text_null(AuditEvents::RequestId))
                    .col(text(AuditEvents::Details))
                    // A keyed digest of all of the above.
                    .col(binary(AuditEvents::Mac))
                    // The event's place in the chain and the keyed digest that binds it to the one before; none until
                    // it is sealed, a moment later.
                    .col(big_integer_null(AuditEvents::Number))
                    .col(binary_null(AuditEvents::Link))
                    .to_owned(),
            )
            .await?;
        // Each list of the API is one of these, read backwards.
        for (name, column) in [
            ("audit_events_subject_id_idx", AuditEvents::SubjectId),
            ("audit_events_actor_id_idx", AuditEvents::ActorId),
            ("audit_events_action_idx", AuditEvents::Action),
        ] {
            manager
                .create_index(
                    Index::create()
                        .name(name)
                        .table(AuditEvents::Table)
                        .col(column)
                        .col(AuditEvents::Id)
                        .to_owned(),
                )
                .await?;
        }
        manager
            .create_index(
                Index::create()
                    .name("audit_events_number_key")
                    .table(AuditEvents::Table)
                    .col(AuditEvents::Number)
                    .unique()
                    .to_owned(),
            )
            .await?;
        // What waits to be sealed is a handful, however long the trail is.
        manager
            .get_connection()
            .execute_unprepared(
                "CREATE INDEX audit_events_unsealed_idx ON audit_events (id) WHERE number IS NULL",
            )
            .await?;
        manager
            .create_table(
                Table::create()
                    .table(AuditChain::Table)
                    // Always 1.
                    .col(small_integer(AuditChain::Id).primary_key())
                    // The last event that is sealed.
                    .col(big_integer(AuditChain::Number))
                    .col(binary(AuditChain::Link))
                    .col(timestamp_with_time_zone(AuditChain::SealedAt))
                    // The last event that was removed because of its age; 0 where none was.
                    .col(big_integer(AuditChain::CutNumber))
                    .col(binary(AuditChain::CutLink))
                    // A keyed digest of all of the above.
                    .col(binary(AuditChain::Mac))
                    .to_owned(),
            )
            .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .drop_table(Table::drop().table(AuditChain::Table).to_owned())
            .await?;
        manager
            .drop_table(Table::drop().table(AuditEvents::Table).to_owned())
            .await
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

#[derive(DeriveIden)]
enum AuditEvents {
    Table,
    Id,
    OccurredAt,
    Action,
    Outcome,
    ActorKind,
    ActorId,
    SubjectId,
    Ip,
    UserAgent,
    RequestId,
    Details,
    Mac,
    Number,
    Link,
}

#[derive(DeriveIden)]
enum AuditChain {
    Table,
    Id,
    Number,
    Link,
    SealedAt,
    CutNumber,
    CutLink,
    Mac,
}
