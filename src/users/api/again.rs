//! Answers that may have to be given again.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{ETAG, LOCATION};
use serde::Serialize;

use super::super::model::{AdminUser, Answer, User};
use super::super::service::Repeat;
use crate::app::AppState;
use crate::domain::UserId;
use crate::error::ApiError;
use crate::http::conditional::entity_tag;
use crate::http::idempotency::IdempotencyKey;

/// A request that may be sent again, if it says so.
pub(super) fn repeat(
    state: &AppState,
    caller: Option<UserId>,
    key: IdempotencyKey,
    body: &[u8],
    render: impl Fn(Option<&AdminUser>) -> Result<Answer, ApiError> + Send + Sync + 'static,
) -> Option<Repeat> {
    let key = key.0?;
    Some(Repeat::new(state, caller, &key, body, Box::new(render)))
}

/// An answer; about a user, with an entity tag and a place.
pub(super) fn answer(
    status: u16,
    body: &impl Serialize,
    user: Option<(&User, String)>,
) -> Result<Answer, ApiError> {
    let (etag, location) = match user {
        Some((user, location)) => {
            let tag = entity_tag(user.revision);
            (tag.to_str().ok().map(str::to_owned), Some(location))
        }
        None => (None, None),
    };
    Ok(Answer {
        status,
        body: serde_json::to_string(body).map_err(ApiError::internal)?,
        location,
        etag,
    })
}

/// Gives it.
pub(super) fn reply(answer: Answer) -> HttpResponse {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK);
    let mut response = HttpResponse::build(status);
    if let Some(location) = answer.location {
        response.insert_header((LOCATION, location));
    }
    if let Some(etag) = answer.etag {
        response.insert_header((ETAG, etag));
    }
    response.content_type("application/json").body(answer.body)
}
