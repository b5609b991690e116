//! Conditional writes: entity tags and `If-Match` (RFC 9110 §8.8.3, §13.1.1).

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::http::header::{HeaderValue, IF_MATCH};
use actix_web::{FromRequest, HttpRequest};

use crate::domain::Precondition;
use crate::error::ApiError;

/// The strong entity tag of a resource in this revision.
#[must_use]
pub fn entity_tag(revision: i64) -> HeaderValue {
    // Digits, a letter and quotes: always a header value.
    HeaderValue::from_str(&format!("\"r{revision}\"")).unwrap_or_else(|_| HeaderValue::from_static("\"\""))
}

/// The `If-Match` of a request.
#[derive(Debug)]
pub struct IfMatch(pub Precondition);

impl FromRequest for IfMatch {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let mut revisions = None;
        for value in request.headers().get_all(IF_MATCH) {
            let Some(parsed) = value.to_str().ok().and_then(parse) else {
                return ready(Err(ApiError::Malformed(
                    "If-Match must be * or a list of entity tags such as \"r1\".".into(),
                )));
            };
            match parsed {
                Precondition::None => return ready(Ok(Self(Precondition::None))),
                Precondition::RevisionIn(more) => revisions.get_or_insert_with(Vec::new).extend(more),
            }
        }
        ready(Ok(Self(
            revisions.map_or(Precondition::None, Precondition::RevisionIn),
        )))
    }
}

/// `*` asks for nothing here: whoever gets as far as a write on an account has one. A weak tag, or one that isn't
/// ours, matches nothing.
fn parse(text: &str) -> Option<Precondition> {
    if text.trim() == "*" {
        return Some(Precondition::None);
    }
    let mut revisions = Vec::new();
    let mut rest = text.trim();
    loop {
        let (is_weak, opaque) = rest
            .strip_prefix("W/")
            .map_or((false, rest), |opaque| (true, opaque));
        // A tag may have commas in it, and no quotes.
        let (inner, after) = opaque.strip_prefix('"')?.split_once('"')?;
        let revision: Option<i64> = inner.strip_prefix('r').and_then(|digits| digits.parse().ok());
        // Strong comparison is by character: r01 isn't r1.
        revisions.extend(revision.filter(|revision| !is_weak && format!("r{revision}") == inner));
        match after.trim_start() {
            "" => return Some(Precondition::RevisionIn(revisions)),
            after => rest = after.strip_prefix(',')?.trim_start(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_read_as_the_rfc_has_them() {
        assert_eq!(parse("*"), Some(Precondition::None));
        assert_eq!(
            parse("\"r1\", \"r22\""),
            Some(Precondition::RevisionIn(vec![1, 22]))
        );
        assert_eq!(parse("W/\"r1\""), Some(Precondition::RevisionIn(vec![])));
        for text in ["\"other\"", "\"x,y\"", "\"r+2\"", "\"r02\""] {
            assert_eq!(parse(text), Some(Precondition::RevisionIn(vec![])), "{text}");
        }
        for text in ["", "r1", "\"r1", "\"r1\" \"r2\"", "\"r1\",,"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
