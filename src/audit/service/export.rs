//! Handing the trail out.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::value::RawValue;
use uuid::Uuid;

use super::super::model::{AuditEvent, Head, Sealed, hex};
use super::super::store;
use super::{BATCH, seal_all};
use crate::app::AppState;
use crate::domain::{Actor, AuditAction, Origin, UserId};
use crate::error::ApiError;

/// The `typ` of the signed head.
const TYPE: &str = "audit-head+jwt";

/// The first line of an export.
#[derive(Serialize)]
struct HeadLine<'a> {
    r#type: &'static str,
    version: u8,
    #[serde(flatten)]
    statement: &'a Statement<'a>,
    /// The same, signed with the key that signs access tokens (RFC 7515): who has the published keys can check it.
    signature: String,
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
/// [`ApiError::DatabaseUnavailable`], and whatever `line` fails with.
pub async fn export<E>(
    state: &AppState,
    actor: Actor,
    origin: &Origin,
    mut line: impl FnMut(&str) -> Result<(), E>,
) -> Result<u64, E>
where
    E: From<ApiError>,
{
    let event = AuditEvent::success(&state.trail, AuditAction::AuditExported, actor, None, origin);
    state
        .db
        .write(move |writer| async move {
            let transaction = writer.begin().await?;
            store::record(&*transaction, event).await?;
            transaction.commit().await
        })
        .await?;
    seal_all(state).await?;
    let head = state
        .db
        .read(|reader| async move { store::head(&reader, false).await })
        .await?
        .map(|(head, _)| head)
        .ok_or_else(|| ApiError::internal("the audit chain has no row"))?;
    line(&head_line(state, &head)?)?;
    let mut reached = head.cut_number;
    let mut count = 0;
    loop {
        let (after, up_to) = (reached, head.number);
        let events = state
            .db
            .read(move |reader| async move { store::sealed(&reader, after, up_to, BATCH).await })
            .await?;
        let Some(last) = events.last() else {
            return Ok(count);
        };
        reached = last.number;
        count += events.len() as u64;
        for event in &events {
            line(&event_line(event)?)?;
        }
    }
}

fn head_line(state: &AppState, head: &Head) -> Result<String, ApiError> {
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
    let signature = state
        .keys
        .ring()
        .sign(TYPE, &statement)
        .map_err(ApiError::internal)?;
    let line = HeadLine {
        r#type: "head",
        version: 1,
        statement: &statement,
        signature,
    };
    serde_json::to_string(&line).map_err(ApiError::internal)
}

fn event_line(event: &Sealed) -> Result<String, ApiError> {
    let entry = &event.entry;
    let line = EventLine {
        r#type: "event",
        number: event.number,
        id: entry.id,
        occurred_at: entry.occurred_at,
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
