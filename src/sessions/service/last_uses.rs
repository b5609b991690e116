//! When sessions were used last.
//!
//! A session's `last_used_at` is for people who look where they are signed in. Writing it in each request would make
//! of every read a write; so a request only notes it, at most once a minute for a session, and the notes are written
//! together every few seconds. A process that is killed loses the last few seconds of them, and nothing else.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};

use crate::domain::SessionId;

/// How exact `last_used_at` is.
pub const EXACT_TO: TimeDelta = TimeDelta::minutes(1);
/// Notes kept at most, some 50 bytes each: more sessions than can be in use within the few seconds between two writes.
/// What doesn't fit is noted by the session's next request.
const MOST: usize = 100_000;

/// What has been noted and not yet written.
#[derive(Debug, Default)]
pub struct LastUses(Mutex<HashMap<SessionId, DateTime<Utc>>>);

impl LastUses {
    /// Notes that a session is being used, unless `last` says that it was a moment ago.
    pub fn note(&self, session: SessionId, last: DateTime<Utc>, now: DateTime<Utc>) {
        if now - last < EXACT_TO {
            return;
        }
        let mut noted = self.lock();
        if let Some(known) = noted.get_mut(&session) {
            if now - *known >= EXACT_TO {
                *known = now;
            }
        } else if noted.len() < MOST {
            noted.insert(session, now);
        }
    }

    /// What is noted of a session and may not have been written.
    #[must_use]
    pub fn of(&self, session: SessionId) -> Option<DateTime<Utc>> {
        self.lock().get(&session).copied()
    }

    /// Takes out everything, to be written.
    #[must_use]
    pub fn take(&self) -> Vec<(SessionId, DateTime<Utc>)> {
        let mut noted = std::mem::take(&mut *self.lock());
        noted.drain().collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<SessionId, DateTime<Utc>>> {
        // A panic between two lines of a map's code leaves nothing that matters.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_session_is_noted_once_a_minute() {
        let uses = LastUses::default();
        let session = SessionId::new(Uuid::from_u128(1));
        let start = DateTime::<Utc>::UNIX_EPOCH;
        let at = |seconds| start + TimeDelta::seconds(seconds);
        uses.note(session, start, at(59));
        assert_eq!(uses.of(session), None);
        uses.note(session, start, at(60));
        uses.note(session, start, at(119));
        assert_eq!(uses.of(session), Some(at(60)));
        uses.note(session, start, at(120));
        assert_eq!(uses.take(), [(session, at(120))]);
        assert!(uses.take().is_empty());
    }

    #[test]
    fn the_notes_are_bounded() {
        let uses = LastUses::default();
        let start = DateTime::<Utc>::UNIX_EPOCH;
        for number in 0..=MOST {
            let session = SessionId::new(Uuid::from_u128(number as u128));
            uses.note(session, start, start + EXACT_TO);
        }
        assert_eq!(uses.take().len(), MOST);
    }
}
