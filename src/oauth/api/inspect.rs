//! `POST /oauth/revoke` and `POST /oauth/introspect`: what is asked of them is one token.

use actix_web::{HttpRequest, HttpResponse};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::super::model::Introspection;
use super::super::service;
use crate::app::AppState;
use crate::config::Config;
use crate::error::ApiError;
use crate::http::basic::BasicCredentials;
use crate::http::body::{FromMembers, Parsed};
use crate::http::json::Members;
use crate::http::oauth::OAuthError;
use crate::http::origin::RequestOrigin;
use crate::http::rate_limit;
use crate::security::{CLIENT_ID, SCOPE};

/// A token, as JSON
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SentTokenRequest {
    /// The token.
    pub token: String,
    /// `access_token` or `refresh_token`: taken and not needed.
    #[schema(nullable = false)]
    pub token_type_hint: Option<String>,
    /// Taken and not needed.
    #[schema(nullable = false)]
    pub client_id: Option<String>,
    /// Taken and not needed.
    #[schema(nullable = false)]
    pub client_secret: Option<String>,
}

/// A token, as the form of RFC 7009 §2.1 and RFC 7662 §2.1
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct SentTokenForm {
    /// The token.
    pub token: String,
    /// `access_token` or `refresh_token`: taken and not needed.
    #[schema(nullable = false)]
    pub token_type_hint: Option<String>,
    /// Taken and not needed.
    #[schema(nullable = false)]
    pub client_id: Option<String>,
    /// Taken and not needed.
    #[schema(nullable = false)]
    pub client_secret: Option<String>,
}

pub(super) struct SentToken(Zeroizing<String>);

impl FromMembers for SentToken {
    const TAKES_FORM: bool = true;

    fn from_members(members: &mut Members, _: &Config) -> Option<Self> {
        members.ignore_empty();
        for name in ["token_type_hint", "client_id", "client_secret"] {
            members.string(name);
        }
        members
            .required_string("token")
            .map(|token| Self(Zeroizing::new(token)))
    }
}

/// Revoke a token
///
/// Ends the session of an access or refresh token (RFC 7009): every token of it is refused from the next request on.
/// The answer is the same for what isn't a token, or not any more: an access token that has expired ends nothing, so send
/// the refresh token where there is one.
#[utoipa::path(
    post,
    path = "/oauth/revoke",
    tag = "oauth",
    security(()),
    request_body(content(
        (SentTokenForm = "application/x-www-form-urlencoded"),
        (SentTokenRequest = "application/json"),
    )),
    responses(
        (status = 200, description = "It is worth nothing any more"),
        (status = 400, description = "`invalid_request`: there is no `token`", body = OAuthError),
    ),
)]
pub(super) async fn revoke(
    request: HttpRequest,
    origin: RequestOrigin,
    body: Parsed<SentToken>,
) -> Result<HttpResponse, ApiError> {
    service::revoke(AppState::of(&request)?, &body.0.0, &origin.0).await?;
    Ok(HttpResponse::Ok().finish())
}

/// What a token is good for (RFC 7662 §2.2)
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct IntrospectionResponse<'a> {
    /// Whether it is an access token that is good now. Where it isn't, nothing else is said.
    pub active: bool,
    /// What it is good for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "account")]
    pub scope: Option<&'a str>,
    /// Who got it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "roster")]
    pub client_id: Option<&'a str>,
    /// `Bearer`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "Bearer")]
    pub token_type: Option<&'a str>,
    /// When it expires, in seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub exp: Option<i64>,
    /// When it was issued, in seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub iat: Option<i64>,
    /// The user's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub sub: Option<Uuid>,
    /// For whom it was issued.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub aud: Option<&'a str>,
    /// Who issued it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub iss: Option<&'a str>,
    /// The token's own id.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub jti: Option<Uuid>,
    /// The session's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub sid: Option<Uuid>,
}

impl<'a> IntrospectionResponse<'a> {
    fn of(found: Option<&'a Introspection>) -> Self {
        Self {
            active: found.is_some(),
            scope: found.map(|_| SCOPE),
            client_id: found.map(|_| CLIENT_ID),
            token_type: found.map(|_| "Bearer"),
            exp: found.map(|found| found.details.expires_at),
            iat: found.map(|found| found.details.issued_at),
            sub: found.map(|found| found.user_id.get()),
            aud: found.map(|found| found.details.audience.as_str()),
            iss: found.map(|found| found.details.issuer.as_str()),
            jti: found.map(|found| found.details.id),
            sid: found.map(|found| found.session_id.get()),
        }
    }
}

/// Ask about a token
///
/// For services that an operator has registered with `roster clients create`, and that send their id and secret with
/// HTTP Basic: whether an access token is good at this moment, and what it says (RFC 7662). A refresh token is never
/// active: it is for this server alone.
#[utoipa::path(
    post,
    path = "/oauth/introspect",
    tag = "oauth",
    security(("client" = [])),
    request_body(content(
        (SentTokenForm = "application/x-www-form-urlencoded"),
        (SentTokenRequest = "application/json"),
    )),
    responses(
        (status = 200, description = "What it is", body = IntrospectionResponse),
        (status = 400, description = "`invalid_request`: there is no `token`", body = OAuthError),
        (status = 401, description = "`invalid_client`: not registered, or the wrong secret", body = OAuthError,
            headers(("WWW-Authenticate" = String, description = "`Basic realm=\"roster\"`"))),
        (status = 429, description = "`temporarily_unavailable`: too many wrong secrets from this address",
            body = OAuthError),
    ),
)]
pub(super) async fn introspect(
    request: HttpRequest,
    client: BasicCredentials,
    origin: RequestOrigin,
    body: Parsed<SentToken>,
) -> Result<HttpResponse, ApiError> {
    let state = AppState::of(&request)?;
    let found = service::introspect(state, &client.id, &client.secret, &body.0.0, &origin.0).await;
    let found = rate_limit::told(&request, found)?;
    Ok(HttpResponse::Ok().json(IntrospectionResponse::of(found.as_ref())))
}
