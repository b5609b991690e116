//! Which passwords are taken.

use serde_json::{Value, json};

use crate::support::{Answer, OTHER_PASSWORD, PASSWORD, Stage, World};

async fn register(world: &World, email: &str, password: &str) -> Answer {
    let body = json!({"email": email, "password": password});
    world.post("/users/").json(&body).await
}

/// Registers, and sees that the password opens the account and that near misses don't.
async fn is_taken(world: &World, email: &str, password: &str) {
    register(world, email, password).await.expect(201);
    world.log_in(email, password).await.expect(200);
    world.log_in(email, &format!("{password}x")).await.expect(401);
    let mut shorter = password.to_owned();
    shorter.pop();
    world.log_in(email, &shorter).await.expect(401);
}

scenario! {
    async fn length_is_counted_in_code_points(stage: Stage) {
        // The estimator thinks little of any eight characters; here it isn't asked.
        let world = World::with(&stage, |variables| {
            variables.set("ROSTER__PASSWORD__MIN_STRENGTH", "0");
        })
        .await;
        for (password, code) in [
            ("", "too_short"),
            ("k7!vQ2z", "too_short"),
            (
                "\u{1f98a}\u{1f344}\u{1f680}\u{2693}\u{1f511}\u{1f3b2}\u{1f9ca}",
                "too_short",
            ),
        ] {
            register(&world, "ada@x.test", password)
                .await
                .expect(422)
                .faults(&[("/password", code)]);
        }
        is_taken(&world, "a@x.test", "k7!vQ2z#").await;
        // Eight code points of four bytes each.
        is_taken(
            &world,
            "b@x.test",
            "\u{1f98a}\u{1f344}\u{1f680}\u{1f6f6}\u{1f511}\u{1f3b2}\u{1f9ca}\u{1f9ff}",
        )
        .await;
    }

    async fn the_longest_password_has_128_characters(world: World) {
        let phrase = "quartz lantern orbit meadow thistle copper anvil raven saddle pillow ";
        let of = |length: usize| phrase.chars().cycle().take(length).collect::<String>();
        is_taken(&world, "a@x.test", &of(64)).await;
        register(&world, "b@x.test", &of(128)).await.expect(201);
        world.log_in("b@x.test", &of(128)).await.expect(200);
        world.log_in("b@x.test", &of(127)).await.expect(401);
        for length in [129, 4096, 60_000] {
            let answer = register(&world, "c@x.test", &of(length)).await.expect(422);
            answer.faults(&[("/password", "too_long")]);
        }
        // 128 of four bytes, and one more.
        let foxes = |length: usize| {
            "\u{1f98a}\u{1f344}\u{1f680}\u{1f511}"
                .chars()
                .cycle()
                .take(length)
                .collect::<String>()
        };
        let answer = register(&world, "c@x.test", &foxes(129)).await.expect(422);
        answer.faults(&[("/password", "too_long")]);
        assert_eq!(world.count_users().await, 2);
    }

    async fn a_password_larger_than_a_body_may_be_is_refused(world: World) {
        let answer = register(&world, "a@x.test", &"x".repeat(1 << 20))
            .await
            .expect(413);
        answer.problem("payload-too-large");
    }

    async fn a_megabyte_is_refused_where_bodies_may_be_large(stage: Stage) {
        let world = World::with(&stage, |variables| {
            variables.set("ROSTER__SERVER__MAX_BODY_BYTES", "4194304");
        })
        .await;
        for text in ["x", "e\u{301}", "\u{1f98a}"] {
            let answer = register(&world, "a@x.test", &text.repeat((1 << 20) / text.len()))
                .await
                .expect(422);
            answer.faults(&[("/password", "too_long")]);
        }
        world.log_in("a@x.test", &"x".repeat(1 << 20)).await.expect(401);
    }

    async fn the_bounds_are_configured(stage: Stage) {
        let world = World::with(&stage, |variables| {
            variables.set("ROSTER__PASSWORD__MIN_LENGTH", "15");
            variables.set("ROSTER__PASSWORD__MAX_LENGTH", "64");
        })
        .await;
        let fourteen = "k7!vQ2z#pL9@xW";
        register(&world, "a@x.test", fourteen)
            .await
            .expect(422)
            .faults(&[("/password", "too_short")]);
        is_taken(&world, "a@x.test", &format!("{fourteen}5")).await;
        // Fifteen emoji of four bytes are fifteen.
        let emoji: String =
            "\u{1f98a}\u{1f344}\u{1f680}\u{1f6f6}\u{1f511}\u{1f3b2}\u{1f9ca}\u{1f9ff}\u{1f33b}\u{1f40c}\
                             \u{1f9e9}\u{1f3bb}\u{1f9ed}\u{1f955}\u{1fa81}"
                .to_owned();
        assert_eq!(emoji.chars().count(), 15);
        is_taken(&world, "b@x.test", &emoji).await;
        let long = "quartz lantern orbit meadow thistle copper anvil raven saddle pil";
        assert_eq!(long.len(), 65);
        register(&world, "c@x.test", long)
            .await
            .expect(422)
            .faults(&[("/password", "too_long")]);
        is_taken(&world, "c@x.test", &long[..64]).await;
    }

    async fn there_are_no_rules_about_kinds_of_characters(world: World) {
        for (number, password) in [
            "tumbling quartz lantern meadow",
            "80351749206713845026",
            "TUMBLINGQUARTZLANTERN",
            " both ends are spaces, kept ",
            "\u{442}\u{440}\u{438} \u{441}\u{43b}\u{43e}\u{43d}\u{430} \u{43d}\u{430} \u{43a}\u{440}\u{44b}\u{448}\u{435}",
            "\u{5927}\u{8c61}\u{5728}\u{5c4b}\u{9876}\u{4e0a}\u{8df3}\u{821e}\u{5531}\u{6b4c}",
            "tab\there\nand\u{200b}more\u{202e}!",
            "\"';--<script>%s%n{{7*7}}",
        ]
        .into_iter()
        .enumerate()
        {
            is_taken(&world, &format!("a{number}@x.test"), password).await;
        }
    }

    async fn common_passwords_are_refused(world: World) {
        for password in [
            "password",
            "PassWord",
            "12345678",
            "qwertyuiop",
            "QWERTYUIOP",
            "iloveyou",
        ] {
            let answer = register(&world, "ada@x.test", password).await.expect(422);
            answer.faults(&[("/password", "too_common")]);
        }
        assert_eq!(world.count_users().await, 0);
    }

    async fn guessable_passwords_are_refused_with_a_hint(world: World) {
        for password in [
            "passwordpassword",
            "123456789012345",
            "rosterroster",
            "aaaaaaaaaaaaaaaa",
            "abcdefghijklmnop",
        ] {
            let answer = register(&world, "ada@x.test", password).await.expect(422);
            let fault = &answer.problem("validation-failed")["errors"][0];
            assert_eq!(fault["pointer"], "/password");
            let code = fault["code"].as_str().unwrap();
            assert!(matches!(code, "too_guessable" | "too_common"), "{answer}");
            if code == "too_guessable" {
                let detail = fault["detail"].as_str().unwrap();
                assert!(detail.len() > "is too easy to guess: ".len(), "no hint: {answer}");
                assert!(
                    !answer.json()["detail"].as_str().unwrap().ends_with(".."),
                    "{answer}"
                );
            }
            assert!(!answer.text().contains(password), "it is repeated: {answer}");
        }
        let answer = register(&world, "ada@x.test", "rosterroster").await.expect(422);
        answer.faults(&[("/password", "too_guessable")]);
    }

    async fn the_asked_strength_is_configured(stage: Stage) {
        let lax = World::with(&stage, |variables| {
            variables.set("ROSTER__PASSWORD__MIN_STRENGTH", "0");
        })
        .await;
        register(&lax, "ada@x.test", "rosterroster").await.expect(201);
        // The list isn't a matter of strength.
        register(&lax, "bob@x.test", "password")
            .await
            .expect(422)
            .faults(&[("/password", "too_common")]);
        let strict = World::with(&stage, |variables| {
            variables.set("ROSTER__PASSWORD__MIN_STRENGTH", "4");
        })
        .await;
        let middling = "meadow7lamp";
        let usual = World::with(&stage, |_| {}).await;
        register(&usual, "ada@x.test", middling).await.expect(201);
        register(&strict, "ada@x.test", middling)
            .await
            .expect(422)
            .faults(&[("/password", "too_guessable")]);
    }

    async fn a_password_must_not_contain_the_address(world: World) {
        for password in [
            "lovelace-plum-orbit",
            "plum-LOVELACE-orbit",
            "lovelace@x.test",
            "xxLovelace@X.Testyy!",
        ] {
            let answer = register(&world, "Lovelace@x.test", password).await.expect(422);
            let faults = answer.problem("validation-failed")["errors"].as_array().unwrap();
            assert!(
                faults.iter().any(|fault| fault["code"] == "contains_email"),
                "{answer}"
            );
        }
        // Three letters occur in words by chance.
        register(&world, "lum@x.test", PASSWORD).await.expect(201);
    }

    async fn a_display_name_does_not_make_a_password_strong(world: World) {
        let body = json!({
            "email": "a@x.test", "password": "Wilhelmina Featherstone", "display_name": "Wilhelmina Featherstone",
        });
        world
            .post("/users/")
            .json(&body)
            .await
            .expect(422)
            .faults(&[("/password", "too_guessable")]);
    }

    async fn a_nul_is_refused(world: World) {
        let answer = register(&world, "ada@x.test", "plum-orbit\0-canvas-47")
            .await
            .expect(422);
        answer.faults(&[("/password", "nul")]);
    }

    async fn breached_passwords_are_refused(stage: Stage) {
        let file = stage.folder().join("breached.txt");
        let digest =
            aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY, PASSWORD.as_bytes());
        let number = digest
            .as_ref()
            .iter()
            .fold(String::new(), |hex, byte| format!("{hex}{byte:02X}"));
        std::fs::write(&file, format!("{number}\n")).unwrap();
        let world = World::with(&stage, |variables| {
            variables.set("ROSTER__PASSWORD__BREACHED_FILE", file.to_str().unwrap());
        })
        .await;
        register(&world, "ada@x.test", PASSWORD)
            .await
            .expect(422)
            .faults(&[("/password", "breached")]);
        register(&world, "ada@x.test", OTHER_PASSWORD).await.expect(201);
    }

    async fn spaces_and_case_count(world: World) {
        register(&world, "ada@x.test", " Plum-Orbit-Canvas ")
            .await
            .expect(201);
        for other in [
            "Plum-Orbit-Canvas ",
            " Plum-Orbit-Canvas",
            "Plum-Orbit-Canvas",
            " plum-orbit-canvas ",
            " Plum-Orbit-Canvas  ",
            "\u{a0}Plum-Orbit-Canvas ",
        ] {
            world.log_in("ada@x.test", other).await.expect(401);
        }
        world
            .log_in("ada@x.test", " Plum-Orbit-Canvas ")
            .await
            .expect(200);
    }

    async fn two_unicode_forms_are_one_password_on_every_path(world: World) {
        let (composed, decomposed) = (
            "jos\u{e9} \u{c5}ngstr\u{f6}m lantern",
            "jose\u{301} \u{212b}ngstro\u{308}m lantern",
        );
        register(&world, "a@x.test", composed).await.expect(201);
        register(&world, "b@x.test", decomposed).await.expect(201);
        for email in ["a@x.test", "b@x.test"] {
            for password in [composed, decomposed] {
                world.log_in(email, password).await.expect(200);
            }
            // Compatibility forms are other characters.
            world
                .log_in(email, "jose \u{c5}ngstr\u{f6}m lantern")
                .await
                .expect(401);
        }
        // As the current password, and as the new one.
        let token = world.log_in("a@x.test", composed).await.expect(200);
        let token = token.json()["access_token"].as_str().unwrap();
        let same = json!({"password": decomposed, "current_password": composed});
        let answer = world.put("/users/me").bearer(token).json(&same).await.expect(422);
        answer.faults(&[("/password", "unchanged")]);
        let new = json!({"password": "caf\u{e9} au lait lantern", "current_password": decomposed});
        world.put("/users/me").bearer(token).json(&new).await.expect(200);
        world
            .log_in("a@x.test", "cafe\u{301} au lait lantern")
            .await
            .expect(200);
    }

    async fn nothing_asks_for_hints_or_ages(world: World) {
        // Passwords don't expire: ten years later it still opens the account.
        let ada = world.register("ada").await;
        world.clock.advance(std::time::Duration::from_hours(24 * 3650));
        world.sign_in(&ada).await;
        let document = crate::support::contract::document();
        let mut names = Vec::new();
        collect_names(&document["components"]["schemas"], &mut names);
        assert!(names.contains(&"current_password".to_owned()));
        for name in names {
            for never in ["hint", "question", "password_expir", "hash", "salt"] {
                // RFC 7009 §2.1 calls a member so that has nothing to do with passwords.
                assert!(!name.contains(never) || name == "token_type_hint", "{name}");
            }
        }
    }
}

/// The names of all members in schemas.
fn collect_names(schema: &Value, names: &mut Vec<String>) {
    match schema {
        Value::Object(members) => {
            if let Some(properties) = members.get("properties").and_then(Value::as_object) {
                names.extend(properties.keys().cloned());
            }
            members.values().for_each(|value| collect_names(value, names));
        }
        Value::Array(items) => items.iter().for_each(|item| collect_names(item, names)),
        _ => {}
    }
}
