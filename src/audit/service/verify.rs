//! Finding out whether anybody but Roster has been at the trail.

use serde::Deserialize;

use super::super::model::{Broken, Head, Sealed, Verdict, hex, link};
use super::super::store;
use super::BATCH;
use crate::app::AppState;
use crate::error::ApiError;

/// The head of an export, as far as it is compared with the trail.
#[derive(Clone, Debug, Deserialize)]
pub struct ExportedHead {
    last: i64,
    link: String,
}

/// Reads the first line of an export.
#[must_use]
pub fn exported_head(line: &str) -> Option<ExportedHead> {
    serde_json::from_str(line).ok()
}

/// Checks every event, in order, and names the first thing that is wrong. The trail may grow meanwhile.
///
/// With the head of an earlier export, its last event must be where it was: who can write to the database can put an old
/// copy of all of it in place, which nothing that is in it can tell.
///
/// # Errors
/// [`ApiError::DatabaseUnavailable`]: nothing is known then.
pub async fn verify(state: &AppState, exported: Option<&ExportedHead>) -> Result<Verdict, ApiError> {
    let mut check = Check {
        state,
        exported,
        reached: 0,
        before: Vec::new(),
        sealed: 0,
        unsealed: 0,
        removed_by_age: 0,
    };
    let broken = check.run().await?.err();
    Ok(Verdict {
        broken,
        sealed: check.sealed,
        unsealed: check.unsealed,
        removed_by_age: check.removed_by_age,
    })
}

/// A walk along the chain.
struct Check<'a> {
    state: &'a AppState,
    exported: Option<&'a ExportedHead>,
    /// The number of the last event that was found right.
    reached: i64,
    /// Its link.
    before: Vec<u8>,
    sealed: u64,
    unsealed: u64,
    removed_by_age: i64,
}

/// A part of the trail is right, or this is wrong with it; or nothing is known.
type Checked<T> = Result<Result<T, Broken>, ApiError>;

impl Check<'_> {
    async fn run(&mut self) -> Checked<()> {
        if let Err(broken) = self.chain().await? {
            return Ok(Err(broken));
        }
        if let Some(exported) = self.exported
            && exported.last > self.reached
        {
            return Ok(Err(Broken::Forked {
                number: exported.last,
            }));
        }
        if let Err(broken) = self.beyond().await? {
            return Ok(Err(broken));
        }
        self.waiting().await
    }

    /// The events up to the head, and those that are sealed while this looks.
    async fn chain(&mut self) -> Checked<()> {
        let mut head = match self.head().await? {
            Ok(Some(head)) => head,
            Ok(None) => return self.without_head().await,
            Err(broken) => return Ok(Err(broken)),
        };
        self.begin_at_cut(&head);
        loop {
            let events = self.next(&head).await?;
            let is_end = self.reached >= head.number;
            if is_end && self.before != head.link {
                return Ok(Err(Broken::Head));
            }
            let is_missing = !is_end && events.is_empty();
            let has_gap = match self.walk(events) {
                Ok(has_gap) => has_gap || is_missing,
                Err(broken) => return Ok(Err(broken)),
            };
            if !has_gap && !is_end {
                continue;
            }
            let later = match self.head().await? {
                Ok(Some(later)) => later,
                Ok(None) => return Ok(Err(Broken::Head)),
                Err(broken) => return Ok(Err(broken)),
            };
            if is_end && later.number <= self.reached {
                return Ok(Ok(()));
            }
            if has_gap {
                // Perhaps they were let go because of their age while this was looking.
                if later.cut_number <= self.reached {
                    return Ok(Err(Broken::Removed {
                        number: self.reached + 1,
                    }));
                }
                self.begin_at_cut(&later);
            }
            head = later;
        }
    }

    /// There is no head before the first event is sealed. But each account was made with an event, so where there are
    /// accounts and no event, the trail was emptied.
    async fn without_head(&self) -> Checked<()> {
        let is_emptied = self
            .state
            .db
            .read(|reader| async move { store::is_emptied(&reader).await })
            .await?;
        Ok(if is_emptied { Err(Broken::Head) } else { Ok(()) })
    }

    fn begin_at_cut(&mut self, head: &Head) {
        self.reached = head.cut_number;
        self.before.clone_from(&head.cut_link);
        self.removed_by_age = head.cut_number;
    }

    async fn next(&self, head: &Head) -> Result<Vec<Sealed>, ApiError> {
        let (after, up_to) = (self.reached, head.number);
        self.state
            .db
            .read(move |reader| async move { store::sealed(&reader, after, up_to, BATCH).await })
            .await
    }

    /// Goes along these; true where one is missing.
    fn walk(&mut self, events: Vec<Sealed>) -> Result<bool, Broken> {
        let key = &self.state.trail.key;
        for event in events {
            if event.number != self.reached + 1 {
                return Ok(true);
            }
            let is_right = event.mac == event.entry.mac(key)
                && event.link == link(key, &self.before, event.number, &event.mac);
            if !is_right {
                return Err(Broken::Changed {
                    number: event.number,
                    id: event.entry.id,
                });
            }
            if let Some(exported) = self.exported
                && exported.last == event.number
                && exported.link != hex(&event.link)
            {
                return Err(Broken::Forked { number: event.number });
            }
            self.reached = event.number;
            self.before = event.link;
            self.sealed += 1;
        }
        Ok(false)
    }

    /// How far the trail is sealed; none where nothing is yet.
    async fn head(&self) -> Checked<Option<Head>> {
        let found = self
            .state
            .db
            .read(|reader| async move { store::head(&reader, false).await })
            .await?;
        Ok(match found {
            Some((head, mac)) if mac == head.mac(&self.state.trail.key) => Ok(Some(head)),
            Some(_) => Err(Broken::Head),
            None => Ok(None),
        })
    }

    /// What is sealed beyond the head was sealed by somebody else.
    async fn beyond(&self) -> Checked<()> {
        let (last, of_head) = self
            .state
            .db
            .read(|reader| async move { store::ends(&reader).await })
            .await?;
        if last <= of_head {
            return Ok(Ok(()));
        }
        if of_head == 0 {
            return Ok(Err(Broken::Head));
        }
        let beyond = self
            .state
            .db
            .read(move |reader| async move { store::sealed(&reader, of_head, i64::MAX, 1).await })
            .await?;
        Ok(match beyond.first() {
            Some(event) => Err(Broken::Inserted { id: event.entry.id }),
            None => Ok(()),
        })
    }

    /// What waits to be sealed has its own digest already.
    async fn waiting(&mut self) -> Checked<()> {
        let mut after = None;
        loop {
            let waiting = self
                .state
                .db
                .read(move |reader| async move { store::unsealed(&reader, after, BATCH).await })
                .await?;
            for (entry, mac) in &waiting {
                if *mac != entry.mac(&self.state.trail.key) {
                    return Ok(Err(Broken::Inserted { id: entry.id }));
                }
                self.unsealed += 1;
            }
            match waiting.last() {
                Some((last, _)) => after = Some(last.id),
                None => return Ok(Ok(())),
            }
        }
    }
}
