//! Reading a request's body into a value of the domain, or into every fault it has.

use std::pin::Pin;
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::http::header::{
    CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue, TRANSFER_ENCODING, UPGRADE,
};
use actix_web::{FromRequest, HttpRequest};
use futures_util::StreamExt as _;
use percent_encoding::percent_decode;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::json::{self, Members};
use crate::app::AppState;
use crate::config::Config;
use crate::error::ApiError;

/// A value that is read from the members of a body.
pub trait FromMembers: Sized {
    /// Whether a form is taken as well as JSON.
    const TAKES_FORM: bool = false;
    /// Whether JSON is taken: not by what pages send to.
    const TAKES_JSON: bool = true;

    /// Takes out the members and notes what is wrong with them. `None` only where a fault was noted.
    fn from_members(members: &mut Members, config: &Config) -> Option<Self>;
}

/// A body that was read, complete and valid.
#[derive(Debug)]
pub struct Parsed<T>(pub T);

impl<T: FromMembers + 'static> FromRequest for Parsed<T> {
    type Error = ApiError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, ApiError>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, payload) = (request.clone(), payload.take());
        Box::pin(async move { Ok(Self(parsed(&request, payload).await?.0)) })
    }
}

/// The same with the bytes that it was read from, to tell whether the same is sent again.
#[derive(Debug)]
pub struct ParsedWithBytes<T>(pub T, pub Zeroizing<Vec<u8>>);

impl<T: FromMembers + 'static> FromRequest for ParsedWithBytes<T> {
    type Error = ApiError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, ApiError>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, payload) = (request.clone(), payload.take());
        Box::pin(async move {
            let (value, bytes) = parsed(&request, payload).await?;
            Ok(Self(value, bytes))
        })
    }
}

async fn parsed<T: FromMembers>(
    request: &HttpRequest,
    payload: Payload,
) -> Result<(T, Zeroizing<Vec<u8>>), ApiError> {
    let state = AppState::of(request)?;
    let media_type = media_type(request.headers(), T::TAKES_FORM)?;
    if media_type == MediaType::Json && !T::TAKES_JSON {
        let allowed = "Send application/x-www-form-urlencoded, in UTF-8 and not compressed.";
        return Err(ApiError::UnsupportedMediaType(allowed.into()));
    }
    let bytes = read(request.headers(), payload, &state.config).await?;
    let mut members = match media_type {
        MediaType::Json => Members::of(json::parse(&bytes)?)?,
        MediaType::Form => Members::of_form(parse_form(&bytes)?),
    };
    let value = T::from_members(&mut members, &state.config);
    if media_type == MediaType::Form {
        members.ignore_rest();
    }
    members.finish()?;
    let value = value.ok_or_else(|| ApiError::internal("a body was refused without a fault"))?;
    Ok((value, bytes))
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum MediaType {
    Json,
    Form,
}

pub(super) fn media_type(headers: &HeaderMap, takes_form: bool) -> Result<MediaType, ApiError> {
    let allowed = if takes_form {
        "Send application/json or application/x-www-form-urlencoded, in UTF-8 and not compressed."
    } else {
        "Send application/json, in UTF-8 and not compressed."
    };
    let refused = || ApiError::UnsupportedMediaType(allowed.into());
    let is_encoded = headers
        .get_all(CONTENT_ENCODING)
        .any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity"));
    let mut values = headers.get_all(CONTENT_TYPE);
    let (Some(value), None, false) = (values.next(), values.next(), is_encoded) else {
        return Err(refused());
    };
    let essence = utf8_essence(value).ok_or_else(refused)?;
    if essence.eq_ignore_ascii_case("application/json") {
        Ok(MediaType::Json)
    } else if takes_form && essence.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        Ok(MediaType::Form)
    } else {
        Err(refused())
    }
}

/// A media type without its parameters, of which there may be none but UTF-8.
pub(super) fn utf8_essence(media_type: &HeaderValue) -> Option<&str> {
    let mut parts = media_type.to_str().ok()?.split(';').map(str::trim);
    let essence = parts.next().unwrap_or_default();
    let only_utf8 = parts.all(|parameter| {
        parameter.split_once('=').is_some_and(|(name, value)| {
            name.trim().eq_ignore_ascii_case("charset")
                && value.trim().trim_matches('"').eq_ignore_ascii_case("utf-8")
        })
    });
    only_utf8.then_some(essence)
}

/// Reads the body, within its limits of size and time. actix has a time-out for the head of a request and none for
/// its body: a client that stalls would be waited for without end.
async fn read(
    headers: &HeaderMap,
    mut payload: Payload,
    config: &Config,
) -> Result<Zeroizing<Vec<u8>>, ApiError> {
    let limit = config.server.max_body_bytes;
    let announced = headers
        .get(CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok())
        .and_then(|length| length.parse::<usize>().ok());
    if announced.is_some_and(|length| length > limit) {
        return Err(ApiError::PayloadTooLarge { limit });
    }
    let end = is_unframed(headers).then(|| announced.unwrap_or_default());
    let time = Duration::from_secs(u64::from(config.server.body_timeout_seconds));
    let reading = async {
        // A body has passwords in it as a rule.
        let mut body = Zeroizing::new(Vec::with_capacity(announced.unwrap_or(512)));
        while end.is_none_or(|end| body.len() < end)
            && let Some(chunk) = payload.next().await
        {
            let chunk =
                chunk.map_err(|_| ApiError::Malformed("The body could not be read to its end.".into()))?;
            if body.len() + chunk.len() > limit {
                return Err(ApiError::PayloadTooLarge { limit });
            }
            body.extend_from_slice(&chunk);
        }
        body.truncate(end.unwrap_or(limit));
        Ok(body)
    };
    tokio::time::timeout(time, reading)
        .await
        .unwrap_or(Err(ApiError::BodyTimeout { limit: time }))
}

/// Whether actix takes everything that the connection has to bring for the body: it does where somebody asks for a
/// WebSocket, whatever the length says. We offer none, so the length holds (RFC 9110 §7.8); the connection ends with the
/// answer, so that nothing behind the body is taken for a request.
fn is_unframed(headers: &HeaderMap) -> bool {
    !headers.contains_key(TRANSFER_ENCODING)
        && headers.get_all(UPGRADE).any(|protocol| {
            protocol
                .as_bytes()
                .trim_ascii()
                .eq_ignore_ascii_case(b"websocket")
        })
}

/// A form, decoded strictly: a lenient decoder would put replacement characters into a password.
pub(super) fn parse_form(bytes: &[u8]) -> Result<Map<String, Value>, ApiError> {
    let mut fields = Map::new();
    for pair in bytes.split(|&byte| byte == b'&').filter(|pair| !pair.is_empty()) {
        let mut sides = pair.splitn(2, |&byte| byte == b'=');
        let name = decode(sides.next().unwrap_or_default())?;
        let value = decode(sides.next().unwrap_or_default())?;
        // RFC 6749 §3.2: a parameter must not be included more than once.
        if fields.insert(name, Value::String(value)).is_some() {
            return Err(ApiError::Malformed(
                "The form or the query has two fields of the same name.".into(),
            ));
        }
    }
    Ok(fields)
}

pub(super) fn decode(part: &[u8]) -> Result<String, ApiError> {
    let malformed = || {
        ApiError::Malformed("The form or the query is not UTF-8, or has a % without two hex digits.".into())
    };
    let spaced: Vec<u8> = part
        .iter()
        .map(|&byte| if byte == b'+' { b' ' } else { byte })
        .collect();
    // The decoder takes a stray % as it is.
    let is_escape = |escaped: &[u8]| escaped.len() >= 2 && escaped.iter().take(2).all(u8::is_ascii_hexdigit);
    if !spaced.split(|&byte| byte == b'%').skip(1).all(is_escape) {
        return Err(malformed());
    }
    String::from_utf8(percent_decode(&spaced).collect()).map_err(|_| malformed())
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    fn typed(value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_str(value).unwrap());
        headers
    }

    #[test]
    fn json_in_utf8_is_taken_and_nothing_that_only_looks_like_it() {
        for value in [
            "application/json",
            "Application/JSON; charset=UTF-8",
            "application/json;charset=\"utf-8\"",
        ] {
            assert!(media_type(&typed(value), false).is_ok(), "{value}");
        }
        for value in [
            "text/plain",
            "application/x+json",
            "application/problem+json",
            "application/json; charset=utf-16",
            "application/json; version=1",
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=x",
            "",
        ] {
            assert!(media_type(&typed(value), false).is_err(), "{value}");
        }
        assert!(media_type(&HeaderMap::new(), true).is_err());
        assert!(media_type(&typed("application/x-www-form-urlencoded"), true).is_ok());
        let mut compressed = typed("application/json");
        compressed.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        assert!(media_type(&compressed, false).is_err());
    }

    #[test]
    fn forms_are_decoded_to_the_byte_or_refused() {
        let fields = parse_form(b"username=a%40x.test&password=a+b%2B%C3%A9&x").unwrap();
        assert_eq!(fields["username"], "a@x.test");
        assert_eq!(fields["password"], "a b+é");
        assert_eq!(fields["x"], "");
        for text in ["a=%ff", "a=%", "a=%zz", "a=%4", "%=1"] {
            assert!(parse_form(text.as_bytes()).is_err(), "{text}");
        }
        assert!(parse_form(b"a=1&a=2").is_err());
    }
}
