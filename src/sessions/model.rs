//! Plain data about sessions.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::domain::{Origin, SessionId, UserId};
use crate::security::{AccessToken, RefreshToken, SecretDigest};

/// A session that begins.
#[derive(Clone, Debug)]
pub struct NewSession {
    /// Its id.
    pub id: SessionId,
    /// Whose it is.
    pub user_id: UserId,
    /// When it began.
    pub created_at: DateTime<Utc>,
    /// When it ends if nobody uses it.
    pub idle_expires_at: DateTime<Utc>,
    /// When it ends in any case.
    pub expires_at: DateTime<Utc>,
    /// From where it began.
    pub origin: Origin,
    /// The digest of its first refresh token.
    pub token: SecretDigest,
}

/// A session as its owner sees it.
#[derive(Clone, Debug)]
pub struct Session {
    /// Its id.
    pub id: SessionId,
    /// When it began.
    pub created_at: DateTime<Utc>,
    /// When it was used last, to the minute.
    pub last_used_at: DateTime<Utc>,
    /// When it ends if nobody uses it.
    pub idle_expires_at: DateTime<Utc>,
    /// From where it began.
    pub ip: Option<String>,
    /// What the client called itself.
    pub user_agent: Option<String>,
}

/// What a client gets for signing in, and for each refresh.
#[derive(Debug)]
pub struct IssuedTokens {
    /// The access token.
    pub access_token: AccessToken,
    /// How long it is good.
    pub expires_in: Duration,
    /// The refresh token.
    pub refresh_token: RefreshToken,
    /// How long it is good if nobody uses it.
    pub refresh_expires_in: Duration,
}

/// Which of one's sessions are to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogoutScope {
    /// The one that asks.
    Current,
    /// All but the one that asks.
    Others,
    /// All.
    All,
}

impl LogoutScope {
    /// Its name, in the query and in the audit trail.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Current => "current",
            Self::Others => "others",
            Self::All => "all",
        }
    }

    /// The scope of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Current, Self::Others, Self::All]
            .into_iter()
            .find(|scope| scope.as_str() == name)
    }
}

/// A refresh token as it is stored, under the lock of its session.
#[derive(Clone, Debug)]
pub struct StoredToken {
    /// When it is worth nothing any more, spent or not.
    pub expires_at: DateTime<Utc>,
    /// When it was exchanged.
    pub spent_at: Option<DateTime<Utc>>,
    /// Until when it gives the same successor again.
    pub repeatable_until: Option<DateTime<Utc>>,
    /// Its successor, which only the token itself can open.
    pub successor_sealed: Option<Vec<u8>>,
}

/// The session that a token belongs to, locked.
#[derive(Clone, Debug)]
pub struct LockedSession {
    /// Its id.
    pub id: SessionId,
    /// Whose it is.
    pub user_id: UserId,
    /// Whether that account is open.
    pub is_active: bool,
    /// When it was used last, to the minute.
    pub last_used_at: DateTime<Utc>,
    /// When it ends if nobody uses it.
    pub idle_expires_at: DateTime<Utc>,
    /// When it ends in any case.
    pub expires_at: DateTime<Utc>,
}
