//! `roster keys`: the keys that sign access tokens.

use serde_json::Value;

use crate::support::{Installation, on_both_databases};

on_both_databases! {
    keys_are_listed_rotated_and_retired
}

fn state(keys: &Value, state: &str) -> Vec<String> {
    let of_state = keys
        .as_array()
        .unwrap()
        .iter()
        .filter(|key| key["state"] == state);
    of_state
        .map(|key| key["id"].as_str().unwrap().to_owned())
        .collect()
}

mod stories {
    use super::*;

    pub async fn keys_are_listed_rotated_and_retired(installation: Installation) {
        installation.prepare().await;
        let first = installation.json(&["keys", "list"]).await;
        assert_eq!(first.as_array().unwrap().len(), 2);
        let text = installation.succeeds(&["keys", "list"]).await;
        for key in first.as_array().unwrap() {
            assert_eq!(key["algorithm"], "ES256");
            assert!(text.contains(key["id"].as_str().unwrap()));
            assert!(
                key.get("private_sealed").is_none() && key.get("d").is_none(),
                "{key}"
            );
        }

        let said = installation.json(&["keys", "rotate"]).await;
        let rotated = installation.json(&["keys", "list"]).await;
        assert_eq!(state(&rotated, "current"), state(&first, "next"));
        assert_eq!(state(&rotated, "previous"), state(&first, "current"));
        assert!(
            said["done"]
                .as_str()
                .unwrap()
                .contains(&state(&rotated, "current")[0]),
            "{said}"
        );

        // The current one: the next takes its place at once.
        installation
            .succeeds(&["keys", "retire", &state(&rotated, "current")[0], "--yes"])
            .await;
        let retired = installation.json(&["keys", "list"]).await;
        assert_eq!(state(&retired, "current"), state(&rotated, "next"));
        assert_eq!(state(&retired, "previous"), state(&rotated, "previous"));
        assert_eq!(state(&retired, "next").len(), 1);

        // Also without --yes: there is nothing to be asked about.
        let line = installation.fails(&["keys", "retire", "no-such-key"]).await;
        assert!(line.contains("no-such-key"), "{line}");
        assert_eq!(installation.json(&["keys", "list"]).await, retired);
        installation.serve().await.stop().await;
    }
}

/// One id in 64 does.
#[tokio::test]
async fn an_id_that_begins_with_a_hyphen_is_an_id() {
    let installation = Installation::new();
    installation.prepare().await;
    let line = installation.fails(&["keys", "retire", "-no-such-key"]).await;
    assert!(line.contains("-no-such-key"), "{line}");
}

#[tokio::test]
async fn keys_that_another_secret_sealed_can_be_ended_but_not_rotated() {
    let installation = Installation::new();
    installation.prepare().await;
    let keys = installation.json(&["keys", "list"]).await;
    std::fs::write(installation.path("data/secret.key"), crate::support::SECRET).unwrap();
    let line = installation.fails(&["keys", "rotate"]).await;
    assert!(
        line.contains("security.secret_key") && !line.contains("internal error"),
        "{line}"
    );
    assert_eq!(installation.json(&["keys", "list"]).await, keys);
    for id in state(&keys, "next").iter().chain(&state(&keys, "current")) {
        installation.succeeds(&["keys", "retire", id, "--yes"]).await;
    }
    installation.serve().await.stop().await;
}

#[tokio::test]
async fn a_rotation_before_there_are_keys_is_refused() {
    let installation = Installation::new();
    installation.succeeds(&["migrate", "up"]).await;
    let ended = installation.run(&["keys", "rotate"]).await;
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(
        ended.stderr.contains("roster: There are no signing keys yet"),
        "{ended:?}"
    );
}
