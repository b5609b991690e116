//! Roster: user accounts that you run yourself.
//!
//! The rooms of this house, and what each is for; `ARCHITECTURE.md` has the map and the rules.
//!
//! - [`domain`]: values that prove themselves. [`policy`]: who may do what.
//! - [`security`]: passwords, tokens, keys. [`clock`]: time and chance, as arguments.
//! - [`db`]: connecting, reading, the unit of work. [`error`]: what can go wrong, without HTTP.
//! - [`json`]: reading JSON strictly, for all who read what others have written.
//! - [`http`]: reading requests, rendering failures, mounting operations.
//! - [`mailer`]: the way out for mail.
//! - [`users`], [`auth`], [`sessions`], [`oauth`], [`clients`], [`keys`], [`limits`], [`mail`], [`verification`], [`audit`],
//!   [`operations`]: the features, a folder each.
//! - [`schemes`]: the hash ledger.
//! - [`transfer`]: users on their way in and out, and what other systems write about theirs.
//! - [`config`], [`telemetry`], [`startup`], [`app`], [`routes`], [`server`], [`cli`]: what puts it together.

pub mod app;
pub mod audit;
pub mod auth;
pub mod cli;
pub mod clients;
pub mod clock;
pub mod config;
pub mod db;
pub mod domain;
pub mod error;
pub mod http;
pub mod json;
pub mod keys;
pub mod limits;
pub mod mail;
pub mod mailer;
pub mod oauth;
pub mod operations;
pub mod policy;
pub mod routes;
pub mod schemes;
pub mod security;
pub mod server;
pub mod sessions;
pub mod startup;
pub mod telemetry;
pub mod transfer;
pub mod users;
pub mod verification;
