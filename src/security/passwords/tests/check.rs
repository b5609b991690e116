//! Refusals cost the same whatever is stored.

use super::super::check::{Verified, check};
use super::super::scheme::{Algorithm, HashSettings, Scheme};
use super::super::stand_in::{Work, missing};
use super::super::stored::StoredHash;
use super::{cheap, memory, stored};
use crate::domain::{PasswordAttempt, PasswordHash};

fn verified(settings: HashSettings, stored: Option<&PasswordHash>, attempt: &str) -> Verified {
    let attempt = PasswordAttempt::parse(attempt);
    check(&settings, stored, &attempt, || [9; 16], &mut memory()).unwrap()
}

fn is_mismatch(settings: HashSettings, stored: Option<&PasswordHash>, attempt: &str) -> bool {
    matches!(verified(settings, stored, attempt), Verified::Mismatch)
}

/// What a refusal costs, as a multiple of today's scheme for the attempt.
fn cost(settings: HashSettings, stored: Option<&str>, attempt: &str) -> f64 {
    let attempt = PasswordAttempt::parse(attempt);
    let today = settings.scheme_for(attempt.expose().len());
    let hash = stored
        .map(super::stored)
        .and_then(|hash| StoredHash::parse(&hash).ok());
    let spent = hash.map_or(Work::NONE, |hash| hash.work(&attempt));
    let extra: u64 = missing(spent, today)
        .into_iter()
        .map(|scheme| Work::of(scheme).blocks())
        .sum();
    let blocks = |number: u64| f64::from(u32::try_from(number).unwrap());
    blocks(spent.blocks() + extra) / blocks(Work::of(today).blocks())
}

fn bcrypt(cost: u32) -> String {
    format!("$2b${cost:02}$abcdefghijklmnopqrstuurLddB.f6mp4kk0KCMQm71AUYFPhTgUi")
}

fn argon2id(memory_kib: u32, iterations: u32) -> String {
    let tail = "c2FsdHNhbHRzYWx0c2FsdA$cNO8PcG5IDfPXdg+1KyTfDnuUD3aL21wcMUc5NO3hpI";
    format!("$argon2id$v=19$m={memory_kib},t={iterations},p=1${tail}")
}

#[test]
fn nothing_stored_is_exactly_one_hash_of_today() {
    let settings = HashSettings::default();
    for scheme in [settings.scheme_for(72), settings.scheme_for(73)] {
        assert_eq!(missing(Work::NONE, scheme), [scheme]);
    }
    assert_eq!(settings.scheme_for(72), Scheme::Bcrypt { cost: 12 });
    assert_eq!(
        settings.scheme_for(73),
        Scheme::Argon2id {
            memory_kib: 19_456,
            iterations: 2
        }
    );
}

#[test]
#[expect(clippy::float_cmp, reason = "the sums are of the same whole numbers")]
fn a_refusal_costs_the_same_whatever_is_stored() {
    let settings = HashSettings::default();
    let long = "l".repeat(73);
    let too_long = "l".repeat(5000);
    for attempt in ["", "short", "with\0nul", &"s".repeat(72), &long, &too_long] {
        assert_eq!(cost(settings, None, attempt), 1.0);
        assert_eq!(cost(settings, Some("unreadable"), attempt), 1.0);
        for stored in [bcrypt(12), bcrypt(11), bcrypt(10), bcrypt(4)] {
            assert_eq!(cost(settings, Some(&stored), attempt), 1.0, "{stored}");
        }
        for stored in [argon2id(19_456, 2), argon2id(19_456, 1), argon2id(64, 1)] {
            let cost = cost(settings, Some(&stored), attempt);
            assert!((0.99..=1.0).contains(&cost), "{stored}: {cost}");
        }
    }
    // An attempt that bcrypt can't match doesn't wait for it: the accounts with argon2id answer as fast.
    assert_eq!(cost(settings, Some(&bcrypt(16)), &long), 1.0);
    // The exception that the module tells of.
    assert_eq!(cost(settings, Some(&bcrypt(13)), "short"), 2.0);
}

#[test]
fn a_refusal_costs_the_same_for_another_systems_hash() {
    let digest = |bytes: usize| "A".repeat((bytes * 8).div_ceil(6));
    let hashes = |share: u32| {
        [
            format!("$pbkdf2-sha1$i={}$c2FsdA${}", 100_000 * share, digest(20)),
            format!("$pbkdf2-sha256$i={}$c2FsdA${}", 50_000 * share, digest(64)),
            format!("$pbkdf2-sha512$i={}$c2FsdA${}", 20_000 * share, digest(64)),
            format!("$scrypt$ln=10,r=8,p={share}$c2FsdA${}", digest(32)),
            format!("$5$rounds={}$saltstring${}.", 50_000 * share, ".".repeat(42)),
            format!("$6$rounds={}$saltstring${}", 10_000 * share, ".".repeat(86)),
            format!("{{SSHA}}{}", "AAAA".repeat(8)),
            format!("bcrypt_sha256${}", bcrypt(3 + share)),
        ]
    };
    let bcrypt = HashSettings::default();
    for stored in hashes(1).iter().chain(&hashes(8)) {
        let cost = cost(bcrypt, Some(stored), "short");
        assert!((0.99..=1.0).contains(&cost), "{stored}: {cost}");
    }
    let argon2id = HashSettings {
        preferred: Algorithm::Argon2id,
        ..bcrypt
    };
    for stored in hashes(1) {
        let cost = cost(argon2id, Some(&stored), "short");
        assert!((0.99..=1.0).contains(&cost), "{stored}: {cost}");
    }
}

#[test]
fn a_refusal_costs_the_same_where_argon2id_is_preferred() {
    let settings = HashSettings {
        preferred: Algorithm::Argon2id,
        ..HashSettings::default()
    };
    for attempt in ["short", &"l".repeat(73)] {
        for stored in [
            None,
            Some("unreadable"),
            Some(argon2id(19_456, 2).as_str()),
            Some(&argon2id(9000, 3)),
        ] {
            let cost = cost(settings, stored, attempt);
            assert!((0.99..=1.0).contains(&cost), "{stored:?}: {cost}");
        }
    }
}

#[test]
fn only_the_password_matches() {
    for preferred in [Algorithm::Bcrypt, Algorithm::Argon2id] {
        let settings = cheap(preferred);
        let long = "l".repeat(73);
        for text in ["right", &long] {
            let hash = settings.hash(text, [7; 16], &mut memory()).unwrap();
            let right = verified(settings, Some(&hash), text);
            assert!(matches!(right, Verified::Match { rehash: None }));
            for wrong in [
                "",
                "wrong",
                "right\0",
                "rightright",
                &"l".repeat(72),
                &"l".repeat(74),
                &"l".repeat(5000),
            ] {
                assert!(is_mismatch(settings, Some(&hash), wrong), "{wrong}");
            }
        }
        for attempt in ["", "right", &long, &"l".repeat(5000)] {
            assert!(is_mismatch(settings, None, attempt));
            assert!(is_mismatch(settings, Some(&stored("unreadable")), attempt));
        }
    }
}

#[test]
fn a_match_brings_the_hash_of_today() {
    let today = cheap(Algorithm::Bcrypt);
    let yesterday = HashSettings {
        bcrypt_cost: 5,
        ..today
    };
    let argon2id = cheap(Algorithm::Argon2id);
    for old in [yesterday, argon2id] {
        let hash = old.hash("right", [7; 16], &mut memory()).unwrap();
        let Verified::Match { rehash: Some(new) } = verified(today, Some(&hash), "right") else {
            panic!("no new hash");
        };
        assert!(new.expose().starts_with("$2b$04$"));
        assert!(matches!(
            verified(today, Some(&new), "right"),
            Verified::Match { rehash: None }
        ));
        assert!(is_mismatch(today, Some(&hash), "wrong"));
    }
}

#[test]
fn a_match_is_a_match_also_where_no_new_hash_can_be_made() {
    let hash = cheap(Algorithm::Bcrypt)
        .hash("right", [7; 16], &mut memory())
        .unwrap();
    let broken = HashSettings {
        bcrypt_cost: 31,
        ..cheap(Algorithm::Bcrypt)
    };
    assert!(matches!(
        verified(broken, Some(&hash), "right"),
        Verified::Match { rehash: None }
    ));
}
