//! Replacing connections that are no good any more.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use sea_orm::DbBackend;

use super::{Db, Link, milliseconds};

/// How soon connections that take no writes are replaced again: those that come next may be no better.
const BETWEEN_REPLACEMENTS: Duration = Duration::from_secs(2);
const NO_WRITES: &str = "the database takes no writes on these connections";

impl Db {
    /// Replaces a pool whose link has stopped answering. Its connections can't be trusted to come back: each holds
    /// its place in the pool until TCP itself gives up, which takes minutes.
    pub(super) fn give_up(&self, generation: u64) {
        let shared = &self.shared;
        let is_first = shared
            .generation
            .compare_exchange(generation, generation + 1, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok();
        if !is_first || self.backend() != DbBackend::Postgres {
            return;
        }
        if let Some(stale) = self.replace("the database link has stopped answering") {
            tokio::spawn(async move { stale.close().await });
        }
    }

    /// Replaces connections that take no writes: behind the same address there may be another server by now, and the
    /// file of an `SQLite` database may be one that can be written again.
    pub(super) fn look_for_a_writable_one(&self) {
        let shared = &self.shared;
        let now = milliseconds(shared.opened.elapsed()).max(1);
        let last = shared.replaced.load(Ordering::Relaxed);
        let is_due = last == 0 || now.saturating_sub(last) >= milliseconds(BETWEEN_REPLACEMENTS);
        let is_first = || {
            shared
                .replaced
                .compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed)
        };
        if !is_due || is_first().is_err() {
            return;
        }
        if self.backend() == DbBackend::Postgres {
            // Whoever reads on the old ones finishes; the last to leave closes them.
            drop(self.replace(NO_WRITES));
        } else {
            let db = self.clone();
            tokio::spawn(async move { db.replace_all_at_once().await });
        }
    }

    /// Closes every connection to an `SQLite` file before another one is opened.
    ///
    /// All of a process share what it has mapped of the file's index of its log (`unixShmNode` in `SQLite`'s `os_unix.c`).
    /// Where that was opened while it couldn't be written, every connection is refused writes for as long as one of them
    /// is open, also one that could write by itself.
    async fn replace_all_at_once(&self) {
        let shared = &self.shared;
        let passage = Arc::clone(&shared.passage).write_owned();
        let Ok(_alone) = tokio::time::timeout(BETWEEN_REPLACEMENTS, passage).await else {
            return;
        };
        shared.directs().iter().for_each(|direct| direct.pause());
        shared.link.load_full().close().await;
        drop(self.replace(NO_WRITES));
        shared.directs().iter().for_each(|direct| direct.resume());
    }

    fn replace(&self, why: &str) -> Option<Arc<Link>> {
        match self.shared.settings.open() {
            Ok(fresh) => {
                log::warn!("{why}: opening new connections");
                Some(self.shared.link.swap(Arc::new(fresh)))
            }
            Err(error) => {
                log::error!("cannot open new database connections: {error}");
                None
            }
        }
    }
}
