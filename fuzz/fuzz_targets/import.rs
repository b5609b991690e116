//! Files of users, as other systems write them, and the hash parameters of Firebase.
//!
//! The first byte says which: a digit is a place in `Source::ALL`, `h` is hash parameters.

#![no_main]

use std::ops::ControlFlow;
use std::sync::LazyLock;

use chrono::{DateTime, Utc};
use libfuzzer_sys::{Corpus, fuzz_target};
use roster::domain::Role;
use roster::transfer::sources::{Checks, FirebaseConfig, Source, read};
use roster::transfer::{Refusal, UserRecord};

static CONFIG: LazyLock<FirebaseConfig> = LazyLock::new(|| {
    let text = "hash_config { algorithm: SCRYPT, base64_signer_key: AAEC, base64_salt_separator: Bw==, \
                rounds: 8, mem_cost: 14 }";
    FirebaseConfig::parse(text).expect("hash parameters")
});

/// Every hash is taken: whether one can be read is the business of `text`.
const CHECKS: Checks = Checks {
    now: DateTime::<Utc>::UNIX_EPOCH,
    is_readable: |_| Ok(()),
};

fuzz_target!(|bytes: &[u8]| -> Corpus {
    let Some((&kind, rest)) = bytes.split_first() else {
        return Corpus::Reject;
    };
    if kind == b'h' {
        parameters(rest);
        return Corpus::Keep;
    }
    let Some(source) = Source::ALL.get(usize::from(kind.wrapping_sub(b'0'))) else {
        return Corpus::Reject;
    };
    file(*source, rest);
    Corpus::Keep
});

/// Rows come in order and on lines that there are; a fault doesn't take back what was handed on.
fn file(source: Source, bytes: &[u8]) {
    let lines: u64 = 1 + bytes.iter().map(|byte| u64::from(*byte == b'\n')).sum::<u64>();
    let mut last = 1;
    // Hash parameters inside the file are read only where none were given besides.
    let has_own = bytes.windows(11).any(|part| part == b"hash_config");
    let given = (!has_own).then_some(&*CONFIG);
    let _ = read(source, given, &CHECKS, bytes, &mut |line, row| {
        assert!((last..=lines).contains(&line));
        last = line;
        match row {
            Ok(user) => good(source, &user),
            Err(refusal) => refused(&refusal),
        }
        ControlFlow::Continue(())
    });
}

/// What was taken once is exported, imported and exported again without a change; nobody brings power along.
fn good(source: Source, user: &UserRecord) {
    assert!(user.metadata.as_json().len() <= 16 * 1024);
    assert!(
        user.password_hash
            .as_ref()
            .is_none_or(|hash| !hash.expose().is_empty())
    );
    assert!(user.roles.is_sorted() && user.roles.windows(2).all(|pair| pair[0] != pair[1]));
    if !matches!(source, Source::Roster | Source::Csv) {
        assert!(user.roles.iter().all(|role| role.as_str() != Role::ADMIN));
    }
    let line = user.to_line(true).expect("a line");
    assert!(!line.contains('\n'));
    let mut again = None;
    read(Source::Roster, None, &CHECKS, line.as_bytes(), &mut |_, row| {
        again = Some(row.expect("what was exported").to_line(true).expect("a line"));
        ControlFlow::Continue(())
    })
    .expect("a line");
    assert!(
        again.as_ref() == Some(&line),
        "{:?}\nbecame {:?}",
        line.as_str(),
        again.as_deref().map(String::as_str)
    );
}

/// A refusal is of bounded length and can't speak to a terminal.
fn refused(refusal: &Refusal) {
    let text = refusal.to_string();
    assert!(text.len() < 1024 && !text.contains(char::is_control), "{text:?}");
}

/// Parameters are read or refused, and never repeated.
fn parameters(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    match FirebaseConfig::parse(text) {
        Ok(config) => assert_eq!(format!("{config:?}"), "FirebaseConfig(redacted)"),
        Err(fault) => assert!(fault.to_string().len() < 256),
    }
}
