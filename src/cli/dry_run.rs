//! `--dry-run`: a change that is carried out to its end, and taken back.

use clap::Args;

use crate::app::AppState;
use crate::db::Db;

/// Whether a command only says what it would do.
///
/// It does all of it, in a transaction that is rolled back, so a change that would be refused is refused in a dry run as
/// well. A second copy of the rules would drift from the first.
#[derive(Clone, Copy, Debug, Args)]
pub(super) struct DryRun {
    /// Change nothing, and say what would be changed
    #[arg(long)]
    dry_run: bool,
}

impl DryRun {
    pub(super) const fn is_on(self) -> bool {
        self.dry_run
    }

    /// The state that the change is made with.
    pub(super) fn on(self, state: &AppState) -> AppState {
        AppState {
            db: self.on_db(&state.db),
            ..state.clone()
        }
    }

    /// The same for what needs no more than the database.
    pub(super) fn on_db(self, db: &Db) -> Db {
        if self.dry_run { db.rehearsal() } else { db.clone() }
    }
}
