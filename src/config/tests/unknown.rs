//! Keys that don't exist.

use super::World;

#[test]
fn an_unknown_key_is_refused_in_each_kind_of_source() {
    let toml = "[server]\nprot = 1\n";
    for (world, origin) in [
        (
            World::new().file("config/default.toml", toml),
            "config/default.toml",
        ),
        (
            World::new().file("config/development.toml", toml),
            "config/development.toml",
        ),
        (World::new().extra(toml), "extra.toml"),
    ] {
        let meant = "is not a known key; did you mean server.port?";
        world.refuses(&["server.prot (", origin, meant]);
    }
    let meant = "is not a known key; did you mean ROSTER__SERVER__PORT?";
    let world = World::new().file(".env", "ROSTER__SERVER__PROT=1\n");
    world.refuses(&["server.prot (ROSTER__SERVER__PROT in ", ".env)", meant]);
    let world = World::new().variable("ROSTER__SERVER__PROT", "1");
    world.refuses(&["server.prot (ROSTER__SERVER__PROT)", meant]);
}

#[test]
fn an_empty_variable_with_an_unknown_name_is_refused_too() {
    World::new()
        .variable("ROSTER__SERVER__PROT", "")
        .refuses(&["server.prot"]);
}

#[test]
fn variables_are_spelt_in_capitals() {
    let world = World::new().variable("ROSTER__server__port", "1");
    world.refuses(&["did you mean ROSTER__SERVER__PORT?"]);
}

#[test]
fn single_underscores_are_noticed() {
    let world = World::new()
        .variable("ROSTER_SERVER_PORT", "1001")
        .variable("ROSTER_SERVICE_HOST", "10.0.0.1");
    assert_eq!(
        world.load().notices,
        ["ROSTER_SERVER_PORT is not read; server.port is set by ROSTER__SERVER__PORT"]
    );
}

#[test]
fn where_no_key_is_near_the_section_lists_its_own() {
    let world = World::new().extra("log.colour = true\n");
    world.refuses(&[
        "log.colour (",
        "is not a known key; allowed: log.format, log.filter",
    ]);
    let world = World::new().variable("ROSTER__LOG__COLOUR", "true");
    world.refuses(&["allowed: ROSTER__LOG__FORMAT, ROSTER__LOG__FILTER"]);
}

#[test]
fn where_no_section_is_near_the_sections_are_listed() {
    let world = World::new().extra("[telephone]\nnumber = 1\n");
    world.refuses(&["telephone.number (", "allowed: account, audit, cors, database,"]);
}

#[test]
fn a_key_in_the_wrong_section_is_found() {
    let world = World::new().extra("secret_key = 'x'\n");
    world.refuses(&["secret_key (", "did you mean security.secret_key?"]);
    let world = World::new().extra("[session]\naccess_seconds = 1\n");
    world.refuses(&["session.access_seconds (", "did you mean token.access_seconds?"]);
}

#[test]
fn nested_tables_are_searched() {
    let faults = World::new()
        .extra("[server.tls]\ncert = 'x'\n[server.tls.more]\nkey = 'hunter2'\n[server.none]\n[nothing]\n")
        .faults();
    for key in [
        "server.tls.cert (",
        "server.tls.more.key (",
        "server.none (",
        "nothing (",
    ] {
        assert!(faults.contains(key), "{key} is not in {faults}");
    }
    assert_eq!(faults.lines().count(), 4, "{faults}");
    assert!(!faults.contains("hunter2"));
}

#[test]
fn a_quoted_name_with_a_dot_is_not_a_key_in_a_section() {
    World::new()
        .extra("\"server.port\" = 1\n")
        .refuses(&["\"server.port\" ("]);
}

#[test]
fn a_section_has_to_be_a_table() {
    World::new()
        .extra("server = 'x'\n")
        .refuses(&["server (", "is a section: write it as [server]"]);
    World::new()
        .extra("[[server]]\nport = 1\n")
        .refuses(&["is a section"]);
}

#[test]
fn a_table_is_no_value() {
    let world = World::new().extra("[server.port]\nnumber = 1\n");
    world.refuses(&["server.port (", "is a table, not a whole number"]);
}

#[test]
fn only_secrets_have_a_variable_for_a_file() {
    World::new()
        .variable("ROSTER__SERVER__PORT_FILE", "x")
        .refuses(&["server.port_file"]);
    let world = World::new().extra("security.secret_key_file = 'x'\n");
    world.refuses(&["is named by ROSTER__SECURITY__SECRET_KEY_FILE"]);
}
