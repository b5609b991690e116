//! The `Idempotency-Key` of a request (draft-ietf-httpapi-idempotency-key-header).

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::http::header::HeaderName;
use actix_web::{FromRequest, HttpRequest};

use crate::error::ApiError;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// The longest key.
const MAX_KEY: usize = 255;

/// The key of a request, where it has one.
#[derive(Debug)]
pub struct IdempotencyKey(pub Option<String>);

impl FromRequest for IdempotencyKey {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let mut values = request.headers().get_all(IDEMPOTENCY_KEY);
        let key = match (values.next(), values.next()) {
            (None, _) => Some(None),
            (Some(value), None) => value.to_str().ok().and_then(parse).map(Some),
            (Some(_), Some(_)) => None,
        };
        ready(key.map(Self).ok_or_else(|| {
            let detail = "Idempotency-Key must be one text of 1 to 255 visible ASCII characters, in quotes or without.";
            ApiError::Malformed(detail.into())
        }))
    }
}

/// A string as structured fields have it (RFC 9651 §3.3.3), or the same text without quotes.
fn parse(text: &str) -> Option<String> {
    let text = text.trim_matches([' ', '\t']);
    let key = match text.strip_prefix('"') {
        None if text.contains('"') => return None,
        None => text.to_owned(),
        Some(rest) => {
            let mut key = String::with_capacity(rest.len());
            let mut characters = rest.strip_suffix('"')?.chars();
            while let Some(character) = characters.next() {
                match character {
                    '\\' => key.push(characters.next().filter(|next| matches!(next, '"' | '\\'))?),
                    '"' => return None,
                    other => key.push(other),
                }
            }
            key
        }
    };
    let is_key = (1..=MAX_KEY).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic());
    is_key.then_some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_the_same_with_quotes_and_without() {
        for text in ["abc-1", "\"abc-1\"", "  \"abc-1\" "] {
            assert_eq!(parse(text).as_deref(), Some("abc-1"), "{text}");
        }
        assert_eq!(parse(r#""a\"b\\""#).as_deref(), Some(r#"a"b\"#));
        assert!(parse(&"k".repeat(255)).is_some());
        let long = "k".repeat(256);
        for text in [
            "",
            "\"\"",
            "a b",
            "\"a b\"",
            "\"a",
            "a\"",
            "\"a\\\"",
            r#""\x""#,
            "\"a\";p=1",
            &long,
            "é",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
