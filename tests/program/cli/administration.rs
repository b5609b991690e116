//! What an admin does over HTTP, an operator does by commands: the same data, the same rules, the same events.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Client, Installation, PASSWORD, on_both_databases};

const ADA: &str = "ada@example.com";
const EVE: &str = "eve@example.com";
const BOB: &str = "bob@example.com";
const NOBODY: &str = "0190a5d0-3c5e-7b2f-8a41-0d6f2b7c9e13";

on_both_databases! {
    accounts_are_listed_as_over_http
    events_are_listed_as_over_http
    an_account_is_updated_as_over_http
    an_invited_account_has_no_password
    sessions_are_listed_and_ended
    a_reset_is_mailed_unless_the_account_is_closed
    personal_data_is_what_the_person_gets
}

async fn get(client: &Client, token: &str, path: &str) -> Value {
    let (status, body) = Client::answer(client.request(Method::GET, path).bearer_auth(token)).await;
    assert_eq!(status, 200, "{path}: {body}");
    body
}

/// What a command prints with `--json` where it prints a line for each item.
async fn lines(installation: &Installation, arguments: &[&str]) -> Vec<Value> {
    let printed = installation.succeeds(&[arguments, &["--json"]].concat()).await;
    printed
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn text<'a>(object: &'a Value, member: &str) -> &'a str {
    object[member]
        .as_str()
        .unwrap_or_else(|| panic!("no {member} in {object}"))
}

mod stories {
    use super::*;

    pub async fn accounts_are_listed_as_over_http(installation: Installation) {
        let server = installation.serve().await;
        let client = server.client();
        installation.create_user(ADA, &["--role", "admin"]).await;
        let named = ["--role", "editor", "--display-name", "Öve"];
        installation.create_user(EVE, &named).await;
        let profiled = [
            "--email-verified",
            "--locale",
            "de",
            "--metadata",
            r#"{"plan": "pro"}"#,
        ];
        installation.create_user(BOB, &profiled).await;
        installation.succeeds(&["users", "disable", BOB]).await;
        let token = client.login(ADA).await;

        let all = get(&client, &token, "/admin/users?sort=created_at").await;
        let emails: Vec<&str> = all["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|account| text(account, "email"))
            .collect();
        assert_eq!(emails, [ADA, EVE, BOB]);
        let second = text(&all["items"][1], "created_at");
        let (later, earlier) = (
            format!("created_after={second}&sort=created_at"),
            format!("created_before={second}&sort=created_at"),
        );
        for (query, arguments) in [
            ("sort=created_at", &[][..]),
            ("sort=-created_at", &["--sort=-created_at"]),
            ("sort=-created_at", &["--sort", "-created_at"]),
            ("sort=email", &["--sort", "email"]),
            ("sort=-email", &["--sort=-email"]),
            ("sort=-email&limit=2", &["--sort=-email", "--limit", "2"]),
            ("q=%C3%96v", &["-q", "öv"]),
            ("q=E", &["--q", "e"]),
            ("email=EVE%40example.com", &["--email", "eve@EXAMPLE.com"]),
            ("role=admin", &["--role", "admin"]),
            ("status=disabled", &["--status", "disabled"]),
            (
                "role=editor&status=disabled",
                &["--role", "editor", "--status", "disabled"],
            ),
            (later.as_str(), &["--created-after", second]),
            (earlier.as_str(), &["--created-before", second]),
        ] {
            let wanted = get(&client, &token, &format!("/admin/users?{query}")).await;
            let listed = lines(&installation, &[&["users", "list"], arguments].concat()).await;
            assert_eq!(json!(listed), wanted["items"], "{arguments:?}");
        }
        let table = installation.succeeds(&["users", "list", "--limit", "1"]).await;
        assert!(
            table.starts_with("EMAIL") && table.lines().count() == 2,
            "{table}"
        );
        let table = installation.succeeds(&["users", "list", "-q", "nobody"]).await;
        assert_eq!(table.trim_end(), "EMAIL  STATUS  ROLES  ID");
        server.stop().await;
    }

    pub async fn events_are_listed_as_over_http(installation: Installation) {
        let server = installation.serve().await;
        let client = server.client();
        installation.create_user(ADA, &["--role", "admin"]).await;
        installation.create_user(EVE, &[]).await;
        let token = client.login(ADA).await;
        client.try_login(EVE, "not the password").await;

        let all = get(&client, &token, "/admin/audit?limit=200").await;
        let events = all["items"].as_array().unwrap();
        assert!(events.len() >= 4, "{all}");
        let ada = installation.json(&["users", "show", ADA]).await;
        let eve = installation.json(&["users", "show", EVE]).await;
        let (ada, eve) = (text(&ada, "id"), text(&eve, "id"));
        let time = text(&events[1], "occurred_at");
        let by_actor = format!("actor={ada}");
        let by_subject = format!("subject={eve}");
        let both = format!("subject={eve}&action=user.sign_in");
        let nobody = format!("subject={NOBODY}");
        let (after, before) = (format!("after={time}"), format!("before={time}"));
        for (query, arguments) in [
            ("limit=200", &[][..]),
            ("limit=2", &["--limit", "2"]),
            ("action=user.registered", &["--action", "user.registered"]),
            (by_actor.as_str(), &["--actor", ADA]),
            (by_subject.as_str(), &["--subject", eve]),
            (both.as_str(), &["--subject", EVE, "--action", "user.sign_in"]),
            (nobody.as_str(), &["--subject", NOBODY]),
            (after.as_str(), &["--after", time]),
            (before.as_str(), &["--before", time]),
        ] {
            let wanted = get(&client, &token, &format!("/admin/audit?{query}")).await;
            let listed = lines(&installation, &[&["audit", "list"], arguments].concat()).await;
            assert_eq!(json!(listed), wanted["items"], "{arguments:?}");
        }
        let table = installation.succeeds(&["audit", "list", "--limit", "2"]).await;
        assert!(table.starts_with("TIME") && table.lines().count() == 3, "{table}");
        assert!(table.contains("user.sign_in") && table.contains(eve), "{table}");
        let line = installation.fails(&["audit", "list", "--actor", BOB]).await;
        assert!(line.contains(BOB), "{line}");
        server.stop().await;
    }

    pub async fn an_account_is_updated_as_over_http(installation: Installation) {
        installation.prepare().await;
        installation.create_user(ADA, &["--role", "admin"]).await;
        installation.create_user(EVE, &[]).await;
        let eve = installation.json(&["users", "show", EVE]).await;
        let id = text(&eve, "id");
        let update = [
            "users",
            "update",
            EVE,
            "--email",
            "Eve@Example.org",
            "--email-verified",
            "true",
            "--display-name",
            "Eve",
            "--locale",
            "de",
            "--metadata",
            r#"{"plan": "pro"}"#,
            "--role",
            "editor",
            "--role",
            "author",
            "--status",
            "disabled",
        ];
        let updated = installation.json(&update).await;
        for (member, value) in [
            ("id", json!(id)),
            ("email", json!("eve@example.org")),
            ("email_verified", json!(true)),
            ("display_name", json!("Eve")),
            ("locale", json!("de")),
            ("metadata", json!({"plan": "pro"})),
            ("roles", json!(["author", "editor"])),
            ("status", json!("disabled")),
        ] {
            assert_eq!(updated[member], value, "{member}: {updated}");
        }
        assert_eq!(installation.json(&["users", "show", id]).await, updated);
        let events = lines(&installation, &["audit", "list", "--subject", id]).await;
        assert!(
            events.iter().all(|event| event["actor"]["kind"] == "operator"),
            "{events:?}"
        );
        let actions: BTreeSet<&str> = events.iter().map(|event| text(event, "action")).collect();
        let expected = [
            "user.disabled",
            "user.email_changed",
            "user.email_verified",
            "user.profile_changed",
            "user.registered",
            "user.roles_changed",
        ];
        assert_eq!(actions, expected.into());

        // What isn't named stays, and what is named as nothing goes.
        let bare = [
            "users",
            "update",
            id,
            "--display-name",
            "",
            "--locale",
            "",
            "--no-roles",
            "--status",
            "active",
        ];
        let updated = installation.json(&bare).await;
        for (member, value) in [
            ("email", json!("eve@example.org")),
            ("display_name", Value::Null),
            ("locale", Value::Null),
            ("metadata", json!({"plan": "pro"})),
            ("roles", json!([])),
            ("status", json!("active")),
        ] {
            assert_eq!(updated[member], value, "{member}: {updated}");
        }

        let before = installation.succeeds(&["users", "list", "--json"]).await;
        for (arguments, why) in [
            (
                &[id, "--email", ADA][..],
                "another account has this e-mail address",
            ),
            (&[ADA, "--no-roles"], "last active admin"),
            (&[ADA, "--status", "disabled"], "last active admin"),
            (&[NOBODY, "--display-name", "Nobody"], NOBODY),
            (&[EVE, "--display-name", "Nobody"], EVE),
        ] {
            let line = installation
                .fails(&[&["users", "update"], arguments].concat())
                .await;
            assert!(line.contains(why), "{line}");
        }
        assert_eq!(installation.succeeds(&["users", "list", "--json"]).await, before);
    }

    pub async fn an_invited_account_has_no_password(installation: Installation) {
        installation.prepare().await;
        let made = installation.json(&["users", "create", EVE, "--invite"]).await;
        assert_eq!(made["password_scheme"], Value::Null, "{made}");
        let mails = installation.json(&["mail", "list"]).await;
        assert_eq!(
            (&mails[0]["kind"], &mails[0]["recipient"], &mails[1]),
            (&json!("invitation"), &json!(EVE), &Value::Null)
        );
    }

    pub async fn sessions_are_listed_and_ended(installation: Installation) {
        let server = installation.serve().await;
        let client = server.client();
        installation.create_user(EVE, &[]).await;
        installation.create_user(BOB, &[]).await;
        let table = installation.succeeds(&["users", "sessions", EVE]).await;
        assert_eq!(table.lines().count(), 1, "{table}");
        let mut tokens = Vec::new();
        for _ in 0..3 {
            tokens.push(client.login(EVE).await);
        }
        let bobs = client.login(BOB).await;
        let good = async || {
            let mut count = 0;
            for token in &tokens {
                count += usize::from(client.me(token).await.0 == 200);
            }
            count
        };

        let sessions = lines(&installation, &["users", "sessions", EVE]).await;
        assert_eq!(sessions.len(), 3);
        for session in &sessions {
            assert_eq!(
                (&session["ip"], &session["current"]),
                (&json!("127.0.0.1"), &json!(false))
            );
        }
        let table = installation.succeeds(&["users", "sessions", EVE]).await;
        assert!(
            table.starts_with("ID") && table.contains("127.0.0.1") && table.lines().count() == 4,
            "{table}"
        );

        let one = text(&sessions[0], "id");
        let end_one = ["users", "sessions", EVE, "--end", "--session", one, "--yes"];
        let done = installation.json(&end_one).await;
        assert!(text(&done, "done").contains(one), "{done}");
        assert_eq!(good().await, 2);
        let line = installation.fails(&end_one).await;
        assert!(line.contains("no session") && line.contains(one), "{line}");
        // Another person's session isn't this one's to be ended.
        let other = lines(&installation, &["users", "sessions", BOB]).await;
        let other = text(&other[0], "id");
        installation
            .fails(&["users", "sessions", EVE, "--end", "--session", other, "--yes"])
            .await;

        installation
            .succeeds(&["users", "sessions", EVE, "--end", "--yes"])
            .await;
        assert_eq!(good().await, 0);
        assert_eq!(client.me(&bobs).await.0, 200);
        let ended = lines(&installation, &["audit", "list", "--action", "session.ended"]).await;
        let expected = [
            json!({"reason": "ended_by_operator", "scope": "all"}),
            json!({"reason": "ended_by_operator", "session": one}),
        ];
        let details: Vec<&Value> = ended.iter().map(|event| &event["details"]).collect();
        assert_eq!(details, expected.iter().collect::<Vec<_>>());
        server.stop().await;
    }

    pub async fn a_reset_is_mailed_unless_the_account_is_closed(installation: Installation) {
        installation.prepare().await;
        installation.create_user(EVE, &[]).await;
        let done = installation.json(&["users", "reset", EVE]).await;
        assert!(text(&done, "done").contains(EVE), "{done}");
        let mails = installation.json(&["mail", "list"]).await;
        assert_eq!(
            (&mails[0]["kind"], &mails[0]["recipient"], &mails[1]),
            (&json!("reset_password"), &json!(EVE), &Value::Null)
        );
        let asked = lines(
            &installation,
            &["audit", "list", "--action", "user.reset_requested"],
        )
        .await;
        assert_eq!(asked.len(), 1);
        assert_eq!(asked[0]["actor"], json!({"kind": "operator", "id": null}));

        installation.succeeds(&["users", "disable", EVE]).await;
        let line = installation.fails(&["users", "reset", EVE]).await;
        assert!(line.contains("disabled"), "{line}");
    }

    pub async fn personal_data_is_what_the_person_gets(installation: Installation) {
        let server = installation.serve().await;
        let client = server.client();
        installation
            .create_user(EVE, &["--display-name", "Eve", "--role", "editor"])
            .await;
        let token = client.login(EVE).await;
        let own = get(&client, &token, "/users/me/export").await;

        let mut printed = installation.json(&["users", "personal-data", EVE]).await;
        assert_eq!(printed["user"], own["user"]);
        assert_eq!(printed["mails"], own["mails"]);
        assert_eq!(printed["codes"], own["codes"]);
        assert_eq!(printed["sessions"][0]["id"], own["sessions"][0]["id"]);
        assert_eq!(printed["sessions"][0]["current"], false);
        // That an operator has asked is the newest event of theirs.
        let asked = printed["audit"].as_array_mut().unwrap().remove(0);
        assert_eq!(
            (&asked["action"], &asked["actor"]["kind"]),
            (&json!("user.exported"), &json!("operator"))
        );
        assert_eq!(printed["audit"], own["audit"]);

        let text = installation.succeeds(&["users", "personal-data", EVE]).await;
        assert!(text.lines().count() > 10, "{text}");
        serde_json::from_str::<Value>(&text).unwrap();
        assert!(!text.contains(PASSWORD), "{text}");
        let line = installation.fails(&["users", "personal-data", NOBODY]).await;
        assert!(line.contains(NOBODY), "{line}");
        server.stop().await;
    }
}

#[tokio::test]
async fn where_no_mail_is_sent_nobody_is_invited_and_no_reset_is_mailed() {
    let installation = Installation::new().in_production();
    installation.succeeds(&["migrate", "up"]).await;
    installation.prepare().await;
    let line = installation.fails(&["users", "create", EVE, "--invite"]).await;
    assert!(line.contains("mail.smtp_url"), "{line}");
    installation.create_user(EVE, &[]).await;
    let line = installation.fails(&["users", "reset", EVE]).await;
    assert!(line.contains("sends no mail"), "{line}");
}
