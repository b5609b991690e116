//! Texts that become values of the domain, and stored password hashes.
//!
//! The first byte says which: `e` an address, `d` a display name, `p` a password, `j` its judgement, `s` a stored hash, `l` a
//! language tag, `q` the beginning of a name that is looked for.

#![no_main]

use libfuzzer_sys::{Corpus, fuzz_target};
use roster::domain::{
    DisplayName, EmailAddress, Locale, Password, PasswordAttempt, PasswordHash, PasswordLength, SearchPrefix,
    search_key,
};
use roster::security::passwords::{
    MAX_ARGON2_ITERATIONS, MAX_ARGON2_MEMORY_KIB, MAX_ARGON2_PARALLELISM, MAX_BCRYPT_COST, MAX_PBKDF2_ROUNDS,
    MAX_SCRYPT_BLOCK, MAX_SCRYPT_MEMORY_KIB, MAX_SCRYPT_PARALLELISM, MAX_SHA_CRYPT_ROUNDS, MIN_BCRYPT_COST,
    MIN_SHA_CRYPT_ROUNDS, PasswordContext, PasswordPolicy, StoredScheme, Weakness, WorkMemory, verify,
};
use unicode_normalization::UnicodeNormalization;

fuzz_target!(|bytes: &[u8]| -> Corpus {
    let Some((&kind, rest)) = bytes.split_first() else {
        return Corpus::Reject;
    };
    let Ok(text) = std::str::from_utf8(rest) else {
        return Corpus::Reject;
    };
    match kind {
        b'e' => email(text),
        b'd' => display_name(text),
        b'p' => password(text),
        b'j' => judgement(text),
        b's' => stored_hash(text),
        b'l' => locale(text),
        b'q' => search_prefix(text),
        _ => return Corpus::Reject,
    }
    Corpus::Keep
});

/// One canonical form, within its limits, whichever way it is spelt.
fn email(text: &str) {
    let Ok(address) = EmailAddress::parse(text) else {
        return;
    };
    let canonical = address.as_str();
    assert!(canonical.len() <= 254);
    let (local, domain) = canonical.split_once('@').expect("an address has an @");
    assert!(!local.is_empty() && local.len() <= 64);
    assert!(domain.contains('.') && domain.is_ascii() && domain == domain.to_ascii_lowercase());
    assert!(domain.split('.').all(|label| (1..=63).contains(&label.len())));
    assert!(
        !canonical.contains(|c: char| c.is_control() || c.is_whitespace() || "\"<>(),:;\\[]".contains(c))
    );
    assert_eq!(canonical.matches('@').count(), 1);
    let decomposed: String = canonical.nfd().collect();
    let spellings = [
        canonical.to_owned(),
        format!(" {canonical}\n"),
        canonical.to_ascii_uppercase(),
        decomposed,
    ];
    for spelling in spellings {
        assert_eq!(
            EmailAddress::parse(&spelling).as_ref(),
            Ok(&address),
            "{spelling:?}"
        );
    }
}

/// Kept to the letter or refused.
fn display_name(text: &str) {
    let fits = text.chars().count() <= 255 && !text.contains(char::is_control);
    match DisplayName::parse(text.to_owned()) {
        Ok(None) => assert!(text.is_empty()),
        Ok(Some(name)) => assert!(fits && name.as_str() == text && name.into_string() == text),
        Err(_) => assert!(!fits),
    }
}

/// Whoever has chosen a password can sign in with what was typed, and with its canonical form.
fn password(text: &str) {
    let length = PasswordLength::default();
    let attempt = PasswordAttempt::parse(text);
    let Ok(password) = Password::parse(text, &length) else {
        return;
    };
    let canonical = password.expose();
    assert!((length.min..=length.max).contains(&canonical.chars().count()));
    assert!(!canonical.contains('\0') && attempt.can_match());
    assert!(password.same_as(&attempt) && attempt.expose() == canonical);
    let again = Password::parse(canonical, &length).expect("its own canonical form");
    assert_eq!(again.expose(), canonical);
    assert!(!password.same_as(&PasswordAttempt::parse(&format!("{text}x"))));
    assert!(!password.same_as(&PasswordAttempt::parse(&format!("{text}\0"))));
}

/// There is a verdict, each reason once, and one of them wherever the address is in the password.
fn judgement(text: &str) {
    let Ok(password) = Password::parse(text, &PasswordLength::default()) else {
        return;
    };
    let policy = PasswordPolicy {
        min_strength: 3,
        breached: None,
        service_name: "Roster".to_owned(),
    };
    let context = PasswordContext {
        email: "lovelace@example.com".to_owned(),
        display_name: Some("Ada King".to_owned()),
    };
    let verdict = policy
        .judge(&password, &context)
        .expect("there is no file to fail");
    let codes: Vec<_> = verdict
        .err()
        .unwrap_or_default()
        .iter()
        .map(Weakness::code)
        .collect();
    let distinct: std::collections::BTreeSet<_> = codes.iter().collect();
    assert_eq!(distinct.len(), codes.len());
    if password.expose().contains("lovelace") {
        assert!(codes.contains(&"contains_email"));
    }
}

/// Bounded before anything is run; what is cheap enough is run, too, and lets in nobody but those it was made for.
fn stored_hash(text: &str) {
    let hash = PasswordHash::from_stored(text.to_owned());
    let scheme = StoredScheme::of(&hash);
    // The longest is Firebase's, with keys and salts of 128 bytes each.
    assert!(scheme.is_err() || text.len() < 1200);
    let is_cheap = match scheme {
        Ok(StoredScheme::Bcrypt { cost } | StoredScheme::BcryptSha256 { cost }) => {
            assert!(text.len() >= 60 && text.len() <= "bcrypt_sha256$".len() + 60);
            assert!((MIN_BCRYPT_COST..=MAX_BCRYPT_COST).contains(&cost));
            cost == MIN_BCRYPT_COST
        }
        Ok(StoredScheme::Argon2 {
            variant,
            memory_kib,
            iterations,
            parallelism,
        }) => {
            assert!(text.contains(&format!("${variant}$")) && text.len() < 512);
            assert!((8 * parallelism..=MAX_ARGON2_MEMORY_KIB).contains(&memory_kib));
            assert!((1..=MAX_ARGON2_ITERATIONS).contains(&iterations));
            assert!((1..=MAX_ARGON2_PARALLELISM).contains(&parallelism));
            memory_kib <= 64 && iterations <= 2
        }
        Ok(StoredScheme::Pbkdf2 { iterations, .. }) => {
            assert!((1..=MAX_PBKDF2_ROUNDS).contains(&iterations));
            iterations <= 1000
        }
        Ok(StoredScheme::Scrypt {
            log_n,
            block,
            parallelism,
        }) => {
            assert!((1..=MAX_SCRYPT_PARALLELISM).contains(&parallelism));
            scrypt_is_cheap(log_n, block) && parallelism <= 2
        }
        Ok(StoredScheme::FirebaseScrypt { log_n, block }) => scrypt_is_cheap(log_n, block),
        Ok(StoredScheme::ShaCrypt { rounds, .. }) => {
            assert!((MIN_SHA_CRYPT_ROUNDS..=MAX_SHA_CRYPT_ROUNDS).contains(&rounds));
            rounds == MIN_SHA_CRYPT_ROUNDS
        }
        Ok(StoredScheme::SaltedSha { .. }) => true,
        Err(_) => {
            let attempt = PasswordAttempt::parse("x");
            assert!(verify(&hash, &attempt, &mut WorkMemory::new(0)).is_err());
            return;
        }
    };
    if is_cheap {
        // Nobody has this password: it is in no seed.
        let attempt = PasswordAttempt::parse("correct horse battery staple, not this one");
        assert_eq!(verify(&hash, &attempt, &mut WorkMemory::new(64)), Ok(false));
    }
}

/// Checks the bounds of scrypt's memory on the way.
fn scrypt_is_cheap(log_n: u8, block: u32) -> bool {
    assert!(log_n >= 1 && (1..=MAX_SCRYPT_BLOCK).contains(&block));
    let memory_kib = (1_u64 << log_n) * u64::from(block) / 8;
    assert!(memory_kib <= u64::from(MAX_SCRYPT_MEMORY_KIB));
    memory_kib <= 64
}

/// A tag that may stand in the name of a file and in a header, and its own conventional form.
fn locale(text: &str) {
    let Ok(Some(tag)) = Locale::parse(text) else {
        return;
    };
    let tag = tag.as_str();
    assert!((2..=35).contains(&tag.len()) && tag.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'));
    assert!(tag.split('-').all(|subtag| (1..=8).contains(&subtag.len())));
    assert!(tag.eq_ignore_ascii_case(text));
    for spelling in [tag.to_owned(), tag.to_ascii_uppercase()] {
        let again = Locale::parse(&spelling).expect("its own form").expect("a tag");
        assert_eq!(again.as_str(), tag);
    }
}

/// A range of names: not empty, in the form that names are kept in, and with whoever has this very name.
fn search_prefix(text: &str) {
    let Ok(Some(prefix)) = SearchPrefix::parse(text) else {
        return;
    };
    let first = prefix.first();
    assert!(!first.is_empty() && !first.contains(char::is_control));
    assert_eq!(search_key(first), first);
    assert_eq!(search_key(text), first);
    if let Some(end) = prefix.after() {
        assert!(first < end.as_str());
        for name in [
            first.to_owned(),
            format!("{first}z"),
            format!("{first}\u{10ffff}"),
        ] {
            assert!(first <= name.as_str() && name < end, "{name:?} {end:?}");
        }
    }
}
