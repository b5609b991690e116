//! What a client is.

use chrono::{DateTime, Utc};

use crate::domain::ClientId;
use crate::security::SecretDigest;

/// A registered client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// A `UUIDv7`: the user name of HTTP Basic.
    pub id: ClientId,
    /// For people; two clients may have the same.
    pub name: String,
    /// When it was registered.
    pub created_at: DateTime<Utc>,
}

/// A client together with what it proves itself by.
#[derive(Clone, Debug)]
pub struct StoredClient {
    /// The client.
    pub client: Client,
    /// The digest of its secret.
    pub secret_digest: SecretDigest,
}
