//! The audit trail: who did what to whom, from where. Services write a row into the transaction of the change itself,
//! so that there is no change without its row and no row without its change.

pub mod api;
mod model;
pub mod service;
mod store;

pub use model::{AuditEvent, Broken, Entry, EventFilter, Trail, Verdict};
pub use service::{list, record_alone};
pub use store::{record, record_all};
