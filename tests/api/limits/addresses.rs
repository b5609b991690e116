//! Wrong passwords from a client address, and who has which address.

use super::{FromAddress as _, address, left, limited, limited_with, seconds, wait};
use crate::support::{OTHER_PASSWORD, Stage, World};

/// Tries one wrong password on another account each time.
async fn guess(world: &World, number: usize, from: &str) -> u16 {
    let email = format!("user-{number}@example.test");
    world.log_in(&email, "wrong-lantern-88").from(from).await.status
}

scenario! {
    async fn one_password_on_many_accounts_is_stopped(stage: Stage) {
        let world = limited(&stage).await;
        let ada = world.register("ada").await;
        for number in 0..100 {
            assert_eq!(guess(&world, number, "203.0.113.9").await, 401, "{number}");
        }
        for _ in 0..3 {
            let answer = world.log_in(&ada.email, &ada.password).from("203.0.113.9").await;
            assert_eq!(wait(&answer), 36);
        }
        world.log_in(&ada.email, &ada.password).from("203.0.113.10").await.expect(200);
        world.clock.advance(seconds(35));
        assert_eq!(guess(&world, 0, "203.0.113.9").await, 429);
        world.clock.advance(seconds(1));
        assert_eq!(guess(&world, 1, "203.0.113.9").await, 401);
        assert_eq!(guess(&world, 2, "203.0.113.9").await, 429);
        world.clock.advance(seconds(3600));
        for number in 0..100 {
            assert_eq!(guess(&world, number, "203.0.113.9").await, 401, "{number}");
        }
        assert_eq!(guess(&world, 100, "203.0.113.9").await, 429);
    }

    async fn right_passwords_use_nothing_up_and_give_nothing_back_to_others(stage: Stage) {
        let world = limited_with(&stage, &[("address_burst", "5")]).await;
        let ada = world.register("ada").await;
        for _ in 0..12 {
            let answer = world.log_in(&ada.email, &ada.password).await.expect(200);
            assert_eq!(left(&answer), 5);
        }
        let disabled = world.disabled_user().await;
        for turn in 0..5 {
            assert_eq!(left(&world.log_in(&disabled.email, &disabled.password).await.expect(403)), 5 - turn);
            assert_eq!(left(&world.log_in("nobody@example.test", "wrong-lantern-88").await.expect(401)), 4 - turn);
            if turn < 4 {
                // An attacker's own account doesn't wash the address clean.
                assert_eq!(left(&world.log_in(&ada.email, &ada.password).await.expect(200)), 4 - turn);
            }
        }
        wait(&world.log_in(&ada.email, &ada.password).await);
    }

    async fn an_ipv6_network_is_one_client(stage: Stage) {
        let world = limited_with(&stage, &[("address_burst", "4")]).await;
        for (number, from) in ["2001:db8:1:2::1", "2001:db8:1:2::2", "[2001:db8:1:2:a:b:c:d]:443", "2001:0DB8:1:2:ffff::"].into_iter().enumerate() {
            assert_eq!(guess(&world, number, from).await, 401, "{from}");
        }
        assert_eq!(guess(&world, 4, "2001:db8:1:2:9::9").await, 429);
        assert_eq!(guess(&world, 5, "2001:db8:1:3::1").await, 401);
    }

    async fn the_client_is_the_nearest_one_that_is_no_proxy_of_ours(stage: Stage) {
        let world = limited_with(&stage, &[("address_burst", "3")]).await;
        // What a client writes itself stands further left.
        for number in 0..3 {
            let forged = format!("{}, 203.0.113.9, 10.1.2.3", address(number));
            assert_eq!(guess(&world, number, &forged).await, 401);
        }
        assert_eq!(guess(&world, 3, "192.0.2.77, 203.0.113.9").await, 429);
        assert_eq!(guess(&world, 4, "203.0.113.10").await, 401);
        // What can't be read is the proxy's own address, which is one client.
        for (number, unreadable) in ["", "unknown", "203.0.113.11, evil"].into_iter().enumerate() {
            assert_eq!(guess(&world, 10 + number, unreadable).await, 401, "{unreadable}");
        }
        assert_eq!(guess(&world, 20, "999.1.1.1").await, 429);
    }

    async fn without_a_proxy_nobody_chooses_an_address(stage: Stage) {
        let world = World::with(&stage, |variables| {
            variables.set("ROSTER__LIMITS__ENABLED", "true");
            variables.set("ROSTER__LIMITS__ADDRESS_BURST", "3");
        })
        .await;
        for number in 0..3 {
            assert_eq!(guess(&world, number, &address(number)).await, 401);
        }
        assert_eq!(guess(&world, 3, &address(3)).await, 429);
    }

    async fn many_addresses_on_one_account_are_stopped(stage: Stage) {
        let world = limited(&stage).await;
        let ada = world.register("ada").await;
        let mut looked_at = 0;
        for number in 0..200 {
            let answer = world.log_in(&ada.email, OTHER_PASSWORD).from(&address(number)).await;
            looked_at += usize::from(answer.status == 401);
        }
        assert_eq!(looked_at, 10);
    }
}
