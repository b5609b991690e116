//! Sealing: how a secret is kept in the database so that the database alone can't give it away.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use zeroize::Zeroizing;

use crate::clock::Random;

/// The first byte of everything that is sealed: which construction it is.
const VERSION: u8 = 1;

/// Seals and opens secrets with AES-256-GCM (NIST SP 800-38D), under a key derived from `security.secret_key` with
/// HKDF-SHA256 (RFC 5869) for one purpose.
///
/// Nonces are random: 2^32 seals under one key are safe, and a key store makes a handful a year.
pub struct Sealer(LessSafeKey);

/// What was to be opened isn't what was sealed: another `security.secret_key`, another place, or changed bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unsealable;

impl fmt::Display for Unsealable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("cannot be decrypted with this security.secret_key")
    }
}

impl std::error::Error for Unsealable {}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealer([redacted])")
    }
}

#[derive(Clone, Copy)]
struct Aes256Key;

impl KeyType for Aes256Key {
    fn len(&self) -> usize {
        AES_256_GCM.key_len()
    }
}

impl Sealer {
    /// A sealer for one purpose. Two purposes never share a key.
    ///
    /// # Errors
    /// None with the lengths used here; the signature is the library's.
    pub fn new(secret: &[u8; 32], purpose: &'static str) -> Result<Self, Unsealable> {
        let mut key = Zeroizing::new([0; 32]);
        Salt::new(HKDF_SHA256, b"roster")
            .extract(secret)
            .expand(&[purpose.as_bytes()], Aes256Key)
            .and_then(|output| output.fill(key.as_mut()))
            .map_err(|_| Unsealable)?;
        let key = UnboundKey::new(&AES_256_GCM, key.as_ref()).map_err(|_| Unsealable)?;
        Ok(Self(LessSafeKey::new(key)))
    }

    /// Seals a secret for the place named by `context`; it opens in no other place.
    ///
    /// # Errors
    /// Where the library refuses, which it doesn't for texts of any sane length.
    pub fn seal(&self, secret: &[u8], context: &[u8], random: &dyn Random) -> Result<Vec<u8>, Unsealable> {
        let mut nonce = [0; NONCE_LEN];
        random.fill(&mut nonce);
        let mut sealed = Vec::with_capacity(1 + NONCE_LEN + secret.len() + AES_256_GCM.tag_len());
        sealed.push(VERSION);
        sealed.extend_from_slice(&nonce);
        let mut text = Zeroizing::new(secret.to_vec());
        let tag = self
            .0
            .seal_in_place_separate_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(context),
                text.as_mut_slice(),
            )
            .map_err(|_| Unsealable)?;
        sealed.extend_from_slice(&text);
        sealed.extend_from_slice(tag.as_ref());
        Ok(sealed)
    }

    /// Opens what [`Self::seal`] made for the same place.
    ///
    /// # Errors
    /// [`Unsealable`] for anything else.
    pub fn open(&self, sealed: &[u8], context: &[u8]) -> Result<Zeroizing<Vec<u8>>, Unsealable> {
        let (&version, rest) = sealed.split_first().ok_or(Unsealable)?;
        if version != VERSION {
            return Err(Unsealable);
        }
        let (nonce, text) = rest.split_at_checked(NONCE_LEN).ok_or(Unsealable)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| Unsealable)?;
        let mut text = Zeroizing::new(text.to_vec());
        let length = self
            .0
            .open_in_place(nonce, Aad::from(context), text.as_mut_slice())
            .map_err(|_| Unsealable)?
            .len();
        text.truncate(length);
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemRandom;

    #[test]
    fn what_is_sealed_opens_only_unchanged_in_its_place_and_for_its_purpose() {
        let sealer = Sealer::new(&[7; 32], "test").unwrap();
        let secret = sealer.seal(b"secret", b"place", &SystemRandom).unwrap();
        assert_eq!(sealer.open(&secret, b"place").unwrap().as_slice(), b"secret");
        assert!(!secret.windows(6).any(|window| window == b"secret"));

        assert!(sealer.open(&secret, b"other place").is_err());
        assert!(
            Sealer::new(&[7; 32], "other")
                .unwrap()
                .open(&secret, b"place")
                .is_err()
        );
        assert!(
            Sealer::new(&[8; 32], "test")
                .unwrap()
                .open(&secret, b"place")
                .is_err()
        );
        for index in 0..secret.len() {
            let mut changed = secret.clone();
            changed[index] ^= 1;
            assert!(sealer.open(&changed, b"place").is_err(), "byte {index}");
            assert!(sealer.open(&secret[..index], b"place").is_err(), "cut at {index}");
        }
    }
}
