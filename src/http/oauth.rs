//! Failures under `/oauth/`: the bodies of RFC 6749 §5.2 in place of problem documents, because OAuth clients read
//! nothing else. The codes for a server that can't answer are those of §4.1.2.1; §5.2 has none.

use std::borrow::Cow;

use actix_web::HttpResponse;
use actix_web::http::header::{HeaderValue, RETRY_AFTER};
use actix_web::http::{ConnectionType, StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::error::ApiError;

/// The part of the path that tells an OAuth endpoint.
const PREFIX: &str = "/oauth/";

/// A failure of an OAuth endpoint (RFC 6749 §5.2)
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct OAuthError<'a> {
    /// What went wrong, for programs.
    #[schema(example = "invalid_grant")]
    pub error: Cow<'a, str>,
    /// What went wrong, for a person.
    pub error_description: Cow<'a, str>,
}

/// Whether failures of this path are told in this way.
#[must_use]
pub fn is_oauth(path: &str) -> bool {
    path.starts_with(PREFIX)
}

/// Answers with the failure of an error.
#[must_use]
pub fn answer(error: &ApiError) -> HttpResponse {
    let (status, code) = code(error);
    let mut response = document(status, code, &description(error));
    if !matches!(error, ApiError::InvalidCredentials) {
        error.add_headers(response.headers_mut());
    }
    if matches!(error, ApiError::Conflict(_)) {
        response
            .headers_mut()
            .insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    if matches!(
        error,
        ApiError::PayloadTooLarge { .. } | ApiError::BodyTimeout { .. }
    ) {
        // The rest of the body is still on its way, and nobody is going to read it.
        response.head_mut().set_connection_type(ConnectionType::Close);
    }
    response
}

/// Answers where something below us has failed with nothing but a status.
#[must_use]
pub fn answer_status(status: StatusCode) -> HttpResponse {
    let code = if status.is_server_error() {
        "server_error"
    } else {
        "invalid_request"
    };
    let reason = status.canonical_reason().unwrap_or("The request was refused");
    document(status, code, &format!("{reason}."))
}

/// RFC 6749 §5.2 has 400 for whatever it doesn't say otherwise of. What HTTP itself refuses keeps its status.
fn code(error: &ApiError) -> (StatusCode, &'static str) {
    let of_kind = || StatusCode::from_u16(error.kind().status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    match error {
        ApiError::Malformed(_) | ApiError::BodyTimeout { .. } | ApiError::Validation(_) => {
            (StatusCode::BAD_REQUEST, "invalid_request")
        }
        ApiError::InvalidGrant | ApiError::InvalidCredentials | ApiError::AccountDisabled => {
            (StatusCode::BAD_REQUEST, "invalid_grant")
        }
        ApiError::UnsupportedGrantType => (StatusCode::BAD_REQUEST, "unsupported_grant_type"),
        ApiError::InvalidScope => (StatusCode::BAD_REQUEST, "invalid_scope"),
        ApiError::InvalidClient => (StatusCode::UNAUTHORIZED, "invalid_client"),
        // RFC 6749 has no code for a limit that is reached; of those that it has, this one says to come back later.
        ApiError::TooManyRequests { .. }
        | ApiError::Overloaded { .. }
        | ApiError::Unready(_)
        | ApiError::DatabaseUnavailable(_) => (of_kind(), "temporarily_unavailable"),
        // Others were at it at the same moment. A 4xx would be final to a client, which would sign its user out.
        ApiError::Conflict(_) => (StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable"),
        ApiError::Internal(_) => (of_kind(), "server_error"),
        _ => (of_kind(), "invalid_request"),
    }
}

fn description(error: &ApiError) -> String {
    let text = match error {
        ApiError::Validation(_) => Cow::Owned(format!("{error}.")),
        other => other.detail(),
    };
    // RFC 6749 §5.2: printable ASCII without the quotation mark and the backslash.
    text.chars()
        .map(|c| match c {
            '"' => '\'',
            '\\' => '/',
            ' '..='~' => c,
            _ => '?',
        })
        .collect()
}

fn document(status: StatusCode, error: &str, description: &str) -> HttpResponse {
    HttpResponse::build(status).json(OAuthError {
        error: error.into(),
        error_description: description.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_has_only_the_characters_that_clients_expect() {
        let error = ApiError::invalid("sco\"pe\\\u{e9}", "unsupported", "must be \"x\"\n");
        let text = description(&error);
        assert!(text.contains("must be 'x'"), "{text}");
        assert!(
            text.chars()
                .all(|c| matches!(c, ' '..='~') && c != '"' && c != '\\'),
            "{text}"
        );
    }

    #[test]
    fn a_cause_is_never_told() {
        let error = ApiError::internal("SELECT * FROM refresh_tokens");
        assert!(!description(&error).contains("SELECT"));
        assert_eq!(code(&error), (StatusCode::INTERNAL_SERVER_ERROR, "server_error"));
    }
}
