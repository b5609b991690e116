//! After its end, every token of a session is refused on the very next request, on every instance; and what hasn't ended
//! lives on.

use std::time::Duration;

use entity::refresh_tokens;
use roster::clock::Clock as _;
use roster::domain::UserStatus;
use sea_orm::ActiveValue::Set;
use sea_orm::EntityTrait as _;
use uuid::Uuid;

use crate::support::{OTHER_PASSWORD, Stage, Tokens, World, all};

/// Two generations of tokens of one session: every one of them has to die with it.
async fn generations(world: &World, persona: &crate::support::Persona) -> [Tokens; 2] {
    let first = world.begin(persona).await;
    let second = world.refreshed(&first.refresh).await;
    [first, second]
}

async fn are_dead(instances: [&World; 2], tokens: &[Tokens]) {
    for instance in instances {
        for tokens in tokens {
            instance.is_dead(tokens).await;
        }
    }
}

scenario! {
    async fn a_logout_ends_this_session_all_others_or_all(world: World) {
        let other = world.second_instance().await;
        let (ada, eve) = (world.register("ada").await, world.register("eve").await);
        let unconcerned = world.begin(&eve).await;
        for (scope, ends_own, ends_others) in [
            ("", true, false),
            ("?scope=current", true, false),
            ("?scope=others", false, true),
            ("?scope=all", true, true),
        ] {
            let own = generations(&world, &ada).await;
            let others = generations(&other, &ada).await;
            world.post(&format!("/logout{scope}")).bearer(&own[1].access).await.expect(204);
            for (tokens, ends) in [(&own, ends_own), (&others, ends_others)] {
                if ends {
                    are_dead([&world, &other], tokens).await;
                } else {
                    other.lives(&tokens[1]).await;
                    other.refreshed(&tokens[1].refresh).await;
                }
            }
            if ends_own {
                world.post("/logout").bearer(&own[1].access).await.expect(401);
            }
        }
        other.lives(&unconcerned).await;
        assert!(!world.audit("session.ended").await.is_empty());
    }

    async fn a_logout_that_is_not_understood_ends_nothing(world: World) {
        let ada = world.register("ada").await;
        let tokens = world.begin(&ada).await;
        for query in ["scope=everything", "scope=", "scope=ALL", "scpe=all", "scope=all&x=1"] {
            let answer = world.post(&format!("/logout?{query}")).bearer(&tokens.access).await.expect(422);
            answer.problem("validation-failed");
        }
        world.post("/logout?scope=all&scope=all").bearer(&tokens.access).await.problem("malformed-request");
        world.lives(&tokens).await;
        world.refreshed(&tokens.refresh).await;
    }

    async fn a_new_password_ends_every_other_session_and_every_older_access_token(world: World) {
        let other = world.second_instance().await;
        let ada = world.register("ada").await;
        let own = generations(&world, &ada).await;
        let others = generations(&other, &ada).await;
        world.change_password(&ada, &own[1], OTHER_PASSWORD).await;
        are_dead([&world, &other], &others).await;
        for instance in [&world, &other] {
            for tokens in &own {
                instance.get("/users/me").bearer(&tokens.access).await.problem("invalid-token");
            }
        }
        // Whoever has set it goes on, with another id of the session.
        let next = other.refreshed(&own[1].refresh).await;
        world.lives(&next).await;
        assert_ne!(next.session(), own[1].session());
        assert_eq!(world.sessions_of(&ada).await.len(), 1);
    }

    async fn a_disabled_account_is_signed_out_for_good(world: World) {
        let other = world.second_instance().await;
        let ada = world.register("ada").await;
        let tokens = generations(&world, &ada).await;
        world.set_status(&ada, UserStatus::Disabled).await;
        are_dead([&world, &other], &tokens).await;
        world.set_status(&ada, UserStatus::Active).await;
        are_dead([&world, &other], &tokens).await;
    }

    async fn a_deleted_account_leaves_no_token_behind(world: World) {
        let other = world.second_instance().await;
        let ada = world.register("ada").await;
        let tokens = generations(&world, &ada).await;
        world.delete("/users/me").bearer(&tokens[1].access).await.expect(204);
        are_dead([&world, &other], &tokens).await;
        assert!(world.token_rows().await.is_empty());
        assert_eq!(world.count_sessions().await, 0);
    }

    async fn a_session_is_ended_by_its_owner_and_by_nobody_else(world: World) {
        let other = world.second_instance().await;
        let (ada, eve) = (world.register("ada").await, world.register("eve").await);
        let here = world.begin(&ada).await;
        let there = generations(&other, &ada).await;
        let stranger = world.begin(&eve).await;
        let id = there[1].session().to_string();
        let end = |tokens: &Tokens, id: &str| world.delete(&format!("/users/me/sessions/{id}")).bearer(&tokens.access);
        let not_found = end(&stranger, &id).await.expect(404);
        for unknown in [&Uuid::from_u128(7).to_string(), &id.to_uppercase(), "x", "1", &id.replace('-', ""), "%00"] {
            let answer = end(&stranger, unknown).await.expect(404);
            assert_eq!(answer.problem("not-found")["detail"], not_found.json()["detail"]);
        }
        other.lives(&there[1]).await;
        end(&here, &id).await.expect(204);
        are_dead([&world, &other], &there).await;
        end(&here, &id).await.expect(404);
        world.lives(&here).await;
        end(&here, &here.session().to_string()).await.expect(204);
        world.is_dead(&here).await;
        world.lives(&stranger).await;
    }

    async fn a_revoked_token_takes_its_session_along(world: World) {
        let other = world.second_instance().await;
        let ada = world.register("ada").await;
        let revoke = |instance: &World, token: &str| instance.post("/oauth/revoke").form(&[("token", token)]);
        for which in 0..4 {
            let tokens = generations(&world, &ada).await;
            let elsewhere = world.begin(&ada).await;
            // An access token, a spent refresh token, a living one, and one with a hint that is wrong.
            let answer = match which {
                0 => revoke(&world, &tokens[1].access).await,
                1 => revoke(&other, &tokens[0].refresh).await,
                2 => revoke(&world, &tokens[1].refresh).await,
                _ => {
                    let fields = [("token", tokens[1].refresh.as_str()), ("token_type_hint", "access_token")];
                    world.post("/oauth/revoke").form(&fields).await
                }
            };
            assert!(answer.expect(200).body.is_empty());
            are_dead([&world, &other], &tokens).await;
            revoke(&world, &tokens[1].refresh).await.expect(200);
            world.lives(&elsewhere).await;
        }
        let events = world.audit("session.ended").await;
        assert_eq!(events.len(), 4);
        assert!(events.iter().all(|event| event.subject_id == Some(ada.id) && event.details.contains("revoked")));
        for nonsense in ["x", "roster_rt_", "a.b.c", "é", " "] {
            revoke(&world, nonsense).await.expect(200);
        }
        world.post("/oauth/revoke").form(&[("token", "")]).await.oauth_error("invalid_request");
        world.post("/oauth/revoke").form(&[("x", "y")]).await.oauth_error("invalid_request");
    }

    async fn the_oldest_session_goes_where_there_are_too_many(stage: Stage) {
        let world = World::with(&stage, |variables| variables.set("ROSTER__SESSION__MAX_PER_USER", "3")).await;
        let (ada, eve) = (world.register("ada").await, world.register("eve").await);
        let hers = world.begin(&eve).await;
        let mut begun = Vec::new();
        for _ in 0..5 {
            begun.push(world.begin(&ada).await);
            world.clock.advance(Duration::from_secs(1));
        }
        for tokens in &begun[..2] {
            world.is_dead(tokens).await;
        }
        for tokens in &begun[2..] {
            world.lives(tokens).await;
        }
        world.lives(&hers).await;
        // All within one instant, and at the same moment: each that is answered was let in, and three are left.
        let answers = all((0..8).map(|_| world.log_in(&ada.email, &ada.password))).await;
        assert!(answers.iter().all(|answer| answer.status == 200));
        assert_eq!(world.sessions_of(&ada).await.len(), 3);
        let newest = world.begin(&ada).await;
        world.lives(&newest).await;
        assert_eq!(world.sessions_of(&ada).await.len(), 3);
    }

    async fn a_session_that_is_refreshed_without_end_ends(world: World) {
        let ada = world.register("ada").await;
        let tokens = world.begin(&ada).await;
        let at = world.clock.now().fixed_offset();
        let rows: Vec<_> = (0..9_999_u32)
            .map(|number| refresh_tokens::ActiveModel {
                digest: Set([&[7; 28][..], &number.to_be_bytes()].concat()),
                session_id: Set(tokens.session()),
                created_at: Set(at),
                expires_at: Set(at + chrono::TimeDelta::days(30)),
                spent_at: Set(Some(at)),
                repeatable_until: Set(None),
                successor_sealed: Set(None),
            })
            .collect();
        for chunk in rows.chunks(1000) {
            refresh_tokens::Entity::insert_many(chunk.to_vec()).exec_without_returning(&world.db()).await.unwrap();
        }
        world.refresh(&tokens.refresh).await.oauth_error("invalid_grant");
        world.is_dead(&tokens).await;
        let event = world.only_audit("session.ended").await;
        assert!(event.details.contains("too_many_refreshes"), "{}", event.details);
    }

    async fn a_refresh_beside_a_change_of_password_signs_nobody_out(world: World) {
        let other = world.second_instance().await;
        for round in 0..12 {
            let ada = world.register(&format!("ada-{round}")).await;
            let mut tokens = world.begin(&ada).await;
            let change = world
                .put("/users/me")
                .bearer(&tokens.access)
                .json(&ada.confirming(serde_json::json!({"password": OTHER_PASSWORD})));
            let refreshes = (0..3).map(|_| other.refresh(&tokens.refresh));
            let answers = all(std::iter::once(change).chain(refreshes)).await;
            assert_eq!(answers[0].status, 200, "{}", answers[0]);
            for answer in &answers[1..] {
                tokens = Tokens::of(&answer.clone().expect(200));
            }
            let next = world.refreshed(&tokens.refresh).await;
            world.lives(&next).await;
            assert_eq!(world.count_live_tokens(next.session()).await, 1);
        }
    }
}
