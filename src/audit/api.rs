//! The audit trail over HTTP: for admins all of it, for a user what concerns that user. Nothing here changes it.

use actix_web::{HttpRequest, HttpResponse, web};
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};
use uuid::Uuid;

use super::model::{Entry, EventFilter};
use super::service;
use crate::app::AppState;
use crate::auth::{Administrator, AuthenticatedUser};
use crate::config::Config;
use crate::domain::{AuditAction, UserId};
use crate::error::ApiError;
use crate::http::body::FromMembers;
use crate::http::json::Members;
use crate::http::list::{self, PageRequest};
use crate::http::mount::Operation;
use crate::http::openapi::one_of;
use crate::http::problem::Problem;
use crate::http::query::Query;

/// The operations of this feature.
#[must_use]
pub fn operations() -> Vec<Operation> {
    vec![
        Operation::new::<__path_list_events>(|| web::to(list_events)),
        Operation::new::<__path_list_own_events>(|| web::to(list_own_events)),
    ]
}

/// Who did something
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ActorResponse<'a> {
    /// `user`; `anonymous` for somebody who wasn't signed in; `operator` for the command line; `system` for Roster itself.
    #[schema(example = "user")]
    pub kind: &'a str,
    /// The user's id, or null.
    #[schema(required)]
    pub id: Option<Uuid>,
}

/// Something that happened
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuditEvent)]
#[serde(deny_unknown_fields)]
pub struct EventResponse<'a> {
    /// A `UUIDv7`.
    pub id: Uuid,
    /// When it happened.
    pub occurred_at: DateTime<Utc>,
    /// What was done.
    #[schema(example = "user.sign_in")]
    pub action: &'a str,
    /// `success`, or `failure` for what was refused.
    #[schema(example = "success")]
    pub outcome: &'a str,
    /// Who did it.
    pub actor: ActorResponse<'a>,
    /// To whom: the user's id, also of one who has left; null where it is about no account.
    #[schema(required)]
    pub subject: Option<Uuid>,
    /// The client's address, or null.
    #[schema(required, example = "203.0.113.7")]
    pub ip: Option<&'a str>,
    /// What the client called itself, or null.
    #[schema(required, max_length = 512)]
    pub user_agent: Option<&'a str>,
    /// The id of the request, or null.
    #[schema(required, max_length = 64)]
    pub request_id: Option<&'a str>,
    /// What else there is to say. Never a secret.
    #[schema(value_type = Object)]
    pub details: &'a RawValue,
}

impl<'a> EventResponse<'a> {
    /// As an admin sees it: all that it says.
    ///
    /// # Errors
    /// Where stored details aren't JSON, which only a hand in the database can do.
    pub fn of(entry: &'a Entry) -> Result<Self, ApiError> {
        Ok(Self {
            id: entry.id,
            occurred_at: entry.occurred_at,
            action: &entry.action,
            outcome: &entry.outcome,
            actor: ActorResponse {
                kind: &entry.actor_kind,
                id: entry.actor.map(UserId::get),
            },
            subject: entry.subject.map(UserId::get),
            ip: entry.ip.as_deref(),
            user_agent: entry.user_agent.as_deref(),
            request_id: entry.request_id.as_deref(),
            details: serde_json::from_str(&entry.details).map_err(ApiError::internal)?,
        })
    }

    /// As its subject sees it: where another user has done it, from where is that user's business.
    ///
    /// # Errors
    /// Where stored details aren't JSON, which only a hand in the database can do.
    pub fn for_subject(entry: &'a Entry) -> Result<Self, ApiError> {
        let mut event = Self::of(entry)?;
        if entry.actor.is_some() && entry.actor != entry.subject {
            event.ip = None;
            event.user_agent = None;
        }
        Ok(event)
    }

    /// As one of those sees it who are in it: where another user has done it, from where is that user's business; where it
    /// was done to another user, to whom.
    ///
    /// # Errors
    /// Where stored details aren't JSON, which only a hand in the database can do.
    pub fn for_one_of_them(entry: &'a Entry, user: UserId) -> Result<Self, ApiError> {
        if entry.subject == Some(user) {
            return Self::for_subject(entry);
        }
        let mut event = Self::of(entry)?;
        event.subject = None;
        Ok(event)
    }
}

/// A page of events
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AuditEventList<'a> {
    /// The events of this page, the newest first.
    pub items: Vec<EventResponse<'a>>,
    /// The `cursor` of the next page, or null.
    #[schema(required)]
    pub next_cursor: Option<String>,
}

/// The name of an action.
struct ActionName;

impl PartialSchema for ActionName {
    fn schema() -> RefOr<Schema> {
        one_of(AuditAction::ALL.iter().map(|action| action.as_str()))
    }
}

impl ToSchema for ActionName {}

struct EventQuery {
    filter: EventFilter,
    page: PageRequest,
}

impl FromMembers for EventQuery {
    fn from_members(members: &mut Members, config: &Config) -> Option<Self> {
        let filter = EventFilter {
            actor: user(members, "actor"),
            subject: user(members, "subject"),
            concerning: None,
            action: action(members),
            after: list::take_time(members, "after"),
            before: list::take_time(members, "before"),
        };
        let page = PageRequest::from_members(members, config)?;
        Some(Self { filter, page })
    }
}

fn user(members: &mut Members, name: &'static str) -> Option<UserId> {
    let text = members.string(name)?;
    let id = Uuid::try_parse(&text).ok();
    if id.is_none() {
        members.fault(name, "invalid", "must be the id of a user, a UUID");
    }
    id.map(UserId::new)
}

/// A misspelt action would find nothing, without a word.
fn action(members: &mut Members) -> Option<String> {
    let text = members.string("action")?;
    let is_known = AuditAction::ALL
        .iter()
        .any(|action| action.as_str() == text.as_str());
    if !is_known {
        let names: Vec<&str> = AuditAction::ALL.iter().map(|action| action.as_str()).collect();
        members.fault(
            "action",
            "not_allowed",
            format!("must be one of {}", names.join(", ")),
        );
    }
    is_known.then(|| text.clone())
}

/// Look into the audit trail
///
/// Who did what to whom, from where; the newest first. Needs the role `admin`.
#[utoipa::path(
    get,
    path = "/admin/audit",
    tag = "administration",
    params(
        ("actor" = Option<Uuid>, Query, description = "Only what this user did"),
        ("subject" = Option<Uuid>, Query, description = "Only what was done to this user"),
        ("action" = inline(Option<ActionName>), Query, description = "Only actions of this name", example = "user.sign_in"),
        ("after" = Option<DateTime<Utc>>, Query, description = "Only what happened then or later (RFC 3339)"),
        ("before" = Option<DateTime<Utc>>, Query, description = "Only what happened before then (RFC 3339)"),
        ("limit" = Option<u64>, Query, description = "How many at most", minimum = 1, maximum = 200, example = 50),
        ("cursor" = Option<String>, Query, description = "The `next_cursor` of the page before"),
    ),
    responses(
        (status = 200, description = "A page of events", body = AuditEventList,
            headers(("Link" = Option<String>, description = "The next page, where there is one: `rel=\"next\"`"))),
        (status = 403, description = "The role `admin` is missing", body = Problem,
            content_type = "application/problem+json"),
        (status = 422, description = "An unknown parameter, or one out of its range", body = Problem,
            content_type = "application/problem+json"),
    ),
)]
async fn list_events(
    _: Administrator,
    request: HttpRequest,
    query: Query<EventQuery>,
) -> Result<HttpResponse, ApiError> {
    let EventQuery { filter, page } = query.0;
    let found = Found::read(&request, filter, &page).await?;
    let items = found
        .entries
        .iter()
        .map(EventResponse::of)
        .collect::<Result<_, _>>()?;
    Ok(found.answer(&list::target("/admin/audit", &request), items))
}

/// See what concerns oneself
///
/// What was done to one's account, by whomever; the newest first.
#[utoipa::path(
    get,
    path = "/users/me/audit",
    tag = "accounts",
    params(
        ("limit" = Option<u64>, Query, description = "How many at most", minimum = 1, maximum = 200, example = 50),
        ("cursor" = Option<String>, Query, description = "The `next_cursor` of the page before"),
    ),
    responses(
        (status = 200, description = "A page of events", body = AuditEventList,
            headers(("Link" = Option<String>, description = "The next page, where there is one: `rel=\"next\"`"))),
        (status = 422, description = "An unknown parameter, or one out of its range", body = Problem,
            content_type = "application/problem+json"),
    ),
)]
async fn list_own_events(
    user: AuthenticatedUser,
    request: HttpRequest,
    page: Query<PageRequest>,
) -> Result<HttpResponse, ApiError> {
    let page = page.0;
    let filter = EventFilter {
        subject: Some(user.user.id),
        ..EventFilter::default()
    };
    let found = Found::read(&request, filter, &page).await?;
    let items = found
        .entries
        .iter()
        .map(EventResponse::for_subject)
        .collect::<Result<_, _>>()?;
    Ok(found.answer(&list::target("/users/me/audit", &request), items))
}

/// The events of a page.
struct Found {
    entries: Vec<Entry>,
    next_cursor: Option<String>,
}

impl Found {
    async fn read(request: &HttpRequest, filter: EventFilter, page: &PageRequest) -> Result<Self, ApiError> {
        let state = AppState::of(request)?;
        let mut entries = service::list(state, filter, page.after, page.wanted()).await?;
        let next_cursor = page.cut(&mut entries, |entry| entry.id);
        Ok(Self { entries, next_cursor })
    }

    fn answer(&self, target: &str, items: Vec<EventResponse<'_>>) -> HttpResponse {
        let next_cursor = self.next_cursor.clone();
        let page = AuditEventList { items, next_cursor };
        list::answer(target, self.next_cursor.as_deref(), &page)
    }
}
