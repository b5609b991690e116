//! `roster users import`, `export` and `schemes`: everybody comes over, nobody twice, and all of them go again.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Installation, ROSTER, column, on_both_databases, rounds};

/// The password of everybody here, as the bcrypt package of the Python Package Index hashes it:
/// `bcrypt.hashpw(b"plum-orbit-canvas-47", bcrypt.gensalt(5))`.
const BCRYPT: &str = "$2b$05$2Jokuqkns62loJysM0KLDecQuLloYy.h5VV1G0oCx9VHcvd7S.eVy";

on_both_databases! {
    everybody_comes_over_and_goes_again
    what_is_refused_is_said_with_its_line
    an_import_that_is_killed_is_gone_on_with
    schemes_are_counted
}

/// Lines for so many users, some with everything that a record may have.
fn lines(count: usize) -> String {
    let mut text = String::new();
    for number in 0..count {
        let line = if number % 7 == 0 {
            json!({
                "email": format!("user-{number}@example.test"),
                "email_verified": true,
                "display_name": format!("Ütz \"{number}\""),
                "locale": "de-AT",
                "metadata": {"n": number, "of": [1.5, null, "ü"]},
                "roles": ["editor", "author"],
                "status": if number % 2 == 0 { "disabled" } else { "active" },
                "password_hash": BCRYPT,
                "created_at": "2020-02-03T04:05:06.789+02:00",
                "last_login_at": "2021-02-03T04:05:06Z",
            })
        } else {
            json!({"email": format!("user-{number}@example.test"), "password_hash": BCRYPT})
        };
        writeln!(text, "{line}").unwrap();
    }
    text
}

fn sums(report: &Value) -> [u64; 4] {
    ["read", "imported", "existing", "refused"].map(|name| report[name].as_u64().unwrap())
}

mod stories {
    use super::*;

    pub async fn everybody_comes_over_and_goes_again(installation: Installation) {
        installation.prepare().await;
        std::fs::write(installation.path("users.jsonl"), lines(2500)).unwrap();
        let import = ["users", "import", "users.jsonl", "--from", "roster"];
        let tried = installation.json(&[&import[..], &["--dry-run"]].concat()).await;
        assert_eq!(
            (sums(&tried), &tried["dry_run"]),
            ([2500, 2500, 0, 0], &json!(true))
        );
        assert_eq!(installation.succeeds(&["users", "export"]).await, "");
        let said = installation.succeeds(&import).await;
        assert_eq!(
            said,
            "2500 rows read: 2500 imported, 0 there already, 0 refused\n"
        );
        assert_eq!(sums(&installation.json(&import).await), [2500, 0, 2500, 0]);

        let without = installation.succeeds(&["users", "export"]).await;
        assert_eq!(without.lines().count(), 2500);
        assert!(!without.contains("$2b$") && !without.contains("password_hash"));
        let all = installation.export_with_hashes().await;
        assert_eq!(all.matches(BCRYPT).count(), 2500);

        // Elsewhere, from standard input: the same to the byte.
        let elsewhere = installation.another().await;
        elsewhere.prepare().await;
        let from_input = ["users", "import", "-", "--from", "roster"];
        elsewhere.succeeds_with_input(&from_input, &all).await;
        assert!(
            elsewhere.export_with_hashes().await == all,
            "the second export differs"
        );
        let server = elsewhere.serve().await;
        server.client().login("user-1@example.test").await;
        server.stop().await;
        assert!(
            elsewhere
                .succeeds(&["audit", "verify"])
                .await
                .contains("as it was written")
        );
    }

    pub async fn what_is_refused_is_said_with_its_line(installation: Installation) {
        installation.prepare().await;
        let file = "{\"email\": \"one@example.test\"}\n{\"email\": 7}\n\n{\"email\": \"two@example.test\"}\n";
        std::fs::write(installation.path("users.jsonl"), file).unwrap();
        let ended = installation
            .run(&["users", "import", "users.jsonl", "--from", "roster"])
            .await;
        assert_eq!(ended.code, 1, "{ended:?}");
        assert_eq!(
            ended.stdout,
            "3 rows read: 2 imported, 0 there already, 1 refused\n"
        );
        let said: Vec<&str> = ended.stderr.lines().collect();
        assert!(said[0].starts_with("line 2: email: "), "{said:?}");
        assert_eq!(said[1], "roster: 1 of 3 rows were refused");

        let line = installation
            .fails(&["users", "import", "no-such-file", "--from", "csv"])
            .await;
        assert!(line.starts_with("cannot read no-such-file: "), "{line}");
        let line = installation
            .fails(&["users", "import", "users.jsonl", "--from", "firebase"])
            .await;
        assert!(line.contains("the import stopped"), "{line}");
        let ended = installation
            .run(&["users", "import", "users.jsonl", "--from", "mysql"])
            .await;
        assert_eq!(ended.code, 2, "{ended:?}");
        assert!(ended.stderr.contains("better-auth"), "{ended:?}");
    }

    pub async fn an_import_that_is_killed_is_gone_on_with(installation: Installation) {
        const USERS: usize = 8000;
        installation.prepare().await;
        std::fs::write(installation.path("users.jsonl"), lines(USERS)).unwrap();
        let import = ["users", "import", "users.jsonl", "--from", "roster"];
        for round in 0..rounds(3) {
            let mut command = installation.program(ROSTER);
            let mut child = command.args(import).spawn().unwrap();
            // Each time it comes a little further; where the last one had come to its end, this one ends at once.
            let at = Duration::from_millis(150 + 130 * u64::try_from(round).unwrap());
            let _ = tokio::time::timeout(at, child.wait()).await;
            let _ = child.kill().await;
        }
        let ended = installation.json(&import).await;
        let [read, imported, existing, refused] = sums(&ended);
        assert_eq!(
            (read, imported + existing, refused),
            (USERS as u64, USERS as u64, 0)
        );
        let database = installation.database().await;
        let count = column(&database, "SELECT CAST(COUNT(*) AS TEXT) FROM users").await;
        let distinct = column(&database, "SELECT CAST(COUNT(DISTINCT email) AS TEXT) FROM users").await;
        // Each of the accounts with roles has both of them: what is written of a user is written as a whole.
        let roles = column(&database, "SELECT CAST(COUNT(*) AS TEXT) FROM user_roles").await;
        database.close().await.unwrap();
        let wanted = USERS.to_string();
        assert_eq!((&count, &distinct), (&vec![wanted.clone()], &vec![wanted]));
        assert_eq!(roles, [(2 * USERS.div_ceil(7)).to_string()]);
    }

    pub async fn schemes_are_counted(installation: Installation) {
        installation.prepare().await;
        installation.create_user("ada@example.com", &[]).await;
        installation
            .succeeds_with_input(&["users", "import", "-", "--from", "roster"], &lines(3))
            .await;
        let table = installation.succeeds(&["users", "schemes"]).await;
        let rows: Vec<Vec<&str>> = table
            .lines()
            .map(|line| line.split_whitespace().collect())
            .collect();
        assert_eq!(rows[0][..3], ["SCHEME", "COST", "ACCOUNTS"], "{table}");
        assert_eq!(rows[1], ["bcrypt", "cost=4", "1", "-", "1", "-"], "{table}");
        assert_eq!(rows[2][..3], ["bcrypt", "cost=5", "3"], "{table}");
        let json = installation.json(&["users", "schemes"]).await;
        assert_eq!(
            (&json["items"][1]["accounts"], &json["without_password"]),
            (&json!(3), &json!(0))
        );
    }
}
