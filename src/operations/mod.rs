//! What isn't about accounts: the front page, the documentation, health, the problems' pages.

pub mod api;
pub mod docs;
