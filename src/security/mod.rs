//! Everything that touches a secret: passwords, access tokens, the keys that sign them, the seal they are stored
//! under, and opaque secrets. Services come here; nothing in this room knows HTTP or SQL.

mod access_token;
mod keyed_digest;
mod mail_code;
mod opaque;
pub mod passwords;
mod retired;
mod seal;
mod signed_statement;
mod signing_key;

pub use access_token::{
    AccessToken, AccessTokenSettings, AccessTokens, CLIENT_ID, Party, SCOPE, TokenDetails, TokenFault,
    VerifiedToken,
};
pub use keyed_digest::KeyedDigest;
pub use mail_code::{MailKeys, MailSecret, TypedCode};
pub use opaque::{ClientSecret, MailToken, RefreshToken, SecretDigest};
pub use retired::RetiredSchemes;
pub use seal::{Sealer, Unsealable};
pub use signed_statement::{SignedStatement, StatementFault};
pub use signing_key::{KeyFault, KeyRing, KeyState, NewSigningKey, StoredSigningKey};
