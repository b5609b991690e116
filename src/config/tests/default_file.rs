//! The files that are shipped say what the code does.

use std::fmt::Write;

use super::World;
use crate::config::{Loaded, Setting};

const DEFAULT: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/config/default.toml"));
const EXAMPLE: &str = include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/config/production.example.toml"
));

/// What `config/default.toml` has to be, from the table of keys.
fn rendered() -> String {
    let development = World::new().load();
    let production = World::production().load();
    // The public URL and the key, which this production sets, have no default in either.
    let (header, _) = DEFAULT.split_once("\n\n").unwrap();
    let mut text = format!("{header}\n");
    let mut last = "";
    for setting in &development.settings {
        let (section, name) = setting.key.split_once('.').unwrap();
        if section != last {
            writeln!(text, "\n[{section}]").unwrap();
            last = section;
        }
        writeln!(text, "# {} ({})", setting.explanation, setting.allowed).unwrap();
        let line = match toml(setting) {
            None if setting.allowed.contains("_FILE") => format!("# {name} is a secret"),
            None => format!("# {name} ="),
            Some(value) if same_in(&production, setting) => format!("{name} = {value}"),
            Some(value) => format!("# {name} = {value}"),
        };
        writeln!(text, "{line}").unwrap();
    }
    text
}

fn same_in(other: &Loaded, setting: &Setting) -> bool {
    super::setting(other, setting.key).value == setting.value
}

fn toml(setting: &Setting) -> Option<String> {
    let value = setting.value.as_deref()?;
    Some(match value {
        // Lists are the only values that are empty by default.
        "" => "[]".to_owned(),
        "true" | "false" => value.to_owned(),
        _ if value.parse::<u64>().is_ok() => value.to_owned(),
        _ => format!("{value:?}"),
    })
}

#[test]
fn the_default_file_names_every_key_with_its_default_and_explanation() {
    let rendered = rendered();
    if DEFAULT != rendered {
        let path = std::env::temp_dir().join("roster-default.toml");
        std::fs::write(&path, &rendered).unwrap();
        panic!(
            "config/default.toml differs from the table of keys; {} is right",
            path.display()
        );
    }
}

#[test]
fn the_default_file_changes_nothing() {
    for world in [World::new(), World::production()] {
        let without = world.load();
        let file = world.shown("config/default.toml");
        let with = world.file("config/default.toml", DEFAULT).load();
        for (with, without) in with.settings.iter().zip(&without.settings) {
            assert_eq!(with.value, without.value, "{}", with.key);
            let written = DEFAULT.lines().any(|line| {
                let name = with.key.split('.').next_back().unwrap();
                line.starts_with(&format!("{name} = "))
            });
            assert!(with.origin != file || written, "{}", with.key);
        }
        assert_eq!(format!("{:?}", with.config), format!("{:?}", without.config));
    }
}

#[test]
fn the_production_example_starts_once_it_has_its_secrets() {
    let world = World::new()
        .variable("ROSTER_ENV", "production")
        .file("config/production.toml", EXAMPLE);
    let faults = world.faults();
    assert_eq!(faults.lines().count(), 1, "{faults}");
    assert!(
        faults.starts_with("security.secret_key (default): must be set"),
        "{faults}"
    );
    let world = world.variable("ROSTER__SECURITY__SECRET_KEY", super::GOOD_KEY);
    assert_eq!(world.load().notices, Vec::<String>::new());
}

#[test]
fn no_shipped_file_sets_a_secret() {
    for text in [DEFAULT, EXAMPLE] {
        for line in text.lines() {
            let name = line.trim_start_matches(['#', ' ']);
            for secret in ["secret_key =", "smtp_url = \"", "password ="] {
                assert!(!name.starts_with(secret), "{line}");
            }
            assert!(
                !line.contains("://") || !line.contains('@') || line.starts_with("# "),
                "{line}"
            );
        }
    }
}
