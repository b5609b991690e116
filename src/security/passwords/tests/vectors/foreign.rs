//! Hashes of other systems, each made by the library that the system uses.
//!
//! `make.py`, `make.mjs` and `Make.java` beside this file make `foreign.txt`; `make.py` says how. The PHC form of PBKDF2,
//! which is what becomes of a Keycloak credential, is computed by the JDK, as Keycloak does it. One format has no library
//! in a registry: ASP.NET's blobs with SHA-1 and SHA-512 are computed with Python's hashlib by their documented layout
//! (those with SHA-256 are made by npm's `aspnetcore-identity-password-hasher`). `published.rs` holds both against hashes
//! that ASP.NET and Keycloak have published themselves.

use super::super::super::scheme::{Algorithm, HashSettings};
use super::super::super::stored::StoredScheme;
use super::super::{cheap, stored};
use super::matches;

/// A line for each hash: format, name of the password, hash.
const HASHES: &str = include_str!("foreign.txt");

struct Vector {
    format: &'static str,
    password: String,
    hash: &'static str,
}

fn vectors() -> Vec<Vector> {
    let read = |line: &'static str| {
        let [format, password, hash] = *line.split('\t').collect::<Vec<_>>() else {
            panic!("three fields: {line}");
        };
        let password = match password {
            "ascii" => "correct horse".to_owned(),
            "wide" => "cr\u{e8}me \u{fb01}ne \u{2116}1 кафе\u{301} 🦊".to_owned(),
            "empty" => String::new(),
            "long" => "l0ng".repeat(50),
            _ => panic!("an unknown password: {password}"),
        };
        Vector {
            format,
            password,
            hash,
        }
    };
    HASHES.lines().map(read).collect()
}

#[test]
fn hashes_of_other_systems_verify_as_their_libraries_wrote_them() {
    for vector in vectors() {
        let Vector {
            format,
            password,
            hash,
        } = vector;
        assert!(matches(hash, &password), "{format}: {hash}");
        let longer = format!("{password}x");
        assert!(!matches(hash, &longer), "{format}: {hash}");
        for wrong in ["correct horsf", "crème fine №1 кафе 🦊", " ", "\0"] {
            assert!(!matches(hash, wrong), "{format}: {hash}");
        }
    }
}

#[test]
fn both_passwords_of_every_format_are_there() {
    let all = vectors();
    assert_eq!(all.len(), HASHES.lines().count());
    for format in all.iter().map(|vector| vector.format) {
        let of_format = || all.iter().filter(|vector| vector.format == format);
        assert!(of_format().any(|vector| vector.password.is_ascii()), "{format}");
        assert!(of_format().any(|vector| !vector.password.is_ascii()), "{format}");
    }
}

#[test]
fn a_decomposed_attempt_is_the_same_password() {
    let decomposed = "cre\u{300}me \u{fb01}ne \u{2116}1 кафе\u{301} 🦊";
    for vector in vectors().iter().filter(|vector| !vector.password.is_ascii()) {
        assert!(matches(vector.hash, decomposed), "{}", vector.format);
    }
}

#[test]
fn only_better_auth_takes_compatible_characters_for_the_same() {
    let compatible = "crème fine No1 кафе\u{301} 🦊";
    for vector in vectors().iter().filter(|vector| !vector.password.is_ascii()) {
        let same = matches(vector.hash, compatible);
        assert_eq!(same, vector.format == "better-auth", "{}", vector.format);
    }
}

#[test]
fn every_hash_of_another_system_is_made_anew() {
    for vector in vectors() {
        // What libxcrypt makes of $2a$ is our own algorithm.
        if vector.format == "libxcrypt $2a$" {
            continue;
        }
        let length = vector.password.len();
        let hash = stored(vector.hash);
        for preferred in [Algorithm::Bcrypt, Algorithm::Argon2id] {
            assert!(cheap(preferred).needs_rehash(&hash, length), "{}", vector.format);
        }
        assert!(
            HashSettings::default().needs_rehash(&hash, length),
            "{}",
            vector.format
        );
    }
}

#[test]
fn every_format_has_its_name() {
    let name = |format: &str| {
        let vectors = vectors();
        let vector = vectors.iter().find(|vector| vector.format == format).unwrap();
        StoredScheme::of(&stored(vector.hash)).unwrap().to_string()
    };
    for (format, expected) in [
        ("django bcrypt_sha256", "bcrypt-sha256 cost=4"),
        ("django bcrypt", "bcrypt cost=4"),
        ("libxcrypt $2x$", "bcrypt cost=4"),
        ("django argon2", "argon2id m=64,t=1,p=8"),
        ("django pbkdf2_sha256", "pbkdf2-sha256 i=1000"),
        ("django pbkdf2_sha1", "pbkdf2-sha1 i=1000"),
        ("passlib pbkdf2", "pbkdf2-sha1 i=1000"),
        ("passlib pbkdf2-sha256", "pbkdf2-sha256 i=1000"),
        ("passlib pbkdf2-sha512", "pbkdf2-sha512 i=1000"),
        ("phc pbkdf2", "pbkdf2-sha1 i=1000"),
        ("werkzeug pbkdf2", "pbkdf2-sha256 i=1000"),
        ("aspnetcore-identity-password-hasher", "pbkdf2-sha256 i=10000"),
        ("django scrypt", "scrypt ln=10,r=8,p=5"),
        ("passlib scrypt", "scrypt ln=10,r=8,p=1"),
        ("werkzeug scrypt", "scrypt ln=15,r=8,p=1"),
        ("better-auth", "scrypt ln=14,r=16,p=1"),
        ("firebase", "firebase-scrypt ln=10,r=8"),
        ("libxcrypt $5$", "sha256-crypt rounds=1000"),
        ("passlib sha512_crypt", "sha512-crypt rounds=5000"),
        ("passlib ldap_sha512_crypt", "sha512-crypt rounds=1000"),
        ("passlib ldap_salted_sha1", "ssha"),
        ("passlib ldap_salted_sha256", "ssha256"),
        ("passlib ldap_salted_sha512", "ssha512"),
    ] {
        assert_eq!(name(format), expected, "{format}");
    }
}
