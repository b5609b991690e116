//! The API, as a client meets it: a real server on a port of its own for every scenario, on SQLite and on PostgreSQL.
//!
//! `support/` has the world that a scenario lives in. Every answer that its client sees is held against
//! `openapi.json` and the conventions of the contract, whatever else the scenario looks at.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "all of this is test code: what must hold is stated, and fails loudly where it doesn't"
)]

#[macro_use]
mod support;

mod access_tokens;
mod addresses;
mod admin;
mod audit;
mod authorization;
mod changed_passwords;
mod clients;
mod clocks;
mod concurrency;
mod conditional_writes;
mod ended_sessions;
mod forged_tokens;
mod http;
mod keys;
mod leaving;
mod limits;
mod login;
mod mail;
mod malformed_requests;
mod overtaken_admins;
mod overtaken_requests;
mod own_data;
mod parallel_requests;
mod passwords;
mod profile;
mod registration;
mod sessions;
mod stored_hashes;
mod transfer;
