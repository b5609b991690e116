//! Lists in keyset pages: a page begins after the last item of the one before, so that its cost doesn't grow with the
//! table, and what is added or removed meanwhile shifts nothing.

use actix_web::http::header::{HeaderValue, LINK};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chrono::{DateTime, Datelike as _, Utc};
use serde::Serialize;
use url::form_urlencoded;
use uuid::Uuid;

use super::body::FromMembers;
use super::json::Members;
use crate::config::Config;

const DEFAULT_LIMIT: u64 = 50;
const MAX_LIMIT: u64 = 200;
/// The first byte of a cursor: which kind it is, so that another one is refused and not misread.
const CURSOR_OF_IDS: u8 = 1;

/// Which page is wanted: `?limit=` and `?cursor=`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageRequest {
    /// How many items at most: 1 to 200.
    pub limit: u64,
    /// The id of the last item of the page before.
    pub after: Option<Uuid>,
}

impl FromMembers for PageRequest {
    fn from_members(members: &mut Members, _: &Config) -> Option<Self> {
        let limit = take_limit(members);
        let after = match members.string("cursor").map(|text| parse_cursor(&text)) {
            None => Some(None),
            Some(Some(id)) => Some(Some(id)),
            Some(None) => {
                foreign_cursor(members);
                None
            }
        };
        Some(Self {
            limit: limit?,
            after: after?,
        })
    }
}

/// Takes `limit`, or what it is where nothing is said.
pub fn take_limit(members: &mut Members) -> Option<u64> {
    match members.string("limit").map(|text| parse_limit(&text)) {
        None => Some(DEFAULT_LIMIT),
        Some(Some(limit)) => Some(limit),
        Some(None) => {
            members.fault("limit", "out_of_range", "must be a whole number from 1 to 200");
            None
        }
    }
}

/// Takes a time that narrows a list down (RFC 3339). A `+` in a query is a space to whoever decodes it, and nothing else can
/// be meant by one here: it is taken for the `+` that it was.
pub fn take_time(members: &mut Members, name: &str) -> Option<DateTime<Utc>> {
    let time = parse_time(&members.string(name)?);
    if time.is_none() {
        let detail = "must be a time such as 2026-01-31T12:00:00Z (RFC 3339)";
        members.fault(name, "invalid_time", detail);
    }
    time
}

/// A year of another length than four sorts elsewhere as text, as SQLite has it.
fn parse_time(text: &str) -> Option<DateTime<Utc>> {
    let time = DateTime::parse_from_rfc3339(&text.replacen(' ', "+", 1)).ok()?;
    let time = time.to_utc();
    (0..=9999).contains(&time.year()).then_some(time)
}

/// Notes that `cursor` isn't one of this list.
pub fn foreign_cursor(members: &mut Members) {
    let detail = "must be the next_cursor of a page of this list";
    members.fault("cursor", "invalid", detail);
}

/// A cursor of another kind than that of ids: its kind, and what leads back to a place.
#[must_use]
pub fn cursor_of(kind: u8, place: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode([&[kind], place].concat())
}

/// Reads what [`cursor_of`] wrote.
#[must_use]
pub fn read_cursor(text: &str) -> Option<(u8, Vec<u8>)> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).ok()?;
    let (kind, place) = bytes.split_first()?;
    Some((*kind, place.to_vec()))
}

/// A request's path and query without its cursor, ready to be given another one: the next page is of the same list.
#[must_use]
pub fn target(path: &str, request: &HttpRequest) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(
        form_urlencoded::parse(request.query_string().as_bytes()).filter(|(name, _)| name != "cursor"),
    );
    let query = query.finish();
    let separator = if query.is_empty() { "" } else { "&" };
    format!("{path}?{query}{separator}")
}

/// Answers with a page, and with a `Link` to the next one (RFC 8288): the same target with another cursor.
#[must_use]
pub fn answer(target: &str, next_cursor: Option<&str>, page: &impl Serialize) -> HttpResponse {
    let mut response: HttpResponseBuilder = HttpResponse::Ok();
    if let Some(cursor) = next_cursor {
        let link = format!("<{target}cursor={cursor}>; rel=\"next\"");
        if let Ok(link) = HeaderValue::from_str(&link) {
            response.insert_header((LINK, link));
        }
    }
    response.json(page)
}

pub(super) fn parse_limit(text: &str) -> Option<u64> {
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit))
}

pub(super) fn parse_cursor(text: &str) -> Option<Uuid> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).ok()?;
    match bytes.split_first() {
        Some((&CURSOR_OF_IDS, id)) => Uuid::from_slice(id).ok(),
        _ => None,
    }
}

pub(super) fn cursor(id: Uuid) -> String {
    let mut bytes = [CURSOR_OF_IDS; 17];
    for (to, from) in bytes.iter_mut().skip(1).zip(id.as_bytes()) {
        *to = *from;
    }
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

impl PageRequest {
    /// How many items to look for: one more than the page has tells whether there is another page.
    #[must_use]
    pub const fn wanted(&self) -> u64 {
        self.limit + 1
    }

    /// Cuts what was found, of the [`Self::wanted`], to the length of the page. Returns the cursor of the page after it,
    /// where there is one.
    pub fn cut<T>(&self, found: &mut Vec<T>, id: impl FnOnce(&T) -> Uuid) -> Option<String> {
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let has_more = found.len() > limit;
        found.truncate(limit);
        found.last().filter(|_| has_more).map(|last| cursor(id(last)))
    }

    /// Answers with a page, and with a `Link` to the next one (RFC 8288) at the same path.
    #[must_use]
    pub fn answer(&self, path: &str, next_cursor: Option<&str>, page: &impl Serialize) -> HttpResponse {
        answer(&format!("{path}?limit={}&", self.limit), next_cursor, page)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_leads_back_to_its_item_and_nothing_else_is_one() {
        let id = Uuid::from_u128(0x0193_0000_0000_7000_8000_0000_0000_0001);
        let text = cursor(id);
        assert_eq!(parse_cursor(&text), Some(id));
        let long = format!("{text}AA");
        for other in [
            "",
            "x",
            &text[1..],
            &long,
            &format!("{text}="),
            "AgAA",
            &id.to_string(),
        ] {
            assert_eq!(parse_cursor(other), None, "{other}");
        }
    }

    #[test]
    fn a_page_has_a_cursor_where_one_more_was_found_than_it_has() {
        let page = PageRequest {
            limit: 2,
            after: None,
        };
        let ids = [1, 2, 3].map(Uuid::from_u128);
        for count in 0..=2 {
            let mut found = ids[..count].to_vec();
            assert_eq!(page.cut(&mut found, |id| *id), None);
            assert_eq!(found, &ids[..count]);
        }
        let mut found = ids.to_vec();
        assert_eq!(page.wanted(), 3);
        assert_eq!(page.cut(&mut found, |id| *id), Some(cursor(ids[1])));
        assert_eq!(found, &ids[..2]);
    }

    #[test]
    fn a_time_is_one_of_rfc_3339_also_where_its_plus_was_decoded() {
        let noon: Option<DateTime<Utc>> = "2026-01-31T12:00:00Z".parse().ok();
        for text in [
            "2026-01-31T12:00:00Z",
            "2026-01-31t12:00:00.000z",
            "2026-01-31T14:00:00+02:00",
            "2026-01-31T14:00:00 02:00",
            "2026-01-31T09:00:00-03:00",
        ] {
            assert_eq!(parse_time(text), noon, "{text}");
        }
        for other in [
            "",
            "yesterday",
            "2026-01-31",
            "2026-13-01T00:00:00Z",
            "2026-01-31T12:00:00",
            "2026-01-31T12:00:00  02:00",
            // In UTC this is in the year before the first.
            "0000-01-01T00:00:00+01:00",
        ] {
            assert_eq!(parse_time(other), None, "{other}");
        }
    }

    #[test]
    fn a_limit_is_a_whole_number_in_its_range() {
        assert_eq!(parse_limit("1"), Some(1));
        assert_eq!(parse_limit("200"), Some(200));
        for other in [
            "",
            "0",
            "201",
            "-1",
            "+5",
            "1.0",
            "1e1",
            "9223372036854775808",
            "٣",
        ] {
            assert_eq!(parse_limit(other), None, "{other}");
        }
    }
}
