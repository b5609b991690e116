//! What Roster holds out: links that fail, processes that are killed, disks that are full, clients that mean no good.
//!
//! The real program with real neighbours, as in `tests/program`, and what goes wrong around it. Each test is bounded to
//! some seconds; `ROSTER_FAULTS_ROUNDS` repeats those that have rounds more often, and `docs/reliability.md` says what
//! came of that.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "all of this is test code: what must hold is stated, and fails loudly where it doesn't"
)]

#[path = "../support/postgres.rs"]
mod postgres;
#[path = "../program/support/mod.rs"]
#[expect(
    dead_code,
    unused_imports,
    reason = "shared with other tests, which use more of it"
)]
mod support;

mod clients;
mod crowds;
mod failover;
mod files;
mod links;
mod locks;
mod logs;
mod lost_writes;
mod memory;
mod migrations;
mod refused_writes;
mod storms;

use support::rounds;
