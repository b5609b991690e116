//! E-mail addresses: one canonical form, on every path.

use serde_json::{Value, json};

use crate::support::{PASSWORD, World};

fn body(email: &str) -> Value {
    json!({"email": email, "password": PASSWORD})
}

scenario! {
    async fn spellings_of_one_address_are_one_account(world: World) {
        for (first, second) in [
            ("ada@x.test", "  ADA@X.Test\t"),
            ("jos\u{e9}@x.test", "jose\u{301}@x.test"),
            ("jose\u{301}-b@x.test", "JOS\u{c9}-B@x.test"),
            ("\u{c5}sa@x.test", "\u{212b}sa@x.test"),
            ("eve@b\u{fc}cher.example", "eve@XN--BCHER-kva.example"),
            ("bob@xn--bcher-kva.example", "bob@bu\u{308}cher.example"),
            ("kim@example\u{3002}test", "kim@example.test"),
        ] {
            let created = world.post("/users/").json(&body(first)).await.expect(201);
            world
                .post("/users/")
                .json(&body(second))
                .await
                .expect(409)
                .problem("email-taken");
            // Both spellings sign in, to the same account.
            for spelling in [first, second] {
                let answer = world.log_in(spelling, PASSWORD).await.expect(200);
                let profile = world
                    .profile(answer.json()["access_token"].as_str().unwrap())
                    .await;
                assert_eq!(profile["id"], created.json()["id"], "{spelling}");
            }
            assert_eq!(
                world
                    .count_users_of(created.json()["email"].as_str().unwrap())
                    .await,
                1
            );
        }
    }

    async fn addresses_that_only_look_alike_are_different_accounts(world: World) {
        let alike = [
            "a+1@x.test",
            "a.b@x.test",
            "ab@x.test",
            "\u{131}@x.test",
            "i@x.test",
            "a@x.test.test",
        ];
        for email in alike {
            let answer = world.post("/users/").json(&body(email)).await.expect(201);
            assert_eq!(answer.json()["email"], email);
        }
        assert_eq!(world.count_users().await, 6);
    }

    async fn addresses_with_hidden_characters_are_refused(world: World) {
        for email in [
            "a b@x.test",
            "a\tb@x.test",
            "a\u{200b}@x.test",
            "\u{202e}a@x.test",
            "\u{feff}a@x.test",
            "a@x.test\0",
            "a\u{ad}b@x.test",
            "a@x\u{200d}y.test",
            "a@x.test\r\nBcc: b@x.test",
            "a\u{3164}@x.test",
        ] {
            let answer = world.post("/users/").json(&body(email)).await.expect(422);
            answer.faults(&[("/email", "invalid_characters")]);
        }
        assert_eq!(world.count_users().await, 0);
    }

    async fn addresses_that_are_none_are_refused(world: World) {
        for email in [
            "",
            "@",
            "ada",
            "ada@",
            "@x.test",
            "a@b@x.test",
            "\"a\"@x.test",
            "Ada<a@x.test>",
            "a@[127.0.0.1]",
            "a@127.0.0.1",
            "a@localhost",
            ".a@x.test",
            "a.@x.test",
            "a..b@x.test",
            "a@x..test",
            "a@-x.test",
            "a@x.test.",
            "a@x_y.test",
            "a,b@x.test",
            "a@xn--example-.org",
            "a@xn--.test",
            "a@1.2.3",
        ] {
            let answer = world.post("/users/").json(&body(email)).await.expect(422);
            answer.faults(&[("/email", "invalid_email")]);
        }
        assert_eq!(world.count_users().await, 0);
    }

    async fn addresses_may_be_as_long_as_mail_allows(world: World) {
        let label = "d".repeat(63);
        let local = "l".repeat(64);
        let whole = |last: usize| format!("{local}@{label}.{label}.{}", "t".repeat(last));
        assert_eq!(whole(61).len(), 254);
        for fits in [format!("{local}@x.test"), format!("a@{label}.test"), whole(61)] {
            let answer = world.post("/users/").json(&body(&fits)).await.expect(201);
            assert_eq!(answer.json()["email"], fits);
            world.log_in(&fits, PASSWORD).await.expect(200);
        }
        let answer = world.post("/users/").json(&body(&whole(62))).await.expect(422);
        answer.faults(&[("/email", "too_long")]);
        let answer = world
            .post("/users/")
            .json(&body(&format!("{local}l@x.test")))
            .await
            .expect(422);
        answer.faults(&[("/email", "too_long")]);
        let answer = world
            .post("/users/")
            .json(&body(&format!("a@{label}d.test")))
            .await
            .expect(422);
        answer.faults(&[("/email", "invalid_email")]);
        let answer = world
            .post("/users/")
            .json(&body(&format!("{}@x.test", "l".repeat(50_000))))
            .await
            .expect(422);
        answer.faults(&[("/email", "too_long")]);
        // Each of these is two bytes: bytes count, and not characters.
        let answer = world
            .post("/users/")
            .json(&body(&format!("{}@x.test", "\u{e9}".repeat(33))))
            .await
            .expect(422);
        answer.faults(&[("/email", "too_long")]);
        world
            .post("/users/")
            .json(&body(&format!("{}@x.test", "\u{e9}".repeat(32))))
            .await
            .expect(201);
    }

    async fn addresses_are_trimmed_at_the_login_as_at_the_registration(world: World) {
        let ada = world.register("ada").await;
        for spelling in [
            "\u{3000}ada@example.test\n",
            " ADA@EXAMPLE.TEST ",
            "\tAda@example\u{ff0e}test",
        ] {
            let answer = world.log_in(spelling, &ada.password).await.expect(200);
            let profile = world
                .profile(answer.json()["access_token"].as_str().unwrap())
                .await;
            assert_eq!(profile["id"], ada.id.to_string());
        }
        for other in [
            "ad a@example.test",
            "ada@example.test\0",
            "\u{feff}ada@example.test",
            "ada@example.test,",
        ] {
            world.log_in(other, &ada.password).await.expect(401);
        }
    }
}
