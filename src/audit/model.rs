//! An entry of the audit trail, and the chain that holds entries together.

use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::clock::Ambient;
use crate::domain::{Actor, AuditAction, AuditOutcome, Origin, UserId};
use crate::security::KeyedDigest;

/// What events are made with: the time, chance, and the key that only this installation has.
#[derive(Clone, Debug)]
pub struct Trail {
    pub(super) ambient: Ambient,
    pub(super) key: Arc<KeyedDigest>,
}

impl Trail {
    /// Takes the key that events are digested with.
    #[must_use]
    pub fn new(ambient: Ambient, key: KeyedDigest) -> Self {
        Self {
            ambient,
            key: Arc::new(key),
        }
    }
}

/// Something that happened.
#[derive(Clone, Debug)]
pub struct AuditEvent {
    /// A `UUIDv7`.
    pub id: Uuid,
    /// When.
    pub occurred_at: DateTime<Utc>,
    /// What.
    pub action: AuditAction,
    /// How it ended.
    pub outcome: AuditOutcome,
    /// Who did it.
    pub actor: Actor,
    /// To whom; none where the address that was tried has no account, or the matter isn't an account.
    pub subject: Option<UserId>,
    /// From where.
    pub origin: Origin,
    /// What else there is to say: never a secret, never an address.
    pub details: Map<String, Value>,
    key: Arc<KeyedDigest>,
}

impl AuditEvent {
    /// A success, now.
    #[must_use]
    pub fn success(
        trail: &Trail,
        action: AuditAction,
        actor: Actor,
        subject: Option<UserId>,
        origin: &Origin,
    ) -> Self {
        Self {
            id: trail.ambient.new_uuid(),
            occurred_at: trail.ambient.now(),
            action,
            outcome: AuditOutcome::Success,
            actor,
            subject,
            origin: origin.clone(),
            details: Map::new(),
            key: Arc::clone(&trail.key),
        }
    }

    /// A refusal, now, with its reason.
    #[must_use]
    pub fn failure(
        trail: &Trail,
        action: AuditAction,
        actor: Actor,
        subject: Option<UserId>,
        origin: &Origin,
        reason: &'static str,
    ) -> Self {
        let mut event = Self::success(trail, action, actor, subject, origin).with("reason", reason);
        event.outcome = AuditOutcome::Failure;
        event
    }

    /// With one more detail.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.details.insert(name.to_owned(), value.into());
        self
    }

    /// As it is stored, and the keyed digest of that.
    pub(super) fn into_entry(self) -> (Entry, [u8; 32]) {
        let entry = Entry {
            id: self.id,
            occurred_at: self.occurred_at,
            action: self.action.as_str().to_owned(),
            outcome: self.outcome.as_str().to_owned(),
            actor_kind: self.actor.kind().to_owned(),
            actor: self.actor.user_id(),
            subject: self.subject,
            ip: self.origin.ip.map(|ip| ip.to_string()),
            user_agent: self.origin.user_agent,
            request_id: self.origin.request_id,
            details: Value::Object(self.details).to_string(),
        };
        let mac = entry.mac(&self.key);
        (entry, mac)
    }
}

/// An event as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// A `UUIDv7`.
    pub id: Uuid,
    /// When it happened.
    pub occurred_at: DateTime<Utc>,
    /// What was done.
    pub action: String,
    /// How it ended.
    pub outcome: String,
    /// What kind of actor did it.
    pub actor_kind: String,
    /// Who, where it was a user.
    pub actor: Option<UserId>,
    /// To whom.
    pub subject: Option<UserId>,
    /// The client's address.
    pub ip: Option<String>,
    /// What the client calls itself.
    pub user_agent: Option<String>,
    /// The id of the request.
    pub request_id: Option<String>,
    /// What else there is to say, as a JSON object.
    pub details: String,
}

impl Entry {
    /// The keyed digest of everything it says: who has no key can neither make nor change an entry.
    pub(super) fn mac(&self, key: &KeyedDigest) -> [u8; 32] {
        let id = |id: Option<UserId>| id.map(|id| id.to_string());
        let at = self.occurred_at.timestamp_millis().to_string();
        let own = self.id.to_string();
        let (actor, subject) = (id(self.actor), id(self.subject));
        let mut text = Vec::with_capacity(512);
        for field in [
            Some(own.as_str()),
            Some(&at),
            Some(&self.action),
            Some(&self.outcome),
            Some(&self.actor_kind),
            actor.as_deref(),
            subject.as_deref(),
            self.ip.as_deref(),
            self.user_agent.as_deref(),
            self.request_id.as_deref(),
            Some(&self.details),
        ] {
            // Whether there is one, and how long it is: no two entries are one text.
            let length = field.map_or(u64::MAX, |field| field.len() as u64);
            text.extend_from_slice(&length.to_be_bytes());
            text.extend_from_slice(field.unwrap_or_default().as_bytes());
        }
        key.of("event", &text)
    }
}

/// An event with what holds it in its place.
#[derive(Clone, Debug)]
pub struct Sealed {
    /// What it says.
    pub entry: Entry,
    /// The keyed digest that was stored with it.
    pub mac: Vec<u8>,
    /// Its place in the chain: 1, 2, 3 and so on.
    pub number: i64,
    /// What binds it to the one before.
    pub link: Vec<u8>,
}

impl Sealed {
    /// In which members of an export another event differs from it.
    pub(super) fn differences(&self, other: &Self) -> Vec<&'static str> {
        let (one, two) = (&self.entry, &other.entry);
        [
            ("number", self.number != other.number),
            ("id", one.id != two.id),
            (
                "occurred_at",
                one.occurred_at.timestamp_millis() != two.occurred_at.timestamp_millis(),
            ),
            ("action", one.action != two.action),
            ("outcome", one.outcome != two.outcome),
            ("actor_kind", one.actor_kind != two.actor_kind),
            ("actor", one.actor != two.actor),
            ("subject", one.subject != two.subject),
            ("ip", one.ip != two.ip),
            ("user_agent", one.user_agent != two.user_agent),
            ("request_id", one.request_id != two.request_id),
            ("details", one.details != two.details),
            ("mac", self.mac != other.mac),
            ("link", self.link != other.link),
        ]
        .into_iter()
        .filter_map(|(member, differs)| differs.then_some(member))
        .collect()
    }
}

/// What binds an event to the one before it.
pub(super) fn link(key: &KeyedDigest, before: &[u8], number: i64, mac: &[u8]) -> [u8; 32] {
    let mut text = Vec::with_capacity(80);
    text.extend_from_slice(&number.to_be_bytes());
    for part in [before, mac] {
        text.extend_from_slice(&(part.len() as u64).to_be_bytes());
        text.extend_from_slice(part);
    }
    key.of("link", &text)
}

/// How far the trail is sealed, and from where on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The number of the last event that is sealed; 0 where none is.
    pub number: i64,
    /// Its link.
    pub link: Vec<u8>,
    /// When it was sealed.
    pub sealed_at: DateTime<Utc>,
    /// The number of the last event that was removed because of its age; 0 where none was.
    pub cut_number: i64,
    /// Its link, with which the first event that is left goes on.
    pub cut_link: Vec<u8>,
}

impl Head {
    /// Before the first event.
    pub(super) fn first(now: DateTime<Utc>) -> Self {
        Self {
            number: 0,
            link: Vec::new(),
            sealed_at: now,
            cut_number: 0,
            cut_link: Vec::new(),
        }
    }

    /// The keyed digest of it.
    pub(super) fn mac(&self, key: &KeyedDigest) -> [u8; 32] {
        let mut text = Vec::with_capacity(112);
        for number in [self.number, self.cut_number, self.sealed_at.timestamp_millis()] {
            text.extend_from_slice(&number.to_be_bytes());
        }
        for link in [&self.link, &self.cut_link] {
            text.extend_from_slice(&(link.len() as u64).to_be_bytes());
            text.extend_from_slice(link);
        }
        key.of("head", &text)
    }
}

/// What is wrong with the trail, at the first place where anything is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Broken {
    /// What this event says was changed after it was written, or what holds it in its place.
    Changed {
        /// Its place in the chain.
        number: i64,
        /// Its id.
        id: Uuid,
    },
    /// An event is missing.
    Removed {
        /// The place in the chain that is empty.
        number: i64,
    },
    /// An event that nobody with the key has written.
    Inserted {
        /// Its id.
        id: Uuid,
    },
    /// The row that says how far the trail is sealed was changed or removed.
    Head,
    /// The trail ends before an event that was exported from it.
    Forked {
        /// The place in the chain of the first one that is missing.
        number: i64,
    },
    /// An event isn't the one that was exported from its place.
    Differs {
        /// The place in the chain.
        number: i64,
        /// The members of the export that differ.
        members: Vec<&'static str>,
    },
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Changed { number, id } => write!(f, "event {number} ({id}) was changed"),
            Self::Removed { number } => write!(f, "event {number} was removed"),
            Self::Inserted { id } => write!(f, "event {id} was inserted"),
            Self::Head => f.write_str(
                "the row of audit_chain, which says how far the trail is sealed, was changed or removed",
            ),
            Self::Forked { number } => write!(
                f,
                "event {number} was exported and is missing: the trail was cut short or put back since"
            ),
            Self::Differs { number, members } => write!(
                f,
                "event {number} isn't the one that was exported, by {}: it was changed, or the trail rewritten, since",
                members.join(", ")
            ),
        }
    }
}

/// What a check of the trail has found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The first thing that is wrong; none where nothing is.
    pub broken: Option<Broken>,
    /// How many sealed events were found right.
    pub sealed: u64,
    /// How many of them were found to be those that were exported.
    pub compared: u64,
    /// When the export was made, as its head says; none where the trail was held against none.
    pub exported_at: Option<DateTime<Utc>>,
    /// How many events were found right that wait to be sealed.
    pub unsealed: u64,
    /// When the oldest of those that wait happened; none where none waits.
    pub oldest_unsealed_at: Option<DateTime<Utc>>,
    /// How many were removed because of their age.
    pub removed_by_age: i64,
}

/// Which events to list.
#[derive(Clone, Debug, Default)]
pub struct EventFilter {
    /// Done by this user.
    pub actor: Option<UserId>,
    /// Done to this user.
    pub subject: Option<UserId>,
    /// Done by or to this user.
    pub concerning: Option<UserId>,
    /// Of this kind.
    pub action: Option<String>,
    /// That happened at this time or later.
    pub after: Option<DateTime<Utc>>,
    /// That happened before this time.
    pub before: Option<DateTime<Utc>>,
}

/// Reads what [`hex`] wrote.
pub(super) fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs
        .iter()
        .map(|[high, low]| Some((digit(*high)? << 4) | digit(*low)?))
        .collect()
}

/// Bytes in lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}
