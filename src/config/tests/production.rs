//! What production demands, and development doesn't.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::World;
use crate::config::{LogFormat, SecretKey};

#[test]
fn defaults_differ_where_they_should() {
    let development = World::new().config();
    let production = World::production().config();
    assert!(development.docs.enabled && !production.docs.enabled);
    assert!(development.database.migrate_at_start && !production.database.migrate_at_start);
    assert_eq!(development.log.format, LogFormat::Text);
    assert_eq!(production.log.format, LogFormat::Json);
}

#[test]
fn docs_can_be_switched_on_in_production() {
    let world = World::production().variable("ROSTER__DOCS__ENABLED", "true");
    assert!(world.config().docs.enabled);
}

#[test]
fn a_bare_production_is_told_all_that_it_lacks() {
    let faults = World::new()
        .variable("ROSTER_ENV", "production")
        .variable("ROSTER__PASSWORD__BCRYPT_COST", "9")
        .variable("ROSTER__PASSWORD__MIN_LENGTH", "7")
        .variable("ROSTER__PASSWORD__ARGON2_ITERATIONS", "1")
        .faults();
    let lines: Vec<_> = faults.lines().collect();
    assert_eq!(lines.len(), 4, "{faults}");
    let starts = [
        "password.argon2_memory_kib (default): 19456 with",
        "password.bcrypt_cost (ROSTER__PASSWORD__BCRYPT_COST): 9 is",
        "password.min_length (ROSTER__PASSWORD__MIN_LENGTH): 7 is",
        "security.secret_key (default): must be set",
    ];
    for (line, start) in lines.iter().zip(starts) {
        assert!(line.starts_with(start), "{line}");
        assert!(line.contains("; allowed: "), "{line}");
    }
}

#[test]
fn a_wrong_value_is_not_called_missing_as_well() {
    let world = World::production()
        .variable("ROSTER__SECURITY__SECRET_KEY", "x")
        .variable("ROSTER__SERVER__PUBLIC_URL", "x");
    assert_eq!(world.faults().lines().count(), 2);
}

#[test]
fn the_public_url_is_https_except_on_this_host() {
    let with = |url| World::production().variable("ROSTER__SERVER__PUBLIC_URL", url);
    for url in [
        "http://localhost:8000",
        "http://127.0.0.1",
        "http://[::1]:1",
        "https://a.example/b",
    ] {
        assert!(with(url).result().is_ok(), "{url}");
    }
    for url in ["http://a.example", "http://localhost.example", "http://127.0.0.2"] {
        with(url).refuses(&["server.public_url (", "must be https"]);
    }
    let development = World::new().variable("ROSTER__SERVER__PUBLIC_URL", "http://a.example");
    assert!(development.result().is_ok());
}

#[test]
fn without_a_public_url_production_starts_and_says_what_tokens_will_name() {
    let loaded = World::new()
        .variable("ROSTER_ENV", "production")
        .variable("ROSTER__SECURITY__SECRET_KEY", super::GOOD_KEY)
        .load();
    assert_eq!(
        loaded.notices,
        ["server.public_url is not set: tokens and metadata name http://127.0.0.1:8000"]
    );
}

#[test]
fn argon2_may_be_traded_along_the_recommended_minimums() {
    let with = |memory, iterations| {
        World::production()
            .variable("ROSTER__PASSWORD__ARGON2_MEMORY_KIB", memory)
            .variable("ROSTER__PASSWORD__ARGON2_ITERATIONS", iterations)
    };
    for (memory, iterations) in [
        ("47104", "1"),
        ("19456", "2"),
        ("12288", "3"),
        ("9216", "4"),
        ("7168", "5"),
        ("65536", "4"),
    ] {
        assert!(with(memory, iterations).result().is_ok(), "{memory} {iterations}");
    }
    for (memory, iterations) in [
        ("47103", "1"),
        ("19455", "2"),
        ("12287", "3"),
        ("9215", "4"),
        ("7167", "64"),
    ] {
        with(memory, iterations).refuses(&["password.argon2_memory_kib", memory, "19456 with 2"]);
    }
}

#[test]
fn sqlite_is_fine_in_production() {
    let loaded = World::production().load();
    assert_eq!(loaded.notices, Vec::<String>::new());
}

#[test]
fn weak_and_well_known_keys_are_refused_in_production_and_noticed_in_development() {
    let ascending: Vec<u8> = (7..39).collect();
    let descending: Vec<u8> = (0..32)
        .map(|step: u8| 5_u8.wrapping_sub(step.wrapping_mul(3)))
        .collect();
    let mut run = SecretKey::parse(super::GOOD_KEY).unwrap().expose().to_vec();
    run.truncate(24);
    run.extend([200, 201, 202, 203, 204, 205, 206, 207]);
    let few: Vec<u8> = (0..32_u32)
        .map(|step| u8::try_from(step * step * 7 % 15 * 17).unwrap())
        .collect();
    let tutorial = "CdJeCU+qbKJVbIGBZrepVjuT9wmfbw9Mqmz2O4jo0+c=";
    let texts = [
        "0123456789abcdef0123456789abcdef",
        "changemechangemechangemechangeme",
        "correct horse battery staple 2026",
    ];
    let mut weak = vec![
        vec![0; 32],
        vec![0xa5; 32],
        [0xde, 0xad, 0xbe, 0xef].repeat(8),
        ascending,
        descending,
        run,
        few,
    ];
    weak.extend(texts.map(|text| text.as_bytes().iter().copied().take(32).collect()));
    weak.push((0x80..0x90).chain(0x80..0x90).collect());
    weak.push(STANDARD.decode(tutorial).unwrap());
    for bytes in weak {
        let text = STANDARD.encode(&bytes);
        let world = World::production().variable("ROSTER__SECURITY__SECRET_KEY", &text);
        world.refuses(&[
            "security.secret_key (",
            "which production refuses",
            "openssl rand -base64 32",
        ]);
        assert!(!world.faults().contains(&text));
        let loaded = World::new()
            .variable("ROSTER__SECURITY__SECRET_KEY", &text)
            .load();
        assert!(loaded.notices.concat().contains("production would refuse it"));
    }
}

#[test]
fn random_keys_are_taken() {
    // A multiplicative generator: fixed, so that the test says the same every day.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..2000 {
        let bytes = [(); 32].map(|()| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            state.to_be_bytes().first().copied().unwrap()
        });
        assert_eq!(SecretKey::from_bytes(bytes).weakness(), None, "{bytes:?}");
    }
}

#[test]
fn a_way_to_the_database_that_is_open_to_others_is_noticed() {
    let notices = |url| {
        World::production()
            .variable("DATABASE_URL", url)
            .load()
            .notices
            .concat()
    };
    for url in [
        "postgres://db.example/roster",
        "postgres://10.0.0.7/roster?sslmode=prefer",
        "postgres://db.example/roster?sslmode=require&sslmode=disable",
        "postgres:///roster?host=db.example",
        "postgres://localhost/roster?hostaddr=10.0.0.7",
    ] {
        assert!(notices(url).contains("sslmode=verify-full"), "{url}");
    }
    for url in [
        "postgres://db.example/roster?sslmode=require",
        "postgres://db.example/roster?sslmode=verify-full",
        "postgres://localhost/roster",
        "postgres://127.0.0.1/roster",
        "postgres://[::1]/roster",
        "postgres:///roster?host=/run/postgresql",
        "postgres://%2Frun%2Fpostgresql/roster",
        "sqlite://data/roster.db",
    ] {
        assert!(!notices(url).contains("sslmode"), "{url}: {}", notices(url));
    }
}
