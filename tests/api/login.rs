//! `POST /login`: who gets in, and what those learn who don't.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use roster::clock::Clock as _;
use serde_json::{Value, json};

use crate::support::{OTHER_PASSWORD, PASSWORD, World, decoded};

/// A raw login, as the bytes of its answer without the date: what a client can tell failures by.
async fn bytes_of_a_failure(world: &World, body: &Value) -> String {
    let text = body.to_string();
    let request = format!(
        "POST /login HTTP/1.1\r\nHost: accounts.test\r\nX-Request-Id: same\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{text}",
        text.len()
    );
    let mut connection = world.connection().await;
    connection.send(request).await;
    let answer = String::from_utf8(connection.rest().await).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let mut lines: Vec<&str> = head
        .split("\r\n")
        .filter(|line| !line.to_lowercase().starts_with("date:"))
        .collect();
    // The framework writes headers in an order of its own, another one each time. The status line comes first.
    lines[1..].sort_unstable();
    format!("{}\r\n\r\n{body}", lines.join("\r\n"))
}

fn login(email: &str, password: &str) -> Value {
    json!({"email": email, "password": password})
}

scenario! {
    async fn address_and_password_give_a_bearer_token(world: World) {
        let ada = world.register("ada").await;
        let answer = world.log_in(&ada.email, &ada.password).await.expect(200);
        let body = answer.json().as_object().unwrap();
        assert_eq!(body["token_type"], "bearer");
        assert_eq!(body["expires_in"], 900);
        let token = body["access_token"].as_str().unwrap();
        assert_eq!(world.profile(token).await["id"], ada.id.to_string());
        // RFC 6749 §5.1 for clients of HTTP/1.0 and us: nobody keeps it.
        assert_eq!(answer.header("cache-control"), "no-store");
    }

    async fn the_form_of_the_password_grant_is_taken(world: World) {
        let ada = world
            .register_as("ada@x.test", "a b+c%26&=\u{e9}\u{1f98a} pass")
            .await;
        let pair = [
            ("username", ada.email.as_str()),
            ("password", ada.password.as_str()),
        ];
        world.post("/login").form(&pair).await.expect(200);
        let whole = [
            ("grant_type", "password"),
            pair[0],
            pair[1],
            ("scope", "openid profile"),
            ("client_id", "swagger"),
            ("client_secret", "ignored"),
            ("resource", "unknown ones too"),
        ];
        world.post("/login").form(&whole).await.expect(200);
        world
            .post("/login")
            .form(&[pair[0], ("password", "wrong")])
            .await
            .expect(401);
        // What Swagger UI sends along is nobody's credentials.
        let call = world
            .post("/login")
            .form(&pair)
            .header("authorization", "Basic Og==");
        call.await.expect(200);
    }

    async fn a_form_that_cannot_be_read_is_refused(world: World) {
        for (form, status) in [
            ("username=a%40x.test&password=%ff", 400),
            ("username=a%40x.test&password=a&password=b", 400),
            ("username=a%40x.test", 422),
            ("password=a", 422),
            ("", 422),
        ] {
            let answer = world
                .post("/login")
                .body("application/x-www-form-urlencoded", form)
                .await;
            assert_eq!(answer.status, status, "{form}: {answer}");
        }
    }

    async fn username_is_another_name_for_email(world: World) {
        let ada = world.register("ada").await;
        let body = json!({"username": ada.email, "password": ada.password});
        world.post("/login").json(&body).await.expect(200);
        let both = json!({"username": ada.email, "email": ada.email, "password": ada.password});
        world
            .post("/login")
            .json(&both)
            .await
            .expect(422)
            .faults(&[("/username", "unknown_member")]);
    }

    async fn members_of_a_wrong_type_are_refused(world: World) {
        let ada = world.register("ada").await;
        for wrong in [
            json!(null),
            json!(true),
            json!(7),
            json!(["a@x.test", "b@x.test"]),
            json!({"$ne": null}),
        ] {
            let body = json!({"email": wrong, "password": ada.password});
            world
                .post("/login")
                .json(&body)
                .await
                .expect(422)
                .faults(&[("/email", "wrong_type")]);
            let body = json!({"email": ada.email, "password": wrong});
            world
                .post("/login")
                .json(&body)
                .await
                .expect(422)
                .faults(&[("/password", "wrong_type")]);
        }
        let body = json!({"email": ada.email});
        world
            .post("/login")
            .json(&body)
            .await
            .expect(422)
            .faults(&[("/password", "missing")]);
        let body = json!({"password": ada.password});
        world
            .post("/login")
            .json(&body)
            .await
            .expect(422)
            .faults(&[("/email", "missing")]);
        let body = json!({"email": ada.email, "password": ada.password, "remember": true});
        world
            .post("/login")
            .json(&body)
            .await
            .expect(422)
            .faults(&[("/remember", "unknown_member")]);
        let body = json!([ada.email, ada.password]);
        world
            .post("/login")
            .json(&body)
            .await
            .expect(422)
            .faults(&[("", "wrong_type")]);
    }

    async fn failures_are_the_same_to_the_byte(world: World) {
        let ada = world.register("ada").await;
        let gone = world.register("gone").await;
        let token = world.sign_in(&gone).await;
        world.delete("/users/me").bearer(&token).await.expect(204);
        let disabled = world.disabled_user().await;
        let passwordless = world.register("passwordless").await;
        world.put_hash(&passwordless, None).await;
        let unreadable = world.register("unreadable").await;
        world
            .put_hash(&unreadable, Some("md5:5f4dcc3b5aa765d61d8327deb882cf99"))
            .await;

        let expected = bytes_of_a_failure(&world, &login("nobody@example.test", PASSWORD)).await;
        assert!(expected.starts_with("HTTP/1.1 401 "), "{expected}");
        assert!(expected.contains("/problems/invalid-credentials"), "{expected}");
        let lower = expected.to_lowercase();
        assert!(
            lower.contains("www-authenticate: bearer realm=\"roster\"\r\n"),
            "{expected}"
        );

        let long = "x".repeat(5_000);
        let almost = format!("{} ", ada.password);
        let cut = &ada.password[..ada.password.len() - 1];
        let nul = format!("{}\0", ada.password);
        for (email, password) in [
            (ada.email.as_str(), OTHER_PASSWORD),
            (ada.email.as_str(), ""),
            (ada.email.as_str(), long.as_str()),
            (ada.email.as_str(), almost.as_str()),
            (ada.email.as_str(), cut),
            (ada.email.as_str(), nul.as_str()),
            (ada.email.as_str(), "\0"),
            (gone.email.as_str(), gone.password.as_str()),
            (disabled.email.as_str(), OTHER_PASSWORD),
            (disabled.email.as_str(), ""),
            (passwordless.email.as_str(), passwordless.password.as_str()),
            (passwordless.email.as_str(), ""),
            (unreadable.email.as_str(), unreadable.password.as_str()),
            ("nobody@example.test", ""),
            ("nobody@example.test", long.as_str()),
            ("not an address", PASSWORD),
            ("", ""),
            ("a\0@x.test", PASSWORD),
            ("' OR 1=1 --@x.test", PASSWORD),
        ] {
            let found = bytes_of_a_failure(&world, &login(email, password)).await;
            assert_eq!(
                found,
                expected,
                "{email:?} {:?}",
                password.get(..password.len().min(30))
            );
        }
    }

    async fn a_failure_with_the_form_is_the_same(world: World) {
        let ada = world.register("ada").await;
        let answer = world
            .post("/login")
            .form(&[("username", "nobody@x.test"), ("password", "x")]);
        let unknown = answer.header("x-request-id", "same").await.expect(401);
        let answer = world
            .post("/login")
            .form(&[("username", ada.email.as_str()), ("password", "x")]);
        let wrong = answer.header("x-request-id", "same").await.expect(401);
        unknown.problem("invalid-credentials");
        assert_eq!(unknown.body, wrong.body);
    }

    async fn only_the_right_password_hears_that_an_account_is_disabled(world: World) {
        let disabled = world.disabled_user().await;
        let answer = world
            .log_in(&disabled.email, &disabled.password)
            .await
            .expect(403);
        answer.problem("account-disabled");
        let answer = world.log_in(&disabled.email, OTHER_PASSWORD).await.expect(401);
        answer.problem("invalid-credentials");
        assert_eq!(world.count_sessions().await, 0);
        assert_eq!(world.user_row(&disabled).await.last_login_at, None);
    }

    async fn an_enabled_account_signs_in_again(world: World) {
        let disabled = world.disabled_user().await;
        world
            .set_status(&disabled, roster::domain::UserStatus::Active)
            .await;
        let token = world.sign_in(&disabled).await;
        assert_eq!(world.profile(&token).await["id"], disabled.id.to_string());
    }

    async fn a_sign_in_is_seen_in_the_profile(world: World) {
        let ada = world.register("ada").await;
        let first = world.sign_in(&ada).await;
        assert_eq!(
            world.profile(&first).await["last_login_at"],
            "2031-05-06T07:08:09.123Z"
        );
        world.clock.advance(std::time::Duration::from_millis(90_061));
        world.log_in(&ada.email, OTHER_PASSWORD).await.expect(401);
        assert_eq!(
            world.profile(&first).await["last_login_at"],
            "2031-05-06T07:08:09.123Z"
        );
        let second = world.sign_in(&ada).await;
        let profile = world.profile(&second).await;
        assert_eq!(profile["last_login_at"], "2031-05-06T07:09:39.184Z");
        // Signing in isn't a change of the profile.
        assert_eq!(profile["updated_at"], profile["created_at"]);
    }

    async fn a_sign_in_opens_a_session_of_its_own(world: World) {
        let ada = world.register("ada").await;
        let call = world
            .log_in(&ada.email, &ada.password)
            .header("user-agent", "tests/1.0");
        let first = call.await.expect(200);
        let second = world.sign_in(&ada).await;
        let sid = |token: &str| decoded(token).1["sid"].as_str().unwrap().to_owned();
        let sids = BTreeSet::from([sid(first.json()["access_token"].as_str().unwrap()), sid(&second)]);
        assert_eq!(sids.len(), 2);
        let sessions = world.sessions_of(&ada).await;
        let ids: BTreeSet<_> = sessions.iter().map(|session| session.id.to_string()).collect();
        assert_eq!(ids, sids);
        let told: BTreeSet<_> = sessions
            .iter()
            .map(|session| session.user_agent.as_deref())
            .collect();
        assert_eq!(told, BTreeSet::from([None, Some("tests/1.0")]));
        let now: DateTime<Utc> = world.clock.now();
        for session in sessions {
            assert_eq!(session.ip.as_deref(), Some("127.0.0.1"));
            assert_eq!(session.created_at.to_utc(), now);
            assert_eq!(
                session.idle_expires_at.to_utc() - now,
                chrono::TimeDelta::days(30)
            );
            assert_eq!(session.expires_at.to_utc() - now, chrono::TimeDelta::days(90));
        }
    }

    async fn nobody_is_let_in_for_somebody_else(world: World) {
        let (ada, bob) = (world.register("ada").await, world.register("bob").await);
        world.log_in(&ada.email, &bob.password).await.expect(401);
        world.log_in(&bob.email, &ada.password).await.expect(401);
        assert_eq!(
            world.profile(&world.sign_in(&ada).await).await["id"],
            ada.id.to_string()
        );
        assert_eq!(
            world.profile(&world.sign_in(&bob).await).await["id"],
            bob.id.to_string()
        );
    }

    async fn login_takes_a_body_and_nothing_else(world: World) {
        let ada = world.register("ada").await;
        let query = format!("/login?username={}&password={}", ada.email, ada.password);
        world.post(&query).json(&json!({})).await.expect(422);
        world
            .post(&query)
            .await
            .expect(415)
            .problem("unsupported-media-type");
        world.get(&query).await.expect(405).problem("method-not-allowed");
        let text = login(&ada.email, &ada.password).to_string();
        for media_type in [
            "text/plain",
            "multipart/form-data; boundary=x",
            "application/json; charset=latin1",
        ] {
            world
                .post("/login")
                .body(media_type, text.clone())
                .await
                .expect(415);
        }
        assert_eq!(world.count_sessions().await, 0);
    }

    async fn sign_ins_are_audited_with_their_outcome(world: World) {
        let ada = world.register("ada").await;
        world.sign_in(&ada).await;
        world
            .log_in(&ada.email, OTHER_PASSWORD)
            .header("x-request-id", "wrong-1")
            .await
            .expect(401);
        world
            .log_in("nobody@example.test", OTHER_PASSWORD)
            .header("x-request-id", "unknown-1")
            .await
            .expect(401);
        let disabled = world.disabled_user().await;
        world
            .log_in(&disabled.email, &disabled.password)
            .header("x-request-id", "disabled-1")
            .await
            .expect(403);

        let events = world.audit("user.sign_in").await;
        let find = |id: Option<&str>, outcome: &str| {
            let mut found = events.iter().filter(|event| {
                event.outcome == outcome && (id.is_none() || event.request_id.as_deref() == id)
            });
            let event = found.next().unwrap_or_else(|| panic!("{id:?} in {events:?}"));
            assert!(found.next().is_none(), "{id:?} twice in {events:?}");
            event.clone()
        };
        assert_eq!(events.len(), 4);
        let success = find(None, "success");
        assert_eq!(
            (success.actor_kind.as_str(), success.actor_id),
            ("user", Some(ada.id))
        );
        assert_eq!(success.subject_id, Some(ada.id));
        assert_eq!(success.ip.as_deref(), Some("127.0.0.1"));
        assert!(success.request_id.is_some());
        let session = world.sessions_of(&ada).await[0].id.to_string();
        assert_eq!(
            serde_json::from_str::<Value>(&success.details).unwrap(),
            json!({"session": session})
        );
        for (id, subject, reason) in [
            ("wrong-1", Some(ada.id), "invalid_credentials"),
            ("unknown-1", None, "invalid_credentials"),
            ("disabled-1", Some(disabled.id), "account_disabled"),
        ] {
            let event = find(Some(id), "failure");
            assert_eq!((event.actor_kind.as_str(), event.actor_id), ("anonymous", None));
            assert_eq!(event.subject_id, subject);
            assert_eq!(
                serde_json::from_str::<Value>(&event.details).unwrap(),
                json!({"reason": reason})
            );
        }
    }
}
