//! Reading an export again, to hold the trail against it.

use std::fmt;
use std::io::{self, BufRead, Read as _};

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::super::model::{Broken, Entry, Head, Sealed, link, unhex};
use super::export::{TYPE, VERSION, event_line};
use super::verify::VerifyError;
use crate::app::AppState;
use crate::domain::UserId;
use crate::keys;
use crate::security::{KeyedDigest, SignedStatement};

/// The longest line that is read, in bytes: an event has a few thousand at most.
const MAX_LINE: u64 = 1 << 20;

/// Why an export can't be taken for what `roster audit export` has printed. Nothing is said about the trail then.
#[derive(Debug)]
pub enum ExportFault {
    /// It can't be read.
    Read(io::Error),
    /// It doesn't begin with a head.
    NoHead,
    /// What the head says isn't what was signed.
    Signature,
    /// Its head was signed with another key than the one that was named.
    OtherKey {
        /// The `kid` that it names.
        signed_by: String,
    },
    /// Nothing here tells that its head was signed with a key of this installation.
    UnknownKey {
        /// The `kid` that it names.
        signed_by: String,
    },
    /// A line that is no event.
    Line(u64),
    /// An event was changed in it.
    Changed {
        /// Its place in the chain.
        number: i64,
    },
    /// An event is missing in it.
    Missing {
        /// The place in the chain that is empty.
        number: i64,
    },
    /// It goes on behind the last event that its head names.
    Longer,
}

impl fmt::Display for ExportFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(error) => write!(f, "can't be read: {error}"),
            Self::NoHead => {
                f.write_str("doesn't begin with the head of an export, as `roster audit export` prints it")
            }
            Self::Signature => f.write_str("isn't as it was exported: its head isn't what was signed"),
            Self::OtherKey { signed_by } => {
                write!(
                    f,
                    "is signed with another key than the one that was named: {signed_by}"
                )
            }
            Self::UnknownKey { signed_by } => write!(
                f,
                "is signed with a key that this installation doesn't know to be its own: if you have noted that it is, say \
                 --signed-by {signed_by}"
            ),
            Self::Line(line) => write!(f, "isn't as it was exported: line {line} is no event"),
            Self::Changed { number } => {
                write!(f, "isn't as it was exported: event {number} was changed in it")
            }
            Self::Missing { number } => {
                write!(f, "isn't as it was exported: event {number} is missing in it")
            }
            Self::Longer => f.write_str("isn't as it was exported: it goes on behind its last event"),
        }
    }
}

impl std::error::Error for ExportFault {}

/// What the head says, as far as it is held against the trail.
#[derive(Debug, Deserialize)]
struct Statement {
    first: i64,
    last: i64,
    before: String,
    link: String,
    exported_at: DateTime<Utc>,
}

/// Any other line.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EventLine {
    r#type: String,
    number: i64,
    id: Uuid,
    occurred_at: DateTime<Utc>,
    action: String,
    outcome: String,
    actor_kind: String,
    actor: Option<Uuid>,
    subject: Option<Uuid>,
    ip: Option<String>,
    user_agent: Option<String>,
    request_id: Option<String>,
    details: Box<RawValue>,
    mac: String,
    link: String,
}

impl EventLine {
    fn into_sealed(self) -> Option<Sealed> {
        if self.r#type != "event" {
            return None;
        }
        Some(Sealed {
            entry: Entry {
                id: self.id,
                occurred_at: self.occurred_at,
                action: self.action,
                outcome: self.outcome,
                actor_kind: self.actor_kind,
                actor: self.actor.map(UserId::new),
                subject: self.subject.map(UserId::new),
                ip: self.ip,
                user_agent: self.user_agent,
                request_id: self.request_id,
                details: self.details.get().to_owned(),
            },
            mac: unhex(&self.mac)?,
            number: self.number,
            link: unhex(&self.link)?,
        })
    }
}

/// An export that is read line by line, however long it is. Nothing of it is believed before a check has looked.
pub struct Export {
    input: Box<dyn BufRead + Send + Sync>,
    /// How many lines were read.
    lines: u64,
    head: Map<String, Value>,
    signed_by: Option<String>,
}

impl fmt::Debug for Export {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Export")
            .field("lines", &self.lines)
            .finish_non_exhaustive()
    }
}

impl Export {
    /// Reads the first line.
    ///
    /// # Errors
    /// [`ExportFault::Read`] or [`ExportFault::NoHead`].
    pub fn open(input: impl BufRead + Send + Sync + 'static) -> Result<Self, ExportFault> {
        let mut export = Self {
            input: Box::new(input),
            lines: 0,
            head: Map::new(),
            signed_by: None,
        };
        let line = export.line()?.ok_or(ExportFault::NoHead)?;
        export.head = serde_json::from_str(&line).map_err(|_| ExportFault::NoHead)?;
        let is_head = export.head.get("type").and_then(Value::as_str) == Some("head")
            && export.head.get("version").and_then(Value::as_u64) == Some(VERSION.into())
            && export.head.get("signature").is_some_and(Value::is_string);
        if is_head {
            Ok(export)
        } else {
            Err(ExportFault::NoHead)
        }
    }

    /// Signed with the key of this `kid`, as whoever has kept the export knows from elsewhere.
    #[must_use]
    pub fn signed_by(mut self, key_id: Option<String>) -> Self {
        self.signed_by = key_id;
        self
    }

    fn line(&mut self) -> Result<Option<String>, ExportFault> {
        let mut line = String::new();
        let read = self
            .input
            .by_ref()
            .take(MAX_LINE)
            .read_line(&mut line)
            .map_err(ExportFault::Read)?;
        self.lines += 1;
        Ok((read > 0).then_some(line))
    }

    fn event(&mut self) -> Result<Option<Sealed>, ExportFault> {
        let Some(line) = self.line()? else { return Ok(None) };
        let event: Option<EventLine> = serde_json::from_str(&line).ok();
        let event = event
            .and_then(EventLine::into_sealed)
            .ok_or(ExportFault::Line(self.lines))?;
        // The digest of an event is of what it says, and what it says can be written in more than one way: only as it
        // was printed is it as it was exported.
        let printed = event_line(&event).ok();
        if printed.as_deref() != Some(line.strip_suffix('\n').unwrap_or(&line)) {
            return Err(ExportFault::Changed { number: event.number });
        }
        Ok(Some(event))
    }
}

/// An export whose head is as it was signed, and how far the trail was held against it.
pub(super) struct Against {
    export: Export,
    /// The `kid` that the head is signed with.
    pub(super) key_id: String,
    /// Whether that is known to be a key of this installation. Events of the export are right by themselves, as no one has
    /// digested them who hasn't the secret; this is about where the head says that they end.
    pub(super) is_known: bool,
    /// When it was made: an older one may have been put in its place.
    pub(super) exported_at: DateTime<Utc>,
    first: i64,
    last: i64,
    /// The link of the last event, in hexadecimal digits.
    link: String,
    /// The number of the last event that was read.
    reached: i64,
    /// Its link.
    before: Vec<u8>,
}

impl Against {
    /// Checks the head: its key is one that the database still has, or one that it brings along.
    pub(super) async fn begin(state: &AppState, export: Export) -> Result<Self, VerifyError> {
        let mut said = export.head.clone();
        let Some(Value::String(signature)) = said.remove("signature") else {
            return Err(ExportFault::NoHead.into());
        };
        said.remove("type");
        said.remove("version");
        let brought = said.remove("jwk").map(|jwk| jwk.to_string());
        let statement = SignedStatement::parse(&signature, TYPE).map_err(|_| ExportFault::Signature)?;
        let key_id = statement.key_id().to_owned();
        if let Some(named) = &export.signed_by
            && *named != key_id
        {
            return Err(ExportFault::OtherKey { signed_by: key_id }.into());
        }
        let wanted = key_id.clone();
        let own = state
            .db
            .read(move |reader| {
                let wanted = wanted.clone();
                async move { keys::find(&reader, &wanted).await }
            })
            .await?
            // A hand in the database may have put a key there.
            .filter(|key| state.keys.has_made(key));
        let is_known = own.is_some() || export.signed_by.is_some();
        let Some(jwk) = brought.or_else(|| own.map(|key| key.public_jwk)) else {
            return Err(ExportFault::UnknownKey { signed_by: key_id }.into());
        };
        let claims = statement.verify(&jwk).map_err(|_| ExportFault::Signature)?;
        let signed: Map<String, Value> =
            serde_json::from_slice(claims).map_err(|_| ExportFault::Signature)?;
        if signed != said {
            return Err(ExportFault::Signature.into());
        }
        let statement: Statement = serde_json::from_slice(claims).map_err(|_| ExportFault::Signature)?;
        Ok(Self {
            export,
            key_id,
            is_known,
            exported_at: statement.exported_at,
            first: statement.first,
            last: statement.last,
            link: statement.link,
            reached: statement.first.saturating_sub(1),
            before: unhex(&statement.before).ok_or(ExportFault::Signature)?,
        })
    }

    /// Reads up to where the trail was cut because of its age. What lies before it is right by itself, and ends where the
    /// cut was signed to be.
    pub(super) fn pass(&mut self, head: &Head, key: &KeyedDigest) -> Result<Result<(), Broken>, ExportFault> {
        while self.reached < head.cut_number.min(self.last) {
            self.next(key)?;
        }
        if self.reached == head.cut_number && self.reached >= self.first && self.before != head.cut_link {
            return Ok(Err(Broken::Differs {
                number: self.reached,
                members: vec!["link"],
            }));
        }
        Ok(Ok(()))
    }

    /// Whether an event of the trail is the one that was exported from its place; false where none was.
    pub(super) fn compare(
        &mut self,
        event: &Sealed,
        key: &KeyedDigest,
    ) -> Result<Result<bool, Broken>, ExportFault> {
        if event.number <= self.reached || event.number > self.last {
            return Ok(Ok(false));
        }
        let exported = self.next(key)?;
        let members = exported.differences(event);
        if members.is_empty() {
            return Ok(Ok(true));
        }
        Ok(Err(Broken::Differs {
            number: event.number,
            members,
        }))
    }

    /// Whether the trail, which was found right up to this number, ends before the export does.
    ///
    /// Anybody can sign a head that names more events than there ever were. So where the key isn't known, the export has to
    /// have the first event that is missing, which nobody can make without the secret.
    pub(super) fn end(&mut self, reached: i64, key: &KeyedDigest) -> Result<Result<(), Broken>, ExportFault> {
        if self.last <= reached {
            return Ok(Ok(()));
        }
        if !self.is_known {
            self.next(key)?;
        }
        Ok(Err(Broken::Forked {
            number: self.first.max(reached + 1),
        }))
    }

    /// The next event, which goes on from the one before with the right digest and link.
    fn next(&mut self, key: &KeyedDigest) -> Result<Sealed, ExportFault> {
        let number = self.reached + 1;
        let event = self.export.event()?.ok_or(ExportFault::Missing { number })?;
        if event.number != number {
            return Err(ExportFault::Missing { number });
        }
        let mac = event.entry.mac(key);
        let is_right = event.mac == mac && event.link == link(key, &self.before, number, &mac);
        if !is_right {
            return Err(ExportFault::Changed { number });
        }
        if number == self.last {
            if unhex(&self.link).as_deref() != Some(event.link.as_slice()) {
                return Err(ExportFault::Changed { number });
            }
            if self.export.line()?.is_some() {
                return Err(ExportFault::Longer);
            }
        }
        self.reached = number;
        self.before.clone_from(&event.link);
        Ok(event)
    }
}
