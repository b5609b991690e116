//! What names are searched by.

use unicode_normalization::UnicodeNormalization;

/// The longest prefix that is searched for, in Unicode code points: no name is longer.
const MAX_PREFIX: usize = 255;

/// A text in the form in which names are compared: lower case, NFC. A prefix of a text gives a prefix of its key, so each
/// character is lower-cased by itself (a final sigma stays a sigma).
#[must_use]
pub fn search_key(text: &str) -> String {
    text.nfc().flat_map(char::to_lowercase).nfc().collect()
}

/// How a name that is looked for begins, whatever its letter case. Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SearchPrefix(String);

/// Why a text can't be searched for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SearchFault {
    /// More than 255 Unicode code points.
    TooLong,
    /// A control character, which is in no name.
    InvalidCharacters,
}

impl SearchFault {
    /// The machine-readable code of the fault.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::TooLong => "too_long",
            Self::InvalidCharacters => "invalid_characters",
        }
    }

    /// What is wrong and what is allowed, for a person.
    #[must_use]
    pub const fn detail(self) -> &'static str {
        match self {
            Self::TooLong => "must have at most 255 characters",
            Self::InvalidCharacters => "must not contain control characters",
        }
    }
}

impl SearchPrefix {
    /// Takes a prefix; the empty text is none, as everything begins with it.
    ///
    /// # Errors
    /// [`SearchFault`] where no name can begin so.
    pub fn parse(text: &str) -> Result<Option<Self>, SearchFault> {
        if text.len() > MAX_PREFIX * 4 || text.chars().count() > MAX_PREFIX {
            return Err(SearchFault::TooLong);
        }
        if text.chars().any(char::is_control) {
            return Err(SearchFault::InvalidCharacters);
        }
        Ok(Some(search_key(text)).filter(|key| !key.is_empty()).map(Self))
    }

    /// The first key that begins so, in the order of code points.
    #[must_use]
    pub fn first(&self) -> &str {
        &self.0
    }

    /// The first key after all that begin so; none where there are no later ones.
    #[must_use]
    pub fn after(&self) -> Option<String> {
        let mut characters: Vec<char> = self.0.chars().collect();
        while let Some(last) = characters.pop() {
            // Steps over the surrogates, which are no characters.
            if let Some(next) = (last..=char::MAX).nth(1) {
                characters.push(next);
                return Some(characters.into_iter().collect());
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letter_case_and_form_make_no_difference() {
        for (one, other) in [("ÄRGER", "a\u{308}rger"), ("ΟΔΟΣ", "οδοσ"), ("Ada", "aDA")] {
            assert_eq!(search_key(one), search_key(other));
        }
        assert!(search_key("ΟΔΟΣΣ").starts_with(&search_key("ΟΔΟΣ")));
    }

    #[test]
    fn a_prefix_is_a_range_that_holds_what_begins_so_and_nothing_else() {
        let range = |text: &str| {
            let prefix = SearchPrefix::parse(text).unwrap().unwrap();
            (prefix.first().to_owned(), prefix.after())
        };
        assert_eq!(range("Ad"), ("ad".to_owned(), Some("ae".to_owned())));
        assert_eq!(range("a\u{10ffff}").1, Some("b".to_owned()));
        assert_eq!(range("\u{10ffff}\u{10ffff}").1, None);
        assert_eq!(range("\u{d7ff}").1, Some("\u{e000}".to_owned()));
        assert_eq!(range("%_\\").0, "%_\\");
        assert_eq!(SearchPrefix::parse(""), Ok(None));
        assert_eq!(SearchPrefix::parse("a\0"), Err(SearchFault::InvalidCharacters));
        assert_eq!(SearchPrefix::parse(&"x".repeat(256)), Err(SearchFault::TooLong));
    }
}
