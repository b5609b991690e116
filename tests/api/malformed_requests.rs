//! Bodies that can't be read, aren't what is asked for, or ask for more than is offered: on every operation that takes
//! one.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use entity::users;
use reqwest::{Body, Method};
use serde_json::{Value, json};

use crate::support::{Answer, Call, PASSWORD, Persona, Stage, World, contract};

/// `server.max_body_bytes`, as it is by default.
const MAX_BODY: usize = 65_536;
/// How deep a body may be nested, the outermost object included.
const MAX_DEPTH: usize = 32;
const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";

/// An operation that takes a body, and somebody who may call it.
struct Target {
    world: World,
    ada: Persona,
    token: String,
    method: Method,
    path: &'static str,
    /// The path with somebody else's id in it.
    place: String,
    /// What a registered service sends along.
    client: String,
    calls: AtomicUsize,
}

/// What a refused request mustn't change.
#[derive(Debug, PartialEq)]
struct State {
    users: u64,
    sessions: u64,
    ada: users::Model,
}

impl Target {
    /// Every operation that takes a body.
    async fn all(world: &World) -> Vec<Self> {
        let ada = world.register("ada").await;
        let token = world.sign_in(&ada).await;
        let all = [
            (Method::POST, "/users/"),
            (Method::POST, "/login"),
            (Method::PUT, "/users/me"),
            (Method::PATCH, "/users/me"),
            (Method::POST, "/oauth/token"),
            (Method::POST, "/oauth/revoke"),
            (Method::POST, "/oauth/introspect"),
            (Method::POST, "/verify-email/request"),
            (Method::POST, "/verify-email"),
            (Method::POST, "/forgot-password"),
            (Method::POST, "/reset-password"),
            (Method::POST, "/users/me/email/confirm"),
            (Method::POST, "/admin/users"),
            (Method::PATCH, "/admin/users/{id}"),
        ];
        let admin = world.sign_in(&world.admin().await).await;
        let ben = world.register("ben").await;
        let client = world.resource_server().await;
        let here: BTreeSet<String> = all
            .iter()
            .map(|(method, path)| format!("{method} {path}"))
            .collect();
        assert_eq!(
            here,
            documented(),
            "another operation takes a body: it belongs into this table"
        );
        all.map(|(method, path)| Self {
            world: world.clone(),
            ada: ada.clone(),
            token: if path.starts_with("/admin/") {
                admin.clone()
            } else {
                token.clone()
            },
            place: path.replace("{id}", &ben.id.to_string()),
            method,
            path,
            client: client.clone(),
            calls: AtomicUsize::new(0),
        })
        .into()
    }

    fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    /// Whether it has members that needn't be texts.
    fn has_metadata(&self) -> bool {
        ["/users/", "/users/me", "/admin/users", "/admin/users/{id}"].contains(&self.path)
    }

    /// Whether it uses a code from a mail up. A good body has none that is good, as each works once only.
    fn uses_code(&self) -> bool {
        ["/verify-email", "/reset-password", "/users/me/email/confirm"].contains(&self.path)
    }

    /// Fails unless a good body was taken.
    #[track_caller]
    fn expect_taken(&self, answer: &Answer) {
        if self.uses_code() {
            answer.problem("invalid-or-expired-code");
        } else {
            assert!(answer.status < 300, "{answer}");
        }
    }

    fn is_oauth(&self) -> bool {
        self.path.starts_with("/oauth/")
    }

    /// Whether it takes forms.
    fn takes_forms(&self) -> bool {
        self.path == "/login" || self.is_oauth()
    }

    /// A body that is good, each time.
    fn good(&self) -> Value {
        let number = self.calls.fetch_add(1, Ordering::Relaxed);
        match self.path {
            "/admin/users" => json!({"email": format!("made-{number}@example.test"), "password": PASSWORD}),
            "/users/" => {
                json!({"email": format!("new-{number}@example.test"), "password": PASSWORD})
            }
            "/login" => json!({"email": self.ada.email, "password": self.ada.password}),
            "/oauth/token" => {
                json!({"grant_type": "password", "username": self.ada.email, "password": self.ada.password})
            }
            "/oauth/revoke" | "/oauth/introspect" | "/verify-email" | "/users/me/email/confirm" => {
                json!({"token": format!("nothing-{number}")})
            }
            "/verify-email/request" | "/forgot-password" => {
                json!({"email": format!("nobody-{number}@example.test")})
            }
            "/reset-password" => json!({"token": format!("nothing-{number}"), "password": PASSWORD}),
            _ => json!({"display_name": format!("Ada {number}")}),
        }
    }

    /// A good body with one more member.
    fn good_and(&self, name: &str, value: Value) -> Value {
        let mut body = self.good();
        body.as_object_mut().unwrap().insert(name.to_owned(), value);
        body
    }

    fn call(&self) -> Call {
        let call = self.world.call(self.method.clone(), &self.place);
        if self.path.starts_with("/users/me") || self.path.starts_with("/admin/") {
            call.bearer(&self.token)
        } else if self.path == "/oauth/introspect" {
            call.header("authorization", &self.client)
        } else {
            call
        }
    }

    /// The head of such a request, for sending the rest by hand.
    fn head(&self, headers: &str) -> String {
        let authorization = if self.path == "/oauth/introspect" {
            self.client.clone()
        } else {
            format!("Bearer {}", self.token)
        };
        format!(
            "{} {} HTTP/1.1\r\nHost: localhost\r\nAuthorization: {authorization}\r\n{headers}\r\n",
            self.method, self.place
        )
    }

    async fn state(&self) -> State {
        State {
            users: self.world.count_users().await,
            sessions: self.world.count_sessions().await,
            ada: self.world.user_row(&self.ada).await,
        }
    }

    async fn send(&self, body: impl Into<Body>) -> Answer {
        self.call().body(JSON, body).await
    }

    /// Sends each of these, and expects this problem and no change.
    async fn refuses<B: Into<Body>>(&self, bodies: impl IntoIterator<Item = B>, problem: &str) {
        let before = self.state().await;
        for body in bodies {
            self.send(body).await.problem(problem);
        }
        assert_eq!(self.state().await, before, "{}", self.name());
    }

    /// The server still does what is right.
    async fn works(&self) {
        let body = self.good();
        let answer = self.send(body.to_string()).await;
        self.expect_taken(&answer);
    }

    /// The members of its JSON body that are of this type, as they are documented.
    fn members(&self, kind: &str) -> Vec<String> {
        let document = contract::document();
        let operation = &document["paths"][self.path][self.method.as_str().to_lowercase()];
        let mut schema = &operation["requestBody"]["content"][JSON]["schema"];
        // Of alternatives the first: the others call a member differently, which has a scenario of its own.
        while let Some(reference) = schema["$ref"].as_str().or(schema["oneOf"][0]["$ref"].as_str()) {
            schema = document.pointer(reference.trim_start_matches('#')).unwrap();
        }
        let properties = schema["properties"].as_object().unwrap().iter();
        let found: Vec<String> = properties
            .filter(|(_, schema)| schema["type"] == kind)
            .map(|(name, _)| name.clone())
            .collect();
        assert!(!found.is_empty() || kind == "object");
        found
    }
}

/// Every documented operation that takes a body.
fn documented() -> BTreeSet<String> {
    let document = contract::document();
    let paths = document["paths"].as_object().unwrap();
    paths
        .iter()
        .flat_map(|(path, item)| item.as_object().unwrap().iter().map(move |entry| (path, entry)))
        .filter(|(_, (_, operation))| operation.get("requestBody").is_some())
        // What a page sends is read by a page: whatever it is, a person is told on one.
        .filter(|(path, _)| !path.ends_with("/form"))
        // A file of rows is read as it arrives, and each row for itself.
        .filter(|(path, _)| path.as_str() != "/admin/import")
        .map(|(path, (method, _))| format!("{} {path}", method.to_uppercase()))
        .collect()
}

/// A value that is nested so deep.
fn nested(depth: usize) -> String {
    format!("{}{}", "[".repeat(depth), "]".repeat(depth))
}

/// Nobody learns from an answer how bodies are read here.
#[track_caller]
fn tells_no_parser_text(answer: &Answer) {
    let document = answer.json();
    let faults = document["errors"].as_array().into_iter().flatten();
    let details: Vec<&Value> = faults
        .map(|fault| &fault["detail"])
        .chain([document.get("detail").unwrap_or(&document["error_description"])])
        .collect();
    for told in details
        .into_iter()
        .map(|detail| detail.as_str().unwrap().to_lowercase())
    {
        for word in [
            "line ",
            "column",
            "expected",
            "invalid type",
            "missing field",
            "unknown field",
            "eof",
            "serde",
        ] {
            assert!(!told.contains(word), "{word:?}: {answer}");
        }
    }
}

/// A body in chunks of this size.
fn chunked(body: &[u8], size: usize) -> Vec<u8> {
    let mut wire = Vec::with_capacity(body.len() * 2);
    for chunk in body.chunks(size) {
        wire.extend(format!("{:x}\r\n", chunk.len()).into_bytes());
        wire.extend(chunk);
        wire.extend(b"\r\n");
    }
    wire.extend(b"0\r\n\r\n");
    wire
}

/// A good body, filled up with white space.
fn padded(body: &Value, length: usize) -> Vec<u8> {
    let mut text = body.to_string().into_bytes();
    assert!(text.len() <= length);
    text.resize(length, b' ');
    text
}

scenario! {
    async fn text_that_is_not_unicode_is_malformed(world: World) {
        for target in Target::all(&world).await {
            let bodies: [&[u8]; 9] = [
                b"{\"email\": \"\xff\"}",
                // Overlong: the slash in two bytes.
                b"{\"email\": \"\xc0\xaf\"}",
                // A surrogate, encoded as if it were a character.
                b"{\"email\": \"\xed\xa0\x80\"}",
                b"{\"\xe2\x28\xa1\": 1}",
                b"{\"unknown\": \"cut \xf0\x9f\x98",
                br#"{"email": "\ud800"}"#,
                br#"{"display_name": "\udc00\ud800"}"#,
                br#"{"\ud83d": 1}"#,
                br#"{"metadata": {"deep": ["\ud83dx"]}}"#,
            ];
            target.refuses(bodies, "malformed-request").await;
            target.works().await;
        }
    }

    async fn whatever_is_not_one_json_text_is_malformed(world: World) {
        for target in Target::all(&world).await {
            let good = target.good().to_string();
            let open = good.trim_end_matches('}').to_owned();
            let utf16: Vec<u8> = good.encode_utf16().flat_map(u16::to_le_bytes).collect();
            let bodies: Vec<Vec<u8>> = [
                String::new(),
                " \r\n\t ".to_owned(),
                format!("\u{feff}{good}"),
                format!("{good}{good}"),
                format!("{good}\n{good}"),
                format!("{good} x"),
                format!("{good},"),
                format!("{good}\0"),
                format!("\0{good}"),
                format!("// who reads this\n{good}"),
                format!("/* who reads this */{good}"),
                format!("{good}# or this"),
                format!("{open},}}"),
                open.clone(),
                format!("{open},\"x\":NaN}}"),
                format!("{open},\"x\":-Infinity}}"),
                format!("{open},\"x\":1e400}}"),
                format!("{open},\"x\":-1e400}}"),
                format!("{open},\"x\":01}}"),
                format!("{open},\"x\":+1}}"),
                format!("{open},\"x\":.5}}"),
                format!("{open},\"x\":0x10}}"),
                format!("{open},\"x\":1_000}}"),
                format!("{open},\"x\":undefined}}"),
                format!("{open},\"x\":True}}"),
                format!("{open},\"x\":}}"),
                format!("{open},x:1}}"),
                format!("{open},'x':1}}"),
                format!("{open},\"x\":\"\\x41\"}}"),
                format!("{open},\"x\":\"a\nb\"}}"),
                format!("{open},\"x\":\"a\u{1}b\"}}"),
                format!("{open},\"x\":[1,]}}"),
                format!("{open},\"x\":[1 2]}}"),
                "{".to_owned(),
                "}".to_owned(),
                "\"".to_owned(),
                "email=ada%40example.test&password=secret".to_owned(),
                "<user/>".to_owned(),
            ]
            .map(String::into_bytes)
            .into_iter()
            .chain([utf16])
            .collect();
            target.refuses(bodies, "malformed-request").await;
            target.works().await;
        }
    }

    async fn nesting_is_counted_to_thirty_two(world: World) {
        for target in Target::all(&world).await {
            // Around it are the body itself and, where it is in a member that may hold it, that member's object.
            let unknown = |depth: usize| {
                let open = target.good().to_string();
                format!("{},\"unknown\":{}}}", open.trim_end_matches('}'), nested(depth - 1))
            };
            target.send(unknown(MAX_DEPTH)).await.faults(&[("/unknown", "unknown_member")]);
            target.refuses([unknown(MAX_DEPTH + 1), unknown(200)], "malformed-request").await;
            // As many as fit into a body, closed and left open, as arrays and as objects.
            let hostile = [
                "[".repeat(MAX_BODY),
                nested(MAX_BODY / 2),
                "{\"a\":".repeat(MAX_BODY / 5),
                format!("{{\"unknown\":{}}}", nested(MAX_BODY / 4)),
                format!("{{\"email\":{}}}", nested(MAX_BODY / 4)),
                format!("{{\"password\":{}}}", nested(MAX_BODY / 4)),
            ];
            target.refuses(hostile, "malformed-request").await;
            if target.has_metadata() {
                let known = |depth: usize| {
                    let open = target.good().to_string();
                    format!("{},\"metadata\":{{\"a\":{}}}}}", open.trim_end_matches('}'), nested(depth - 2))
                };
                let answer = target.send(known(MAX_DEPTH)).await;
                assert!(answer.status < 300, "{answer}");
                assert_eq!(answer.json()["metadata"]["a"].to_string(), nested(MAX_DEPTH - 2));
                target.refuses([known(MAX_DEPTH + 1), known(200)], "malformed-request").await;
            }
            target.works().await;
        }
    }

    async fn a_hundred_thousand_levels_cost_no_stack_where_they_are_let_in(stage: Stage) {
        let world = World::with(&stage, |variables| {
            variables.set("ROSTER__SERVER__MAX_BODY_BYTES", "1048576");
        })
        .await;
        for target in Target::all(&world).await {
            let bodies = [
                nested(100_000),
                "[".repeat(1_000_000),
                "{\"metadata\":".repeat(80_000),
                format!("{{\"metadata\":{{\"a\":{}}}}}", nested(100_000)),
                format!("{{\"unknown\":{}}}", nested(100_000)),
            ];
            target.refuses(bodies, "malformed-request").await;
            target.works().await;
        }
    }

    async fn two_members_of_one_name_are_malformed(world: World) {
        for target in Target::all(&world).await {
            let open = target.good().to_string();
            let open = open.trim_end_matches('}');
            let name = match target.path {
                "/users/" | "/login" | "/verify-email/request" | "/forgot-password" | "/admin/users" => "email",
                "/oauth/token" => "grant_type",
                "/users/me" | "/admin/users/{id}" => "display_name",
                _ => "token",
            };
            let escaped = name.replacen(name.get(..1).unwrap(), &format!("\\u{:04x}", name.as_bytes()[0]), 1);
            let bodies = [
                format!("{open},\"{name}\":\"other@example.test\"}}"),
                format!("{open},\"{escaped}\":\"other@example.test\"}}"),
                format!("{{\"{escaped}\":null,{}}}", open.trim_start_matches('{')),
                format!("{open},\"unknown\":1,\"unknown\":1}}"),
                format!("{open},\"\":1,\"\":1}}"),
                format!("{open},\"metadata\":{{\"a\":1,\"a\":1}}}}"),
                format!("{open},\"metadata\":{{\"list\":[{{\"a\":1,\"\\u0061\":2}}]}}}}"),
                format!("{open},\"metadata\":{{}},\"metadata\":{{}}}}"),
            ];
            target.refuses(bodies, "malformed-request").await;
            target.works().await;
        }
    }

    async fn a_body_that_is_no_object_is_not_what_is_asked_for(world: World) {
        for target in Target::all(&world).await {
            let before = target.state().await;
            for body in ["null", "true", "0", "-1.5e3", "\"text\"", "[]", "[\"a@example.test\",\"pw\"]", "[{}]"] {
                let answer = target.send(body).await;
                answer.faults(&[("", "wrong_type")]);
                tells_no_parser_text(&answer);
            }
            assert_eq!(target.state().await, before);
            target.works().await;
        }
    }

    async fn a_member_of_a_wrong_type_is_named(world: World) {
        for target in Target::all(&world).await {
            let before = target.state().await;
            let texts = target.members("string").into_iter().map(|name| (name, "string"));
            let objects = target.members("object").into_iter().map(|name| (name, "object"));
            for (name, kind) in texts.chain(objects) {
                let values = [
                    json!(null),
                    json!(true),
                    json!(0),
                    json!(1.5),
                    json!(18_446_744_073_709_551_615_u64),
                    json!([]),
                    json!(["ada@example.test"]),
                    if kind == "string" { json!({"$ne": null}) } else { json!("{}") },
                ];
                for value in values {
                    let answer = target.send(target.good_and(&name, value).to_string()).await;
                    let document = answer.problem("validation-failed");
                    tells_no_parser_text(&answer);
                    if target.is_oauth() {
                        let described = document["error_description"].as_str().unwrap();
                        assert!(described.contains(&format!("{name} must be a {kind}, not ")), "{answer}");
                        continue;
                    }
                    let faults = document["errors"].as_array().unwrap();
                    let pointer = format!("/{name}");
                    let named = faults.iter().any(|fault| fault["pointer"] == pointer && fault["code"] == "wrong_type");
                    assert!(named, "{answer}");
                    // Beside it at most what can't be said without the member: the password that goes with it.
                    let beside = |fault: &&Value| fault["pointer"] != pointer && fault["pointer"] != "/current_password";
                    assert!(!faults.iter().any(|fault| beside(&fault)), "{answer}");
                }
            }
            assert_eq!(target.state().await, before);
            target.works().await;
        }
    }

    async fn what_is_not_offered_cannot_be_set(world: World) {
        let unknown = [
            ("id", json!("019a0000-0000-7000-8000-000000000001")),
            ("roles", json!(["admin"])),
            ("role", json!("admin")),
            ("is_admin", json!(true)),
            ("is_superuser", json!(true)),
            ("email_verified", json!(true)),
            ("pending_email", json!("other@example.test")),
            ("status", json!("active")),
            ("created_at", json!("2001-02-03T04:05:06Z")),
            ("updated_at", json!("2001-02-03T04:05:06Z")),
            ("last_login_at", json!(null)),
            ("token_version", json!(0)),
            ("revision", json!(1)),
            ("user_id", json!("019a0000-0000-7000-8000-000000000001")),
            ("Email", json!("other@example.test")),
            ("displayName", json!("Ada")),
            ("__proto__", json!({"admin": true})),
            ("$set", json!({"roles": ["admin"]})),
            ("", json!(1)),
        ];
        for target in Target::all(&world).await {
            let before = target.state().await;
            // An admin may set what nobody sets for oneself.
            let is_offered = |name: &str| {
                target.path.starts_with("/admin/") && ["roles", "status", "email_verified"].contains(&name)
            };
            let unknown: Vec<_> = unknown.iter().filter(|(name, _)| !is_offered(name)).collect();
            for (name, value) in &unknown {
                let answer = target.send(target.good_and(name, value.clone()).to_string()).await;
                answer.faults(&[(&format!("/{name}"), "unknown_member")]);
            }
            // All at once, with what no answer may repeat.
            let mut body = target.good();
            let members = body.as_object_mut().unwrap();
            members.extend(unknown.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
            members.insert("password_hash".to_owned(), json!("$2b$04$abcdefghijklmnopqrstuv"));
            let mut pointers: Vec<String> = unknown.iter().map(|(name, _)| format!("/{name}")).collect();
            pointers.push("/password_hash".to_owned());
            let expected: Vec<(&str, &str)> =
                pointers.iter().map(|pointer| (pointer.as_str(), "unknown_member")).collect();
            target.send(body.to_string()).await.faults(&expected);
            assert_eq!(target.state().await, before);
            target.works().await;
        }
    }

    async fn a_pointer_escapes_what_a_pointer_has_to(world: World) {
        for target in Target::all(&world).await {
            let answer = target.send(target.good_and("a/b~c \"é", json!(1)).to_string()).await;
            answer.faults(&[("/a~1b~0c \"é", "unknown_member")]);
        }
    }

    async fn every_fault_is_told_at_once(world: World) {
        for target in Target::all(&world).await {
            let before = target.state().await;
            let (body, expected): (Value, &[(&str, &str)]) = match target.path {
                "/users/" => (
                    json!({"email": 7, "display_name": [], "metadata": "x", "id": 1, "roles": ["admin"]}),
                    &[
                        ("/email", "wrong_type"),
                        ("/password", "missing"),
                        ("/display_name", "wrong_type"),
                        ("/metadata", "wrong_type"),
                        ("/id", "unknown_member"),
                        ("/roles", "unknown_member"),
                    ],
                ),
                "/login" => (
                    json!({"password": null, "remember": true, "scope": "all"}),
                    &[
                        ("/email", "missing"),
                        ("/password", "wrong_type"),
                        ("/remember", "unknown_member"),
                        ("/scope", "unknown_member"),
                    ],
                ),
                "/oauth/token" => (
                    json!({"grant_type": "password", "username": 1, "password": null, "scope": [], "remember": true}),
                    &[
                        ("/username", "wrong_type"),
                        ("/password", "wrong_type"),
                        ("/scope", "wrong_type"),
                        ("/remember", "unknown_member"),
                    ],
                ),
                "/oauth/revoke" | "/oauth/introspect" => (
                    json!({"token": 1, "token_type_hint": {}, "remember": true}),
                    &[
                        ("/token", "wrong_type"),
                        ("/token_type_hint", "wrong_type"),
                        ("/remember", "unknown_member"),
                    ],
                ),
                "/verify-email/request" | "/forgot-password" => (
                    json!({"email": "nobody", "locale": "de", "id": 1}),
                    &[
                        ("/email", "invalid_email"),
                        ("/locale", "unknown_member"),
                        ("/id", "unknown_member"),
                    ],
                ),
                "/verify-email" | "/users/me/email/confirm" => (
                    json!({"token": 1, "email": [], "id": 1}),
                    &[
                        ("/token", "wrong_type"),
                        ("/email", "wrong_type"),
                        ("/id", "unknown_member"),
                    ],
                ),
                "/reset-password" => (
                    json!({"token": null, "password": "short", "email": {}, "id": 1}),
                    &[
                        ("/token", "wrong_type"),
                        ("/password", "too_short"),
                        ("/email", "wrong_type"),
                        ("/id", "unknown_member"),
                    ],
                ),
                "/admin/users" | "/admin/users/{id}" => (
                    json!({"email": "nobody", "password": "short", "display_name": 1, "roles": ["A"], "id": 1}),
                    &[
                        ("/email", "invalid_email"),
                        ("/password", "too_short"),
                        ("/display_name", "wrong_type"),
                        ("/roles/0", "invalid_role"),
                        ("/id", "unknown_member"),
                    ],
                ),
                _ => (
                    json!({"email": "nobody", "password": "short", "display_name": 1, "metadata": [], "id": 1}),
                    &[
                        ("/current_password", "missing"),
                        ("/email", "invalid_email"),
                        ("/password", "too_short"),
                        ("/display_name", "wrong_type"),
                        ("/metadata", "wrong_type"),
                        ("/id", "unknown_member"),
                    ],
                ),
            };
            let answer = target.send(body.to_string()).await;
            answer.faults(expected);
            tells_no_parser_text(&answer);
            assert_eq!(target.state().await, before);
        }
    }

    async fn an_empty_object_misses_what_has_to_be_there(world: World) {
        for target in Target::all(&world).await {
            let answer = target.send("{}").await;
            if target.path == "/users/me" {
                // Nothing to change is nothing wrong.
                let before = target.state().await;
                assert_eq!(answer.expect(200).json()["email"], target.ada.email);
                target.send("{}").await.expect(200);
                assert_eq!(target.state().await, before);
            } else if target.path == "/oauth/token" {
                answer.faults(&[("/grant_type", "missing")]);
            } else if target.path == "/reset-password" {
                answer.faults(&[("/token", "missing"), ("/password", "missing")]);
            } else if target.is_oauth() || target.uses_code() {
                answer.faults(&[("/token", "missing")]);
            } else if target.path == "/admin/users/{id}" {
                answer.expect(200);
            } else if ["/verify-email/request", "/forgot-password", "/admin/users"].contains(&target.path) {
                answer.faults(&[("/email", "missing")]);
            } else {
                answer.faults(&[("/email", "missing"), ("/password", "missing")]);
            }
        }
    }

    async fn another_media_type_is_not_taken(world: World) {
        let refused = [
            "",
            "text/plain",
            "text/json",
            "text/plain; charset=utf-8",
            "application/xml",
            "application/octet-stream",
            "application/x+json",
            "application/problem+json",
            "application/vnd.api+json",
            "application/jsonp",
            "application/json-patch+json",
            "application/merge-patch+json",
            "application/*",
            "*/*",
            "json",
            "application/",
            "application/json, text/plain",
            "application/json; charset=utf-16",
            "application/json; charset=iso-8859-1",
            "application/json; charset=",
            "application/json; charset",
            "application/json; version=1",
            "application/json; charset=utf-8; charset=utf-16",
            "multipart/form-data; boundary=x",
        ];
        for target in Target::all(&world).await {
            let before = target.state().await;
            for media_type in refused {
                let answer = target.call().body(media_type, target.good().to_string()).await;
                answer.problem("unsupported-media-type");
            }
            // A form, where none is taken; and no body at all.
            if !target.takes_forms() {
                let form = "email=eve%40example.test&password=plum-orbit-canvas-47";
                target.call().body(FORM, form).await.problem("unsupported-media-type");
            }
            target.call().await.problem("unsupported-media-type");
            target
                .call()
                .header("content-type", JSON)
                .body("text/plain", target.good().to_string())
                .await
                .problem("unsupported-media-type");
            assert_eq!(target.state().await, before);
        }
    }

    async fn json_is_known_under_every_spelling_of_its_name(world: World) {
        let taken = [
            "application/json",
            "Application/JSON",
            "application/json;charset=utf-8",
            "application/json; charset=UTF-8",
            "application/json ; Charset=\"utf-8\"",
        ];
        for target in Target::all(&world).await {
            for media_type in taken {
                let answer = target.call().body(media_type, target.good().to_string()).await;
                target.expect_taken(&answer);
            }
        }
    }

    async fn a_compressed_body_is_not_unpacked(world: World) {
        // 10 MiB of white space, and half of a gzip header.
        let bomb = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3];
        for target in Target::all(&world).await {
            let before = target.state().await;
            for coding in ["gzip", "GZIP", "x-gzip", "deflate", "br", "zstd", "compress", "gzip, identity", "identity, gzip", "x"] {
                let answer = target.call().header("content-encoding", coding).body(JSON, bomb.to_vec()).await;
                answer.problem("unsupported-media-type");
                let good = target.good().to_string();
                let answer = target.call().header("content-encoding", coding).body(JSON, good).await;
                answer.problem("unsupported-media-type");
            }
            assert_eq!(target.state().await, before);
            let good = target.good().to_string();
            let answer = target.call().header("content-encoding", "identity").body(JSON, good).await;
            target.expect_taken(&answer);
        }
    }

    async fn a_body_of_the_largest_size_is_read(world: World) {
        for target in Target::all(&world).await {
            let answer = target.send(padded(&target.good(), MAX_BODY)).await;
            target.expect_taken(&answer);
            let mut wire = target.head("Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n").into_bytes();
            wire.extend(chunked(&padded(&target.good(), MAX_BODY), 1000));
            let answer = world.raw(wire).await.checked(target.method.clone(), target.path);
            target.expect_taken(&answer);
        }
    }

    async fn one_byte_more_is_too_large_however_it_is_announced(world: World) {
        for target in Target::all(&world).await {
            let before = target.state().await;
            let body = padded(&target.good(), MAX_BODY + 1);
            let answer = target.send(body.clone()).await;
            let document = answer.problem("payload-too-large");
            assert!(document.to_string().contains("65536 bytes"), "{answer}");
            for size in [1, 100, MAX_BODY, MAX_BODY + 1] {
                let mut wire =
                    target.head("Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n").into_bytes();
                wire.extend(chunked(&body, size));
                let answer = world.raw(wire).await.checked(target.method.clone(), target.path);
                answer.problem("payload-too-large");
            }
            assert_eq!(target.state().await, before);
            target.works().await;
        }
    }

    async fn what_is_announced_as_too_large_is_not_waited_for(world: World) {
        let mut answered = Vec::new();
        for target in Target::all(&world).await {
            for length in ["65537", "10000000", "18446744073709551615"] {
                let mut connection = world.connection().await;
                let headers = format!("Content-Type: application/json\r\nContent-Length: {length}\r\n");
                // Not one byte of it is sent.
                connection.send(target.head(&headers)).await;
                let answer = connection.answer().await.expect("an answer before the body");
                answer.checked(target.method.clone(), target.path).problem("payload-too-large");
                answered.push(connection);
            }
            target.works().await;
        }
        for connection in answered {
            assert!(connection.rest().await.is_empty(), "the connection is closed");
        }
    }

    async fn chunks_without_an_end_are_too_large_at_some_point(world: World) {
        for target in Target::all(&world).await {
            let mut connection = world.connection().await;
            let headers = "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n";
            connection.send(target.head(headers)).await;
            let chunk = format!("1000\r\n{}\r\n", " ".repeat(0x1000));
            for _ in 0..=MAX_BODY / 0x1000 {
                connection.send(&chunk).await;
            }
            let answer = connection.answer().await.expect("an answer before the end of the body");
            answer.checked(target.method.clone(), target.path).problem("payload-too-large");
            target.works().await;
        }
    }

    async fn the_largest_size_is_a_setting(stage: Stage) {
        let world = World::with(&stage, |variables| {
            variables.set("ROSTER__SERVER__MAX_BODY_BYTES", "1024");
        })
        .await;
        for target in Target::all(&world).await {
            let answer = target.send(padded(&target.good(), 1024)).await;
            target.expect_taken(&answer);
            let answer = target.send(padded(&target.good(), 1025)).await;
            let document = answer.problem("payload-too-large");
            assert!(document.to_string().contains("1024 bytes"), "{answer}");
        }
    }

    async fn a_body_that_ends_early_changes_nothing(world: World) {
        let mut answered = Vec::new();
        for target in Target::all(&world).await {
            let before = target.state().await;
            let good = target.good().to_string();
            let headers = format!("Content-Type: application/json\r\nContent-Length: {}\r\n", good.len() + 1);
            let mut connection = world.connection().await;
            connection.send(format!("{}{good}", target.head(&headers))).await;
            connection.reset();
            let mut broken = target.head("Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n").into_bytes();
            broken.extend(format!("{:x}\r\n{good}\r\nnot a length\r\n", good.len()).into_bytes());
            let mut connection = world.connection().await;
            connection.send(broken).await;
            if let Some(answer) = connection.answer().await {
                assert_eq!(answer.status, 400, "{}", answer.text());
            }
            answered.push(connection);
            target.works().await;
            let mut after = target.state().await;
            // What the last call has changed, and nothing else.
            match target.path {
                "/users/" | "/admin/users" => after.users -= 1,
                "/login" | "/oauth/token" => after.sessions -= 1,
                _ => {}
            }
            assert_eq!((after.users, after.sessions), (before.users, before.sessions));
        }
        for connection in answered {
            assert!(connection.rest().await.is_empty(), "the connection is closed");
        }
    }

    async fn a_form_signs_in_as_well(world: World) {
        let ada = world.register("ada").await;
        let fields = [("username", ada.email.as_str()), ("password", ada.password.as_str())];
        world.post("/login").form(&fields).await.expect(200);
        let oauth = [
            ("grant_type", "password"),
            ("scope", ""),
            ("client_id", "swagger"),
            ("client_secret", "none"),
            ("whatever", "else"),
        ];
        world.post("/login").form(&[&fields[..], &oauth[..]].concat()).await.expect(200);
        for media_type in [
            "application/x-www-form-urlencoded; charset=utf-8",
            "Application/X-WWW-Form-Urlencoded;charset=\"UTF-8\"",
        ] {
            let body = format!("&&username={}&password={}&", ada.email, ada.password);
            world.post("/login").body(media_type, body).await.expect(200);
        }
        for media_type in ["application/x-www-form-urlencoded; charset=utf-16", "application/x-www-form"] {
            let body = format!("username={}&password={}", ada.email, ada.password);
            world.post("/login").body(media_type, body).await.problem("unsupported-media-type");
        }
    }

    async fn a_form_is_decoded_to_the_byte(world: World) {
        let password = "plum +&=%é\u{1f511} canvas";
        let ada = world.register_as("ada+tag@example.test", password).await;
        let encoded = "plum+%2B%26%3D%25%C3%A9%F0%9F%94%91%20canvas";
        let form = |username: &str, password: &str| format!("username={username}&password={password}");
        let log_in = |body: String| world.post("/login").body(FORM, body);
        log_in(form("ada%2Btag%40example.test", encoded)).await.expect(200);
        log_in(form("%61da%2btag@example.test", encoded)).await.expect(200);
        // A plus sign is a space, in the address too.
        log_in(form("ada+tag%40example.test", encoded)).await.problem("invalid-credentials");
        let wrong = [
            encoded.replace("%2B", "+"),
            encoded.replace("%20", "%2B"),
            encoded.replace("%C3%A9", "%E9%20"),
            format!("{encoded}+"),
            format!("+{encoded}"),
            encoded.replace("%25", "%2525"),
            encoded.replacen('+', "", 1),
        ];
        let before = world.sessions_of(&ada).await.len();
        for password in wrong {
            let answer = log_in(form("ada%2Btag%40example.test", &password)).await;
            assert!(matches!(answer.status, 400 | 401), "{answer}");
        }
        assert_eq!(world.sessions_of(&ada).await.len(), before);
    }

    async fn a_form_that_can_be_read_in_two_ways_is_malformed(world: World) {
        let ada = world.register("ada").await;
        let good = format!("username={}&password={}", ada.email, ada.password);
        let before = world.count_sessions().await;
        let bodies: [Vec<u8>; 12] = [
            format!("{good}&username={}", ada.email).into_bytes(),
            format!("{good}&password={}", ada.password).into_bytes(),
            format!("{good}&password=").into_bytes(),
            format!("{good}&%70assword=other").into_bytes(),
            format!("%75sername=other&{good}").into_bytes(),
            format!("{good}&scope=a&scope=b").into_bytes(),
            format!("{good}&unknown&unknown").into_bytes(),
            format!("{good}&scope=%ff").into_bytes(),
            format!("{good}&%ff=1").into_bytes(),
            format!("{good}&scope=%C0%AF").into_bytes(),
            format!("{good}&scope=%ED%A0%80").into_bytes(),
            [good.as_bytes(), b"&scope=\xff"].concat(),
        ];
        for body in bodies {
            world.post("/login").body(FORM, body).await.problem("malformed-request");
        }
        assert_eq!(world.count_sessions().await, before);
        world.post("/login").body(FORM, good).await.expect(200);
    }

    async fn a_form_names_what_it_misses_as_the_form_calls_it(world: World) {
        let missing = [("/username", "missing"), ("/password", "missing")];
        for body in ["", "&", "other=1", "{\"username\":\"a\"}"] {
            world.post("/login").body(FORM, body).await.faults(&missing);
        }
        world.post("/login").form(&[("username", "ada@example.test")]).await.faults(&missing[1..]);
        world.post("/login").form(&[("password", PASSWORD)]).await.faults(&missing[..1]);
    }

    async fn a_form_as_large_as_a_body_may_be_is_read_and_no_larger(world: World) {
        let ada = world.register("ada").await;
        let mut body = format!("username={}&password={}&x=", ada.email, ada.password).into_bytes();
        body.resize(MAX_BODY, b'x');
        world.post("/login").body(FORM, body.clone()).await.expect(200);
        body.push(b'x');
        world.post("/login").body(FORM, body).await.problem("payload-too-large");
    }

    async fn the_name_of_a_user_is_an_alias_of_the_address_and_not_a_second_one(world: World) {
        let ada = world.register("ada").await;
        let body = json!({"username": ada.email, "password": ada.password});
        world.post("/login").json(&body).await.expect(200);
        let body = json!({"username": ada.email, "email": ada.email, "password": ada.password});
        world.post("/login").json(&body).await.faults(&[("/username", "unknown_member")]);
        for wrong in [json!(null), json!(1), json!({"$gt": ""}), json!([ada.email])] {
            let body = json!({"username": wrong, "password": ada.password});
            world.post("/login").json(&body).await.faults(&[("/username", "wrong_type")]);
        }
    }

    async fn a_body_is_not_looked_at_before_the_token_is(world: World) {
        for target in Target::all(&world).await.iter().filter(|target| target.path == "/users/me") {
            for (media_type, body) in [(JSON, "{"), (JSON, "{\"unknown\":1}"), ("text/plain", "x"), ("", "")] {
                let call = world.call(target.method.clone(), target.path).body(media_type, body);
                call.await.problem("invalid-token");
            }
        }
    }
}
