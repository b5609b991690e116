//! A start that can't succeed: one line with cause and cure, exit code 1, within seconds, and nothing made or changed.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use sea_orm::ConnectionTrait as _;

use crate::databases::guarded;
use crate::postgres::cluster;
use crate::support::{Installation, on_both_databases};

/// Longer than any of the program's own limits for reaching a database, and than a busy machine needs.
const SECONDS: Duration = Duration::from_secs(10);

/// Tries to serve; gives the lines that say why not.
async fn refused_for(installation: &Installation) -> Vec<String> {
    let before = installation.contents();
    let started = Instant::now();
    let lines = installation.fails_with_lines(&["serve"], "").await;
    assert!(started.elapsed() < SECONDS, "{:?}: {lines:?}", started.elapsed());
    let after = installation.contents();
    assert_eq!(
        before.keys().collect::<Vec<_>>(),
        after.keys().collect::<Vec<_>>(),
        "{lines:?}"
    );
    for (path, entry) in &before {
        assert!(after[path] == *entry, "{} has changed: {lines:?}", path.display());
    }
    lines
}

/// The same for a single reason, of which the line has to name these words.
async fn refused(installation: &Installation, words: &[&str]) {
    let lines = refused_for(installation).await;
    assert_eq!(lines.len(), 1, "{lines:?}");
    for word in words {
        assert!(lines[0].contains(word), "no {word:?} in {lines:?}");
    }
}

#[tokio::test]
async fn a_url_of_another_kind_of_database_is_refused() {
    for url in [
        "mysql://root@127.0.0.1/roster",
        "roster.db",
        "not a url",
        "http://127.0.0.1/",
        "postgres:",
    ] {
        let installation = Installation::new().with("DATABASE_URL", url);
        refused(
            &installation,
            &["database.url (DATABASE_URL)", "sqlite://PATH", "postgres://"],
        )
        .await;
    }
}

#[tokio::test]
async fn a_bad_url_is_refused_without_repeating_the_password_in_it() {
    for url in [
        "postgres://roster:hunter2@/",
        "postgres://roster:hunt#er2@db/roster",
        "mysql://roster:hunter2@db/x",
    ] {
        let lines = refused_for(&Installation::new().with("DATABASE_URL", url)).await;
        assert_eq!(lines.len(), 1);
        assert!(!lines[0].contains("hunt"), "{lines:?}");
    }
}

#[tokio::test]
async fn a_postgresql_server_that_is_not_running_is_named_without_its_password() {
    // Bound and not listening: nothing else can take the port meanwhile.
    let (_held, address) = silent_port();
    let url = format!("postgres://roster:hunter2@{address}/roster");
    let installation = Installation::new().with("DATABASE_URL", &url);
    let place = format!("postgres://roster:***@{address}/roster");
    refused(
        &installation,
        &[&place, "Connection refused", "check that it is running"],
    )
    .await;
}

/// A port that nobody listens on, held for as long as the socket lives.
fn silent_port() -> (tokio::net::TcpSocket, std::net::SocketAddr) {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

#[tokio::test]
async fn a_server_that_accepts_and_never_answers_is_given_up() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("postgres://roster@{}/roster", silent.local_addr().unwrap());
    refused(
        &Installation::new().with("DATABASE_URL", &url),
        &["did not answer within", "is it running"],
    )
    .await;
}

#[tokio::test]
async fn a_host_name_that_does_not_exist_is_named() {
    let installation =
        Installation::new().with("DATABASE_URL", "postgres://roster@no-such-host.invalid/roster");
    // Where the name service takes its time as well, that is what is said.
    refused(&installation, &["no-such-host.invalid", "is"]).await;
}

#[tokio::test]
async fn a_wrong_database_name_is_refused() {
    let Some(cluster) = cluster() else { return };
    let installation = Installation::new().with("DATABASE_URL", &cluster.url("no_such_database"));
    refused(
        &installation,
        &[
            "database \"no_such_database\" does not exist",
            "check that",
            "database.url",
        ],
    )
    .await;
}

#[tokio::test]
async fn a_wrong_password_is_refused_and_not_repeated() {
    let Some(guarded) = guarded().await else { return };
    let url = guarded.url_of("roster", "hunter2", "localhost", "?sslmode=require");
    let lines = refused_for(&Installation::new().with("DATABASE_URL", &url)).await;
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(
        lines[0].contains("password authentication failed for user \"roster\""),
        "{lines:?}"
    );
    assert!(
        lines[0].contains("check that it is running and that user, password"),
        "{lines:?}"
    );
    assert!(!lines[0].contains("hunter2"), "{lines:?}");
}

#[tokio::test]
async fn a_port_in_use_is_refused_before_anything_is_made() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let installation = Installation::new().with("ROSTER__SERVER__PORT", &port);
    refused(&installation, &["in use", &port, "server.port"]).await;
}

#[tokio::test]
async fn every_fault_of_the_configuration_has_its_line() {
    let installation = Installation::new()
        .with("ROSTER__SERVER__PROT", "80")
        .with("ROSTER__DATABASE__MAX_CONNECTIONS", "many")
        .with("ROSTER__SECURITY__SECRET_KEY_FILE", "/no/such/file");
    std::fs::create_dir(installation.path("config")).unwrap();
    std::fs::write(
        installation.path("config/default.toml"),
        "[token]\nalgoritm = 'ES256'\n[password]\nmin_length = 0\n",
    )
    .unwrap();
    let lines = refused_for(&installation).await;
    let expected = [
        (
            "database.max_connections (ROSTER__DATABASE__MAX_CONNECTIONS)",
            "0 to 1000",
        ),
        ("password.min_length (config/default.toml)", "1 to 64"),
        (
            "security.secret_key (ROSTER__SECURITY__SECRET_KEY_FILE)",
            "No such file",
        ),
        (
            "server.prot (ROSTER__SERVER__PROT)",
            "did you mean ROSTER__SERVER__PORT?",
        ),
        (
            "token.algoritm (config/default.toml)",
            "did you mean token.algorithm?",
        ),
    ];
    assert_eq!(lines.len(), expected.len(), "{lines:#?}");
    for (line, (key, cure)) in lines.iter().zip(expected) {
        assert!(line.starts_with(key) && line.contains(cure), "{line}");
    }
}

on_both_databases! {
    a_secret_that_does_not_fit_the_keys_is_refused
    a_missing_secret_is_not_made_anew_where_there_are_keys
    a_database_of_a_newer_version_is_refused
    production_refuses_pending_migrations
}

mod stories {
    use super::*;

    pub async fn a_secret_that_does_not_fit_the_keys_is_refused(installation: Installation) {
        installation.serve().await.stop().await;
        std::fs::write(installation.path("data/secret.key"), crate::support::SECRET).unwrap();
        refused(&installation, &["signing key", "security.secret_key"]).await;
    }

    pub async fn a_missing_secret_is_not_made_anew_where_there_are_keys(installation: Installation) {
        installation.serve().await.stop().await;
        std::fs::remove_file(installation.path("data/secret.key")).unwrap();
        refused(
            &installation,
            &[
                "has signing keys",
                "put data/secret.key back",
                "security.secret_key",
            ],
        )
        .await;
    }

    pub async fn a_database_of_a_newer_version_is_refused(installation: Installation) {
        installation.serve().await.stop().await;
        let newer = "INSERT INTO seaql_migrations (version, applied_at) VALUES ('m29990101_000001_later', 0)";
        let database = installation.database().await;
        database.execute_unprepared(newer).await.unwrap();
        database.close().await.unwrap();
        let words = [
            "newer version",
            "m29990101_000001_later",
            "start that version or a later one",
        ];
        refused(&installation, &words).await;
        for arguments in [
            &["migrate", "up"][..],
            &["migrate", "down", "--yes"],
            &["migrate", "fresh", "--yes"],
        ] {
            let line = installation.fails(arguments).await;
            assert!(words.iter().all(|word| line.contains(word)), "{line}");
        }
    }

    pub async fn production_refuses_pending_migrations(installation: Installation) {
        let installation = installation.in_production();
        std::fs::create_dir(installation.path("data")).unwrap();
        installation.succeeds(&["migrate", "up"]).await;
        installation
            .succeeds(&["migrate", "down", "-n", "2", "--yes"])
            .await;
        refused(&installation, &["lacks 2 migrations", "roster migrate up"]).await;
        installation.succeeds(&["migrate", "up"]).await;
        installation.serve().await.stop().await;
    }
}

#[tokio::test]
async fn a_place_that_cannot_be_written_is_refused() {
    let installation = Installation::new().with("DATABASE_URL", "sqlite://file/roster.db");
    std::fs::write(installation.path("file"), "not a folder").unwrap();
    refused(
        &installation,
        &["file/roster.db", "Not a directory", "database.url"],
    )
    .await;
}

#[tokio::test]
async fn a_secret_that_cannot_be_written_is_refused() {
    let installation = Installation::new().with("ROSTER__SECURITY__SECRET_KEY_PATH", "file/secret.key");
    std::fs::write(installation.path("file"), "not a folder").unwrap();
    refused(&installation, &["file/secret.key", "Not a directory"]).await;
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused() {
    let installation = Installation::new().with("DATABASE_URL", "sqlite://notes.txt");
    std::fs::write(
        installation.path("notes.txt"),
        "Milk, bread, and a text long enough for a page.".repeat(100),
    )
    .unwrap();
    refused(
        &installation,
        &["notes.txt", "file is not a database", "database.url"],
    )
    .await;
}

#[tokio::test]
async fn a_folder_in_place_of_the_database_is_refused() {
    let installation = Installation::new().with("DATABASE_URL", "sqlite://folder");
    std::fs::create_dir(installation.path("folder")).unwrap();
    refused(&installation, &["folder", "database.url"]).await;
}

#[tokio::test]
async fn an_unusable_secret_file_is_refused() {
    let installation = Installation::new();
    std::fs::create_dir(installation.path("data")).unwrap();
    std::fs::write(installation.path("data/secret.key"), "c2hvcnQ=\n").unwrap();
    refused(&installation, &["data/secret.key", "5 bytes, not 32"]).await;
}

#[tokio::test]
async fn production_without_a_secret_is_refused() {
    let installation = Installation::new()
        .in_production()
        .without("ROSTER__SECURITY__SECRET_KEY");
    refused(
        &installation,
        &[
            "security.secret_key",
            "must be set in production",
            "openssl rand -base64 32",
        ],
    )
    .await;
}

#[tokio::test]
async fn production_with_a_weak_or_well_known_secret_is_refused() {
    let weak = [
        ("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "repeats itself"),
        ("Y2hhbmdlLW1lLWNoYW5nZS1tZS1jaGFuZ2UtbWUtMzI=", "is text"),
        ("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", "counts up"),
        // The key of a well-known tutorial.
        (
            "CdJeCU+qbKJVbIGBZrepVjuT9wmfbw9Mqmz2O4jo0+c=",
            "is a published example",
        ),
        ("c2hvcnQ=", "has 5 bytes, not 32"),
        ("changeme", "not 32"),
    ];
    for (secret, why) in weak {
        let installation = Installation::new()
            .in_production()
            .with("ROSTER__SECURITY__SECRET_KEY", secret);
        refused(
            &installation,
            &["security.secret_key", why, "openssl rand -base64 32"],
        )
        .await;
        assert!(!refused_for(&installation).await.concat().contains(secret));
    }
}

#[tokio::test]
async fn production_with_cheap_hashes_is_refused() {
    let installation = Installation::new()
        .in_production()
        .with("ROSTER__PASSWORD__BCRYPT_COST", "9");
    refused(
        &installation,
        &["password.bcrypt_cost", "9 is too low", "10 to 16"],
    )
    .await;
}

#[tokio::test]
async fn production_without_a_database_is_refused_and_makes_none() {
    refused(
        &Installation::new().in_production(),
        &["data/roster.db", "roster migrate up"],
    )
    .await;
}

#[tokio::test]
async fn an_unknown_environment_is_refused() {
    refused(
        &Installation::new().with("ROSTER_ENV", "staging"),
        &["ROSTER_ENV", "staging", "development or production"],
    )
    .await;
}

#[tokio::test]
async fn a_configuration_file_that_is_not_there_or_not_toml_is_refused() {
    let installation = Installation::new();
    std::fs::write(installation.path("broken.toml"), "[server]\nport = = 1\n").unwrap();
    for (file, why) in [
        ("missing.toml", "No such file"),
        ("broken.toml", "is not valid TOML"),
    ] {
        let line = installation.fails(&["serve", "--config", file]).await;
        assert!(line.contains(file) && line.contains(why), "{line}");
    }
}
