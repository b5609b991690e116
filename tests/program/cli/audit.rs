//! `roster audit`: a trail that nobody has touched, one that somebody has, and the trail itself.

use sea_orm::ConnectionTrait as _;
use serde_json::{Value, json};

use crate::support::{Installation, on_both_databases};

on_both_databases! {
    a_row_that_was_changed_by_hand_is_found
    a_trail_is_handed_out_and_held_against_what_it_was
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
        let expected =
            json!({"is_intact": true, "fault": null, "sealed": 4, "unsealed": 0, "removed_by_age": 0});
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
        installation.succeeds(&against).await;
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
}
