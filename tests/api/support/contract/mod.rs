//! What every answer has to be, whatever it answers: `openapi.json` as it is committed, and the conventions.

mod specification;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::Value;

use self::specification::SPECIFICATION;
use super::client::Answer;

pub use self::specification::{document, documented_operations};

/// The names of problems and their statuses.
pub const PROBLEMS: [(&str, u16); 19] = [
    ("malformed-request", 400),
    ("invalid-credentials", 401),
    ("invalid-token", 401),
    ("forbidden", 403),
    ("account-disabled", 403),
    ("wrong-current-password", 403),
    ("not-found", 404),
    ("method-not-allowed", 405),
    ("email-taken", 409),
    ("conflict", 409),
    ("precondition-failed", 412),
    ("payload-too-large", 413),
    ("unsupported-media-type", 415),
    ("validation-failed", 422),
    ("invalid-or-expired-code", 422),
    ("too-many-requests", 429),
    ("internal-error", 500),
    ("overloaded", 503),
    ("database-unavailable", 503),
];

/// What must occur in no answer.
const NEVER: [&str; 4] = ["$2b$", "$2y$", "$argon2", "password_hash"];

/// What a problem document would say if a cause had leaked into it.
const LEAKS: [&str; 12] = [
    "sqlx",
    "sqlite",
    "postgres",
    "duplicate key",
    "constraint",
    "select ",
    "insert into",
    "panicked",
    ".rs:",
    " at line ",
    " column ",
    "serde",
];

/// What of the request matters for judging its answer.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fact of its own about a request, and none excludes another"
)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Asked {
    /// It had a bearer token.
    pub has_token: bool,
    /// It was a preflight of a browser.
    pub is_preflight: bool,
    /// The public URL is https.
    pub is_https: bool,
    /// It asked for a cookie, or brought one.
    pub wants_cookie: bool,
}

impl Asked {
    pub fn plainly() -> Self {
        Self::default()
    }
}

/// Fails where an answer isn't what the document and the conventions say.
#[track_caller]
pub fn check(answer: &Answer, asked: Asked) {
    check_headers(answer, asked);
    check_against_document(answer, asked);
    if answer.status >= 400 && !is_page_of_a_form(answer) {
        check_problem(answer, asked);
    }
    check_nothing_leaks(answer);
    if let Some(body) = answer.maybe_json() {
        check_times(body, answer);
    }
}

/// A person who has sent a form is told on a page what went wrong.
fn is_page_of_a_form(answer: &Answer) -> bool {
    let is_html = |value: &reqwest::header::HeaderValue| value.as_bytes().starts_with(b"text/html");
    let path = answer.path.split('?').next().unwrap_or_default();
    path.ends_with("/form") && answer.headers.get("content-type").is_some_and(is_html)
}

#[track_caller]
fn check_headers(answer: &Answer, asked: Asked) {
    let id = answer.header("x-request-id");
    let is_well_formed = |id: &str| {
        (1..=64).contains(&id.len())
            && id
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
    };
    assert!(is_well_formed(id), "X-Request-Id {id:?}: {answer}");
    assert_eq!(answer.header("x-content-type-options"), "nosniff", "{answer}");
    assert_eq!(answer.header("referrer-policy"), "no-referrer", "{answer}");
    let policy = answer.header("content-security-policy");
    let is_page = answer
        .headers
        .get("content-type")
        .is_some_and(|value| value.as_bytes().starts_with(b"text/html"));
    if is_page {
        assert!(
            policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"),
            "{policy}: {answer}"
        );
        assert!(
            !policy.contains("script-src 'unsafe-inline'") && !policy.contains('*'),
            "{policy}: {answer}"
        );
    } else {
        assert_eq!(policy, "default-src 'none'; frame-ancestors 'none'", "{answer}");
    }
    for name in ["server", "x-powered-by"] {
        assert!(!answer.headers.contains_key(name), "{name}: {answer}");
    }
    check_cookie(answer, asked);
    check_rate_limit(answer);
    let transport = answer.headers.get("strict-transport-security");
    assert_eq!(
        transport.is_some(),
        asked.is_https,
        "Strict-Transport-Security: {answer}"
    );
    let path = answer.path.as_str();
    let carries = |name: &str| answer.maybe_json().is_some_and(|body| body.get(name).is_some());
    if answer.status >= 400
        || path.starts_with("/users")
        || path.starts_with("/login")
        || carries("access_token")
        || carries("email")
    {
        assert_eq!(answer.header("cache-control"), "no-store", "{answer}");
    } else {
        assert!(
            answer.headers.contains_key("cache-control") || answer.method == Method::OPTIONS,
            "{answer}"
        );
    }
}

/// How a client stands is told in structured fields (RFC 9651), where it's told: a string with whole numbers. A limit that
/// is reached is told in any case.
#[track_caller]
fn check_rate_limit(answer: &Answer) {
    let parameters = |field: &str, expected: [&str; 2]| {
        let Some(value) = answer.headers.get(field) else {
            assert_ne!(answer.status, 429, "no {field}: {answer}");
            return Vec::new();
        };
        let items = value.to_str().unwrap().split(", ");
        let read = items.map(|item| {
            let mut parts = item.split(';');
            let name = parts.next().unwrap();
            let is_name = name.len() > 2 && name.starts_with('"') && name.ends_with('"');
            assert!(is_name, "{field}: {item}: {answer}");
            let numbers: Vec<(&str, u64)> = parts
                .map(|part| part.split_once('=').unwrap())
                .map(|(name, number)| (name, number.parse().unwrap()))
                .collect();
            let names: Vec<&str> = numbers.iter().map(|(name, _)| *name).collect();
            assert_eq!(names, expected, "{field}: {item}: {answer}");
            (name.to_owned(), numbers[0].1, numbers[1].1)
        });
        read.collect::<Vec<_>>()
    };
    let policies = parameters("ratelimit-policy", ["q", "w"]);
    for (name, left, reset) in parameters("ratelimit", ["r", "t"]) {
        let policy = policies.iter().find(|policy| policy.0 == name);
        let (_, quota, window) = policy.unwrap_or_else(|| panic!("{name} has no policy: {answer}"));
        assert!(
            left <= *quota && (reset <= *window || left == 0),
            "{name}: {answer}"
        );
        if answer.status == 429 {
            let retry_after: u64 = answer.header("retry-after").parse().unwrap();
            assert_eq!((left, reset), (0, retry_after), "{answer}");
        }
    }
}

/// Nobody sets a cookie but who is asked to, and that one is out of reach of scripts and of other sites.
#[track_caller]
fn check_cookie(answer: &Answer, asked: Asked) {
    let mut cookies = answer.headers.get_all("set-cookie").iter();
    let Some(cookie) = cookies.next() else { return };
    assert!(
        asked.wants_cookie && cookies.next().is_none(),
        "set-cookie: {answer}"
    );
    let cookie = cookie.to_str().unwrap();
    let parts: Vec<&str> = cookie.split("; ").skip(1).collect();
    for part in ["HttpOnly", "SameSite=Strict"] {
        assert!(parts.contains(&part), "{part}: {cookie}");
    }
    assert!(!parts.iter().any(|part| part.starts_with("Domain")), "{cookie}");
    assert_eq!(parts.contains(&"Secure"), asked.is_https, "{cookie}");
    assert_eq!(
        cookie.starts_with("__Host-roster_refresh="),
        asked.is_https,
        "{cookie}"
    );
    let path = if asked.is_https {
        "Path=/"
    } else {
        "Path=/oauth/token"
    };
    assert!(parts.contains(&path), "{cookie}");
    assert!(
        answer
            .maybe_json()
            .is_none_or(|body| body.get("refresh_token").is_none()),
        "in the body as well: {answer}"
    );
}

#[track_caller]
fn check_against_document(answer: &Answer, asked: Asked) {
    let Some(entry) = SPECIFICATION.find(&answer.path) else {
        let is_known = matches!(answer.status, 400 | 404) || asked.is_preflight;
        assert!(
            is_known,
            "a path that openapi.json doesn't know answers: {answer}"
        );
        return;
    };
    let method = if answer.method == Method::HEAD {
        "GET"
    } else {
        answer.method.as_str()
    };
    if asked.is_preflight && answer.method == Method::OPTIONS {
        return;
    }
    let Some(operation) = entry.operations.get(method) else {
        let mut allowed: BTreeSet<&str> = entry.operations.keys().map(String::as_str).collect();
        if allowed.contains("GET") {
            allowed.insert("HEAD");
        }
        allowed.insert("OPTIONS");
        let told: BTreeSet<&str> = answer.header("allow").split(", ").collect();
        assert_eq!(told, allowed, "Allow: {answer}");
        if method == "OPTIONS" {
            assert_eq!(answer.status, 204, "{answer}");
        } else {
            assert_eq!(answer.status, 405, "{answer}");
        }
        return;
    };
    let types = operation
        .answers
        .get(&answer.status)
        .unwrap_or_else(|| panic!("openapi.json doesn't know this status: {answer}"));
    let media_type = answer.headers.get("content-type").map(|value| {
        value
            .to_str()
            .unwrap()
            .split(';')
            .next()
            .unwrap_or_default()
            .trim()
            .to_owned()
    });
    if types.is_empty() {
        assert!(
            answer.body.is_empty() && media_type.is_none(),
            "a body that openapi.json doesn't know: {answer}"
        );
        return;
    }
    let media_type = media_type.unwrap_or_else(|| panic!("no Content-Type: {answer}"));
    let validator = types
        .get(&media_type)
        .unwrap_or_else(|| panic!("openapi.json doesn't know {media_type} here: {answer}"));
    if answer.method == Method::HEAD {
        assert!(answer.body.is_empty(), "a body to HEAD: {answer}");
        return;
    }
    if media_type.ends_with("json") {
        let faults: Vec<String> = validator
            .iter_errors(answer.json())
            .map(|fault| fault.to_string())
            .collect();
        assert!(
            faults.is_empty(),
            "not what openapi.json says: {faults:?}: {answer}"
        );
    }
}

/// Fails where a JSON body that was taken isn't one that the document offers: whoever reads it would never have sent
/// it, and a proxy that checks requests would have refused it.
#[track_caller]
pub fn check_request(answer: &Answer, sent: &Value) {
    if !(200..300).contains(&answer.status) {
        return;
    }
    let entry = SPECIFICATION.find(&answer.path);
    let operation = entry.and_then(|entry| entry.operations.get(answer.method.as_str()));
    let validator = operation.and_then(|operation| operation.json_request.as_ref());
    let validator =
        validator.unwrap_or_else(|| panic!("openapi.json knows of no JSON here: {sent}: {answer}"));
    let faults: Vec<String> = validator
        .iter_errors(sent)
        .map(|fault| fault.to_string())
        .collect();
    assert!(
        faults.is_empty(),
        "taken, and not what openapi.json asks for: {faults:?}: {answer}"
    );
}

#[track_caller]
fn check_problem(answer: &Answer, asked: Asked) {
    let challenge = answer
        .headers
        .get("www-authenticate")
        .map(|value| value.to_str().unwrap());
    assert_eq!(
        challenge.is_some(),
        answer.status == 401,
        "WWW-Authenticate: {answer}"
    );
    if matches!(answer.status, 429 | 503) {
        let seconds: u32 = answer.header("retry-after").parse().unwrap();
        assert!(seconds > 0, "Retry-After: {answer}");
    }
    if answer.is_oauth() {
        check_oauth_error(answer, challenge);
        return;
    }
    assert_eq!(
        answer.header("content-type"),
        "application/problem+json",
        "{answer}"
    );
    if answer.method == Method::HEAD {
        return;
    }
    let document = answer.json();
    for name in ["type", "title", "detail", "request_id"] {
        assert!(
            document[name].as_str().is_some_and(|text| !text.is_empty()),
            "{name}: {answer}"
        );
    }
    assert_eq!(document["status"], answer.status, "{answer}");
    assert_eq!(document["request_id"], answer.header("x-request-id"), "{answer}");
    let name = document["type"]
        .as_str()
        .unwrap()
        .strip_prefix("/problems/")
        .unwrap_or_default();
    assert!(
        PROBLEMS.contains(&(name, answer.status)),
        "no such problem: {answer}"
    );
    let faults = document.get("errors").map(|faults| faults.as_array().unwrap());
    let has_faults = faults.is_some_and(|faults| !faults.is_empty());
    assert_eq!(faults.is_some(), has_faults, "errors: {answer}");
    assert_eq!(has_faults, name == "validation-failed", "errors: {answer}");
    if has_faults {
        for fault in document["errors"].as_array().unwrap() {
            let pointer = fault["pointer"].as_str().unwrap();
            assert!(pointer.is_empty() || pointer.starts_with('/'), "{answer}");
            assert!(!fault["detail"].as_str().unwrap().is_empty(), "{answer}");
        }
    }
    if name == "invalid-token" {
        let expected = if asked.has_token {
            r#"Bearer realm="roster", error="invalid_token""#
        } else {
            r#"Bearer realm="roster""#
        };
        assert_eq!(challenge, Some(expected), "{answer}");
    } else if answer.status == 401 {
        assert_eq!(challenge, Some(r#"Bearer realm="roster""#), "{answer}");
    }
}

/// RFC 6749 §5.2.
#[track_caller]
fn check_oauth_error(answer: &Answer, challenge: Option<&str>) {
    assert_eq!(answer.header("content-type"), "application/json", "{answer}");
    if answer.status == 401 {
        assert_eq!(challenge, Some(r#"Basic realm="roster""#), "{answer}");
    }
    if answer.method == Method::HEAD {
        return;
    }
    let members: BTreeSet<&str> = answer
        .json()
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    assert_eq!(members, ["error", "error_description"].into(), "{answer}");
    let code = answer.json()["error"].as_str().unwrap();
    let codes: &[&str] = match answer.status {
        400 => &[
            "invalid_request",
            "invalid_grant",
            "unsupported_grant_type",
            "invalid_scope",
        ],
        401 => &["invalid_client"],
        500 => &["server_error"],
        429 | 503 => &["temporarily_unavailable"],
        _ => &["invalid_request"],
    };
    assert!(codes.contains(&code), "{answer}");
    let description = answer.json()["error_description"].as_str().unwrap();
    assert!(
        !description.is_empty()
            && description
                .chars()
                .all(|c| matches!(c, ' '..='~') && c != '"' && c != '\\'),
        "{answer}"
    );
}

#[track_caller]
fn check_nothing_leaks(answer: &Answer) {
    let is_script = answer.path.starts_with("/docs/");
    let mut text = String::from_utf8_lossy(&answer.body).into_owned();
    if let Some(faults) = answer.maybe_json().and_then(|body| body["errors"].as_array()) {
        // The name of a member that nobody asked for is repeated as the client has sent it.
        for fault in faults.iter().filter(|fault| fault["code"] == "unknown_member") {
            text = text.replace(fault["pointer"].as_str().unwrap().trim_start_matches('/'), "");
        }
    }
    if answer.is_oauth() {
        // The same, in the words of an OAuth endpoint.
        let told: Vec<&str> = text.split("; ").collect();
        let kept: Vec<&str> = told
            .into_iter()
            .filter(|part| !part.contains(" is not a member of this request"))
            .collect();
        text = kept.join("; ");
    }
    for (name, value) in &answer.headers {
        text.extend([
            "\n",
            name.as_str(),
            ": ",
            &String::from_utf8_lossy(value.as_bytes()),
        ]);
    }
    // Chance spells whatever it likes, a library's name too.
    if let Some(id) = answer.headers.get("x-request-id") {
        text = text.replace(&*String::from_utf8_lossy(id.as_bytes()), "");
    }
    for never in NEVER {
        // An import names the members that a row may have.
        let is_name = never == "password_hash" && answer.path.starts_with("/admin/import");
        assert!(is_script || is_name || !text.contains(never), "{never}: {answer}");
    }
    if answer.status >= 400 {
        let text = text.to_lowercase();
        for leak in LEAKS {
            assert!(!text.contains(leak), "{leak:?}: {answer}");
        }
    }
}

/// Times are in UTC and say so, with milliseconds at most; ids are `UUIDv7`s.
#[track_caller]
fn check_times(value: &Value, answer: &Answer) {
    let Value::Object(members) = value else { return };
    for (name, value) in members {
        let Some(text) = value.as_str() else { continue };
        if name.ends_with("_at") {
            let fraction = text
                .strip_suffix('Z')
                .unwrap_or_else(|| panic!("{name}: {answer}"));
            let digits = fraction.split_once('.').map_or(0, |(_, digits)| digits.len());
            assert!(digits <= 3, "{name}: {answer}");
            assert!(
                text.parse::<chrono::DateTime<chrono::Utc>>().is_ok(),
                "{name}: {answer}"
            );
        }
        if name == "id" {
            let id: uuid::Uuid = text.parse().unwrap();
            assert_eq!(id.get_version_num(), 7, "{answer}");
        }
    }
}
