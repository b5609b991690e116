//! A failed sign-in has one face: the same bytes, and the same time, whatever it failed for.
//!
//! Speed isn't tested anywhere else. Here it is a promise: who can tell an unknown address from a wrong password by the
//! clock finds out who has an account. What is tested isn't how long an answer takes, but whether two kinds of them can be
//! told apart by that: the probability that one of the first kind takes longer than one of the second (the area under
//! the ROC curve) is a half where they can't. It looks at ranks alone, and the attempts of all kinds take turns in an order
//! of chance, so a busy machine disturbs all of them alike. What is left over on a quiet one, some microseconds for a row
//! that is found, is less than the moment by which every refusal is late (decision 15). This is a program of its own so that no other test runs beside it.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "all of this is test code: what must hold is stated, and fails loudly where it doesn't"
)]

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use roster::clock::{Random as _, SystemRandom};
use sea_orm::{ConnectionTrait as _, Database};
use serde_json::{Value, json};
use tempfile::TempDir;

#[path = "support/postgres.rs"]
mod postgres;

const PASSWORD: &str = "plum-orbit-canvas-47";
/// Attempts of each kind. Chance alone moves the area of two kinds by 0.015 (one standard deviation) then.
const ATTEMPTS: usize = 700;
/// How far from a half the area may be: four times what chance does.
const TOLERANCE: f64 = 0.06;
/// Accounts and addresses without one, of each kind.
const PEOPLE: usize = 8;

/// The program, serving a database of its own.
struct Server {
    child: Child,
    address: String,
    folder: TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    fn start(database: Option<&str>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_roster"));
        command
            .arg("serve")
            .env_clear()
            .current_dir(folder.path())
            .env("ROSTER__SERVER__PORT", "0")
            // A few milliseconds: little to wait for, and far more than anything else that a sign-in does.
            .env("ROSTER__PASSWORD__BCRYPT_COST", "7")
            .env("ROSTER__PASSWORD__ARGON2_MEMORY_KIB", "2048")
            // Counting is part of what is measured; refusing isn't.
            .env("ROSTER__LIMITS__ACCOUNT_BURST", "1000")
            .env("ROSTER__LIMITS__ADDRESS_BURST", "100000")
            .env("ROSTER__LOG__FILTER", "roster::cli=info")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        if let Some(url) = database {
            command.env("DATABASE_URL", url);
        }
        let mut child = command.spawn().unwrap();
        let log = BufReader::new(child.stderr.take().unwrap());
        let (tell, told) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            for line in log.lines().map_while(Result::ok) {
                println!("{line}");
                if let Some((_, address)) = line.split_once(" address=") {
                    let _ = tell.send(address.split(' ').next().unwrap_or_default().to_owned());
                }
            }
        });
        let address = told
            .recv_timeout(Duration::from_mins(1))
            .expect("the server starts");
        Self {
            child,
            address,
            folder,
        }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

/// What is tried.
struct Kind {
    name: &'static str,
    /// What the addresses begin with.
    people: &'static str,
    password: String,
    /// The kind that it mustn't be told from: the same password for an address without an account.
    like: &'static str,
}

fn kinds() -> Vec<Kind> {
    let kind = |name, people, password: &str, like| Kind {
        name,
        people,
        password: password.to_owned(),
        like,
    };
    let long = "x".repeat(3_000);
    vec![
        kind("unknown", "nobody", "wrong-lantern-88", "unknown"),
        kind("wrong password", "user", "wrong-lantern-88", "unknown"),
        kind("no password", "passwordless", "wrong-lantern-88", "unknown"),
        kind("unknown, empty", "nobody", "", "unknown, empty"),
        kind("empty", "user", "", "unknown, empty"),
        kind("unknown, over-long", "nobody", &long, "unknown, over-long"),
        kind("over-long", "user", &long, "unknown, over-long"),
    ]
}

/// How probable it is that one of the first takes longer than one of the second, half of the ties included.
fn area(first: &[Duration], second: &[Duration]) -> f64 {
    let mut won = 0_u32;
    for a in first {
        for b in second {
            won += match a.cmp(b) {
                std::cmp::Ordering::Less => 0,
                std::cmp::Ordering::Equal => 1,
                std::cmp::Ordering::Greater => 2,
            };
        }
    }
    let pairs = u32::try_from(first.len() * second.len()).unwrap();
    f64::from(won) / 2.0 / f64::from(pairs)
}

/// An order that nobody has chosen.
fn shuffled(count: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    for at in (1..count).rev() {
        let mut bytes = [0; 8];
        SystemRandom.fill(&mut bytes);
        let chance = usize::try_from(u64::from_le_bytes(bytes) % (at as u64 + 1)).unwrap();
        order.swap(at, chance);
    }
    order
}

async fn holds(server: &Server, database: &str, kinds: &[Kind]) {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    for number in 0..PEOPLE {
        for people in ["user", "passwordless"] {
            let body = json!({"email": format!("{people}-{number}@example.test"), "password": PASSWORD});
            let answer = client
                .post(server.url("/users/"))
                .json(&body)
                .send()
                .await
                .unwrap();
            assert_eq!(answer.status(), 201);
        }
    }
    let behind = Database::connect(database).await.unwrap();
    let without = "UPDATE users SET password_hash = NULL WHERE email LIKE 'passwordless%'";
    behind.execute_unprepared(without).await.unwrap();
    behind.close().await.unwrap();

    let mut times: BTreeMap<&str, Vec<Duration>> = BTreeMap::new();
    let mut faces = BTreeMap::new();
    for turn in 0..ATTEMPTS {
        for index in shuffled(kinds.len()) {
            let Some(kind) = kinds.get(index) else { continue };
            let email = format!("{}-{}@example.test", kind.people, turn % PEOPLE);
            let body = json!({"email": email, "password": kind.password});
            let request = client.post(server.url("/login")).json(&body).build().unwrap();
            let begun = Instant::now();
            let answer = client.execute(request).await.unwrap();
            let (status, headers) = (answer.status(), answer.headers().clone());
            let body = answer.bytes().await.unwrap();
            times.entry(kind.name).or_default().push(begun.elapsed());

            assert_eq!(status, 401, "{}", kind.name);
            let mut body: Value = serde_json::from_slice(&body).unwrap();
            body.as_object_mut().unwrap().remove("request_id");
            let mut told: Vec<(String, String)> = headers
                .iter()
                // What is left of the client's own attempts is one less each time.
                .filter(|(name, _)| !matches!(name.as_str(), "date" | "x-request-id" | "ratelimit"))
                .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
                .collect();
            told.sort();
            faces.insert((told, body.to_string()), kind.name);
        }
    }
    assert_eq!(faces.len(), 1, "failures differ: {faces:#?}");
    for kind in kinds.iter().filter(|kind| kind.name != kind.like) {
        let (Some(of), Some(like)) = (times.get(kind.name), times.get(kind.like)) else {
            panic!("{} was never tried", kind.name)
        };
        let area = area(of, like);
        println!("{} against {}: {area:.3}", kind.name, kind.like);
        assert!(
            (area - 0.5).abs() < TOLERANCE,
            "{} takes another time than {}: {area:.3}",
            kind.name,
            kind.like
        );
    }
}

/// Both databases in one test: they would disturb each other.
#[tokio::test]
async fn a_failed_sign_in_does_not_tell_by_its_time_what_it_failed_for() {
    let server = Server::start(None);
    let file = server.folder.path().join("data/roster.db");
    holds(&server, &format!("sqlite://{}", file.display()), &kinds()).await;
    drop(server);

    let Some(cluster) = postgres::cluster() else {
        return;
    };
    let mut bytes = [0; 8];
    SystemRandom.fill(&mut bytes);
    let name = format!("roster_timing_{:016x}", u64::from_be_bytes(bytes));
    let around = Database::connect(cluster.url("postgres")).await.unwrap();
    around
        .execute_unprepared(&format!("CREATE DATABASE {name}"))
        .await
        .unwrap();
    let server = Server::start(Some(&cluster.url(&name)));
    holds(&server, &cluster.url(&name), &kinds()).await;
    drop(server);
    around
        .execute_unprepared(&format!("DROP DATABASE {name} WITH (FORCE)"))
        .await
        .unwrap();
    around.close().await.unwrap();
}

#[test]
fn the_area_tells_what_can_be_told_apart() {
    let times = |from: u64| (from..from + 100).map(Duration::from_micros).collect::<Vec<_>>();
    let is = |first: &[Duration], second: &[Duration], expected: f64| {
        let found = area(first, second);
        assert!((found - expected).abs() < 0.001, "{found}");
    };
    is(&times(0), &times(0), 0.5);
    is(&times(100), &times(0), 1.0);
    is(&times(0), &times(100), 0.0);
    assert!(area(&times(20), &times(0)) > 0.5 + TOLERANCE);
}
