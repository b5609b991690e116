//! The credentials of an OAuth client in the `Authorization` header (RFC 6749 §2.3.1, RFC 7617).

use std::fmt;
use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::http::header::AUTHORIZATION;
use actix_web::{FromRequest, HttpRequest};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use zeroize::Zeroizing;

use super::body::decode;
use crate::error::ApiError;

/// What a client says of itself; nothing of it has been checked.
pub struct BasicCredentials {
    /// The client's id.
    pub id: String,
    /// Its secret.
    pub secret: Zeroizing<String>,
}

impl fmt::Debug for BasicCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BasicCredentials")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

impl FromRequest for BasicCredentials {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let mut headers = request.headers().get_all(AUTHORIZATION);
        ready(match (headers.next(), headers.next()) {
            (Some(header), None) => header
                .to_str()
                .ok()
                .and_then(parse)
                .ok_or(ApiError::InvalidClient),
            _ => Err(ApiError::InvalidClient),
        })
    }
}

/// Id and secret are form-encoded before they are joined by a colon.
fn parse(header: &str) -> Option<BasicCredentials> {
    let (scheme, encoded) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let joined = Zeroizing::new(BASE64_STANDARD.decode(encoded.trim_start_matches(' ')).ok()?);
    let colon = joined.iter().position(|&byte| byte == b':')?;
    let (id, secret) = joined.split_at_checked(colon)?;
    Some(BasicCredentials {
        id: decode(id).ok()?,
        secret: Zeroizing::new(decode(secret.get(1..)?).ok()?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(joined: &str) -> Option<(String, String)> {
        let header = format!("Basic {}", BASE64_STANDARD.encode(joined));
        parse(&header).map(|credentials| (credentials.id, credentials.secret.to_string()))
    }

    #[test]
    fn id_and_secret_are_form_encoded_and_joined_by_a_colon() {
        let is = |joined, id: &str, secret: &str| {
            assert_eq!(
                parsed(joined),
                Some((id.to_owned(), secret.to_owned())),
                "{joined}"
            );
        };
        is("a:b", "a", "b");
        is("a%2Db:c%5Fd%3A", "a-b", "c_d:");
        is("a:b:c", "a", "b:c");
        is(":", "", "");
        assert_eq!(parsed("ab"), None);
        assert_eq!(parsed("a%:b"), None);
        for header in ["Basic", "Basic %%%", "Bearer YTpi", "YTpi"] {
            assert!(parse(header).is_none(), "{header}");
        }
        assert!(parse("bAsIc  YTpi").is_some());
    }
}
