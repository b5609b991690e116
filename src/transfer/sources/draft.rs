//! A user as a source tells of it, before it is held to what Roster takes.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::row::Row;
use super::{Checks, Source};
use crate::domain::{DisplayName, EmailAddress, Locale, Metadata, PasswordHash, Role, UserId, UserStatus};
use crate::json::{MAX_DEPTH, is_deeper};
use crate::transfer::model::{Refusal, UserRecord};

/// The member of the metadata that keeps what a user's own metadata has under the name of the source.
const OWN: &str = "user_metadata";

/// What is known of a user. Texts are judged in [`Self::finish`], once and for all sources.
pub(super) struct Draft {
    source: Source,
    pub id: Option<UserId>,
    pub email: Option<String>,
    pub email_verified: bool,
    pub pending_email: Option<String>,
    pub display_name: Option<String>,
    pub locale: Option<String>,
    /// The top level of the metadata.
    pub metadata: Map<String, Value>,
    /// What has no place, to be kept under the name of the source.
    pub foreign: Map<String, Value>,
    pub roles: BTreeSet<Role>,
    pub status: UserStatus,
    pub password_hash: Option<PasswordHash>,
    pub created_at: Option<DateTime<Utc>>,
    pub updated_at: Option<DateTime<Utc>>,
    pub last_login_at: Option<DateTime<Utc>>,
    pub password_changed_at: Option<DateTime<Utc>>,
}

impl Draft {
    pub(super) fn new(source: Source) -> Self {
        Self {
            source,
            id: None,
            email: None,
            email_verified: false,
            pending_email: None,
            display_name: None,
            locale: None,
            metadata: Map::new(),
            foreign: Map::new(),
            roles: BTreeSet::new(),
            status: UserStatus::Active,
            password_hash: None,
            created_at: None,
            updated_at: None,
            last_login_at: None,
            password_changed_at: None,
        }
    }

    /// Takes the id: as the user's own where it is a UUID, else as something to remember.
    pub(super) fn take_id(&mut self, row: &mut Row, name: &str) {
        match row.foreign_id(name) {
            Some(Value::String(text)) => match uuid(&text) {
                Some(id) => self.id = Some(id),
                None => self.keep(name, Value::String(text)),
            },
            Some(other) => self.keep(name, other),
            None => {}
        }
    }

    /// Keeps a value under the name of the source; empty ones say nothing.
    pub(super) fn keep(&mut self, name: &str, value: impl Into<Value>) {
        let value = value.into();
        let is_empty = match &value {
            Value::Null => true,
            Value::String(text) => text.is_empty(),
            Value::Array(items) => items.is_empty(),
            Value::Object(members) => members.is_empty(),
            Value::Bool(_) | Value::Number(_) => false,
        };
        if !is_empty {
            self.foreign.insert(name.to_owned(), value);
        }
    }

    /// Keeps members of the row as they are.
    pub(super) fn keep_members(&mut self, row: &mut Row, names: &[&str]) {
        for name in names {
            if let Some(value) = row.take(name) {
                self.keep(name, value);
            }
        }
    }

    /// Takes what people may edit themselves, which nothing may be concluded from.
    pub(super) fn take_own_metadata(&mut self, value: Option<Value>) {
        match value {
            Some(Value::Object(object)) => self.metadata = object,
            Some(other) => self.keep(OWN, other),
            None => {}
        }
    }

    /// A person's name from its two halves.
    pub(super) fn full_name(first: Option<&str>, last: Option<&str>) -> Option<String> {
        let halves = [first, last].map(|half| half.unwrap_or_default().trim());
        let name = halves.join(" ").trim().to_owned();
        Some(name).filter(|name| !name.is_empty())
    }

    /// Holds everything to the rules.
    pub(super) fn finish(self, checks: &Checks) -> Result<UserRecord, Refusal> {
        let metadata = metadata(self.source, self.metadata, self.foreign)?;
        let email = self.email.as_deref().filter(|text| !text.trim().is_empty());
        let email = email.ok_or_else(|| Refusal::new("email", "is missing, and users are known by it"))?;
        let display_name = self.display_name.unwrap_or_default();
        if let Some(hash) = &self.password_hash {
            (checks.is_readable)(hash).map_err(|detail| Refusal::new("password_hash", detail))?;
        }
        Ok(UserRecord {
            id: self.id,
            email: address("email", email)?,
            email_verified: self.email_verified,
            pending_email: self
                .pending_email
                .map(|text| address("pending_email", &text))
                .transpose()?,
            display_name: DisplayName::parse(display_name)
                .map_err(|fault| Refusal::new("display_name", fault.detail()))?,
            locale: Locale::parse(&self.locale.unwrap_or_default())
                .map_err(|fault| Refusal::new("locale", fault.detail()))?,
            metadata,
            roles: self.roles.into_iter().collect(),
            status: self.status,
            password_hash: self.password_hash,
            created_at: self.created_at,
            updated_at: self.updated_at,
            last_login_at: self.last_login_at,
            password_changed_at: self.password_changed_at,
        })
    }
}

/// A UUID in any of its spellings; the nil one is nobody's.
pub(super) fn uuid(text: &str) -> Option<UserId> {
    Uuid::try_parse(text)
        .ok()
        .filter(|id| !id.is_nil())
        .map(UserId::new)
}

fn address(member: &str, text: &str) -> Result<EmailAddress, Refusal> {
    EmailAddress::parse(text).map_err(|fault| Refusal::new(member, fault.detail()))
}

/// One object of both. What people wrote themselves under the name of the source must not pass for what the source
/// said, so it moves.
fn metadata(
    source: Source,
    mut own: Map<String, Value>,
    mut foreign: Map<String, Value>,
) -> Result<Metadata, Refusal> {
    if !matches!(source, Source::Roster | Source::Csv) {
        if let Some(pretended) = own.remove(source.as_str()) {
            let moved = Map::from_iter([(source.as_str().to_owned(), pretended)]);
            foreign.insert(OWN.to_owned(), Value::Object(moved));
        }
        if !foreign.is_empty() {
            own.insert(source.as_str().to_owned(), Value::Object(foreign));
        }
    }
    // One level is left for the object around it, in which it is shown and exported.
    let own = Value::Object(own);
    let levels = MAX_DEPTH - 1;
    if is_deeper(&own, levels) {
        let detail = format!("must not be nested deeper than {levels} levels");
        return Err(Refusal::new("metadata", detail));
    }
    let Value::Object(own) = own else {
        return Ok(Metadata::default());
    };
    Metadata::from_object(own).map_err(|fault| Refusal::new("metadata", fault.detail()))
}
