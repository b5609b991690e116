//! How passwords are kept: that every byte of them counts, that any known hash opens the account, and that today's takes
//! its place.

use argon2::{Argon2, Params, Version};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use serde_json::json;

use crate::support::{OTHER_PASSWORD, PASSWORD, Stage, World, all};

/// A hash that another program made: argon2 with these parameters, as PHC string.
fn argon2_hash(algorithm: argon2::Algorithm, costs: [u32; 3], password: &str) -> String {
    let [memory, passes, lanes] = costs;
    let params = Params::new(memory, passes, lanes, Some(32)).unwrap();
    let salt = *b"sixteen bytes!!!";
    let mut digest = [0; 32];
    Argon2::new(algorithm, Version::V0x13, params)
        .hash_password_into(password.as_bytes(), &salt, &mut digest)
        .unwrap();
    format!(
        "${}$v=19$m={memory},t={passes},p={lanes}${}${}",
        algorithm.as_str(),
        BASE64_STANDARD_NO_PAD.encode(salt),
        BASE64_STANDARD_NO_PAD.encode(digest)
    )
}

fn bcrypt_hash(version: bcrypt::Version, cost: u32, password: &str) -> String {
    bcrypt::hash_with_salt(password, cost, *b"sixteen bytes!!!")
        .unwrap()
        .format_for_version(version)
}

/// Hashes that the libraries of other systems have made, each with its maker's name and the name of its password.
const FOREIGN: &str = include_str!("../../src/security/passwords/tests/vectors/foreign.txt");

scenario! {
    async fn who_brings_a_hash_of_another_system_signs_in_with_it_once(world: World) {
        let mut makers = std::collections::BTreeSet::new();
        for (number, line) in FOREIGN.lines().enumerate() {
            let [maker, password, hash] = line.split('\t').collect::<Vec<_>>().try_into().unwrap();
            if password != "ascii" {
                continue;
            }
            makers.insert(maker);
            let user = world.register(&format!("user-{number}")).await;
            world.put_hash(&user, Some(hash)).await;
            world.log_in(&user.email, "incorrect horse").await.expect(401);
            assert_eq!(world.hash_of(&user).await, hash, "{maker}");
            world.log_in(&user.email, "correct horse").await.expect(200);
            // Another letter is no other algorithm, and the cost is today's.
            let is_ours = hash.starts_with("$2a$04$");
            assert!(is_ours || world.hash_of(&user).await.starts_with("$2b$04$"), "{maker}");
            world.log_in(&user.email, "correct horse").await.expect(200);
            world.log_in(&user.email, "incorrect horse").await.expect(401);
        }
        for system in ["django", "werkzeug", "firebase", "better-auth", "passlib", "libxcrypt", "asp"] {
            assert!(makers.iter().any(|maker| maker.starts_with(system)), "no hash of {system}: {makers:?}");
        }
    }

    async fn every_byte_counts_beyond_what_bcrypt_takes(world: World) {
        let long = "quartz lantern orbit meadow thistle copper anvil raven saddle pillow 72+X";
        assert_eq!(long.len(), 73);
        let ada = world.register_as("a@x.test", long).await;
        assert!(
            world
                .hash_of(&ada)
                .await
                .starts_with("$argon2id$v=19$m=64,t=1,p=1$")
        );
        for other in [
            &long[..72],
            "quartz lantern orbit meadow thistle copper anvil raven saddle pillow 72+Y",
        ] {
            world.log_in("a@x.test", other).await.expect(401);
        }
        world.log_in("a@x.test", long).await.expect(200);
        // At exactly 72 bytes, bcrypt still sees every one.
        let bob = world.register_as("b@x.test", &long[..72]).await;
        assert!(world.hash_of(&bob).await.starts_with("$2b$04$"));
        world.log_in("b@x.test", long).await.expect(401);
        world.log_in("b@x.test", &long[..71]).await.expect(401);
        world.log_in("b@x.test", &long[..72]).await.expect(200);
        // Bytes, not characters: 37 of two bytes.
        let accents = "\u{e9}\u{e8}\u{fc}\u{f1}\u{f8}\u{e5}\u{f6}\u{e4}\u{ea}\u{ee}\u{fb}\u{e7}x".to_owned()
            + "\u{159}\u{10d}\u{161}\u{17e}\u{11b}\u{16f}\u{165}\u{10f}\u{148}\u{142}\u{105}\u{119}"
            + "\u{17c}\u{15b}\u{107}\u{144}\u{17a}\u{111}\u{151}\u{171}\u{11f}\u{131}\u{15f}\u{219}";
        let eve = world.register_as("c@x.test", &accents).await;
        assert_eq!(accents.len(), 73);
        assert!(world.hash_of(&eve).await.starts_with("$argon2id$"));
        let mut cut = accents.clone();
        cut.pop();
        world.log_in("c@x.test", &cut).await.expect(401);
        world.log_in("c@x.test", &accents).await.expect(200);
    }

    async fn hashes_are_salted(world: World) {
        let ada = world.register_as("a@x.test", PASSWORD).await;
        let bob = world.register_as("b@x.test", PASSWORD).await;
        let hashes = [world.hash_of(&ada).await, world.hash_of(&bob).await];
        // Not even the salts have a common beginning.
        assert_ne!(hashes[0][..20], hashes[1][..20]);
        for hash in hashes {
            assert!(hash.starts_with("$2b$04$") && hash.len() == 60, "{hash}");
            assert!(
                bcrypt::verify(PASSWORD, &hash).unwrap(),
                "another program could read it"
            );
        }
    }

    async fn argon2id_is_used_where_it_is_configured(stage: Stage) {
        let world = World::with(&stage, |variables| {
            variables.set("ROSTER__PASSWORD__ALGORITHM", "argon2id");
            variables.set("ROSTER__PASSWORD__ARGON2_MEMORY_KIB", "19456");
            variables.set("ROSTER__PASSWORD__ARGON2_ITERATIONS", "2");
        })
        .await;
        let ada = world.register_as("a@x.test", PASSWORD).await;
        let bob = world.register_as("b@x.test", PASSWORD).await;
        let hashes = [world.hash_of(&ada).await, world.hash_of(&bob).await];
        assert_ne!(hashes[0], hashes[1]);
        for hash in hashes {
            let parts: Vec<&str> = hash.split('$').collect();
            assert_eq!(parts[1..4], ["argon2id", "v=19", "m=19456,t=2,p=1"]);
            assert!(BASE64_STANDARD_NO_PAD.decode(parts[4]).unwrap().len() >= 16);
            assert!(BASE64_STANDARD_NO_PAD.decode(parts[5]).unwrap().len() >= 32);
        }
        world.log_in("a@x.test", PASSWORD).await.expect(200);
        world.log_in("a@x.test", OTHER_PASSWORD).await.expect(401);
    }

    async fn any_known_hash_signs_in_and_becomes_todays(world: World) {
        let argon2 = |algorithm, costs| argon2_hash(algorithm, costs, PASSWORD);
        let seeds = [
            bcrypt_hash(bcrypt::Version::TwoB, 5, PASSWORD),
            bcrypt_hash(bcrypt::Version::TwoB, 6, PASSWORD),
            bcrypt_hash(bcrypt::Version::TwoA, 5, PASSWORD),
            bcrypt_hash(bcrypt::Version::TwoY, 5, PASSWORD),
            argon2(argon2::Algorithm::Argon2id, [8, 1, 1]),
            argon2(argon2::Algorithm::Argon2id, [64, 1, 1]),
            argon2(argon2::Algorithm::Argon2id, [128, 3, 4]),
            argon2(argon2::Algorithm::Argon2i, [64, 3, 1]),
            argon2(argon2::Algorithm::Argon2d, [64, 1, 1]),
        ];
        for (number, seed) in seeds.iter().enumerate() {
            let ada = world.register(&format!("ada{number}")).await;
            world.put_hash(&ada, Some(seed)).await;
            let before = world.user_row(&ada).await;
            // A failure leaves it as it is.
            world.log_in(&ada.email, OTHER_PASSWORD).await.expect(401);
            assert_eq!(world.user_row(&ada).await, before);
            // A success rewrites it.
            world.log_in(&ada.email, PASSWORD).await.expect(200);
            let after = world.user_row(&ada).await;
            let hash = after.password_hash.unwrap();
            assert!(
                hash.starts_with("$2b$04$") && hash != *seed,
                "{seed} became {hash}"
            );
            assert_eq!(after.password_changed_at, before.password_changed_at);
            assert_eq!(after.updated_at, before.updated_at);
            // And it is the same password.
            world.log_in(&ada.email, OTHER_PASSWORD).await.expect(401);
            world.log_in(&ada.email, PASSWORD).await.expect(200);
            assert_eq!(world.hash_of(&ada).await, hash, "once is enough");
        }
        let events = world.audit("user.sign_in").await;
        let rehashed = events
            .iter()
            .filter(|event| event.details.contains(r#""rehashed":true"#))
            .count();
        assert_eq!(rehashed, seeds.len());
    }

    async fn a_hash_of_today_is_left_alone(world: World) {
        let ada = world.register("ada").await;
        let before = world.hash_of(&ada).await;
        world.sign_in(&ada).await;
        assert_eq!(world.hash_of(&ada).await, before);
        let long = "quartz lantern orbit meadow thistle copper anvil raven saddle pillow 72+X";
        let bob = world.register_as("bob@x.test", long).await;
        let before = world.hash_of(&bob).await;
        world.sign_in(&bob).await;
        assert_eq!(world.hash_of(&bob).await, before);
    }

    async fn a_changed_configuration_reaches_every_hash_at_its_next_login(world: World) {
        let ada = world.register("ada").await;
        let argon2 = world
            .second_instance_with(|variables| variables.set("ROSTER__PASSWORD__ALGORITHM", "argon2id"))
            .await;
        argon2.sign_in(&ada).await;
        assert!(
            world
                .hash_of(&ada)
                .await
                .starts_with("$argon2id$v=19$m=64,t=1,p=1$")
        );
        let dearer = world
            .second_instance_with(|variables| variables.set("ROSTER__PASSWORD__BCRYPT_COST", "6"))
            .await;
        dearer.sign_in(&ada).await;
        assert!(world.hash_of(&ada).await.starts_with("$2b$06$"));
        // Back to the lower cost: what is configured is what is used.
        world.sign_in(&ada).await;
        assert!(world.hash_of(&ada).await.starts_with("$2b$04$"));
    }

    async fn a_foreign_bcrypt_hash_lets_nobody_in_with_more_than_it_saw(world: World) {
        let ada = world.register("ada").await;
        let long = "quartz lantern orbit meadow thistle copper anvil raven saddle pillow 72+X";
        // What a library makes that cuts.
        world
            .put_hash(&ada, Some(&bcrypt_hash(bcrypt::Version::TwoB, 4, &long[..72])))
            .await;
        world.log_in(&ada.email, long).await.expect(401);
        world
            .log_in(&ada.email, &format!("{}Y", &long[..72]))
            .await
            .expect(401);
        world.log_in(&ada.email, &long[..72]).await.expect(200);
    }

    async fn hashes_that_ask_for_the_impossible_are_refused(world: World) {
        let ada = world.register("ada").await;
        for hash in [
            "$argon2id$v=19$m=4294967295,t=1,p=1$c2l4dGVlbiBieXRlcyEhIQ$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
            "$argon2id$v=19$m=64,t=4294967295,p=1$c2l4dGVlbiBieXRlcyEhIQ$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
            "$2b$31$abcdefghijklmnopqrstuuabcdefghijklmnopqrstuuabcdefghijklm",
            "$2b$04$short",
            "$1$salt$qJH7.N4xYta3aEG/dfqo/0",
            "plum-orbit-canvas-297",
            "",
        ] {
            world.put_hash(&ada, Some(hash)).await;
            world
                .log_in(&ada.email, &ada.password)
                .await
                .expect(401)
                .problem("invalid-credentials");
            world.log_in(&ada.email, "").await.expect(401);
        }
    }

    async fn honest_parallel_logins_succeed_while_the_hash_is_rewritten(world: World) {
        let ada = world.register("ada").await;
        let seed = bcrypt_hash(bcrypt::Version::TwoB, 5, &ada.password);
        world.put_hash(&ada, Some(&seed)).await;
        let calls: Vec<_> = (0..10).map(|_| world.log_in(&ada.email, &ada.password)).collect();
        for answer in all(calls).await {
            answer.expect(200);
        }
        assert!(world.hash_of(&ada).await.starts_with("$2b$04$"));
        let events = world.audit("user.sign_in").await;
        let rehashed = events
            .iter()
            .filter(|event| event.details.contains(r#""rehashed":true"#))
            .count();
        assert_eq!((events.len(), rehashed), (10, 1));
    }

    async fn a_password_change_wins_over_a_login_that_rewrites(world: World) {
        for round in 0..6 {
            let ada = world.register(&format!("ada{round}")).await;
            let token = world.sign_in(&ada).await;
            world
                .put_hash(&ada, Some(&bcrypt_hash(bcrypt::Version::TwoB, 6, &ada.password)))
                .await;
            let change = json!({"password": OTHER_PASSWORD, "current_password": ada.password});
            let mut calls = vec![world.put("/users/me").bearer(&token).json(&change)];
            calls.extend((0..4).map(|_| world.log_in(&ada.email, &ada.password)));
            let answers = all(calls).await;
            // The login may have rewritten the hash that the change has checked: then nothing is changed.
            assert!(matches!(answers[0].status, 200 | 409), "{}", answers[0]);
            let (valid, spent) = if answers[0].status == 200 {
                (OTHER_PASSWORD, ada.password.as_str())
            } else {
                (ada.password.as_str(), OTHER_PASSWORD)
            };
            world.log_in(&ada.email, valid).await.expect(200);
            world.log_in(&ada.email, spent).await.expect(401);
            for answer in &answers[1..] {
                assert!(matches!(answer.status, 200 | 401), "{answer}");
                if answer.status == 200 && answers[0].status == 200 {
                    let old = answer.json()["access_token"].as_str().unwrap();
                    world.get("/users/me").bearer(old).await.expect(401);
                }
            }
        }
    }
}
