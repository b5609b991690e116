//! `POST /oauth/token`.

use actix_web::http::header::{PRAGMA, SET_COOKIE};
use actix_web::{HttpRequest, HttpResponse};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use zeroize::Zeroizing;

use super::super::model::Grant;
use super::super::service;
use crate::app::AppState;
use crate::auth::SignIn;
use crate::config::Config;
use crate::error::ApiError;
use crate::http::body::{FromMembers, Parsed};
use crate::http::json::Members;
use crate::http::oauth::OAuthError;
use crate::http::origin::RequestOrigin;
use crate::http::{rate_limit, refresh_cookie};
use crate::security::SCOPE;

/// What is offered for tokens, as JSON
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenRequest {
    /// `refresh_token`, or `password` unless it is switched off.
    #[schema(example = "refresh_token")]
    pub grant_type: String,
    /// With `grant_type=refresh_token`: the refresh token. It may be left out where a cookie has it.
    #[schema(nullable = false)]
    pub refresh_token: Option<String>,
    /// With `grant_type=password`: the e-mail address.
    #[schema(nullable = false)]
    pub username: Option<String>,
    /// With `grant_type=password`: the password.
    #[schema(nullable = false, format = Password)]
    pub password: Option<String>,
    /// Nothing but `account` can be asked for, and it is what is given without asking.
    #[schema(nullable = false, example = "account")]
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

/// What is offered for tokens, as the form of OAuth 2.0 (RFC 6749 §4.3.2 and §6)
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct TokenForm {
    /// `refresh_token`, or `password` unless it is switched off.
    #[schema(example = "refresh_token")]
    pub grant_type: String,
    /// With `grant_type=refresh_token`: the refresh token. It may be left out where a cookie has it.
    #[schema(nullable = false)]
    pub refresh_token: Option<String>,
    /// With `grant_type=password`: the e-mail address.
    #[schema(nullable = false)]
    pub username: Option<String>,
    /// With `grant_type=password`: the password.
    #[schema(nullable = false, format = Password)]
    pub password: Option<String>,
    /// Nothing but `account` can be asked for, and it is what is given without asking.
    #[schema(nullable = false, example = "account")]
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

/// Tokens (RFC 6749 §5.1)
#[derive(Debug, Serialize, ToSchema)]
pub struct GrantedTokens<'a> {
    /// A JWT (RFC 9068) for the header `Authorization: Bearer TOKEN`. Opaque to the client.
    pub access_token: &'a str,
    /// `bearer`.
    #[schema(example = "bearer")]
    pub token_type: &'a str,
    /// How many seconds the access token is good for.
    #[schema(example = 900)]
    pub expires_in: u64,
    /// The next refresh token, in place of the one that was sent. Not there where a cookie carries it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(
        nullable = false,
        example = "roster_rt_Jc3VYRwQ8v2JcJ4Vt2Yd0nKp2hM5sXb7eQfLrTzGkAo"
    )]
    pub refresh_token: Option<&'a str>,
    /// How many seconds the refresh token is good for.
    #[schema(example = 2_592_000)]
    pub refresh_expires_in: u64,
    /// What the tokens are good for.
    #[schema(example = "account")]
    pub scope: &'a str,
}

/// A request for tokens that was read.
pub(super) struct TokenMembers {
    /// None where the grant type isn't offered.
    grant: Option<Grant>,
    has_scope: bool,
    wants_cookie: bool,
}

impl FromMembers for TokenMembers {
    const TAKES_FORM: bool = true;

    fn from_members(members: &mut Members, config: &Config) -> Option<Self> {
        members.ignore_empty();
        for name in ["client_id", "client_secret"] {
            members.string(name);
        }
        let wants_cookie = members.flag("cookie");
        let scope = members.string("scope");
        let refresh_token = members.string("refresh_token").map(Zeroizing::new);
        let grant_type = members.required_string("grant_type");
        let grant = match grant_type.as_deref() {
            Some("password") if config.oauth.password_grant => {
                Some(Grant::Password(SignIn::from_members(members, config)?))
            }
            Some("refresh_token") => {
                without_password(members);
                Some(Grant::Refresh(refresh_token))
            }
            Some(_) => {
                members.ignore_rest();
                None
            }
            None => {
                without_password(members);
                return None;
            }
        };
        // A password grant is what /login is, which takes any scope and gives what there is.
        let has_scope = matches!(grant, Some(Grant::Password(_)))
            || scope.is_none_or(|scope| scope.split(' ').all(|name| name == SCOPE));
        Some(Self {
            grant,
            has_scope,
            wants_cookie,
        })
    }
}

/// Takes what only another grant needs.
fn without_password(members: &mut Members) {
    for name in ["username", "password"] {
        members.string(name);
    }
}

/// Refresh the tokens
///
/// `grant_type=refresh_token` exchanges a refresh token for a new access token and a new refresh token; the old one is
/// spent. Sent again within a few seconds (`session.refresh_grace_seconds`), because the answer was lost or two tabs
/// were at it, it gives the same successor; later, the session ends, as two parties must have it.
///
/// `grant_type=password` signs in, as `/login` does.
///
/// A frontend that has its refresh token in a cookie sends neither it nor `cookie`: the cookie is taken from a page of
/// this origin, or of one in `cors.allowed_origins`, and the successor goes into it.
#[utoipa::path(
    post,
    path = "/oauth/token",
    tag = "oauth",
    security(()),
    request_body(content(
        (TokenForm = "application/x-www-form-urlencoded"),
        (TokenRequest = "application/json"),
    )),
    responses(
        (status = 200, description = "Tokens", body = GrantedTokens,
            headers(("Set-Cookie" = Option<String>, description = "The refresh token, where a cookie carries it"))),
        (status = 400, description = "`invalid_request`, `invalid_grant`, `unsupported_grant_type` or `invalid_scope`",
            body = OAuthError),
        (status = 403, description = "The cookie was sent, or is asked for, by a page of another origin",
            body = OAuthError),
        (status = 429, description = "`temporarily_unavailable`: too many wrong passwords on this account or from this address",
            body = OAuthError),
    ),
)]
pub(super) async fn token(
    request: HttpRequest,
    origin: RequestOrigin,
    body: Parsed<TokenMembers>,
) -> Result<HttpResponse, ApiError> {
    let state = AppState::of(&request)?;
    let TokenMembers {
        grant,
        has_scope,
        mut wants_cookie,
    } = body.0;
    if wants_cookie {
        refresh_cookie::check_may_be_set(&request, state)?;
    }
    let grant = grant.ok_or(ApiError::UnsupportedGrantType)?;
    if !has_scope {
        return Err(ApiError::InvalidScope);
    }
    let issued = match grant {
        Grant::Password(attempt) => {
            rate_limit::told(&request, service::sign_in(state, attempt, origin.0).await)?
        }
        Grant::Refresh(Some(token)) => service::refresh(state, &token, origin.0).await?,
        Grant::Refresh(None) => {
            let token = refresh_cookie::read(&request, state)?.ok_or_else(|| {
                ApiError::invalid("refresh_token", "missing", "is required, as there is no cookie")
            })?;
            // What was out of the reach of script stays so, whatever is asked for.
            wants_cookie = true;
            service::refresh(state, &token, origin.0).await?
        }
    };
    let refresh_token = issued.refresh_token.expose();
    let refresh_expires_in = issued.refresh_expires_in.as_secs();
    let mut response = HttpResponse::Ok();
    // RFC 6749 §5.1 asks for it beside `Cache-Control: no-store`.
    response.insert_header((PRAGMA, "no-cache"));
    if wants_cookie {
        response.insert_header((
            SET_COOKIE,
            refresh_cookie::set(state, &refresh_token, refresh_expires_in),
        ));
    }
    Ok(response.json(GrantedTokens {
        access_token: issued.access_token.expose(),
        token_type: "bearer",
        expires_in: issued.expires_in.as_secs(),
        refresh_token: (!wants_cookie).then_some(refresh_token.as_str()),
        refresh_expires_in,
        scope: SCOPE,
    }))
}
