//! Instants, as databases and programs write them.

use chrono::{DateTime, Datelike, NaiveDate, SubsecRound, TimeDelta, Utc};

/// What is allowed, for a person.
pub(super) const DETAIL: &str = "must be a time such as 2024-05-31T09:30:00Z, in the years 1 to 9999";

/// From here on a bare number counts milliseconds and not seconds since 1970: as seconds it would be the year 5138, as
/// milliseconds it is 1973.
const FIRST_MILLISECONDS: u64 = 100_000_000_000;

/// An instant as RFC 3339 has it, cut to milliseconds.
pub(super) fn rfc3339(text: &str) -> Option<DateTime<Utc>> {
    let is_separated = text.as_bytes().get(10) == Some(&b'T');
    let has_offset = text.ends_with(['Z', 'z'])
        || text
            .len()
            .checked_sub(6)
            .and_then(|start| text.get(start..))
            .is_some_and(|offset| offset.starts_with(['+', '-']) && offset.contains(':'));
    (is_separated && has_offset).then(|| parse(text)).flatten()
}

/// An instant as PostgreSQL, SQLite and MySQL print it, and as RFC 3339 has it: `2024-05-31 09:30:00.123456+00`, also
/// without fraction or offset, which is UTC then.
pub(super) fn parse(text: &str) -> Option<DateTime<Utc>> {
    let (date, rest) = text.split_at_checked(10)?;
    let rest = rest.strip_prefix([' ', 'T', 't'])?;
    let (time, rest) = rest.split_at_checked(8)?;
    let (fraction, offset) = match rest.strip_prefix('.') {
        Some(rest) => rest.split_at(rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len())),
        None => ("0", rest),
    };
    if fraction.is_empty() {
        return None;
    }
    let [year, month, day] = three(date, '-', 4)?;
    let [hour, minute, second] = three(time, ':', 2)?;
    // Digits past the third are cut off, and missing ones are zeros.
    let milliseconds = fraction
        .bytes()
        .chain("000".bytes())
        .take(3)
        .fold(0, |sum, digit| sum * 10 + u32::from(digit - b'0'));
    let local = NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, month, day)?.and_hms_milli_opt(
        hour,
        minute,
        second,
        milliseconds,
    )?;
    within_years(local.and_utc().checked_sub_signed(offset_of(offset)?)?)
}

/// An instant as a number of seconds or milliseconds since 1970.
pub(super) fn of_number(number: i64) -> Option<DateTime<Utc>> {
    let milliseconds = if number.unsigned_abs() < FIRST_MILLISECONDS {
        number.checked_mul(1000)?
    } else {
        number
    };
    within_years(DateTime::from_timestamp_millis(milliseconds)?)
}

/// A number that is written as text: of seconds or milliseconds. Fewer than nine digits are a date rather (20240531), or
/// nonsense.
pub(super) fn of_digits(text: &str) -> Option<DateTime<Utc>> {
    let is_number = text.len() >= 9 && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten().and_then(of_number)
}

/// Whether it is MySQL's spelling of no time at all.
pub(super) fn is_zero_date(text: &str) -> bool {
    text.starts_with("0000-00-00")
}

/// Later or earlier years have no four digits: sorted as text, they would be out of order.
fn within_years(at: DateTime<Utc>) -> Option<DateTime<Utc>> {
    (1..=9999).contains(&at.year()).then(|| at.trunc_subsecs(3))
}

/// Three numbers of digits alone, the second and third of two.
fn three(text: &str, separator: char, first_digits: usize) -> Option<[u32; 3]> {
    let mut parts = text.split(separator);
    let mut next = |width: usize| {
        let digits = parts.next()?;
        let is_number = digits.len() == width && digits.bytes().all(|b| b.is_ascii_digit());
        is_number.then(|| digits.parse().ok()).flatten()
    };
    let numbers = [next(first_digits)?, next(2)?, next(2)?];
    parts.next().is_none().then_some(numbers)
}

/// `Z`, `+02`, `+0200`, `+02:00`, `+02:00:00`, or nothing.
fn offset_of(text: &str) -> Option<TimeDelta> {
    if matches!(text, "" | "Z" | "z") {
        return Some(TimeDelta::zero());
    }
    let (is_west, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+')?),
    };
    let digits = digits.replace(':', "");
    if !matches!(digits.len(), 2 | 4 | 6) || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let part = |start: usize| match digits.get(start..start + 2) {
        Some(two) => two.parse::<i64>().ok(),
        None => Some(0),
    };
    let (hours, minutes, seconds) = (part(0)?, part(2)?, part(4)?);
    if hours > 23 || minutes > 59 || seconds > 59 {
        return None;
    }
    let offset = TimeDelta::seconds(hours * 3600 + minutes * 60 + seconds);
    Some(if is_west { -offset } else { offset })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Option<String> {
        parse(text).map(|at| at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true))
    }

    #[test]
    fn every_database_prints_the_same_instant_in_its_own_way() {
        for text in [
            "2024-05-31 09:30:00.123456+00",
            "2024-05-31 09:30:00.123",
            "2024-05-31T09:30:00.123Z",
            "2024-05-31T11:30:00.123999+02:00",
            "2024-05-31 04:00:00.1239-05:30",
            "2024-05-31 15:00:00.123+0530",
        ] {
            assert_eq!(shown(text).as_deref(), Some("2024-05-31T09:30:00.123Z"), "{text}");
        }
        assert_eq!(
            shown("2024-05-31 09:30:00").as_deref(),
            Some("2024-05-31T09:30:00.000Z")
        );
        assert_eq!(
            shown("2024-05-31 09:30:00.5").as_deref(),
            Some("2024-05-31T09:30:00.500Z")
        );
        assert_eq!(
            shown("1900-01-01 00:00:00+00:53:28").as_deref(),
            Some("1899-12-31T23:06:32.000Z")
        );
    }

    #[test]
    fn what_is_no_instant_of_ours_is_none() {
        for text in [
            "",
            "2024-05-31",
            "2024-05-31 09:30",
            "2024-02-30 09:30:00",
            "2024-05-31 24:00:00",
            "2024-05-31 23:59:60",
            "2024-05-31 09:30:00.",
            "2024-05-31 09:30:00 BC",
            "2024-05-31 09:30:00+",
            "2024-05-31 09:30:00+2",
            "2024-05-31 09:30:00+24:00",
            "0000-00-00 00:00:00",
            "0001-01-01 00:00:00+01",
            "9999-12-31 23:59:59-01",
            "infinity",
            "+024-05-31 09:30:00",
            "2024-05-3\u{e9} 09:30:00",
            "31-05-2024 09:30:00",
            "24-05-0031 09:30:00",
        ] {
            assert_eq!(shown(text), None, "{text}");
        }
    }

    #[test]
    fn rfc_3339_has_an_offset_and_a_t() {
        assert!(rfc3339("2024-05-31T09:30:00Z").is_some());
        assert!(rfc3339("2024-05-31T09:30:00.1+02:00").is_some());
        for text in [
            "2024-05-31 09:30:00Z",
            "2024-05-31T09:30:00",
            "2024-05-31T09:30:00+02",
            "Z",
            "",
        ] {
            assert_eq!(rfc3339(text), None, "{text}");
        }
    }

    #[test]
    fn a_number_counts_seconds_or_milliseconds() {
        assert_eq!(of_number(1_717_147_800), parse("2024-05-31 09:30:00"));
        assert_eq!(of_number(1_717_147_800_000), parse("2024-05-31 09:30:00"));
        assert_eq!(of_digits("1717147800"), parse("2024-05-31 09:30:00"));
        for text in ["20240531", "-1717147800", "99999999999999999999", "1717147800.5"] {
            assert_eq!(of_digits(text), None, "{text}");
        }
        assert_eq!(of_number(i64::MAX), None);
        assert_eq!(of_number(i64::MIN), None);
    }
}
