//! `roster users`: accounts, for operators.

use serde_json::{Value, json};

use crate::support::{Installation, PASSWORD, on_both_databases};

const ADA: &str = "ada@example.com";
const EVE: &str = "eve@example.com";
const OTHER_PASSWORD: &str = "grape-anchor-window-83";

on_both_databases! {
    an_operator_makes_changes_and_removes_accounts
    what_an_operator_does_reaches_a_running_server
    the_last_active_admin_stays
}

async fn listed(installation: &Installation, filter: &[&str]) -> Vec<String> {
    let printed = installation
        .succeeds(&[&["users", "list", "--json"], filter].concat())
        .await;
    let rows = printed
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    rows.map(|row| row["email"].as_str().unwrap().to_owned())
        .collect()
}

mod stories {
    use super::*;

    pub async fn an_operator_makes_changes_and_removes_accounts(installation: Installation) {
        installation.prepare().await;
        let create = [
            "users",
            "create",
            " Ada@EXAMPLE.com",
            "--role",
            "support",
            "--role",
            "admin",
            "--password-stdin",
        ];
        let printed = installation
            .succeeds_with_input(&create, &format!("{PASSWORD}\n"))
            .await;
        for word in [ADA, "active", "admin, support"] {
            assert!(printed.contains(word), "no {word} in {printed}");
        }
        installation.create_user(EVE, &[]).await;
        installation.succeeds(&["users", "disable", EVE]).await;

        let shown = installation.json(&["users", "show", ADA]).await;
        assert_eq!(
            (&shown["email"], &shown["roles"], &shown["status"]),
            (&json!(ADA), &json!(["admin", "support"]), &json!("active"))
        );
        let fields: Vec<_> = shown.as_object().unwrap().keys().map(String::as_str).collect();
        let about_passwords: Vec<_> = fields
            .iter()
            .filter(|field| field.contains("password") || field.contains("hash"))
            .collect();
        assert_eq!(about_passwords, [&"password_scheme"]);

        for (filter, emails) in [
            (&[][..], &[ADA, EVE][..]),
            (&["--role", "admin"], &[ADA]),
            (&["--role", "nobody-has-it"], &[]),
            (&["--status", "disabled"], &[EVE]),
            (&["--status", "active", "-q", "ad"], &[ADA]),
            (&["-q", "eve@"], &[EVE]),
            (&["-q", "%"], &[]),
            (&["-q", "_da"], &[]),
        ] {
            assert_eq!(listed(&installation, filter).await, emails, "{filter:?}");
        }
        let text = installation.succeeds(&["users", "list"]).await;
        assert!(text.starts_with("EMAIL") && text.lines().count() == 3, "{text}");

        let changed = installation
            .json(&["users", "set-role", EVE, "editor", "author"])
            .await;
        assert_eq!(changed["roles"], json!(["author", "editor"]));
        assert_eq!(
            installation.json(&["users", "set-role", EVE]).await["roles"],
            json!([])
        );

        installation.succeeds(&["users", "enable", EVE]).await;
        assert_eq!(
            listed(&installation, &["--status", "disabled"]).await,
            Vec::<String>::new()
        );
        installation.succeeds(&["users", "delete", EVE, "--yes"]).await;
        assert_eq!(listed(&installation, &[]).await, [ADA]);
        // The address is free again.
        installation.create_user(EVE, &[]).await;
    }

    pub async fn what_an_operator_does_reaches_a_running_server(installation: Installation) {
        let server = installation.serve().await;
        let client = server.client();
        installation.create_user(ADA, &["--role", "admin"]).await;
        let token = client.login(ADA).await;
        assert_eq!(client.me(&token).await.1["roles"], json!(["admin"]));
        installation
            .succeeds(&["users", "set-role", ADA, "admin", "support"])
            .await;
        assert_eq!(client.me(&token).await.1["roles"], json!(["admin", "support"]));

        let set = ["users", "set-password", ADA, "--password-stdin"];
        installation
            .succeeds_with_input(&set, &format!("{OTHER_PASSWORD}\r\nnot this line\n"))
            .await;
        assert_eq!(client.me(&token).await.0, 401, "the sessions have ended");
        assert_eq!(client.try_login(ADA, PASSWORD).await.0, 401);
        assert_eq!(client.try_login(ADA, OTHER_PASSWORD).await.0, 200);

        client.register(EVE).await;
        let token = client.login(EVE).await;
        installation.succeeds(&["users", "disable", EVE]).await;
        assert_eq!(client.me(&token).await.0, 401);
        let (status, problem) = client.try_login(EVE, PASSWORD).await;
        assert_eq!(
            (status, &problem["type"]),
            (403, &json!("/problems/account-disabled"))
        );
        assert_eq!(client.try_login(EVE, OTHER_PASSWORD).await.0, 401);
        installation.succeeds(&["users", "enable", EVE]).await;
        assert_eq!(
            client.me(&token).await.0,
            401,
            "a session that has ended stays so"
        );
        let token = client.login(EVE).await;
        installation.succeeds(&["users", "delete", EVE, "--yes"]).await;
        assert_eq!(client.me(&token).await.0, 401);
        assert_eq!(client.try_login(EVE, PASSWORD).await.0, 401);
        server.stop().await;
    }

    pub async fn the_last_active_admin_stays(installation: Installation) {
        installation.prepare().await;
        installation.create_user(ADA, &["--role", "admin"]).await;
        installation.create_user(EVE, &[]).await;
        let before = installation.succeeds(&["users", "list", "--json"]).await;
        let ways_out = [
            &["users", "disable", ADA][..],
            &["users", "delete", ADA, "--yes"],
            &["users", "set-role", ADA],
            &["users", "set-role", ADA, "support"],
        ];
        for way in ways_out {
            let line = installation.fails(way).await;
            assert!(line.contains("last active admin"), "{line}");
        }
        assert_eq!(installation.succeeds(&["users", "list", "--json"]).await, before);

        // One that is disabled doesn't count.
        installation.succeeds(&["users", "set-role", EVE, "admin"]).await;
        installation.succeeds(&["users", "disable", EVE]).await;
        for way in ways_out {
            installation.fails(way).await;
        }
        installation.succeeds(&["users", "enable", EVE]).await;
        installation.succeeds(&["users", "disable", ADA]).await;
        installation.fails(&["users", "disable", EVE]).await;
        installation.succeeds(&["users", "delete", ADA, "--yes"]).await;
        assert_eq!(listed(&installation, &["--role", "admin"]).await, [EVE]);
    }
}

#[tokio::test]
async fn a_password_that_the_policy_refuses_is_refused_with_its_reason() {
    let installation = Installation::new();
    installation.prepare().await;
    for (password, why) in [
        ("", "8"),
        ("short", "8"),
        ("password123", "common"),
        ("ada@example.com", "e-mail"),
        ("aaaaaaaaaaaa", "guess"),
        (&"x".repeat(129), "128"),
    ] {
        let create = ["users", "create", ADA, "--password-stdin"];
        let line = installation
            .fails_with_input(&create, &format!("{password}\n"))
            .await;
        assert!(
            line.starts_with("password ") && line.contains(why),
            "{password:?}: {line}"
        );
        assert!(
            password.len() < 8 || !line.contains(password),
            "repeats the password: {line}"
        );
    }
    assert_eq!(listed(&installation, &[]).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_taken_or_an_unknown_address_is_a_failure_that_names_it() {
    let installation = Installation::new();
    installation.prepare().await;
    installation.create_user(ADA, &[]).await;
    let create = ["users", "create", "ADA@example.com", "--password-stdin"];
    let line = installation.fails_with_input(&create, PASSWORD).await;
    assert!(line.contains("another account has this e-mail address"), "{line}");
    for command in ["show", "disable", "enable", "delete", "set-role", "set-password"] {
        let line = installation.fails(&["users", command, EVE]).await;
        assert!(line.contains(EVE), "{command}: {line}");
    }
}

#[tokio::test]
async fn a_long_list_is_complete() {
    let installation = Installation::new();
    installation.prepare().await;
    let database = installation.database().await;
    // More than two of the pages in which they are read.
    for number in 0..450 {
        let row = format!(
            "INSERT INTO users (id, email, email_verified, metadata, status, revision, created_at, updated_at) VALUES \
             (X'0190000000007000800000000000{number:04x}', 'user{number:03}@example.com', 0, '{{}}', 'active', 1, \
             '2026-01-01T00:00:00+00:00', '2026-01-01T00:00:00+00:00')"
        );
        sea_orm::ConnectionTrait::execute_unprepared(&database, &row)
            .await
            .unwrap();
    }
    database.close().await.unwrap();
    let emails = listed(&installation, &[]).await;
    assert_eq!(emails.len(), 450);
    assert!(emails.is_sorted());
    let text = installation.succeeds(&["users", "list"]).await;
    assert_eq!(text.lines().count(), 451);
    assert_eq!(text.matches("EMAIL").count(), 1);
}
