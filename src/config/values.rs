//! Checks for values written as text. An error is the rest of a sentence about the value.

use std::path::PathBuf;

use url::Url;

use super::raw::shown;

/// A URL that a browser could open, with nothing that parsers quietly repair.
pub(super) fn web_url(text: &str) -> Result<Url, String> {
    let problem = || "is not an http or https URL".to_owned();
    // The parser would drop line breaks, turn backslashes around and skip extra slashes: what is
    // written would then not be what is used.
    if text.contains(|c: char| c.is_whitespace() || c.is_control() || c == '\\') {
        return Err(problem());
    }
    let (scheme, rest) = text.split_once("://").ok_or_else(problem)?;
    let known = scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https");
    if !known || rest.starts_with('/') {
        return Err(problem());
    }
    if before(rest, &['/', '?', '#']).contains('@') {
        return Err("must not hold a user name or password".to_owned());
    }
    Url::parse(text).map_err(|_| problem())
}

/// The server's address as others see it, without a slash at its end.
pub(super) fn public_url(text: &str) -> Result<String, String> {
    let url = web_url(text).map_err(|problem| format!("{} {problem}", shown(text)))?;
    if url.query().is_some() || url.fragment().is_some() {
        return Err(format!("{} has a query or a fragment", shown(text)));
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

/// An origin in the form in which browsers send it: lower case, ASCII, no default port.
pub(super) fn origin(text: &str) -> Result<String, String> {
    if text == "*" {
        return Err(
            "would let every web site call the API with its visitor's credentials; name each origin"
                .to_owned(),
        );
    }
    let url = web_url(text)?;
    if url.host_str().is_some_and(|host| host.contains('*')) {
        return Err("is a pattern; name each origin".to_owned());
    }
    let authority = text.split_once("://").map_or("", |(_, rest)| rest);
    if before(authority, &['/', '?', '#']) != authority {
        return Err("has something behind host and port, if only a slash".to_owned());
    }
    Ok(url.origin().ascii_serialization())
}

/// An issuer or audience, compared by others byte for byte.
pub(super) fn token_name(text: &str) -> Result<String, String> {
    const LONGEST: usize = 255;
    if text.is_empty() {
        return Err("is empty".to_owned());
    }
    if text.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err(format!("{} has white space in it", shown(text)));
    }
    if text.chars().count() > LONGEST {
        return Err(format!("{} is too long", shown(text)));
    }
    Ok(text.to_owned())
}

/// A filter for the log: the part of `env_logger`'s syntax that can't be a slip of the finger.
///
/// `env_logger` also takes a target without a level, so that `inf` means "everything from `inf`".
pub(super) fn log_filter(text: &str) -> Result<String, String> {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    for directive in text.split(',').map(str::trim) {
        let (target, level) = match directive.split_once('=') {
            Some((target, level)) => (Some(target), level),
            None => (None, directive),
        };
        if !LEVELS.iter().any(|known| known.eq_ignore_ascii_case(level)) {
            return Err(format!("{} is not a level", shown(level)));
        }
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | ':' | '.' | '-');
        if target.is_some_and(|target| target.is_empty() || !target.chars().all(fits)) {
            return Err(format!("{} has no target before its =", shown(directive)));
        }
    }
    Ok(text.to_owned())
}

pub(super) fn path(text: &str) -> Result<PathBuf, String> {
    if text.is_empty() || text.contains('\0') {
        return Err("is not a path".to_owned());
    }
    Ok(PathBuf::from(text))
}

/// The text up to the first of the characters.
fn before<'a>(text: &'a str, ends: &[char]) -> &'a str {
    text.split(ends).next().unwrap_or(text)
}
