//! The audit trail: who did what to whom, from where. Services write a row into the transaction of the change itself,
//! so that there is no change without its row and no row without its change.

mod model;
mod store;

pub use model::AuditEvent;
pub use store::record;
