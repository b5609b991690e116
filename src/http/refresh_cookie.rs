//! The refresh token in a cookie, for frontends that must not hold it in script.
//!
//! Whoever can run script in a page can read what script can read. A cookie that is `HttpOnly` is out of its reach;
//! the price is that a browser sends it by itself, also when another site asks for it. So it is `SameSite=Strict`,
//! and it is taken only from a request that the browser says comes from a page of our own origin, or of one that
//! `cors.allowed_origins` names.

use actix_web::HttpRequest;
use actix_web::http::header::{COOKIE, HOST, HeaderMap, HeaderName, HeaderValue, ORIGIN};
use zeroize::Zeroizing;

use crate::app::AppState;
use crate::error::ApiError;

/// `__Host-` makes the browser insist on `Secure`, on `Path=/` and on there being no `Domain` (RFC 6265bis §4.1.3.2):
/// no other host, and no plain http, can plant one.
const SECURE_NAME: &str = "__Host-roster_refresh";
/// Over plain http, as in development, a browser would refuse the prefix and `Secure`.
const PLAIN_NAME: &str = "roster_refresh";
/// Without the prefix the path is free: only the one endpoint that reads it gets it.
const PLAIN_PATH: &str = "/oauth/token";
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

pub(super) const fn name(is_https: bool) -> &'static str {
    if is_https { SECURE_NAME } else { PLAIN_NAME }
}

/// The `Set-Cookie` that carries a token for so many seconds.
#[must_use]
pub fn set(state: &AppState, token: &str, seconds: u64) -> HeaderValue {
    if !state.is_https {
        log::warn!(
            "the refresh cookie goes over plain http, without __Host- and Secure: good for development only; \
             set server.public_url to an https URL"
        );
    }
    cookie(state.is_https, token, seconds)
}

/// The `Set-Cookie` that removes it.
#[must_use]
pub fn clear(state: &AppState) -> HeaderValue {
    cookie(state.is_https, "", 0)
}

fn cookie(is_https: bool, value: &str, seconds: u64) -> HeaderValue {
    let name = name(is_https);
    let text = if is_https {
        Zeroizing::new(format!(
            "{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; Secure; SameSite=Strict"
        ))
    } else {
        Zeroizing::new(format!(
            "{name}={value}; Path={PLAIN_PATH}; Max-Age={seconds}; HttpOnly; SameSite=Strict"
        ))
    };
    let mut header = HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static(""));
    header.set_sensitive(true);
    header
}

/// Whether the request has brought the cookie.
#[must_use]
pub fn is_sent(request: &HttpRequest, state: &AppState) -> bool {
    values(request.headers(), name(state.is_https)).next().is_some()
}

/// The token in the request's cookie, if it has one.
///
/// # Errors
/// [`ApiError::Forbidden`] where a page of another site may have sent it; [`ApiError::Malformed`] where there are two.
pub fn read(request: &HttpRequest, state: &AppState) -> Result<Option<Zeroizing<String>>, ApiError> {
    let mut values = values(request.headers(), name(state.is_https));
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(ApiError::Malformed(
            "The request has the refresh cookie more than once.".into(),
        ));
    }
    if sender(request.headers(), state) == Sender::OwnPage {
        Ok(Some(Zeroizing::new(value.to_owned())))
    } else {
        Err(ApiError::Forbidden(
            "The refresh cookie is taken only from pages of this origin, or of one in cors.allowed_origins on the same site \
             (localhost and 127.0.0.1 are two sites)."
                .into(),
        ))
    }
}

/// Makes sure that no page of another site signs its visitors in, as somebody whom they don't know, by having the
/// cookie set for them. A program that isn't a browser sends neither header and has no such visitors.
///
/// # Errors
/// [`ApiError::Forbidden`].
pub fn check_may_be_set(request: &HttpRequest, state: &AppState) -> Result<(), ApiError> {
    match sender(request.headers(), state) {
        Sender::OwnPage | Sender::Unknown => Ok(()),
        Sender::ForeignPage => Err(ApiError::Forbidden(
            "The refresh cookie is set only for pages of this origin or of one in cors.allowed_origins."
                .into(),
        )),
    }
}

/// Byte by byte: what another cookie holds, which a neighbouring host may have planted, mustn't hide this one.
pub(super) fn values<'a>(headers: &'a HeaderMap, name: &'static str) -> impl Iterator<Item = &'a str> {
    headers
        .get_all(COOKIE)
        .flat_map(|header| header.as_bytes().split(|&byte| byte == b';'))
        .filter_map(move |pair| {
            let (found, value) = std::str::from_utf8(pair.trim_ascii()).ok()?.split_once('=')?;
            (found == name).then_some(value)
        })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sender {
    /// A page of our origin, or of one that is configured.
    OwnPage,
    /// Another page.
    ForeignPage,
    /// The request doesn't say: no browser of these years, or none at all.
    Unknown,
}

/// Who sent a request, by what the browser says and no script can change (Fetch Metadata; RFC 6454 §7).
fn sender(headers: &HeaderMap, state: &AppState) -> Sender {
    let one = |name: HeaderName| {
        let mut values = headers.get_all(name);
        match (values.next(), values.next()) {
            (None, _) => Ok(None),
            (Some(value), None) => value.to_str().map(Some).map_err(|_| ()),
            (Some(_), Some(_)) => Err(()),
        }
    };
    let (Ok(origin), Ok(site)) = (one(ORIGIN), one(SEC_FETCH_SITE)) else {
        return Sender::ForeignPage;
    };
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    judge(
        origin,
        site,
        host,
        &state.config.server.public_url(),
        &state.config.cors.allowed_origins,
    )
}

pub(super) fn judge(
    origin: Option<&str>,
    site: Option<&str>,
    host: Option<&str>,
    public_url: &str,
    allowed: &[String],
) -> Sender {
    let is_known = |origin: &str| {
        origin.eq_ignore_ascii_case(origin_of(public_url))
            || allowed.iter().any(|allowed| allowed.eq_ignore_ascii_case(origin))
    };
    let is_own = match (site, origin) {
        (None, None) => return Sender::Unknown,
        (Some("same-origin"), None) => true,
        // The browser vouches for it; under another name of this machine than the public one, too.
        (Some("same-origin"), Some(origin)) => {
            is_known(origin)
                || origin
                    .split_once("://")
                    .is_some_and(|(_, authority)| Some(authority) == host)
        }
        (None | Some("same-site"), Some(origin)) => is_known(origin),
        (Some(_), _) => false,
    };
    if is_own {
        Sender::OwnPage
    } else {
        Sender::ForeignPage
    }
}

/// Scheme, host and port of a URL, as a browser writes an origin.
pub(super) fn origin_of(url: &str) -> &str {
    let authority = url.find("://").map_or(0, |at| at + 3);
    let end = url
        .get(authority..)
        .and_then(|rest| rest.find('/'))
        .map_or(url.len(), |at| authority + at);
    let origin = url.get(..end).unwrap_or(url);
    let default_port = if origin.starts_with("https:") {
        ":443"
    } else {
        ":80"
    };
    origin.strip_suffix(default_port).unwrap_or(origin)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `-` is a header that isn't sent.
    fn judged(origin: &str, site: &str) -> Sender {
        fn given(text: &str) -> Option<&str> {
            (text != "-").then_some(text)
        }
        judge(
            given(origin),
            given(site),
            Some("localhost:8000"),
            "https://accounts.example.org:443/base",
            &["https://app.example.org".to_owned()],
        )
    }

    #[test]
    fn only_a_page_of_ours_or_of_a_configured_origin_is_believed() {
        for (origin, site) in [
            ("https://accounts.example.org", "-"),
            ("https://accounts.example.org", "same-origin"),
            ("-", "same-origin"),
            ("http://localhost:8000", "same-origin"),
            ("https://app.example.org", "-"),
            ("https://app.example.org", "same-site"),
        ] {
            assert_eq!(judged(origin, site), Sender::OwnPage, "{origin} {site}");
        }
        for (origin, site) in [
            ("https://evil.example", "-"),
            ("https://evil.example", "same-origin"),
            ("https://evil.example", "cross-site"),
            ("https://app.example.org", "cross-site"),
            ("https://accounts.example.org", "cross-site"),
            ("https://accounts.example.org:8443", "-"),
            ("https://accounts.example.org.evil.example", "-"),
            ("http://accounts.example.org", "-"),
            ("http://localhost:8000", "-"),
            ("null", "-"),
            ("null", "same-origin"),
            ("-", "same-site"),
            ("-", "cross-site"),
            ("-", "none"),
            ("-", ""),
        ] {
            assert_eq!(judged(origin, site), Sender::ForeignPage, "{origin} {site}");
        }
        assert_eq!(judged("-", "-"), Sender::Unknown);
    }

    #[test]
    fn the_cookie_is_out_of_reach_of_script_and_of_other_sites() {
        let text = |is_https| cookie(is_https, "x", 60).to_str().unwrap().to_owned();
        assert_eq!(
            text(true),
            "__Host-roster_refresh=x; Path=/; Max-Age=60; HttpOnly; Secure; SameSite=Strict"
        );
        assert_eq!(
            text(false),
            "roster_refresh=x; Path=/oauth/token; Max-Age=60; HttpOnly; SameSite=Strict"
        );
    }
}
