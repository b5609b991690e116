//! Secrets: where they may come from, and that they are never shown.

use super::{GOOD_KEY, World, setting};
use crate::config::{DatabaseKind, DatabaseUrl, SecretKey};

#[test]
fn a_secret_is_read_from_the_file_that_its_twin_names() {
    let world = World::new()
        .file("key", &format!("{GOOD_KEY}\n"))
        .file("url", "postgres://u:p@h/db\r\n");
    let (key, url) = (world.shown("key"), world.shown("url"));
    for twin in ["ROSTER__DATABASE__URL_FILE", "DATABASE_URL_FILE"] {
        let world = World::new()
            .variable("ROSTER__SECURITY__SECRET_KEY_FILE", &key)
            .variable(twin, &url);
        let loaded = world.load();
        assert_eq!(loaded.config.database.url.expose(), "postgres://u:p@h/db");
        assert!(loaded.config.security.secret_key.is_some());
        let origin = format!("{twin} ({url})");
        assert_eq!(setting(&loaded, "database.url").origin, origin);
    }
}

#[test]
fn a_twin_works_in_dotenv_too() {
    let world = World::new().file("url", "sqlite://x.db");
    let line = format!("DATABASE_URL_FILE='{}'\n", world.shown("url"));
    assert_eq!(
        world.file(".env", &line).config().database.url.expose(),
        "sqlite://x.db"
    );
}

#[test]
fn one_newline_is_trimmed_and_no_more() {
    let world = World::new().file("url", "sqlite://x.db\n\n");
    let url = world.shown("url");
    world
        .variable("DATABASE_URL_FILE", &url)
        .refuses(&["DATABASE_URL_FILE", "white space"]);
}

#[test]
fn a_variable_and_its_twin_in_one_layer_are_refused() {
    let world = World::new().file("url", "sqlite://x.db");
    let url = world.shown("url");
    let world = world.variable("DATABASE_URL_FILE", &url);
    // In different layers the higher one wins, and an empty variable isn't set.
    let world = world
        .file(".env", "DATABASE_URL=sqlite://y.db\n")
        .variable("DATABASE_URL", "");
    assert_eq!(world.config().database.url.expose(), "sqlite://x.db");
    let world = world.variable("DATABASE_URL", "sqlite://z.db");
    world.refuses(&["database.url (DATABASE_URL)", "DATABASE_URL_FILE: keep one"]);
}

#[test]
fn a_secret_file_that_cannot_be_used_names_variable_and_path() {
    let world = World::new().file("empty", "\n").file("binary/x", "");
    for (name, problem) in [
        ("none", "can't be read"),
        ("empty", "is empty"),
        ("binary", "can't be read"),
    ] {
        let path = world.shown(name);
        let world = World::new().variable("ROSTER__SECURITY__SECRET_KEY_FILE", &path);
        world.refuses(&["(ROSTER__SECURITY__SECRET_KEY_FILE)", &path, problem]);
    }
    let world = world.file("long", &"x".repeat(70_000));
    let path = world.shown("long");
    world
        .variable("DATABASE_URL_FILE", &path)
        .refuses(&["is too long for a secret"]);
}

#[test]
fn a_secret_in_place_of_a_path_is_not_shown() {
    for (name, secret) in [
        ("ROSTER__SECURITY__SECRET_KEY_FILE", GOOD_KEY),
        ("DATABASE_URL_FILE", "postgres://u:hunter2@h/db"),
        ("DATABASE_URL_FILE", "mysql://u:hunter2@h/db"),
    ] {
        let world = World::new().variable(name, secret);
        world.refuses(&[name, "holds the secret itself"]);
        assert!(!world.faults().contains(secret));
        assert!(!world.faults().contains("hunter2"));
    }
}

#[test]
fn no_secret_is_in_a_fault() {
    let world = World::new()
        .file(
            "config/default.toml",
            "security.secret_key = 'hunter2'\ndatabase.url = 'hunter2'\nmail.smtp_url = 'hunter2'\n",
        )
        .extra("[security]\nsecret_key = ['hunter2']\n[security.sub]\nx = 'hunter2'\n")
        .file(".env", "DATABASE_URL=postgres://u:hunter2@:99999/\n")
        .variable("ROSTER__MAIL__SMTP_URL", "smtp://u@hunter2")
        .variable("ROSTER__SECURITY__SECRET", "hunter2")
        .variable("ROSTER__SERVER__PUBLIC_URL", "https://u:hunter2@a.example/")
        .variable("ROSTER__CORS__ALLOWED_ORIGINS", "https://u:hunter2@a.example")
        .variable("DATABASE_URL", "postgres://u:pa/ss@hunter2/db");
    let faults = world.result().unwrap_err();
    assert_eq!(faults.as_slice().len(), 11, "{faults}");
    assert!(!format!("{faults} {faults:?}").contains("hunter2"), "{faults}");
    assert!(!format!("{:?}", world.sources).contains("hunter2"));
}

#[test]
fn no_secret_is_in_a_loaded_configuration() {
    let loaded = World::new()
        .variable("ROSTER__SECURITY__SECRET_KEY", GOOD_KEY)
        .variable(
            "DATABASE_URL",
            "postgres://user:hunter2@db.example/roster?password=hunter2",
        )
        .load();
    let shown = format!("{loaded:?} {:#?}", loaded.config);
    assert!(!shown.contains("hunter2"), "{shown}");
    assert!(!shown.contains(GOOD_KEY), "{shown}");
    let key = loaded.config.security.secret_key.as_ref().unwrap();
    assert!(!shown.contains(&format!("{:?}", key.expose())), "{shown}");
    let value = |key| setting(&loaded, key).value.clone();
    assert_eq!(value("security.secret_key").as_deref(), Some("[redacted]"));
    assert_eq!(
        value("database.url").as_deref(),
        Some("postgres://user:***@db.example/roster?password=***")
    );
}

#[test]
fn database_urls_of_both_kinds_are_taken() {
    for (text, kind, redacted) in [
        ("sqlite::memory:", DatabaseKind::Sqlite, "sqlite::memory:"),
        (
            "sqlite:a.db?mode=rwc",
            DatabaseKind::Sqlite,
            "sqlite:a.db?mode=rwc",
        ),
        ("sqlite:///var/a.db", DatabaseKind::Sqlite, "sqlite:///var/a.db"),
        ("postgres://h/db", DatabaseKind::Postgres, "postgres://h/db"),
        (
            "postgresql://u:p@h:5432/db",
            DatabaseKind::Postgres,
            "postgresql://u:***@h:5432/db",
        ),
        (
            "postgres://u:p%40%2F@[::1]/db",
            DatabaseKind::Postgres,
            "postgres://u:***@[::1]/db",
        ),
        (
            "postgres:///db?host=/run/postgresql&password=p",
            DatabaseKind::Postgres,
            "postgres:///db?host=%2Frun%2Fpostgresql&password=***",
        ),
    ] {
        let url = DatabaseUrl::parse(text).unwrap();
        assert_eq!((url.kind(), url.redacted(), url.expose()), (kind, redacted, text));
    }
}

#[test]
fn a_parameter_that_the_driver_would_ignore_never_reaches_it() {
    let world = World::new().variable(
        "DATABASE_URL",
        "postgres://u:p%2F@h/db?pgbouncer=true&sslmode=require&x%2Dy=hunter2&options=-c%20a%3Db",
    );
    let loaded = world.load();
    let url = &loaded.config.database.url;
    assert_eq!(
        url.expose(),
        "postgres://u:p%2F@h/db?sslmode=require&options=-c%20a%3Db"
    );
    let notices = loaded.notices.concat();
    assert!(notices.contains("have no effect: pgbouncer, x-y"), "{notices}");
    assert!(!format!("{notices}{}", url.redacted()).contains("hunter2"));
    let url = DatabaseUrl::parse("postgres://h/db?schema=public").unwrap();
    assert_eq!(url.expose(), "postgres://h/db");
}

#[test]
fn a_parameter_about_tls_that_would_have_no_effect_is_refused() {
    for parameter in [
        "ssl_mode=verify-full",
        "SSLMODE=verify-full",
        "ssl=true",
        "sslpassword=x",
        "sslcrl=x",
    ] {
        let url = format!("postgres://u:p@h/db?{parameter}");
        World::new().variable("DATABASE_URL", &url).refuses(&[
            "database.url (DATABASE_URL)",
            "about TLS",
            "sslmode",
        ]);
    }
}

#[test]
fn other_database_urls_are_refused() {
    for text in [
        "",
        "x",
        "mysql://h/db",
        "sqlite",
        "sqlite:",
        "sqlite://",
        "sqlite:?mode=rwc",
        "sqlite://a b",
        "postgres:",
        "postgres:///db",
        "postgres://u:p/w@h/db",
        "postgres://u:p#w@h/db",
        "postgres://u:p?w@h/db",
        "postgres://u:1?w@h/db",
        "postgres://h:port/db",
        "POSTGRES://h/db",
    ] {
        assert!(DatabaseUrl::parse(text).is_err(), "{text}");
    }
}

#[test]
fn a_secret_key_is_taken_in_each_spelling_of_base64() {
    let expected = SecretKey::parse(GOOD_KEY).unwrap();
    let high = [0xff; 32];
    let standard = "//////////////////////////////////////////8=";
    let url_safe = "__________________________________________8=";
    assert_eq!(
        SecretKey::parse(GOOD_KEY.trim_end_matches('=')).unwrap().expose(),
        expected.expose()
    );
    for text in [
        standard,
        url_safe,
        standard.trim_end_matches('='),
        url_safe.trim_end_matches('='),
    ] {
        assert_eq!(SecretKey::parse(text).unwrap().expose(), &high, "{text}");
    }
}

#[test]
fn a_secret_key_of_another_length_is_refused_everywhere() {
    for text in ["c2hvcnQ=", &"A".repeat(44), "not base64!", "_/8="] {
        let world = World::new().variable("ROSTER__SECURITY__SECRET_KEY", text);
        world.refuses(&[
            "security.secret_key (ROSTER__SECURITY__SECRET_KEY)",
            "openssl rand -base64 32",
        ]);
        assert!(!world.faults().contains(text));
    }
}
