//! Handing the trail out.

use arc_swap::Guard;
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::value::RawValue;
use uuid::Uuid;

use super::super::model::{AuditEvent, Head, Sealed, hex};
use super::super::store;
use super::{BATCH, record_alone, seal_all};
use crate::app::AppState;
use crate::domain::{Actor, AuditAction, Origin, UserId};
use crate::error::ApiError;
use crate::security::KeyRing;

/// The `typ` of the signed head.
pub(super) const TYPE: &str = "audit-head+jwt";
/// The detail of the event of an export that names the key which has signed its head. The event is digested with a key
/// that the database doesn't hold, so the trail vouches for the signing key after that is gone.
pub(super) const SIGNED_BY: &str = "signed_by";

/// Which form of an export this is.
pub(super) const VERSION: u8 = 1;

/// The first line of an export.
#[derive(Serialize)]
struct HeadLine<'a> {
    r#type: &'static str,
    version: u8,
    #[serde(flatten)]
    statement: &'a Statement<'a>,
    /// The same, signed with the key that signs access tokens (RFC 7515): who has the published keys can check it.
    signature: String,
    /// The public half of that key (RFC 7517), which isn't published any more one day. Its thumbprint is the `kid` that
    /// the signature names.
    jwk: &'a RawValue,
}

/// What the head says.
#[derive(Serialize)]
struct Statement<'a> {
    iss: &'a str,
    /// The number of the first event of the export.
    first: i64,
    /// That of the last one; less than the first where there is none.
    last: i64,
    /// The link that the first one goes on from, in hexadecimal digits; empty at the very beginning.
    before: String,
    /// The link of the last one.
    link: String,
    sealed_at: DateTime<Utc>,
    exported_at: DateTime<Utc>,
}

/// Every other line.
#[derive(Serialize)]
struct EventLine<'a> {
    r#type: &'static str,
    number: i64,
    id: Uuid,
    occurred_at: DateTime<Utc>,
    action: &'a str,
    outcome: &'a str,
    actor_kind: &'a str,
    actor: Option<Uuid>,
    subject: Option<Uuid>,
    ip: Option<&'a str>,
    user_agent: Option<&'a str>,
    request_id: Option<&'a str>,
    details: &'a RawValue,
    mac: String,
    link: String,
}

/// Seals what waits, and hands out the whole trail as JSON lines: a signed head, then every event in order. That it is
/// handed out is its last event. Gives how many events there were.
///
/// # Errors
/// [`ApiError::DatabaseUnavailable`], and whatever `line` fails with; [`ApiError::Internal`] where the row of the chain was
/// changed by somebody else, or, after the last line, where an event of the chain is missing.
pub async fn export<E>(
    state: &AppState,
    actor: Actor,
    origin: &Origin,
    mut line: impl FnMut(&str) -> Result<(), E>,
) -> Result<u64, E>
where
    E: From<ApiError>,
{
    // One ring for all of it: the key that the event names is the one that signs.
    let ring = Guard::into_inner(state.keys.ring());
    let event = AuditEvent::success(&state.trail, AuditAction::AuditExported, actor, None, origin)
        .with(SIGNED_BY, ring.current_id());
    record_alone(&state.db, event).await?;
    seal_all(state).await?;
    let head = state
        .db
        .read(|reader| async move { store::head(&reader, false).await })
        .await?
        // What a hand has written there isn't signed.
        .filter(|(head, mac)| *mac == head.mac(&state.trail.key))
        .map(|(head, _)| head)
        .ok_or_else(|| {
            ApiError::internal("the row of audit_chain was changed or removed: see `roster audit verify`")
        })?;
    line(&head_line(state, &ring, &head)?)?;
    let mut reached = head.cut_number;
    let mut count = 0_u64;
    loop {
        let (after, up_to) = (reached, head.number);
        let events = state
            .db
            .read(move |reader| async move { store::sealed(&reader, after, up_to, BATCH).await })
            .await?;
        let Some(last) = events.last() else { break };
        reached = last.number;
        count += events.len() as u64;
        for event in &events {
            line(&event_line(event)?)?;
        }
    }
    // What there is has been handed out, but nothing can be held against it.
    if i64::try_from(count) != Ok(head.number - head.cut_number) {
        let fault = "the export is incomplete: events were removed meanwhile because of their age, or by somebody else; \
                     export again, and see `roster audit verify`";
        return Err(ApiError::internal(fault).into());
    }
    Ok(count)
}

fn head_line(state: &AppState, ring: &KeyRing, head: &Head) -> Result<String, ApiError> {
    let issuer = state.config.issuer();
    let statement = Statement {
        iss: &issuer,
        first: head.cut_number + 1,
        last: head.number,
        before: hex(&head.cut_link),
        link: hex(&head.link),
        sealed_at: head.sealed_at,
        exported_at: state.ambient.now(),
    };
    let signature = ring.sign(TYPE, &statement).map_err(ApiError::internal)?;
    let line = HeadLine {
        r#type: "head",
        version: VERSION,
        statement: &statement,
        signature,
        jwk: serde_json::from_str(ring.current_jwk()).map_err(ApiError::internal)?,
    };
    serde_json::to_string(&line).map_err(ApiError::internal)
}

/// An event as it is printed: each has one line that it can be, to the last byte.
pub(super) fn event_line(event: &Sealed) -> Result<String, ApiError> {
    let entry = &event.entry;
    // As it is digested.
    let occurred_at = DateTime::from_timestamp_millis(entry.occurred_at.timestamp_millis());
    let line = EventLine {
        r#type: "event",
        number: event.number,
        id: entry.id,
        occurred_at: occurred_at.unwrap_or(entry.occurred_at),
        action: &entry.action,
        outcome: &entry.outcome,
        actor_kind: &entry.actor_kind,
        actor: entry.actor.map(UserId::get),
        subject: entry.subject.map(UserId::get),
        ip: entry.ip.as_deref(),
        user_agent: entry.user_agent.as_deref(),
        request_id: entry.request_id.as_deref(),
        details: serde_json::from_str(&entry.details).map_err(ApiError::internal)?,
        mac: hex(&event.mac),
        link: hex(&event.link),
    };
    serde_json::to_string(&line).map_err(ApiError::internal)
}
