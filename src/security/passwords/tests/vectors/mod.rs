//! Hashes made by other libraries.
//!
//! Made with bcrypt 5.0.0 and argon2-cffi 25.1.0 of the Python Package Index (`pip install bcrypt argon2-cffi`, then
//! `bcrypt.hashpw(PASSWORD, bcrypt.gensalt(4))` and
//! `argon2.low_level.hash_secret(PASSWORD, b"saltsaltsaltsalt", 2, 64, 1, 32, TYPE, VERSION)`), and where it says so
//! with libxcrypt 4.4 (`crypt.crypt(PASSWORD, "$2y$04$abcdefghijklmnopqrstuu")` in Python 3.11).

mod foreign;
mod published;

use super::super::scheme::verify;
use super::super::stored::StoredScheme;
use super::{memory, stored};
use crate::domain::PasswordAttempt;

const PASSWORD: &str = "correct horse кафе\u{301}";

fn matches(hash: &str, attempt: &str) -> bool {
    verify(&stored(hash), &PasswordAttempt::parse(attempt), &mut memory()).unwrap()
}

#[test]
fn bcrypt_of_every_spelling_verifies() {
    for hash in [
        "$2b$04$4lAtN8qoA/TZd543dgRAAOKSXwhmRMs8ImHogEfKEumYICcW5Qn0W",
        "$2a$05$svGJzuYju5XdLA1VoDa2yutzy20v6gfiTi9XCHiSNOMm9mIoRBjdm",
        // libxcrypt
        "$2y$04$abcdefghijklmnopqrstuurLddB.f6mp4kk0KCMQm71AUYFPhTgUi",
        "$2a$04$abcdefghijklmnopqrstuurLddB.f6mp4kk0KCMQm71AUYFPhTgUi",
    ] {
        assert!(matches(hash, PASSWORD), "{hash}");
        assert!(!matches(hash, "correct horse"), "{hash}");
        assert!(!matches(hash, ""), "{hash}");
    }
    let empty = "$2b$04$JUIScew2ExXeaTUssu8q3ugWck5zJItVp5ANf67AWCoREPeBz9cxG";
    assert!(matches(empty, ""));
    assert!(!matches(empty, " "));
}

#[test]
fn unused_bits_of_a_bcrypt_salt_may_be_set() {
    assert!(matches(
        "$2y$04$abcdefghijklmnopqrstuvjydOTSfIH/d5oUHpsygqV5X9xJLQc6e",
        "correct horse"
    ));
}

#[test]
fn sign_extended_bcrypt_verifies_as_it_was_computed() {
    // libxcrypt, which repeats the mistake on purpose for $2x$.
    assert!(matches(
        "$2x$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e",
        "correct horse"
    ));
    let mistaken = "$2x$04$abcdefghijklmnopqrstuutq33oanPk/8tndCdGzZimIg8NnXOBNy";
    assert!(matches(mistaken, PASSWORD));
    assert!(!matches(mistaken, "correct horse"));
    // Computed rightly and marked as computed wrongly, and the other way around.
    for hash in [
        "$2x$04$abcdefghijklmnopqrstuurLddB.f6mp4kk0KCMQm71AUYFPhTgUi",
        "$2y$04$abcdefghijklmnopqrstuutq33oanPk/8tndCdGzZimIg8NnXOBNy",
    ] {
        assert!(!matches(hash, PASSWORD), "{hash}");
    }
}

#[test]
fn bcrypt_of_72_bytes_matches_72_bytes_and_no_more() {
    let whole = "$2b$04$L9.7CZPQJBBcpz3c2moEyuQIqusRUbiWeeJtCfwaumax/e2QugGhu";
    assert!(matches(whole, &"x".repeat(72)));
    assert!(!matches(whole, &"x".repeat(71)));
    assert!(!matches(whole, &"x".repeat(73)));
    // libxcrypt, of 73 bytes: cut by it, so that it can't be told from one of 72.
    let cut = "$2y$04$abcdefghijklmnopqrstuubzadhGtS2zEF.gu0yd0opP6cVzb.e0i";
    assert!(!matches(cut, &"x".repeat(73)));
    assert!(matches(cut, &"x".repeat(72)));
}

#[test]
fn argon2_of_every_variant_and_version_verifies() {
    for hash in [
        "$argon2id$v=19$m=64,t=2,p=1$c2FsdHNhbHRzYWx0c2FsdA$cNO8PcG5IDfPXdg+1KyTfDnuUD3aL21wcMUc5NO3hpI",
        "$argon2id$v=16$m=64,t=2,p=1$c2FsdHNhbHRzYWx0c2FsdA$ebqZx1e3Mk6hkF+yXFHveVR8SYo0NHP3gz5sNpYVvTk",
        "$argon2id$m=64,t=2,p=1$c2FsdHNhbHRzYWx0c2FsdA$ebqZx1e3Mk6hkF+yXFHveVR8SYo0NHP3gz5sNpYVvTk",
        "$argon2i$v=19$m=64,t=2,p=1$c2FsdHNhbHRzYWx0c2FsdA$KYleZZTSuyEy3hTTmbvbG4k3a7PSBxXf2Ap66LHXNjE",
        "$argon2i$v=16$m=64,t=2,p=1$c2FsdHNhbHRzYWx0c2FsdA$GOUZT27G/Jf7N2mw9sxFUFHCLOrSax80AfsmfJMmR6s",
        "$argon2i$m=64,t=2,p=1$c2FsdHNhbHRzYWx0c2FsdA$GOUZT27G/Jf7N2mw9sxFUFHCLOrSax80AfsmfJMmR6s",
        "$argon2d$v=19$m=64,t=2,p=1$c2FsdHNhbHRzYWx0c2FsdA$UPdhVyaTapV5Xe5kXU6Q1OJ4/K2BiYWJb9xBavyOcW4",
        "$argon2d$v=16$m=64,t=2,p=1$c2FsdHNhbHRzYWx0c2FsdA$No5WEVBEDMP721Gf7tobnnYtcdWVefd95LRrDsfXsLc",
        // Four lanes, a digest of 24 bytes.
        "$argon2id$v=19$m=256,t=3,p=4$c2FsdHNhbHRzYWx0c2FsdA$15peQutBoKRxutGDDDHgjUVhvyV2K5f9",
        // Of `argon2.PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)`.
        "$argon2id$v=19$m=64,t=1,p=1$zm/CxTWLQQVZ8D6H+3AVbQ$iTr4Yf7f3ZfCPzsovRbV9cNXgMkzQddnytk5YY1kH7M",
    ] {
        assert!(matches(hash, PASSWORD), "{hash}");
        assert!(!matches(hash, "correct horse"), "{hash}");
        assert!(!matches(hash, ""), "{hash}");
    }
    let long =
        "$argon2id$v=19$m=32,t=1,p=2$c2FsdHNhbHRzYWx0c2FsdA$vxnDPSbOU9jKDQXZA+CXcSj2LnzNLv9rU3SaxpwoMaw";
    assert!(matches(long, &"x".repeat(200)));
    assert!(!matches(long, &"x".repeat(199)));
}

#[test]
fn a_scheme_has_a_name_without_salt_and_digest() {
    let name = |hash| StoredScheme::of(&stored(hash)).unwrap().to_string();
    assert_eq!(
        name("$2a$05$svGJzuYju5XdLA1VoDa2yutzy20v6gfiTi9XCHiSNOMm9mIoRBjdm"),
        "bcrypt cost=5"
    );
    assert_eq!(
        name("$argon2id$v=19$m=256,t=3,p=4$c2FsdHNhbHRzYWx0c2FsdA$15peQutBoKRxutGDDDHgjUVhvyV2K5f9"),
        "argon2id m=256,t=3,p=4"
    );
}
