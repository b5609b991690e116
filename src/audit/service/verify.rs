//! Finding out whether anybody but Roster has been at the trail.

use std::fmt;

use serde_json::Value;

use super::super::model::{Broken, Head, Sealed, Verdict, link};
use super::super::store;
use super::BATCH;
use super::export::SIGNED_BY;
use super::exported::{Against, Export, ExportFault};
use crate::app::AppState;
use crate::domain::AuditAction;
use crate::error::ApiError;

/// Why there is no verdict.
#[derive(Debug)]
pub enum VerifyError {
    /// The export isn't what it says.
    Export(ExportFault),
    /// The database.
    Failed(ApiError),
}

impl fmt::Display for VerifyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Export(fault) => fault.fmt(f),
            Self::Failed(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for VerifyError {}

impl From<ExportFault> for VerifyError {
    fn from(fault: ExportFault) -> Self {
        Self::Export(fault)
    }
}

impl From<ApiError> for VerifyError {
    fn from(error: ApiError) -> Self {
        Self::Failed(error)
    }
}

/// Checks every event, in order, and names the first thing that is wrong. The trail may grow meanwhile.
///
/// With an earlier export, its head must be what a key of this installation has signed, and every event of it must be in
/// its place, to the letter, unless it has gone because of its age: who can write to the database can put an old copy of
/// all of it in place, which nothing that is in it can tell. Memory holds one batch, however long either is.
///
/// # Errors
/// [`VerifyError::Failed`] with [`ApiError::DatabaseUnavailable`]: nothing is known then. [`VerifyError::Export`]: the
/// trail was found right as far as it was looked at, and the export is no measure for it.
pub async fn verify(state: &AppState, export: Option<Export>) -> Result<Verdict, VerifyError> {
    let against = match export {
        Some(export) => Some(Against::begin(state, export).await?),
        None => None,
    };
    let exported_at = against.as_ref().map(|against| against.exported_at);
    let mut check = Check {
        state,
        against,
        reached: 0,
        before: Vec::new(),
        last: None,
        verdict: Verdict {
            broken: None,
            sealed: 0,
            compared: 0,
            exported_at,
            unsealed: 0,
            oldest_unsealed_at: None,
            removed_by_age: 0,
        },
    };
    let broken = check.run().await?.err();
    if let Some(against) = check.against
        && broken.is_none()
        && !against.is_known
    {
        let signed_by = against.key_id;
        return Err(ExportFault::UnknownKey { signed_by }.into());
    }
    Ok(Verdict {
        broken,
        ..check.verdict
    })
}

/// A walk along the chain.
struct Check<'a> {
    state: &'a AppState,
    against: Option<Against>,
    /// The number of the last event that was found right.
    reached: i64,
    /// Its link.
    before: Vec<u8>,
    /// That event itself; none where the chain begins.
    last: Option<Sealed>,
    /// What was found so far.
    verdict: Verdict,
}

/// A part of the trail is right, or this is wrong with it; or nothing is known.
type Checked<T> = Result<Result<T, Broken>, VerifyError>;

impl Check<'_> {
    async fn run(&mut self) -> Checked<()> {
        if let Err(broken) = self.chain().await? {
            return Ok(Err(broken));
        }
        if let Some(against) = &mut self.against
            && let Err(broken) = against.end(self.reached, &self.state.trail.key)?
        {
            return Ok(Err(broken));
        }
        if let Err(broken) = self.outside().await? {
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
        if let Err(broken) = self.begin_at_cut(&head)? {
            return Ok(Err(broken));
        }
        loop {
            let events = self.next(&head).await?;
            let is_end = self.reached >= head.number;
            if is_end && self.before != head.link {
                return Ok(Err(Broken::Head));
            }
            let reached = self.reached;
            let has_gap = match self.walk(events)? {
                Ok(has_gap) => has_gap || (!is_end && self.reached == reached),
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
                if let Err(broken) = self.begin_at_cut(&later)? {
                    return Ok(Err(broken));
                }
            }
            head = later;
        }
    }

    /// There is no head before the first event is sealed. But each account was made with an event, so where there are
    /// accounts and no event, the trail was emptied.
    async fn without_head(&self) -> Checked<()> {
        let is_beheaded = self
            .state
            .db
            .read(|reader| async move { store::is_beheaded(&reader).await })
            .await?;
        Ok(if is_beheaded { Err(Broken::Head) } else { Ok(()) })
    }

    fn begin_at_cut(&mut self, head: &Head) -> Checked<()> {
        self.reached = head.cut_number;
        self.before.clone_from(&head.cut_link);
        self.last = None;
        self.verdict.removed_by_age = head.cut_number;
        match &mut self.against {
            Some(against) => Ok(against.pass(head, &self.state.trail.key)?),
            None => Ok(Ok(())),
        }
    }

    /// The next batch. The last event of the one before begins it once more, so that no second one of its number, which
    /// only a database without its unique index takes, is hidden between two batches.
    async fn next(&self, head: &Head) -> Result<Vec<Sealed>, ApiError> {
        let (after, up_to) = (self.reached - 1, head.number);
        self.state
            .db
            .read(move |reader| async move { store::sealed(&reader, after, up_to, BATCH).await })
            .await
    }

    /// Goes along these; true where one is missing.
    fn walk(&mut self, events: Vec<Sealed>) -> Checked<bool> {
        let key = &self.state.trail.key;
        for event in events {
            if event.number == self.reached {
                let last = self.last.as_ref();
                if last.is_some_and(|last| last.differences(&event).is_empty()) {
                    continue;
                }
                return Ok(Err(Broken::Inserted { id: event.entry.id }));
            }
            if event.number != self.reached + 1 {
                return Ok(Ok(true));
            }
            // First, as it can say what of the event was changed.
            if let Some(against) = &mut self.against {
                match against.compare(&event, key)? {
                    Ok(is_compared) => self.verdict.compared += u64::from(is_compared),
                    Err(broken) => return Ok(Err(broken)),
                }
            }
            let is_right = event.mac == event.entry.mac(key)
                && event.link == link(key, &self.before, event.number, &event.mac);
            if !is_right {
                return Ok(Err(Broken::Changed {
                    number: event.number,
                    id: event.entry.id,
                }));
            }
            if let Some(against) = &mut self.against
                && !against.is_known
            {
                against.is_known = vouches_for(&event, &against.key_id);
            }
            self.reached = event.number;
            self.before.clone_from(&event.link);
            self.last = Some(event);
            self.verdict.sealed += 1;
        }
        Ok(Ok(false))
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

    /// What has a place outside of the chain was put there by somebody else.
    async fn outside(&self) -> Checked<()> {
        let stray = self
            .state
            .db
            .read(|reader| async move { store::stray(&reader).await })
            .await?;
        Ok(match stray {
            Some(id) => Err(Broken::Inserted { id }),
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
                let oldest = &mut self.verdict.oldest_unsealed_at;
                *oldest = Some(oldest.map_or(entry.occurred_at, |at| at.min(entry.occurred_at)));
                self.verdict.unsealed += 1;
            }
            match waiting.last() {
                Some((last, _)) => after = Some(last.id),
                None => return Ok(Ok(())),
            }
        }
    }
}

/// Whether an event, which is right, tells that the trail was handed out under a head that this key has signed.
fn vouches_for(event: &Sealed, key_id: &str) -> bool {
    event.entry.action == AuditAction::AuditExported.as_str()
        && serde_json::from_str::<Value>(&event.entry.details)
            .is_ok_and(|details| details.get(SIGNED_BY).and_then(Value::as_str) == Some(key_id))
}
