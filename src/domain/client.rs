//! What a registered client is called.

use std::fmt;

use super::email::is_hidden;

/// The longest name, in Unicode code points.
const MAX_CHARACTERS: usize = 100;

/// The name of a registered client: for people, who have to tell one from another by it. Without white space around
/// it, and without anything that can't be seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientName(String);

/// Why a text can't be the name of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientNameFault {
    /// Nothing, or nothing but white space.
    Empty,
    /// More than 100 Unicode code points.
    TooLong,
    /// Control or invisible characters, or white space other than plain spaces.
    InvalidCharacters,
}

impl ClientNameFault {
    /// The machine-readable code of the fault.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Empty => "too_short",
            Self::TooLong => "too_long",
            Self::InvalidCharacters => "invalid_characters",
        }
    }

    /// What is wrong and what is allowed, for a person.
    #[must_use]
    pub const fn detail(self) -> &'static str {
        match self {
            Self::Empty | Self::TooLong => "must have 1 to 100 characters, white space around it left out",
            Self::InvalidCharacters => {
                "must not contain control or invisible characters, nor white space other than plain spaces"
            }
        }
    }
}

impl ClientName {
    /// Takes a name, less the white space around it.
    ///
    /// # Errors
    /// [`ClientNameFault`] where nothing is left, or it is too long, or holds what can't be seen.
    pub fn parse(text: &str) -> Result<Self, ClientNameFault> {
        let text = text.trim();
        if text.is_empty() {
            return Err(ClientNameFault::Empty);
        }
        // Bytes first: a megabyte needn't be counted to be refused.
        if text.len() > MAX_CHARACTERS * 4 || text.chars().count() > MAX_CHARACTERS {
            return Err(ClientNameFault::TooLong);
        }
        if text.chars().any(|c| c != ' ' && is_hidden(c)) {
            return Err(ClientNameFault::InvalidCharacters);
        }
        Ok(Self(text.to_owned()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name, given away.
    #[must_use]
    pub fn into_string(self) -> String {
        self.0
    }
}

impl fmt::Display for ClientName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_trimmed_and_otherwise_kept() {
        for (text, name) in [
            ("billing", "billing"),
            ("\t Billing  of the Straße \u{a0}\n", "Billing  of the Straße"),
            ("a", "a"),
            ("請求", "請求"),
        ] {
            assert_eq!(ClientName::parse(text).unwrap().as_str(), name);
        }
    }

    #[test]
    fn a_name_is_counted_in_code_points() {
        let longest = "𝔄".repeat(100);
        assert_eq!(
            ClientName::parse(&format!(" {longest} ")).unwrap().into_string(),
            longest
        );
        assert_eq!(ClientName::parse(&"x".repeat(101)), Err(ClientNameFault::TooLong));
        assert_eq!(
            ClientName::parse(&"x".repeat(1 << 20)),
            Err(ClientNameFault::TooLong)
        );
        for nothing in ["", " ", "\u{3000}\r\n"] {
            assert_eq!(ClientName::parse(nothing), Err(ClientNameFault::Empty));
        }
    }

    #[test]
    fn what_cannot_be_seen_is_refused() {
        for text in [
            "a\0b",
            "a\nb",
            "a\tb",
            "a\u{1b}[2Jb",
            "a\u{a0}b",
            "a\u{200b}b",
            "\u{202e}gnillib",
            "\u{feff}billing",
            "\u{2800}",
        ] {
            assert_eq!(
                ClientName::parse(text),
                Err(ClientNameFault::InvalidCharacters),
                "{text:?}"
            );
        }
    }
}
