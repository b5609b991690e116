//! The key store over HTTP, for admins.

use actix_web::{HttpRequest, HttpResponse, web};
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use super::super::model::KeySummary;
use super::super::service;
use crate::app::AppState;
use crate::auth::Administrator;
use crate::error::ApiError;
use crate::http::mount::Operation;
use crate::http::origin::RequestOrigin;
use crate::http::problem::Problem;

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::new::<__path_list_keys>(|| web::to(list_keys)),
        Operation::new::<__path_rotate_keys>(|| web::to(rotate_keys)),
    ]
}

/// A signing key, without its private half
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SigningKey)]
#[serde(deny_unknown_fields)]
pub struct KeyResponse {
    /// Its name in tokens and in the key set.
    pub kid: String,
    /// What it signs with: `ES256`, `EdDSA` or `RS256`.
    #[schema(example = "ES256")]
    pub algorithm: &'static str,
    /// `next`, `current` or `previous`.
    #[schema(example = "current")]
    pub state: &'static str,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it began to sign, or null.
    #[schema(required)]
    pub activated_at: Option<DateTime<Utc>>,
    /// When it ceased to sign, or null.
    #[schema(required)]
    pub superseded_at: Option<DateTime<Utc>>,
}

impl From<KeySummary> for KeyResponse {
    fn from(key: KeySummary) -> Self {
        Self {
            kid: key.id,
            algorithm: key.algorithm,
            state: key.state,
            created_at: key.created_at,
            activated_at: key.activated_at,
            superseded_at: key.superseded_at,
        }
    }
}

/// The signing keys
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyList {
    /// All of them, the oldest first.
    pub items: Vec<KeyResponse>,
    /// Null: there are few.
    #[schema(required)]
    pub next_cursor: Option<String>,
}

async fn all(state: &AppState) -> Result<HttpResponse, ApiError> {
    let keys = service::list_all(state).await?;
    Ok(HttpResponse::Ok().json(KeyList {
        items: keys.into_iter().map(KeyResponse::from).collect(),
        next_cursor: None,
    }))
}

/// List the signing keys
#[utoipa::path(
    get,
    path = "/admin/keys",
    tag = "administration",
    responses(
        (status = 200, description = "All of them", body = KeyList),
        (status = 403, description = "Needs the role admin", body = Problem, content_type = "application/problem+json"),
    ),
)]
async fn list_keys(_: Administrator, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    all(AppState::of(&request)?).await
}

/// Rotate the signing keys
///
/// The next key signs from now on, and another one is published in its place. Tokens of the present one stay good until they
/// expire. Services that keep the key set may take up to five minutes to know a key that was published a moment ago.
#[utoipa::path(
    post,
    path = "/admin/keys/rotate",
    tag = "administration",
    responses(
        (status = 200, description = "The keys as they are now", body = KeyList),
        (status = 403, description = "Needs the role admin", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "Another rotation is under way", body = Problem,
            content_type = "application/problem+json"),
    ),
)]
async fn rotate_keys(
    admin: Administrator,
    request: HttpRequest,
    origin: RequestOrigin,
) -> Result<HttpResponse, ApiError> {
    let state = AppState::of(&request)?;
    service::rotate_as_admin(state, admin.0.user.id, &origin.0).await?;
    all(state).await
}
