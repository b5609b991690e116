//! Who may call what: every operation by everybody, held against the table in `tests/authorization.md`.
//!
//! After a new operation: say in [`call`] how it is called, then
//! `ROSTER_REGENERATE=1 cargo test --test api authorization`, and read what has changed in the table.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::Method;
use roster::domain::UserStatus;
use serde_json::json;

use crate::support::{Call, PASSWORD, Persona, World, contract, decoded};

const HEAD: &str = "\
# Who may call what

Every operation of `openapi.json`, called by everybody: what the server answers. `tests/api/authorization.rs` makes each
call on both databases and fails where an answer, a row or a column differs from this table.

- *anonymous* sends no token, *garbage* one that nobody has issued, *expired* one that was good before.
- *disabled* and *deleted* send tokens that were good before an operator closed, or they themselves removed, the account.
- *user* means the caller's own account. *other* names somebody else's wherever a request can name anybody, and that
  account is the same afterwards.
- *admin* is the only active admin, who therefore can't leave.
- `/oauth/introspect` is for services that an operator has registered, which no user is.

";

/// Who is calling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Caller {
    Anonymous,
    Garbage,
    Expired,
    Disabled,
    Deleted,
    User,
    Other,
    Admin,
}

impl Caller {
    const ALL: [Self; 8] = [
        Self::Anonymous,
        Self::Garbage,
        Self::Expired,
        Self::Disabled,
        Self::Deleted,
        Self::User,
        Self::Other,
        Self::Admin,
    ];

    fn name(self) -> String {
        format!("{self:?}").to_lowercase()
    }
}

fn file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/authorization.md")
}

/// Every documented operation: method and path.
fn operations() -> Vec<(Method, String)> {
    contract::documented_operations()
        .into_iter()
        .flat_map(|(path, methods)| {
            methods
                .into_iter()
                .map(move |method| (Method::from_bytes(method.as_bytes()).unwrap(), path.clone()))
        })
        .collect()
}

/// How an operation is called so that nothing but the caller can be wrong with it. `number` is another one each time;
/// `victim` is somebody else, where the request can name anybody.
/// `session` is what `{id}` stands for: a session, one of the caller's own or of somebody else; under `/admin/` an account.
fn call(
    world: &World,
    (method, path): (&Method, &str),
    number: usize,
    session: &str,
    victim: Option<&Persona>,
) -> Call {
    let concrete = path
        .replace("{name}", "not-found")
        .replace("{file}", "start.js")
        .replace("{id}", session);
    assert!(!concrete.contains('{'), "{method} {path}: say what there is");
    let concrete = match victim {
        // Where the query is read as strictly as a body, naming somebody there is a fault of its own.
        Some(_)
            if [
                "/users/me/sessions",
                "/users/me/audit",
                "/logout",
                "/admin/import",
            ]
            .contains(&path) =>
        {
            concrete
        }
        Some(victim) => format!(
            "{concrete}?user_id={}&id={}&email={}",
            victim.id, victim.id, victim.email
        ),
        None => concrete,
    };
    let call = world.call(method.clone(), &concrete);
    match (method.as_str(), path) {
        ("POST", "/users/") => {
            let body = json!({"email": format!("new-{number}@example.test"), "password": PASSWORD});
            call.json(&body)
        }
        ("POST", "/login") => {
            let body = json!({"email": "known@example.test", "password": PASSWORD});
            call.json(&body)
        }
        ("POST", "/admin/import") => {
            call.body("application/x-ndjson", "{\"email\": \"moved@example.test\"}\n")
        }
        ("PUT" | "PATCH", "/users/me") | ("PATCH", "/admin/users/{id}") => {
            call.json(&json!({"display_name": format!("Name {number}")}))
        }
        ("POST", "/oauth/token") => {
            let body =
                json!({"grant_type": "password", "username": "known@example.test", "password": PASSWORD});
            call.json(&body)
        }
        ("POST", "/verify-email/request" | "/forgot-password") => {
            call.json(&json!({"email": "known@example.test"}))
        }
        ("POST", "/verify-email" | "/users/me/email/confirm") => call.json(&json!({"token": "nothing"})),
        ("POST", "/reset-password") => call.json(&json!({"token": "nothing", "password": PASSWORD})),
        ("POST", form) if form.ends_with("/form") => call.form(&[("token", "nothing")]),
        ("POST", "/oauth/revoke" | "/oauth/introspect") => call.json(&json!({"token": "nothing"})),
        ("POST", "/admin/users") => {
            let body = json!({"email": format!("made-{number}@example.test"), "password": PASSWORD});
            call.json(&body)
        }
        ("GET", _)
        | ("POST", "/logout" | "/admin/keys/rotate" | "/admin/users/{id}/password-reset")
        | (
            "DELETE",
            "/users/me" | "/users/me/sessions/{id}" | "/admin/users/{id}" | "/admin/users/{id}/sessions",
        ) => call,
        _ => panic!("say how {method} {path} is called"),
    }
}

/// The token of a new caller of this kind; none for whoever sends none.
async fn token(world: &World, caller: Caller, number: usize, admin: &Persona) -> Option<String> {
    let persona = world.register(&format!("caller-{number}")).await;
    let token = match caller {
        Caller::Anonymous => return None,
        Caller::Garbage => return Some("bm90.YQ.dG9rZW4".to_owned()),
        Caller::Admin => return Some(world.sign_in(admin).await),
        _ => world.sign_in(&persona).await,
    };
    // It is good, up to what comes now.
    world.get("/users/me").bearer(&token).await.expect(200);
    match caller {
        Caller::Expired => world.clock.advance(Duration::from_secs(901)),
        Caller::Disabled => world.set_status(&persona, UserStatus::Disabled).await,
        Caller::Deleted => {
            world.delete("/users/me").bearer(&token).await.expect(204);
        }
        _ => {}
    }
    Some(token)
}

/// Whether the caller's token names a session.
fn token_is_ours(caller: Caller) -> bool {
    !matches!(caller, Caller::Anonymous | Caller::Garbage)
}

/// What the server answers: a row for each operation, a cell for each caller.
async fn observed(world: &World) -> String {
    world.register_as("known@example.test", PASSWORD).await;
    let victim = world.register("victim").await;
    let admin = world.admin().await;
    world.sign_in(&victim).await;
    let before = world.user_row(&victim).await;
    let victims = world.sessions_of(&victim).await.remove(0);
    let mut rows = vec![
        ["operation".to_owned()]
            .into_iter()
            .chain(Caller::ALL.map(Caller::name))
            .collect::<Vec<_>>(),
    ];
    let mut number = 0;
    for (method, path) in operations() {
        let mut row = vec![format!("{method} {path}")];
        for caller in Caller::ALL {
            number += 1;
            let token = token(world, caller, number, &admin).await;
            let named = Some(&victim).filter(|_| caller == Caller::Other);
            let own = token
                .as_deref()
                .filter(|_| token_is_ours(caller) && caller != Caller::Other);
            let session = match own {
                Some(token) => decoded(token).1["sid"].as_str().unwrap().to_owned(),
                None => victims.id.to_string(),
            };
            let session = if path.starts_with("/admin/") {
                // Somebody that nobody misses.
                world.register(&format!("target-{number}")).await.id.to_string()
            } else {
                session
            };
            let call = call(world, (&method, &path), number, &session, named);
            let answer = match &token {
                Some(token) => call.bearer(token),
                None => call,
            }
            .await;
            row.push(answer.status.to_string());
        }
        rows.push(row);
    }
    assert_eq!(
        world.user_row(&victim).await,
        before,
        "somebody else's account was changed"
    );
    assert_eq!(
        world.sessions_of(&victim).await,
        [victims],
        "somebody else was signed out"
    );
    assert_eq!(world.user_row(&admin).await.status, "active");
    table(&rows)
}

/// Markdown that is readable as it is.
fn table(rows: &[Vec<String>]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap();
    let widths: Vec<usize> = (0..rows[0].len()).map(width).collect();
    let line = |row: &[String]| {
        let cells: Vec<String> = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        format!("| {} |\n", cells.join(" | "))
    };
    let rule: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
    let mut text = HEAD.to_owned();
    text.push_str(&line(&rows[0]));
    text.push_str(&line(&rule));
    text.extend(rows[1..].iter().map(|row| line(row)));
    text
}

/// The rows of the committed table: the operation, and what each caller gets.
fn committed() -> Vec<Vec<String>> {
    let text = fs::read_to_string(file()).unwrap();
    let lines = text
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"));
    let mut rows: Vec<Vec<String>> = lines
        .map(|line| line.split(" | ").map(|cell| cell.trim().to_owned()).collect())
        .collect();
    // The names of the callers, and the rule below them.
    let head = rows.remove(0);
    assert_eq!(head[1..], Caller::ALL.map(Caller::name));
    rows.remove(0);
    rows
}

scenario! {
    async fn everybody_may_do_what_the_table_says_and_nothing_else(world: World) {
        let observed = observed(&world).await;
        if std::env::var_os("ROSTER_REGENERATE").is_some() {
            fs::write(file(), &observed).unwrap();
        }
        let committed = fs::read_to_string(file()).unwrap_or_default();
        assert!(
            committed == observed,
            "tests/authorization.md says something else; this is what the server does:\n{observed}"
        );
    }
}

#[test]
fn the_table_has_one_row_for_every_operation() {
    let mut told: Vec<String> = committed().into_iter().map(|row| row[0].clone()).collect();
    let mut documented: Vec<String> = operations()
        .into_iter()
        .map(|(method, path)| format!("{method} {path}"))
        .collect();
    told.sort();
    documented.sort();
    assert_eq!(told, documented);
}

/// The table could say anything after it was regenerated: this is what it must say.
#[test]
fn the_table_lets_nobody_in_who_has_no_business_there() {
    let document = contract::document();
    for row in committed() {
        let (method, path) = row[0].split_once(' ').unwrap();
        let operation = &document["paths"][path][method.to_lowercase()];
        let is_open = operation["security"] == json!([{}]);
        if operation["security"] == json!([{"client": []}]) {
            // For registered services: no user is one, whoever it is.
            assert!(row[1..].iter().all(|status| status == "401"), "{}", row[0]);
            continue;
        }
        for (caller, status) in Caller::ALL.into_iter().zip(&row[1..]) {
            let stays_outside = matches!(
                caller,
                Caller::Anonymous | Caller::Garbage | Caller::Expired | Caller::Disabled | Caller::Deleted
            );
            assert_eq!(
                !is_open && stays_outside,
                status == "401",
                "{}: {caller:?} gets {status}",
                row[0]
            );
            assert!(!status.starts_with('5'), "{}: {caller:?} gets {status}", row[0]);
            let is_administration = path.starts_with("/admin/");
            if is_administration && matches!(caller, Caller::User | Caller::Other) {
                assert_eq!(status, "403", "{}: {caller:?}", row[0]);
            }
        }
    }
}
