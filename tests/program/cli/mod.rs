//! The command line, as far as operators and scripts rely on it. A file for each of its larger parts.

mod administration;
mod audit;
mod clients;
mod dry_runs;
mod keys;
mod migrate;
mod transfer;
mod users;

use serde_json::Value;

use crate::support::{Installation, PASSWORD, ROSTER, Terminal, finish};

#[tokio::test]
async fn the_openapi_document_needs_nothing_and_is_the_committed_one() {
    let installation = Installation::new()
        .with("DATABASE_URL", "nonsense")
        .with("ROSTER_ENV", "nonsense")
        .with("ROSTER__NO__SUCH_KEY", "1");
    let committed = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.json")).unwrap();
    let printed = installation.succeeds(&["openapi"]).await;
    assert!(
        printed == committed,
        "openapi.json is not what `roster openapi` prints"
    );
    assert!(installation.contents().is_empty());
}

#[tokio::test]
async fn the_server_serves_the_document_that_the_command_prints() {
    let installation = Installation::new();
    let server = installation.serve().await;
    let (_, answer) = server.client().get("/openapi.json").await;
    let printed: Value = serde_json::from_str(&installation.succeeds(&["openapi"]).await).unwrap();
    assert_eq!(answer, printed);
    server.stop().await;
}

#[tokio::test]
async fn completions_are_printed_for_each_shell_and_bash_reads_its_own() {
    let installation = Installation::new();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = installation.succeeds(&["completions", shell]).await;
        for word in ["serve", "migrate", "set-password", "password-stdin", "rotate"] {
            assert!(script.contains(word), "no {word} for {shell}");
        }
    }
    let script = installation.succeeds(&["completions", "bash"]).await;
    let mut bash = installation.program("bash");
    bash.args(["-c", "eval \"$(cat)\"; COMP_WORDS=(roster us); COMP_CWORD=1; _roster roster us roster; echo ${COMPREPLY[@]}"]);
    let completed = finish(bash, &script).await;
    assert_eq!(
        (completed.code, completed.stdout.trim()),
        (0, "users"),
        "{completed:?}"
    );
}

#[tokio::test]
async fn a_wrong_use_ends_with_code_2_and_changes_nothing() {
    let installation = Installation::new();
    for arguments in [
        &[][..],
        &["no-such-command"],
        &["serve", "--no-such-option"],
        &["serve", "extra"],
        &["migrate"],
        &["migrate", "down", "-n", "0"],
        &["migrate", "down", "-n", "-1"],
        &["users", "create"],
        &["users", "create", "not an address"],
        &["users", "create", "ada@example.com", PASSWORD],
        &["users", "create", "ada@example.com", "--password", PASSWORD],
        &["users", "create", "ada@example.com", "--role", "not a role"],
        &["users", "set-password", "ada@example.com", PASSWORD],
        &["users", "list", "--status", "asleep"],
        &["users", "list", "--sort", "age"],
        &["users", "list", "--created-after", "yesterday"],
        &["users", "list", "--limit", "0"],
        &["users", "list", "--email", "not an address"],
        &["users", "show", "neither an address nor an id"],
        &["users", "update", "ada@example.com"],
        &["users", "update", "ada@example.com", "--dry-run"],
        &["users", "update", "ada@example.com", "--metadata", "[]"],
        &[
            "users",
            "update",
            "ada@example.com",
            "--metadata",
            r#"{"a":1,"a":2}"#,
        ],
        &[
            "users",
            "update",
            "ada@example.com",
            "--email-verified",
            "perhaps",
        ],
        &[
            "users",
            "update",
            "ada@example.com",
            "--role",
            "editor",
            "--no-roles",
        ],
        &[
            "users",
            "create",
            "ada@example.com",
            "--invite",
            "--password-stdin",
        ],
        &[
            "users",
            "sessions",
            "ada@example.com",
            "--session",
            "0190a5d0-3c5e-7b2f-8a41-0d6f2b7c9e13",
        ],
        &[
            "users",
            "sessions",
            "ada@example.com",
            "--end",
            "--session",
            "the first",
        ],
        &["users", "personal-data"],
        &["audit", "list", "--action", "user.sing_in"],
        &["audit", "list", "--actor", "nobody"],
        &["audit", "list", "--before", "2026-01-31"],
        &["users", "disable"],
        &["users", "import", "users.jsonl"],
        &["users", "import", "--from", "roster"],
        &["users", "export", "users.jsonl"],
        &["keys", "retire"],
        &["clients", "create"],
        &["clients", "create", "two", "names"],
        &["clients", "delete"],
        &["completions", "no-such-shell"],
        &["config"],
    ] {
        let ended = installation.run(arguments).await;
        assert_eq!(
            (ended.code, ended.stdout.as_str()),
            (2, ""),
            "{arguments:?}: {ended:?}"
        );
        assert!(!ended.stderr.is_empty(), "{arguments:?}");
    }
    assert!(
        installation.contents().is_empty(),
        "{:?}",
        installation.contents()
    );
}

#[tokio::test]
async fn help_and_version_succeed_on_standard_output() {
    let installation = Installation::new();
    let version = installation.succeeds(&["--version"]).await;
    assert_eq!(version, format!("roster {}\n", env!("CARGO_PKG_VERSION")));
    for arguments in [
        &["--help"][..],
        &["help"],
        &["users", "--help"],
        &["users", "create", "--help"],
    ] {
        assert!(
            installation.succeeds(arguments).await.contains("Usage: roster"),
            "{arguments:?}"
        );
    }
    for arguments in [
        ["users", "create"],
        ["users", "list"],
        ["users", "update"],
        ["users", "sessions"],
        ["users", "personal-data"],
        ["audit", "list"],
    ] {
        let help = installation
            .succeeds(&[&arguments[..], &["--help"]].concat())
            .await;
        let example = format!("\n  roster {} ", arguments.join(" "));
        assert!(help.contains("Example") && help.contains(&example), "{help}");
    }
}

#[tokio::test]
async fn a_reader_who_has_enough_is_no_failure() {
    let installation = Installation::new();
    installation.prepare().await;
    // More than a pipe holds: the program is still writing when its reader goes.
    let users = transfer::lines(2500);
    installation
        .succeeds_with_input(&["users", "import", "-", "--from", "roster"], &users)
        .await;
    for command in [
        "openapi | head -c 1",
        "completions zsh | head -c 1",
        "users export | head -n 1",
    ] {
        let mut shell = installation.program("bash");
        shell.args(["-c", &format!("set -o pipefail; {ROSTER} {command}")]);
        let ended = finish(shell, "").await;
        assert_eq!(
            (ended.code, ended.stderr.as_str()),
            (0, ""),
            "{command}: {ended:?}"
        );
        assert!(!ended.stdout.is_empty(), "{command}");
    }
}

#[tokio::test]
async fn a_good_configuration_is_shown_with_origins_and_without_secrets() {
    let installation = Installation::new().in_production().with(
        "DATABASE_URL",
        "postgres://roster:hunter2@db.example/roster?sslmode=verify-full",
    );
    std::fs::write(installation.path("more.toml"), "[token]\naccess_seconds = 300\n").unwrap();
    let checked = installation
        .json(&["config", "check", "--config", "more.toml"])
        .await;
    assert_eq!(checked["done"], "the configuration is good");
    let shown = installation
        .json(&["config", "show", "--config", "more.toml"])
        .await;
    let row = |key: &str| {
        shown
            .as_array()
            .unwrap()
            .iter()
            .find(|row| row["key"] == key)
            .unwrap_or(&Value::Null)
            .clone()
    };
    let of = |key: &str| {
        (
            row(key)["value"].as_str().map(str::to_owned),
            row(key)["origin"].as_str().unwrap().to_owned(),
        )
    };
    let is = |value: &str, origin: &str| (Some(value.to_owned()), origin.to_owned());
    assert_eq!(of("token.access_seconds"), is("300", "more.toml"));
    assert_eq!(of("server.port"), is("0", "ROSTER__SERVER__PORT"));
    assert_eq!(of("session.refresh_idle_days"), is("30", "default"));
    assert_eq!(
        of("security.secret_key"),
        is("[redacted]", "ROSTER__SECURITY__SECRET_KEY")
    );
    let url = "postgres://roster:***@db.example/roster?sslmode=verify-full";
    assert_eq!(of("database.url"), is(url, "DATABASE_URL"));
    assert_eq!(of("token.issuer"), (None, "default".to_owned()));

    let text = installation
        .succeeds(&["config", "show", "--config", "more.toml"])
        .await;
    for secret in ["hunter2", crate::support::SECRET] {
        assert!(!text.contains(secret) && !shown.to_string().contains(secret));
    }
    for line in text.lines() {
        assert!(
            line.starts_with("KEY") || line.split_whitespace().count() >= 3,
            "{line}"
        );
    }
    let file = installation.contents().into_keys().collect::<Vec<_>>();
    assert_eq!(file, [std::path::PathBuf::from("more.toml")]);
}

#[tokio::test]
async fn a_bad_configuration_is_a_failure_with_a_line_for_each_fault() {
    let installation = Installation::new()
        .with("ROSTER__SERVER__WORKERS", "x")
        .with("ROSTER__TOKEN__NO", "1");
    for arguments in [["config", "check"], ["config", "show"]] {
        let lines = installation.fails_with_lines(&arguments, "").await;
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(
            lines[0].starts_with("server.workers (ROSTER__SERVER__WORKERS)"),
            "{lines:?}"
        );
        assert!(lines[1].starts_with("token.no (ROSTER__TOKEN__NO)"), "{lines:?}");
    }
}

#[tokio::test]
async fn health_says_whether_the_server_is_ready() {
    let installation = Installation::new();
    let server = installation.serve().await;
    let port = server.port().to_owned();
    let probe = installation.with("ROSTER__SERVER__PORT", &port);
    let healthy = probe.json(&["health"]).await;
    assert_eq!(healthy["done"], format!("127.0.0.1:{port} is ready"));
    // A container listens on all interfaces; asking itself, it has to use one.
    let inside = probe.with("ROSTER__SERVER__HOST", "0.0.0.0");
    inside.succeeds(&["health"]).await;

    inside.succeeds(&["migrate", "down", "--yes"]).await;
    let line = inside.fails(&["health"]).await;
    assert!(
        line.contains("not ready") && line.contains("lacks 1 migrations"),
        "{line}"
    );
    inside.succeeds(&["migrate", "up"]).await;
    inside.succeeds(&["health"]).await;

    server.stop().await;
    let line = inside.fails(&["health"]).await;
    assert!(
        line.contains("cannot reach a server") && line.contains(&port),
        "{line}"
    );
}

#[tokio::test]
async fn health_in_production_needs_no_secret_and_gives_up_a_server_that_does_not_answer() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port().to_string();
    let installation = Installation::new()
        .with("ROSTER_ENV", "production")
        .with("ROSTER__SERVER__PORT", &port);
    let line = installation.fails(&["health"]).await;
    assert!(line.contains("did not answer within"), "{line}");
}

#[tokio::test]
async fn a_password_is_asked_for_twice_at_a_terminal_and_never_shown() {
    let installation = Installation::new();
    installation.prepare().await;
    let Some(mut terminal) = Terminal::open(&installation, "users create ada@example.com") else {
        return;
    };
    for prompt in ["Password: ", "Once more: "] {
        terminal.wait_for(prompt).await;
        terminal.wait_for_silence().await;
        terminal.type_line(PASSWORD).await;
    }
    let (code, screen) = terminal.ended().await;
    assert_eq!(code, Some(0), "{screen}");
    assert!(screen.contains("ada@example.com"), "{screen}");
    assert!(!screen.contains(PASSWORD), "{screen}");
    let server = installation.serve().await;
    server.client().login("ada@example.com").await;
    server.stop().await;

    let mut terminal = Terminal::open(&installation, "users set-password ada@example.com").unwrap();
    for (prompt, text) in [
        ("Password: ", PASSWORD),
        ("Once more: ", "grape-anchor-window-83"),
    ] {
        terminal.wait_for(prompt).await;
        terminal.wait_for_silence().await;
        terminal.type_line(text).await;
    }
    let (code, screen) = terminal.ended().await;
    assert_eq!(code, Some(1), "{screen}");
    assert!(screen.contains("roster: the two passwords differ"), "{screen}");
}

#[tokio::test]
async fn a_person_is_asked_before_anything_is_destroyed() {
    let installation = Installation::new();
    installation.prepare().await;
    installation.create_user("ada@example.com", &[]).await;
    let keys = installation.json(&["keys", "list"]).await;
    let retire = format!("keys retire {}", keys[0]["id"].as_str().unwrap());
    installation
        .succeeds(&["users", "reset", "ada@example.com"])
        .await;
    let mails = installation.json(&["mail", "list"]).await;
    let purge = format!("mail purge {}", mails[0]["id"].as_str().unwrap());
    for command in [
        "users delete ada@example.com",
        "users sessions ada@example.com --end",
        &retire,
        "mail purge",
        &purge,
        "migrate fresh",
        "migrate down -n 4",
    ] {
        for answer in ["n", "", "no", "maybe"] {
            let Some(mut terminal) = Terminal::open(&installation, command) else {
                return;
            };
            terminal.wait_for("[y/N]").await;
            terminal.type_line(answer).await;
            let (code, screen) = terminal.ended().await;
            assert_eq!(code, Some(1), "{screen}");
            assert!(
                screen.contains("roster: stopped: nothing was changed"),
                "{screen}"
            );
        }
        installation.succeeds(&["users", "show", "ada@example.com"]).await;
        assert_eq!(installation.json(&["keys", "list"]).await, keys);
        assert_eq!(installation.json(&["mail", "list"]).await, mails);
    }
    let mut terminal = Terminal::open(&installation, "users delete ada@example.com").unwrap();
    terminal.wait_for("[y/N]").await;
    terminal.type_line("y").await;
    assert_eq!(terminal.ended().await.0, Some(0));
    installation.fails(&["users", "show", "ada@example.com"]).await;
}
