//! What the tests share: installations of the program, what runs in them, and who calls them.

use std::time::Duration;

mod client;
mod database;
mod installation;
mod link;
mod process;
mod raw;
mod server;
mod terminal;

pub use client::Client;
pub use database::{column, connect, count};
pub use installation::Installation;
pub use link::Link;
pub use process::{Lines, finish};
pub use raw::Raw;
pub use server::Server;
pub use terminal::Terminal;

/// The program under test.
pub const ROSTER: &str = env!("CARGO_BIN_EXE_roster");
/// A password that the policy takes.
pub const PASSWORD: &str = "plum-orbit-canvas-47";
/// How long anything may take on a busy machine before it counts as stuck.
pub const PATIENCE: Duration = Duration::from_mins(1);
/// A secret key that production takes.
pub const SECRET: &str = "pQ3vVnJcW0xY2b7mZtE9sKfH1aRgUo8iLdXyN5wTq4M=";

/// A story that has to come out the same on both databases.
/// How often something is repeated that has rounds; `ROSTER_FAULTS_ROUNDS` says how often instead.
pub fn rounds(usual: usize) -> usize {
    let chosen = std::env::var_os("ROSTER_FAULTS_ROUNDS");
    chosen
        .and_then(|rounds| rounds.to_str()?.parse().ok())
        .unwrap_or(usual)
}

macro_rules! on_both_databases {
    ($($name:ident)+) => {$(
        mod $name {
            use crate::support::Installation;

            #[tokio::test]
            async fn on_sqlite() {
                super::stories::$name(Installation::new()).await;
            }

            #[tokio::test]
            async fn on_postgresql() {
                if let Some(installation) = Installation::on_postgresql().await {
                    super::stories::$name(installation).await;
                }
            }
        }
    )+};
}
pub(crate) use on_both_databases;
