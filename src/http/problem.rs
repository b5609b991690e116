//! Problem documents (RFC 9457): the one place that knows which status and which words a failure has.

use std::borrow::Cow;
use std::time::Duration;

use actix_web::http::header::{ALLOW, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::http::{ConnectionType, StatusCode};
use actix_web::{HttpResponse, ResponseError};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::error::{ApiError, FieldFault};

/// The media type of a problem document.
pub const MEDIA_TYPE: &str = "application/problem+json";

/// A kind of problem: its name never changes, so that clients can rely on it.
#[derive(Debug, PartialEq, Eq)]
pub struct ProblemKind {
    /// The last part of `type`.
    pub name: &'static str,
    /// The HTTP status that it comes with.
    pub status: u16,
    /// A short summary, the same each time.
    pub title: &'static str,
    /// What it means and what to do about it, for whoever opens its page.
    pub explanation: &'static str,
}

macro_rules! problems {
    ($($constant:ident = $name:literal, $status:literal, $title:literal, $explanation:literal;)+) => {
        $(
            #[doc = $title]
            pub static $constant: ProblemKind =
                ProblemKind { name: $name, status: $status, title: $title, explanation: $explanation };
        )+

        /// Every kind of problem.
        pub static ALL: &[&ProblemKind] = &[$(&$constant),+];
    };
}

problems! {
    MALFORMED_REQUEST = "malformed-request", 400, "The request cannot be read",
        "The body is not valid JSON in UTF-8, has two members of the same name or is nested too deep, did not arrive in time, or a header is malformed. The detail says which. Sending the same bytes again won't help.";
    INVALID_CREDENTIALS = "invalid-credentials", 401, "Unknown address or wrong password",
        "No account has this e-mail address, or the password is wrong. The answer is the same for both, so that nobody can find out who has an account. Ask the person to try again.";
    INVALID_TOKEN = "invalid-token", 401, "A valid access token is needed",
        "The request needs the header `Authorization: Bearer TOKEN` with an access token from /login. None was sent, or it has expired, or its session has ended (a logout, a new password), or its account is disabled or gone. Sign in again.";
    FORBIDDEN = "forbidden", 403, "This is not allowed",
        "The request was understood, and whoever sent it may not do this; or this server has the feature switched off. Sending it again won't help.";
    ACCOUNT_DISABLED = "account-disabled", 403, "The account is disabled",
        "The password is right, but an operator has disabled the account. Only an operator can enable it again.";
    WRONG_CURRENT_PASSWORD = "wrong-current-password", 403, "The current password is wrong",
        "Changing the e-mail address or the password needs the account's present password in `current_password`, and that isn't it. Nothing was changed.";
    NOT_FOUND = "not-found", 404, "There is nothing here",
        "No resource has this path. Paths are case-sensitive; GET /openapi.json lists them all.";
    METHOD_NOT_ALLOWED = "method-not-allowed", 405, "The resource does not take this method",
        "The resource exists and doesn't take this method. The Allow header lists the ones it takes.";
    EMAIL_TAKEN = "email-taken", 409, "Another account has this e-mail address",
        "Addresses are compared in their canonical form: letter case, Unicode form and the spelling of the domain make no difference. Sign in to that account, or use another address.";
    CONFLICT = "conflict", 409, "The present state does not allow this",
        "The change contradicts the present state of the resource, or another request was changing it at the same moment. The detail says which. Read the resource again, and decide anew.";
    PRECONDITION_FAILED = "precondition-failed", 412, "The resource has changed",
        "The request had an If-Match header, and the resource isn't in that state any more: somebody else has changed it. Nothing was changed. Read it again to get its present ETag.";
    PAYLOAD_TOO_LARGE = "payload-too-large", 413, "The body is too large",
        "The body has more bytes than this server takes; the detail names the limit.";
    UNSUPPORTED_MEDIA_TYPE = "unsupported-media-type", 415, "The body has a media type that is not taken here",
        "Send JSON as `Content-Type: application/json` in UTF-8, uncompressed. POST /login takes application/x-www-form-urlencoded as well.";
    VALIDATION_FAILED = "validation-failed", 422, "The request is not what is asked for here",
        "The JSON was read, but members are missing, unknown, of a wrong type or not allowed. `errors` names every one of them with a JSON pointer, a code and what is allowed.";
    INVALID_OR_EXPIRED_CODE = "invalid-or-expired-code", 422, "The code is not valid, or not any more",
        "A code from a mail works once, for a while, and only for what it was sent for; the last one sent is the only one that works. Ask for a new one.";
    TOO_MANY_REQUESTS = "too-many-requests", 429, "Too many attempts",
        "There were too many attempts from this address or on this account. Retry-After says how many seconds to wait.";
    INTERNAL_ERROR = "internal-error", 500, "Something went wrong on the server",
        "The fault is the server's. Its log has the cause, under the request id of this answer.";
    OVERLOADED = "overloaded", 503, "The server is busy",
        "Checking a password takes time on purpose, and more checks are waiting than can be done soon; or the server is shutting down. Nothing was changed. Retry-After says how many seconds to wait.";
    DATABASE_UNAVAILABLE = "database-unavailable", 503, "The database is not available",
        "The server can't reach its database, or the database can't do this now. Retry-After says how many seconds to wait. A write may or may not have been done when the connection was lost while it was confirmed: read before writing again.";
}

/// The kind with this name.
#[must_use]
pub fn by_name(name: &str) -> Option<&'static ProblemKind> {
    ALL.iter().copied().find(|kind| kind.name == name)
}

/// How a failure is told to a client (RFC 9457).
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Problem<'a> {
    /// What kind of problem it is: a path of this server that explains it.
    #[serde(rename = "type")]
    #[schema(example = "/problems/validation-failed")]
    pub kind: Cow<'a, str>,
    /// A short summary of the kind.
    pub title: Cow<'a, str>,
    /// The HTTP status.
    #[schema(minimum = 400, maximum = 599)]
    pub status: u16,
    /// What went wrong this time.
    pub detail: Cow<'a, str>,
    /// The id of the request, as in `X-Request-Id` and in the server's log.
    pub request_id: Cow<'a, str>,
    /// Every fault of every member, where members are at fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub errors: Option<Vec<ProblemField>>,
}

/// One fault of one member of a request.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct ProblemField {
    /// A JSON pointer (RFC 6901) to the member; empty for the body as a whole.
    #[schema(example = "/email")]
    pub pointer: String,
    /// A machine-readable code.
    #[schema(example = "invalid_email")]
    pub code: String,
    /// What is wrong and what is allowed, for a person.
    pub detail: String,
}

impl ApiError {
    /// The kind of problem that a client is told.
    #[must_use]
    pub fn kind(&self) -> &'static ProblemKind {
        match self {
            Self::Malformed(_) | Self::BodyTimeout { .. } => &MALFORMED_REQUEST,
            Self::UnsupportedMediaType(_) => &UNSUPPORTED_MEDIA_TYPE,
            Self::PayloadTooLarge { .. } => &PAYLOAD_TOO_LARGE,
            Self::Validation(_) => &VALIDATION_FAILED,
            // The last four are failures of OAuth endpoints, where `http::oauth` renders them.
            Self::InvalidCredentials
            | Self::InvalidGrant
            | Self::UnsupportedGrantType
            | Self::InvalidScope
            | Self::InvalidClient => &INVALID_CREDENTIALS,
            Self::MissingToken | Self::InvalidToken => &INVALID_TOKEN,
            Self::Forbidden(_) => &FORBIDDEN,
            Self::AccountDisabled => &ACCOUNT_DISABLED,
            Self::WrongCurrentPassword => &WRONG_CURRENT_PASSWORD,
            Self::NotFound(_) => &NOT_FOUND,
            Self::EmailTaken => &EMAIL_TAKEN,
            Self::InvalidCode => &INVALID_OR_EXPIRED_CODE,
            Self::Conflict(_) => &CONFLICT,
            Self::PreconditionFailed => &PRECONDITION_FAILED,
            Self::TooManyRequests { .. } => &TOO_MANY_REQUESTS,
            Self::Overloaded { .. } | Self::Unready(_) => &OVERLOADED,
            Self::DatabaseUnavailable(_) => &DATABASE_UNAVAILABLE,
            Self::Internal(_) => &INTERNAL_ERROR,
        }
    }

    pub(super) fn detail(&self) -> Cow<'_, str> {
        match self {
            Self::Malformed(detail)
            | Self::UnsupportedMediaType(detail)
            | Self::Forbidden(detail)
            | Self::NotFound(detail)
            | Self::Conflict(detail)
            | Self::Unready(detail) => Cow::Borrowed(detail),
            Self::PayloadTooLarge { limit } => format!("The body has more than {limit} bytes.").into(),
            Self::BodyTimeout { limit } => {
                format!("The body did not arrive within {} seconds.", limit.as_secs()).into()
            }
            Self::Validation(faults) => match faults.as_slice() {
                [only] => {
                    let said = only.detail.trim_end_matches('.');
                    match only.pointer.trim_start_matches('/') {
                        "" => format!("The body {said}.").into(),
                        member => format!("The member {member} {said}.").into(),
                    }
                }
                _ => format!("{} members are at fault; see errors.", faults.len()).into(),
            },
            Self::InvalidCredentials => "The e-mail address is unknown or the password is wrong.".into(),
            Self::InvalidGrant => "The refresh token is not valid, or not any more. Sign in again.".into(),
            Self::UnsupportedGrantType => "This grant_type is not offered here.".into(),
            Self::InvalidScope => "The scope asks for more than the session has.".into(),
            Self::InvalidClient => "The client is not registered or its secret is wrong.".into(),
            Self::MissingToken => "Send an access token: Authorization: Bearer TOKEN.".into(),
            Self::InvalidToken => "The access token is not valid, or not any more. Sign in again.".into(),
            Self::AccountDisabled => "This account has been disabled by an operator.".into(),
            Self::WrongCurrentPassword => "The member current_password is not the current password.".into(),
            Self::EmailTaken => "Another account has this e-mail address.".into(),
            // One text for a used, an expired, a replaced, a foreign and a mistyped one.
            Self::InvalidCode => "The code is not valid, or not any more. Ask for a new one.".into(),
            Self::PreconditionFailed => "The resource is not in the state that If-Match names.".into(),
            Self::TooManyRequests { .. } => {
                "There were too many attempts. Retry-After says how many seconds to wait.".into()
            }
            Self::Overloaded { .. } => {
                "The server has more to do than it can do soon. Try again later.".into()
            }
            Self::DatabaseUnavailable(_) => {
                "The database cannot answer at the moment. Try again later.".into()
            }
            Self::Internal(_) => "The server met a fault of its own; its log has the cause.".into(),
        }
    }

    fn faults(&self) -> Option<Vec<ProblemField>> {
        let Self::Validation(faults) = self else {
            return None;
        };
        let field = |fault: &FieldFault| ProblemField {
            pointer: fault.pointer.clone(),
            code: fault.code.to_owned(),
            detail: fault.detail.clone(),
        };
        Some(faults.iter().map(field).collect())
    }

    pub(super) fn add_headers(&self, headers: &mut HeaderMap) {
        match self {
            // RFC 6750 §3: no error code where no token was sent.
            Self::MissingToken | Self::InvalidCredentials => {
                headers.insert(
                    WWW_AUTHENTICATE,
                    HeaderValue::from_static(r#"Bearer realm="roster""#),
                );
            }
            Self::InvalidToken => {
                let challenge = r#"Bearer realm="roster", error="invalid_token""#;
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
            }
            Self::InvalidClient => {
                headers.insert(
                    WWW_AUTHENTICATE,
                    HeaderValue::from_static(r#"Basic realm="roster""#),
                );
            }
            Self::Overloaded { retry_after } | Self::TooManyRequests { retry_after } => {
                headers.insert(RETRY_AFTER, seconds(*retry_after));
            }
            Self::DatabaseUnavailable(_) | Self::Unready(_) => {
                headers.insert(RETRY_AFTER, seconds(Duration::from_secs(2)));
            }
            _ => {}
        }
    }
}

/// Whole seconds, at least one: what `Retry-After` says.
pub(crate) fn seconds(duration: Duration) -> HeaderValue {
    HeaderValue::from(
        duration
            .as_millis()
            .div_ceil(1000)
            .max(1)
            .try_into()
            .unwrap_or(u32::MAX),
    )
}

/// Answers with the problem document of an error.
#[must_use]
pub fn answer(error: &ApiError, request_id: &str) -> HttpResponse {
    let mut response = document(error.kind(), error.detail(), error.faults(), request_id);
    error.add_headers(response.headers_mut());
    if matches!(
        error,
        ApiError::PayloadTooLarge { .. } | ApiError::BodyTimeout { .. }
    ) {
        // The rest of the body is still on its way, and nobody is going to read it.
        response.head_mut().set_connection_type(ConnectionType::Close);
    }
    response
}

/// Answers with a problem document where something below us has failed with nothing but a status: the framework's
/// own refusals.
#[must_use]
pub fn answer_status(status: StatusCode, request_id: &str) -> HttpResponse {
    let kind = ALL
        .iter()
        .copied()
        .find(|kind| kind.status == status.as_u16())
        .unwrap_or_else(|| {
            if status.is_client_error() {
                &MALFORMED_REQUEST
            } else {
                &INTERNAL_ERROR
            }
        });
    let detail = match status {
        StatusCode::METHOD_NOT_ALLOWED => {
            "The resource does not take this method; Allow lists those it takes."
        }
        StatusCode::NOT_FOUND => "No resource has this path.",
        _ => kind.title,
    };
    document(kind, Cow::Borrowed(detail), None, request_id)
}

fn document(
    kind: &ProblemKind,
    detail: Cow<'_, str>,
    errors: Option<Vec<ProblemField>>,
    request_id: &str,
) -> HttpResponse {
    let problem = Problem {
        kind: format!("/problems/{}", kind.name).into(),
        title: kind.title.into(),
        status: kind.status,
        detail,
        request_id: request_id.into(),
        errors,
    };
    let status = StatusCode::from_u16(kind.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    HttpResponse::build(status)
        .insert_header((CONTENT_TYPE, MEDIA_TYPE))
        .json(problem)
}

/// The document of a refusal that came before there was a request. The status is the framework's own: the kind says
/// that the request couldn't be read.
#[must_use]
pub fn refusal_json(status: StatusCode, detail: &str, request_id: &str) -> String {
    let problem = Problem {
        kind: format!("/problems/{}", MALFORMED_REQUEST.name).into(),
        title: MALFORMED_REQUEST.title.into(),
        status: status.as_u16(),
        detail: detail.into(),
        request_id: request_id.into(),
        errors: None,
    };
    serde_json::to_string(&problem).unwrap_or_default()
}

/// Carries a status and its `Allow` through the framework; the envelope renders the document.
#[must_use]
pub fn method_not_allowed(allow: &str) -> HttpResponse {
    HttpResponse::MethodNotAllowed()
        .insert_header((ALLOW, allow))
        .finish()
}

/// The framework asks an error for its answer where it has no request at hand. The envelope, which has the request's
/// id, renders it again.
impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.kind().status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        HttpResponse::new(self.status_code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_every_page_says_something() {
        for (index, kind) in ALL.iter().enumerate() {
            assert!(
                ALL.iter().skip(index + 1).all(|other| other.name != kind.name),
                "{}",
                kind.name
            );
            assert!(StatusCode::from_u16(kind.status).unwrap().as_u16() >= 400);
            assert!(kind.explanation.len() > 60, "{}", kind.name);
        }
    }

    #[test]
    fn a_cause_is_never_told() {
        let secret = "SELECT password FROM users at /srv/roster.db";
        for error in [
            ApiError::internal(secret),
            ApiError::DatabaseUnavailable(crate::error::Cause::new(secret)),
        ] {
            assert!(!error.detail().contains("SELECT"));
        }
    }
}
