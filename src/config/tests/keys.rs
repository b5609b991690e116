//! Every key: its default, good values, and bad ones.

use std::collections::BTreeSet;

use super::cases::{CASES, Case};
use super::{World, setting};
use crate::config::RetiredScheme;
use crate::config::layer::variable;
use crate::domain::PasswordHash;
use crate::security::passwords::StoredScheme;

#[test]
fn every_key_has_its_case() {
    let loaded = World::new().load();
    let keys: Vec<_> = loaded.settings.iter().map(|setting| setting.key).collect();
    let cases: Vec<_> = CASES.iter().map(|case| case.0).collect();
    assert_eq!(keys, cases);
}

#[test]
fn every_key_has_its_default_and_an_explanation() {
    let loaded = World::new().load();
    for Case(key, default, ..) in CASES {
        let setting = setting(&loaded, key);
        assert_eq!(setting.value.as_deref(), *default, "{key}");
        assert_eq!(setting.origin, "default", "{key}");
        assert!(
            !setting.explanation.is_empty() && !setting.allowed.is_empty(),
            "{key}"
        );
        assert!(
            !setting.explanation.contains('\n') && !setting.allowed.contains('\n'),
            "{key}"
        );
    }
}

#[test]
fn good_values_are_taken() {
    for Case(key, _, good, _) in CASES {
        for value in *good {
            let name = variable(key);
            let loaded = World::new().variable(&name, value).result();
            let loaded = loaded.unwrap_or_else(|faults| panic!("{value}: {faults}"));
            assert_eq!(setting(&loaded, key).origin, name);
        }
    }
}

#[test]
fn a_bad_value_names_key_origin_and_what_is_allowed() {
    for Case(key, _, _, bad) in CASES {
        for value in *bad {
            let name = variable(key);
            let world = World::new().variable(&name, value);
            world.refuses(&[&format!("{key} ({name}): "), "; allowed: "]);
            let text = format!("{key} = {value:?}\n").replace("\\0", "\\u0000");
            let world = World::new().file("config/default.toml", &text);
            let file = world.shown("config/default.toml");
            world.refuses(&[&format!("{key} ({file}): "), "; allowed: "]);
        }
    }
}

#[test]
fn toml_is_not_coerced() {
    for (key, value, problem) in [
        ("server.port", "'8000'", "is text, not a whole number"),
        ("server.port", "8000.0", "is a fraction, not a whole number"),
        ("server.port", "true", "is true or false, not a whole number"),
        ("docs.enabled", "'true'", "is text, not true or false"),
        ("docs.enabled", "1", "is a whole number, not true or false"),
        ("server.host", "127", "is a whole number, not text"),
        ("log.format", "['text']", "is a list, not text"),
        (
            "cors.allowed_origins",
            "'https://a.example'",
            "is text, not a list of text",
        ),
        (
            "cors.allowed_origins",
            "[1]",
            "holds a whole number, not only text",
        ),
        ("security.secret_key", "12345", "is a whole number, not text"),
        ("security.secret_key_path", "''", "is not a path"),
        ("token.issuer", "''", "is empty"),
        ("server.public_url", "''", "is not an http or https URL"),
        ("limits.enabled", "'false'", "is text, not true or false"),
    ] {
        let world = World::new().extra(&format!("{key} = {value}\n"));
        world.refuses(&[&format!("{key} ("), problem, "; allowed: "]);
    }
}

#[test]
fn a_refusal_of_something_not_built_yet_says_so() {
    World::new()
        .variable("ROSTER__METRICS__LISTEN", "127.0.0.1:1")
        .refuses(&["metrics.listen", "metrics are not part of this version yet"]);
}

#[test]
fn sessions_do_not_idle_longer_than_they_last() {
    let world = World::new().variable("ROSTER__SESSION__REFRESH_IDLE_DAYS", "91");
    world.refuses(&[
        "session.refresh_absolute_days (default): 90 is less than session.refresh_idle_days",
        "(ROSTER__SESSION__REFRESH_IDLE_DAYS), which is 91",
    ]);
}

#[test]
fn a_scheme_that_new_passwords_get_is_not_given_up() {
    let world = |algorithm, retired| {
        World::new()
            .variable("ROSTER__PASSWORD__ALGORITHM", algorithm)
            .variable("ROSTER__PASSWORD__RETIRE_BEFORE", retired)
    };
    for retired in ["bcrypt=2031-05-07", "ssha=2027-01-31,bcrypt=2031-05-07"] {
        world("bcrypt", retired).refuses(&[
            "password.retire_before (ROSTER__PASSWORD__RETIRE_BEFORE): bcrypt is what new passwords are hashed with",
            "password.algorithm (ROSTER__PASSWORD__ALGORITHM) is bcrypt",
            "; allowed: schemes other than argon2id, and bcrypt once password.algorithm is argon2id",
        ]);
        let config = world("argon2id", retired).config();
        assert_eq!(
            config.password.retire_before.last().unwrap().to_string(),
            "bcrypt=2031-05-07"
        );
    }
    // A password over 72 bytes gets argon2id with either.
    for algorithm in ["bcrypt", "argon2id"] {
        world(algorithm, "argon2id=2031-05-07").refuses(&[
            "password.retire_before (ROSTER__PASSWORD__RETIRE_BEFORE): argon2id is what new passwords over 72 bytes",
        ]);
    }
}

#[test]
fn every_scheme_that_a_hash_can_have_can_be_given_up() {
    let hashes = include_str!("../../security/passwords/tests/vectors/foreign.txt");
    let schemes: BTreeSet<String> = hashes
        .lines()
        .filter_map(|line| line.split('\t').nth(2))
        .filter_map(|hash| StoredScheme::of(&PasswordHash::from_stored(hash.to_owned())).ok())
        .filter_map(|scheme| scheme.to_string().split(' ').next().map(str::to_owned))
        .collect();
    assert!(schemes.len() >= 10, "{schemes:?}");
    for scheme in schemes {
        let retired: Result<RetiredScheme, _> = format!("{scheme}=2031-05-07").parse();
        assert!(retired.is_ok(), "{retired:?}");
    }
}
