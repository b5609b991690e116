//! Sources that can't be read, and variables that aren't text.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use super::World;
use crate::config::{Config, Need, Sources};

#[test]
fn an_unknown_environment_is_refused() {
    let world = World::new().variable("ROSTER_ENV", "prod");
    world.refuses(&["ROSTER_ENV", "\"prod\"", "allowed: development or production"]);
}

#[test]
fn a_missing_config_file_is_refused() {
    let mut world = World::new();
    world.sources.file = Some(world.path("nowhere.toml"));
    world.refuses(&["nowhere.toml (--config)", "can't be read"]);
}

#[test]
fn a_file_that_is_a_directory_is_refused() {
    let world = World::new().file("config/default.toml/x", "").file(".env/x", "");
    let faults = world.faults();
    assert_eq!(faults.lines().count(), 2, "{faults}");
}

#[test]
fn a_toml_syntax_error_names_file_and_line_but_shows_no_content() {
    let content = "[security]\nsecret_key_path = 'a'\nsecret_key = \"hunter2hunter2\n";
    let world = World::new().file("config/default.toml", content);
    world.refuses(&["config/default.toml (line 3, column ", "is not valid TOML: "]);
    assert!(!world.faults().contains("hunter2"));
}

#[test]
fn a_key_given_twice_in_toml_is_refused() {
    let content = "[server]\nport = 1\nport = 2\n";
    let world = World::new().file("config/default.toml", content);
    world.refuses(&["(line 3, column ", "duplicate key"]);
}

#[test]
fn a_toml_number_beyond_all_bounds_is_refused() {
    let content = "[server]\nport = 99999999999999999999\n";
    let world = World::new().file("config/default.toml", content);
    world.refuses(&["config/default.toml (file)", "is not valid TOML"]);
}

#[test]
fn a_dotenv_syntax_error_names_the_line_but_shows_no_content() {
    let content = "# first\nPORT=1001\n\nDATABASE_URL=hunter2 hunter2\nROSTER__X=\"hunter2\n";
    let world = World::new().file(".env", content);
    let faults = world.faults();
    assert_eq!(faults.lines().count(), 2, "{faults}");
    assert!(faults.contains(".env (line 4): "), "{faults}");
    assert!(faults.contains(".env (line 5): "), "{faults}");
    assert!(!faults.contains("hunter2"));
}

#[test]
fn a_variable_given_twice_in_dotenv_is_refused() {
    let world = World::new().file(".env", "PORT=1001\nPORT=1002\n");
    world.refuses(&["PORT (", ".env): is set more than once"]);
}

#[test]
fn variables_that_are_not_utf8_are_faults_where_they_are_ours() {
    let not_utf8 = || OsString::from_vec(vec![b'1', 0xff]);
    let ours = ["ROSTER__SERVER__HOST", "PORT", "DATABASE_URL"];
    let other = ("OTHER".into(), not_utf8());
    let variables = ours.map(|name| (OsString::from(name), not_utf8()));
    let variables = variables.into_iter().chain([other]);
    let mut world = World::new();
    world.sources.variables = Sources::from_variables(variables, None).variables;
    assert_eq!(world.sources.variables.len(), 3);
    let faults = world.faults();
    assert_eq!(faults.lines().count(), 3, "{faults}");
    for line in faults.lines() {
        assert!(line.contains("is not valid UTF-8"), "{line}");
    }
}

#[test]
fn a_variable_name_that_is_not_utf8_is_an_unknown_key() {
    let name = OsString::from_vec(b"ROSTER__SERVER__PORT\xff".to_vec());
    let mut world = World::new();
    let variables = std::iter::once((name, "1".into()));
    world.sources.variables = Sources::from_variables(variables, None).variables;
    world.refuses(&["is not a known key", "ROSTER__SERVER__PORT?"]);
}

#[test]
fn of_the_process_only_our_variables_are_kept() {
    let sources = Sources::from_process(None);
    let ours = |name: &String| {
        name.starts_with("ROSTER_") || name.starts_with("DATABASE_URL") || name.starts_with("PORT")
    };
    assert!(sources.variables.keys().all(ours));
    assert_eq!(sources.directory.as_os_str(), "");
}

#[test]
fn a_line_break_in_a_path_or_name_does_not_make_two_faults_of_one() {
    let world = World::new().variable("ROSTER__A\nB", "x");
    world.refuses(&["ROSTER__A\\nB"]);
}

#[test]
fn for_the_database_alone_production_demands_no_secrets_costs_or_urls() {
    let world = World::new()
        .variable("ROSTER_ENV", "production")
        .variable("ROSTER__PASSWORD__BCRYPT_COST", "4");
    let loaded = Config::load(&world.sources, Need::Database).unwrap();
    assert!(loaded.config.security.secret_key.is_none());
    assert!(!loaded.config.database.migrate_at_start);
    assert!(world.result().is_err());
    let world = world
        .variable("DATABASE_URL", "mysql://x")
        .variable("ROSTER__LOG__FORMAT", "xml");
    let faults = Config::load(&world.sources, Need::Database).unwrap_err();
    assert_eq!(faults.as_slice().len(), 2, "{faults}");
}
