//! A start that succeeds: what it makes, what it says, and that several at once, or one killed half-way, do no harm.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use futures_util::future::join_all;
use migration::{Migrator, MigratorTrait as _};
use rustix::process::Signal;
use serde_json::Value;

use crate::support::{Installation, ROSTER, Server, Terminal, column, count, finish};

fn warnings(lines: &[String]) -> Vec<&String> {
    lines
        .iter()
        .filter(|line| line.contains(" WARN ") || line.contains(" ERROR "))
        .collect()
}

fn mode(installation: &Installation, path: &str) -> u32 {
    let contents = installation.contents();
    let entry = contents.get(std::path::Path::new(path));
    entry
        .unwrap_or_else(|| panic!("no {path} among {:?}", contents.keys()))
        .0
}

#[tokio::test]
async fn an_empty_folder_is_all_it_takes() {
    let installation = Installation::new();
    // What it makes is the owner's alone, however lax the shell is.
    let mut command = installation.program("/bin/sh");
    command.args(["-c", &format!("umask 0; exec {ROSTER} serve")]);
    let mut server = Server::start(&installation, command);
    server.ready().await;
    assert_eq!(server.client().get("/readyz").await.0, 200);
    server.client().register("ada@example.com").await;
    assert_eq!(mode(&installation, "data"), 0o700);
    for (path, (mode, _)) in installation
        .contents()
        .iter()
        .filter(|(path, _)| path.as_os_str() != "data")
    {
        assert_eq!(*mode, 0o600, "{}", path.display());
    }
    assert!(server.stdout.so_far().is_empty(), "{:?}", server.stdout.so_far());
    let lines = server.stop().await;
    let warnings = warnings(&lines);
    assert_eq!(warnings.len(), 1, "{lines:#?}");
    assert!(
        warnings[0].contains("data/secret.key") && warnings[0].contains("security.secret_key"),
        "{warnings:?}"
    );

    let is_data = |path: &PathBuf| {
        !path.to_str().unwrap().ends_with("-wal") && !path.to_str().unwrap().ends_with("-shm")
    };
    let made: Vec<_> = installation.contents().into_keys().filter(is_data).collect();
    assert_eq!(
        made,
        ["data", "data/roster.db", "data/secret.key"].map(PathBuf::from)
    );
    for path in ["data/roster.db", "data/secret.key"] {
        assert_eq!(mode(&installation, path), 0o600, "{path}");
    }
}

#[tokio::test]
async fn a_second_start_finds_everything_as_it_was_and_warns_of_nothing() {
    let installation = Installation::new();
    let server = installation.serve().await;
    server.client().register("ada@example.com").await;
    let token = server.client().login("ada@example.com").await;
    server.stop().await;

    let server = installation.serve().await;
    let (status, user) = server.client().me(&token).await;
    assert_eq!((status, &user["email"]), (200, &Value::from("ada@example.com")));
    let lines = server.stop().await;
    assert_eq!(warnings(&lines), Vec::<&String>::new());
}

#[tokio::test]
async fn json_logs_are_json_on_every_line_and_there_is_no_banner() {
    let installation = Installation::new().with("ROSTER__LOG__FORMAT", "json");
    let server = installation.serve().await;
    server.client().get("/nothing/here").await;
    let stdout = server.stdout.clone();
    let lines = server.stop().await;
    for line in &lines {
        let record: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        for field in ["time", "level", "target", "message"] {
            assert!(record[field].is_string(), "no {field} in {line}");
        }
    }
    assert!(lines.len() >= 5, "{lines:#?}");
    assert!(stdout.so_far().is_empty());

    let Some(mut terminal) = Terminal::open(&installation, "serve") else {
        return;
    };
    terminal.wait_for("\"serving\"").await;
    terminal.press_control_c().await;
    let (code, screen) = terminal.ended().await;
    assert_eq!(code, Some(0), "{screen}");
    assert!(!screen.contains("Try this"), "{screen}");
}

#[tokio::test]
async fn production_logs_json_and_serves_no_swagger_ui() {
    let installation = Installation::new().in_production();
    installation.succeeds(&["migrate", "up"]).await;
    let server = installation.serve().await;
    assert_eq!(server.client().get("/docs").await.0, 404);
    assert_eq!(server.client().get("/docs/swagger-ui-bundle.js").await.0, 404);
    assert_eq!(server.client().get("/openapi.json").await.0, 200);
    for line in server.stop().await {
        let record: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert_eq!(record["level"], "info", "{line}");
    }
    assert!(!installation.path("data/secret.key").exists());
}

#[tokio::test]
async fn a_person_at_a_terminal_is_told_where_everything_is_and_what_to_try() {
    let installation = Installation::new();
    let Some(mut terminal) = Terminal::open(&installation, "serve") else {
        return;
    };
    let before = terminal.wait_for("Stop with Ctrl-C").await;
    let base = before
        .split_whitespace()
        .find(|word| word.starts_with("http://"))
        .unwrap()
        .to_owned();
    for text in [
        format!("Docs   {base}/docs"),
        "data/roster.db (SQLite)".into(),
        format!("curl -s {base}/users/"),
    ] {
        assert!(before.contains(&text), "no {text:?} in {before}");
    }
    // What it says to try works as it stands.
    let start = before.find("curl -s").unwrap();
    let command = before[start..]
        .split("\r\n\r\n")
        .next()
        .unwrap()
        .replace('\r', "");
    let mut shell = installation.program("/bin/sh");
    shell.args(["-c", &command]);
    let tried = finish(shell, "").await;
    let user: Value =
        serde_json::from_str(&tried.stdout).unwrap_or_else(|error| panic!("{error}: {tried:?}"));
    assert_eq!(user["email"], "ada@example.com");

    terminal.press_control_c().await;
    let (code, screen) = terminal.ended().await;
    assert_eq!(code, Some(0), "{screen}");
}

/// How often instances race each other; a fault in the order of their steps shows in a few rounds.
const ROUNDS: usize = 6;

async fn instances_start_at_once(installation: &Installation) {
    let mut servers: Vec<Server> = (0..2).map(|_| installation.start(&["serve"])).collect();
    join_all(servers.iter_mut().map(Server::ready)).await;
    let clients: Vec<_> = servers.iter().map(Server::client).collect();
    for client in &clients {
        assert_eq!(client.get("/readyz").await.0, 200);
    }
    // What one of them signs, every other accepts.
    clients[0].register("ada@example.com").await;
    for signer in &clients {
        let token = signer.login("ada@example.com").await;
        for verifier in &clients {
            assert_eq!(verifier.me(&token).await.0, 200);
        }
    }
    let database = installation.database().await;
    let migrations = column(&database, "SELECT version FROM seaql_migrations").await;
    assert_eq!(
        migrations.iter().collect::<BTreeSet<_>>().len(),
        migrations.len(),
        "{migrations:?}"
    );
    let states = column(&database, "SELECT state FROM signing_keys ORDER BY state").await;
    assert_eq!(states, ["current", "next"]);
    database.close().await.unwrap();
    for server in servers {
        let lines = server.stop().await;
        assert!(!lines.iter().any(|line| line.contains(" ERROR ")), "{lines:#?}");
    }
}

#[tokio::test]
async fn two_instances_that_start_at_once_share_one_sqlite_file_and_one_pair_of_keys() {
    for _ in 0..ROUNDS {
        instances_start_at_once(&Installation::new()).await;
    }
}

#[tokio::test]
async fn a_start_waits_while_another_process_has_the_new_sqlite_file_locked() {
    use sea_orm::sqlx::sqlite::SqliteConnectOptions;
    use sea_orm::sqlx::{ConnectOptions as _, Connection as _};
    let installation = Installation::new();
    fs::create_dir(installation.path("data")).unwrap();
    // Not in WAL mode yet, as another instance has it that is about to change that.
    let options = SqliteConnectOptions::new()
        .filename(installation.path("data/roster.db"))
        .create_if_missing(true);
    let mut other = options.connect().await.unwrap();
    let lock = other.begin_with("BEGIN IMMEDIATE").await.unwrap();
    let mut server = installation.start(&["serve"]);
    server.log.wait_for("waiting for another process").await;
    lock.commit().await.unwrap();
    other.close().await.unwrap();
    server.ready().await;
    assert_eq!(server.client().get("/readyz").await.0, 200);
    server.stop().await;
}

#[tokio::test]
async fn two_instances_that_start_at_once_share_one_postgresql_database_and_one_pair_of_keys() {
    for _ in 0..ROUNDS {
        let Some(installation) = Installation::on_postgresql().await else {
            return;
        };
        instances_start_at_once(&installation).await;
    }
}

#[tokio::test]
async fn a_migration_killed_half_way_on_sqlite_is_completed_by_the_next() {
    for step in 1..=Migrator::migrations().len() {
        let installation = Installation::new().with("ROSTER__LOG__FILTER", "info,sea_orm_migration=info");
        let mut server = installation.start(&["serve"]);
        server.log.wait_for_nth("Applying migration", step).await;
        server.signal(Signal::KILL);
        let (status, _) = server.ended().await;
        assert!(!status.success());
        installation.succeeds(&["migrate", "up"]).await;
        assert_all_applied(&installation).await;
        installation.serve().await.stop().await;
    }
}

#[tokio::test]
async fn a_migration_killed_half_way_on_postgresql_is_completed_by_the_next() {
    use sea_orm::{ConnectionTrait as _, TransactionTrait as _};
    let Some(installation) = Installation::on_postgresql().await else {
        return;
    };
    let database = installation.database().await;
    // Whoever makes a table of this name waits until it is known whether this one stays.
    let obstacle = database.begin().await.unwrap();
    obstacle
        .execute_unprepared("CREATE TABLE audit_events (id int)")
        .await
        .unwrap();
    let migration = installation.start(&["migrate", "up"]);
    // Returns when the migration waits for that: three of its steps are done by then.
    database
        .execute_unprepared(
            "DO $$ BEGIN FOR i IN 1..6000 LOOP \
             IF EXISTS (SELECT FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE NOT granted AND \
             application_name = 'roster' AND datname = current_database()) THEN RETURN; END IF; \
             PERFORM pg_stat_clear_snapshot(); PERFORM pg_sleep(0.01); END LOOP; RAISE 'nobody waits'; END $$",
        )
        .await
        .unwrap();
    migration.signal(Signal::KILL);
    let (status, _) = migration.ended().await;
    assert!(!status.success());
    obstacle.rollback().await.unwrap();

    // Nothing of it has stayed; and the lock of the one that was killed is gone, or going.
    installation.succeeds(&["migrate", "up"]).await;
    assert_all_applied(&installation).await;
    installation.serve().await.stop().await;
    database.close().await.unwrap();
}

async fn assert_all_applied(installation: &Installation) {
    let status = installation.json(&["migrate", "status"]).await;
    let status = status.as_array().unwrap();
    assert_eq!(status.len(), Migrator::migrations().len());
    assert!(
        status.iter().all(|migration| migration["applied"] == true),
        "{status:?}"
    );
    let database = installation.database().await;
    assert_eq!(
        count(&database, "SELECT version FROM seaql_migrations").await,
        Migrator::migrations().len()
    );
    database.close().await.unwrap();
}
