//! What a server holds in memory while many want something of it at once, and while ever others do.
//!
//! Read from `/proc/PID/status`: `VmHWM` is the most that was ever resident, code of this build included, so each limit is one
//! above what the same process held before.

use futures_util::future::join_all;
use serde_json::json;

use crate::rounds;
use crate::support::{Client, Installation, PASSWORD, Server, on_both_databases};

const MIB: u64 = 1 << 20;
/// Who signs in at once.
const CLIENTS: usize = 500;
const WORKERS: u64 = 2;

on_both_databases! {
    a_storm_of_logins_with_bcrypt_takes_64_mib_at_most
    a_storm_of_logins_with_argon2id_takes_what_its_workers_own_and_32_mib_at_most
    ever_other_addresses_and_accounts_leave_nothing_in_memory
}

/// A number of `/proc/PID/status`, in bytes.
pub fn memory(server: &Server, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.id())).unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let kib = line.unwrap().trim().strip_suffix(" kB").unwrap();
    kib.parse::<u64>().unwrap() * 1024
}

/// By how much the memory of a server grows while so many sign in at once, and how many of them were let in.
async fn storm(installation: Installation) -> u64 {
    let installation = installation
        .with("ROSTER__SERVER__WORKERS", &WORKERS.to_string())
        .with("ROSTER__PASSWORD__HASHING_THREADS", &WORKERS.to_string());
    // Accounts and keys are made by other processes, so that this one is at rest.
    installation.prepare().await;
    for number in 0..2 {
        installation.create_user(&email(number), &[]).await;
    }
    let server = installation.serve().await;
    assert_eq!(server.client().get("/readyz").await.0, 200);
    let idle = memory(&server, "VmHWM");
    let clients: Vec<Client> = (0..CLIENTS).map(|_| server.client()).collect();
    let ask = async |(number, client): (usize, &Client)| {
        let (status, body) = client.try_login(&email(number % 2), PASSWORD).await;
        assert!(matches!(status, 200 | 503), "{status} {body}");
        status == 200
    };
    let mut let_in = 0;
    for _ in 0..rounds(1) {
        let outcomes = join_all(clients.iter().enumerate().map(ask)).await;
        let_in += outcomes.into_iter().filter(|is_in| *is_in).count();
    }
    let peak = memory(&server, "VmHWM");
    println!(
        "idle {} MiB, peak {} MiB, {let_in} of {} let in",
        idle / MIB,
        peak / MIB,
        CLIENTS * rounds(1)
    );
    // However busy the machine is, each thread has hashed, and so has all the memory that it ever needs.
    assert!(let_in as u64 >= WORKERS, "{let_in}");
    drop(clients);
    server.stop().await;
    peak - idle
}

fn email(number: usize) -> String {
    format!("person-{number}@example.com")
}

mod stories {
    use super::*;

    pub async fn a_storm_of_logins_with_bcrypt_takes_64_mib_at_most(installation: Installation) {
        // More than can be hashed within the longest wait, so that the queue is as long as it gets.
        let grown = storm(installation.with("ROSTER__PASSWORD__BCRYPT_COST", "9")).await;
        assert!(grown <= 64 * MIB, "{} MiB", grown / MIB);
    }

    pub async fn a_storm_of_logins_with_argon2id_takes_what_its_workers_own_and_32_mib_at_most(
        installation: Installation,
    ) {
        let grown = storm(installation.with("ROSTER__PASSWORD__ALGORITHM", "argon2id")).await;
        assert!(grown <= (WORKERS * 19 + 32) * MIB, "{} MiB", grown / MIB);
    }

    pub async fn ever_other_addresses_and_accounts_leave_nothing_in_memory(installation: Installation) {
        const AT_ONCE: usize = 50;
        const FIRST: usize = 100;
        let installation = installation
            .with("ROSTER__LIMITS__ENABLED", "true")
            .with("ROSTER__SERVER__TRUSTED_PROXIES", "127.0.0.1");
        let server = installation.serve().await;
        let client = server.client();
        let ask = async |number: usize| {
            let [_, a, b, c] = u32::try_from(number).unwrap().to_be_bytes();
            let body = json!({"email": email(number), "password": "wrong-lantern-88"});
            let call = client
                .request(reqwest::Method::POST, "/login")
                .header("x-forwarded-for", format!("10.{a}.{b}.{c}"))
                .json(&body);
            let (status, body) = Client::answer(call).await;
            assert_eq!(status, 401, "{body}");
        };
        let many = async |from: usize, count: usize| {
            for start in (from..from + count).step_by(AT_ONCE) {
                join_all((start..start + AT_ONCE).map(&ask)).await;
            }
        };
        many(0, FIRST).await;
        let before = memory(&server, "VmRSS");
        let more = 300 * rounds(1);
        many(FIRST, more).await;
        let grown = memory(&server, "VmRSS").saturating_sub(before);
        println!("{more} other addresses and accounts: {} KiB more", grown / 1024);
        // Of 64 MiB that a million may take each has its share; the rest is what an allocator keeps for later.
        let allowed = 8 * MIB + 64 * MIB * more as u64 / 1_000_000;
        assert!(grown <= allowed, "{} MiB", grown / MIB);
        server.stop().await;
        let database = installation.database().await;
        let rows = crate::support::count(&database, "SELECT key FROM rate_limits").await;
        assert_eq!(rows, 2 * (FIRST + more));
    }
}
