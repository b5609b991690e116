//! Who gets the hashing threads where there is more to hash than can be done.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::{join, join_all};
use serde_json::json;
use tokio::sync::watch;
use tokio::time::timeout;

use super::FromAddress as _;
use crate::support::{OTHER_PASSWORD, PASSWORD, Stage, World};

/// A hash that takes seconds to compare with.
const SLOW_HASH: &str = "$2b$15$abcdefghijklmnopqrstuuwxyzABCDEFGHIJKLMNOPQRSTUVWXYZa";

/// Until the only hashing thread is at work.
async fn hashing(world: &World) {
    for _ in 0..200_000 {
        if format!("{:?}", world.state.passwords).contains("HashingPool(1 running, 0 queued)") {
            return;
        }
        world.get("/livez").await.expect(200);
    }
    panic!("nothing is hashed");
}

scenario! {
    async fn one_client_with_many_connections_keeps_nobody_else_out(stage: Stage) {
        let world = World::with(&stage, |variables| {
            variables.set("ROSTER__SERVER__TRUSTED_PROXIES", "127.0.0.1");
            variables.set("ROSTER__PASSWORD__HASHING_THREADS", "1");
            // Slow enough for 60 connections to be too many on a fast machine, and fast enough for two hashes to be far from
            // that on a busy one: what is slow there is learned, and leaves less room for the many.
            variables.set("ROSTER__PASSWORD__BCRYPT_COST", "11");
            variables.set("ROSTER__PASSWORD__HASHING_MAX_WAIT_MS", "4000");
        })
        .await;
        let (mallory, ada) = (world.register("mallory").await, world.register("ada").await);
        let is_over = AtomicBool::new(false);
        let (overloaded, mut overloads) = watch::channel(0_u32);
        let (served, _) = watch::channel(0_u32);
        let flood = join_all((0..60).map(|_| async {
            let mut places = served.subscribe();
            let mut seen = Vec::new();
            while !is_over.load(Ordering::Relaxed) {
                let status = world.log_in(&mallory.email, &mallory.password).from("203.0.113.66").await.status;
                seen.push(status);
                if status == 200 {
                    served.send_modify(|count| *count += 1);
                } else if !is_over.load(Ordering::Relaxed) {
                    overloaded.send_modify(|count| *count += 1);
                    // Comes again when another one has made room.
                    places.changed().await.unwrap();
                }
            }
            seen
        }));
        let honest = async {
            let mut seen = Vec::new();
            for _ in 0..5 {
                // There is too much to do at this moment.
                timeout(Duration::from_mins(1), overloads.changed()).await.unwrap().unwrap();
                seen.push(world.log_in(&ada.email, &ada.password).from("198.51.100.7").await.status);
            }
            is_over.store(true, Ordering::Relaxed);
            served.send_modify(|count| *count += 1);
            seen
        };
        let (flood, honest) = join(flood, honest).await;
        assert_eq!(honest, [200; 5]);
        let flood = flood.concat();
        assert!(flood.iter().all(|status| matches!(status, 200 | 503)), "{flood:?}");
        // Nobody is shut out: its own share is served as well.
        assert!(flood.contains(&200) && flood.contains(&503), "{flood:?}");
    }

    async fn what_is_refused_as_overload_is_not_even_counted(stage: Stage) {
        let world = World::with(&stage, |variables| {
            variables.set("ROSTER__LIMITS__ENABLED", "true");
            variables.set("ROSTER__SERVER__TRUSTED_PROXIES", "127.0.0.1");
            variables.set("ROSTER__PASSWORD__HASHING_THREADS", "1");
            variables.set("ROSTER__PASSWORD__HASHING_MAX_WAIT_MS", "0");
        })
        .await;
        let (ada, slow) = (world.register("ada").await, world.register("slow").await);
        world.put_hash(&slow, Some(SLOW_HASH)).await;
        let token = world.sign_in(&ada).await;
        let rows = || async {
            let mut rows = world.limit_rows().await;
            rows.sort_by(|a, b| a.key.cmp(&b.key));
            rows
        };
        let others = async {
            hashing(&world).await;
            let before = rows().await;
            let from = "203.0.113.9";
            world.log_in(&ada.email, &ada.password).from(from).await.problem("overloaded");
            let grant = [("grant_type", "password"), ("username", ada.email.as_str()), ("password", PASSWORD)];
            let refused = world.post("/oauth/token").form(&grant).from(from).await.expect(503);
            assert_eq!(refused.json()["error"], "temporarily_unavailable");
            let change = ada.confirming(json!({"password": OTHER_PASSWORD}));
            world.put("/users/me").bearer(&token).json(&change).from(from).await.problem("overloaded");
            let newcomer = json!({"email": "bob@example.test", "password": PASSWORD});
            world.post("/users/").json(&newcomer).from(from).await.problem("overloaded");
            let reset = json!({"token": "AAAA-AAAA", "email": ada.email, "password": OTHER_PASSWORD});
            world.post("/reset-password").json(&reset).from(from).await.problem("overloaded");
            assert_eq!(rows().await, before);
        };
        let busy = async { world.log_in(&slow.email, &slow.password).await };
        let (refused, ()) = join(busy, others).await;
        refused.expect(401);
        // Where there is room again, limits say what they have to say.
        world.log_in(&ada.email, &ada.password).from("203.0.113.9").await.expect(200);
    }
}
