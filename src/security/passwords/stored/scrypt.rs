//! scrypt, in the spellings of passlib, Django, Werkzeug and Better Auth; and Firebase's variant of it.

use std::ops::RangeInclusive;

use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD, STANDARD_NO_PAD};

use super::{
    DIGEST_BYTES, SALT_BYTES, UnreadableHash, base64, decimal, fields, hexadecimal, numbers, plain_salt,
};

/// The most memory, in KiB, that an scrypt hash is verified with: what OWASP and the scrypt libraries recommend for new
/// hashes (N = 2^17, r = 8). Each hashing thread may need it at once, and gives it back when the job is done.
pub const MAX_SCRYPT_MEMORY_KIB: u32 = 131_072;
/// The largest block, r, that an scrypt hash is verified with; Better Auth has 16, everybody else 8.
pub const MAX_SCRYPT_BLOCK: u32 = 32;
/// The most lanes, p, that an scrypt hash is verified with; they run one after the other.
pub const MAX_SCRYPT_PARALLELISM: u32 = 16;
/// Django, Werkzeug and Better Auth: the length of a digest.
const LONG_DIGEST: RangeInclusive<usize> = 64..=64;
/// Better Auth's costs, which it doesn't write down: N = 16384, r = 16, p = 1.
const BETTER_AUTH_COSTS: (u8, u32, u32) = (14, 16, 1);

/// Either alphabet of base64, padded or not.
const STANDARD_OR_BARE: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, PADDED_OR_NOT);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, PADDED_OR_NOT);
const PADDED_OR_NOT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);

/// scrypt's parameters, within the bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct ScryptCosts {
    /// The binary logarithm of N.
    pub log_n: u8,
    pub r: u32,
    pub p: u32,
}

/// Any of the spellings of plain scrypt.
pub(in super::super) struct StoredScrypt {
    pub costs: ScryptCosts,
    /// Better Auth: the password is hashed in NFKC, not as it comes.
    pub in_nfkc: bool,
    pub salt: Vec<u8>,
    pub digest: Vec<u8>,
}

/// Firebase: scrypt makes an AES key, and the digest is the project's signer key encrypted with it.
pub(in super::super) struct StoredFirebase {
    pub costs: ScryptCosts,
    /// The account's salt followed by the project's separator.
    pub salt: Vec<u8>,
    pub signer_key: Vec<u8>,
    /// As long as the signer key.
    pub digest: Vec<u8>,
}

impl ScryptCosts {
    fn bounded(log_n: u32, r: u32, p: u32) -> Result<Self, UnreadableHash> {
        if log_n == 0 || r == 0 || p == 0 {
            return Err(UnreadableHash::Malformed);
        }
        let costly = UnreadableHash::TooCostly;
        if r > MAX_SCRYPT_BLOCK || p > MAX_SCRYPT_PARALLELISM {
            return Err(costly);
        }
        // 128 * N * r bytes.
        let memory_kib = 1_u32
            .checked_shl(log_n)
            .and_then(|n| n.checked_mul(r))
            .ok_or(costly)?
            / 8;
        if memory_kib > MAX_SCRYPT_MEMORY_KIB {
            return Err(costly);
        }
        let log_n = u8::try_from(log_n).map_err(|_| costly)?;
        Ok(Self { log_n, r, p })
    }

    /// What scrypt fills and reads: 128 bytes for each of N times r.
    pub(in super::super) fn memory_bytes(self) -> usize {
        let r = usize::try_from(self.r).unwrap_or(usize::MAX);
        1_usize
            .checked_shl(u32::from(self.log_n))
            .unwrap_or(usize::MAX)
            .saturating_mul(r)
            .saturating_mul(128)
    }

    /// N, r and p in decimal digits, N a power of two.
    fn parse(n: &str, r: &str, p: &str) -> Result<Self, UnreadableHash> {
        let n = decimal(n)?;
        if !n.is_power_of_two() {
            return Err(UnreadableHash::Malformed);
        }
        Self::bounded(n.trailing_zeros(), decimal(r)?, decimal(p)?)
    }
}

impl StoredScrypt {
    /// passlib and the PHC string format: `$scrypt$ln=16,r=8,p=1$salt$digest`.
    pub(super) fn parse_phc(text: &str) -> Result<Self, UnreadableHash> {
        let malformed = UnreadableHash::Malformed;
        let ["", "scrypt", costs, salt, digest] = fields(text, '$')? else {
            return Err(malformed);
        };
        let [Some(log_n), Some(r), Some(p)] = numbers(costs, ["ln", "r", "p"])? else {
            return Err(malformed);
        };
        Ok(Self {
            costs: ScryptCosts::bounded(log_n, r, p)?,
            in_nfkc: false,
            salt: base64(&STANDARD_NO_PAD, salt, SALT_BYTES)?,
            digest: base64(&STANDARD_NO_PAD, digest, DIGEST_BYTES)?,
        })
    }

    /// Django: `scrypt$16384$salt$8$5$digest`, the salt as it stands.
    pub(super) fn parse_django(text: &str) -> Result<Self, UnreadableHash> {
        let [_, n, salt, r, p, digest] = fields(text, '$')?;
        Ok(Self {
            costs: ScryptCosts::parse(n, r, p)?,
            in_nfkc: false,
            salt: plain_salt(salt)?,
            digest: base64(&STANDARD, digest, LONG_DIGEST)?,
        })
    }

    /// Werkzeug: `scrypt:32768:8:1$salt$digest`, the salt as it stands and the digest in hexadecimal digits.
    pub(super) fn parse_werkzeug(text: &str) -> Result<Self, UnreadableHash> {
        let [method, salt, digest] = fields(text, '$')?;
        let [_, n, r, p] = fields(method, ':')?;
        Ok(Self {
            costs: ScryptCosts::parse(n, r, p)?,
            in_nfkc: false,
            salt: plain_salt(salt)?,
            digest: hexadecimal(digest, LONG_DIGEST)?,
        })
    }

    /// Better Auth: salt and digest in hexadecimal digits, a colon between them. What is hashed is the salt's digits.
    pub(super) fn parse_better_auth(text: &str) -> Result<Self, UnreadableHash> {
        let [salt, digest] = fields(text, ':')?;
        hexadecimal(salt, 16..=16)?;
        let (log_n, r, p) = BETTER_AUTH_COSTS;
        Ok(Self {
            costs: ScryptCosts { log_n, r, p },
            in_nfkc: true,
            salt: salt.as_bytes().to_vec(),
            digest: hexadecimal(digest, LONG_DIGEST)?,
        })
    }
}

impl StoredFirebase {
    /// As Supabase's `GoTrue` writes it: `$fbscrypt$v=1,n=14,r=8,p=1,ss=…,sk=…$salt$digest`. Firebase itself keeps the
    /// project's half, `ss` and `sk`, apart from the accounts.
    pub(super) fn parse(text: &str) -> Result<Self, UnreadableHash> {
        let malformed = UnreadableHash::Malformed;
        let ["", "fbscrypt", parameters, salt, digest] = fields(text, '$')? else {
            return Err(malformed);
        };
        // The keys' base64 has neither a comma nor, before its padding, an equals sign.
        let (costs, keys) = parameters.split_once(",ss=").ok_or(malformed)?;
        let (separator, signer_key) = keys.split_once(",sk=").ok_or(malformed)?;
        let [Some(version), Some(log_n), Some(r), Some(p)] = numbers(costs, ["v", "n", "r", "p"])? else {
            return Err(malformed);
        };
        if version != 1 {
            return Err(UnreadableHash::UnknownFormat);
        }
        // Firebase has no such parameter.
        if p != 1 {
            return Err(malformed);
        }
        let mut salt = either_base64(salt, SALT_BYTES)?;
        salt.extend(either_base64(separator, 0..=*SALT_BYTES.end())?);
        let signer_key = either_base64(signer_key, DIGEST_BYTES)?;
        let whole = signer_key.len()..=signer_key.len();
        Ok(Self {
            costs: ScryptCosts::bounded(log_n, r, p)?,
            salt,
            digest: either_base64(digest, whole)?,
            signer_key,
        })
    }
}

/// Firebase's command line writes the standard alphabet and its Admin SDK the one for addresses; the padding may be
/// missing from either.
fn either_base64(text: &str, lengths: RangeInclusive<usize>) -> Result<Vec<u8>, UnreadableHash> {
    if text.contains(['-', '_']) {
        base64(&URL_SAFE, text, lengths)
    } else {
        base64(&STANDARD_OR_BARE, text, lengths)
    }
}
