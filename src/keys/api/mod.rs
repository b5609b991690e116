//! What other services need in order to verify access tokens.

mod admin;

use actix_web::http::header::CACHE_CONTROL;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use super::service::JWKS_MAX_AGE;
use crate::app::AppState;
use crate::error::ApiError;
use crate::http::mount::Operation;
use crate::security::SCOPE;

/// The operations of this feature.
#[must_use]
pub fn operations() -> Vec<Operation> {
    let mut operations = admin::operations();
    operations.extend([
        Operation::new::<__path_jwks>(|| web::to(jwks)),
        Operation::new::<__path_authorization_server_metadata>(|| web::to(authorization_server_metadata)),
    ]);
    operations
}

/// A JWK Set (RFC 7517 §5).
#[derive(Debug, Serialize, ToSchema)]
pub struct JwkSet {
    /// The public keys: the one that signs, the one that will, and those whose tokens still live.
    #[schema(value_type = Vec<Object>)]
    pub keys: Vec<serde_json::Value>,
}

/// The public keys that access tokens are verified with
///
/// The next key is in the set before it signs, so a verifier may keep the set for five minutes. It should read it
/// again when it meets a `kid` that it doesn't know.
#[utoipa::path(
    get,
    path = "/.well-known/jwks.json",
    tag = "tokens",
    security(()),
    responses((status = 200, description = "The key set", body = JwkSet)),
)]
async fn jwks(request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let state = AppState::of(&request)?;
    Ok(HttpResponse::Ok()
        .insert_header((
            CACHE_CONTROL,
            format!("public, max-age={}", JWKS_MAX_AGE.as_secs()),
        ))
        .content_type("application/json")
        .body(state.keys.ring().jwks().to_owned()))
}

/// Authorization server metadata (RFC 8414 §2).
#[derive(Debug, Serialize, ToSchema)]
pub struct AuthorizationServerMetadata<'a> {
    /// The `iss` of access tokens.
    pub issuer: &'a str,
    /// Where the public keys are.
    pub jwks_uri: String,
    /// None: there is no authorization endpoint.
    pub response_types_supported: [&'a str; 0],
    /// Where a refresh token is exchanged for new tokens.
    pub token_endpoint: String,
    /// Clients don't authenticate there: they are public ones.
    pub token_endpoint_auth_methods_supported: [&'a str; 1],
    /// What the token endpoint takes. `/login` is the first-party sign-in of this API and no grant.
    pub grant_types_supported: Vec<&'a str>,
    /// What tokens are good for.
    pub scopes_supported: [&'a str; 1],
    /// Where a token is revoked (RFC 7009).
    pub revocation_endpoint: String,
    /// Whoever has a token may revoke it.
    pub revocation_endpoint_auth_methods_supported: [&'a str; 1],
    /// Where a registered service asks about a token (RFC 7662).
    pub introspection_endpoint: String,
    /// How such a service says who it is.
    pub introspection_endpoint_auth_methods_supported: [&'a str; 1],
    /// Where a developer finds out about the API.
    pub service_documentation: String,
}

/// What this server offers to OAuth 2.0 clients (RFC 8414)
#[utoipa::path(
    get,
    path = "/.well-known/oauth-authorization-server",
    tag = "tokens",
    security(()),
    responses((status = 200, description = "The metadata", body = AuthorizationServerMetadata)),
)]
async fn authorization_server_metadata(request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let state = AppState::of(&request)?;
    let base = state.config.server.public_url();
    Ok(HttpResponse::Ok()
        .insert_header((CACHE_CONTROL, "public, max-age=300"))
        .json(AuthorizationServerMetadata {
            issuer: &state.config.issuer(),
            jwks_uri: format!("{base}/.well-known/jwks.json"),
            response_types_supported: [],
            token_endpoint: format!("{base}/oauth/token"),
            token_endpoint_auth_methods_supported: ["none"],
            grant_types_supported: if state.config.oauth.password_grant {
                vec!["refresh_token", "password"]
            } else {
                vec!["refresh_token"]
            },
            scopes_supported: [SCOPE],
            revocation_endpoint: format!("{base}/oauth/revoke"),
            revocation_endpoint_auth_methods_supported: ["none"],
            introspection_endpoint: format!("{base}/oauth/introspect"),
            introspection_endpoint_auth_methods_supported: ["client_secret_basic"],
            service_documentation: format!("{base}/openapi.json"),
        }))
}
