//! `roster migrate`: needs the database's settings and nothing else.

use migration::{Migrator, MigratorTrait as _};
use serde_json::{Value, json};

use crate::support::{Installation, on_both_databases};

on_both_databases! {
    the_schema_goes_up_and_down_and_says_where_it_is
    production_migrates_with_nothing_but_the_database
    fresh_leaves_an_empty_schema_and_what_is_not_ours
}

/// How many migrations there are.
fn all() -> usize {
    Migrator::migrations().len()
}

async fn applied(installation: &Installation) -> Vec<bool> {
    let status = installation.json(&["migrate", "status"]).await;
    status
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["applied"].as_bool().unwrap())
        .collect()
}

mod stories {
    use super::*;
    use sea_orm::ConnectionTrait as _;

    pub async fn the_schema_goes_up_and_down_and_says_where_it_is(installation: Installation) {
        let first = installation.json(&["migrate", "up"]).await;
        let names: Vec<Value> = first["applied"].as_array().unwrap().clone();
        let all = all();
        assert_eq!(names.len(), all);
        assert_eq!(
            installation.json(&["migrate", "up"]).await,
            json!({ "applied": [] })
        );
        assert!(
            installation
                .succeeds(&["migrate", "up"])
                .await
                .starts_with("nothing to do")
        );
        assert_eq!(applied(&installation).await, vec![true; all]);

        let last = installation.json(&["migrate", "down", "--yes"]).await;
        assert_eq!(last, json!({ "taken_back": [names[all - 1]] }));
        let up_to = |count: usize| -> Vec<bool> { (0..all).map(|index| index < count).collect() };
        assert_eq!(applied(&installation).await, up_to(all - 1));
        let more = installation.json(&["migrate", "down", "-n", "2", "--yes"]).await;
        assert_eq!(more, json!({ "taken_back": [names[all - 2], names[all - 3]] }));
        let text = installation.succeeds(&["migrate", "status"]).await;
        let states: Vec<_> = text
            .lines()
            .skip(1)
            .map(|line| line.split_whitespace().last().unwrap() == "applied")
            .collect();
        assert_eq!(states, up_to(all - 3), "{text}");
        installation
            .succeeds(&["migrate", "down", "-n", "99", "--yes"])
            .await;
        assert_eq!(applied(&installation).await, vec![false; all]);
        assert!(
            installation
                .succeeds(&["migrate", "down", "--yes"])
                .await
                .starts_with("nothing to do")
        );

        let again = installation.json(&["migrate", "up"]).await;
        assert_eq!(again["applied"], Value::from(names));
        installation.serve().await.stop().await;
    }

    pub async fn production_migrates_with_nothing_but_the_database(installation: Installation) {
        let installation = installation
            .with("ROSTER_ENV", "production")
            .without("ROSTER__PASSWORD__BCRYPT_COST");
        installation.succeeds(&["migrate", "up"]).await;
        installation.succeeds(&["migrate", "status"]).await;
        installation.succeeds(&["migrate", "down", "--yes"]).await;
        installation.succeeds(&["migrate", "fresh", "--yes"]).await;
        // Where it is the only thing that is missing, the same settings serve.
        installation.in_production().serve().await.stop().await;
    }

    pub async fn fresh_leaves_an_empty_schema_and_what_is_not_ours(installation: Installation) {
        installation.prepare().await;
        installation.create_user("ada@example.com", &[]).await;
        let database = installation.database().await;
        database
            .execute_unprepared("CREATE TABLE theirs (id int); INSERT INTO theirs VALUES (1)")
            .await
            .unwrap();
        installation.succeeds(&["migrate", "fresh", "--yes"]).await;
        assert_eq!(applied(&installation).await, vec![true; all()]);
        for (query, rows) in [
            ("SELECT * FROM users", 0),
            ("SELECT * FROM signing_keys", 0),
            ("SELECT * FROM theirs", 1),
        ] {
            assert_eq!(crate::support::count(&database, query).await, rows, "{query}");
        }
        database.close().await.unwrap();
        let server = installation.serve().await;
        server.client().register("ada@example.com").await;
        server.stop().await;
    }
}

#[tokio::test]
async fn only_up_and_fresh_make_a_database() {
    let installation = Installation::new();
    for arguments in [&["migrate", "status"][..], &["migrate", "down", "--yes"]] {
        let line = installation.fails(arguments).await;
        assert!(
            line.contains("data/roster.db") && line.contains("roster migrate up"),
            "{line}"
        );
    }
    for (command, says) in [("up", "would be applied"), ("fresh", "applied anew")] {
        let text = installation.succeeds(&["migrate", command, "--dry-run"]).await;
        assert!(text.contains(says), "{text}");
    }
    assert!(installation.contents().is_empty());
    installation.succeeds(&["migrate", "fresh", "--yes"]).await;
    assert_eq!(applied(&installation).await, vec![true; all()]);
}

#[tokio::test]
async fn migrating_twice_at_once_does_it_once() {
    let Some(installation) = Installation::on_postgresql().await else {
        return;
    };
    for installation in [Installation::new(), installation] {
        let up = || installation.json(&["migrate", "up"]);
        let (one, other) = tokio::join!(up(), up());
        let mut counts = [one, other].map(|done| done["applied"].as_array().unwrap().len());
        counts.sort_unstable();
        assert_eq!(counts, [0, all()]);
    }
}
