//! Codes that go out by mail: 256 random bits for a link, and beside them eight characters for whoever types.
//!
//! A link's token needs no more than a plain digest, as every opaque secret. Eight characters are 40 bits: whoever has a
//! plain digest of them tries all within minutes. Their digest is therefore keyed with a key that isn't in the database,
//! and says what the code is for; a copy of the database alone is worth nothing.

use std::fmt;

use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use aws_lc_rs::hmac;
use zeroize::Zeroizing;

use super::opaque::{MailToken, SecretDigest};
use super::seal::{Sealer, Unsealable};
use crate::clock::Random;
use crate::domain::MailId;

/// Capital letters and digits without those that are taken for one another: 0 and O, 1 and I. 32 of them, so that
/// five random bits choose one.
const ALPHABET: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";
const CHARACTERS: usize = 8;

/// The short form of a mailed code.
pub struct TypedCode(Zeroizing<[u8; CHARACTERS]>);

impl TypedCode {
    /// Makes a new one.
    #[must_use]
    pub fn generate(random: &dyn Random) -> Self {
        let mut code = Zeroizing::new([0; CHARACTERS]);
        random.fill(code.as_mut());
        for byte in code.iter_mut() {
            *byte = ALPHABET
                .get(usize::from(*byte) % ALPHABET.len())
                .copied()
                .unwrap_or_default();
        }
        Self(code)
    }

    /// Reads what somebody has typed: letter case, spaces and hyphens make no difference.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut code = Zeroizing::new([0; CHARACTERS]);
        let mut places = code.iter_mut();
        for byte in text.bytes().filter(|byte| !matches!(byte, b' ' | b'-')) {
            let byte = byte.to_ascii_uppercase();
            if !ALPHABET.contains(&byte) {
                return None;
            }
            *places.next()? = byte;
        }
        if places.next().is_some() {
            return None;
        }
        Some(Self(code))
    }

    /// The text for the one mail that carries it, in two halves.
    #[must_use]
    pub fn expose(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(CHARACTERS + 1));
        for (index, byte) in self.0.iter().enumerate() {
            if index == CHARACTERS / 2 {
                text.push('-');
            }
            text.push(char::from(*byte));
        }
        text
    }
}

impl fmt::Debug for TypedCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TypedCode([redacted])")
    }
}

/// Both forms of one code.
#[derive(Debug)]
pub struct MailSecret {
    /// For the link.
    pub token: MailToken,
    /// To be typed.
    pub typed: TypedCode,
}

impl MailSecret {
    /// Makes a new one.
    #[must_use]
    pub fn generate(random: &dyn Random) -> Self {
        Self {
            token: MailToken::generate(random),
            typed: TypedCode::generate(random),
        }
    }
}

/// What codes are sealed and digested with; made from `security.secret_key`.
pub struct MailKeys {
    sealer: Sealer,
    digests: hmac::Key,
}

impl fmt::Debug for MailKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MailKeys([redacted])")
    }
}

impl MailKeys {
    /// Keys of this secret.
    ///
    /// # Errors
    /// None with a secret of the right length.
    pub fn new(secret: &[u8; 32]) -> Result<Self, Unsealable> {
        let mut key = Zeroizing::new([0; 32]);
        Salt::new(HKDF_SHA256, b"roster")
            .extract(secret)
            .expand(&[b"mail code digests"], hmac::HMAC_SHA256)
            .and_then(|output| output.fill(key.as_mut()))
            .map_err(|_| Unsealable)?;
        Ok(Self {
            sealer: Sealer::new(secret, "mail codes")?,
            digests: hmac::Key::new(hmac::HMAC_SHA256, key.as_ref()),
        })
    }

    /// What the database may hold of a code to type, which is good for one purpose and one address.
    #[must_use]
    pub fn typed_digest(&self, purpose: &str, email: &str, code: &TypedCode) -> SecretDigest {
        self.digest(&[b"code", purpose.as_bytes(), email.as_bytes(), code.0.as_slice()])
    }

    /// What stands for an address where nobody needs to read it.
    #[must_use]
    pub fn address_digest(&self, email: &str) -> SecretDigest {
        self.digest(&[b"address", email.as_bytes()])
    }

    fn digest(&self, parts: &[&[u8]]) -> SecretDigest {
        let mut context = hmac::Context::with_key(&self.digests);
        for part in parts {
            // With its length, so that no two lists of parts read the same.
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        SecretDigest::from_stored(context.sign().as_ref()).unwrap_or(SecretDigest::NOBODYS)
    }

    /// Seals a code for the outbox row of its mail.
    ///
    /// # Errors
    /// As [`Sealer::seal`].
    pub fn seal(
        &self,
        secret: &MailSecret,
        mail: MailId,
        random: &dyn Random,
    ) -> Result<Vec<u8>, Unsealable> {
        let mut bytes = Zeroizing::new([0; 32 + CHARACTERS]);
        let (token, typed) = bytes.split_at_mut(32);
        token.copy_from_slice(secret.token.bytes());
        typed.copy_from_slice(secret.typed.0.as_slice());
        self.sealer.seal(bytes.as_slice(), mail.get().as_bytes(), random)
    }

    /// Opens what [`Self::seal`] made for the same mail.
    ///
    /// # Errors
    /// [`Unsealable`] for anything else, such as what was sealed before `security.secret_key` was changed.
    pub fn open(&self, sealed: &[u8], mail: MailId) -> Result<MailSecret, Unsealable> {
        let bytes = self.sealer.open(sealed, mail.get().as_bytes())?;
        let (token, typed) = bytes.split_at_checked(32).ok_or(Unsealable)?;
        let mut code = Zeroizing::new([0; CHARACTERS]);
        if typed.len() != CHARACTERS {
            return Err(Unsealable);
        }
        code.copy_from_slice(typed);
        Ok(MailSecret {
            token: MailToken::from_bytes(token).ok_or(Unsealable)?,
            typed: TypedCode(code),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use uuid::Uuid;

    use super::*;
    use crate::clock::SystemRandom;

    fn keys(byte: u8) -> MailKeys {
        MailKeys::new(&[byte; 32]).unwrap()
    }

    #[test]
    fn a_typed_code_is_read_however_it_is_typed() {
        let code = TypedCode::parse("K7QM2XWD").unwrap();
        assert_eq!(*code.expose(), "K7QM-2XWD");
        for typed in ["k7qm-2xwd", " K7QM 2XWD ", "K-7-Q-M-2-X-W-D"] {
            assert_eq!(TypedCode::parse(typed).unwrap().expose(), code.expose());
        }
        for wrong in [
            "",
            "K7QM2XW",
            "K7QM2XWDD",
            "K7QM2XW0",
            "K7QM2XWO",
            "K7QM2XWÄ",
            "K7QM_2XW",
        ] {
            assert!(TypedCode::parse(wrong).is_none(), "{wrong:?}");
        }
    }

    #[test]
    fn every_character_is_as_likely_as_any_other() {
        let mut seen = BTreeSet::new();
        for _ in 0..200 {
            seen.extend(TypedCode::generate(&SystemRandom).0.iter().copied());
        }
        assert_eq!(seen, ALPHABET.iter().copied().collect());
        assert_eq!(256 % ALPHABET.len(), 0);
    }

    #[test]
    fn a_typed_code_has_another_digest_for_each_purpose_address_and_secret() {
        let code = TypedCode::parse("K7QM2XWD").unwrap();
        let digests = [
            keys(1).typed_digest("reset_password", "ada@x.test", &code),
            keys(1).typed_digest("verify_email", "ada@x.test", &code),
            keys(1).typed_digest("reset_password", "eve@x.test", &code),
            keys(1).typed_digest("reset_passworda", "da@x.test", &code),
            keys(2).typed_digest("reset_password", "ada@x.test", &code),
            keys(1).address_digest("ada@x.test"),
        ];
        let distinct: BTreeSet<_> = digests.iter().map(|digest| *digest.as_bytes()).collect();
        assert_eq!(distinct.len(), digests.len());
    }

    #[test]
    fn a_sealed_code_opens_for_its_mail_and_with_its_key_alone() {
        let secret = MailSecret::generate(&SystemRandom);
        let (mail, other) = (MailId::new(Uuid::from_u128(1)), MailId::new(Uuid::from_u128(2)));
        let sealed = keys(1).seal(&secret, mail, &SystemRandom).unwrap();
        let opened = keys(1).open(&sealed, mail).unwrap();
        assert_eq!(opened.token.bytes(), secret.token.bytes());
        assert_eq!(opened.typed.expose(), secret.typed.expose());
        assert!(keys(1).open(&sealed, other).is_err());
        assert!(keys(2).open(&sealed, mail).is_err());
        assert_eq!(
            format!("{secret:?} {:?}", keys(1)).matches("[redacted]").count(),
            3
        );
    }
}
