//! `--dry-run`: what is only said.

use serde_json::json;

use crate::support::{Installation, PASSWORD, on_both_databases};

const ADA: &str = "ada@example.com";
const EVE: &str = "eve@example.com";

on_both_databases! {
    a_dry_run_says_what_would_be_done_and_does_nothing
    what_would_be_refused_is_refused_in_a_dry_run
}

/// All that the commands below could change, as other commands print it.
async fn everything(installation: &Installation) -> Vec<String> {
    let mut printed = Vec::new();
    for command in [
        &["users", "list"][..],
        &["users", "sessions", EVE],
        &["keys", "list"],
        &["clients", "list"],
        &["mail", "list"],
        &["audit", "list"],
        &["migrate", "status"],
    ] {
        printed.push(installation.succeeds(&[command, &["--json"]].concat()).await);
    }
    printed
}

/// An admin, somebody who is signed in, and a service; gives the ids of a key and of the service.
async fn furnished(installation: &Installation) -> (String, String) {
    let server = installation.serve().await;
    installation.create_user(ADA, &["--role", "admin"]).await;
    installation.create_user(EVE, &["--role", "author"]).await;
    server.client().login(EVE).await;
    server.stop().await;
    let client = installation.json(&["clients", "create", "billing"]).await;
    let keys = installation.json(&["keys", "list"]).await;
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    (text(&keys[0]["id"]), text(&client["client_id"]))
}

mod stories {
    use super::*;

    pub async fn a_dry_run_says_what_would_be_done_and_does_nothing(installation: Installation) {
        let (key, client) = furnished(&installation).await;
        installation.succeeds(&["users", "reset", EVE]).await;
        let mails = installation.json(&["mail", "list"]).await;
        let mail = mails[0]["id"].as_str().unwrap();
        let before = everything(&installation).await;
        for (command, says) in [
            (
                &["users", "update", EVE, "--status", "disabled", "--role", "editor"][..],
                EVE,
            ),
            (&["users", "set-role", EVE, "editor"], "editor in place of author"),
            (&["users", "disable", EVE], "lose 1 session"),
            (&["users", "enable", EVE], "would stay as it is"),
            (&["users", "sessions", EVE, "--end"], "(1) would end"),
            (&["users", "reset", EVE], "would be mailed"),
            (
                &["users", "delete", EVE],
                "would be removed for good, with 1 session",
            ),
            (
                &["users", "create", "bob@example.com", "--invite"],
                "bob@example.com would be made",
            ),
            (&["keys", "rotate"], "would sign from now on"),
            (&["keys", "retire", &key], "would be out of use"),
            (&["clients", "create", "shipping"], "shipping would be registered"),
            (&["clients", "delete", &client], "would be removed"),
            (&["mail", "retry", mail], "1 mail would be tried at once"),
            (&["mail", "purge", mail], "1 mail would be removed"),
            (&["migrate", "up"], "every migration is applied"),
            (&["migrate", "down"], "would be taken back"),
            (&["migrate", "fresh"], "applied anew"),
        ] {
            let command = [command, &["--dry-run"]].concat();
            let text = installation.succeeds(&command).await;
            assert!(
                text.contains(says) && text.contains("(a dry run: nothing was changed)"),
                "{command:?}: {text}"
            );
            let data = installation.json(&command).await;
            assert_eq!(data["dry_run"], true, "{command:?}: {data}");
            assert!(data["would"].is_string(), "{command:?}: {data}");
        }
        for command in [
            &[
                "users",
                "create",
                "bob@example.com",
                "--password-stdin",
                "--dry-run",
            ][..],
            &["users", "set-password", EVE, "--password-stdin", "--dry-run"],
        ] {
            let text = installation.succeeds_with_input(command, PASSWORD).await;
            assert!(text.contains("nothing was changed"), "{command:?}: {text}");
        }
        assert_eq!(everything(&installation).await, before);

        let update = [
            "users",
            "update",
            EVE,
            "--email",
            "eve@example.org",
            "--display-name",
            "Eve",
            "--no-roles",
            "--status",
            "disabled",
            "--dry-run",
        ];
        let data = installation.json(&update).await;
        let changed = |member: &str, from: serde_json::Value, to: serde_json::Value| json!({"member": member, "from": from, "to": to});
        assert_eq!(
            data["changes"],
            json!([
                changed("email", json!(EVE), json!("eve@example.org")),
                changed("display_name", json!(null), json!("Eve")),
                changed("roles", json!(["author"]), json!([])),
                changed("status", json!("active"), json!("disabled")),
                changed("sessions", json!(1), json!(0)),
            ])
        );
        let table = installation.succeeds(&update).await;
        assert!(table.starts_with("MEMBER") && table.contains("NOW"), "{table}");
        let same = ["users", "update", EVE, "--role", "author", "--dry-run"];
        assert_eq!(installation.json(&same).await["changes"], json!([]));
        assert_eq!(everything(&installation).await, before);

        // And then for real: it is the same command.
        let real = update.split_last().unwrap().1;
        assert_eq!(installation.json(real).await["email"], "eve@example.org");
    }

    pub async fn what_would_be_refused_is_refused_in_a_dry_run(installation: Installation) {
        let _ = furnished(&installation).await;
        let before = everything(&installation).await;
        for (command, why) in [
            (&["users", "disable", ADA][..], "last active admin"),
            (&["users", "delete", ADA], "last active admin"),
            (&["users", "set-role", ADA, "editor"], "last active admin"),
            (&["users", "update", ADA, "--no-roles"], "last active admin"),
            (&["users", "update", EVE, "--email", ADA], "another account"),
            (&["users", "create", ADA, "--invite"], "another account"),
            (&["users", "delete", "bob@example.com"], "bob@example.com"),
            (&["keys", "retire", "no-such-key"], "no-such-key"),
        ] {
            let line = installation.fails(&[command, &["--dry-run"]].concat()).await;
            assert!(line.contains(why), "{command:?}: {line}");
        }
        let create = [
            "users",
            "create",
            "bob@example.com",
            "--password-stdin",
            "--dry-run",
        ];
        let line = installation.fails_with_input(&create, "password123").await;
        assert!(line.contains("common"), "{line}");
        assert_eq!(everything(&installation).await, before);
    }
}
