//! Doors for the fuzz targets, compiled for them alone (`cfg(fuzzing)`): readers of outside text that nobody else
//! calls from outside of this room.

use actix_web::http::header::{HeaderMap, HeaderValue};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::body::MediaType;
use super::refresh_cookie::Sender;
use super::{body, list, origin, refresh_cookie, wire};

/// The fields of a form or a query; none where it is refused.
#[must_use]
pub fn form(bytes: &[u8]) -> Option<Map<String, Value>> {
    body::parse_form(bytes).ok()
}

/// What a body is said to be: whether a form, or else JSON; none where it is refused.
#[must_use]
pub fn is_form(headers: &HeaderMap, takes_form: bool) -> Option<bool> {
    body::media_type(headers, takes_form)
        .ok()
        .map(|media_type| media_type == MediaType::Form)
}

/// The id that a cursor leads to.
#[must_use]
pub fn parse_cursor(text: &str) -> Option<Uuid> {
    list::parse_cursor(text)
}

/// The cursor that leads to an id.
#[must_use]
pub fn cursor(id: Uuid) -> String {
    list::cursor(id)
}

/// The length of a page.
#[must_use]
pub fn parse_limit(text: &str) -> Option<u64> {
    list::parse_limit(text)
}

/// The name of the refresh cookie.
#[must_use]
pub const fn cookie_name(is_https: bool) -> &'static str {
    refresh_cookie::name(is_https)
}

/// Every value of the refresh cookie.
#[must_use]
pub fn cookie_values(headers: &HeaderMap, is_https: bool) -> Vec<String> {
    refresh_cookie::values(headers, refresh_cookie::name(is_https))
        .map(str::to_owned)
        .collect()
}

/// Whether a request comes from a page of ours; none where it doesn't say.
#[must_use]
pub fn is_own_page(
    origin: Option<&str>,
    site: Option<&str>,
    host: Option<&str>,
    public_url: &str,
    allowed: &[String],
) -> Option<bool> {
    match refresh_cookie::judge(origin, site, host, public_url, allowed) {
        Sender::OwnPage => Some(true),
        Sender::ForeignPage => Some(false),
        Sender::Unknown => None,
    }
}

/// The origin of a URL.
#[must_use]
pub fn origin_of(url: &str) -> &str {
    refresh_cookie::origin_of(url)
}

/// A `User-Agent` as the audit trail keeps it.
#[must_use]
pub fn user_agent(value: &HeaderValue) -> String {
    origin::user_agent(value)
}

/// Where a refusal of the framework's begins in what it writes, and its status.
#[must_use]
pub fn find_refusal(buffer: &[u8]) -> Option<(usize, u16)> {
    wire::find_refusal(buffer).map(|(start, status)| (start, status.as_u16()))
}
