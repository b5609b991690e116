//! `roster audit`: a trail that nobody has touched, one that somebody has, and the trail itself.

use sea_orm::ConnectionTrait as _;
use serde_json::{Value, json};

use crate::support::{Installation, on_both_databases};

on_both_databases! {
    a_row_that_was_changed_by_hand_is_found
    a_trail_is_handed_out_and_held_against_what_it_was
    a_command_seals_what_it_has_done
}

mod stories {
    use super::*;

    /// Three accounts are made, and the trail is handed out, which seals it.
    async fn trail(installation: &Installation) -> String {
        installation.prepare().await;
        for name in ["ada", "ben", "cyn"] {
            installation
                .create_user(&format!("{name}@example.com"), &[])
                .await;
        }
        installation.succeeds(&["audit", "export"]).await
    }

    async fn by_hand(installation: &Installation, statement: &str) {
        let database = installation.database().await;
        database.execute_unprepared(statement).await.unwrap();
        database.close().await.unwrap();
    }

    pub async fn a_row_that_was_changed_by_hand_is_found(installation: Installation) {
        trail(&installation).await;
        let said = installation.succeeds(&["audit", "verify"]).await;
        assert!(
            said.contains("4 events are sealed, 0 wait to be, 0 were removed"),
            "{said}"
        );
        let expected = json!({
            "is_intact": true, "fault": null, "sealed": 4, "compared": 0, "exported_at": null,
            "unsealed": 0, "oldest_unsealed_seconds": null, "removed_by_age": 0,
        });
        assert_eq!(installation.json(&["audit", "verify"]).await, expected);

        by_hand(
            &installation,
            "UPDATE audit_events SET outcome = 'failure' WHERE number = 2",
        )
        .await;
        let line = installation.fails(&["audit", "verify"]).await;
        assert!(
            line.starts_with("the audit trail isn't as it was written: event 2 (")
                && line.ends_with("was changed"),
            "{line}"
        );
        let ended = installation.run(&["audit", "verify", "--json"]).await;
        assert_eq!(ended.code, 1, "{ended:?}");
        let verdict: Value = serde_json::from_str(&ended.stdout).unwrap();
        assert_eq!(verdict["is_intact"], false);
        assert_eq!(
            (&verdict["fault"]["kind"], &verdict["fault"]["number"]),
            (&json!("changed"), &json!(2))
        );
    }

    pub async fn a_trail_is_handed_out_and_held_against_what_it_was(installation: Installation) {
        let exported = trail(&installation).await;
        let lines: Vec<Value> = exported
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(
            (&lines[0]["type"], &lines[0]["last"]),
            (&json!("head"), &json!(4))
        );
        let actions: Vec<&str> = lines[1..]
            .iter()
            .map(|line| line["action"].as_str().unwrap())
            .collect();
        assert_eq!(
            actions,
            [
                "user.registered",
                "user.registered",
                "user.registered",
                "audit.exported"
            ]
        );
        assert!(lines[1..].iter().all(|line| line["actor_kind"] == "operator"));

        let file = installation.path("trail.jsonl");
        std::fs::write(&file, &exported).unwrap();
        let against = ["audit", "verify", "--against", "trail.jsonl"];
        let said = installation.succeeds(&against).await;
        assert!(
            said.contains("4 of them are those of the export, to the letter, which was made at 20"),
            "{said}"
        );
        // The key that has signed it ceases to sign, is taken out of use, and is gone.
        installation.succeeds(&["keys", "rotate"]).await;
        by_hand(&installation, "DELETE FROM signing_keys WHERE state = 'previous'").await;
        let verdict = installation.json(&against).await;
        let head: Value = serde_json::from_str(exported.lines().next().unwrap()).unwrap();
        assert_eq!(
            (&verdict["compared"], &verdict["exported_at"]),
            (&json!(4), &head["exported_at"])
        );
        let another = exported.replacen("\"outcome\":\"success\"", "\"outcome\":\"failure\"", 1);
        std::fs::write(&file, another).unwrap();
        let line = installation.fails(&against).await;
        assert_eq!(
            line,
            "trail.jsonl isn't as it was exported: event 1 was changed in it"
        );
        std::fs::write(&file, &exported).unwrap();
        by_hand(
            &installation,
            "UPDATE audit_events SET details = '{}' WHERE action = 'audit.exported'",
        )
        .await;
        let line = installation.fails(&against).await;
        assert!(
            line.contains("event 4 isn't the one that was exported, by details"),
            "{line}"
        );
        // There are accounts, each of which was made with an event.
        by_hand(&installation, "DELETE FROM audit_events").await;
        by_hand(&installation, "DELETE FROM audit_chain").await;
        let line = installation.fails(&["audit", "verify"]).await;
        assert!(
            line.contains(
                "the row of audit_chain, which says how far the trail is sealed, was changed or removed"
            ),
            "{line}"
        );
        // As an old copy of the database would be: right in itself.
        by_hand(&installation, "DELETE FROM users").await;
        installation.succeeds(&["audit", "verify"]).await;
        installation.fails(&against).await;
        std::fs::write(&file, "{}\n").unwrap();
        let line = installation.fails(&against).await;
        assert!(
            line.contains("doesn't begin with the head of an export"),
            "{line}"
        );
        std::fs::remove_file(&file).unwrap();
        let line = installation.fails(&against).await;
        assert!(line.contains("cannot read trail.jsonl"), "{line}");
    }

    pub async fn a_command_seals_what_it_has_done(installation: Installation) {
        installation.prepare().await;
        installation.create_user("ada@example.com", &[]).await;
        installation.succeeds(&["keys", "rotate"]).await;
        installation.succeeds(&["clients", "create", "billing"]).await;
        installation
            .succeeds(&["users", "disable", "ada@example.com"])
            .await;
        let verdict = installation.json(&["audit", "verify"]).await;
        assert_eq!((&verdict["sealed"], &verdict["unsealed"]), (&json!(4), &json!(0)));
        // What can't be sealed is a warning: the command is done.
        by_hand(&installation, "UPDATE audit_chain SET number = 3").await;
        let ended = installation.run(&["users", "enable", "ada@example.com"]).await;
        assert_eq!(ended.code, 0, "{ended:?}");
        assert!(
            ended
                .stderr
                .contains("have no place in the audit trail's chain yet"),
            "{ended:?}"
        );
        by_hand(&installation, "UPDATE audit_chain SET number = 4").await;
        let verdict = installation.json(&["audit", "verify"]).await;
        assert_eq!((&verdict["sealed"], &verdict["unsealed"]), (&json!(4), &json!(1)));
        assert!(verdict["oldest_unsealed_seconds"].is_u64(), "{verdict}");
        let said = installation.succeeds(&["audit", "verify"]).await;
        assert!(said.contains("1 wait to be (the oldest for "), "{said}");
    }
}
