//! E-mail addresses in one canonical form, the same for storing, comparing and mailing.

use std::fmt;

use idna::AsciiDenyList;
use idna::uts46::{DnsLength, Hyphens, Uts46};
use unicode_normalization::UnicodeNormalization;

/// The longest address that SMTP can carry, in bytes (RFC 5321 §4.5.3.1.3, less the angle brackets).
const MAX_BYTES: usize = 254;
/// The longest local part, in bytes (RFC 5321 §4.5.3.1.1).
const MAX_LOCAL_BYTES: usize = 64;
/// Before it is normalised, an address may be longer than after: NFC shrinks a character to a third at most.
const MAX_INPUT_BYTES: usize = 4 * MAX_BYTES;

/// An e-mail address in canonical form: trimmed, NFC, lower case, its domain in IDNA ASCII.
///
/// There is no other form of it anywhere: a look-up that used another spelling than the one that is stored or
/// mailed has led to account takeovers elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EmailAddress(String);

/// Why a text isn't an e-mail address that we take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EmailFault {
    /// More than 254 bytes in all, or more than 64 before the `@`.
    TooLong,
    /// White space, control or invisible characters inside.
    InvalidCharacters,
    /// Not `local@domain`, with a plain local part.
    Malformed,
    /// The domain isn't a name that a mail can be sent to.
    InvalidDomain,
}

impl EmailFault {
    /// The machine-readable code of the fault.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::TooLong => "too_long",
            Self::InvalidCharacters => "invalid_characters",
            Self::Malformed | Self::InvalidDomain => "invalid_email",
        }
    }

    /// What is wrong and what is allowed, for a person.
    #[must_use]
    pub const fn detail(self) -> &'static str {
        match self {
            Self::TooLong => "must have at most 254 bytes, and at most 64 before the @",
            Self::InvalidCharacters => "must not contain white space, control or invisible characters",
            Self::Malformed => {
                "must be one plain address such as name@example.com: no display name, no quotes, no comment"
            }
            Self::InvalidDomain => "must end in a domain name such as example.com",
        }
    }
}

impl EmailAddress {
    /// Parses one plain address (RFC 5321 §4.1.2 `Dot-string "@" Domain`, with the characters of RFC 6531) and
    /// brings it into its canonical form.
    ///
    /// # Errors
    /// The first [`EmailFault`] that was found.
    pub fn parse(text: &str) -> Result<Self, EmailFault> {
        let text = text.trim();
        if text.len() > MAX_INPUT_BYTES {
            return Err(EmailFault::TooLong);
        }
        if text.chars().any(is_hidden) {
            return Err(EmailFault::InvalidCharacters);
        }
        let (local, domain) = text.rsplit_once('@').ok_or(EmailFault::Malformed)?;
        // Lower-casing can undo NFC ('İ' becomes two characters), so it comes first and last.
        let local: String = local.nfc().flat_map(char::to_lowercase).nfc().collect();
        if local.len() > MAX_LOCAL_BYTES {
            return Err(EmailFault::TooLong);
        }
        if !is_dot_string(&local) {
            return Err(EmailFault::Malformed);
        }
        let domain = Uts46::new()
            .to_ascii(
                domain.as_bytes(),
                AsciiDenyList::STD3,
                Hyphens::CheckFirstLast,
                DnsLength::Verify,
            )
            .map_err(|_| EmailFault::InvalidDomain)?;
        if !is_mail_domain(&domain) {
            return Err(EmailFault::InvalidDomain);
        }
        let address = format!("{local}@{domain}");
        if address.len() > MAX_BYTES {
            return Err(EmailFault::TooLong);
        }
        Ok(Self(address))
    }

    /// The canonical text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EmailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `Dot-string` of RFC 5321 §4.1.2: no quotes, no dots at the ends or side by side.
fn is_dot_string(local: &str) -> bool {
    local
        .split('.')
        .all(|atom| !atom.is_empty() && atom.chars().all(is_atom_character))
}

fn is_atom_character(c: char) -> bool {
    if c.is_ascii() {
        c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c)
    } else {
        !is_hidden(c)
    }
}

/// At least two labels, the last of which isn't a number: nobody registers one, and `1.2.3.4` and `1.2.3.0x4` are
/// addresses of machines (as in the URL standard's "ends in a number").
fn is_mail_domain(domain: &str) -> bool {
    domain.rsplit_once('.').is_some_and(|(_, top)| {
        let digits = top.strip_prefix("0x").unwrap_or(top);
        let is_hex = digits.len() < top.len() && digits.bytes().all(|b| b.is_ascii_hexdigit());
        !(is_hex || top.bytes().all(|b| b.is_ascii_digit()))
    })
}

/// White space, control characters, and Unicode's `Default_Ignorable_Code_Point`s with the interlinear and
/// replacement characters: what a reader can't see and an attacker can hide a second account behind.
pub(super) fn is_hidden(c: char) -> bool {
    c.is_control()
        || c.is_whitespace()
        || matches!(c,
            '\u{00AD}' | '\u{034F}' | '\u{061C}' | '\u{115F}'..='\u{1160}' | '\u{17B4}'..='\u{17B5}'
            | '\u{180B}'..='\u{180F}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}'
            | '\u{2060}'..='\u{206F}' | '\u{3164}' | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}' | '\u{FFA0}'
            | '\u{FFF0}'..='\u{FFFF}' | '\u{2800}' | '\u{1BCA0}'..='\u{1BCA3}' | '\u{1D173}'..='\u{1D17A}'
            | '\u{E0000}'..='\u{E0FFF}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(text: &str) -> String {
        EmailAddress::parse(text).unwrap().to_string()
    }

    #[test]
    fn spellings_of_one_address_have_one_canonical_form() {
        assert_eq!(canonical("  Ada@Example.COM\t"), "ada@example.com");
        assert_eq!(
            canonical("a@bücher.example"),
            canonical("a@XN--BCHER-KVA.example")
        );
        assert_eq!(canonical("jose\u{301}@x.test"), canonical("JOSÉ@x.test"));
        assert_eq!(canonical("\u{212B}@x.test"), canonical("å@x.test"));
    }

    #[test]
    fn a_canonical_form_is_its_own_canonical_form() {
        for text in [
            "İ@x.test",
            "ǅ@x.test",
            "ΑΣ@x.test",
            "a@faß.example",
            "ﬀ@x.test",
            "\u{1E9E}@x.test",
        ] {
            let once = canonical(text);
            assert_eq!(canonical(&once), once, "{text}");
        }
    }

    #[test]
    fn different_addresses_stay_different() {
        let all = ["a+1@x.test", "a.b@x.test", "ab@x.test", "ı@x.test", "i@x.test"];
        let distinct: std::collections::HashSet<_> = all.iter().map(|text| canonical(text)).collect();
        assert_eq!(distinct.len(), all.len());
    }

    #[test]
    fn lengths_are_held_to_the_byte() {
        let label = "d".repeat(63);
        let fits = format!("{}@{label}.{label}.{}", "l".repeat(64), "t".repeat(61));
        assert_eq!(fits.len(), 254);
        assert_eq!(canonical(&fits), fits);
        let long = format!("{}@{label}.{label}.{}", "l".repeat(64), "t".repeat(62));
        assert_eq!(EmailAddress::parse(&long), Err(EmailFault::TooLong));
        assert_eq!(
            EmailAddress::parse(&format!("{}@x.test", "l".repeat(65))),
            Err(EmailFault::TooLong)
        );
        assert_eq!(
            EmailAddress::parse(&format!("a@{label}d.test")),
            Err(EmailFault::InvalidDomain)
        );
        assert_eq!(
            EmailAddress::parse(&"a".repeat(1 << 20)),
            Err(EmailFault::TooLong)
        );
    }

    #[test]
    fn what_is_not_one_plain_address_is_refused() {
        for text in [
            "",
            "@",
            "a",
            "a@",
            "@x.test",
            "a@b@x.test",
            "a b@x.test",
            "\"a\"@x.test",
            "Ada <a@x.test>",
            "a@[127.0.0.1]",
            "a@127.0.0.1",
            "a@1.2.3.0x4",
            "a\u{2800}b@x.test",
            "a@localhost",
            ".a@x.test",
            "a.@x.test",
            "a..b@x.test",
            "a@x..test",
            "a@-x.test",
            "a@x-.test",
            "a@x.test.",
            "a@x_y.test",
            "a,b@x.test",
            "a@xn--example-.org",
            "a(comment)@x.test",
            "a@x.test\0",
            "a\u{200B}b@x.test",
            "a\u{202E}@x.test",
            "\u{FEFF}a@x.test",
            "a@x.test\r\nBcc: b@x.test",
            "a\tb@x.test",
            "a@x\u{AD}.te st",
        ] {
            assert!(EmailAddress::parse(text).is_err(), "{text:?}");
        }
    }
}
