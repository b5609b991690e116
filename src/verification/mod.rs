//! Proof of a mailbox: codes that go out by mail, and what they are good for. Verifying an address, choosing a new
//! password, confirming a new address, taking over an account that an operator has made.
//!
//! A request only queues a mail ([`crate::mail`]); the code is made by [`prepare`] when that mail is sent. So a request does
//! the same whether or not anybody has the address, and a code is never older than the mail that it is in.

pub mod api;
mod model;
pub mod service;
mod store;

pub use model::{Prepared, lifetime};
pub use service::prepare;
pub use store::{drop_codes, drop_codes_for};
