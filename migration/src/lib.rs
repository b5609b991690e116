//! The history of the database schema: the list of migrations, in order, and a file for each.
//!
//! Operators come here through `roster migrate`, tests through a migrated template. A migration knows SQL and
//! time and never `entity`: the entities are generated *from* the schema that these files make.
//!
//! A file that has been released is never edited again. Each one runs inside a transaction on both databases,
//! so that a process killed half-way leaves the schema as it was.

mod m20261123_000001_create_users;
mod m20261123_000002_create_sessions;
mod m20261123_000003_create_signing_keys;
mod m20261123_000004_create_audit_events;
mod m20261124_000005_create_clients;
mod m20261126_000006_create_rate_limits;
mod m20261126_000007_create_mail;
mod m20261126_000008_search_users;
mod m20261126_000009_create_idempotency_keys;

pub use sea_orm_migration::{MigrationTrait, MigratorTrait, SchemaManager};

/// Every migration of this version, oldest first.
#[derive(Debug)]
pub struct Migrator;

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m20261123_000001_create_users::Migration),
            Box::new(m20261123_000002_create_sessions::Migration),
            Box::new(m20261123_000003_create_signing_keys::Migration),
            Box::new(m20261123_000004_create_audit_events::Migration),
            Box::new(m20261124_000005_create_clients::Migration),
            Box::new(m20261126_000006_create_rate_limits::Migration),
            Box::new(m20261126_000007_create_mail::Migration),
            Box::new(m20261126_000008_search_users::Migration),
            Box::new(m20261126_000009_create_idempotency_keys::Migration),
        ]
    }
}
