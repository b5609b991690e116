//! What a profile is made of, besides its address.

use std::fmt;

/// The longest display name, in Unicode code points.
const MAX_DISPLAY_NAME: usize = 255;
/// The longest name of a role, in bytes.
const MAX_ROLE: usize = 32;

/// The name that a user wants to be shown by, kept exactly as it was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DisplayName(String);

/// Why a text can't be a display name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DisplayNameFault {
    /// More than 255 Unicode code points.
    TooLong,
    /// A control character (Unicode category Cc), such as a line break, an escape or a NUL.
    InvalidCharacters,
}

impl DisplayNameFault {
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

impl DisplayName {
    /// Takes a name as it is; the empty text is no name at all.
    ///
    /// # Errors
    /// [`DisplayNameFault`] where it is too long or holds control characters.
    pub fn parse(text: String) -> Result<Option<Self>, DisplayNameFault> {
        if text.is_empty() {
            return Ok(None);
        }
        // Bytes first: a megabyte needn't be counted to be refused.
        if text.len() > MAX_DISPLAY_NAME * 4 || text.chars().count() > MAX_DISPLAY_NAME {
            return Err(DisplayNameFault::TooLong);
        }
        if text.chars().any(char::is_control) {
            return Err(DisplayNameFault::InvalidCharacters);
        }
        Ok(Some(Self(text)))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What the name is found by.
    #[must_use]
    pub fn search_key(&self) -> String {
        super::search_key(&self.0)
    }

    /// The name, given away.
    #[must_use]
    pub fn into_string(self) -> String {
        self.0
    }
}

/// Whether an account may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserStatus {
    /// The account can sign in.
    Active,
    /// An operator has closed it: no sign-in, and its tokens are refused.
    Disabled,
}

impl UserStatus {
    /// Its name in the database and on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Disabled => "disabled",
        }
    }

    /// Reads what [`Self::as_str`] wrote.
    #[must_use]
    pub fn from_name(text: &str) -> Option<Self> {
        [Self::Active, Self::Disabled]
            .into_iter()
            .find(|status| status.as_str() == text)
    }
}

impl fmt::Display for UserStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The name of a role. Only [`Role::ADMIN`] means anything to Roster itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Role(String);

/// The text isn't the name of a role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoleFault;

impl fmt::Display for RoleFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "a role has 1 to 32 characters: a lower-case letter, then lower-case letters, digits, '_' or '-'",
        )
    }
}

impl Role {
    /// The role that may administer other accounts.
    pub const ADMIN: &'static str = "admin";

    /// Parses the name of a role.
    ///
    /// # Errors
    /// [`RoleFault`] where it isn't one.
    pub fn parse(text: &str) -> Result<Self, RoleFault> {
        let mut characters = text.bytes();
        let starts_well = characters.next().is_some_and(|c| c.is_ascii_lowercase());
        let goes_on_well =
            characters.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, b'_' | b'-'));
        if starts_well && goes_on_well && text.len() <= MAX_ROLE {
            Ok(Self(text.to_owned()))
        } else {
            Err(RoleFault)
        }
    }

    /// Its name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_display_name_is_counted_in_code_points_and_kept_verbatim() {
        let name = "👩\u{200D}🚀".repeat(85);
        assert_eq!(name.chars().count(), 255);
        assert_eq!(DisplayName::parse(name.clone()).unwrap().unwrap().as_str(), name);
        assert_eq!(
            DisplayName::parse("x".repeat(256)),
            Err(DisplayNameFault::TooLong)
        );
        assert_eq!(
            DisplayName::parse("a\u{1b}[0m".into()),
            Err(DisplayNameFault::InvalidCharacters)
        );
        assert_eq!(DisplayName::parse(String::new()), Ok(None));
    }

    #[test]
    fn roles_are_plain_names() {
        assert!(Role::parse("admin").is_ok());
        assert!(Role::parse("support-2_x").is_ok());
        for text in ["", "Admin", "1a", "a b", "-a", "ä", &"a".repeat(33)] {
            assert!(Role::parse(text).is_err(), "{text:?}");
        }
    }
}
