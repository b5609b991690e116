//! An entry of the audit trail.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::clock::Ambient;
use crate::domain::{Actor, AuditAction, AuditOutcome, Origin, UserId};

/// Something that happened.
#[derive(Clone, Debug)]
pub struct AuditEvent {
    /// A `UUIDv7`.
    pub id: Uuid,
    /// When.
    pub occurred_at: DateTime<Utc>,
    /// What.
    pub action: AuditAction,
    /// How it ended.
    pub outcome: AuditOutcome,
    /// Who did it.
    pub actor: Actor,
    /// To whom; none where the address that was tried has no account, or the matter isn't an account.
    pub subject: Option<UserId>,
    /// From where.
    pub origin: Origin,
    /// What else there is to say: never a secret, never an address.
    pub details: Map<String, Value>,
}

impl AuditEvent {
    /// A success, now.
    #[must_use]
    pub fn success(
        ambient: &Ambient,
        action: AuditAction,
        actor: Actor,
        subject: Option<UserId>,
        origin: &Origin,
    ) -> Self {
        Self {
            id: ambient.new_uuid(),
            occurred_at: ambient.now(),
            action,
            outcome: AuditOutcome::Success,
            actor,
            subject,
            origin: origin.clone(),
            details: Map::new(),
        }
    }

    /// A refusal, now, with its reason.
    #[must_use]
    pub fn failure(
        ambient: &Ambient,
        action: AuditAction,
        actor: Actor,
        subject: Option<UserId>,
        origin: &Origin,
        reason: &'static str,
    ) -> Self {
        let mut event = Self::success(ambient, action, actor, subject, origin).with("reason", reason);
        event.outcome = AuditOutcome::Failure;
        event
    }

    /// With one more detail.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.details.insert(name.to_owned(), value.into());
        self
    }
}
