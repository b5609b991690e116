//! bcrypt's modular crypt format.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};

use super::{UnreadableHash, decimal};

/// The lowest bcrypt cost there is.
pub const MIN_BCRYPT_COST: u32 = 4;
/// The highest bcrypt cost that is verified: sixteen times the work of cost 12, some seconds.
pub const MAX_BCRYPT_COST: u32 = 16;

/// bcrypt's alphabet, lenient about the unused bits of the last digit: OpenBSD's decoder ignores them and old
/// libraries left them set.
const BCRYPT_BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::BCRYPT,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::RequireNone)
        .with_decode_allow_trailing_bits(true),
);

/// `$2b$12$` and so on.
pub(in super::super) struct StoredBcrypt {
    pub key: BcryptKey,
    pub cost: u32,
    pub salt: [u8; 16],
    pub digest: [u8; 23],
}

/// What of a password bcrypt was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum BcryptKey {
    /// The password.
    Password,
    /// `$2x$`: the password, as a `crypt_blowfish` of before 2011 mistook bytes over 127.
    SignExtended,
    /// Django's `bcrypt_sha256`: the SHA-256 of the password, in hexadecimal digits.
    Sha256,
}

impl StoredBcrypt {
    /// `$2b$`, two digits of cost, `$`, 22 digits of salt, 31 digits of digest: always 60 bytes.
    pub(super) fn parse(text: &str) -> Result<Self, UnreadableHash> {
        let malformed = UnreadableHash::Malformed;
        let (version, rest) = text
            .strip_prefix('$')
            .and_then(|rest| rest.split_once('$'))
            .ok_or(malformed)?;
        let key = match version {
            "2a" | "2b" | "2y" => BcryptKey::Password,
            "2x" => BcryptKey::SignExtended,
            _ => return Err(UnreadableHash::UnknownFormat),
        };
        let (cost, rest) = rest.split_once('$').ok_or(malformed)?;
        if cost.len() != 2 {
            return Err(malformed);
        }
        let cost = decimal(cost)?;
        if cost > MAX_BCRYPT_COST {
            return Err(UnreadableHash::TooCostly);
        }
        if cost < MIN_BCRYPT_COST {
            return Err(malformed);
        }
        let (salt, digest) = rest.split_at_checked(22).ok_or(malformed)?;
        let decode = |text: &str| BCRYPT_BASE64.decode(text).map_err(|_| malformed);
        Ok(Self {
            key,
            cost,
            salt: decode(salt)?.try_into().map_err(|_| malformed)?,
            digest: decode(digest)?.try_into().map_err(|_| malformed)?,
        })
    }

    /// What follows Django's `bcrypt_sha256$`, which has always been written with a bcrypt that is right.
    pub(super) fn parse_django_sha256(text: &str) -> Result<Self, UnreadableHash> {
        match Self::parse(text)? {
            bcrypt if bcrypt.key == BcryptKey::Password => Ok(Self {
                key: BcryptKey::Sha256,
                ..bcrypt
            }),
            _ => Err(UnreadableHash::UnknownFormat),
        }
    }
}
