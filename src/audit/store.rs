//! Writing the audit trail.

use entity::audit_events::{ActiveModel, Entity};
use sea_orm::{ActiveValue::Set, ConnectionTrait, DbErr, EntityTrait as _};
use serde_json::Value;

use super::AuditEvent;

/// Appends an event, in the transaction of what it tells about.
///
/// # Errors
/// The database's.
pub async fn record(connection: &impl ConnectionTrait, event: AuditEvent) -> Result<(), DbErr> {
    let row = ActiveModel {
        id: Set(event.id),
        occurred_at: Set(event.occurred_at.fixed_offset()),
        action: Set(event.action.as_str().to_owned()),
        outcome: Set(event.outcome.as_str().to_owned()),
        actor_kind: Set(event.actor.kind().to_owned()),
        actor_id: Set(event.actor.user_id().map(crate::domain::UserId::get)),
        subject_id: Set(event.subject.map(crate::domain::UserId::get)),
        ip: Set(event.origin.ip.map(|ip| ip.to_string())),
        user_agent: Set(event.origin.user_agent),
        request_id: Set(event.origin.request_id),
        details: Set(Value::Object(event.details).to_string()),
    };
    Entity::insert(row).exec_without_returning(connection).await?;
    Ok(())
}
