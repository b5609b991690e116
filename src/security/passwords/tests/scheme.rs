//! Making, comparing, reading and replacing hashes.

use super::super::scheme::{Algorithm, HashFault, HashSettings, verify};
use super::super::stored::{StoredScheme, UnreadableHash};
use super::super::work_memory::WorkMemory;
use super::{cheap, memory, stored};
use crate::domain::{PasswordAttempt, PasswordHash};

fn hash(settings: HashSettings, text: &str) -> PasswordHash {
    settings.hash(text, [7; 16], &mut memory()).unwrap()
}

fn matches(hash: &PasswordHash, attempt: &str) -> bool {
    verify(hash, &PasswordAttempt::parse(attempt), &mut memory()).unwrap()
}

fn fault(hash: &str) -> UnreadableHash {
    StoredScheme::of(&stored(hash)).unwrap_err()
}

#[test]
fn what_is_hashed_verifies_with_either_algorithm() {
    for preferred in [Algorithm::Bcrypt, Algorithm::Argon2id] {
        for text in [
            "a",
            "correct horse",
            "кафе\u{e9}",
            "🦊🦊🦊",
            " padded ",
            &"y".repeat(72),
            &"y".repeat(300),
        ] {
            let made = hash(cheap(preferred), text);
            assert!(matches(&made, text), "{text}");
            assert!(!matches(&made, &text.replacen(|_| true, "b", 1)), "{text}");
            assert!(!matches(&made, &format!("{text}b")), "{text}");
            assert!(!matches(
                &made,
                text.trim_end_matches(' ').get(1..).unwrap_or_default()
            ));
            assert!(!matches(&made, ""));
        }
    }
}

#[test]
fn a_spelling_in_nfd_is_the_same_password() {
    let made = hash(cheap(Algorithm::Bcrypt), "caf\u{e9}");
    assert!(matches(&made, "cafe\u{301}"));
}

#[test]
fn every_byte_counts_on_both_sides_of_bcrypts_limit() {
    let settings = cheap(Algorithm::Bcrypt);
    for (length, prefix) in [
        (71, "$2b$04$"),
        (72, "$2b$04$"),
        (73, "$argon2id$v=19$m=64,t=1,p=1$"),
    ] {
        let text = "z".repeat(length);
        let made = hash(settings, &text);
        assert!(made.expose().starts_with(prefix), "{length}");
        assert!(matches(&made, &text));
        assert!(!matches(&made, &"z".repeat(length + 1)), "{length}");
        assert!(!matches(&made, &"z".repeat(length - 1)), "{length}");
        let last_differs = format!("{}y", "z".repeat(length - 1));
        assert!(!matches(&made, &last_differs), "{length}");
    }
    // 24 characters of three bytes are 72 bytes.
    assert!(hash(settings, &"€".repeat(24)).expose().starts_with("$2b$"));
    assert!(hash(settings, &"€".repeat(25)).expose().starts_with("$argon2id$"));
}

#[test]
fn argon2id_where_it_is_preferred() {
    let made = hash(cheap(Algorithm::Argon2id), "short");
    assert!(made.expose().starts_with("$argon2id$v=19$m=64,t=1,p=1$"));
}

#[test]
fn the_salt_is_the_one_given() {
    for preferred in [Algorithm::Bcrypt, Algorithm::Argon2id] {
        let settings = cheap(preferred);
        let with = |salt| settings.hash("text", [salt; 16], &mut memory()).unwrap();
        assert_eq!(with(1).expose(), with(1).expose());
        assert_ne!(with(1).expose(), with(2).expose());
    }
}

#[test]
fn an_attempt_that_cannot_match_does_not() {
    let made = hash(cheap(Algorithm::Bcrypt), "a");
    // bcrypt reads a password in circles, a NUL between the rounds: to it this is "a".
    assert!(!matches(&made, "a\0a"));
    let long = "x".repeat(4096);
    let made = hash(cheap(Algorithm::Argon2id), &long);
    assert!(matches(&made, &long));
    assert!(!matches(&made, &(long + "x")));
}

#[test]
fn a_hash_that_could_not_be_verified_is_not_made() {
    let good = cheap(Algorithm::Bcrypt);
    for bad in [
        HashSettings {
            bcrypt_cost: 3,
            ..good
        },
        HashSettings {
            bcrypt_cost: 17,
            ..good
        },
        HashSettings {
            argon2_memory_kib: 7,
            ..good
        },
        HashSettings {
            argon2_memory_kib: 262_145,
            ..good
        },
        HashSettings {
            argon2_iterations: 0,
            ..good
        },
        HashSettings {
            argon2_iterations: 65,
            ..good
        },
    ] {
        assert_eq!(
            bad.hash("text", [7; 16], &mut memory()).unwrap_err(),
            HashFault::Settings
        );
    }
}

#[test]
fn costs_of_a_stored_hash_are_bounded_before_anything_is_done() {
    let tail = "abcdefghijklmnopqrstuurLddB.f6mp4kk0KCMQm71AUYFPhTgUi";
    assert!(StoredScheme::of(&stored(&format!("$2b$16${tail}"))).is_ok());
    for cost in ["17", "31", "32", "99"] {
        assert_eq!(fault(&format!("$2b${cost}${tail}")), UnreadableHash::TooCostly);
    }
    let argon2 = |costs: &str| {
        format!("$argon2id$v=19${costs}$c2FsdHNhbHRzYWx0c2FsdA$cNO8PcG5IDfPXdg+1KyTfDnuUD3aL21wcMUc5NO3hpI")
    };
    assert!(StoredScheme::of(&stored(&argon2("m=262144,t=64,p=16"))).is_ok());
    for costs in [
        "m=262145,t=1,p=1",
        "m=4294967295,t=1,p=1",
        "m=4294967296,t=1,p=1",
        "m=99999999999999999999,t=1,p=1",
        "m=64,t=65,p=1",
        "m=64,t=4294967295,p=1",
        "m=262144,t=1,p=17",
    ] {
        assert_eq!(fault(&argon2(costs)), UnreadableHash::TooCostly, "{costs}");
        let hash = stored(&argon2(costs));
        let mut memory = WorkMemory::new(64);
        let result = verify(&hash, &PasswordAttempt::parse("x"), &mut memory);
        assert_eq!(result, Err(HashFault::Unreadable(UnreadableHash::TooCostly)));
        assert_eq!(format!("{memory:?}"), "WorkMemory(0 KiB)");
    }
}

#[test]
fn what_is_not_a_hash_is_unreadable() {
    let malformed = [
        "$2b$",
        "$2b$04$",
        "$2b$03$abcdefghijklmnopqrstuurLddB.f6mp4kk0KCMQm71AUYFPhTgUi",
        "$2b$4$abcdefghijklmnopqrstuurLddB.f6mp4kk0KCMQm71AUYFPhTgUi",
        "$2b$004$abcdefghijklmnopqrstuurLddB.f6mp4kk0KCMQm71AUYFPhTgU",
        "$2b$+4$abcdefghijklmnopqrstuurLddB.f6mp4kk0KCMQm71AUYFPhTgUi",
        "$2b$04$abcdefghijklmnopqrstuurLddB.f6mp4kk0KCMQm71AUYFPhTgU",
        "$2b$04$abcdefghijklmnopqrstuurLddB.f6mp4kk0KCMQm71AUYFPhTgUii",
        "$2b$04$abcdefghijklmnopqrst$urLddB.f6mp4kk0KCMQm71AUYFPhTgUi",
        "$2b$04$abcdefghijklmnopqrstuurLddB.f6mp4kk0KCMQm71AUYFPhTgU ",
        "$2b$04$abcdefghijklmnopqrstéurLddB.f6mp4kk0KCMQm71AUYFPhTgUi",
        "$argon2id$v=19$m=64,t=2,p=1$c2FsdHNhbHRzYWx0c2FsdA",
        "$argon2id$v=19$m=64,t=2,p=1$c2FsdHNhbHRzYWx0c2FsdA$cNO8PcG5IDfPXdg+1KyTfDnuUD3aL21wcMUc5NO3hpI$",
        "$argon2id$v=19$m=64,t=2$c2FsdHNhbHRzYWx0c2FsdA$cNO8PcG5IDfPXdg+1KyTfDnuUD3aL21wcMUc5NO3hpI",
        "$argon2id$v=19$m=64,m=64,t=2,p=1$c2FsdHNhbHRzYWx0c2FsdA$cNO8PcG5IDfPXdg+1KyTfDnuUD3aL21wcMUc5NO3hpI",
        "$argon2id$v=19$m=+64,t=2,p=1$c2FsdHNhbHRzYWx0c2FsdA$cNO8PcG5IDfPXdg+1KyTfDnuUD3aL21wcMUc5NO3hpI",
        "$argon2id$v=19$m=64,t=0,p=1$c2FsdHNhbHRzYWx0c2FsdA$cNO8PcG5IDfPXdg+1KyTfDnuUD3aL21wcMUc5NO3hpI",
        "$argon2id$v=19$m=64,t=2,p=0$c2FsdHNhbHRzYWx0c2FsdA$cNO8PcG5IDfPXdg+1KyTfDnuUD3aL21wcMUc5NO3hpI",
        "$argon2id$v=19$m=31,t=2,p=4$c2FsdHNhbHRzYWx0c2FsdA$cNO8PcG5IDfPXdg+1KyTfDnuUD3aL21wcMUc5NO3hpI",
        // A salt of 7 bytes, a digest of 11, a digest of megabytes, and base64 that isn't.
        "$argon2id$v=19$m=64,t=2,p=1$c2FsdHNhbA$cNO8PcG5IDfPXdg+1KyTfDnuUD3aL21wcMUc5NO3hpI",
        "$argon2id$v=19$m=64,t=2,p=1$c2FsdHNhbHRzYWx0c2FsdA$cNO8PcG5IDfPXdg",
        &format!(
            "$argon2id$v=19$m=64,t=2,p=1$c2FsdHNhbHRzYWx0c2FsdA${}",
            "A".repeat(4_000_000)
        ),
        "$argon2id$v=19$m=64,t=2,p=1$c2FsdHNhbHRzYWx0c2FsdA$cNO8PcG5IDfPXdg-1KyTfDnuUD3aL21wcMUc5NO3hpI",
    ];
    for text in malformed {
        assert_eq!(
            fault(text),
            UnreadableHash::Malformed,
            "{}",
            text.get(..80).unwrap_or(text)
        );
    }
    for text in [
        "",
        "plain text",
        "$1$abcdefgh$0123456789abcdefghijkl",
        "$2$04$abcdefghijklmnopqrstuurLddB.f6mp4kk0KCMQm71AUYFPhTgUi",
        "$2z$04$abcdefghijklmnopqrstuurLddB.f6mp4kk0KCMQm71AUYFPhTgUi",
        "$argon2$v=19$m=64,t=2,p=1$c2FsdHNhbHRzYWx0c2FsdA$cNO8PcG5IDfPXdg+1KyTfDnuUD3aL21wcMUc5NO3hpI",
        "$argon2id$v=18$m=64,t=2,p=1$c2FsdHNhbHRzYWx0c2FsdA$cNO8PcG5IDfPXdg+1KyTfDnuUD3aL21wcMUc5NO3hpI",
        "$argon2id$v=19$m=64,t=2,p=1,keyid=a$c2FsdHNhbHRzYWx0c2FsdA$cNO8PcG5IDfPXdg+1KyTfDnuUD3aL21wcMUc5NO3hpI",
    ] {
        assert_eq!(fault(text), UnreadableHash::UnknownFormat, "{text}");
    }
}

#[test]
fn a_hash_is_made_anew_when_todays_would_be_another() {
    let bcrypt = cheap(Algorithm::Bcrypt);
    let argon2id = cheap(Algorithm::Argon2id);
    let short = hash(bcrypt, "short");
    let long = hash(bcrypt, &"l".repeat(73));
    assert!(!bcrypt.needs_rehash(&short, 5));
    assert!(!bcrypt.needs_rehash(&long, 73));
    assert!(
        bcrypt.needs_rehash(&long, 5),
        "an imported argon2id hash of a short password"
    );
    assert!(argon2id.needs_rehash(&short, 5));
    assert!(!argon2id.needs_rehash(&long, 73));
    for other_cost in [5, 12] {
        assert!(
            HashSettings {
                bcrypt_cost: other_cost,
                ..bcrypt
            }
            .needs_rehash(&short, 5)
        );
        assert!(
            !HashSettings {
                bcrypt_cost: other_cost,
                ..bcrypt
            }
            .needs_rehash(&long, 73)
        );
    }
    assert!(
        HashSettings {
            argon2_memory_kib: 32,
            ..bcrypt
        }
        .needs_rehash(&long, 73)
    );
    assert!(
        HashSettings {
            argon2_iterations: 2,
            ..bcrypt
        }
        .needs_rehash(&long, 73)
    );
    assert!(bcrypt.needs_rehash(&stored("nonsense"), 5));

    let spelled = |version: &str| stored(&short.expose().replace("$2b$", version));
    assert!(!bcrypt.needs_rehash(&spelled("$2a$"), 5));
    assert!(!bcrypt.needs_rehash(&spelled("$2y$"), 5));
    assert!(bcrypt.needs_rehash(&spelled("$2x$"), 5));

    let changed = |from, to| stored(&long.expose().replace(from, to));
    assert!(argon2id.needs_rehash(&changed("$v=19", "$v=16"), 73));
    assert!(argon2id.needs_rehash(&changed("$v=19", ""), 73));
    assert!(argon2id.needs_rehash(&changed("argon2id", "argon2i"), 73));
    assert!(argon2id.needs_rehash(&changed("p=1", "p=2"), 73));
    let short_salt = "$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHQ$cNO8PcG5IDfPXdg+1KyTfDnuUD3aL21wcMUc5NO3hpI";
    assert!(argon2id.needs_rehash(&stored(short_salt), 5));
    let short_digest = "$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHRzYWx0c2FsdA$15peQutBoKRxutGDDDHgjUVhvyV2K5f9";
    assert!(argon2id.needs_rehash(&stored(short_digest), 5));
}

#[test]
fn one_buffer_serves_every_hash() {
    let mut memory = WorkMemory::new(64);
    let settings = cheap(Algorithm::Argon2id);
    settings.hash("first", [1; 16], &mut memory).unwrap();
    let address = |memory: &mut WorkMemory| memory.blocks(8).unwrap().as_ptr() as usize;
    let first = address(&mut memory);
    let made = settings.hash("second", [2; 16], &mut memory).unwrap();
    verify(&made, &PasswordAttempt::parse("second"), &mut memory).unwrap();
    memory.settle();
    assert_eq!(address(&mut memory), first);
    assert_eq!(format!("{memory:?}"), "WorkMemory(64 KiB)");
}

#[test]
fn bcrypt_needs_no_buffer() {
    let mut memory = WorkMemory::new(64);
    cheap(Algorithm::Bcrypt)
        .hash("first", [1; 16], &mut memory)
        .unwrap();
    assert_eq!(format!("{memory:?}"), "WorkMemory(0 KiB)");
}

#[test]
fn what_a_larger_hash_took_is_given_back() {
    let mut memory = WorkMemory::new(64);
    assert_eq!(memory.blocks(65).unwrap().len(), 65);
    memory.settle();
    assert_eq!(format!("{memory:?}"), "WorkMemory(0 KiB)");
    assert_eq!(memory.blocks(64).unwrap().len(), 64);
    memory.settle();
    assert_eq!(format!("{memory:?}"), "WorkMemory(64 KiB)");
    assert!(memory.blocks(usize::MAX / 2048).is_err(), "refused, not aborted");
}
