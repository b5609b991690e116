//! The signing keys: published, rotated, retired, and the same for every instance.

use std::collections::BTreeSet;
use std::time::Duration;

use entity::signing_keys;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use roster::clock::{Ambient, SystemRandom};
use roster::config::SecretKey;
use roster::db::Db;
use roster::domain::{Actor, Origin};
use roster::error::ApiError;
use roster::keys::service::{self, KeyMaker};
use roster::security::Sealer;
use roster::startup;
use sea_orm::EntityTrait as _;
use serde_json::{Value, json};

use crate::support::{ForeignKey, PUBLIC_URL, Stage, World, accepted, decoded, refused};

fn maker(world: &World) -> KeyMaker {
    let state = &world.state;
    KeyMaker::new(state.db.clone(), state.ambient.clone(), &state.config)
}

fn sealer(world: &World) -> Sealer {
    startup::sealer(world.state.config.security.secret_key.as_ref().unwrap()).unwrap()
}

async fn rotate(world: &World) -> Result<String, ApiError> {
    service::rotate(
        &maker(world),
        &sealer(world),
        &world.state.trail,
        Actor::Operator,
        &Origin::default(),
    )
    .await
}

async fn retire(world: &World, kid: &str) -> Result<(), ApiError> {
    service::retire(
        &maker(world),
        &sealer(world),
        &world.state.trail,
        kid,
        Actor::Operator,
        &Origin::default(),
    )
    .await
}

/// The ids of the keys in each state, as the database has them.
async fn states(world: &World) -> Vec<(String, String)> {
    let rows = signing_keys::Entity::find().all(&world.db()).await.unwrap();
    let mut found: Vec<_> = rows.into_iter().map(|row| (row.state, row.id)).collect();
    found.sort();
    found
}

async fn id_of(world: &World, state: &str) -> String {
    let found = states(world).await;
    let mut found = found.into_iter().filter(|(found, _)| found == state);
    let (_, id) = found.next().unwrap_or_else(|| panic!("no {state} key"));
    assert_eq!(found.next(), None, "one {state} key");
    id
}

async fn published(world: &World) -> BTreeSet<String> {
    let answer = world.get("/.well-known/jwks.json").await.expect(200);
    let keys = answer.json()["keys"].as_array().unwrap().clone();
    keys.iter()
        .map(|key| key["kid"].as_str().unwrap().to_owned())
        .collect()
}

fn kid(token: &str) -> String {
    decoded(token).0["kid"].as_str().unwrap().to_owned()
}

/// Verifies a token as another service would, with what is published and nothing else.
async fn verify_elsewhere(world: &World, token: &str) -> Value {
    let answer = world.get("/.well-known/jwks.json").await.expect(200);
    let set: JwkSet = serde_json::from_slice(&answer.body).unwrap();
    let header = jsonwebtoken::decode_header(token).unwrap();
    let jwk = set.find(&header.kid.unwrap()).expect("the key is published");
    let mut validation = Validation::new(header.alg);
    // Its clock is another one.
    validation.validate_exp = false;
    validation.set_issuer(&[PUBLIC_URL]);
    validation.set_audience(&[PUBLIC_URL]);
    decode::<Value>(token, &DecodingKey::from_jwk(jwk).unwrap(), &validation)
        .unwrap()
        .claims
}

scenario! {
    async fn the_present_and_the_next_key_are_published(world: World) {
        let answer = world.get("/.well-known/jwks.json").await.expect(200);
        assert_eq!(answer.header("cache-control"), "public, max-age=300");
        let keys = answer.json()["keys"].as_array().unwrap();
        assert_eq!(keys.len(), 2);
        for key in keys {
            let names: BTreeSet<&str> = key.as_object().unwrap().keys().map(String::as_str).collect();
            // Nothing that isn't public: no `d`, and no list of names that grows by itself.
            assert_eq!(names, ["alg", "crv", "kid", "kty", "use", "x", "y"].into());
            assert_eq!(
                (key["kty"].as_str(), key["alg"].as_str(), key["use"].as_str()),
                (Some("EC"), Some("ES256"), Some("sig"))
            );
        }
        let expected: BTreeSet<String> = states(&world).await.into_iter().map(|(_, id)| id).collect();
        assert_eq!(published(&world).await, expected);
        let ada = world.register("ada").await;
        assert_eq!(kid(&world.sign_in(&ada).await), id_of(&world, "current").await);
    }

    async fn the_metadata_says_where_the_keys_are(world: World) {
        let answer = world
            .get("/.well-known/oauth-authorization-server")
            .await
            .expect(200);
        assert_eq!(answer.json()["issuer"], PUBLIC_URL);
        assert_eq!(
            answer.json()["jwks_uri"],
            format!("{PUBLIC_URL}/.well-known/jwks.json")
        );
        // It is the first-party sign-in, and offered to nobody else.
        assert!(!answer.text().contains("/login"), "{answer}");
        assert!(answer.header("cache-control").starts_with("public, max-age="));
    }

    async fn another_service_can_verify_a_token(world: World) {
        let ada = world.register("ada").await;
        let claims = verify_elsewhere(&world, &world.sign_in(&ada).await).await;
        assert_eq!(claims["sub"], ada.id.to_string());
    }

    async fn every_algorithm_signs_and_verifies(stage: Stage) {
        for (name, algorithm, kind) in [
            ("EdDSA", Algorithm::EdDSA, "OKP"),
            ("RS256", Algorithm::RS256, "RSA"),
        ] {
            let world = World::with(&stage, |variables| {
                variables.set("ROSTER__TOKEN__ALGORITHM", name);
            })
            .await;
            let ada = world.register("ada").await;
            let token = world.sign_in(&ada).await;
            assert_eq!(jsonwebtoken::decode_header(&token).unwrap().alg, algorithm);
            accepted(&world, &token, &ada).await;
            assert_eq!(verify_elsewhere(&world, &token).await["sub"], ada.id.to_string());
            let answer = world.get("/.well-known/jwks.json").await.expect(200);
            for key in answer.json()["keys"].as_array().unwrap() {
                assert_eq!(key["kty"], kind);
                if let Some(modulus) = key["n"].as_str() {
                    // 3072 bits in base64url: no key is weaker than a P-256 one.
                    assert_eq!(modulus.len(), 512);
                }
                for private in ["d", "p", "q", "dp", "dq", "qi", "oth", "k"] {
                    assert!(key.get(private).is_none(), "{private}");
                }
            }
        }
    }

    async fn private_halves_are_sealed(world: World) {
        let rows = signing_keys::Entity::find().all(&world.db()).await.unwrap();
        assert_eq!(rows.len(), 2);
        for row in rows {
            assert!(row.private_sealed.len() > 100);
            // An elliptic key in PKCS#8 names its curve: 1.2.840.10045.3.1.7.
            let curve = [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
            assert!(
                !row.private_sealed
                    .windows(curve.len())
                    .any(|window| window == curve)
            );
            assert!(!row.public_jwk.contains("\"d\""));
        }
    }

    async fn a_rotation_signs_with_the_key_that_was_next(world: World) {
        let ada = world.register("ada").await;
        let before = world.sign_in(&ada).await;
        let (current, next) = (id_of(&world, "current").await, id_of(&world, "next").await);
        assert_eq!(rotate(&world).await.unwrap(), next);
        service::reload(&world.state).await.unwrap();
        let after = world.sign_in(&ada).await;
        assert_eq!((kid(&before), kid(&after)), (current.clone(), next.clone()));
        assert_eq!(id_of(&world, "current").await, next);
        assert_eq!(id_of(&world, "previous").await, current);
        let fresh = id_of(&world, "next").await;
        assert_eq!(published(&world).await, BTreeSet::from([current, next, fresh]));
        // What was signed before stays good, here and for others.
        for token in [&before, &after] {
            accepted(&world, token, &ada).await;
            verify_elsewhere(&world, token).await;
        }
    }

    async fn a_rotation_reaches_an_instance_that_has_not_looked_yet(world: World) {
        let other = world.second_instance().await;
        let ada = world.register("ada").await;
        // After the first rotation signs what the other instance knows as the next key, after the second one a key
        // that it has never seen.
        for _ in 0..2 {
            rotate(&world).await.unwrap();
            service::reload(&world.state).await.unwrap();
            let token = world.sign_in(&ada).await;
            accepted(&other, &token, &ada).await;
        }
        assert_eq!(published(&other).await, published(&world).await);
        // It has taken over all of it, and signs with the new key itself.
        assert_eq!(kid(&other.sign_in(&ada).await), id_of(&world, "current").await);
    }

    async fn tokens_with_made_up_keys_do_not_stop_a_rotation_from_arriving(world: World) {
        let other = world.second_instance().await;
        let ada = world.register("ada").await;
        let stranger = ForeignKey::unknown("made-up");
        for _ in 0..5 {
            refused(
                &other,
                &stranger.sign(&stranger.header(), &world.good_claims(&ada).await),
            )
            .await;
        }
        rotate(&world).await.unwrap();
        rotate(&world).await.unwrap();
        service::reload(&world.state).await.unwrap();
        let token = world.sign_in(&ada).await;
        // The regular look, which `serve` takes every few seconds.
        service::reload(&other.state).await.unwrap();
        accepted(&other, &token, &ada).await;
    }

    async fn a_retired_key_takes_its_tokens_with_it(world: World) {
        let other = world.second_instance().await;
        let ada = world.register("ada").await;
        let token = world.sign_in(&ada).await;
        accepted(&world, &token, &ada).await;
        accepted(&other, &token, &ada).await;
        let (current, next) = (id_of(&world, "current").await, id_of(&world, "next").await);
        retire(&world, &current).await.unwrap();
        // At once where the keys are read again, also if the token was checked and remembered before.
        service::reload(&world.state).await.unwrap();
        refused(&world, &token).await;
        service::reload(&other.state).await.unwrap();
        refused(&other, &token).await;
        assert!(!published(&world).await.contains(&current));
        let after = world.sign_in(&ada).await;
        assert_eq!(kid(&after), next);
        accepted(&other, &after, &ada).await;
        let states: Vec<String> = states(&world).await.into_iter().map(|(state, _)| state).collect();
        assert_eq!(states, ["current", "next"]);
    }

    async fn any_key_can_be_retired(world: World) {
        let ada = world.register("ada").await;
        let before = world.sign_in(&ada).await;
        rotate(&world).await.unwrap();
        service::reload(&world.state).await.unwrap();
        let after = world.sign_in(&ada).await;
        let (previous, next) = (id_of(&world, "previous").await, id_of(&world, "next").await);
        retire(&world, &previous).await.unwrap();
        retire(&world, &next).await.unwrap();
        service::reload(&world.state).await.unwrap();
        refused(&world, &before).await;
        accepted(&world, &after, &ada).await;
        assert_ne!(id_of(&world, "next").await, next);
        assert_eq!(states(&world).await.len(), 2);
        assert!(matches!(
            retire(&world, &previous).await,
            Err(ApiError::NotFound(_))
        ));
        assert!(matches!(retire(&world, "").await, Err(ApiError::NotFound(_))));
    }

    async fn what_happens_to_keys_is_audited(world: World) {
        let next = id_of(&world, "next").await;
        rotate(&world).await.unwrap();
        let previous = id_of(&world, "previous").await;
        retire(&world, &previous).await.unwrap();
        for (action, details) in [
            ("keys.rotated", json!({"current": next})),
            ("keys.retired", json!({"key": previous})),
        ] {
            let event = world.only_audit(action).await;
            assert_eq!(
                (event.outcome.as_str(), event.actor_kind.as_str()),
                ("success", "operator")
            );
            assert_eq!((event.actor_id, event.subject_id), (None, None));
            assert_eq!(serde_json::from_str::<Value>(&event.details).unwrap(), details);
        }
        assert!(retire(&world, "unknown").await.is_err());
        assert_eq!(world.audit("keys.retired").await.len(), 1);
    }

    async fn a_superseded_key_goes_after_its_last_token(world: World) {
        let ada = world.register("ada").await;
        rotate(&world).await.unwrap();
        // Signed by an instance that hasn't heard of the rotation yet, a moment after it.
        let last = world.sign_in(&ada).await;
        service::reload(&world.state).await.unwrap();
        world.clock.advance(Duration::from_secs(899));
        service::tidy(&world.state).await.unwrap();
        service::reload(&world.state).await.unwrap();
        accepted(&world, &last, &ada).await;
        assert_eq!(states(&world).await.len(), 3);
        world.clock.advance(Duration::from_secs(62));
        service::tidy(&world.state).await.unwrap();
        service::reload(&world.state).await.unwrap();
        let left: Vec<String> = states(&world).await.into_iter().map(|(state, _)| state).collect();
        assert_eq!(left, ["current", "next"]);
        refused(&world, &last).await;
    }

    async fn another_algorithm_takes_over_without_refusing_anybody(world: World) {
        let ada = world.register("ada").await;
        let before = world.sign_in(&ada).await;
        let other = world
            .second_instance_with(|variables| variables.set("ROSTER__TOKEN__ALGORITHM", "EdDSA"))
            .await;
        let algorithm = |token: &str| decoded(token).0["alg"].as_str().unwrap().to_owned();
        // It is published first, for as long as others may keep the set.
        service::tidy(&other.state).await.unwrap();
        service::reload(&other.state).await.unwrap();
        assert_eq!(algorithm(&other.sign_in(&ada).await), "ES256");
        other.clock.advance(Duration::from_secs(299));
        service::tidy(&other.state).await.unwrap();
        service::reload(&other.state).await.unwrap();
        assert_eq!(algorithm(&other.sign_in(&ada).await), "ES256");
        other.clock.advance(Duration::from_secs(1));
        service::tidy(&other.state).await.unwrap();
        service::reload(&other.state).await.unwrap();
        let after = other.sign_in(&ada).await;
        assert_eq!(algorithm(&after), "EdDSA");
        for token in [&before, &after] {
            accepted(&other, token, &ada).await;
            accepted(&world, token, &ada).await;
        }
        let event = world.only_audit("keys.rotated").await;
        assert_eq!(event.actor_kind, "system");
    }

    async fn parallel_rotations_leave_one_key_that_signs(world: World) {
        let ada = world.register("ada").await;
        let token = world.sign_in(&ada).await;
        for _ in 0..5 {
            let attempts = (0..4).map(|_| rotate(&world));
            let outcomes = futures_util::future::join_all(attempts).await;
            assert!(outcomes.iter().any(Result::is_ok));
            for outcome in outcomes {
                assert!(
                    matches!(outcome, Ok(_) | Err(ApiError::Conflict(_))),
                    "{outcome:?}"
                );
            }
            id_of(&world, "current").await;
            id_of(&world, "next").await;
        }
        service::reload(&world.state).await.unwrap();
        accepted(&world, &token, &ada).await;
        accepted(&world, &world.sign_in(&ada).await, &ada).await;
    }

    async fn instances_that_start_together_agree_on_the_keys(world: World) {
        signing_keys::Entity::delete_many()
            .exec(&world.db())
            .await
            .unwrap();
        let (left, middle, right) = tokio::join!(
            world.second_instance(),
            world.second_instance(),
            world.second_instance()
        );
        assert_eq!(states(&world).await.len(), 2);
        let ada = left.register("ada").await;
        let token = left.sign_in(&ada).await;
        for instance in [&left, &middle, &right] {
            accepted(instance, &token, &ada).await;
            assert_eq!(published(instance).await, published(&left).await);
            assert_eq!(kid(&instance.sign_in(&ada).await), kid(&token));
        }
    }

    async fn a_wrong_secret_stops_the_start_and_changes_nothing(world: World) {
        let before = states(&world).await;
        let config = roster::config::Config::clone(&world.state.config);
        let db = Db::connect(startup::database_settings(&config)).await.unwrap();
        let ambient = Ambient {
            clock: std::sync::Arc::new(world.clock.clone()),
            random: std::sync::Arc::new(SystemRandom),
        };
        let wrong = SecretKey::from_bytes([9; 32]);
        let fault = startup::open_state(config, ambient, db, &wrong)
            .await
            .unwrap_err()
            .to_string();
        assert!(fault.contains("security.secret_key"), "{fault}");
        assert_eq!(fault.lines().count(), 1, "{fault}");
        assert_eq!(states(&world).await, before);
    }
}
