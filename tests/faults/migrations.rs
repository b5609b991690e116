//! Migrations that are killed half-way.

use rustix::process::Signal;

use crate::rounds;
use crate::support::{Installation, on_both_databases};

on_both_databases! {
    a_migration_that_is_killed_is_finished_by_the_next_one
}

mod stories {
    use super::*;

    pub async fn a_migration_that_is_killed_is_finished_by_the_next_one(installation: Installation) {
        for round in 0..rounds(8) {
            let migrating = installation.start(&["migrate", "up"]);
            // From before it has begun to after it has ended.
            let pause = std::time::Duration::from_millis(u64::try_from(round).unwrap() * 7);
            tokio::time::sleep(pause).await;
            migrating.signal_if_running(Signal::KILL);
            migrating.ended().await;
        }
        installation.succeeds(&["migrate", "up"]).await;
        let status = installation.json(&["migrate", "status"]).await;
        let is_applied = |row: &serde_json::Value| row["applied"].as_bool().unwrap();
        assert!(status.as_array().unwrap().iter().all(is_applied), "{status}");
        let server = installation.serve().await;
        server.client().live_a_whole_life("eve").await;
        server.stop().await;
    }
}
