//! Other systems' hashes: what is refused before anything is done, and what their work is counted as.

use super::super::check::{Verified, check};
use super::super::scheme::{Algorithm, HashFault, verify};
use super::super::stored::{StoredHash, StoredScheme, UnreadableHash};
use super::{cheap, memory, stored};
use crate::domain::{PasswordAttempt, PasswordHash};

/// Unpadded base64 of so many zero bytes.
fn zeros(bytes: usize) -> String {
    "A".repeat((bytes * 8).div_ceil(6))
}

/// The blob of ASP.NET Core Identity with a salt of 16 bytes and a subkey of 32, its header given.
fn aspnet(prf: u32, iterations: u32, salt_bytes: u32) -> String {
    use base64::Engine as _;
    let header = [prf, iterations, salt_bytes].map(u32::to_be_bytes).concat();
    let blob = [&[1], header.as_slice(), &[7; 48]].concat();
    base64::engine::general_purpose::STANDARD.encode(blob)
}

fn fbscrypt(costs: &str) -> String {
    format!("$fbscrypt${costs},ss=Bw==,sk={0}$c2FsdA==${0}", zeros(33))
}

fn read(text: &str) -> Result<StoredScheme, UnreadableHash> {
    StoredScheme::of(&stored(text))
}

/// Asserts that a text is refused, also by whoever would run it.
fn is_refused(text: &str, fault: UnreadableHash) {
    let shown = text.get(..100).unwrap_or(text);
    assert_eq!(read(text), Err(fault), "{shown}");
    let result = verify(&stored(text), &PasswordAttempt::parse("x"), &mut memory());
    assert_eq!(result, Err(HashFault::Unreadable(fault)), "{shown}");
}

#[test]
fn work_and_memory_are_bounded_before_anything_is_done() {
    let d20 = format!("{}=", zeros(20));
    let (d32, d64) = (zeros(32), zeros(64));
    let (h32, h64) = ("0".repeat(64), "0".repeat(128));
    for (within, beyond) in [
        (
            format!("pbkdf2_sha256$10000000$salt${d32}="),
            format!("pbkdf2_sha256$10000001$salt${d32}="),
        ),
        (
            format!("pbkdf2_sha1$10000000$salt${d20}"),
            format!("pbkdf2_sha1$4294967296$salt${d20}"),
        ),
        (
            format!("pbkdf2:sha256:10000000$salt${h32}"),
            format!("pbkdf2:sha256:10000001$salt${h32}"),
        ),
        (
            format!("$pbkdf2-sha512$10000000$c2FsdA${d64}"),
            format!("$pbkdf2-sha512$10000001$c2FsdA${d64}"),
        ),
        // Two blocks of output, each with all iterations.
        (
            format!("$pbkdf2-sha256$i=5000000,l=64$c2FsdA${d64}"),
            format!("$pbkdf2-sha256$i=5000001,l=64$c2FsdA${d64}"),
        ),
        (aspnet(2, 10_000_000, 16), aspnet(2, 10_000_001, 16)),
        (aspnet(0, 5_000_000, 16), aspnet(0, u32::MAX, 16)),
        (
            format!("$scrypt$ln=17,r=8,p=16$c2FsdA${d32}"),
            format!("$scrypt$ln=18,r=8,p=1$c2FsdA${d32}"),
        ),
        (
            format!("$scrypt$ln=15,r=32,p=1$c2FsdA${d32}"),
            format!("$scrypt$ln=1,r=33,p=1$c2FsdA${d32}"),
        ),
        (
            format!("$scrypt$ln=20,r=1,p=1$c2FsdA${d32}"),
            format!("$scrypt$ln=64,r=1,p=1$c2FsdA${d32}"),
        ),
        (
            format!("scrypt$131072$salt$8$16${d64}=="),
            format!("scrypt$131072$salt$8$17${d64}=="),
        ),
        (
            format!("scrypt:131072:8:1$salt${h64}"),
            format!("scrypt:262144:8:1$salt${h64}"),
        ),
        (fbscrypt("v=1,n=17,r=8,p=1"), fbscrypt("v=1,n=18,r=8,p=1")),
        (
            format!("$6$rounds=1000000$salt${}", ".".repeat(86)),
            format!("$6$rounds=1000001$salt${}", ".".repeat(86)),
        ),
        (
            format!("$5$rounds=1000000$salt${}", ".".repeat(43)),
            format!("$5$rounds=999999999$salt${}", ".".repeat(43)),
        ),
        (
            "bcrypt_sha256$$2b$16$abcdefghijklmnopqrstuurLddB.f6mp4kk0KCMQm71AUYFPhTgUi".to_owned(),
            "bcrypt_sha256$$2b$17$abcdefghijklmnopqrstuurLddB.f6mp4kk0KCMQm71AUYFPhTgUi".to_owned(),
        ),
        (
            format!("argon2$argon2id$v=19$m=262144,t=1,p=1$c2FsdHNhbHQ${d32}"),
            format!("argon2$argon2id$v=19$m=262145,t=1,p=1$c2FsdHNhbHQ${d32}"),
        ),
    ] {
        assert!(read(&within).is_ok(), "{within}");
        is_refused(&beyond, UnreadableHash::TooCostly);
    }
}

#[test]
fn what_is_not_well_formed_is_refused() {
    let (d32, d64) = (zeros(32), zeros(64));
    let (h32, h64) = ("0".repeat(64), "0".repeat(128));
    let salt = "0".repeat(32);
    for text in [
        // Django.
        format!("pbkdf2_sha256$0$salt${d32}="),
        format!("pbkdf2_sha256$+1$salt${d32}="),
        format!("pbkdf2_sha256$1000$${d32}="),
        format!("pbkdf2_sha256$1000${}${d32}=", "s".repeat(129)),
        format!("pbkdf2_sha256$1000$salt${d32}"),
        format!("pbkdf2_sha256$1000$salt${d64}=="),
        format!("pbkdf2_sha256$1000$salt${d32}=$"),
        "pbkdf2_sha256$1000$salt".to_owned(),
        format!("scrypt$16385$salt$8$1${d64}=="),
        format!("scrypt$1$salt$8$1${d64}=="),
        format!("scrypt$0$salt$8$1${d64}=="),
        format!("scrypt$16384$salt$0$1${d64}=="),
        format!("scrypt$16384$salt$8$0${d64}=="),
        format!("scrypt$16384$salt$8$1${d32}="),
        "bcrypt$2b$04$abcdefghijklmnopqrstuurLddB.f6mp4kk0KCMQm71AUYFPhTgUi".to_owned(),
        format!("argon2$argon2id$v=19$m=64,t=1$c2FsdHNhbHQ${d32}"),
        // Werkzeug.
        format!("pbkdf2:sha256$salt${h32}"),
        format!("pbkdf2:sha256:1000$salt${}", h32.replace('0', "A")),
        format!("pbkdf2:sha256:1000$salt${}", h32.replace('0', "é")),
        format!("pbkdf2:sha256:1000$salt${h64}"),
        format!("scrypt:32768:8$salt${h64}"),
        format!("scrypt:32768:8:1$salt${h32}"),
        // passlib and PHC.
        format!("$pbkdf2-sha256$1000$c2FsdA${}", d32.replacen('A', "+", 1)),
        format!("$pbkdf2-sha256$i=1000$c2FsdA${}", d32.replacen('A', ".", 1)),
        format!("$pbkdf2-sha256$i=1000,l=33$c2FsdA${d32}"),
        format!("$pbkdf2-sha256$l=32$c2FsdA${d32}"),
        format!("$pbkdf2-sha256$i=1000,i=1000$c2FsdA${d32}"),
        format!("$pbkdf2-sha256$i=1000$c2FsdA${}", zeros(11)),
        format!("$pbkdf2-sha256$i=1000$c2FsdA${}", "A".repeat(4_000_000)),
        format!("$pbkdf2-sha256$i=1000$${d32}"),
        format!("$scrypt$ln=0,r=8,p=1$c2FsdA${d32}"),
        format!("$scrypt$ln=14,r=8$c2FsdA${d32}"),
        "$scrypt$ln=14,r=8,p=1$c2FsdA".to_owned(),
        // ASP.NET Core: cut, and with a salt that isn't all there or is too short.
        aspnet(1, 0, 16),
        aspnet(1, 1000, 15),
        aspnet(1, 1000, 33),
        aspnet(1, 1000, u32::MAX),
        "AQAAAAEAACcQAAAAEA==".to_owned(),
        // Better Auth.
        format!("{salt}:{h32}"),
        format!("{}:{h64}", salt.replace('0', "F")),
        format!("{salt}:{h64}:"),
        // Firebase.
        fbscrypt("v=1,n=14,r=8,p=2"),
        fbscrypt("v=1,n=14,r=8"),
        fbscrypt("v=1,n=0,r=8,p=1"),
        format!("$fbscrypt$v=1,n=14,r=8,p=1,ss=Bw==$c2FsdA==${d64}"),
        format!("$fbscrypt$v=1,n=14,r=8,p=1,ss=Bw==,sk={d64}==$c2FsdA==${d32}="),
        // crypt(3): too few rounds, no salt, a salt too long, a digest too short, a foreign character, bits left over.
        format!("$6$rounds=999$salt${}", ".".repeat(86)),
        format!("$6$rounds=5000$salt${}", ".".repeat(85)),
        format!("$6$${}", ".".repeat(86)),
        format!("$6$saltsaltsaltsalts${}", ".".repeat(86)),
        format!("$6$salt${}-", ".".repeat(85)),
        format!("$6$salt${}z", ".".repeat(85)),
        format!("$5$salt${}", ".".repeat(86)),
        // LDAP: no salt, and a digest that is none.
        format!("{{SSHA}}{}=", zeros(20)),
        format!("{{SSHA256}}{}=", zeros(32)),
        "{SSHA}".to_owned(),
        "{SSHA}!".to_owned(),
    ] {
        is_refused(&text, UnreadableHash::Malformed);
    }
}

#[test]
fn what_is_not_known_is_refused() {
    let (d32, h32) = (zeros(32), "0".repeat(64));
    for text in [
        // Unsalted, or with MD5: worth no more than the password itself.
        "{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=",
        "{SMD5}4QWGWZpj9GCmfuqEvm8HtZhZS6E=",
        "{CRYPT}$1$abcdefgh$0123456789abcdefghijkl",
        "{CLEARTEXT}password",
        "{SSHA",
        "md5$salt$0123456789abcdef0123456789abcdef",
        "5baa61e4c9b93f3f0682250b6cf8331b7ee68fd8",
        "!unusable",
        "$7$DU..../....2Q9obwLhin8qvQl6sisAO/$E1HizYWxBmnIH4sdPkd1UOML9t62Gf.wvNTnt5XFzs8",
        &format!("pbkdf2_md5$1000$salt${d32}="),
        &format!("pbkdf2:sha3_256:1000$salt${h32}"),
        &format!("$pbkdf2-sha224$1000$c2FsdA${d32}"),
        &format!("$pbkdf2-$1000$c2FsdA${d32}"),
        &format!("$pbkdf2-sha256$i=1000,x=1$c2FsdA${d32}"),
        &format!("$scrypt$ln=14,r=8,p=1,x=1$c2FsdA${d32}"),
        &fbscrypt("v=2,n=14,r=8,p=1"),
        &aspnet(3, 1000, 16),
        "bcrypt_sha256$$2x$04$abcdefghijklmnopqrstuurLddB.f6mp4kk0KCMQm71AUYFPhTgUi",
    ] {
        is_refused(text, UnreadableHash::UnknownFormat);
    }
}

#[test]
fn an_ldap_scheme_is_read_in_either_case() {
    let upper = "{SSHA}ioukhXF2N2nw9EjRo89byVqi3fjcO8fY";
    for text in [
        upper,
        &upper.replace("SSHA", "ssha"),
        &upper.replace("SSHA", "sSHA"),
    ] {
        let attempt = PasswordAttempt::parse("correct horse");
        assert_eq!(verify(&stored(text), &attempt, &mut memory()), Ok(true), "{text}");
    }
    let crypt = "{crypt}$2y$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e";
    let attempt = PasswordAttempt::parse("correct horse");
    assert_eq!(verify(&stored(crypt), &attempt, &mut memory()), Ok(true));
    assert!(cheap(Algorithm::Bcrypt).needs_rehash(&stored(crypt), 13));
}

#[test]
fn firebases_keys_are_read_in_either_alphabet() {
    let line = |text: &&str| text.starts_with("firebase-scrypt\tascii");
    let vectors = include_str!("vectors/foreign.txt");
    let hash = vectors
        .lines()
        .find(line)
        .and_then(|line| line.rsplit('\t').next())
        .unwrap();
    let (keys, rest) = hash.split_at("$fbscrypt$v=1,n=11,r=8,p=1,".len());
    let for_addresses = rest.replace('+', "-").replace('/', "_");
    assert_ne!(for_addresses, rest);
    for text in [hash, &format!("{keys}{for_addresses}")] {
        let attempt = PasswordAttempt::parse("correct horse");
        assert_eq!(verify(&stored(text), &attempt, &mut memory()), Ok(true), "{text}");
    }
}

#[test]
fn sha_crypt_reads_no_longer_attempt_than_libxcrypt() {
    let hash = stored(&format!("$6$rounds=1000$salt${}", ".".repeat(86)));
    let hash = StoredHash::parse(&hash).ok().unwrap();
    let work = |length| hash.work(&PasswordAttempt::parse(&"x".repeat(length))).blocks();
    assert!(work(512) > work(8));
    assert_eq!(work(513), 0);
}

#[test]
fn work_grows_with_what_is_asked_for() {
    let work = |text: &str| {
        let hash = StoredHash::parse(&stored(text)).ok().unwrap();
        hash.work(&PasswordAttempt::parse("short")).blocks()
    };
    let d64 = zeros(64);
    let pbkdf2 =
        |iterations, length: usize| work(&format!("$pbkdf2-sha256$i={iterations}$c2FsdA${}", zeros(length)));
    assert_eq!(pbkdf2(20_000, 32), 2 * pbkdf2(10_000, 32));
    assert_eq!(pbkdf2(10_000, 64), 2 * pbkdf2(10_000, 32));
    let scrypt = |costs| work(&format!("$scrypt${costs}$c2FsdA${d64}"));
    // 16 MiB, each KiB at the price of four blocks.
    assert_eq!(scrypt("ln=14,r=8,p=1"), 4 * 16 * 1024);
    assert_eq!(scrypt("ln=15,r=8,p=1"), 2 * scrypt("ln=14,r=8,p=1"));
    assert_eq!(scrypt("ln=14,r=16,p=1"), 2 * scrypt("ln=14,r=8,p=1"));
    assert_eq!(scrypt("ln=14,r=8,p=5"), 5 * scrypt("ln=14,r=8,p=1"));
    assert_eq!(work(&fbscrypt("v=1,n=14,r=8,p=1")), scrypt("ln=14,r=8,p=1"));
    let sha = |rounds| work(&format!("$6$rounds={rounds}$salt${}", ".".repeat(86)));
    assert_eq!(sha(10_000), 10 * sha(1000));
    assert_eq!(work(&format!("{{SSHA}}{}", "AAAA".repeat(8))), 0);
}

#[test]
fn the_next_sign_in_brings_the_hash_of_today() {
    let ssha = stored("{SSHA}ioukhXF2N2nw9EjRo89byVqi3fjcO8fY");
    let attempt = |hash: &PasswordHash, text: &str| {
        let attempt = PasswordAttempt::parse(text);
        check(
            &cheap(Algorithm::Bcrypt),
            Some(hash),
            &attempt,
            || [9; 16],
            &mut memory(),
        )
        .unwrap()
    };
    assert!(matches!(attempt(&ssha, "wrong horse"), Verified::Mismatch));
    let Verified::Match { rehash: Some(new) } = attempt(&ssha, "correct horse") else {
        panic!("no new hash");
    };
    assert!(new.expose().starts_with("$2b$04$"));
    let again = attempt(&new, "correct horse");
    assert!(matches!(again, Verified::Match { rehash: None }));
}
