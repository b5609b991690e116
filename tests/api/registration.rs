//! `POST /users/`: who gets an account, and under which address.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::{OTHER_PASSWORD, PASSWORD, Stage, World};

/// The members of a `User`, neither more nor less.
const USER_MEMBERS: [&str; 10] = [
    "id",
    "email",
    "email_verified",
    "pending_email",
    "display_name",
    "metadata",
    "roles",
    "created_at",
    "updated_at",
    "last_login_at",
];

fn members(value: &Value) -> BTreeSet<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

fn body(email: &str) -> Value {
    json!({"email": email, "password": PASSWORD})
}

scenario! {
    async fn whoever_registers_gets_an_account(world: World) {
        let body = json!({
            "email": "Ada@Example.TEST",
            "password": PASSWORD,
            "display_name": "Ada Lovelace",
            "metadata": {"theme": "dark", "n": [1, 2.5, null]},
        });
        let answer = world.post("/users/").json(&body).await.expect(201);
        assert_eq!(answer.header("location"), "/users/me");
        assert_eq!(answer.header("content-type"), "application/json");
        let user = answer.json();
        assert_eq!(members(user), BTreeSet::from(USER_MEMBERS));
        assert_eq!(user["email"], "ada@example.test");
        assert_eq!(user["email_verified"], false);
        assert_eq!(user["pending_email"], Value::Null);
        assert_eq!(user["display_name"], "Ada Lovelace");
        assert_eq!(user["metadata"], json!({"theme": "dark", "n": [1, 2.5, null]}));
        assert_eq!(user["roles"], json!([]));
        assert_eq!(user["created_at"], "2031-05-06T07:08:09.123Z");
        assert_eq!(user["updated_at"], user["created_at"]);
        assert_eq!(user["last_login_at"], Value::Null);
        assert_eq!(world.count_users().await, 1);
    }

    async fn what_is_optional_may_be_left_out(world: World) {
        let answer = world.post("/users/").json(&body("ada@x.test")).await.expect(201);
        assert_eq!(answer.json()["display_name"], Value::Null);
        assert_eq!(answer.json()["metadata"], json!({}));
        assert_eq!(members(answer.json()), BTreeSet::from(USER_MEMBERS));
    }

    async fn the_account_works_at_once(world: World) {
        let answer = world.post("/users/").json(&body("ada@x.test")).await.expect(201);
        let token = world.log_in("ada@x.test", PASSWORD).await.expect(200);
        let token = token.json()["access_token"].as_str().unwrap().to_owned();
        let profile = world.get("/users/me").bearer(&token).await.expect(200);
        assert_eq!(profile.json()["id"], answer.json()["id"]);
        assert_eq!(members(profile.json()), BTreeSet::from(USER_MEMBERS));
    }

    async fn ids_tell_nothing_but_the_time(world: World) {
        let mut ids = Vec::new();
        for name in ["ada", "bob", "eve"] {
            ids.push(world.register(name).await.id);
        }
        // UUIDv7: the clock stands still, so the first 48 bits are one, and the rest is chance.
        let times: BTreeSet<_> = ids.iter().map(|id| id.as_u128() >> 80).collect();
        let rests: BTreeSet<_> = ids.iter().map(|id| id.as_u128() & u128::from(u64::MAX)).collect();
        assert_eq!((times.len(), rests.len()), (1, 3));
    }

    async fn a_taken_address_is_refused(world: World) {
        world.post("/users/").json(&body("ada@x.test")).await.expect(201);
        let again = json!({"email": "ada@x.test", "password": OTHER_PASSWORD});
        let answer = world.post("/users/").json(&again).await.expect(409);
        answer.problem("email-taken");
        assert_eq!(world.count_users().await, 1);
        world.log_in("ada@x.test", PASSWORD).await.expect(200);
        world.log_in("ada@x.test", OTHER_PASSWORD).await.expect(401);
    }

    async fn names_are_kept_to_the_last_code_point(world: World) {
        let names = [
            "x".repeat(255),
            "\u{1f469}\u{200d}\u{1f680}".repeat(85),
            "\u{202b}\u{5e9}\u{5dc}\u{5d5}\u{5dd}\u{202c}".to_owned(),
            format!("z{}", "\u{301}\u{323}\u{336}".repeat(40)),
            "e\u{301}".to_owned(),
            "<script>alert(1)</script>".to_owned(),
            "'; DROP TABLE users;--".to_owned(),
            "{{7*7}} ${7*7} %s%n \\ \" / \u{2028}".to_owned(),
            " spaces are kept ".to_owned(),
        ];
        for (number, name) in names.iter().enumerate() {
            let body =
                json!({"email": format!("n{number}@x.test"), "password": PASSWORD, "display_name": name});
            let answer = world.post("/users/").json(&body).await.expect(201);
            assert_eq!(answer.json()["display_name"], **name);
            let token = world
                .log_in(&format!("n{number}@x.test"), PASSWORD)
                .await
                .expect(200);
            let profile = world
                .profile(token.json()["access_token"].as_str().unwrap())
                .await;
            assert_eq!(profile["display_name"], **name);
        }
    }

    async fn names_that_are_none_are_refused(world: World) {
        for (name, code) in [
            ("x".repeat(256), "too_long"),
            ("x".repeat(10_000), "too_long"),
            ("\u{1f469}".repeat(256), "too_long"),
            ("a\0b".to_owned(), "invalid_characters"),
            ("a\u{1b}[31mb".to_owned(), "invalid_characters"),
            ("a\r\nb".to_owned(), "invalid_characters"),
        ] {
            let body = json!({"email": "ada@x.test", "password": PASSWORD, "display_name": name});
            world
                .post("/users/")
                .json(&body)
                .await
                .expect(422)
                .faults(&[("/display_name", code)]);
        }
        assert_eq!(world.count_users().await, 0);
    }

    async fn an_empty_name_is_no_name(world: World) {
        let body = json!({"email": "ada@x.test", "password": PASSWORD, "display_name": ""});
        let answer = world.post("/users/").json(&body).await.expect(201);
        assert_eq!(answer.json()["display_name"], Value::Null);
    }

    async fn metadata_comes_back_as_it_was_sent(world: World) {
        let mut deep = json!(1);
        // With the body and the metadata object around it, 32 levels.
        for _ in 0..30 {
            deep = json!([deep]);
        }
        let metadata = json!({
            "": "", "a/b~c": {"\u{1f469}": [true, false, null]}, "deep": deep,
            "big": 18_446_744_073_709_551_615_u64, "small": i64::MIN, "fraction": 0.1, "quote": "\"\\\u{7f}\u{2028}",
        });
        let body = json!({"email": "ada@x.test", "password": PASSWORD, "metadata": metadata});
        let answer = world.post("/users/").json(&body).await.expect(201);
        assert_eq!(answer.json()["metadata"], metadata);
        let token = world.log_in("ada@x.test", PASSWORD).await.expect(200);
        let profile = world
            .profile(token.json()["access_token"].as_str().unwrap())
            .await;
        assert_eq!(profile["metadata"], metadata);
    }

    async fn metadata_is_bounded(world: World) {
        let with =
            |email: &str, text: &str| json!({"email": email, "password": PASSWORD, "metadata": {"k": text}});
        let frame = r#"{"k":""}"#.len();
        let fits = "x".repeat(16 * 1024 - frame);
        world
            .post("/users/")
            .json(&with("a@x.test", &fits))
            .await
            .expect(201);
        let answer = world
            .post("/users/")
            .json(&with("b@x.test", &format!("{fits}x")))
            .await
            .expect(422);
        answer.faults(&[("/metadata", "too_large")]);
        let answer = world
            .post("/users/")
            .json(&with("b@x.test", "a\0b"))
            .await
            .expect(422);
        answer.faults(&[("/metadata", "invalid_characters")]);
        assert_eq!(world.count_users().await, 1);
    }

    async fn nobody_gives_themselves_what_is_not_offered(world: World) {
        for (name, value) in [
            ("id", json!("01890000-0000-7000-8000-000000000000")),
            ("role", json!("admin")),
            ("roles", json!(["admin"])),
            ("is_admin", json!(true)),
            ("email_verified", json!(true)),
            ("pending_email", json!("a@x.test")),
            ("status", json!("active")),
            ("created_at", json!("2001-01-01T00:00:00Z")),
            ("password_hash", json!("x")),
            ("token_version", json!(7)),
            ("current_password", json!(PASSWORD)),
            ("a/b~c", json!(1)),
        ] {
            let mut body = body("ada@x.test");
            body[name] = value;
            let pointer = format!("/{}", name.replace('~', "~0").replace('/', "~1"));
            let answer = world.post("/users/").json(&body).await.expect(422);
            answer.faults(&[(pointer.as_str(), "unknown_member")]);
        }
        assert_eq!(world.count_users().await, 0);
    }

    async fn every_fault_is_told_at_once(world: World) {
        let body = json!({
            "email": "nobody", "password": "short", "display_name": "a\nb", "metadata": [], "role": "admin",
        });
        world.post("/users/").json(&body).await.expect(422).faults(&[
            ("/email", "invalid_email"),
            ("/password", "too_short"),
            ("/display_name", "invalid_characters"),
            ("/metadata", "wrong_type"),
            ("/role", "unknown_member"),
        ]);
        world
            .post("/users/")
            .json(&json!({}))
            .await
            .expect(422)
            .faults(&[("/email", "missing"), ("/password", "missing")]);
    }

    async fn members_of_a_wrong_type_are_named(world: World) {
        for wrong in [
            json!(null),
            json!(true),
            json!(7),
            json!(["a@x.test"]),
            json!({"$ne": null}),
        ] {
            for name in ["email", "password", "display_name"] {
                let mut body = body("ada@x.test");
                body[name] = wrong.clone();
                let pointer = format!("/{name}");
                let answer = world.post("/users/").json(&body).await.expect(422);
                answer.faults(&[(pointer.as_str(), "wrong_type")]);
            }
        }
        for wrong in [json!(null), json!(true), json!(7), json!("{}"), json!([])] {
            let mut body = body("ada@x.test");
            body["metadata"] = wrong;
            world
                .post("/users/")
                .json(&body)
                .await
                .expect(422)
                .faults(&[("/metadata", "wrong_type")]);
        }
        // A list in the order of the members isn't an object either.
        let answer = world
            .post("/users/")
            .json(&json!(["ada@x.test", PASSWORD]))
            .await
            .expect(422);
        answer.faults(&[("", "wrong_type")]);
        assert_eq!(world.count_users().await, 0);
    }

    async fn a_closed_server_takes_nobody(stage: Stage) {
        let world = World::with(&stage, |variables| {
            variables.set("ROSTER__REGISTRATION__MODE", "closed");
        })
        .await;
        world
            .post("/users/")
            .json(&body("ada@x.test"))
            .await
            .expect(403)
            .problem("forbidden");
        assert_eq!(world.count_users().await, 0);
        assert_eq!(world.audit("user.registered").await.len(), 0);
    }

    async fn registering_takes_json_alone(world: World) {
        let fields = [("email", "ada@x.test"), ("password", PASSWORD)];
        world
            .post("/users/")
            .form(&fields)
            .await
            .expect(415)
            .problem("unsupported-media-type");
        for media_type in [
            "",
            "text/plain",
            "application/x+json",
            "application/json; charset=utf-16",
        ] {
            let text = body("ada@x.test").to_string();
            world
                .post("/users/")
                .body(media_type, text)
                .await
                .expect(415)
                .problem("unsupported-media-type");
        }
        assert_eq!(world.count_users().await, 0);
        for media_type in [
            "application/json;charset=utf-8",
            "Application/JSON ; Charset=\"UTF-8\"",
        ] {
            let text = body(&format!("a{}@x.test", media_type.len())).to_string();
            world.post("/users/").body(media_type, text).await.expect(201);
        }
    }

    async fn registering_is_audited(world: World) {
        let call = world.post("/users/").json(&body("ada@x.test"));
        let call = call
            .header("x-request-id", "register-1")
            .header("user-agent", "tests/1.0");
        let answer = call.await.expect(201);
        assert_eq!(answer.header("x-request-id"), "register-1");
        let event = world.only_audit("user.registered").await;
        assert_eq!(event.outcome, "success");
        assert_eq!((event.actor_kind.as_str(), event.actor_id), ("anonymous", None));
        assert_eq!(
            event.subject_id.map(|id| id.to_string()).as_deref(),
            answer.json()["id"].as_str()
        );
        assert_eq!(event.ip.as_deref(), Some("127.0.0.1"));
        assert_eq!(event.user_agent.as_deref(), Some("tests/1.0"));
        assert_eq!(event.request_id.as_deref(), Some("register-1"));
        assert_eq!(
            event.occurred_at.to_utc().to_rfc3339(),
            "2031-05-06T07:08:09.123+00:00"
        );
    }

    async fn a_refused_registration_leaves_nothing_behind(world: World) {
        world.post("/users/").json(&body("ada@x.test")).await.expect(201);
        world.post("/users/").json(&body("ada@x.test")).await.expect(409);
        world
            .post("/users/")
            .json(&json!({"email": "b@x.test", "password": "password"}))
            .await
            .expect(422);
        assert_eq!(world.count_users().await, 1);
        assert_eq!(world.audit("user.registered").await.len(), 1);
    }
}
