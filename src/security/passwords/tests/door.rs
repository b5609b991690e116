//! The door as services use it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use super::super::scheme::{Algorithm, HashSettings};
use super::super::strength::{PasswordContext, PasswordPolicy, Weakness};
use super::super::{JobCosts, JobKind, Passwords, PasswordsSettings, Verified};
use super::{cheap, password, stored};
use crate::clock::Random;
use crate::domain::{ClientNetwork, PasswordAttempt, PasswordHash};

/// Another number each time.
#[derive(Debug, Default)]
struct Counter(AtomicU8);

impl Random for Counter {
    fn fill(&self, buffer: &mut [u8]) {
        buffer.fill(self.0.fetch_add(1, Ordering::Relaxed));
    }
}

fn settings(hashing: HashSettings) -> PasswordsSettings {
    PasswordsSettings {
        hashing,
        policy: PasswordPolicy {
            min_strength: 3,
            breached: None,
            service_name: "Roster".to_owned(),
        },
        threads: 2,
        max_wait: Duration::from_mins(1),
    }
}

fn passwords(hashing: HashSettings) -> Passwords {
    Passwords::start(settings(hashing), Arc::new(Counter::default())).unwrap()
}

fn context() -> PasswordContext {
    PasswordContext {
        email: "anna@example.org".to_owned(),
        display_name: None,
    }
}

const NOBODY: ClientNetwork = ClientNetwork::None;
const GOOD: &str = "bicycle lantern orchard velvet";

async fn hash(passwords: &Passwords, text: &str) -> PasswordHash {
    passwords
        .hash_new(password(text), context(), NOBODY)
        .await
        .unwrap()
        .unwrap()
}

async fn verify(passwords: &Passwords, attempt: &str, stored: Option<PasswordHash>) -> Verified {
    passwords
        .verify(PasswordAttempt::parse(attempt), stored, NOBODY)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_good_password_is_hashed_and_verifies() {
    let passwords = passwords(cheap(Algorithm::Bcrypt));
    let long = format!("{GOOD} {GOOD} {GOOD}");
    for text in [GOOD, &long] {
        let hash = hash(&passwords, text).await;
        let right = verify(&passwords, text, Some(hash.clone())).await;
        assert!(matches!(right, Verified::Match { rehash: None }));
        let wrong = verify(&passwords, "something else", Some(hash)).await;
        assert!(matches!(wrong, Verified::Mismatch));
    }
}

#[tokio::test]
async fn a_bad_password_is_not_hashed() {
    let passwords = passwords(cheap(Algorithm::Bcrypt));
    let weaknesses = passwords
        .hash_new(password("anna lantern orchard"), context(), NOBODY)
        .await
        .unwrap()
        .unwrap_err();
    assert_eq!(
        weaknesses.iter().map(Weakness::code).collect::<Vec<_>>(),
        ["contains_email"]
    );
}

#[tokio::test]
async fn every_hash_has_a_salt_of_its_own() {
    let passwords = passwords(cheap(Algorithm::Bcrypt));
    assert_ne!(
        hash(&passwords, GOOD).await.expose(),
        hash(&passwords, GOOD).await.expose()
    );
}

#[tokio::test]
async fn nothing_stored_and_nonsense_stored_match_nothing() {
    let passwords = passwords(cheap(Algorithm::Bcrypt));
    for attempt in ["", GOOD, &"x".repeat(73), &"x".repeat(10_000), "\0"] {
        for nothing in [None, Some(stored("nonsense")), Some(stored(""))] {
            assert!(matches!(
                verify(&passwords, attempt, nothing).await,
                Verified::Mismatch
            ));
        }
    }
}

#[tokio::test]
async fn signing_in_brings_the_hash_up_to_date() {
    let old = hash(&passwords(cheap(Algorithm::Argon2id)), GOOD).await;
    let passwords = passwords(cheap(Algorithm::Bcrypt));
    let Verified::Match { rehash: Some(new) } = verify(&passwords, GOOD, Some(old)).await else {
        panic!("no new hash");
    };
    assert!(new.expose().starts_with("$2b$04$"));
    assert!(matches!(
        verify(&passwords, GOOD, Some(new)).await,
        Verified::Match { rehash: None }
    ));
}

#[tokio::test]
async fn the_new_password_can_be_compared_with_the_old() {
    let passwords = passwords(cheap(Algorithm::Bcrypt));
    let hash = hash(&passwords, GOOD).await;
    assert!(
        passwords
            .matches(password(GOOD), hash.clone(), NOBODY)
            .await
            .unwrap()
    );
    assert!(
        !passwords
            .matches(password("another one"), hash, NOBODY)
            .await
            .unwrap()
    );
    assert!(
        !passwords
            .matches(password(GOOD), stored("nonsense"), NOBODY)
            .await
            .unwrap()
    );
    let foreign = stored("{SSHA}ioukhXF2N2nw9EjRo89byVqi3fjcO8fY");
    let chosen = password("correct horse");
    assert!(passwords.matches(chosen, foreign.clone(), NOBODY).await.unwrap());
    assert!(!passwords.matches(password(GOOD), foreign, NOBODY).await.unwrap());
}

#[test]
fn another_systems_hashes_have_an_average_of_their_own() {
    let second = Duration::from_secs(1);
    let mut costs = JobCosts::all(Duration::ZERO);
    costs.learn(JobKind::CheckForeign, second);
    assert_eq!(costs.of(JobKind::CheckForeign), second / 4);
    for kind in [JobKind::Create, JobKind::CheckBcrypt, JobKind::CheckArgon2] {
        assert_eq!(costs.of(kind), Duration::ZERO);
    }
    let expected = JobCosts::expected(&cheap(Algorithm::Bcrypt));
    assert!(expected.of(JobKind::CheckForeign) >= expected.of(JobKind::CheckBcrypt));
}

#[tokio::test]
async fn many_at_once_all_get_their_answer() {
    let passwords = passwords(cheap(Algorithm::Bcrypt));
    let hash = hash(&passwords, GOOD).await;
    let tasks: Vec<_> = (0..100)
        .map(|number| {
            let (passwords, hash) = (passwords.clone(), hash.clone());
            let attempt = if number % 2 == 0 { GOOD } else { "wrong" };
            tokio::spawn(async move { verify(&passwords, attempt, Some(hash)).await })
        })
        .collect();
    for (number, task) in tasks.into_iter().enumerate() {
        assert_eq!(
            matches!(task.await.unwrap(), Verified::Match { .. }),
            number % 2 == 0
        );
    }
}

#[test]
fn settings_that_would_lock_everybody_out_do_not_start() {
    let hashing = HashSettings {
        argon2_memory_kib: 1_048_576,
        ..HashSettings::default()
    };
    assert!(Passwords::start(settings(hashing), Arc::new(Counter::default())).is_err());
}
