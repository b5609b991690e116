//! Moving users in over HTTP, taking one's own data along, and the list of hash schemes.

use std::fmt::Write as _;
use std::time::Duration;

use roster::audit::service::{seal_all, verify};
use sea_orm::{ConnectionTrait as _, DbBackend};
use serde_json::{Value, json};

use crate::support::{Answer, OTHER_PASSWORD, PASSWORD, Stage, World, token};

const LINES: &str = "application/x-ndjson";
/// `PASSWORD`, as the bcrypt package of the Python Package Index hashes it:
/// `bcrypt.hashpw(PASSWORD, bcrypt.gensalt(5))`.
const BCRYPT: &str = "$2b$05$2Jokuqkns62loJysM0KLDecQuLloYy.h5VV1G0oCx9VHcvd7S.eVy";

/// Firebase's own example of a user, with the parameters of its project as the console shows them.
const FIREBASE: &str = include_str!("../exports/firebase.json");
const FIREBASE_CONFIG: &str = include_str!("../exports/firebase-config.txt");
/// The password of that example.
const FIREBASE_PASSWORD: &str = "user1password";

/// The users of the example, as the text of an array.
fn firebase_users() -> String {
    let export: Value = serde_json::from_str(FIREBASE).unwrap();
    export["users"].to_string()
}

/// A statement that makes 12,000 accounts: a third without a password, half of them signed in once, and one of those long ago.
fn many_with_hashes(world: &World) -> String {
    let columns = "id, email, email_verified, metadata, status, revision, created_at, updated_at, password_hash, last_login_at";
    let (id, numbers, time) = match world.db().get_database_backend() {
        DbBackend::Postgres => (
            "gen_random_uuid()",
            "generate_series(1, 12000) AS n(n)",
            "::timestamptz",
        ),
        _ => (
            "randomblob(16)",
            "(WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 12000) SELECT n FROM n) n",
            "",
        ),
    };
    let at = |year: u32| format!("'{year}-01-01T00:00:00+00:00'{time}");
    let (made, old, usual) = (at(2001), at(2002), at(2003));
    format!(
        "INSERT INTO users ({columns}) SELECT {id}, 'many' || n || '@example.test', false, '{{}}', 'active', 1, {made}, {made}, \
         CASE WHEN n % 3 = 0 THEN NULL ELSE '{BCRYPT}' END, \
         CASE WHEN n = 11998 THEN {old} WHEN n % 2 = 0 THEN {usual} END FROM {numbers}"
    )
}

async fn import(world: &World, token: &str, query: &str, media_type: &str, body: &str) -> Answer {
    world
        .post(&format!("/admin/import{query}"))
        .bearer(token)
        .body(media_type, body.to_owned())
        .await
}

async fn admin(world: &World) -> String {
    let admin = world.admin().await;
    world.sign_in(&admin).await
}

fn sums(report: &Value) -> [u64; 4] {
    ["read", "imported", "existing", "refused"].map(|name| report[name].as_u64().unwrap())
}

scenario! {
    async fn who_was_moved_in_signs_in_as_before_and_gets_a_hash_of_today(world: World) {
        let token = admin(&world).await;
        let line = json!({
            "id": "0190a5d0-3c5e-7b2f-8a41-0d6f2b7c9e13",
            "email": "Ada@Example.test",
            "email_verified": true,
            "display_name": "Ada",
            "locale": "de-AT",
            "metadata": {"plan": "pro"},
            "roles": ["editor"],
            "password_hash": BCRYPT,
            "created_at": "2020-02-03T04:05:06.789Z",
        });
        let report = import(&world, &token, "", LINES, &format!("{line}\n")).await.expect(200).json().clone();
        assert_eq!(sums(&report), [1, 1, 0, 0]);
        assert_eq!(report["refusals"], json!([]));
        let signed_in = world.log_in("ada@example.test", PASSWORD).await.expect(200).json().clone();
        let profile = world.profile(signed_in["access_token"].as_str().unwrap()).await;
        assert_eq!(profile["id"], line["id"]);
        assert_eq!(profile["email"], "ada@example.test");
        assert_eq!(profile["email_verified"], true);
        assert_eq!(profile["locale"], "de-AT");
        assert_eq!(profile["metadata"], line["metadata"]);
        assert_eq!(profile["roles"], line["roles"]);
        assert_eq!(profile["created_at"], line["created_at"]);
        let rewritten = world.audit("user.sign_in").await;
        assert!(rewritten.iter().any(|event| event.details.contains("\"rehashed\":true")));
        let imported = world.only_audit("users.imported").await;
        assert_eq!(imported.details, r#"{"imported":1,"source":"roster"}"#);
        // The admin has an event of the same kind.
        let given = world.audit("user.roles_changed").await;
        let given: Vec<_> = given.iter().filter(|event| json!(event.subject_id) == line["id"]).collect();
        assert_eq!(given.len(), 1, "{given:?}");
        assert_eq!((given[0].details.as_str(), given[0].actor_id), (r#"{"roles":["editor"],"roles_before":[]}"#, imported.actor_id));
        world.log_in("ada@example.test", OTHER_PASSWORD).await.expect(401);
        world.log_in("ada@example.test", PASSWORD).await.expect(200);
    }

    async fn the_same_file_again_changes_nothing(world: World) {
        let token = admin(&world).await;
        let ben = world.register("ben").await;
        let body = format!("{{\"email\": \"{}\", \"display_name\": \"Other\"}}\n{{\"email\": \"new@example.test\"}}\n", ben.email);
        let first = import(&world, &token, "", LINES, &body).await.expect(200).json().clone();
        assert_eq!(sums(&first), [2, 1, 1, 0]);
        let again = import(&world, &token, "", LINES, &body).await.expect(200).json().clone();
        assert_eq!(sums(&again), [2, 0, 2, 0]);
        assert_eq!(world.user_row(&ben).await.display_name, None);
        world.log_in(&ben.email, &ben.password).await.expect(200);
    }

    async fn every_account_that_comes_with_roles_has_an_event_that_names_them(world: World) {
        let token = admin(&world).await;
        let ben = world.register("ben").await;
        let before = world.audit("user.roles_changed").await.len();
        let twice = "0190a5d0-3c5e-7b2f-8a41-0d6f2b7c9e13";
        // Ben is there already, and an id stands twice: neither gets what these rows say.
        let mut body = format!(
            "{{\"email\": \"{}\", \"roles\": [\"admin\"]}}\n\
             {{\"email\": \"one@example.test\", \"id\": \"{twice}\", \"roles\": [\"editor\", \"author\"]}}\n\
             {{\"email\": \"two@example.test\", \"id\": \"{twice}\", \"roles\": [\"admin\"]}}\n\
             {{\"email\": \"none@example.test\"}}\n",
            ben.email
        );
        // More than one statement takes.
        for number in 0..600 {
            writeln!(body, "{{\"email\": \"user-{number}@example.test\", \"roles\": [\"support\"]}}").unwrap();
        }
        let report = import(&world, &token, "", LINES, &body).await.expect(200).json().clone();
        assert_eq!(sums(&report), [604, 602, 1, 1]);
        let events = world.audit("user.roles_changed").await;
        assert_eq!(events.len() - before, 601);
        let of_twice: Vec<&str> = events
            .iter()
            .filter(|event| event.subject_id.is_some_and(|id| id.to_string() == twice))
            .map(|event| event.details.as_str())
            .collect();
        assert_eq!(of_twice, [r#"{"roles":["author","editor"],"roles_before":[]}"#]);
        assert!(events.iter().all(|event| event.subject_id != Some(ben.id)));
        let again = import(&world, &token, "", LINES, &body).await.expect(200).json().clone();
        assert_eq!(sums(&again)[1], 0);
        assert_eq!(world.audit("user.roles_changed").await.len(), events.len());
        seal_all(&world.state).await.unwrap();
        assert_eq!(verify(&world.state, None).await.unwrap().broken, None);
    }

    async fn bad_rows_are_named_and_the_rest_goes_on(world: World) {
        let token = admin(&world).await;
        let body = "{\"email\": \"one@example.test\"}\n\
                    not json\n\
                    {\"email\": \"not an address\"}\n\
                    {\"email\": \"two@example.test\", \"is_admin\": true}\n\
                    {\"email\": \"three@example.test\", \"password_hash\": \"plain text\"}\n\
                    {\"email\": \"ONE@example.test\"}\n\
                    {\"email\": \"four@example.test\"}\n";
        let report = import(&world, &token, "", LINES, body).await.expect(200).json().clone();
        assert_eq!(sums(&report), [7, 2, 1, 4]);
        let named: Vec<(u64, &str)> = report["refusals"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| (row["line"].as_u64().unwrap(), row["member"].as_str().unwrap()))
            .collect();
        assert_eq!(named, [(2, "row"), (3, "email"), (4, "is_admin"), (5, "password_hash")]);
        assert!(!report.to_string().contains("plain text"));
    }

    async fn more_refused_rows_than_are_named_are_counted(world: World) {
        let token = admin(&world).await;
        for (rows, named) in [(3, 3), (1000, 1000), (2300, 1000)] {
            let body = "{}\n".repeat(rows);
            let report = import(&world, &token, "?dry_run=true", LINES, &body).await.expect(200).json().clone();
            assert_eq!(sums(&report), [rows as u64, 0, 0, rows as u64]);
            assert_eq!(report["refusals"].as_array().unwrap().len(), named);
            assert_eq!(report["refusals_omitted"], rows - named);
        }
    }

    async fn every_import_leaves_its_sums_in_the_trail_and_a_dry_run_none(world: World) {
        let admin = world.admin().await;
        let token = world.sign_in(&admin).await;
        let ended = async || {
            let events = world.audit("users.import_ended").await;
            assert!(events.iter().all(|event| event.actor_id == Some(admin.id) && event.subject_id.is_none()));
            let mut told: Vec<(String, String)> =
                events.into_iter().map(|event| (event.outcome, event.details)).collect();
            told.sort();
            told
        };
        let told = |outcome: &str, details: &str| (outcome.to_owned(), details.to_owned());
        let nobody = "{}\n{\"email\": 7}\n";
        import(&world, &token, "?dry_run=true", LINES, nobody).await.expect(200);
        assert!(ended().await.is_empty());
        // Nobody is carried over: the attempt is an event all the same.
        import(&world, &token, "", LINES, nobody).await.expect(200);
        let refused = told("success", r#"{"existing":0,"imported":0,"read":2,"refused":2,"source":"roster"}"#);
        assert_eq!(ended().await, std::slice::from_ref(&refused));
        let mixed = "{\"email\": \"new@example.test\"}\n{\"email\": \"NEW@example.test\"}\n{}\n";
        import(&world, &token, "", LINES, mixed).await.expect(200);
        let carried = told("success", r#"{"existing":1,"imported":1,"read":3,"refused":1,"source":"roster"}"#);
        assert_eq!(ended().await, [refused.clone(), carried.clone()]);
        // One that stops early.
        import(&world, &token, "?from=firebase", "text/csv", "email\na@example.test\n").await.expect(422);
        let details = r#"{"existing":0,"imported":0,"read":0,"reason":"invalid_format","refused":0,"source":"firebase"}"#;
        assert_eq!(ended().await, [told("failure", details), refused, carried]);
    }

    async fn an_id_of_somebody_else_is_refused(world: World) {
        let token = admin(&world).await;
        let ben = world.register("ben").await;
        let body = format!("{{\"email\": \"other@example.test\", \"id\": \"{}\"}}\n", ben.id);
        for query in ["?dry_run=true", ""] {
            let report = import(&world, &token, query, LINES, &body).await.expect(200).json().clone();
            assert_eq!(sums(&report), [1, 0, 0, 1]);
            assert_eq!(report["refusals"][0]["member"], "id");
        }
        assert_eq!(world.count_users_of("other@example.test").await, 0);
        assert_eq!(world.user_row(&ben).await.email, ben.email);
    }

    async fn a_dry_run_says_the_same_and_writes_nothing(world: World) {
        let token = admin(&world).await;
        let ben = world.register("ben").await;
        let body = format!(
            "{{\"email\": \"{}\"}}\n{{\"email\": \"a@example.test\"}}\n{{\"email\": \"A@example.test\"}}\nx\n",
            ben.email
        );
        let before = world.count_users().await;
        let tried = import(&world, &token, "?dry_run=true", LINES, &body).await.expect(200).json().clone();
        assert_eq!(sums(&tried), [4, 1, 2, 1]);
        assert_eq!(tried["dry_run"], true);
        assert_eq!(world.count_users().await, before);
        assert_eq!(world.audit("users.imported").await.len(), 0);
        let done = import(&world, &token, "?dry_run=false", LINES, &body).await.expect(200).json().clone();
        assert_eq!(sums(&done), sums(&tried));
    }

    async fn who_is_refused_in_a_dry_run_takes_nobodys_address(world: World) {
        let token = admin(&world).await;
        let (occupied, other) = ("0190a5d0-3c5e-7b2f-8a41-0d6f2b7c9e13", "0190a5d0-3c5e-7b2f-8a41-0d6f2b7c9e14");
        let seed = format!("{{\"email\": \"one@example.test\", \"id\": \"{occupied}\"}}\n");
        import(&world, &token, "", LINES, &seed).await.expect(200);
        let mut body = format!("{{\"email\": \"two@example.test\", \"id\": \"{occupied}\"}}\n");
        // More than one statement takes: the database has refused the first row before it meets the last one.
        for number in 0..600 {
            writeln!(body, "{{\"email\": \"user-{number}@example.test\"}}").unwrap();
        }
        writeln!(body, "{{\"email\": \"two@example.test\", \"id\": \"{other}\"}}").unwrap();
        for query in ["?dry_run=true", ""] {
            let report = import(&world, &token, query, LINES, &body).await.expect(200).json().clone();
            assert_eq!(sums(&report), [602, 601, 0, 1], "{query}");
            assert_eq!((&report["refusals"][0]["line"], &report["refusals"][0]["member"]), (&json!(1), &json!("id")));
        }
    }

    async fn a_table_is_taken_by_its_type_or_by_name(world: World) {
        let token = admin(&world).await;
        let table = "email,display_name,roles\nada@example.test,\"Ada, Countess\",editor;author\n";
        let report = import(&world, &token, "", "text/csv; charset=utf-8", table).await.expect(200).json().clone();
        assert_eq!(sums(&report), [1, 1, 0, 0]);
        let table = format!(
            "id,email,hashed_password,is_active,is_superuser,is_verified\n\
             0190a5d03c5e7b2f8a410d6f2b7c9e14,ben@example.test,{BCRYPT},true,true,true\n"
        );
        let report = import(&world, &token, "?from=fastapi-users", "text/csv", &table).await.expect(200).json().clone();
        assert_eq!(sums(&report), [1, 1, 0, 0], "{report}");
        let signed_in = world.log_in("ben@example.test", PASSWORD).await.expect(200).json().clone();
        let profile = world.profile(signed_in["access_token"].as_str().unwrap()).await;
        assert_eq!(profile["roles"], json!([]), "nobody is an admin for having been one elsewhere");
    }

    async fn who_comes_from_firebase_signs_in_as_before(world: World) {
        let token = admin(&world).await;
        let text = format!("{{\"hash_config\": {}, \"users\": {}}}", json!(FIREBASE_CONFIG), firebase_users());
        for (query, is_written) in [("?from=firebase&dry_run=true", false), ("?from=firebase", true)] {
            let report = import(&world, &token, query, "application/json", &text).await.expect(200).json().clone();
            assert_eq!(sums(&report), [3, 2, 0, 1], "{report}");
            assert_eq!(report["refusals"][0]["member"], "email");
            assert_eq!(world.count_users_of("ada@example.org").await, u64::from(is_written));
        }
        world.log_in("ada@example.org", "user2password").await.expect(401);
        let signed_in = world.log_in("ada@example.org", FIREBASE_PASSWORD).await.expect(200).json().clone();
        let profile = world.profile(signed_in["access_token"].as_str().unwrap()).await;
        assert_eq!(profile["display_name"], "Ada Lovelace");
        assert_eq!(profile["roles"], json!([]));
    }

    async fn hash_parameters_of_firebase_come_before_its_users(world: World) {
        let token = admin(&world).await;
        let send = async |text: &str| import(&world, &token, "?from=firebase", "application/json", text).await;
        // None: who has a password is refused, and told what is missing.
        let report = send(FIREBASE).await.expect(200).json().clone();
        assert_eq!(sums(&report), [3, 1, 0, 2]);
        assert_eq!(report["refusals"][0]["member"], "passwordHash");
        assert!(report["refusals"][0]["detail"].as_str().unwrap().contains("hash_config before users"), "{report}");
        let users = firebase_users();
        for (text, detail) in [
            (
                format!("{{\"users\": {users}, \"hash_config\": {}}}", json!(FIREBASE_CONFIG)),
                "has its hash_config behind its users",
            ),
            (
                format!("{{\"hash_config\": {}, \"users\": {users}}}", json!(FIREBASE_CONFIG.replace("rounds: 8", "rounds: 80"))),
                "must have rounds between 1 and 8",
            ),
        ] {
            let answer = send(&text).await.expect(422);
            answer.problem("validation-failed");
            assert!(answer.text().contains(detail), "{}", answer.text());
            // The key is a secret, and no answer says it again.
            assert!(!answer.text().contains("jxspr8Ki0RYycVU8"), "{}", answer.text());
            assert_eq!(world.count_users_of("ada@example.org").await, 0);
        }
        let text = format!("{{\"hash_config\": {}, \"users\": {users}}}", json!(FIREBASE_CONFIG));
        let report = send(&text).await.expect(200).json().clone();
        assert_eq!(sums(&report), [3, 1, 1, 1]);
    }

    async fn what_is_no_import_is_refused(world: World) {
        let token = admin(&world).await;
        for query in ["?from=mysql", "?dry_run=yes", "?form=roster"] {
            import(&world, &token, query, LINES, "").await.expect(422).problem("validation-failed");
        }
        for media_type in ["text/plain", "application/x-ndjson; charset=utf-16", "multipart/form-data"] {
            import(&world, &token, "", media_type, "").await.expect(415);
        }
        let problem = import(&world, &token, "?from=roster", "text/csv", "email\na@example.test\n").await.expect(422);
        assert!(problem.text().contains("JSON lines"), "{}", problem.text());
        assert_eq!(world.count_users_of("a@example.test").await, 0);
        let report = import(&world, &token, "", LINES, "").await.expect(200).json().clone();
        assert_eq!(sums(&report), [0, 0, 0, 0]);
    }

    async fn only_an_admin_moves_anybody_in(world: World) {
        let ada = world.register("ada").await;
        let token = world.sign_in(&ada).await;
        let body = "{\"email\": \"new@example.test\"}\n";
        import(&world, &token, "", LINES, body).await.expect(403);
        import(&world, &token, "?from=nothing", "text/plain", body).await.expect(403);
        world.get("/admin/password-schemes").bearer(&token).await.expect(403);
        assert_eq!(world.count_users_of("new@example.test").await, 0);
    }

    async fn a_file_may_be_larger_than_other_bodies_and_has_a_limit(stage: Stage) {
        let world = World::with(&stage, |variables| {
            variables.set("ROSTER__SERVER__MAX_BODY_BYTES", "1024");
            variables.set("ROSTER__SERVER__MAX_IMPORT_BYTES", "200000");
        })
        .await;
        let token = admin(&world).await;
        let lines = |count: usize| -> String {
            let line = |number| format!("{{\"email\": \"user-{number}@example.test\"}}\n");
            (0..count).map(line).collect::<Vec<_>>().concat()
        };
        let report = import(&world, &token, "", LINES, &lines(2500)).await.expect(200).json().clone();
        assert_eq!(sums(&report), [2500, 2500, 0, 0]);
        assert_eq!(world.count_users().await, 2501);
        import(&world, &token, "", LINES, &lines(10_000)).await.expect(413).problem("payload-too-large");
    }

    async fn one_takes_along_all_that_is_held_about_oneself(world: World) {
        let (ada, ben) = (world.register("ada").await, world.register("ben").await);
        let token = world.sign_in(&ada).await;
        world.sign_in(&ada).await;
        world.sign_in(&ben).await;
        world.log_in(&ada.email, OTHER_PASSWORD).await.expect(401);
        let change = json!({"display_name": "Ada", "metadata": {"plan": "pro"}});
        world.patch("/users/me").bearer(&token).json(&change).await.expect(200);
        world.clock.advance(Duration::from_secs(1));
        let all = world.get("/users/me/export").bearer(&token).await.expect(200).json().clone();
        assert_eq!(all["user"]["email"], ada.email.as_str());
        assert_eq!(all["user"]["metadata"], change["metadata"]);
        assert_eq!(all["user"]["has_password"], true);
        assert_eq!(all["sessions"].as_array().unwrap().len(), 2);
        assert_eq!(all["sessions"].as_array().unwrap().iter().filter(|session| session["current"] == true).count(), 1);
        let actions: Vec<&str> =
            all["audit"].as_array().unwrap().iter().map(|event| event["action"].as_str().unwrap()).collect();
        assert_eq!(actions.len(), 5, "{actions:?}");
        assert_eq!(actions[0], "user.exported");
        let text = all.to_string();
        assert!(!text.contains(&ben.email) && !text.contains(&ben.id.to_string()));
        assert!(!text.contains("$2b$"));
    }

    async fn the_schemes_of_all_hashes_are_counted(stage: Stage) {
        let world = World::with(&stage, |variables| {
            variables.set("ROSTER__PASSWORD__RETIRE_BEFORE", "ssha=2031-06-01");
        })
        .await;
        let token = admin(&world).await;
        let first = world.profile(&token).await["last_login_at"].clone();
        assert!(first.is_string(), "{first}");
        // Somebody with the same scheme signs in later than the admin.
        world.clock.advance(Duration::from_mins(1));
        let fay = world.register("fay").await;
        world.sign_in(&fay).await;
        let (ada, ben, cyn) = (world.register("ada").await, world.register("ben").await, world.register("cyn").await);
        world.put_hash(&ada, Some(BCRYPT)).await;
        world.put_hash(&ben, None).await;
        let long = "plum-orbit-canvas-47".repeat(4);
        let dan = world.register_as("dan@example.test", &long).await;
        let eve = world.register("eve").await;
        world.put_hash(&cyn, Some("nonsense")).await;
        world.put_hash(&eve, Some("{SSHA}ioukhXF2N2nw9EjRo89byVqi3fjcO8fY")).await;
        world.sign_in(&dan).await;
        let ledger = world.get("/admin/password-schemes").bearer(&token).await.expect(200).json().clone();
        assert_eq!(ledger["without_password"], 1);
        let rows: Vec<(&str, &str, u64, u64)> = ledger["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| {
                (
                    row["scheme"].as_str().unwrap(),
                    row["cost"].as_str().unwrap(),
                    row["accounts"].as_u64().unwrap(),
                    row["never_signed_in"].as_u64().unwrap(),
                )
            })
            .collect();
        assert_eq!(
            rows,
            [
                ("argon2id", "m=64,t=1,p=1", 1, 0),
                ("bcrypt", "cost=4", 2, 0),
                ("bcrypt", "cost=5", 1, 1),
                ("ssha", "", 1, 1),
                ("unreadable", "", 1, 1),
            ]
        );
        assert_eq!(ledger["items"][3]["retired_at"], "2031-06-01T00:00:00Z");
        assert_eq!(ledger["items"][1]["retired_at"], Value::Null);
        assert_eq!(ledger["items"][2]["oldest_login_at"], Value::Null);
        assert_eq!(ledger["items"][1]["oldest_login_at"], first, "the first of two");
        assert!(ledger["items"][0]["oldest_login_at"].is_string(), "{ledger}");
    }

    async fn more_accounts_than_are_read_at_a_time_are_each_counted_once(world: World) {
        let token = admin(&world).await;
        world.db().execute_unprepared(&many_with_hashes(&world)).await.unwrap();
        let ledger = world.get("/admin/password-schemes").bearer(&token).await.expect(200).json().clone();
        assert_eq!(ledger["without_password"], 4000);
        let rows: Vec<Value> = ledger["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| json!([row["cost"], row["accounts"], row["never_signed_in"]]))
            .collect();
        assert_eq!(rows, [json!(["cost=4", 1, 0]), json!(["cost=5", 8000, 4000])]);
        assert_eq!(ledger["items"][1]["oldest_login_at"], "2002-01-01T00:00:00Z");
    }

    async fn a_retired_scheme_opens_nothing_from_its_day_on(stage: Stage) {
        let world = World::with(&stage, |variables| {
            variables.set("ROSTER__PASSWORD__RETIRE_BEFORE", "bcrypt=2031-05-07");
            variables.set("ROSTER__PASSWORD__ALGORITHM", "argon2id");
        })
        .await;
        // Her hash is rewritten on the day before, his isn't.
        let ada = world.register_as("ada@example.test", PASSWORD).await;
        let ben = world.register_as("ben@example.test", PASSWORD).await;
        world.put_hash(&ada, Some(BCRYPT)).await;
        world.put_hash(&ben, Some(BCRYPT)).await;
        world.sign_in(&ada).await;
        world.clock.advance(Duration::from_hours(24));
        world.sign_in(&ada).await;
        world.log_in(&ben.email, &ben.password).await.expect(401).problem("invalid-credentials");
        // A new password is the way back in.
        world.deliver().await;
        let token = token(&world.forgot(&ben.email).await);
        let reset = json!({"token": token, "password": OTHER_PASSWORD});
        world.post("/reset-password").json(&reset).await.expect(204);
        world.log_in(&ben.email, OTHER_PASSWORD).await.expect(200);
    }
}
