//! The whole program, as its operators and clients meet it: the real binary, started by the test in a folder of its
//! own with a clean environment.
//!
//! What takes time is awaited by what it brings about (a line of the log, the end of a process), never by the clock;
//! deadlines are only there so that a fault ends a test instead of hanging it.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "all of this is test code: what must hold is stated, and fails loudly where it doesn't"
)]

#[expect(dead_code, reason = "shared with tests of faults, which use more of it")]
mod support;

mod browser;
mod cli;
mod clients;
mod crashes;
mod databases;
mod logs;
mod mail;
mod moving_in;
mod outages;
mod pooler;
#[path = "../support/postgres.rs"]
mod postgres;
mod readme;
mod refusals;
mod rotation;
mod shutdown;
mod startup;
mod walk;
