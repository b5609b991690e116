//! The language that somebody reads.

use std::fmt;

/// The longest tag that is taken, in bytes: RFC 5646 §4.4.1 asks for room for 35.
const MAX_BYTES: usize = 35;

/// A language tag in the syntax of BCP 47 (RFC 5646 §2.1), in its conventional letter case: `de`, `de-AT`, `zh-Hant-TW`.
///
/// Whether a tag is registered isn't asked: a registry that is compiled in would be out of date within a year, and all
/// that is done with a tag is to look for texts in that language.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Locale(String);

/// The text isn't a language tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocaleFault;

impl LocaleFault {
    /// The machine-readable code of the fault.
    #[must_use]
    pub const fn code(self) -> &'static str {
        "invalid_locale"
    }

    /// What is allowed, for a person.
    #[must_use]
    pub const fn detail(self) -> &'static str {
        "must be a BCP 47 language tag such as de or en-GB"
    }
}

impl Locale {
    /// Takes a tag; the empty text is none at all.
    ///
    /// # Errors
    /// [`LocaleFault`] where it isn't one: anything but letters, digits and hyphens, above all.
    pub fn parse(text: &str) -> Result<Option<Self>, LocaleFault> {
        if text.is_empty() {
            return Ok(None);
        }
        if text.len() > MAX_BYTES {
            return Err(LocaleFault);
        }
        let mut subtags = text.split('-');
        let language = subtags.next().unwrap_or_default();
        if !(2..=8).contains(&language.len()) || !language.bytes().all(|b| b.is_ascii_alphabetic()) {
            return Err(LocaleFault);
        }
        let mut tag = language.to_ascii_lowercase();
        let (mut is_extension, mut is_private) = (false, false);
        for subtag in subtags {
            if !(1..=8).contains(&subtag.len()) || !subtag.bytes().all(|b| b.is_ascii_alphanumeric()) {
                return Err(LocaleFault);
            }
            // A singleton has something behind it; behind `x` anything goes.
            if subtag.len() == 1 {
                if tag.rsplit('-').next().is_some_and(|last| last.len() == 1) && !is_private {
                    return Err(LocaleFault);
                }
                is_extension = true;
                is_private |= subtag.eq_ignore_ascii_case("x");
            }
            tag.push('-');
            tag.push_str(&conventional(subtag, is_extension));
        }
        if tag.rsplit('-').next().is_some_and(|last| last.len() == 1) && !is_private {
            return Err(LocaleFault);
        }
        if tag.ends_with("-x") {
            return Err(LocaleFault);
        }
        Ok(Some(Self(tag)))
    }

    /// The tag.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The tag, given away.
    #[must_use]
    pub fn into_string(self) -> String {
        self.0
    }
}

/// RFC 5646 §2.1.1: scripts with a capital letter, regions in capitals, all else in lower case.
fn conventional(subtag: &str, is_extension: bool) -> String {
    let lower = subtag.to_ascii_lowercase();
    let is_word = lower.bytes().all(|b| b.is_ascii_alphabetic());
    match lower.len() {
        2 if !is_extension && is_word => lower.to_ascii_uppercase(),
        4 if !is_extension && is_word => {
            let (first, rest) = lower.split_at(1);
            format!("{}{rest}", first.to_ascii_uppercase())
        }
        _ => lower,
    }
}

impl fmt::Display for Locale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_taken_in_any_letter_case_and_kept_in_the_conventional_one() {
        for (text, tag) in [
            ("de", "de"),
            ("DE-at", "de-AT"),
            ("zh-hant-tw", "zh-Hant-TW"),
            ("es-419", "es-419"),
            ("sl-rozaj-biske-1994", "sl-rozaj-biske-1994"),
            ("de-1901-u-co-PHONEBK", "de-1901-u-co-phonebk"),
            ("en-x-A", "en-x-a"),
        ] {
            assert_eq!(Locale::parse(text).unwrap().unwrap().as_str(), tag);
        }
        assert_eq!(Locale::parse(""), Ok(None));
    }

    #[test]
    fn what_is_no_tag_is_refused() {
        for text in [
            "d",
            "de_AT",
            "de-",
            "-de",
            "de--AT",
            "de AT",
            " de",
            "de\r\nBcc: eve@x.test",
            "../../etc/passwd",
            "de-u",
            "de-u-x",
            "de-a-b-cd",
            "dé",
            "12",
            "de-abcdefghi",
            "en-aaaaaaaa-bbbbbbbb-cccccccc-dddddddd",
        ] {
            assert_eq!(Locale::parse(text), Err(LocaleFault), "{text:?}");
        }
    }
}
