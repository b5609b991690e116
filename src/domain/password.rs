//! Passwords in their three roles: chosen, typed, and stored.
//!
//! Whoever holds a [`Password`] knows that its length and content rules hold; a [`PasswordAttempt`] is what
//! somebody typed at a login and may be anything; a [`PasswordHash`] is what the store keeps. They are three types
//! so that an attempt can't be stored and a hash can't be compared as text. None of them can speak: no `Display`,
//! no serialisation, a redacted `Debug`, and the memory is overwritten on drop.
//!
//! Whether a password is *good* (guessable, common, breached) is not asked here but in `security::passwords`: that
//! takes milliseconds and lists.

use std::fmt;

use subtle::ConstantTimeEq;
use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

/// The longest attempt, in bytes as it came, that is normalised and compared; a longer one never matches.
///
/// Far above every password that [`PasswordLength`] would let anybody choose, and low enough that the normalisation
/// of a hostile login costs microseconds.
const LONGEST_ATTEMPT_BYTES: usize = 4096;

/// How many bytes of input may become one code point of NFC.
///
/// A code point decomposes into at most four (UAX #15, the expansion factors; U+1F82 is one of them), canonically
/// equivalent texts have the same decomposition, and a code point takes at most four bytes.
const MOST_BYTES_PER_NFC_CODE_POINT: usize = 16;

/// How many times longer a UTF-8 text can get by NFC (UAX #15; U+1D160 and others).
const NFC_GROWTH: usize = 3;

/// How long a chosen password may be, in Unicode code points after NFC, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PasswordLength {
    /// The fewest code points. ASVS 5.0 6.2.1 asks for 8 at least, NIST SP 800-63B-4 for 15 where the password is
    /// the only factor.
    pub min: usize,
    /// The most code points. ASVS 5.0 6.2.9 asks for 64 at least.
    pub max: usize,
}

impl Default for PasswordLength {
    /// 8 to 128.
    fn default() -> Self {
        Self { min: 8, max: 128 }
    }
}

/// A password that somebody chose, in NFC, of an allowed length and without a NUL.
///
/// Never trimmed and never truncated: what was typed is what counts.
#[derive(Clone)]
pub struct Password(Zeroizing<String>);

impl Password {
    /// Takes a chosen password.
    ///
    /// Cheap for any input: one that is too long whatever NFC makes of it is refused by its size in bytes.
    ///
    /// # Errors
    /// A [`PasswordFault`] with the range that is allowed.
    pub fn parse(text: &str, length: &PasswordLength) -> Result<Self, PasswordFault> {
        let too_long = PasswordFault::TooLong { length: *length };
        if text.len() > length.max.saturating_mul(MOST_BYTES_PER_NFC_CODE_POINT) {
            return Err(too_long);
        }
        let text = nfc(text);
        // bcrypt ends a password at a NUL and then repeats it: "a" and "a\0a" would be one password.
        if text.contains('\0') {
            return Err(PasswordFault::Nul);
        }
        let code_points = text.chars().count();
        if code_points > length.max {
            return Err(too_long);
        }
        if code_points < length.min {
            return Err(PasswordFault::TooShort { length: *length });
        }
        Ok(Self(text))
    }

    /// The text itself, for hashing and judging it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether somebody typed this very password; takes the same time wherever the first difference is.
    #[must_use]
    pub fn same_as(&self, attempt: &PasswordAttempt) -> bool {
        attempt.can_match && bool::from(self.0.as_bytes().ct_eq(attempt.text.as_bytes()))
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(redacted)")
    }
}

/// Why a text can't be a [`Password`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PasswordFault {
    /// Fewer code points than allowed.
    TooShort {
        /// The allowed range.
        length: PasswordLength,
    },
    /// More code points than allowed.
    TooLong {
        /// The allowed range.
        length: PasswordLength,
    },
    /// There is a NUL in it.
    Nul,
}

impl PasswordFault {
    /// The machine-readable code of the fault.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::TooShort { .. } => "too_short",
            Self::TooLong { .. } => "too_long",
            Self::Nul => "nul",
        }
    }

    /// What is wrong and what is allowed, for a person.
    #[must_use]
    pub fn detail(self) -> String {
        match self {
            Self::TooShort {
                length: PasswordLength { min, max },
            }
            | Self::TooLong {
                length: PasswordLength { min, max },
            } => {
                format!("must have {min} to {max} characters")
            }
            Self::Nul => "must not contain a NUL character".to_owned(),
        }
    }
}

impl fmt::Display for PasswordFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the password {}", self.detail())
    }
}

impl std::error::Error for PasswordFault {}

/// What somebody typed as a password at a login, or as the current one: NFC, any content, any length.
///
/// Two kinds of attempt are kept only so that refusing them costs what refusing any other costs, and can never
/// match: one over 4,096 bytes as it came, and one with a NUL, which no [`Password`] has and which bcrypt would
/// take for another password.
#[derive(Clone)]
pub struct PasswordAttempt {
    text: Zeroizing<String>,
    can_match: bool,
}

impl PasswordAttempt {
    /// Takes what was typed. It can't fail: a refusal by length would tell how the attempt was judged.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        if text.len() > LONGEST_ATTEMPT_BYTES {
            // The kept part only gives the hashing something to work on.
            let kept = text.floor_char_boundary(LONGEST_ATTEMPT_BYTES);
            return Self {
                text: Zeroizing::new(text.get(..kept).unwrap_or_default().to_owned()),
                can_match: false,
            };
        }
        let text = nfc(text);
        let can_match = !text.contains('\0');
        Self { text, can_match }
    }

    /// The text to hash. A match counts only if [`Self::can_match`] says so as well.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// Whether any password could be this one.
    #[must_use]
    pub fn can_match(&self) -> bool {
        self.can_match
    }
}

impl From<&Password> for PasswordAttempt {
    /// The attempt of somebody who knows the password.
    fn from(password: &Password) -> Self {
        Self {
            text: password.0.clone(),
            can_match: true,
        }
    }
}

impl fmt::Debug for PasswordAttempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordAttempt(redacted)")
    }
}

/// A stored hash as text: bcrypt's modular crypt format or an argon2 PHC string, or whatever the store holds.
///
/// No promise that it can be read: only `security::passwords` looks inside.
#[derive(Clone)]
pub struct PasswordHash(Zeroizing<String>);

impl PasswordHash {
    /// Takes the text that the store holds.
    #[must_use]
    pub fn from_stored(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The text, for the store and for verification; it belongs in no answer and no log line.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(redacted)")
    }
}

/// NFC in one allocation, so that no half-grown copy of a secret stays behind in freed memory.
fn nfc(text: &str) -> Zeroizing<String> {
    let mut normalised = Zeroizing::new(String::with_capacity(text.len().saturating_mul(NFC_GROWTH)));
    normalised.extend(text.nfc());
    normalised
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Password, PasswordFault> {
        Password::parse(text, &PasswordLength::default())
    }

    fn code(text: &str) -> &'static str {
        parse(text).unwrap_err().code()
    }

    #[test]
    fn length_counts_code_points_after_nfc() {
        assert_eq!(code("1234567"), "too_short");
        assert!(parse("12345678").is_ok());
        // Seven characters in fourteen code points of NFD.
        assert_eq!(code(&"e\u{301}".repeat(7)), "too_short");
        assert!(parse(&"e\u{301}".repeat(8)).is_ok());
        assert!(parse(&"e\u{301}".repeat(128)).is_ok());
        assert_eq!(code(&"e\u{301}".repeat(129)), "too_long");
        assert!(parse(&"🦊".repeat(128)).is_ok());
        assert_eq!(code(&"🦊".repeat(129)), "too_long");
        // One family is seven code points: three joiners and four people.
        assert_eq!(code("👨\u{200d}👩\u{200d}👧\u{200d}👦"), "too_short");
        assert!(parse("👨\u{200d}👩\u{200d}👧\u{200d}👦!").is_ok());
    }

    #[test]
    fn the_longest_decomposition_still_counts_as_one_character() {
        // U+1F82 is four code points in NFD: the worst case of the bound in bytes.
        let decomposed = "\u{3b1}\u{313}\u{300}\u{345}".repeat(128);
        assert_eq!(parse(&decomposed).unwrap().expose(), "\u{1f82}".repeat(128));
        // Three jamo are one syllable.
        assert!(parse(&"\u{1100}\u{1161}\u{11a8}".repeat(128)).is_ok());
    }

    #[test]
    fn a_megabyte_is_too_long_whatever_it_contains() {
        for text in ["a", "\0", "e\u{301}", "\u{301}", "🦊"] {
            assert_eq!(code(&text.repeat(1_048_576 / text.len())), "too_long");
        }
    }

    #[test]
    fn the_range_is_named_and_configurable() {
        let length = PasswordLength { min: 15, max: 64 };
        let fault = Password::parse("fourteen chars", &length).unwrap_err();
        assert_eq!(fault.detail(), "must have 15 to 64 characters");
        let fault = Password::parse(&"x".repeat(65), &length).unwrap_err();
        assert_eq!(fault.detail(), "must have 15 to 64 characters");
        assert_eq!(fault.code(), "too_long");
        assert!(Password::parse(&"x".repeat(64), &length).is_ok());
    }

    #[test]
    fn a_nul_is_refused_and_nothing_else_is() {
        assert_eq!(code("1234\u{0}5678"), "nul");
        assert_eq!(code("short\u{0}"), "nul");
        let odd = " \t\u{7}\n\u{feff}\u{202e}\u{200b} ";
        assert_eq!(parse(odd).unwrap().expose(), odd, "nothing is trimmed");
    }

    #[test]
    fn two_spellings_are_one_password() {
        let chosen = parse("cafe\u{301} au lait").unwrap();
        assert_eq!(chosen.expose(), "caf\u{e9} au lait");
        assert!(chosen.same_as(&PasswordAttempt::parse("caf\u{e9} au lait")));
        assert!(chosen.same_as(&PasswordAttempt::parse("cafe\u{301} au lait")));
        assert!(chosen.same_as(&PasswordAttempt::from(&chosen)));
        assert!(!chosen.same_as(&PasswordAttempt::parse("caf\u{e9} au lai")));
        assert!(!chosen.same_as(&PasswordAttempt::parse("Caf\u{e9} au lait")));
        assert!(!chosen.same_as(&PasswordAttempt::parse("")));
    }

    #[test]
    fn an_attempt_is_capped_in_bytes_as_it_came() {
        assert!(PasswordAttempt::parse(&"x".repeat(4096)).can_match());
        assert!(!PasswordAttempt::parse(&"x".repeat(4097)).can_match());
        // 4,098 bytes whose NFC has 2,732; the cut falls inside a character.
        assert!(!PasswordAttempt::parse(&"e\u{301}".repeat(1366)).can_match());
        let long = PasswordAttempt::parse(&"🦊".repeat(300_000));
        assert!(!long.can_match());
        assert_eq!(long.expose().len(), 4096);
        let length = PasswordLength { min: 1, max: 10_000 };
        let text = "x".repeat(4096);
        let chosen = Password::parse(&text, &length).unwrap();
        assert!(!chosen.same_as(&PasswordAttempt::parse(&(text + "y"))));
    }

    #[test]
    fn an_attempt_with_a_nul_never_matches() {
        let attempt = PasswordAttempt::parse("a\0a");
        assert!(!attempt.can_match());
        assert_eq!(attempt.expose().len(), 3, "it costs what its length costs");
    }

    #[test]
    fn none_of_them_speaks() {
        let secret = "unspeakable";
        let shown = format!(
            "{:?} {:?} {:?}",
            parse(secret).unwrap(),
            PasswordAttempt::parse(secret),
            PasswordHash::from_stored(secret.to_owned())
        );
        assert!(!shown.contains(secret));
        assert_eq!(
            shown,
            "Password(redacted) PasswordAttempt(redacted) PasswordHash(redacted)"
        );
    }
}
