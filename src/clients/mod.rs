//! Registered clients: other services (resource servers) that may ask whether a token is good.
//!
//! An operator registers them; whoever answers their questions comes to [`service::authenticate`] first. Of their
//! secrets there is nothing here but digests.

mod model;
pub mod service;
mod store;

pub use model::Client;
