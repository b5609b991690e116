//! THE table: every feature is mounted here, and the OpenAPI document is collected from what is mounted.

use actix_web::HttpResponse;
use actix_web::web::{self, ServiceConfig};
use actix_web_httpauth::middleware::HttpAuthentication;
use utoipa::openapi::OpenApi;

use crate::auth;
use crate::error::ApiError;
use crate::http::mount::{self, Operation};
use crate::{audit, keys, oauth, operations, schemes, sessions, transfer, users, verification};

/// Everything that there is, and what there is only where mail can be sent.
fn operations(sends_mail: bool) -> Vec<Operation> {
    let mut operations: Vec<Operation> = [
        users::api::operations(),
        auth::api::operations(),
        sessions::api::operations(),
        oauth::api::operations(),
        keys::api::operations(),
        audit::api::operations(),
        schemes::api::operations(),
        transfer::api::operations(),
        operations::api::operations(),
        operations::docs::operations(),
    ]
    .into_iter()
    .flatten()
    .collect();
    if sends_mail {
        operations.extend(verification::api::operations());
    }
    operations
}

/// Mounts everything. What isn't documented as open to anyone is behind the bearer check.
pub fn configure(config: &mut ServiceConfig, sends_mail: bool) {
    mount::mount(config, operations(sends_mail), |route| {
        route.wrap(HttpAuthentication::with_fn(auth::authenticate))
    });
    config.default_service(web::to(nothing_here));
}

/// The OpenAPI document of everything that is mounted.
#[must_use]
pub fn document() -> OpenApi {
    mount::document(operations(true))
}

/// The OpenAPI document in JSON, as `openapi.json` is committed and `/openapi.json` serves it.
///
/// # Errors
/// Where the document can't be serialised, which would be a fault of its making.
pub fn document_json() -> Result<String, serde_json::Error> {
    let mut json = serde_json::to_string_pretty(&document())?;
    json.push('\n');
    Ok(json)
}

async fn nothing_here() -> Result<HttpResponse, ApiError> {
    Err(ApiError::NotFound("No resource has this path.".into()))
}
