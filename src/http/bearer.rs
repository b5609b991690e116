//! The bearer token of a request (RFC 6750 §2.1): from the `Authorization` header and nowhere else.

use std::fmt;
use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::http::header::AUTHORIZATION;
use actix_web::{FromRequest, HttpRequest};
use zeroize::Zeroizing;

use crate::domain::UserId;
use crate::error::ApiError;

/// A token as it was sent; nothing is known of it yet.
///
/// The extractor of actix-web-httpauth takes `Bearer` in this one spelling only, and the first of several headers:
/// RFC 9110 §11.1 has schemes case-insensitive, and two headers may mean two identities.
pub struct BearerToken(Zeroizing<String>);

impl BearerToken {
    /// The token's text.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for BearerToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BearerToken([redacted])")
    }
}

impl FromRequest for BearerToken {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(from_headers(request))
    }
}

fn from_headers(request: &HttpRequest) -> Result<BearerToken, ApiError> {
    let mut headers = request.headers().get_all(AUTHORIZATION);
    let Some(header) = headers.next() else {
        return Err(ApiError::MissingToken);
    };
    if headers.next().is_some() {
        return Err(ApiError::Malformed(
            "The request has more than one Authorization header.".into(),
        ));
    }
    let text = header.to_str().map_err(|_| ApiError::InvalidToken)?;
    let (scheme, token) = text.split_once(' ').unwrap_or((text, ""));
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(ApiError::MissingToken);
    }
    // RFC 9110 §11.4 allows more than one space in between.
    let token = token.trim_start_matches(' ');
    if token.is_empty() || !token.bytes().all(is_token_byte) {
        return Err(ApiError::InvalidToken);
    }
    Ok(BearerToken(Zeroizing::new(token.to_owned())))
}

/// `b64token` of RFC 6750 §2.1.
const fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'+' | b'/' | b'=')
}

/// Who is calling, for the access log.
#[derive(Clone, Copy, Debug)]
pub struct Caller(pub UserId);
