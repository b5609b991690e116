//! Sessions: one for each sign-in, from its beginning through every refresh to its end.
//!
//! Signing in comes here to begin one, accounts to end them. A session that ends is deleted, with its refresh tokens:
//! whatever names it finds nothing from then on, on every instance.

pub mod api;
mod model;
pub mod service;
mod store;

pub use model::{IssuedTokens, NewSession, Session};
pub use service::{LastUses, end_of_access_token, end_of_token, issue, list, new_session, refresh};
pub use store::{
    count_sessions, end_oldest, end_sessions, end_sessions_except, insert_session, renew_session,
    session_lives,
};
