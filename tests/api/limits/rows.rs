//! What the database holds of limits, and for how long.

use serde_json::json;

use super::{FromAddress as _, address, exhaust, limited, seconds, wait};
use crate::support::{OTHER_PASSWORD, Stage, all};

scenario! {
    async fn rows_tell_no_address(stage: Stage) {
        let world = limited(&stage).await;
        let ada = world.register("ada").await;
        world.log_in(&ada.email, OTHER_PASSWORD).from("203.0.113.9").await.expect(401);
        let rows = world.limit_rows().await;
        let mut kinds: Vec<&str> = rows.iter().map(|row| row.kind.as_str()).collect();
        kinds.sort_unstable();
        assert_eq!(kinds, ["account", "address", "registration"]);
        for row in &rows {
            assert_eq!(row.key.len(), 32);
            let text = String::from_utf8_lossy(&row.key).into_owned();
            assert!(!text.contains("ada") && !text.contains("203.0"), "{row:?}");
        }
    }

    async fn rows_go_once_they_say_nothing_and_not_before(stage: Stage) {
        let world = limited(&stage).await;
        let housekeep = || roster::limits::service::housekeep(&world.state);
        let ada = world.register("ada").await;
        exhaust(&world, &ada.email).await;
        world.clock.advance(seconds(60));
        assert_eq!(housekeep().await.unwrap(), 0);
        // Addresses that failed once, and the one that has registered; the one that was refused has left nothing.
        world.clock.advance(seconds(1800));
        assert_eq!(housekeep().await.unwrap(), 11);
        assert_eq!(world.limit_rows().await.len(), 1);
        world.clock.advance(seconds(8 * 3600));
        assert_eq!(housekeep().await.unwrap(), 0);
        world.clock.advance(seconds(2 * 3600));
        assert_eq!(housekeep().await.unwrap(), 1);
        assert!(world.limit_rows().await.is_empty());
    }

    async fn a_flood_of_addresses_is_cleared_away_in_batches(stage: Stage) {
        let world = limited(&stage).await;
        world.flood_limits(1_203).await;
        let ada = world.register("ada").await;
        assert_eq!(roster::limits::service::housekeep(&world.state).await.unwrap(), 1_203);
        assert_eq!(world.limit_rows().await.len(), 1);
        world.log_in(&ada.email, &ada.password).from(&address(1)).await.expect(200);
    }

    async fn ever_other_clients_leave_a_row_each_and_none_after_their_time(stage: Stage) {
        // More than are removed at a time; each asks for what costs no hash.
        const CLIENTS: usize = 600;
        let world = limited(&stage).await;
        for start in (0..CLIENTS).step_by(100) {
            let call = |number: usize| {
                let body = json!({"email": format!("nobody-{number}@example.test")});
                world.post("/verify-email/request").json(&body).from(&address(number))
            };
            for answer in all((start..start + 100).map(call)).await {
                answer.expect(202);
            }
        }
        assert_eq!(world.limit_rows().await.len(), CLIENTS);
        let housekeep = || roster::limits::service::housekeep(&world.state);
        assert_eq!(housekeep().await.unwrap(), 0);
        world.clock.advance(seconds(1800));
        assert_eq!(housekeep().await.unwrap(), CLIENTS as u64);
        assert!(world.limit_rows().await.is_empty());
    }

    async fn a_wait_survives_the_clean_up(stage: Stage) {
        let world = limited(&stage).await;
        let ada = world.register("ada").await;
        exhaust(&world, &ada.email).await;
        for _ in 0..12 {
            world.clock.advance(seconds(900));
            world.log_in(&ada.email, OTHER_PASSWORD).await.expect(401);
            roster::limits::service::housekeep(&world.state).await.unwrap();
            assert!(wait(&world.log_in(&ada.email, &ada.password).await) > 1);
        }
    }
}
