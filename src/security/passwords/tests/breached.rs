//! Files of breached passwords, in the accepted format and in others.

use std::io::Write as _;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use tempfile::NamedTempFile;

use super::super::breached::{BreachedFileFault, BreachedPasswords};
use super::super::strength::{PasswordContext, PasswordPolicy, Weakness};
use super::password;

fn sha1(text: &str) -> String {
    let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes());
    hash.as_ref()
        .iter()
        .fold(String::new(), |digits, byte| format!("{digits}{byte:02X}"))
}

fn file(content: &str) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(content.as_bytes()).unwrap();
    file
}

fn open(content: &str) -> Result<BreachedPasswords, BreachedFileFault> {
    BreachedPasswords::open(file(content).path())
}

/// The sorted hashes of `breached 0`, `breached 1` and so on, each passed through `line`.
fn lines(count: usize, line: impl Fn(&str) -> String) -> String {
    let mut hashes: Vec<String> = (0..count)
        .map(|number| sha1(&format!("breached {number}")))
        .collect();
    hashes.sort();
    hashes.iter().map(|hash| line(hash)).collect()
}

fn finds_all_of(breached: &BreachedPasswords, count: usize) {
    for number in 0..count {
        assert!(
            breached
                .contains(&password(&format!("breached {number}")))
                .unwrap(),
            "{number}"
        );
        assert!(
            !breached
                .contains(&password(&format!("unheard of {number}")))
                .unwrap(),
            "{number}"
        );
    }
}

#[test]
fn every_line_of_every_accepted_format_is_found() {
    for count in [1, 2, 3, 50, 1000] {
        finds_all_of(&open(&lines(count, |hash| format!("{hash}\n"))).unwrap(), count);
        finds_all_of(
            &open(&lines(count, |hash| {
                format!("{hash}:{}\r\n", hash.len() * 12_345)
            }))
            .unwrap(),
            count,
        );
        finds_all_of(
            &open(&lines(count, |hash| format!("{}\n", hash.to_lowercase()))).unwrap(),
            count,
        );
        finds_all_of(
            &open(&lines(count, |hash| format!("{}\n", &hash[..10]))).unwrap(),
            count,
        );
        finds_all_of(
            &open(&lines(count, |hash| format!("{}:1\n", &hash[..17]))).unwrap(),
            count,
        );
        finds_all_of(
            &open(lines(count, |hash| format!("{hash}\n")).trim_end()).unwrap(),
            count,
        );
    }
    let longest = lines(300, |hash| format!("{hash}:{}\r\n", u64::MAX));
    finds_all_of(&open(&longest).unwrap(), 300);
}

#[test]
fn lines_of_unlike_length_are_found() {
    let content = lines(500, |hash| {
        let count = "9".repeat(1 + usize::from_str_radix(&hash[..1], 16).unwrap());
        format!("{hash}:{count}\n")
    });
    finds_all_of(&open(&content).unwrap(), 500);
}

#[test]
fn a_large_file_is_searched_too() {
    let content = lines(40_000, |hash| format!("{hash}:3\n"));
    assert!(content.len() > 1_048_576);
    finds_all_of(&open(&content).unwrap(), 100);
}

#[test]
fn another_format_is_refused_at_opening() {
    let good = sha1("x");
    for content in [
        "",
        "\n",
        "password\n",
        "ABCDEF123\n",
        &format!("{good}A\n"),
        &format!("{good}:\n"),
        &format!("{good}:many\n"),
        &format!("{good}:-1\n"),
        &format!("{good} 1\n"),
        &format!("\n{good}\n"),
        &format!("{good}\n\n"),
        &format!("{good}\n{}\n", &good[..20]),
        &format!("{good}:{}\n", "1".repeat(100)),
        &"A".repeat(1000),
    ] {
        let fault = open(content).unwrap_err();
        assert!(
            matches!(fault, BreachedFileFault::BadLine { .. }),
            "{content:?}: {fault:?}"
        );
    }
    let mut backwards: Vec<String> = (0..20).map(|number| sha1(&number.to_string())).collect();
    backwards.sort_by(|one, other| other.cmp(one));
    let unsorted = backwards.join("\n");
    assert!(matches!(
        open(&unsorted).unwrap_err(),
        BreachedFileFault::Unsorted { .. }
    ));
    let one_late = lines(500, |hash| format!("{hash}\n")) + &format!("{}\n", "0".repeat(40));
    assert!(matches!(
        open(&one_late).unwrap_err(),
        BreachedFileFault::Unsorted { at: 20_500 }
    ));
    let unsorted: String = (0..40_000)
        .map(|number| sha1(&number.to_string()) + "\n")
        .collect();
    assert!(matches!(
        open(&unsorted).unwrap_err(),
        BreachedFileFault::Unsorted { .. }
    ));
}

#[test]
fn a_missing_file_is_an_error() {
    let gone = file("x").path().to_owned();
    assert!(matches!(
        BreachedPasswords::open(&gone),
        Err(BreachedFileFault::Io(_))
    ));
}

#[test]
fn what_cannot_be_searched_accepts_nothing() {
    let file = file(&lines(100, |hash| format!("{hash}\n")));
    let breached = BreachedPasswords::open(file.path()).unwrap();
    file.as_file().set_len(41).unwrap();
    let policy = PasswordPolicy {
        min_strength: 0,
        breached: Some(breached),
        service_name: "Roster".to_owned(),
    };
    assert!(
        policy
            .judge(&password("never heard of"), &PasswordContext::default())
            .is_err()
    );
}

#[test]
fn a_breached_password_is_refused() {
    let breached = open(&lines(100, |hash| format!("{hash}\n"))).unwrap();
    let policy = PasswordPolicy {
        min_strength: 3,
        breached: Some(breached),
        service_name: "Roster".to_owned(),
    };
    let judge = |text: &str| {
        policy
            .judge(&password(text), &PasswordContext::default())
            .unwrap()
    };
    let weaknesses = judge("breached 42").unwrap_err();
    assert_eq!(
        weaknesses.iter().map(Weakness::code).collect::<Vec<_>>(),
        ["breached"]
    );
    assert!(judge("bicycle lantern orchard velvet").is_ok());
}
