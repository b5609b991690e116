//! Digests that only this installation can make.

use std::fmt;

use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use aws_lc_rs::hmac::{self, HMAC_SHA256};

/// HMAC-SHA256 (RFC 2104) under a key derived from `security.secret_key` with HKDF-SHA256 (RFC 5869) for one purpose.
///
/// For names by which something is found again and which the database mustn't tell. A plain digest of an e-mail address
/// tells it: there are few enough of them to try them all.
pub struct KeyedDigest(hmac::Key);

impl fmt::Debug for KeyedDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyedDigest([redacted])")
    }
}

impl KeyedDigest {
    /// Digests for one purpose. Two purposes never share a key.
    ///
    /// # Errors
    /// None with the lengths used here; the signature is the library's.
    pub fn new(secret: &[u8; 32], purpose: &'static str) -> Result<Self, aws_lc_rs::error::Unspecified> {
        let pseudo_random = Salt::new(HKDF_SHA256, b"roster").extract(secret);
        let info = [purpose.as_bytes()];
        let output = pseudo_random.expand(&info, HMAC_SHA256)?;
        Ok(Self(hmac::Key::from(output)))
    }

    /// The digest of a name of some kind. The kind ends at its first zero byte, so no two pairs are one.
    #[must_use]
    pub fn of(&self, kind: &'static str, name: &[u8]) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(kind.as_bytes());
        context.update(&[0]);
        context.update(name);
        let mut digest = [0; 32];
        // HMAC-SHA256 has this length.
        digest.copy_from_slice(context.sign().as_ref());
        digest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secret_purpose_kind_and_name_all_matter() {
        let digest = |secret, purpose, kind, name: &[u8]| {
            KeyedDigest::new(&[secret; 32], purpose).unwrap().of(kind, name)
        };
        let one = digest(1, "a", "b", b"c");
        assert_eq!(one, digest(1, "a", "b", b"c"));
        for other in [
            digest(2, "a", "b", b"c"),
            digest(1, "x", "b", b"c"),
            digest(1, "a", "x", b"c"),
            digest(1, "a", "b", b"x"),
            digest(1, "a", "bc", b""),
            digest(1, "a", "", b"bc"),
        ] {
            assert_ne!(one, other);
        }
        assert!(!format!("{:?}", KeyedDigest::new(&[1; 32], "a").unwrap()).contains('1'));
    }
}
