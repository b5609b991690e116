//! Accounts over HTTP, for admins: making, changing and removing them.

use actix_web::http::header::ETAG;
use actix_web::{HttpRequest, HttpResponse, web};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use uuid::Uuid;

use super::super::model::{AccountChanges, AdminUser, Answer, NewAccount};
use super::super::service::{self, Once};
use super::again;
use super::members::{
    parse_display_name, parse_email, parse_locale, parse_metadata, parse_password, parse_roles, parse_status,
};
use crate::app::AppState;
use crate::auth::Administrator;
use crate::config::Config;
use crate::domain::{Actor, UserId};
use crate::error::ApiError;
use crate::http::body::{FromMembers, Parsed, ParsedWithBytes};
use crate::http::conditional::{IfMatch, entity_tag};
use crate::http::idempotency::IdempotencyKey;
use crate::http::json::Members;
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

/// An account, as an admin sees it
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AdminUser)]
#[serde(deny_unknown_fields)]
pub struct AdminUserResponse<'a> {
    /// A `UUIDv7`.
    pub id: Uuid,
    /// The address in its canonical form.
    #[schema(example = "ada@example.com", max_length = 254)]
    pub email: &'a str,
    /// Whether its owner has shown that mail to it arrives.
    pub email_verified: bool,
    /// An address that waits to be confirmed, or null.
    #[schema(required)]
    pub pending_email: Option<&'a str>,
    /// The name to be shown, or null.
    #[schema(required, max_length = 255)]
    pub display_name: Option<&'a str>,
    /// The language of mails to the user; not there where none was chosen.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, max_length = 35)]
    pub locale: Option<&'a str>,
    /// What the client keeps with the account.
    #[schema(value_type = Object)]
    pub metadata: &'a RawValue,
    /// Names of roles, in order.
    pub roles: &'a [String],
    /// When the account came to be.
    pub created_at: DateTime<Utc>,
    /// When it was changed last.
    pub updated_at: DateTime<Utc>,
    /// When somebody signed in last, or null.
    #[schema(required)]
    pub last_login_at: Option<DateTime<Utc>>,
    /// `active` or `disabled`.
    #[schema(example = "active")]
    pub status: &'static str,
    /// How many wrong passwords are remembered.
    pub failed_logins: u32,
    /// Until when no password is looked at, or null.
    #[schema(required)]
    pub locked_until: Option<DateTime<Utc>>,
    /// How many sessions there are.
    pub sessions: u64,
    /// How the password is hashed, or null where there is none.
    #[schema(required, example = "bcrypt cost=12")]
    pub password_scheme: Option<&'a str>,
}

impl<'a> AdminUserResponse<'a> {
    /// # Errors
    /// Where stored metadata isn't JSON, which only a hand in the database can do.
    pub(super) fn of(seen: &'a AdminUser) -> Result<Self, ApiError> {
        let user = &seen.user;
        Ok(Self {
            id: user.id.get(),
            email: &user.email,
            email_verified: user.email_verified,
            pending_email: user.pending_email.as_deref(),
            display_name: user.display_name.as_deref(),
            locale: user.locale.as_deref(),
            metadata: serde_json::from_str(user.metadata.as_json()).map_err(ApiError::internal)?,
            roles: &user.roles,
            created_at: user.created_at,
            updated_at: user.updated_at,
            last_login_at: user.last_login_at,
            status: user.status.as_str(),
            failed_logins: seen.failed_logins,
            locked_until: seen.locked_until,
            sessions: seen.sessions,
            password_scheme: seen.password_scheme.as_deref(),
        })
    }
}

/// What an account begins with
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateAccountRequest {
    /// One plain e-mail address.
    #[schema(example = "ada@example.com")]
    pub email: String,
    /// A password; without one, the owner is invited by mail to choose it, where the server sends mail.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = Password)]
    pub password: Option<String>,
    /// The name to be shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, max_length = 255)]
    pub display_name: Option<String>,
    /// The language of mails to the user, as a BCP 47 tag.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, max_length = 35)]
    pub locale: Option<String>,
    /// A JSON object of at most 16 KiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Object)]
    pub metadata: Option<Map<String, Value>>,
    /// Names of roles.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub roles: Option<Vec<String>>,
    /// Whether the address needs no proof.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub email_verified: Option<bool>,
}

/// What is to be changed of an account; what isn't named stays as it is
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateAccountRequest {
    /// A new address, in force at once; not verified unless that is said as well.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub email: Option<String>,
    /// A new password. Every session ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = Password)]
    pub password: Option<String>,
    /// A new name; the empty text removes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, max_length = 255)]
    pub display_name: Option<String>,
    /// Another language of mails; the empty text removes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, max_length = 35)]
    pub locale: Option<String>,
    /// New metadata, in place of the old as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Object)]
    pub metadata: Option<Map<String, Value>>,
    /// Roles, in place of the present ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub roles: Option<Vec<String>>,
    /// `active` or `disabled`. Where it changes, every session ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "disabled")]
    pub status: Option<String>,
    /// Whether the address counts as proven.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub email_verified: Option<bool>,
}

impl FromMembers for NewAccount {
    fn from_members(members: &mut Members, config: &Config) -> Option<Self> {
        let email = members.required_string("email");
        let email = email.and_then(|text| parse_email(members, &text));
        let has_password = members.has("password");
        if !has_password && !config.sends_mail() {
            let detail = "is required: this server sends no mail to invite somebody with";
            members.fault("password", "missing", detail);
        }
        let password = members
            .string("password")
            .and_then(|text| parse_password(members, &text, config));
        let display_name = parse_display_name(members);
        let locale = parse_locale(members);
        let metadata = parse_metadata(members);
        let roles = parse_roles(members);
        let email_verified = members.boolean("email_verified");
        if has_password && password.is_none() {
            return None;
        }
        Some(Self {
            email: email?,
            password,
            display_name: display_name.into_set(),
            locale: locale.into_set(),
            metadata: metadata.unwrap_or_default(),
            roles: roles.unwrap_or_default(),
            email_verified: email_verified.unwrap_or_default(),
        })
    }
}

impl FromMembers for AccountChanges {
    fn from_members(members: &mut Members, config: &Config) -> Option<Self> {
        Some(Self {
            email: members
                .string("email")
                .and_then(|text| parse_email(members, &text)),
            password: members
                .string("password")
                .and_then(|text| parse_password(members, &text, config)),
            display_name: parse_display_name(members),
            locale: parse_locale(members),
            metadata: parse_metadata(members),
            roles: parse_roles(members),
            status: parse_status(members),
            email_verified: members.boolean("email_verified"),
        })
    }
}

/// The account that a path names.
fn account_id(text: &str) -> Result<UserId, ApiError> {
    let id = path::id(text).map(UserId::new);
    id.ok_or_else(|| ApiError::NotFound("There is no such account.".into()))
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
        service::create_account(state, new, admin, origin.0, repeat).await
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
    let seen = service::administered(AppState::of(&request)?, account_id(&id)?).await?;
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
    let (id, admin) = (account_id(&id)?, admin.0.user.id);
    let seen = service::change_account(state, id, body.0, if_match.0, admin, origin.0).await?;
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
    service::delete(state, account_id(&id)?, None, if_match.0, actor, origin.0).await?;
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
    service::mail_reset(state, account_id(&id)?, admin.0.user.id, origin.0).await?;
    Ok(mail_is_on_its_way())
}
