//! Somebody else's sessions over HTTP, for admins.

use actix_web::{HttpRequest, HttpResponse, web};

use super::super::service;
use super::{SessionList, page_of};
use crate::app::AppState;
use crate::auth::Administrator;
use crate::domain::Actor;
use crate::error::ApiError;
use crate::http::list::PageRequest;
use crate::http::mount::Operation;
use crate::http::origin::RequestOrigin;
use crate::http::path;
use crate::http::problem::Problem;
use crate::http::query::Query;

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::new::<__path_list_sessions_of>(|| web::to(list_sessions_of)),
        Operation::new::<__path_end_sessions_of>(|| web::to(end_sessions_of)),
    ]
}

/// List a user's sessions
///
/// Where the user is signed in, the newest first.
#[utoipa::path(
    get,
    path = "/admin/users/{id}/sessions",
    tag = "administration",
    params(
        ("id" = Uuid, Path, description = "The account's `id`"),
        ("limit" = Option<u64>, Query, description = "How many at most", minimum = 1, maximum = 200, example = 50),
        ("cursor" = Option<String>, Query, description = "The `next_cursor` of the page before"),
    ),
    responses(
        (status = 200, description = "A page of them", body = SessionList,
            headers(("Link" = Option<String>, description = "The next page, where there is one: `rel=\"next\"`"))),
        (status = 403, description = "Needs the role admin", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "There is no such account", body = Problem,
            content_type = "application/problem+json"),
        (status = 422, description = "An unknown parameter, or one out of its range", body = Problem,
            content_type = "application/problem+json"),
    ),
)]
async fn list_sessions_of(
    admin: Administrator,
    request: HttpRequest,
    id: web::Path<String>,
    page: Query<PageRequest>,
) -> Result<HttpResponse, ApiError> {
    let (state, id) = (AppState::of(&request)?, path::account(&id)?);
    service::check_account(state, id).await?;
    let path = format!("/admin/users/{id}/sessions");
    page_of(state, id, admin.0.session_id, page.0, &path).await
}

/// End a user's sessions
///
/// Signs the user out everywhere: access and refresh tokens are refused from the next request on.
#[utoipa::path(
    delete,
    path = "/admin/users/{id}/sessions",
    tag = "administration",
    params(("id" = Uuid, Path, description = "The account's `id`")),
    responses(
        (status = 204, description = "Ended"),
        (status = 403, description = "Needs the role admin", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "There is no such account", body = Problem,
            content_type = "application/problem+json"),
    ),
)]
async fn end_sessions_of(
    admin: Administrator,
    request: HttpRequest,
    id: web::Path<String>,
    origin: RequestOrigin,
) -> Result<HttpResponse, ApiError> {
    let state = AppState::of(&request)?;
    let actor = Actor::User(admin.0.user.id);
    service::end_all(state, path::account(&id)?, actor, origin.0).await?;
    Ok(HttpResponse::NoContent().finish())
}
