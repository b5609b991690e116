//! Which layer wins over which, and what a variable means.

use super::{World, setting};
use crate::config::Environment;

#[test]
fn without_any_configuration_the_defaults_hold() {
    let loaded = World::new().load();
    assert_eq!(loaded.config.environment, Environment::Development);
    assert_eq!(loaded.config.server.port, 8000);
    assert_eq!(setting(&loaded, "server.port").origin, "default");
    assert_eq!(loaded.notices, Vec::<String>::new());
}

#[test]
fn each_layer_wins_over_all_below_it_and_is_named_as_the_origin() {
    let port = |port: u16| format!("server.port = {port}\n");
    let mut world = World::new();
    let wins = |step: World, port: u16, origin: &str| {
        let loaded = step.load();
        assert_eq!(loaded.config.server.port, port);
        assert_eq!(setting(&loaded, "server.port").origin, origin);
        step
    };
    world = world.file("config/default.toml", &port(1001));
    let origin = world.shown("config/default.toml");
    world = wins(world, 1001, &origin);
    world = world.file("config/development.toml", &port(1002));
    let origin = world.shown("config/development.toml");
    world = wins(world, 1002, &origin);
    world = world.extra(&port(1003));
    let origin = world.shown("extra.toml");
    world = wins(world, 1003, &origin);
    world = world.file(".env", "PORT=1004\n");
    let env = world.shown(".env");
    world = wins(world, 1004, &format!("PORT in {env}"));
    world = world.file(".env", "PORT=1004\nROSTER__SERVER__PORT=1005\n");
    world = wins(world, 1005, &format!("ROSTER__SERVER__PORT in {env}"));
    world = world.variable("PORT", "1006");
    world = wins(world, 1006, "PORT");
    world = world.variable("ROSTER__SERVER__PORT", "1007");
    wins(world, 1007, "ROSTER__SERVER__PORT");
}

#[test]
fn a_layer_leaves_what_it_does_not_name_to_those_below() {
    let config = World::new()
        .file("config/default.toml", "[server]\nport = 1001\nworkers = 3\n")
        .file("config/development.toml", "[server]\nport = 1002\n")
        .config();
    assert_eq!((config.server.port, config.server.workers), (1002, 3));
}

#[test]
fn the_environment_chooses_its_own_file() {
    let world = World::production()
        .file("config/development.toml", "server.port = 1001\n")
        .file("config/production.toml", "server.port = 1002\n");
    assert_eq!(world.config().server.port, 1002);
}

#[test]
fn dotenv_is_read_in_development_only() {
    let world = World::production().file(".env", "PORT=1001\n");
    let loaded = world.load();
    assert_eq!(loaded.config.server.port, 8000);
    let notice = format!("{} is not read in production", world.shown(".env"));
    assert_eq!(loaded.notices, [notice]);
}

#[test]
fn dotenv_leaves_other_programs_variables_alone() {
    let world = World::new().file(
        ".env",
        "\u{feff}# comment\nROSTER_DB=x\nPATH=nowhere\nexport PORT=1001 # ours\nEMPTY=\n",
    );
    assert_eq!(world.config().server.port, 1001);
    assert_ne!(std::env::var_os("PORT"), Some("1001".into()));
    assert_ne!(std::env::var_os("PATH"), Some("nowhere".into()));
}

#[test]
fn the_environment_cannot_be_chosen_in_dotenv() {
    let loaded = World::new().file(".env", "ROSTER_ENV=production\n").load();
    assert_eq!(loaded.config.environment, Environment::Development);
    assert!(loaded.notices.concat().contains("ROSTER_ENV in "));
}

#[test]
fn database_url_stands_for_its_key() {
    let world = World::new().variable("DATABASE_URL", "sqlite://short.db");
    assert_eq!(world.config().database.url.expose(), "sqlite://short.db");
    let world = world.variable("ROSTER__DATABASE__URL", "sqlite://long.db");
    let loaded = world.load();
    assert_eq!(loaded.config.database.url.expose(), "sqlite://long.db");
    assert_eq!(
        loaded.notices,
        ["DATABASE_URL is not used: ROSTER__DATABASE__URL wins over it"]
    );
}

#[test]
fn an_empty_variable_is_not_set() {
    let world = World::new()
        .file("config/default.toml", "server.port = 1001\n")
        .variable("ROSTER_ENV", "")
        .variable("ROSTER__SERVER__PORT", "")
        .variable("ROSTER__SERVER__PUBLIC_URL", "")
        .variable("DATABASE_URL", "")
        .variable("PORT", "");
    let config = world.config();
    assert_eq!(config.environment, Environment::Development);
    assert_eq!(config.server.port, 1001);
    assert_eq!(config.server.public_url, None);
    assert_eq!(config.database.url.expose(), "sqlite://data/roster.db");
}

#[test]
fn an_empty_list_variable_is_the_empty_list() {
    let file = "cors.allowed_origins = ['https://a.example']\n";
    let world = World::new().file("config/default.toml", file);
    assert_eq!(world.config().cors.allowed_origins, ["https://a.example"]);
    let world = world.variable("ROSTER__CORS__ALLOWED_ORIGINS", "");
    assert!(world.config().cors.allowed_origins.is_empty());
}

#[test]
fn a_list_variable_is_separated_by_commas() {
    let config = World::new()
        .variable(
            "ROSTER__CORS__ALLOWED_ORIGINS",
            "https://a.example, https://b.example",
        )
        .config();
    assert_eq!(
        config.cors.allowed_origins,
        ["https://a.example", "https://b.example"]
    );
}

#[test]
fn a_bad_value_is_a_fault_also_under_a_good_one() {
    let world = World::new()
        .file("config/default.toml", "server.port = 'http'\n")
        .variable("PORT", "8001");
    world.refuses(&["server.port", "config/default.toml"]);
}

#[test]
fn all_faults_of_all_sources_are_reported_at_once_and_sorted() {
    let faults = World::new()
        .variable("ROSTER_ENV", "staging")
        .file("config/default.toml", "server.port = 70000\nserver.prot = 1\n")
        .file("config/development.toml", "this is not TOML\n")
        .extra("log.format = 'xml'\n")
        .file(".env", "ROSTER__SERVER__HOST=localhost\n=\n")
        .variable("ROSTER__TOKEN__ACCESS_SECONDS", "soon")
        .variable("ROSTER__NO__SUCH", "x")
        .faults();
    let lines: Vec<_> = faults.lines().collect();
    assert_eq!(lines.len(), 9, "{faults}");
    assert!(lines.is_sorted(), "{faults}");
    for key in [
        "ROSTER_ENV (ROSTER_ENV)",
        "server.port (",
        "server.prot (",
        "development.toml (line 1, column ",
        "log.format (",
        "server.host (ROSTER__SERVER__HOST in ",
        ".env (line 2)",
        "token.access_seconds (ROSTER__TOKEN__ACCESS_SECONDS)",
        "no.such (ROSTER__NO__SUCH)",
    ] {
        assert!(faults.contains(key), "{key} is not in {faults}");
    }
}
