//! The `security` section, and the key that everything else secret is encrypted with.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;

use base64::Engine;
use base64::alphabet::{Alphabet, STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use zeroize::Zeroizing;

use super::layer::Form;
use super::reader::{REDACTED, Reader, Row};
use super::values;

/// What a secret key has to look like, and how to come by one.
pub(super) const MAKE_A_KEY: &str = "32 random bytes in base64, made by `openssl rand -base64 32`";

/// The `security` section.
#[derive(Clone, Debug)]
pub struct SecurityConfig {
    /// Encrypts the signing keys in the database; always there in production, except for commands
    /// that need only the database.
    pub secret_key: Option<SecretKey>,
    /// Where a key that was made at the first start is kept; for development only.
    pub secret_key_path: PathBuf,
}

impl SecurityConfig {
    pub(super) fn read(r: &mut Reader) -> Self {
        Self {
            secret_key: r.text(
                Row::new(
                    "security.secret_key",
                    Form::Secret,
                    MAKE_A_KEY,
                    "Encrypts the signing keys in the database; required in production",
                ),
                None,
                |text| SecretKey::parse(text).map(Some),
                |key| key.as_ref().map(|_| REDACTED.to_owned()),
            ),
            secret_key_path: r.text(
                Row::new(
                    "security.secret_key_path",
                    Form::Plain,
                    "a path",
                    "In development, where a secret key made at the first start is kept",
                ),
                PathBuf::from("data/secret.key"),
                values::path,
                |path| Some(path.display().to_string()),
            ),
        }
    }
}

/// 32 secret bytes, wiped from memory when dropped. Their Debug shows none of them.
#[derive(Clone)]
pub struct SecretKey(Zeroizing<[u8; 32]>);

impl SecretKey {
    /// A key of these bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Takes 32 bytes in base64, standard or URL-safe, with or without padding.
    ///
    /// # Errors
    ///
    /// What is wrong with the text, without repeating any of it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let url_safe = text.contains(['-', '_']);
        let alphabet = if url_safe { &URL_SAFE } else { &STANDARD };
        let bytes = decode(text, alphabet).ok_or("is not base64")?;
        let mut key = Zeroizing::new([0; 32]);
        if bytes.len() != key.len() {
            return Err(format!("has {} bytes, not 32", bytes.len()));
        }
        key.copy_from_slice(&bytes);
        Ok(Self(key))
    }

    /// The bytes; only for encrypting and decrypting.
    #[must_use]
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    /// Why this key can't have come from a random generator, if so.
    ///
    /// A random key meets any of these with a chance below one in a billion.
    pub(super) fn weakness(&self) -> Option<&'static str> {
        const FEWEST_DISTINCT: usize = 16;
        const LONGEST_RUN: usize = 8;
        let bytes = self.0.as_slice();
        if PUBLISHED.contains(&*self.0) {
            return Some("is a published example");
        }
        if bytes.iter().all(|byte| byte.is_ascii_graphic() || *byte == b' ') {
            return Some("is text, not random bytes");
        }
        let repeats = |period| bytes.iter().zip(bytes.iter().skip(period)).all(|(a, b)| a == b);
        if (1..=bytes.len() / 2).any(repeats) {
            return Some("repeats itself");
        }
        let steps: Vec<u8> = bytes
            .iter()
            .zip(bytes.iter().skip(1))
            .map(|(a, b)| b.wrapping_sub(*a))
            .collect();
        if steps
            .windows(LONGEST_RUN - 1)
            .any(|run| run.iter().all(|step| run.first() == Some(step)))
        {
            return Some("counts up or down");
        }
        if bytes.iter().collect::<BTreeSet<_>>().len() < FEWEST_DISTINCT {
            return Some("has too few different bytes");
        }
        None
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "SecretKey({REDACTED})")
    }
}

fn decode(text: &str, alphabet: &Alphabet) -> Option<Zeroizing<Vec<u8>>> {
    let config = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let engine = GeneralPurpose::new(alphabet, config);
    engine.decode(text).ok().map(Zeroizing::new)
}

/// Keys that look random but stand in well-known documentation.
const PUBLISHED: [[u8; 32]; 2] = [
    // The `SECRET_KEY` of FastAPI's tutorial, read as hexadecimal digits.
    [
        0x09, 0xd2, 0x5e, 0x09, 0x4f, 0xaa, 0x6c, 0xa2, 0x55, 0x6c, 0x81, 0x81, 0x66, 0xb7, 0xa9, 0x56, 0x3b,
        0x93, 0xf7, 0x09, 0x9f, 0x6f, 0x0f, 0x4c, 0xaa, 0x6c, 0xf6, 0x3b, 0x88, 0xe8, 0xd3, 0xe7,
    ],
    // SHA-256 of nothing: what a pipeline makes of a password that was empty.
    [
        0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24, 0x27,
        0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
    ],
];
