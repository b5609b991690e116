//! Accounts over HTTP, for admins: making, changing and removing them.

use actix_web::http::header::ETAG;
use actix_web::{HttpRequest, HttpResponse, web};

use super::super::model::{AccountChanges, AdminUser, Answer, NewAccount};
use super::super::service::{self, Once};
use super::admin_wire::{AdminUserResponse, CreateAccountRequest, UpdateAccountRequest};
use super::again;
use crate::app::AppState;
use crate::auth::Administrator;
use crate::domain::Actor;
use crate::error::ApiError;
use crate::http::body::{Parsed, ParsedWithBytes};
use crate::http::conditional::{IfMatch, entity_tag};
use crate::http::idempotency::IdempotencyKey;
use crate::http::mount::Operation;
use crate::http::on_its_way::{MailOnItsWay, mail_is_on_its_way};
use crate::http::origin::RequestOrigin;
use crate::http::path;
use crate::http::problem::Problem;

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::new::<__path_create_account>(|| web::to(create_account)),
        Operation::new::<__path_read_account>(|| web::to(read_account)),
        Operation::new::<__path_change_account>(|| web::to(change_account)),
        Operation::new::<__path_remove_account>(|| web::to(remove_account)),
        Operation::new::<__path_mail_reset>(|| web::to(mail_reset)),
    ]
}

fn account_answer(seen: &AdminUser) -> Result<HttpResponse, ApiError> {
    Ok(HttpResponse::Ok()
        .insert_header((ETAG, entity_tag(seen.user.revision)))
        .json(AdminUserResponse::of(seen)?))
}

fn created(made: &AdminUser) -> Result<Answer, ApiError> {
    let location = format!("/admin/users/{}", made.user.id);
    again::answer(201, &AdminUserResponse::of(made)?, Some((&made.user, location)))
}

/// Make an account
///
/// With a password, or without one and with a mail that invites its owner to choose it.
#[utoipa::path(
    post,
    path = "/admin/users",
    tag = "administration",
    request_body = CreateAccountRequest,
    params(("Idempotency-Key" = Option<String>, Header,
        description = "A key of the client's own: the same request with the same key is done once, and answered as the \
            first time, for 24 hours", max_length = 257)),
    responses(
        (status = 201, description = "The new account", body = AdminUserResponse,
            headers(("Location" = String, description = "Where it is"),
                    ("ETag" = String, description = "Its present state"))),
        (status = 403, description = "Needs the role admin", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "Another account has this e-mail address; or the first request with this \
            Idempotency-Key is still being answered", body = Problem, content_type = "application/problem+json"),
    ),
)]
async fn create_account(
    admin: Administrator,
    request: HttpRequest,
    origin: RequestOrigin,
    key: IdempotencyKey,
    body: ParsedWithBytes<NewAccount>,
) -> Result<HttpResponse, ApiError> {
    let state = AppState::of(&request)?;
    let ParsedWithBytes(new, bytes) = body;
    let admin = admin.0.user.id;
    let repeat = again::repeat(state, Some(admin), key, &bytes, |made| {
        created(made.ok_or_else(|| ApiError::internal("an account that isn't there"))?)
    });
    let once = service::once(state, repeat, async |repeat| {
        service::create_account(state, new, Actor::User(admin), origin.0, repeat).await
    });
    Ok(again::reply(match once.await? {
        Once::Again(answer) => answer,
        Once::First(made) => created(&made)?,
    }))
}

/// Read an account
#[utoipa::path(
    get,
    path = "/admin/users/{id}",
    tag = "administration",
    params(("id" = Uuid, Path, description = "The account's `id`")),
    responses(
        (status = 200, description = "The account", body = AdminUserResponse,
            headers(("ETag" = String, description = "The present state of what can be changed, for If-Match"))),
        (status = 403, description = "Needs the role admin", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "There is no such account", body = Problem,
            content_type = "application/problem+json"),
    ),
)]
async fn read_account(
    _: Administrator,
    request: HttpRequest,
    id: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let seen = service::administered(AppState::of(&request)?, path::account(&id)?).await?;
    account_answer(&seen)
}

/// Change an account
///
/// Changes what is named, all of it or nothing, and leaves the rest. Another password or status ends the user's sessions and
/// is told to the user, where the server sends mail. With `If-Match`, nothing is changed unless the account is still in that
/// state.
#[utoipa::path(
    patch,
    path = "/admin/users/{id}",
    tag = "administration",
    request_body = UpdateAccountRequest,
    params(("id" = Uuid, Path, description = "The account's `id`"),
        ("If-Match" = Option<String>, Header, description = "The ETag of the state that is to be changed")),
    responses(
        (status = 200, description = "The account as it is now", body = AdminUserResponse,
            headers(("ETag" = String, description = "Its present state"))),
        (status = 403, description = "Needs the role admin", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "There is no such account", body = Problem,
            content_type = "application/problem+json"),
        (status = 409, description = "Another account has this e-mail address; or no active admin would be left",
            body = Problem, content_type = "application/problem+json"),
        (status = 412, description = "The account isn't in the state that If-Match names", body = Problem,
            content_type = "application/problem+json"),
    ),
)]
async fn change_account(
    admin: Administrator,
    request: HttpRequest,
    id: web::Path<String>,
    if_match: IfMatch,
    origin: RequestOrigin,
    body: Parsed<AccountChanges>,
) -> Result<HttpResponse, ApiError> {
    let state = AppState::of(&request)?;
    let (id, actor) = (path::account(&id)?, Actor::User(admin.0.user.id));
    let seen = service::change_account(state, id, body.0, if_match.0, actor, origin.0).await?;
    account_answer(&seen)
}

/// Remove an account
///
/// Removes the account and all that hangs on it, for good. The address can register again.
#[utoipa::path(
    delete,
    path = "/admin/users/{id}",
    tag = "administration",
    params(("id" = Uuid, Path, description = "The account's `id`"),
        ("If-Match" = Option<String>, Header, description = "The ETag of the state that is to be removed")),
    responses(
        (status = 204, description = "Gone"),
        (status = 403, description = "Needs the role admin", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "There is no such account", body = Problem,
            content_type = "application/problem+json"),
        (status = 409, description = "It is the last active admin", body = Problem,
            content_type = "application/problem+json"),
        (status = 412, description = "The account isn't in the state that If-Match names", body = Problem,
            content_type = "application/problem+json"),
    ),
)]
async fn remove_account(
    admin: Administrator,
    request: HttpRequest,
    id: web::Path<String>,
    if_match: IfMatch,
    origin: RequestOrigin,
) -> Result<HttpResponse, ApiError> {
    let state = AppState::of(&request)?;
    let actor = Actor::User(admin.0.user.id);
    service::delete(state, path::account(&id)?, None, if_match.0, actor, origin.0).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Mail a password reset
///
/// Mails the user a code to choose a new password; the admin learns neither. Where the server sends no mail, there is nothing
/// here.
#[utoipa::path(
    post,
    path = "/admin/users/{id}/password-reset",
    tag = "administration",
    params(("id" = Uuid, Path, description = "The account's `id`")),
    responses(
        (status = 202, description = "A mail is on its way", body = MailOnItsWay),
        (status = 403, description = "Needs the role admin", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "There is no such account, or no mail", body = Problem,
            content_type = "application/problem+json"),
        (status = 409, description = "The account is disabled", body = Problem,
            content_type = "application/problem+json"),
    ),
)]
async fn mail_reset(
    admin: Administrator,
    request: HttpRequest,
    id: web::Path<String>,
    origin: RequestOrigin,
) -> Result<HttpResponse, ApiError> {
    let state = AppState::of(&request)?;
    let actor = Actor::User(admin.0.user.id);
    service::mail_reset(state, path::account(&id)?, actor, origin.0).await?;
    Ok(mail_is_on_its_way())
}
