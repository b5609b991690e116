//! Keeping the audit trail: sealing it, checking it, handing it out, and letting go of what is old.
//!
//! An event is a row in the transaction of what it tells about, with a keyed digest of all that it says. Beside requests,
//! one instance at a time puts the events that have come since into a chain: each gets a number and a link, which is a
//! keyed digest of the link before, the number and the event's digest. So nothing is chained while somebody waits, and
//! two sign-ins never wait for each other.

mod export;
mod exported;
mod retention;
mod seal;
mod verify;

use uuid::Uuid;

use super::model::{AuditEvent, Entry, EventFilter};
use super::store;
use crate::app::AppState;
use crate::db::Db;
use crate::error::ApiError;

pub use export::export;
pub use exported::{Export, ExportFault};
pub use retention::{keep_house, remove_old};
pub use seal::{seal, seal_all, seal_waiting};
pub use verify::{VerifyError, verify};

/// How many events are read or sealed at a time.
const BATCH: u64 = 500;

/// Appends an event of what changes nothing else, in a transaction of its own.
///
/// # Errors
/// [`ApiError::DatabaseUnavailable`].
pub async fn record_alone(db: &Db, event: AuditEvent) -> Result<(), ApiError> {
    db.write(move |writer| async move {
        let transaction = writer.begin().await?;
        store::record(&*transaction, event).await?;
        transaction.commit().await
    })
    .await
}

/// Events, the newest first, from before one of them on.
///
/// # Errors
/// [`ApiError::DatabaseUnavailable`].
pub async fn list(
    state: &AppState,
    filter: EventFilter,
    before: Option<Uuid>,
    limit: u64,
) -> Result<Vec<Entry>, ApiError> {
    state
        .db
        .read(move |reader| {
            let filter = filter.clone();
            async move { store::list(&reader, &filter, before, limit).await }
        })
        .await
}
