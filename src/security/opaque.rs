//! Opaque secrets: texts that stand for nothing but themselves, such as refresh tokens and the secrets of clients.
//!
//! Each is 256 bits from the system's generator behind a prefix that names its kind, so that a secret scanner finds
//! one that has leaked into a repository or a log. The database holds a SHA-256 digest only. That is enough here, and
//! no slow hash is needed: nobody can guess 256 random bits, however fast the guessing is.

use std::fmt;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret as _, SecretBox};
use zeroize::Zeroizing;

use crate::clock::Random;

/// 256 bits.
const BYTES: usize = 32;
/// Their length in base64url without padding (RFC 4648 §5).
const TEXT_BYTES: usize = 43;
/// Room for what [`TEXT_BYTES`] of base64 may decode to while its last character hasn't been looked at.
const DECODED_AT_MOST: usize = 33;

/// The random bytes of any kind of secret. On the heap, so that moving one leaves no copy behind.
struct Opaque(SecretBox<[u8; BYTES]>);

impl Opaque {
    fn generate(random: &dyn Random) -> Self {
        Self(SecretBox::init_with_mut(|bytes: &mut [u8; BYTES]| {
            random.fill(bytes);
        }))
    }

    /// One text for each secret: another alphabet, padding, or stray bits in the last character aren't taken.
    fn parse(text: &str, prefix: &str) -> Option<Self> {
        let text = text.strip_prefix(prefix)?;
        if text.len() != TEXT_BYTES {
            return None;
        }
        let mut decoded = Zeroizing::new([0; DECODED_AT_MOST]);
        let length = BASE64_URL_SAFE_NO_PAD
            .decode_slice(text, decoded.as_mut_slice())
            .ok()?;
        let bytes: &[u8; BYTES] = decoded.get(..length)?.try_into().ok()?;
        Some(Self(SecretBox::init_with_mut(|secret: &mut [u8; BYTES]| {
            secret.copy_from_slice(bytes);
        })))
    }

    fn expose(&self, prefix: &str) -> Zeroizing<String> {
        // All the room at once: a text that grows leaves its shorter copies behind.
        let mut text = Zeroizing::new(String::with_capacity(prefix.len() + TEXT_BYTES));
        text.push_str(prefix);
        BASE64_URL_SAFE_NO_PAD.encode_string(self.bytes(), &mut text);
        text
    }

    fn bytes(&self) -> &[u8; BYTES] {
        self.0.expose_secret()
    }
}

/// What the database holds of an opaque secret: the SHA-256 digest of its bytes. Two are compared in constant time.
#[derive(Clone, Copy)]
pub struct SecretDigest([u8; BYTES]);

impl SecretDigest {
    fn of(secret: &[u8; BYTES]) -> Self {
        let mut bytes = [0; BYTES];
        // A SHA-256 digest has this length.
        bytes.copy_from_slice(digest(&SHA256, secret).as_ref());
        Self(bytes)
    }

    /// The digest of no secret that anybody could find: what is compared where there is nothing to compare with, so
    /// that this takes as long.
    pub const NOBODYS: Self = Self([0; BYTES]);

    /// A digest as it was stored; none where it hasn't the length of one.
    #[must_use]
    pub fn from_stored(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// The bytes, for the store.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; BYTES] {
        &self.0
    }
}

impl PartialEq for SecretDigest {
    /// Takes the same time wherever the first difference is.
    fn eq(&self, other: &Self) -> bool {
        verify_slices_are_equal(&self.0, &other.0).is_ok()
    }
}

impl Eq for SecretDigest {}

impl fmt::Debug for SecretDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretDigest([redacted])")
    }
}

macro_rules! opaque {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        pub struct $name(Opaque);

        impl $name {
            /// What its text begins with.
            pub const PREFIX: &'static str = $prefix;

            /// Makes a new one.
            #[must_use]
            pub fn generate(random: &dyn Random) -> Self {
                Self(Opaque::generate(random))
            }

            /// Reads exactly what [`Self::expose`] gave out; anything else is none.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                Opaque::parse(text, Self::PREFIX).map(Self)
            }

            /// The text, for the one answer that carries it.
            #[must_use]
            pub fn expose(&self) -> Zeroizing<String> {
                self.0.expose(Self::PREFIX)
            }

            /// The random bytes, for deriving a key from them.
            #[must_use]
            pub fn bytes(&self) -> &[u8; 32] {
                self.0.bytes()
            }

            /// What the database may hold of it.
            #[must_use]
            pub fn digest(&self) -> SecretDigest {
                SecretDigest::of(self.bytes())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "([redacted])"))
            }
        }
    };
}

opaque!(
    /// What keeps a session going: spent for a new access token and a successor of itself.
    RefreshToken,
    "roster_rt_"
);
opaque!(
    /// What a registered resource server proves itself with (RFC 6749 §2.3.1).
    ClientSecret,
    "roster_cs_"
);

opaque!(
    /// What a link in a mail proves: that whoever opens it can read that mailbox.
    MailToken,
    "roster_ml_"
);

impl MailToken {
    /// The token of these bytes, which were sealed before; none where they aren't 32.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; BYTES] = bytes.try_into().ok()?;
        Some(Self(Opaque(SecretBox::init_with_mut(
            |secret: &mut [u8; BYTES]| {
                secret.copy_from_slice(bytes);
            },
        ))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemRandom;

    /// Fills every byte with the same value.
    #[derive(Debug)]
    struct Constant(u8);

    impl Random for Constant {
        fn fill(&self, buffer: &mut [u8]) {
            buffer.fill(self.0);
        }
    }

    #[test]
    fn a_text_is_a_prefix_and_43_characters_that_read_back_as_the_same_secret() {
        let secret = ClientSecret::generate(&SystemRandom);
        let text = secret.expose();
        let random = text.strip_prefix("roster_cs_").unwrap();
        assert_eq!(random.len(), 43);
        assert!(
            random
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        );
        let read = ClientSecret::parse(&text).unwrap();
        assert_eq!(read.bytes(), secret.bytes());
        assert_eq!(read.digest(), secret.digest());

        let token = RefreshToken::generate(&Constant(0));
        assert_eq!(
            *token.expose(),
            format!("roster_rt_{}", "A".repeat(43)),
            "the encoding is plain base64url"
        );
    }

    #[test]
    fn two_secrets_differ_and_so_do_their_digests() {
        let [one, other] = [(); 2].map(|()| RefreshToken::generate(&SystemRandom));
        assert_ne!(one.bytes(), other.bytes());
        assert_ne!(one.digest(), other.digest());
    }

    #[test]
    fn the_digest_is_sha_256_of_the_bytes() {
        // `head -c 32 /dev/zero | sha256sum`
        let expected = "66687aadf862bd776c8fc18b8e9f8e20089714856ee233b3902a591d0d5f2925";
        let digest = ClientSecret::generate(&Constant(0)).digest();
        let digits: Vec<String> = digest.as_bytes().iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(digits.concat(), expected);
        assert_eq!(SecretDigest::from_stored(digest.as_bytes()), Some(digest));
        assert_eq!(SecretDigest::from_stored(&digest.as_bytes()[1..]), None);
        assert_eq!(SecretDigest::from_stored(&[0; 33]), None);
    }

    #[test]
    fn digests_that_differ_anywhere_are_not_equal() {
        let digest = SecretDigest([7; BYTES]);
        for at in 0..BYTES {
            let mut changed = digest;
            changed.0[at] ^= 1;
            assert_ne!(changed, digest, "byte {at}");
        }
    }

    #[test]
    fn only_the_one_text_of_a_secret_is_read() {
        let text = ClientSecret::generate(&Constant(0xFB)).expose();
        assert!(text.ends_with("-_v7-_v7-_s"), "{}", *text);
        assert!(ClientSecret::parse(&text).is_some());
        assert!(RefreshToken::parse(&text).is_none(), "another kind");
        let random = text.strip_prefix("roster_cs_").unwrap();
        for other in [
            String::new(),
            "roster_cs_".to_owned(),
            random.to_owned(),
            format!("{}=", *text),
            format!("{}A", *text),
            format!(" {}", *text),
            format!("{}\n", *text),
            text[..text.len() - 1].to_owned(),
            text.replace("roster_cs_", "ROSTER_CS_"),
            format!("roster_cs_{}", random.replace('-', "+").replace('_', "/")),
            // The last character has two bits that mean nothing: 't', 'u' and 'v' would say the same as 's'.
            format!("{}t", &text[..text.len() - 1]),
            format!("{}v", &text[..text.len() - 1]),
            format!("roster_cs_{}", "é".repeat(22)),
            format!("roster_cs_{}.", "A".repeat(42)),
            format!("roster_cs_{}", "A".repeat(42)),
            format!("roster_cs_{}", "A".repeat(44)),
        ] {
            assert!(ClientSecret::parse(&other).is_none(), "{other:?}");
        }
    }

    #[test]
    fn no_secret_speaks() {
        let secret = ClientSecret::generate(&Constant(0));
        assert_eq!(format!("{secret:?}"), "ClientSecret([redacted])");
        assert_eq!(
            format!("{:?}", RefreshToken::generate(&Constant(0))),
            "RefreshToken([redacted])"
        );
        assert_eq!(format!("{:?}", secret.digest()), "SecretDigest([redacted])");
    }
}
