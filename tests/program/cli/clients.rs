//! `roster clients`: the services that may ask about tokens.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use sea_orm::DbBackend;
use serde_json::{Value, json};

use crate::support::{Installation, Terminal, column, on_both_databases};

const UNKNOWN: &str = "0190a5d0-3c5e-7b2f-8a41-0d6f2b7c9e13";

on_both_databases! {
    a_service_is_registered_listed_and_removed
    the_database_holds_no_secret
}

fn text<'a>(client: &'a Value, field: &str) -> &'a str {
    client[field]
        .as_str()
        .unwrap_or_else(|| panic!("no {field} in {client}"))
}

fn names(object: &Value) -> Vec<&str> {
    object.as_object().unwrap().keys().map(String::as_str).collect()
}

fn hexadecimal(bytes: &[u8]) -> String {
    let digits: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    digits.concat()
}

/// Every row of a table, as text, bytes in hexadecimal.
async fn dump(installation: &Installation, table: &str) -> Vec<String> {
    let database = installation.database().await;
    let query = match (database.get_database_backend(), table) {
        (DbBackend::Postgres, _) => format!("SELECT t::text FROM {table} t"),
        (_, "clients") => {
            "SELECT hex(id) || ',' || name || ',' || lower(hex(secret_digest)) || ',' || created_at FROM clients".into()
        }
        _ => format!("SELECT details FROM {table}"),
    };
    let rows = column(&database, &query).await;
    database.close().await.unwrap();
    rows
}

/// What the audit trail says about clients, the oldest first.
async fn audited(installation: &Installation) -> Vec<String> {
    let database = installation.database().await;
    let query = "SELECT action || ' ' || outcome || ' ' || actor_kind || ' ' || details FROM audit_events \
                 WHERE action LIKE 'client.%' ORDER BY occurred_at, id";
    let rows = column(&database, query).await;
    database.close().await.unwrap();
    rows
}

mod stories {
    use super::*;

    pub async fn a_service_is_registered_listed_and_removed(installation: Installation) {
        installation.prepare().await;
        assert_eq!(installation.json(&["clients", "list"]).await, json!([]));

        let billing = installation
            .json(&["clients", "create", "  Billing of the Straße "])
            .await;
        assert_eq!(
            names(&billing),
            ["client_id", "client_secret", "created_at", "name"]
        );
        assert_eq!(billing["name"], "Billing of the Straße");
        let printed = installation.succeeds(&["clients", "create", "billing 2"]).await;
        for words in [
            "roster_cs_",
            "billing 2",
            "can't be shown again",
            "HTTP Basic",
            "/oauth/introspect",
        ] {
            assert!(printed.contains(words), "no {words} in {printed}");
        }

        let listed = installation.json(&["clients", "list"]).await;
        let rows = listed.as_array().unwrap();
        assert_eq!(rows.len(), 2);
        for row in rows {
            assert_eq!(names(row), ["client_id", "created_at", "name"]);
        }
        assert_eq!(
            (&rows[0]["client_id"], &rows[0]["created_at"], &rows[0]["name"]),
            (&billing["client_id"], &billing["created_at"], &billing["name"])
        );
        let table = installation.succeeds(&["clients", "list"]).await;
        assert!(
            table.starts_with("CLIENT ID") && table.lines().count() == 3,
            "{table}"
        );
        assert!(!table.contains("roster_cs_"), "{table}");

        let (first, second) = (text(&billing, "client_id"), text(&rows[1], "client_id"));
        assert!(printed.contains(second), "{printed}");
        let done = installation.json(&["clients", "delete", first, "--yes"]).await;
        assert_eq!(
            done["done"],
            format!("Billing of the Straße ({first}) is removed")
        );
        for id in [first, UNKNOWN] {
            let line = installation.fails(&["clients", "delete", id, "--yes"]).await;
            assert_eq!(line, format!("There is no client {id}."));
        }
        installation
            .succeeds(&["clients", "delete", second, "--yes"])
            .await;
        assert_eq!(installation.json(&["clients", "list"]).await, json!([]));

        let row = |action: &str, id: &str| format!(r#"{action} success operator {{"client":"{id}"}}"#);
        assert_eq!(
            audited(&installation).await,
            [
                row("client.created", first),
                row("client.created", second),
                row("client.deleted", first),
                row("client.deleted", second),
            ]
        );
    }

    pub async fn the_database_holds_no_secret(installation: Installation) {
        installation.prepare().await;
        let client = installation.json(&["clients", "create", "billing"]).await;
        let secret = text(&client, "client_secret");
        let encoded = secret.strip_prefix("roster_cs_").unwrap();
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(encoded).unwrap();
        assert_eq!(bytes.len(), 32);

        let clients = dump(&installation, "clients").await;
        let stored = hexadecimal(digest(&SHA256, &bytes).as_ref());
        assert!(clients.len() == 1 && clients[0].contains(&stored), "{clients:?}");
        let rows = [clients, dump(&installation, "audit_events").await].concat();
        assert!(rows.len() > 1, "{rows:?}");
        for never in [encoded, &hexadecimal(&bytes)] {
            assert!(!rows.iter().any(|row| row.contains(never)), "{rows:?}");
        }
        // Nor does any other file: on SQLite the database is one of them.
        for (path, (_, content)) in installation.contents() {
            for never in [encoded.as_bytes(), &bytes] {
                let is_there = content.windows(never.len()).any(|window| window == never);
                assert!(!is_there, "{}", path.display());
            }
        }
    }
}

#[tokio::test]
async fn a_bad_name_or_id_is_a_usage_error_that_says_what_is_allowed() {
    let installation = Installation::new();
    for (arguments, allowed) in [
        (["clients", "create", " "], "1 to 100 characters"),
        (["clients", "create", &"x".repeat(101)], "1 to 100 characters"),
        (["clients", "create", "a\nb"], "control or invisible characters"),
        (["clients", "delete", "billing"], "roster clients list"),
    ] {
        let ended = installation.run(&arguments).await;
        assert_eq!((ended.code, ended.stdout.as_str()), (2, ""), "{ended:?}");
        assert!(ended.stderr.contains(allowed), "{ended:?}");
    }
    assert!(installation.contents().is_empty());
}

#[tokio::test]
async fn a_person_is_asked_before_a_service_is_removed() {
    let installation = Installation::new();
    installation.prepare().await;
    let client = installation.json(&["clients", "create", "billing"]).await;
    let id = text(&client, "client_id");
    for (answer, code, left) in [("n", 1, 1), ("", 1, 1), ("y", 0, 0)] {
        let Some(mut terminal) = Terminal::open(&installation, &format!("clients delete {id}")) else {
            return;
        };
        terminal.wait_for("[y/N]").await;
        terminal.type_line(answer).await;
        let (ended, screen) = terminal.ended().await;
        assert_eq!(ended, Some(code), "{screen}");
        assert!(screen.contains("billing"), "{screen}");
        let clients = installation.json(&["clients", "list"]).await;
        assert_eq!(clients.as_array().unwrap().len(), left, "{answer:?}");
    }
}
