//! The keys in memory, and as an operator sees them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::security::{KeyRing, Sealer, StoredSigningKey};

/// How often an instance looks for a change of keys.
pub const FOLLOW_EVERY: Duration = Duration::from_secs(10);

/// The last time that the database was asked for a key that isn't known here.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look {
    /// When it ended.
    pub(super) at: Instant,
    /// Whether the database answered.
    pub(super) succeeded: bool,
}

/// The keys of this instance, replaced as a whole when the database has others.
#[derive(Debug)]
pub struct KeyStore {
    ring: ArcSwap<KeyRing>,
    /// Held while the keys are read for a token whose key isn't known.
    pub(super) last_look: tokio::sync::Mutex<Option<Look>>,
    pub(super) sealer: Sealer,
}

impl KeyStore {
    /// Starts with the keys that were read.
    #[must_use]
    pub fn new(ring: KeyRing, sealer: Sealer) -> Self {
        Self {
            ring: ArcSwap::from_pointee(ring),
            last_look: tokio::sync::Mutex::new(None),
            sealer,
        }
    }

    /// The present keys.
    #[must_use]
    pub fn ring(&self) -> arc_swap::Guard<Arc<KeyRing>> {
        self.ring.load()
    }

    /// Whether this installation has made a key, and not a hand in the database.
    #[must_use]
    pub fn has_made(&self, key: &StoredSigningKey) -> bool {
        key.was_made_with(&self.sealer)
    }

    /// Replaces the keys.
    pub fn replace(&self, ring: KeyRing) {
        self.ring.store(Arc::new(ring));
    }
}

/// A key as an operator sees it: without its private half.
#[derive(Clone, Debug, Serialize)]
pub struct KeySummary {
    /// The `kid`.
    pub id: String,
    /// What it signs with.
    pub algorithm: &'static str,
    /// `next`, `current` or `previous`.
    pub state: &'static str,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it began to sign.
    pub activated_at: Option<DateTime<Utc>>,
    /// When it ceased to sign.
    pub superseded_at: Option<DateTime<Utc>>,
}
