//! Arguments that become values of the domain, by the rules that the API has for them.

use chrono::{DateTime, Datelike as _, Utc};

use crate::domain::{Change, DisplayName, EmailAddress, Locale, Metadata, Role, UserStatus};
use crate::json::{self, Fault, MAX_DEPTH};

/// The address of an account that is to be.
#[derive(Clone, Debug)]
pub(in crate::cli) struct EmailArgument(pub(super) EmailAddress);

impl std::str::FromStr for EmailArgument {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        EmailAddress::parse(text)
            .map(Self)
            .map_err(|fault| fault.detail().to_owned())
    }
}

pub(super) fn parse_role(text: &str) -> Result<Role, String> {
    Role::parse(text).map_err(|fault| fault.to_string())
}

pub(super) fn parse_status(text: &str) -> Result<UserStatus, String> {
    UserStatus::from_name(text).ok_or_else(|| "a status is active or disabled".to_owned())
}

/// The empty text removes the name.
pub(super) fn parse_display_name(text: &str) -> Result<Change<DisplayName>, String> {
    DisplayName::parse(text.to_owned())
        .map(Change::from)
        .map_err(|fault| fault.detail().to_owned())
}

/// The empty text removes the language.
pub(super) fn parse_locale(text: &str) -> Result<Change<Locale>, String> {
    Locale::parse(text)
        .map(Change::from)
        .map_err(|fault| fault.detail().to_owned())
}

pub(super) fn parse_metadata(text: &str) -> Result<Metadata, String> {
    let value = json::parse(text).map_err(|fault| match fault {
        Fault::Syntax | Fault::Trailing => "must be one JSON object".to_owned(),
        Fault::TooDeep => too_deep(),
        Fault::Repeated(name) => format!("must not have the member {name:?} twice"),
    })?;
    // A request has its metadata one level down.
    if json::is_deeper(&value, MAX_DEPTH - 1) {
        return Err(too_deep());
    }
    match value {
        serde_json::Value::Object(object) => {
            Metadata::from_object(object).map_err(|fault| fault.detail().to_owned())
        }
        _ => Err("must be a JSON object".to_owned()),
    }
}

fn too_deep() -> String {
    format!("must not be nested more than {} levels deep", MAX_DEPTH - 1)
}

pub(in crate::cli) fn parse_time(text: &str) -> Result<DateTime<Utc>, String> {
    DateTime::parse_from_rfc3339(text)
        .ok()
        .map(|at| at.to_utc())
        // A year of another length sorts elsewhere as text, as SQLite has it.
        .filter(|at| (0..=9999).contains(&at.year()))
        .ok_or_else(|| "must be a time such as 2026-01-31T12:00:00Z (RFC 3339)".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_is_read_as_strictly_as_in_a_request() {
        assert_eq!(parse_metadata(r#"{"a": [1]}"#).unwrap().as_json(), r#"{"a":[1]}"#);
        let nested = |levels: usize| format!("{{\"a\":{}1{}}}", "[".repeat(levels), "]".repeat(levels));
        parse_metadata(&nested(MAX_DEPTH - 2)).unwrap();
        for text in [
            "",
            "1",
            "[]",
            "{",
            "{} {}",
            r#"{"a":1,"a":2}"#,
            &nested(MAX_DEPTH - 1),
            &nested(MAX_DEPTH),
            &format!("{{\"a\":\"{}\"}}", "x".repeat(17_000)),
        ] {
            assert!(parse_metadata(text).is_err(), "{text:.40}");
        }
    }

    #[test]
    fn a_time_has_a_zone_and_a_year_of_four_digits() {
        let at = parse_time("2026-01-31T13:00:00+01:00").unwrap();
        assert_eq!(at, parse_time("2026-01-31T12:00:00Z").unwrap());
        for text in ["", "2026-01-31", "2026-01-31T12:00:00", "yesterday"] {
            assert!(parse_time(text).is_err(), "{text:?}");
        }
    }
}
