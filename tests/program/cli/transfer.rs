//! `roster users import`, `export` and `schemes`: everybody comes over, nobody twice, and all of them go again.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::process::Stdio;
use std::time::Duration;

use sea_orm::{ConnectionTrait as _, DatabaseConnection};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::time::{sleep, timeout};

use crate::support::{Installation, PATIENCE, ROSTER, Terminal, column, connect, on_both_databases, rounds};

/// The password of everybody here, as the bcrypt package of the Python Package Index hashes it:
/// `bcrypt.hashpw(b"plum-orbit-canvas-47", bcrypt.gensalt(5))`.
const BCRYPT: &str = "$2b$05$2Jokuqkns62loJysM0KLDecQuLloYy.h5VV1G0oCx9VHcvd7S.eVy";

on_both_databases! {
    everybody_comes_over_and_goes_again
    what_is_refused_is_said_with_its_line
    what_can_be_gone_on_with_is_said_and_nothing_else
    an_import_that_is_killed_is_gone_on_with
    a_file_of_firebase_may_have_its_parameters_in_it
    schemes_are_counted
}

/// Lines for so many users, some with everything that a record may have.
pub(super) fn lines(count: usize) -> String {
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

/// A look at the database that leaves it as it is: a connection that may write would tidy SQLite's log up when it is
/// closed, and the next import would find another log than the killed one has left.
async fn look(installation: &Installation) -> DatabaseConnection {
    let file = installation.path("data/roster.db");
    if file.exists() {
        connect(&format!("sqlite://{}?mode=ro", file.display())).await
    } else {
        installation.database().await
    }
}

async fn accounts(database: &DatabaseConnection) -> usize {
    let count = column(database, "SELECT CAST(COUNT(*) AS TEXT) FROM users").await;
    count[0].parse().unwrap()
}

#[tokio::test]
async fn who_moves_from_one_database_to_the_other_and_back_is_the_same_to_the_byte() {
    let Some(postgresql) = Installation::on_postgresql().await else {
        return;
    };
    let (sqlite, back) = (Installation::new(), Installation::new());
    for installation in [&sqlite, &postgresql, &back] {
        installation.prepare().await;
    }
    let import = ["users", "import", "-", "--from", "roster"];
    // More than are read, written and exported at a time, with and without everything that a record may have.
    let mut all = lines(2100);
    writeln!(
        all,
        "{}",
        json!({
            "email": "exact@example.test",
            "pending_email": "other@example.test",
            // What a database could round, reorder or trim.
            "metadata": {"z": 1.0, "a": 1e-7, "n": 9_007_199_254_740_993_u64, "text": " \u{1f98a}\t\"\\ ", "list": []},
            "created_at": "0001-01-01T00:00:00.001Z",
            "updated_at": "9999-12-31T23:59:59.999Z",
            "last_login_at": "1969-12-31T23:59:59.999Z",
        })
    )
    .unwrap();
    sqlite.succeeds_with_input(&import, &all).await;
    let first = sqlite.export_with_hashes().await;
    assert_eq!(first.lines().count(), 2101);
    postgresql.succeeds_with_input(&import, &first).await;
    let second = postgresql.export_with_hashes().await;
    assert!(second == first, "PostgreSQL has made something else of it");
    back.succeeds_with_input(&import, &second).await;
    assert!(
        back.export_with_hashes().await == first,
        "SQLite has made something else of it"
    );
}

#[tokio::test]
async fn a_terminal_is_shown_how_far_it_has_come_and_a_file_is_not() {
    let installation = Installation::new();
    installation.prepare().await;
    std::fs::write(installation.path("users.jsonl"), lines(2500)).unwrap();
    let Some(terminal) = Terminal::open(&installation, "users import users.jsonl --from roster") else {
        return;
    };
    let (code, screen) = terminal.ended().await;
    assert_eq!(code, Some(0), "{screen}");
    // A bar of thirty signs, written over, and gone when there is something to say.
    let bar = screen.split('[').find(|part| part.contains(" %")).expect("a bar");
    let (signs, share) = bar.split_once(']').unwrap();
    assert_eq!(signs.len(), 30, "{screen}");
    assert!(
        signs.starts_with('#') && signs.trim_matches(['#', '.']).is_empty(),
        "{screen}"
    );
    let share: u32 = share.split('%').next().unwrap().trim().parse().unwrap();
    assert!((1..=100).contains(&share), "{screen}");
    let (_, after) = screen.rsplit_once(" %").unwrap();
    assert!(after.contains("\r\u{1b}[K"), "the bar stays: {after:?}");
    assert!(after.contains("2500 rows read: 2500 imported"), "{after:?}");

    // What has no length is counted, and so is what goes out.
    let terminal = Terminal::open(&installation, "users export").unwrap();
    let (code, screen) = terminal.ended().await;
    assert_eq!(code, Some(0));
    assert!(screen.contains("\r1 users\u{1b}[K"), "no count on the screen");

    // `succeeds` holds that nothing is said on standard error where that isn't a terminal.
    let again = installation
        .succeeds(&["users", "import", "users.jsonl", "--from", "roster"])
        .await;
    assert_eq!(
        again,
        "2500 rows read: 0 imported, 2500 there already, 0 refused\n"
    );
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
        // Each of the three is in the trail, and whether it had the hashes.
        let trail = installation.succeeds(&["audit", "export"]).await;
        let exported: Vec<(Value, Value)> = trail
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap())
            .filter(|line| line["action"] == "users.exported")
            .map(|line| (line["actor_kind"].clone(), line["details"].clone()))
            .collect();
        let event = |with_hashes: bool| (json!("operator"), json!({"with_password_hashes": with_hashes}));
        assert_eq!(exported, [event(false), event(false), event(true)]);

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
        assert_eq!(said[1], "roster: 1 of 3 rows was refused");

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

    pub async fn what_can_be_gone_on_with_is_said_and_nothing_else(installation: Installation) {
        const ADVICE: &str = "; what was imported before stays, and the same command goes on from there";
        installation.prepare().await;
        std::fs::write(installation.path("empty.csv"), "").unwrap();
        std::fs::write(installation.path("utf-16.csv"), b"\xff\xfee\0m\0a\0i\0l\0\n\0").unwrap();
        std::fs::write(
            installation.path("semicolons.csv"),
            "email;locale\nada@example.test;de\n",
        )
        .unwrap();
        std::fs::create_dir(installation.path("folder.csv")).unwrap();
        for (file, detail) in [
            ("empty.csv", "the file is empty"),
            ("utf-16.csv", "the file is UTF-16"),
            (
                "semicolons.csv",
                "the file must be CSV in UTF-8, separated by commas",
            ),
            ("folder.csv", "cannot read the file"),
        ] {
            for more in [&[][..], &["--dry-run"]] {
                let arguments = [&["users", "import", file, "--from", "csv"][..], more].concat();
                let line = installation.fails(&arguments).await;
                let wanted = format!("the import stopped: {detail}");
                assert!(
                    line.starts_with(&wanted) && !line.contains("stays"),
                    "{arguments:?}: {line}"
                );
            }
        }

        // A database that can't do it: there the same command is what helps, once the cause is gone.
        std::fs::write(installation.path("users.jsonl"), lines(3)).unwrap();
        let database = installation.database().await;
        database
            .execute_unprepared("ALTER TABLE users RENAME TO users_away")
            .await
            .unwrap();
        database.close().await.unwrap();
        for (more, is_advised) in [(&[][..], true), (&["--dry-run"][..], false)] {
            let arguments = [&["users", "import", "users.jsonl", "--from", "roster"][..], more].concat();
            let ended = installation.run(&arguments).await;
            assert_eq!((ended.code, ended.stdout.as_str()), (1, ""), "{ended:?}");
            let line = ended.stderr.lines().last().unwrap_or_default();
            assert!(line.starts_with("roster: the import stopped: "), "{ended:?}");
            assert_eq!(line.ends_with(ADVICE), is_advised, "{line}");
            assert_eq!(line.contains("stays"), is_advised, "{line}");
        }
    }

    pub async fn an_import_that_is_killed_is_gone_on_with(installation: Installation) {
        /// Twice as many as an import reads at a time: of so many more, some are always written.
        const STEP: usize = 8000;
        let rounds = rounds(3);
        let users = STEP * (rounds + 1);
        installation.prepare().await;
        let text = lines(users);
        std::fs::write(installation.path("users.jsonl"), &text).unwrap();
        for round in 1..=rounds {
            let look = look(&installation).await;
            let before = accounts(&look).await;
            let mut child = installation
                .program(ROSTER)
                .args(["users", "import", "-", "--from", "roster"])
                .stdin(Stdio::piped())
                .spawn()
                .unwrap();
            // It gets a part and never the end, so it can't be done before it is killed, however slow this test is.
            let part: String = text.split_inclusive('\n').take(STEP * round).collect();
            let mut stdin = child.stdin.take().unwrap();
            let feeding = tokio::spawn(async move {
                // It may be killed before it has read everything.
                let _ = stdin.write_all(part.as_bytes()).await;
                stdin
            });
            let moved = async {
                while accounts(&look).await == before {
                    assert_eq!(child.try_wait().unwrap(), None, "the import ended by itself");
                    sleep(Duration::from_millis(2)).await;
                }
            };
            timeout(PATIENCE, moved).await.expect("an import that writes");
            child.kill().await.unwrap();
            drop(feeding.await.unwrap());
            let left = accounts(&look).await;
            look.close().await.unwrap();
            assert!(
                before < left && left < users,
                "round {round}: {left} of {users}, {before} of them before"
            );
        }
        let ended = installation
            .json(&["users", "import", "users.jsonl", "--from", "roster"])
            .await;
        let [read, imported, existing, refused] = sums(&ended);
        let wanted = u64::try_from(users).unwrap();
        assert_eq!((read, imported + existing, refused), (wanted, wanted, 0));
        assert!(imported > 0, "{ended}");
        assert_eq!(existing > 0, rounds > 0, "{ended}");

        let database = installation.database().await;
        let emails = column(&database, "SELECT CAST(email AS TEXT) FROM users").await;
        // Each of the accounts with roles has both of them: what is written of a user is written as a whole.
        let roles = column(&database, "SELECT CAST(COUNT(*) AS TEXT) FROM user_roles").await;
        database.close().await.unwrap();
        assert_eq!(emails.len(), users);
        let emails: BTreeSet<String> = emails.into_iter().collect();
        let wanted: BTreeSet<String> = (0..users)
            .map(|number| format!("user-{number}@example.test"))
            .collect();
        assert!(emails == wanted, "other accounts than those of the file");
        assert_eq!(roles, [(2 * users.div_ceil(7)).to_string()]);
    }

    pub async fn a_file_of_firebase_may_have_its_parameters_in_it(installation: Installation) {
        const CONFIG: &str = include_str!("../../exports/firebase-config.txt");
        installation.prepare().await;
        let export: Value = serde_json::from_str(include_str!("../../exports/firebase.json")).unwrap();
        let text = format!(
            "{{\"hash_config\": {},\n\"users\": {}}}",
            json!(CONFIG),
            export["users"]
        );
        std::fs::write(installation.path("firebase.json"), text).unwrap();
        std::fs::write(installation.path("config.txt"), CONFIG).unwrap();
        let import = ["users", "import", "firebase.json", "--from", "firebase"];
        // Once is enough, and whoever gives them twice is asked which.
        let line = installation
            .fails(&[&import[..], &["--firebase-config", "config.txt"]].concat())
            .await;
        assert!(
            line.contains("has a hash_config, and another one was given besides"),
            "{line}"
        );
        let ended = installation.run(&import).await;
        assert_eq!(ended.code, 1, "{ended:?}");
        assert_eq!(
            ended.stdout,
            "3 rows read: 2 imported, 0 there already, 1 refused\n"
        );
        assert!(ended.stderr.starts_with("line 2: email: "), "{ended:?}");
        let schemes = installation.json(&["users", "schemes"]).await;
        assert_eq!(schemes["items"][0]["scheme"], "firebase-scrypt", "{schemes}");
        assert_eq!(schemes["without_password"], 1, "{schemes}");
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
        // The first of the three signed in once, and the others never.
        assert_eq!(
            rows[2],
            ["bcrypt", "cost=5", "3", "2021-02-03T04:05:06Z", "2", "-"],
            "{table}"
        );
        let json = installation.json(&["users", "schemes"]).await;
        assert_eq!(
            (&json["items"][1]["accounts"], &json["without_password"]),
            (&json!(3), &json!(0))
        );
        assert_eq!(json["items"][1]["oldest_login_at"], "2021-02-03T04:05:06Z");
        assert_eq!(json["items"][0]["oldest_login_at"], Value::Null);
    }
}
