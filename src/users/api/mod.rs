//! Accounts over HTTP.

mod admin;
mod admin_list;
mod admin_wire;
mod again;
mod members;

use actix_web::http::header::ETAG;
use actix_web::{HttpRequest, HttpResponse, web};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use uuid::Uuid;

use super::model::{Answer, NewUser, ProfileChanges, User};
use super::service::{self, Once, Registered};
use crate::app::AppState;
use crate::auth::AuthenticatedUser;
use crate::domain::Actor;
use crate::error::ApiError;
use crate::http::body::{Parsed, ParsedWithBytes};
use crate::http::conditional::{IfMatch, entity_tag};
use crate::http::idempotency::IdempotencyKey;
use crate::http::mount::Operation;
use crate::http::on_its_way::{MAIL_ON_ITS_WAY, MailOnItsWay};
use crate::http::origin::RequestOrigin;
use crate::http::problem::Problem;
use crate::http::rate_limit;

pub use admin_wire::AdminUserResponse;
pub use members::{parse_email, parse_password};

/// The operations of this feature.
#[must_use]
pub fn operations() -> Vec<Operation> {
    let mut operations = admin::operations();
    operations.extend(admin_list::operations());
    operations.extend([
        Operation::new::<__path_register>(|| web::to(register)),
        Operation::new::<__path_read_profile>(|| web::to(read_profile)),
        Operation::new::<__path_change_profile>(|| web::to(change_profile)),
        Operation::new::<__path_delete_account>(|| web::to(delete_account)),
    ]);
    operations
}

/// An account
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = User)]
#[serde(deny_unknown_fields)]
pub struct UserResponse<'a> {
    /// A `UUIDv7`.
    pub id: Uuid,
    /// The address in its canonical form: lower case, NFC, the domain in ASCII.
    #[schema(example = "ada@example.com", max_length = 254)]
    pub email: &'a str,
    /// Whether its owner has shown that mail to it arrives.
    pub email_verified: bool,
    /// An address that waits to be confirmed, or null.
    #[schema(required)]
    pub pending_email: Option<&'a str>,
    /// The name to be shown, or null.
    #[schema(required, example = "Ada Lovelace", max_length = 255)]
    pub display_name: Option<&'a str>,
    /// The language of mails to the user; not there where none was chosen.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "de-AT", max_length = 35)]
    pub locale: Option<&'a str>,
    /// What the client keeps with the account.
    #[schema(value_type = Object)]
    pub metadata: &'a RawValue,
    /// Names of roles, in order.
    pub roles: &'a [String],
    /// When the account was registered.
    pub created_at: DateTime<Utc>,
    /// When it was changed last.
    pub updated_at: DateTime<Utc>,
    /// When somebody signed in last, or null.
    #[schema(required)]
    pub last_login_at: Option<DateTime<Utc>>,
}

impl<'a> UserResponse<'a> {
    /// # Errors
    /// Where stored metadata isn't JSON, which only a hand in the database can do.
    fn of(user: &'a User) -> Result<Self, ApiError> {
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
        })
    }
}

/// What it takes to register
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateUserRequest {
    /// One plain e-mail address. Letter case, Unicode form and the spelling of the domain make no difference.
    #[schema(example = "ada@example.com")]
    pub email: String,
    /// 8 to 128 characters of any kind, counted in Unicode code points. Common and easily guessed ones are refused.
    #[schema(format = Password, example = "plum-orbit-canvas-47")]
    pub password: String,
    /// The name to be shown: at most 255 characters, kept exactly as sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, max_length = 255, example = "Ada Lovelace")]
    pub display_name: Option<String>,
    /// The language of mails to the user, as a BCP 47 tag.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, max_length = 35, example = "de-AT")]
    pub locale: Option<String>,
    /// Whatever the client wants to keep with the account: a JSON object of at most 16 KiB. Numbers are kept as
    /// 64-bit integers or IEEE 754 doubles.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Object)]
    pub metadata: Option<Map<String, Value>>,
}

/// What is to be changed; what isn't named stays as it is
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateUserRequest {
    /// A new e-mail address; needs `current_password`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub email: Option<String>,
    /// A new password; needs `current_password`. Every other session ends, and every access token issued before is
    /// refused from then on.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub password: Option<String>,
    /// The present password, to change the e-mail address or the password.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub current_password: Option<String>,
    /// A new name; the empty text removes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, max_length = 255, example = "Countess of Lovelace")]
    pub display_name: Option<String>,
    /// Another language of mails, as a BCP 47 tag; the empty text removes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, max_length = 35, example = "de-AT")]
    pub locale: Option<String>,
    /// New metadata, in place of the old as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Object)]
    pub metadata: Option<Map<String, Value>>,
}

/// Answers with a user and its entity tag.
///
/// # Errors
/// Where stored metadata isn't JSON, which only a hand in the database can do.
pub fn user_answer(
    mut response: actix_web::HttpResponseBuilder,
    user: &User,
) -> Result<HttpResponse, ApiError> {
    Ok(response
        .insert_header((ETAG, entity_tag(user.revision)))
        .json(UserResponse::of(user)?))
}

/// Register
///
/// Makes an account. It doesn't sign in: that is what `/login` is for. Where the server asks for a proof of the address
/// first, the answer is the same for every address, and a mail says how to go on.
#[utoipa::path(
    post,
    path = "/users/",
    tag = "accounts",
    security(()),
    request_body = CreateUserRequest,
    params(("Idempotency-Key" = Option<String>, Header,
        description = "A key of the client's own: the same request with the same key is done once, and answered as the \
            first time, for 24 hours", max_length = 257)),
    responses(
        (status = 201, description = "The new account", body = UserResponse,
            headers(("Location" = String, description = "Where its owner finds it"),
                    ("ETag" = String, description = "Its present state"))),
        (status = 202, description = "A mail is on its way to the address, whoever has it: where `registration.mode` is \
            `verified`, the account comes to be once the address is proven", body = MailOnItsWay),
        (status = 403, description = "Registration is closed", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "Another account has this e-mail address; or the first request with this \
            Idempotency-Key is still being answered", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "Too many registrations from this address", body = Problem,
            content_type = "application/problem+json"),
    ),
)]
async fn register(
    request: HttpRequest,
    origin: RequestOrigin,
    key: IdempotencyKey,
    body: ParsedWithBytes<NewUser>,
) -> Result<HttpResponse, ApiError> {
    let state = AppState::of(&request)?;
    let ParsedWithBytes(new, bytes) = body;
    let repeat = again::repeat(state, None, key, &bytes, |made| {
        registered(made.map(|made| &made.user))
    });
    let once = service::once(state, repeat, async |repeat| {
        let registered = service::register(state, new, origin.0, repeat).await;
        rate_limit::told(&request, registered)
    });
    let answer = match once.await? {
        Once::Again(answer) => answer,
        Once::First(Registered::Account(user)) => registered(Some(&user))?,
        Once::First(Registered::Mail) => registered(None)?,
    };
    Ok(again::reply(answer))
}

fn registered(user: Option<&User>) -> Result<Answer, ApiError> {
    match user {
        Some(user) => again::answer(
            201,
            &UserResponse::of(user)?,
            Some((user, "/users/me".to_owned())),
        ),
        None => again::answer(202, &MAIL_ON_ITS_WAY, None),
    }
}

/// Read the profile
///
/// The profile of whoever is signed in, as it is now.
#[utoipa::path(
    get,
    path = "/users/me",
    tag = "accounts",
    responses(
        (status = 200, description = "The account", body = UserResponse,
            headers(("ETag" = String, description = "Its present state, for If-Match"))),
    ),
)]
async fn read_profile(user: AuthenticatedUser) -> Result<HttpResponse, ApiError> {
    user_answer(HttpResponse::Ok(), &user.user)
}

/// Change the profile
///
/// Changes what is named and leaves the rest. A new e-mail address or password needs `current_password`. Where new
/// addresses have to be confirmed, one waits as `pending_email` until the code in the mail to it has been used. A new
/// password ends every other session and makes every older access token useless, the one of this request included:
/// sign in again. With `If-Match`, nothing is changed unless the profile is still in that state.
#[utoipa::path(
    method(put, patch),
    path = "/users/me",
    tag = "accounts",
    request_body = UpdateUserRequest,
    params(("If-Match" = Option<String>, Header, description = "The ETag of the state that is to be changed")),
    responses(
        (status = 200, description = "The account as it is now", body = UserResponse,
            headers(("ETag" = String, description = "Its present state"))),
        (status = 403, description = "`current_password` is wrong", body = Problem,
            content_type = "application/problem+json"),
        (status = 409, description = "Another account has this e-mail address, or another request was faster",
            body = Problem, content_type = "application/problem+json"),
        (status = 412, description = "The profile isn't in the state that If-Match names", body = Problem,
            content_type = "application/problem+json"),
        (status = 429, description = "Too many wrong passwords from this session; or too many registrations and taken \
            addresses from this client address", body = Problem, content_type = "application/problem+json"),
    ),
)]
async fn change_profile(
    request: HttpRequest,
    user: AuthenticatedUser,
    if_match: IfMatch,
    origin: RequestOrigin,
    body: Parsed<ProfileChanges>,
) -> Result<HttpResponse, ApiError> {
    let state = AppState::of(&request)?;
    let changed =
        service::change_profile(state, &user.user, user.session_id, body.0, if_match.0, origin.0).await;
    let changed = rate_limit::told(&request, changed)?;
    user_answer(HttpResponse::Ok(), &changed)
}

/// Delete the account
///
/// Removes the account and all that hangs on it, for good. The address can register again.
#[utoipa::path(
    delete,
    path = "/users/me",
    tag = "accounts",
    params(("If-Match" = Option<String>, Header, description = "The ETag of the state that is to be removed")),
    responses(
        (status = 204, description = "Gone"),
        (status = 409, description = "It is the last active admin", body = Problem,
            content_type = "application/problem+json"),
        (status = 412, description = "The profile isn't in the state that If-Match names", body = Problem,
            content_type = "application/problem+json"),
    ),
)]
async fn delete_account(
    request: HttpRequest,
    user: AuthenticatedUser,
    if_match: IfMatch,
    origin: RequestOrigin,
) -> Result<HttpResponse, ApiError> {
    let state = AppState::of(&request)?;
    let id = user.user.id;
    service::delete(
        state,
        id,
        Some(user.session_id),
        if_match.0,
        Actor::User(id),
        origin.0,
    )
    .await?;
    Ok(HttpResponse::NoContent().finish())
}
