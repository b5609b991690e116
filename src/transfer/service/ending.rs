//! How an import has ended, for the audit trail: also where it took no account over, or stopped early.

use super::super::sources::{ReadFault, Source};
use super::import::{Import, ImportError, Report};
use crate::app::AppState;
use crate::audit::{self, AuditEvent};
use crate::domain::{Actor, AuditAction, Origin};
use crate::error::ApiError;

/// The sums of an import that is under way. They are written down when it ends, and also when whoever asked for it goes
/// away: the request is dropped then, and this with it.
pub(super) struct Ending {
    state: AppState,
    source: Source,
    actor: Actor,
    origin: Origin,
    /// What became of the rows so far.
    pub(super) report: Report,
    /// Whether nothing is to be written any more.
    is_written: bool,
}

impl Ending {
    /// Of an import that begins. A dry run leaves no event.
    pub(super) fn of(state: &AppState, import: &Import) -> Self {
        Self {
            state: state.clone(),
            source: import.source,
            actor: import.actor,
            origin: import.origin.clone(),
            report: Report::default(),
            is_written: import.is_dry_run,
        }
    }

    /// Writes it down; with the cause, where it stopped early.
    ///
    /// # Errors
    /// [`ApiError::DatabaseUnavailable`].
    pub(super) async fn write(mut self, cause: Option<&ImportError>) -> Result<(), ApiError> {
        if self.is_written {
            return Ok(());
        }
        self.is_written = true;
        audit::record_alone(&self.state.db, self.event(cause.map(reason))).await
    }

    fn event(&self, reason: Option<&'static str>) -> AuditEvent {
        let (action, trail) = (AuditAction::ImportEnded, &self.state.trail);
        let event = match reason {
            None => AuditEvent::success(trail, action, self.actor, None, &self.origin),
            Some(reason) => AuditEvent::failure(trail, action, self.actor, None, &self.origin, reason),
        };
        let Report {
            read,
            imported,
            existing,
            refused,
        } = self.report;
        event
            .with("source", self.source.as_str())
            .with("read", read)
            .with("imported", imported)
            .with("existing", existing)
            .with("refused", refused)
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        if self.is_written {
            return;
        }
        // Outside of a runtime the process is ending, and nobody is left to write it.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        let (state, event) = (self.state.clone(), self.event(Some("abandoned")));
        runtime.spawn(async move {
            if let Err(error) = audit::record_alone(&state.db, event).await {
                log::warn!("the end of an import isn't in the audit trail: {error}");
            }
        });
    }
}

/// Why it stopped, as the trail says it.
const fn reason(cause: &ImportError) -> &'static str {
    match cause {
        ImportError::Read(ReadFault::Format(_)) => "invalid_format",
        ImportError::Read(ReadFault::Io(_)) => "unreadable",
        ImportError::Failed(ApiError::Forbidden(_)) => "forbidden",
        ImportError::Failed(_) => "failed",
    }
}
