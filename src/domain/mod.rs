//! Values that prove themselves: whoever holds an [`EmailAddress`] or a [`Password`] holds a valid one.
//!
//! Handlers come here to turn text into values at the door; everybody behind the door only passes them on.
//! Nothing in this room knows HTTP, SQL, time or chance.

mod audit;
mod change;
mod client;
mod email;
mod id;
mod locale;
mod metadata;
mod network;
mod password;
mod precondition;
mod profile;
mod search;
mod signing_algorithm;
mod standing;

pub use audit::{Actor, AuditAction, AuditOutcome, Origin};
pub use change::Change;
pub use client::{ClientName, ClientNameFault};
pub use email::{EmailAddress, EmailFault};
pub use id::{ClientId, MailId, SessionId, UserId};
pub use locale::{Locale, LocaleFault};
pub use metadata::{Metadata, MetadataFault};
pub use network::ClientNetwork;
pub use password::{Password, PasswordAttempt, PasswordFault, PasswordHash, PasswordLength};
pub use precondition::Precondition;
pub use profile::{DisplayName, DisplayNameFault, Role, RoleFault, UserStatus};
pub use search::{SearchFault, SearchPrefix, search_key};
pub use signing_algorithm::{SigningAlgorithm, UnknownAlgorithm};
pub use standing::{Limited, QuotaPolicy, RemainingQuota, Standing};
