//! Users on their way in and out: what other systems write about theirs, and the one form that Roster writes itself.
//!
//! [`sources`] turns bytes into [`UserRecord`]s, one at a time and whatever the size of the file. It knows no
//! database: whether an address is taken is asked by whoever it hands the records to.

pub mod api;
mod model;
pub mod service;
pub mod sources;
mod store;

#[cfg(test)]
mod tests;

pub use model::{Refusal, UserRecord};
