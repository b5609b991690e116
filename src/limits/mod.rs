//! Limits: how often may be tried, for each account, session and client address.
//!
//! Whoever checks a password or a code comes to [`check_sign_in`], [`check_in_session`] or [`check_code`] first, and whoever
//! may tell that an address is taken to [`check_address_change`]; both tell the [`Attempt`] that they get what came of it.
//! Whoever does something for anybody who asks comes to [`spend`]. What was counted is in the database, for all instances
//! and beyond their ends; [`Limits`] holds what must not be.
//! `docs/decisions/0014-limits.md` has the reasoning.

mod model;
pub mod service;
mod store;

pub use model::{AccountState, LimitKind};
pub use service::{
    Attempt, Limits, Refused, account_states, check_address_change, check_code, check_in_session,
    check_sign_in, forget_account, spend,
};
