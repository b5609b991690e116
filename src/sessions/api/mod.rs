//! One's own sessions over HTTP: seeing them, ending them, signing out.

mod admin;

use actix_web::http::header::SET_COOKIE;
use actix_web::{HttpRequest, HttpResponse, web};
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::model::{LogoutScope, Session};
use super::service;
use crate::app::AppState;
use crate::auth::AuthenticatedUser;
use crate::config::Config;
use crate::domain::{SessionId, UserId};
use crate::error::ApiError;
use crate::http::body::FromMembers;
use crate::http::json::Members;
use crate::http::list::PageRequest;
use crate::http::mount::Operation;
use crate::http::origin::RequestOrigin;
use crate::http::path;
use crate::http::problem::Problem;
use crate::http::query::Query;
use crate::http::refresh_cookie;

/// The operations of this feature.
#[must_use]
pub fn operations() -> Vec<Operation> {
    let mut operations = admin::operations();
    operations.extend([
        Operation::new::<__path_list_sessions>(|| web::to(list_sessions)),
        Operation::new::<__path_end_session>(|| web::to(end_session)),
        Operation::new::<__path_logout>(|| web::to(logout)),
    ]);
    operations
}

/// A session: one sign-in, on one device
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Session)]
#[serde(deny_unknown_fields)]
pub struct SessionResponse<'a> {
    /// A `UUIDv7`; the `sid` of its access tokens. A new password gives the session that set it another one.
    pub id: Uuid,
    /// When it began.
    pub created_at: DateTime<Utc>,
    /// When it was used last, to the minute.
    pub last_used_at: DateTime<Utc>,
    /// When it ends, unless it is refreshed before.
    pub expires_at: DateTime<Utc>,
    /// The address it began from, or null.
    #[schema(required, example = "203.0.113.7")]
    pub ip: Option<&'a str>,
    /// What the client called itself then, or null.
    #[schema(required, max_length = 512)]
    pub user_agent: Option<&'a str>,
    /// Whether it is the one that asks.
    pub current: bool,
}

impl<'a> SessionResponse<'a> {
    /// As the session that asks sees it, or, where none does, as an operator.
    #[must_use]
    pub fn of(session: &'a Session, asking: Option<SessionId>) -> Self {
        Self {
            id: session.id.get(),
            created_at: session.created_at,
            last_used_at: session.last_used_at,
            expires_at: session.idle_expires_at,
            ip: session.ip.as_deref(),
            user_agent: session.user_agent.as_deref(),
            current: asking == Some(session.id),
        }
    }
}

/// A page of sessions
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SessionList<'a> {
    /// The sessions of this page, the newest first.
    pub items: Vec<SessionResponse<'a>>,
    /// The `cursor` of the next page, or null.
    #[schema(required)]
    pub next_cursor: Option<String>,
}

/// List one's sessions
///
/// Where one is signed in, the newest first.
#[utoipa::path(
    get,
    path = "/users/me/sessions",
    tag = "sessions",
    params(
        ("limit" = Option<u64>, Query, description = "How many at most", minimum = 1, maximum = 200, example = 50),
        ("cursor" = Option<String>, Query, description = "The `next_cursor` of the page before"),
    ),
    responses(
        (status = 200, description = "A page of them", body = SessionList,
            headers(("Link" = Option<String>, description = "The next page, where there is one: `rel=\"next\"`"))),
        (status = 422, description = "An unknown parameter, or one out of its range", body = Problem,
            content_type = "application/problem+json"),
    ),
)]
async fn list_sessions(
    request: HttpRequest,
    user: AuthenticatedUser,
    page: Query<PageRequest>,
) -> Result<HttpResponse, ApiError> {
    let state = AppState::of(&request)?;
    page_of(state, user.user.id, user.session_id, page.0, "/users/me/sessions").await
}

/// A page of a user's sessions, as one that may be one of them sees it.
async fn page_of(
    state: &AppState,
    user_id: UserId,
    asking: SessionId,
    page: PageRequest,
    path: &str,
) -> Result<HttpResponse, ApiError> {
    let after = page.after.map(SessionId::new);
    let mut sessions = service::list(state, user_id, after, page.wanted()).await?;
    let next_cursor = page.cut(&mut sessions, |session| session.id.get());
    let list = SessionList {
        items: sessions
            .iter()
            .map(|session| SessionResponse::of(session, Some(asking)))
            .collect(),
        next_cursor: next_cursor.clone(),
    };
    Ok(page.answer(path, next_cursor.as_deref(), &list))
}

/// End one of one's sessions
///
/// Signs out there: its access and refresh tokens are refused from the next request on.
#[utoipa::path(
    delete,
    path = "/users/me/sessions/{id}",
    tag = "sessions",
    params(("id" = Uuid, Path, description = "The session's `id`")),
    responses(
        (status = 204, description = "Ended"),
        (status = 404, description = "You have no such session", body = Problem,
            content_type = "application/problem+json"),
    ),
)]
async fn end_session(
    request: HttpRequest,
    user: AuthenticatedUser,
    id: web::Path<String>,
    origin: RequestOrigin,
) -> Result<HttpResponse, ApiError> {
    let id = path::id(&id).ok_or_else(|| ApiError::NotFound("You have no such session.".into()))?;
    let state = AppState::of(&request)?;
    service::end(state, user.user.id, user.session_id, SessionId::new(id), origin.0).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Which sessions end
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum WhichSessions {
    /// The one that asks.
    Current,
    /// All but the one that asks.
    Others,
    /// All.
    All,
}

struct LogoutQuery(LogoutScope);

impl FromMembers for LogoutQuery {
    fn from_members(members: &mut Members, _: &Config) -> Option<Self> {
        let Some(name) = members.string("scope") else {
            return Some(Self(LogoutScope::Current));
        };
        let scope = LogoutScope::from_name(&name);
        if scope.is_none() {
            members.fault("scope", "not_allowed", "must be current, others or all");
        }
        scope.map(Self)
    }
}

/// Sign out
///
/// Ends the session that asks, all others, or all. Their access and refresh tokens are refused from the next request
/// on. A refresh cookie is removed with the session.
#[utoipa::path(
    post,
    path = "/logout",
    tag = "sessions",
    params(("scope" = inline(Option<WhichSessions>), Query, description = "Which to end; `current` where it isn't said")),
    responses(
        (status = 204, description = "Signed out"),
        (status = 422, description = "There is no such scope", body = Problem,
            content_type = "application/problem+json"),
    ),
)]
async fn logout(
    request: HttpRequest,
    user: AuthenticatedUser,
    query: Query<LogoutQuery>,
    origin: RequestOrigin,
) -> Result<HttpResponse, ApiError> {
    let state = AppState::of(&request)?;
    let scope = query.0.0;
    service::logout(state, user.user.id, user.session_id, scope, origin.0).await?;
    let mut response = HttpResponse::NoContent();
    if scope != LogoutScope::Others && refresh_cookie::is_sent(&request, state) {
        response.insert_header((SET_COOKIE, refresh_cookie::clear(state)));
    }
    Ok(response.finish())
}
