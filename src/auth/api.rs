//! Signing in over HTTP.

use actix_web::http::header::SET_COOKIE;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::model::SignIn;
use super::service;
use crate::app::AppState;
use crate::config::Config;
use crate::domain::{EmailAddress, PasswordAttempt};
use crate::error::ApiError;
use crate::http::body::{FromMembers, Parsed};
use crate::http::json::Members;
use crate::http::mount::Operation;
use crate::http::origin::RequestOrigin;
use crate::http::problem::Problem;
use crate::http::{rate_limit, refresh_cookie};

/// The operations of this feature.
#[must_use]
pub fn operations() -> Vec<Operation> {
    vec![Operation::new::<__path_login>(|| web::to(login))]
}

/// Address and password, as JSON: the address as `email`, or as `username`
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum LoginRequest {
    /// The address as `email`.
    Email(LoginWithEmail),
    /// The address as `username`.
    Username(LoginWithUsername),
}

/// Address and password
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LoginWithEmail {
    /// The e-mail address of the account.
    #[schema(example = "ada@example.com")]
    pub email: String,
    /// The password.
    #[schema(example = "plum-orbit-canvas-47")]
    pub password: String,
    /// Whether the refresh token goes into a cookie that no script can read, instead of into the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub cookie: Option<bool>,
}

/// Address, called `username`, and password
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LoginWithUsername {
    /// The e-mail address of the account.
    #[schema(example = "ada@example.com")]
    pub username: String,
    /// The password.
    #[schema(example = "plum-orbit-canvas-47")]
    pub password: String,
    /// Whether the refresh token goes into a cookie that no script can read, instead of into the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub cookie: Option<bool>,
}

/// Address and password, as the form of OAuth 2.0's password grant (RFC 6749 §4.3.2)
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct LoginForm {
    /// The e-mail address of the account.
    pub username: String,
    /// The password.
    #[schema(format = Password)]
    pub password: String,
    /// `password`, where it is sent at all.
    #[schema(nullable = false)]
    pub grant_type: Option<String>,
    /// Taken and not needed.
    #[schema(nullable = false)]
    pub scope: Option<String>,
    /// Taken and not needed.
    #[schema(nullable = false)]
    pub client_id: Option<String>,
    /// Taken and not needed.
    #[schema(nullable = false)]
    pub client_secret: Option<String>,
    /// Whether the refresh token goes into a cookie that no script can read, instead of into the answer.
    #[schema(nullable = false)]
    pub cookie: Option<bool>,
}

/// An access token, and the refresh token that gets the next one
#[derive(Debug, Serialize, ToSchema)]
pub struct TokenResponse<'a> {
    /// A JWT (RFC 9068) for the header `Authorization: Bearer TOKEN`. Opaque to the client.
    pub access_token: &'a str,
    /// `bearer`.
    #[schema(example = "bearer")]
    pub token_type: &'a str,
    /// How many seconds the token is good for.
    #[schema(example = 900)]
    pub expires_in: u64,
    /// For `grant_type=refresh_token` at `/oauth/token`. Opaque, and good for one use. Not there where a cookie carries
    /// it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(
        nullable = false,
        example = "roster_rt_Jc3VYRwQ8v2JcJ4Vt2Yd0nKp2hM5sXb7eQfLrTzGkAo"
    )]
    pub refresh_token: Option<&'a str>,
    /// How many seconds the refresh token is good for.
    #[schema(example = 2_592_000)]
    pub refresh_expires_in: u64,
}

/// What `/login` is sent.
struct Login {
    attempt: SignIn,
    wants_cookie: bool,
}

impl FromMembers for Login {
    const TAKES_FORM: bool = true;

    fn from_members(members: &mut Members, config: &Config) -> Option<Self> {
        let wants_cookie = members.flag("cookie");
        let attempt = SignIn::from_members(members, config)?;
        Some(Self {
            attempt,
            wants_cookie,
        })
    }
}

impl FromMembers for SignIn {
    const TAKES_FORM: bool = true;

    fn from_members(members: &mut Members, _: &Config) -> Option<Self> {
        let name = match (members.has("email"), members.has("username")) {
            _ if members.is_form() => "username",
            (true, true) => {
                members.ignore(&["username"]);
                members.fault(
                    "username",
                    "unknown_member",
                    "must not be sent together with email",
                );
                "email"
            }
            (false, true) => "username",
            (_, false) => "email",
        };
        if members.is_form()
            && members
                .string("grant_type")
                .is_some_and(|grant| grant != "password")
        {
            members.fault(
                "grant_type",
                "unsupported",
                "must be password, where it is sent at all",
            );
        }
        let email = members.required_string(name);
        let password = members.required_string("password");
        // Whether the text can be an address at all is part of what a failure doesn't tell.
        Some(Self {
            email: EmailAddress::parse(&email?).ok(),
            password: PasswordAttempt::parse(&password?),
        })
    }
}

/// Sign in
///
/// Exchanges address and password for an access token and a refresh token. The failure is the same for an unknown
/// address and for a wrong password. With `cookie`, the refresh token goes into a cookie that is `HttpOnly` and
/// `SameSite=Strict`, out of reach of script.
#[utoipa::path(
    post,
    path = "/login",
    tag = "tokens",
    security(()),
    request_body(content(
        (LoginRequest = "application/json"),
        (LoginForm = "application/x-www-form-urlencoded"),
    )),
    responses(
        (status = 200, description = "Signed in", body = TokenResponse,
            headers(("Set-Cookie" = Option<String>, description = "The refresh token, where a cookie is asked for"))),
        (status = 401, description = "Unknown address or wrong password", body = Problem,
            content_type = "application/problem+json"),
        (status = 403, description = "The account is disabled; or a page of another origin asks for a cookie", body = Problem,
            content_type = "application/problem+json"),
        (status = 409, description = "The account is being changed by other requests", body = Problem,
            content_type = "application/problem+json"),
        (status = 429, description = "Too many wrong passwords on this account or from this address", body = Problem,
            content_type = "application/problem+json"),
    ),
)]
async fn login(
    request: HttpRequest,
    origin: RequestOrigin,
    body: Parsed<Login>,
) -> Result<HttpResponse, ApiError> {
    let state = AppState::of(&request)?;
    let Login {
        attempt,
        wants_cookie,
    } = body.0;
    if wants_cookie {
        refresh_cookie::check_may_be_set(&request, state)?;
    }
    let issued = rate_limit::told(&request, service::sign_in(state, attempt, origin.0).await)?;
    let refresh_token = issued.refresh_token.expose();
    let refresh_expires_in = issued.refresh_expires_in.as_secs();
    let mut response = HttpResponse::Ok();
    if wants_cookie {
        response.insert_header((
            SET_COOKIE,
            refresh_cookie::set(state, &refresh_token, refresh_expires_in),
        ));
    }
    Ok(response.json(TokenResponse {
        access_token: issued.access_token.expose(),
        token_type: "bearer",
        expires_in: issued.expires_in.as_secs(),
        refresh_token: (!wants_cookie).then_some(refresh_token.as_str()),
        refresh_expires_in,
    }))
}
