//! The key store: which keys sign access tokens, and who may know their public halves.
//!
//! Keys live in the database. Every instance looks there every few seconds, so that a rotation on one is known to
//! all; a token under a key that isn't known yet makes an instance look at once.

pub mod api;
mod model;
pub mod service;
mod store;

pub use model::{FOLLOW_EVERY, KeyStore, KeySummary};
pub use store::find;
