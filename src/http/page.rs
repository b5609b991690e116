//! Pages for people: small, without scripts, dark and light.

use std::fmt::Write as _;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{
    ACCEPT, ACCEPT_LANGUAGE, CONTENT_SECURITY_POLICY, HeaderMap, HeaderValue, VARY,
};
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

const STYLE: &str = "\
:root{color-scheme:light dark}\
body{font:1rem/1.6 system-ui,sans-serif;max-width:42rem;margin:3rem auto;padding:0 1rem}\
h1{font-size:1.5rem;line-height:1.25}\
code{font-family:ui-monospace,monospace;font-size:.95em}\
dt{font-weight:600;margin-top:1rem}dd{margin:0}\
label{display:block;font-weight:600;margin-top:1rem}\
input{box-sizing:border-box;width:100%;max-width:26rem;padding:.6rem .7rem;font:inherit;border:1px solid GrayText;border-radius:.4rem}\
button{margin-top:1.5rem;padding:.65rem 1.4rem;font:inherit;font-weight:600;color:#fff;background:#1d4ed8;border:0;border-radius:.4rem}\
:focus-visible{outline:3px solid #60a5fa;outline-offset:2px}\
.fault{border-left:.3rem solid #dc2626;padding:.1rem 1rem}\
footer{margin-top:3rem;opacity:.7}";

/// Whether the client would rather have a page than JSON (RFC 9110 §12.5.1): only browsers name `text/html`.
#[must_use]
pub fn is_wanted(headers: &HeaderMap) -> bool {
    let (mut html, mut json) = (0.0, 0.0);
    let values = headers.get_all(ACCEPT).filter_map(|value| value.to_str().ok());
    for range in values.flat_map(|value| value.split(',')) {
        let (essence, weight) = weighted(range);
        if essence.eq_ignore_ascii_case("text/html") {
            html = weight;
        } else if essence.eq_ignore_ascii_case("application/json") {
            json = weight;
        }
    }
    html > json
}

/// Answers with a page. `body` is HTML; text in it has gone through [`escape`].
#[must_use]
pub fn answer(title: &str, body: &str) -> HttpResponse {
    page(StatusCode::OK, "en", title, body, "'none'")
}

/// Answers with a page that may send a form, to this server alone.
#[must_use]
pub fn answer_with_form(status: StatusCode, language: &str, title: &str, body: &str) -> HttpResponse {
    page(status, language, title, body, "'self'")
}

/// Whether a reader would rather have German than English (RFC 9110 §12.5.4); there is nothing else to be had.
#[must_use]
pub fn prefers_german(headers: &HeaderMap) -> bool {
    let (mut german, mut english) = (0.0, 0.0);
    let values = headers
        .get_all(ACCEPT_LANGUAGE)
        .filter_map(|value| value.to_str().ok());
    for range in values.flat_map(|value| value.split(',')) {
        let (tag, weight) = weighted(range);
        let language = tag.split('-').next().unwrap_or_default();
        if language.eq_ignore_ascii_case("de") {
            german = weight.max(german);
        } else if language.eq_ignore_ascii_case("en") {
            english = weight.max(english);
        }
    }
    german > english
}

/// Whether a `Content-Type` is that of a page.
#[must_use]
pub fn is_html(media_type: &HeaderValue) -> bool {
    media_type.as_bytes().starts_with(b"text/html")
}

/// One element of an `Accept` header: what, and how much it is wanted.
fn weighted(range: &str) -> (&str, f32) {
    let mut parts = range.split(';').map(str::trim);
    let what = parts.next().unwrap_or_default();
    let weight = parts
        .find_map(|part| part.strip_prefix("q="))
        .map_or(Some(1.0), |q| q.parse().ok());
    (what, weight.unwrap_or(0.0))
}

fn page(status: StatusCode, language: &str, title: &str, body: &str, form_action: &str) -> HttpResponse {
    let mut html = String::with_capacity(2048);
    let _ = write!(
        html,
        "<!doctype html><html lang=\"{language}\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"><title>{}</title>\
         <style>{STYLE}</style></head><body>{body}</body></html>",
        escape(title)
    );
    let style = BASE64_STANDARD.encode(digest(&SHA256, STYLE.as_bytes()));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{style}'; base-uri 'none'; form-action {form_action}; frame-ancestors 'none'"
    );
    HttpResponse::build(status)
        .insert_header((CONTENT_SECURITY_POLICY, policy))
        .insert_header((VARY, "Accept, Accept-Language"))
        .content_type("text/html; charset=utf-8")
        .body(html)
}

/// Text as it may stand in HTML, also in attributes.
#[must_use]
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// Text with `code` between backticks, as HTML.
#[must_use]
pub fn prose(text: &str) -> String {
    let mut html = String::with_capacity(text.len() + 32);
    for (index, part) in text.split('`').enumerate() {
        let part = escape(part);
        if index % 2 == 1 {
            let _ = write!(html, "<code>{part}</code>");
        } else {
            html.push_str(&part);
        }
    }
    html
}
