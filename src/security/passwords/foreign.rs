//! Comparing an attempt with a hash that another system made; `scheme.rs` has our own algorithms.
//!
//! Each algorithm gets the bytes that its library would make of the password. An attempt is in NFC, which is what
//! keyboards and browsers send; of all the libraries only Better Auth normalises, to NFKC, and the rest take the UTF-8
//! of what they are given. A password that was chosen on a system that sent another form doesn't match: its owner
//! resets it.

use std::hint::black_box;

use aws_lc_rs::cipher::{AES_256, EncryptingKey, EncryptionContext, UnboundCipherKey};
use aws_lc_rs::digest::{self, SHA1_FOR_LEGACY_USE_ONLY, SHA256, SHA512};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::pbkdf2;
use subtle::ConstantTimeEq;
use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

use super::scheme::HashFault;
use super::stored::{
    Pbkdf2Digest, SaltedShaVariant, ScryptCosts, ShaCryptVariant, StoredFirebase, StoredPbkdf2,
    StoredSaltedSha, StoredScrypt, StoredShaCrypt,
};

/// SHA-crypt's rounds each read the password again, so that a long attempt would multiply the cost. libxcrypt takes
/// no password over this, and no account here can have one by the usual settings.
pub(super) const SHA_CRYPT_MAX_BYTES: usize = 512;
/// The length of Firebase's AES key in bytes.
const FIREBASE_KEY_BYTES: usize = 32;

impl StoredPbkdf2 {
    pub(super) fn matches(&self, attempt: &str) -> bool {
        let algorithm = match self.digest {
            Pbkdf2Digest::Sha1 => pbkdf2::PBKDF2_HMAC_SHA1,
            Pbkdf2Digest::Sha256 => pbkdf2::PBKDF2_HMAC_SHA256,
            Pbkdf2Digest::Sha512 => pbkdf2::PBKDF2_HMAC_SHA512,
        };
        let mut key = Zeroizing::new(vec![0; self.key.len()]);
        pbkdf2::derive(
            algorithm,
            self.iterations,
            &self.salt,
            attempt.as_bytes(),
            &mut key,
        );
        bool::from(key.ct_eq(&self.key))
    }
}

impl StoredScrypt {
    pub(super) fn matches(&self, attempt: &str) -> Result<bool, HashFault> {
        let mut digest = Zeroizing::new(vec![0; self.digest.len()]);
        if self.in_nfkc {
            let mut attempt_in_nfkc = Zeroizing::new(String::with_capacity(nfkc_bytes(attempt)));
            attempt_in_nfkc.extend(attempt.nfkc());
            scrypt(self.costs, attempt_in_nfkc.as_bytes(), &self.salt, &mut digest)?;
        } else {
            scrypt(self.costs, attempt.as_bytes(), &self.salt, &mut digest)?;
        }
        Ok(bool::from(digest.ct_eq(&self.digest)))
    }
}

impl StoredFirebase {
    pub(super) fn matches(&self, attempt: &str) -> Result<bool, HashFault> {
        let mut key = Zeroizing::new([0; FIREBASE_KEY_BYTES]);
        scrypt(self.costs, attempt.as_bytes(), &self.salt, key.as_mut_slice())?;
        // The counter begins at zero for every account: each has a key of its own.
        let context = EncryptionContext::Iv128(FixedLength::from([0; 16]));
        let mut digest = Zeroizing::new(self.signer_key.clone());
        UnboundCipherKey::new(&AES_256, key.as_slice())
            .and_then(EncryptingKey::ctr)
            .and_then(|key| key.less_safe_encrypt(&mut digest, context))
            .map_err(|_| HashFault::Settings)?;
        Ok(bool::from(digest.ct_eq(&self.digest)))
    }
}

impl StoredShaCrypt {
    pub(super) fn matches(&self, attempt: &str) -> Result<bool, HashFault> {
        let params = sha_crypt::Params::new(self.rounds).map_err(|_| HashFault::Settings)?;
        let attempt = attempt.as_bytes();
        Ok(match self.variant {
            ShaCryptVariant::Sha256 => {
                let digest = Zeroizing::new(sha_crypt::sha256_crypt(attempt, &self.salt, params));
                bool::from(digest.as_slice().ct_eq(&self.digest))
            }
            ShaCryptVariant::Sha512 => {
                let digest = Zeroizing::new(sha_crypt::sha512_crypt(attempt, &self.salt, params));
                bool::from(digest.as_slice().ct_eq(&self.digest))
            }
        })
    }
}

impl StoredSaltedSha {
    pub(super) fn matches(&self, attempt: &str) -> bool {
        let algorithm = match self.variant {
            SaltedShaVariant::Sha1 => &SHA1_FOR_LEGACY_USE_ONLY,
            SaltedShaVariant::Sha256 => &SHA256,
            SaltedShaVariant::Sha512 => &SHA512,
        };
        let mut context = digest::Context::new(algorithm);
        context.update(attempt.as_bytes());
        context.update(&self.salt);
        bool::from(context.finish().as_ref().ct_eq(&self.digest))
    }
}

/// Django's `bcrypt_sha256`: what bcrypt is given in place of the password.
pub(super) fn hexadecimal_sha256(password: &[u8]) -> Zeroizing<[u8; 64]> {
    let digest = digest::digest(&SHA256, password);
    let digit = |value: u8| {
        if value < 10 {
            value.wrapping_add(b'0')
        } else {
            value.wrapping_add(b'a' - 10)
        }
    };
    let mut digits = Zeroizing::new([0; 64]);
    for (pair, byte) in digits.chunks_exact_mut(2).zip(digest.as_ref()) {
        pair.copy_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
    }
    digits
}

/// What bcrypt has to be given to compute what `crypt_blowfish` of before 2011 computed.
///
/// Blowfish takes its key in words of four bytes, eighteen in all, and reads in circles, the closing NUL included. That
/// version made each word of signed bytes: one over 127 filled all bits above it, and so wiped out the bytes before it in its
/// word. The eighteen words, written out as bytes, are a key of 72 bytes that gives just these words.
pub(super) fn sign_extended_key(password: &[u8]) -> Zeroizing<[u8; 72]> {
    let mut key = Zeroizing::new([0; 72]);
    let mut circle = password.iter().copied().chain([0]).cycle();
    for word in key.chunks_exact_mut(4) {
        let mut bits = 0_u32;
        for byte in circle.by_ref().take(4) {
            bits = (bits << 8) | i32::from(byte.cast_signed()).cast_unsigned();
        }
        word.copy_from_slice(&bits.to_be_bytes());
    }
    key
}

/// What NFKC may need, so that it never moves and leaves a copy behind: no character grows by more than this (UAX #15).
fn nfkc_bytes(text: &str) -> usize {
    text.len().saturating_mul(11)
}

/// scrypt in memory of its own: its crate has no call that takes a worker's.
///
/// Unlike with argon2 that costs little. The larger blocks go back to the system at once; four threads with 16 MiB each kept
/// 33 MiB a thread, measured under glibc, and no more with larger hashes in between. It ends with the last account that
/// brought such a hash.
fn scrypt(costs: ScryptCosts, password: &[u8], salt: &[u8], output: &mut [u8]) -> Result<(), HashFault> {
    let params = scrypt::Params::new(costs.log_n, costs.r, costs.p).map_err(|_| HashFault::Settings)?;
    // Asked for and given back: the crate's allocation would end the process where the system has none to give.
    let mut probe: Vec<u8> = Vec::new();
    probe
        .try_reserve_exact(costs.memory_bytes())
        .map_err(|_| HashFault::OutOfMemory)?;
    drop(black_box(probe));
    scrypt::scrypt(password, salt, &params, output).map_err(|_| HashFault::Settings)
}
