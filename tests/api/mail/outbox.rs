//! The outbox: what waits is not lost, and is sent once if all goes well.

use std::collections::BTreeSet;
use std::time::Duration;

use roster::mailer::SendFault;
use serde_json::{Value, json};

use crate::support::{OTHER_PASSWORD, PASSWORD, PUBLIC_URL, Stage, World, all, token};

fn down() -> SendFault {
    SendFault::Failed("connection refused".to_owned())
}

scenario! {
    async fn a_mail_server_that_is_down_holds_up_nobody_and_gets_everything_later(world: World) {
        world.post.fail(Some(down()));
        let ada = world.register("ada").await;
        world.post("/forgot-password").json(&json!({"email": ada.email})).await.expect(202);
        for _ in 0..10 {
            assert!(world.deliver().await.is_empty());
            world.clock.advance(Duration::from_secs(30));
        }
        world.post.fail(None);
        world.clock.advance(Duration::from_mins(2));
        let letters = world.deliver().await;
        assert_eq!(letters.len(), 2);
        // The code was made when the mail was first tried, and is good still.
        let reset = letters.iter().find(|letter| letter.subject == "Choose a new password").unwrap();
        let body = json!({"token": token(reset), "password": "velvet-harbor-cinder-52"});
        world.post("/reset-password").json(&body).await.expect(204);
    }

    async fn a_mail_keeps_its_message_id_and_its_code_however_often_it_is_tried(world: World) {
        world.post.fail(Some(down()));
        world.register("ada").await;
        world.deliver().await;
        let before = world.mail_rows().await;
        world.clock.advance(Duration::from_secs(10));
        world.deliver().await;
        world.post.fail(None);
        world.clock.advance(Duration::from_secs(10));
        let letter = world.only_letter().await;
        assert!(before.contains(&letter.id.to_string()), "{before}");
        world.post("/verify-email").json(&json!({"token": token(&letter)})).await.expect(204);
    }

    async fn a_code_that_has_expired_while_its_mail_waited_is_made_anew(world: World) {
        let ada = world.register("ada").await;
        world.only_letter().await;
        world.post.fail(Some(down()));
        world.post("/forgot-password").json(&json!({"email": ada.email})).await.expect(202);
        world.deliver().await;
        world.clock.advance(Duration::from_hours(2));
        world.post.fail(None);
        let letter = world.only_letter().await;
        let body = json!({"token": token(&letter), "password": "velvet-harbor-cinder-52"});
        world.post("/reset-password").json(&body).await.expect(204);
    }

    async fn what_cannot_be_sent_for_a_day_is_given_up_until_an_operator_has_it_tried_again(world: World) {
        world.post.fail(Some(down()));
        world.register("ada").await;
        world.deliver().await;
        for _ in 0..60 {
            world.clock.advance(Duration::from_mins(31));
            world.deliver().await;
        }
        let dead = roster::mail::service::list(&world.state, Some(true), 10).await.unwrap();
        assert_eq!(dead.len(), 1);
        assert_eq!(dead[0].last_error.as_deref(), Some("connection refused"));
        world.post.fail(None);
        assert!(world.deliver().await.is_empty());
        assert_eq!(roster::mail::service::retry(&world.state, None).await.unwrap(), 1);
        let letter = world.only_letter().await;
        world.post("/verify-email").json(&json!({"token": token(&letter)})).await.expect(204);
    }

    async fn a_mailbox_that_does_not_exist_is_not_tried_again(world: World) {
        world.post.fail(Some(SendFault::Refused("550 no such user".to_owned())));
        world.register("ada").await;
        world.deliver().await;
        let dead = roster::mail::service::list(&world.state, Some(true), 10).await.unwrap();
        assert_eq!(dead.len(), 1);
        assert_eq!(roster::mail::service::purge(&world.state, None).await.unwrap(), 1);
    }

    async fn the_mails_of_a_removed_account_go_with_it(world: World) {
        let ada = world.register("ada").await;
        let bearer = world.sign_in(&ada).await;
        world.post("/forgot-password").json(&json!({"email": ada.email})).await.expect(202);
        world.delete("/users/me").bearer(&bearer).await.expect(204);
        assert!(world.deliver().await.is_empty());
        assert_eq!(world.mail_rows().await, "");
    }

    async fn instances_that_deliver_at_once_send_each_mail_once(world: World) {
        let others = [world.second_instance().await, world.second_instance().await];
        for number in 0..12 {
            world.register(&format!("user-{number}")).await;
        }
        let [a, b, c] = [&world, &others[0], &others[1]].map(|world| roster::mail::service::deliver_due(&world.state));
        let (a, b, c) = tokio::join!(a, b, c);
        assert_eq!(a.unwrap() + b.unwrap() + c.unwrap(), 12);
        let letters = world.deliver().await;
        let addresses: BTreeSet<&str> = letters.iter().map(|letter| letter.to.as_str()).collect();
        assert_eq!((letters.len(), addresses.len()), (12, 12));
    }

    async fn a_mail_whose_sender_has_died_is_sent_by_whoever_comes_after_its_lease(world: World) {
        world.register("ada").await;
        // Taken on, and never heard of again.
        let taken = world.take_mails().await;
        assert_eq!(taken, 1);
        assert!(world.deliver().await.is_empty());
        world.clock.advance(Duration::from_mins(1));
        let letter = world.only_letter().await;
        world.post("/verify-email").json(&json!({"token": token(&letter)})).await.expect(204);
    }

    async fn links_lead_to_the_public_url_whatever_a_request_calls_this_server(world: World) {
        let ada = world.register("ada").await;
        world.only_letter().await;
        for (name, value) in [
            ("host", "evil.example"),
            ("x-forwarded-host", "evil.example"),
            ("forwarded", "host=evil.example;proto=https"),
            ("x-forwarded-proto", "https"),
            ("x-original-url", "https://evil.example/"),
        ] {
            world.clock.advance(Duration::from_hours(1));
            let body = json!({"email": ada.email});
            let raw = format!(
                "POST /forgot-password HTTP/1.1\r\n{}{name}: {value}\r\ncontent-type: application/json\r\n\
                 content-length: {}\r\nconnection: close\r\n\r\n{body}",
                if name == "host" { "" } else { "host: accounts.test\r\n" },
                body.to_string().len()
            );
            assert_eq!(world.raw(raw).await.status, 202);
            let letter = world.only_letter().await;
            let link = letter.link.clone().unwrap();
            assert!(link.starts_with(&format!("{PUBLIC_URL}/reset-password?token=roster_ml_")), "{link}");
            for text in [&letter.text, &letter.html, &letter.subject] {
                assert!(!text.contains("evil"), "{text}");
            }
        }
    }

    async fn frontends_say_where_links_lead(stage: Stage) {
        let world = World::with(&stage, |variables| {
            variables.set("ROSTER__MAIL__LINKS__RESET_PASSWORD", "https://app.example/#/reset/{token}");
            variables.set("ROSTER__MAIL__FROM", "Example Accounts <accounts@example.org>");
        }).await;
        let ada = world.register("ada").await;
        let letter = world.only_letter().await;
        assert!(letter.link.as_ref().unwrap().starts_with(PUBLIC_URL));
        assert_eq!(letter.from.to_string(), "Example Accounts <accounts@example.org>");
        assert!(letter.text.contains("Example Accounts"));
        let letter = world.forgot(&ada.email).await;
        assert!(letter.link.unwrap().starts_with("https://app.example/#/reset/roster_ml_"));
    }

    async fn a_mail_is_in_the_language_of_its_reader(world: World) {
        let body = json!({"email": "ada@example.test", "password": PASSWORD, "locale": "DE-at"});
        let answer = world.post("/users/").json(&body).await.expect(201);
        assert_eq!(answer.json()["locale"], "de-AT");
        let letter = world.only_letter().await;
        assert_eq!(letter.subject, "Bestätige deine E-Mail-Adresse");
        let tokens = world.log_in("ada@example.test", PASSWORD).await.expect(200);
        let bearer = tokens.json()["access_token"].as_str().unwrap().to_owned();
        assert_eq!(world.profile(&bearer).await["locale"], "de-AT");
        let change = |locale: &str| world.patch("/users/me").bearer(&bearer).json(&json!({"locale": locale}));
        change("fr").await.expect(200);
        assert_eq!(world.forgot("ada@example.test").await.subject, "Choose a new password");
        change("de").await.expect(200);
        assert_eq!(world.forgot("ada@example.test").await.subject, "Wähle ein neues Passwort");
        let answer = change("").await.expect(200);
        assert!(answer.json().get("locale").is_none());
        for bad in ["de_AT", "de\r\nBcc: eve@x.test", "../../etc/passwd", "x"] {
            change(bad).await.faults(&[("/locale", "invalid_locale")]);
        }
    }

    async fn nothing_that_a_stranger_chooses_gets_into_a_mail(world: World) {
        let body = json!({
            "email": "ada@example.test", "password": PASSWORD,
            "display_name": "Win money: https://evil.example <b>{{ link }}</b>", "metadata": {"note": "evil"},
        });
        world.post("/users/").json(&body).await.expect(201);
        let letter = world.only_letter().await;
        for text in [&letter.subject, &letter.text, &letter.html] {
            assert!(!text.contains("evil") && !text.contains("Win money"), "{text}");
        }
        for email in ["a@x.test\r\nBcc: eve@x.test", "a@x.test%0d%0aBcc:eve@x.test", "a@x.test, eve@x.test", "<a@x.test>"] {
            let body = json!({"email": email, "password": PASSWORD});
            world.post("/users/").json(&body).await.problem("validation-failed");
        }
        assert!(world.deliver().await.is_empty());
    }

    async fn notices_go_out_with_what_they_tell_about_or_not_at_all(world: World) {
        let ada = world.register("ada").await;
        world.only_letter().await;
        let bearer = world.sign_in(&ada).await;
        let change = json!({"password": "velvet-harbor-cinder-52", "current_password": "wrong-wrong-wrong-1"});
        world.put("/users/me").bearer(&bearer).json(&change).await.expect(403);
        assert!(world.deliver().await.is_empty());
        let calls = (0..4).map(|number| {
            let change = ada.confirming(json!({"password": format!("velvet-harbor-cinder-{number}")}));
            world.put("/users/me").bearer(&bearer).json(&change)
        });
        let changed = all(calls).await.iter().filter(|answer| answer.status == 200).count();
        assert_eq!(changed, 1);
        assert_eq!(world.only_letter().await.subject, "Your password was changed");
    }

    async fn without_a_mail_server_in_production_the_flows_are_not_there(stage: Stage) {
        let world = World::in_production(&stage).await;
        for (method, path) in [
            ("POST", "/verify-email/request"), ("POST", "/verify-email"), ("GET", "/verify-email"),
            ("POST", "/forgot-password"), ("POST", "/reset-password"), ("GET", "/reset-password"),
            ("POST", "/users/me/email/confirm"), ("PUT", "/reset-password"),
        ] {
            let raw = format!(
                "{method} {path} HTTP/1.1\r\nhost: accounts.test\r\ncontent-type: application/json\r\n\
                 content-length: 2\r\nconnection: close\r\n\r\n{{}}"
            );
            assert_eq!(world.raw(raw).await.status, 404, "{method} {path}");
        }
        let ada = world.register("ada").await;
        let bearer = world.sign_in(&ada).await;
        let change = ada.confirming(json!({"email": "countess@example.test"}));
        let answer = world.put("/users/me").bearer(&bearer).json(&change).await.expect(200);
        assert_eq!(answer.json()["email"], "countess@example.test");
        assert_eq!(world.mail_rows().await, "");
    }

    async fn without_a_mail_server_an_admin_chooses_passwords_and_nobody_is_told(stage: Stage) {
        let world = World::in_production(&stage).await;
        let admin = world.admin().await;
        let admin = world.sign_in(&admin).await;
        let create = |body: Value| world.post("/admin/users").bearer(&admin).json(&body);
        // Nobody can be invited.
        let refused = create(json!({"email": "ada@example.test"})).await.expect(422);
        refused.faults(&[("/password", "missing")]);
        assert_eq!(world.count_users_of("ada@example.test").await, 0);
        let made = create(json!({"email": "ada@example.test", "password": PASSWORD})).await.expect(201);
        let path = format!("/admin/users/{}", made.json()["id"].as_str().unwrap());
        for unknown in [path.as_str(), "/admin/users/019a0000-0000-7000-8000-000000000001"] {
            let reset = world.post(&format!("{unknown}/password-reset")).bearer(&admin);
            reset.await.expect(404).problem("not-found");
        }
        assert!(world.audit("user.reset_requested").await.is_empty());
        let change = json!({"password": OTHER_PASSWORD, "email": "countess@example.test", "status": "disabled"});
        let changed = world.patch(&path).bearer(&admin).json(&change).await.expect(200);
        assert_eq!(changed.json()["email"], "countess@example.test");
        world.log_in("countess@example.test", OTHER_PASSWORD).await.expect(403).problem("account-disabled");
        assert_eq!(world.mail_rows().await, "");
    }
}
