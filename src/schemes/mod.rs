//! The hash ledger: which passwords are hashed how, so that an operator sees when an old scheme can be given up.

pub mod api;
mod model;
pub mod service;
mod store;

pub use model::{Ledger, SchemeCount};
