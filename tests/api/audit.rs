//! The audit trail: who may see what of it, and whether a hand in the database shows.

use std::collections::BTreeSet;
use std::future::IntoFuture as _;
use std::time::Duration;

use entity::{audit_chain, audit_events, users};
use roster::audit::service::{export, exported_head, remove_old, seal, seal_all, verify};
use roster::audit::{Broken, Verdict};
use roster::clock::Clock as _;
use roster::domain::{Actor, Origin, UserStatus};
use roster::error::ApiError;
use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveModelTrait as _, ColumnTrait as _, EntityTrait as _, IntoActiveModel as _, QueryFilter as _,
    QueryOrder as _,
};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Persona, Stage, World};

/// The actions of a page, in its order.
fn actions(page: &Value) -> Vec<&str> {
    let items = page["items"].as_array().unwrap();
    items
        .iter()
        .map(|item| item["action"].as_str().unwrap())
        .collect()
}

async fn page(world: &World, token: &str, path: &str) -> Value {
    world.get(path).bearer(token).await.expect(200).json().clone()
}

/// The time as a query has it.
fn now_text(world: &World) -> String {
    world
        .clock
        .now()
        .to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
}

/// A trail of `count` events and more, all of them sealed.
async fn sealed_trail(world: &World, count: usize) -> Persona {
    let ada = world.register("ada").await;
    for _ in 0..count {
        world.log_in(&ada.email, "not-her-password").await.expect(401);
    }
    seal_all(&world.state).await.unwrap();
    assert_intact(world).await;
    ada
}

async fn assert_intact(world: &World) -> Verdict {
    let verdict = verify(&world.state, None).await.unwrap();
    assert_eq!(verdict.broken, None, "{verdict:?}");
    verdict
}

async fn broken(world: &World) -> Broken {
    let verdict = verify(&world.state, None).await.unwrap();
    verdict.broken.expect("somebody has been at the trail")
}

async fn events(world: &World) -> Vec<audit_events::Model> {
    let found = audit_events::Entity::find().order_by_asc(audit_events::Column::Number);
    found.all(&world.db()).await.unwrap()
}

async fn change(
    world: &World,
    event: audit_events::Model,
    change: impl FnOnce(&mut audit_events::ActiveModel),
) {
    let mut row = event.into_active_model();
    change(&mut row);
    row.update(&world.db()).await.unwrap();
}

async fn exported(world: &World) -> Vec<String> {
    let mut lines = Vec::new();
    let line = |line: &str| {
        lines.push(line.to_owned());
        Ok::<_, ApiError>(())
    };
    export(&world.state, Actor::Operator, &Origin::default(), line)
        .await
        .unwrap();
    lines
}

scenario! {
    async fn an_admin_sees_who_did_what(world: World) {
        let admin = world.admin().await;
        let token = world.sign_in(&admin).await;
        let ada = world.register("ada").await;
        let adas = world.sign_in(&ada).await;
        world.log_in(&ada.email, "not-her-password").await.expect(401);
        world.clock.advance(Duration::from_secs(1));
        world.delete("/users/me").bearer(&adas).await.expect(204);

        let all = page(&world, &token, "/admin/audit").await;
        assert_eq!(actions(&all)[0], "user.deleted", "the newest first: {all}");
        let path = format!("/admin/audit?subject={}", ada.id);
        let hers = page(&world, &token, &path).await;
        let mut found = actions(&hers);
        assert_eq!(found[0], "user.deleted");
        found.sort_unstable();
        assert_eq!(found, ["user.deleted", "user.registered", "user.sign_in", "user.sign_in"]);
        let newest = &hers["items"][0];
        assert_eq!(newest["actor"], json!({"kind": "user", "id": ada.id}));
        assert_eq!(newest["outcome"], "success");
        assert_eq!(newest["ip"], "127.0.0.1");
        assert!(newest["request_id"].is_string());

        let path = format!("/admin/audit?actor={}&action=user.sign_in", ada.id);
        let signed_in = page(&world, &token, &path).await;
        assert_eq!(actions(&signed_in), ["user.sign_in"]);
        let failed = page(&world, &token, "/admin/audit?action=user.sign_in").await;
        let outcomes: BTreeSet<&str> =
            failed["items"].as_array().unwrap().iter().map(|item| item["outcome"].as_str().unwrap()).collect();
        assert_eq!(outcomes, BTreeSet::from(["failure", "success"]));
    }

    async fn a_time_bounds_the_trail(world: World) {
        let admin = world.admin().await;
        let token = world.sign_in(&admin).await;
        world.clock.advance(Duration::from_mins(1));
        let then = now_text(&world);
        world.register("ada").await;
        world.clock.advance(Duration::from_millis(1));
        let later = now_text(&world);
        world.register("ben").await;
        let count = async |query: String| {
            let path = format!("/admin/audit?action=user.registered&{query}");
            actions(&page(&world, &token, &path).await).len()
        };
        assert_eq!(count(format!("after={then}")).await, 2);
        assert_eq!(count(format!("after={later}")).await, 1);
        assert_eq!(count(format!("before={then}")).await, 1);
        assert_eq!(count(format!("after={then}&before={later}")).await, 1);
    }

    async fn pages_of_the_trail_are_complete_and_keep_their_filters(world: World) {
        let admin = world.admin().await;
        let token = world.sign_in(&admin).await;
        let ada = world.register("ada").await;
        for _ in 0..7 {
            world.log_in(&ada.email, "not-her-password").await.expect(401);
        }
        let mut path = format!("/admin/audit?subject={}&limit=3", ada.id);
        let mut seen = Vec::new();
        loop {
            let answer = world.get(&path).bearer(&token).await.expect(200);
            let page = answer.json().clone();
            seen.extend(page["items"].as_array().unwrap().iter().map(|item| item["id"].clone()));
            let Some(cursor) = page["next_cursor"].as_str() else { break };
            let link = answer.header("link").to_owned();
            let next = link.strip_prefix('<').unwrap().split('>').next().unwrap();
            next.clone_into(&mut path);
            assert!(path.contains(cursor) && path.contains(&ada.id.to_string()), "{link}");
        }
        assert_eq!(seen.len(), 8);
        assert_eq!(seen.iter().map(ToString::to_string).collect::<BTreeSet<_>>().len(), 8);
    }

    async fn what_a_filter_cannot_be_is_said(world: World) {
        let admin = world.admin().await;
        let token = world.sign_in(&admin).await;
        for (query, pointer) in [
            ("actor=x", "/actor"),
            ("subject=", "/subject"),
            ("action=user.signin", "/action"),
            ("after=yesterday", "/after"),
            ("before=2026-01-01", "/before"),
            ("limit=0", "/limit"),
            ("cursor=x", "/cursor"),
            ("sort=id", "/sort"),
        ] {
            let path = format!("/admin/audit?{query}");
            let problem = world.get(&path).bearer(&token).await.expect(422).json().clone();
            assert_eq!(problem["errors"][0]["pointer"], pointer, "{query}");
        }
    }

    async fn users_see_what_concerns_them_and_nothing_else(world: World) {
        let (ada, ben) = (world.register("ada").await, world.register("ben").await);
        let token = world.sign_in(&ada).await;
        world.sign_in(&ben).await;
        world.log_in(&ada.email, "not-her-password").await.expect(401);
        let own = page(&world, &token, "/users/me/audit").await;
        let mut found = actions(&own);
        found.sort_unstable();
        assert_eq!(found, ["user.registered", "user.sign_in", "user.sign_in"]);
        for item in own["items"].as_array().unwrap() {
            assert_eq!(item["subject"], json!(ada.id));
            // Who wasn't signed in may be somebody else: from where is what its owner wants to know.
            assert_eq!(item["ip"], "127.0.0.1");
        }
        world.get("/users/me/audit?subject=x").bearer(&token).await.expect(422);
        world.get("/admin/audit").bearer(&token).await.expect(403);
        world.get("/admin/audit?limit=0").bearer(&token).await.expect(403);
    }

    async fn an_operators_change_is_seen_without_an_address(world: World) {
        let ada = world.register("ada").await;
        world.set_status(&ada, UserStatus::Disabled).await;
        world.set_status(&ada, UserStatus::Active).await;
        let token = world.sign_in(&ada).await;
        let own = page(&world, &token, "/users/me/audit").await;
        let items = own["items"].as_array().unwrap();
        let disabled = items.iter().find(|item| item["action"] == "user.disabled").unwrap();
        assert_eq!(disabled["actor"], json!({"kind": "operator", "id": null}));
        assert_eq!(disabled["ip"], Value::Null);
    }

    async fn an_untouched_trail_is_found_right(world: World) {
        assert_eq!(assert_intact(&world).await.sealed, 0);
        let ada = world.register("ada").await;
        assert_eq!(assert_intact(&world).await.unsealed, 1);
        assert_eq!(seal(&world.state).await.unwrap(), 1);
        assert_eq!(seal(&world.state).await.unwrap(), 0);
        world.sign_in(&ada).await;
        let verdict = assert_intact(&world).await;
        assert_eq!((verdict.sealed, verdict.unsealed), (1, 1));
        seal_all(&world.state).await.unwrap();
        assert_eq!(assert_intact(&world).await.sealed, 2);
    }

    async fn two_instances_seal_one_chain(world: World) {
        let other = world.second_instance().await;
        let ada = world.register("ada").await;
        for _ in 0..5 {
            let failing = (0..8).map(|_| world.log_in(&ada.email, "not-her-password").into_future());
            futures_util::future::join_all(failing).await;
            let (one, two) = tokio::join!(seal_all(&world.state), seal_all(&other.state));
            assert!(one.unwrap() + two.unwrap() > 0);
        }
        seal_all(&world.state).await.unwrap();
        assert_eq!(assert_intact(&world).await.sealed, 41);
        let numbers: Vec<_> = events(&world).await.iter().map(|event| event.number).collect();
        assert_eq!(numbers, (1..=41).map(Some).collect::<Vec<_>>());
    }

    async fn a_changed_event_is_named(world: World) {
        sealed_trail(&world, 5).await;
        // The clock stands still, so the order is one of chance: any of the failed sign-ins.
        let event = events(&world).await.into_iter().rfind(|event| event.outcome == "failure").unwrap();
        let original = event.clone();
        let named = Broken::Changed { number: event.number.unwrap(), id: event.id };
        for changed in [
            |row: &mut audit_events::ActiveModel| row.action = Set("user.deleted".to_owned()),
            |row: &mut audit_events::ActiveModel| row.outcome = Set("success".to_owned()),
            |row: &mut audit_events::ActiveModel| row.actor_id = Set(Some(Uuid::nil())),
            |row: &mut audit_events::ActiveModel| row.subject_id = Set(None),
            |row: &mut audit_events::ActiveModel| row.ip = Set(None),
            |row: &mut audit_events::ActiveModel| row.user_agent = Set(Some(String::new())),
            |row: &mut audit_events::ActiveModel| row.request_id = Set(None),
            |row: &mut audit_events::ActiveModel| row.details = Set("{}".to_owned()),
            |row: &mut audit_events::ActiveModel| row.mac = Set(vec![0; 32]),
            |row: &mut audit_events::ActiveModel| row.link = Set(Some(vec![0; 32])),
            |row: &mut audit_events::ActiveModel| {
                row.occurred_at = Set(*row.occurred_at.as_ref() + chrono::TimeDelta::milliseconds(1));
            },
        ] {
            change(&world, event.clone(), changed).await;
            assert_eq!(broken(&world).await, named);
            let all = original.clone().into_active_model().reset_all();
            all.update(&world.db()).await.unwrap();
            assert_intact(&world).await;
        }
    }

    async fn a_removed_event_is_named(world: World) {
        sealed_trail(&world, 5).await;
        for number in [1, 3, 6] {
            let event = events(&world).await.into_iter().find(|event| event.number == Some(number)).unwrap();
            audit_events::Entity::delete_by_id(event.id).exec(&world.db()).await.unwrap();
            assert_eq!(broken(&world).await, Broken::Removed { number });
            audit_events::Entity::insert(event.into_active_model().reset_all())
                .exec_without_returning(&world.db())
                .await
                .unwrap();
            assert_intact(&world).await;
        }
    }

    async fn an_inserted_event_is_named_and_never_sealed(world: World) {
        sealed_trail(&world, 2).await;
        let mut forged = events(&world).await.remove(1);
        forged.id = Uuid::from_u128(forged.id.as_u128() + 1);
        for number in [None, Some(4), Some(9)] {
            forged.number = number;
            audit_events::Entity::insert(forged.clone().into_active_model().reset_all())
                .exec_without_returning(&world.db())
                .await
                .unwrap();
            assert_eq!(broken(&world).await, Broken::Inserted { id: forged.id });
            assert_eq!(seal_all(&world.state).await.unwrap(), 0);
            audit_events::Entity::delete_by_id(forged.id).exec(&world.db()).await.unwrap();
            assert_intact(&world).await;
        }
    }

    async fn a_changed_or_removed_head_is_named(world: World) {
        let ada = sealed_trail(&world, 5).await;
        let head = audit_chain::Entity::find_by_id(1_i16).one(&world.db()).await.unwrap().unwrap();
        // Back to before the last event, which goes as well: what hides a deed that was just done.
        let last = events(&world).await.remove(5);
        let before = events(&world).await.remove(4);
        audit_events::Entity::delete_by_id(last.id).exec(&world.db()).await.unwrap();
        let mut shorter = head.clone().into_active_model();
        shorter.number = Set(5);
        shorter.link = Set(before.link.clone().unwrap());
        shorter.update(&world.db()).await.unwrap();
        assert_eq!(broken(&world).await, Broken::Head);
        // Nothing is sealed on top of that.
        world.sign_in(&ada).await;
        assert!(seal(&world.state).await.is_err());
        audit_chain::Entity::delete_by_id(1_i16).exec(&world.db()).await.unwrap();
        assert_eq!(broken(&world).await, Broken::Head);
    }

    async fn an_emptied_trail_is_found_where_there_are_accounts(world: World) {
        let ada = sealed_trail(&world, 2).await;
        let all = events(&world).await;
        audit_events::Entity::delete_many().exec(&world.db()).await.unwrap();
        assert_eq!(broken(&world).await, Broken::Removed { number: 1 });
        audit_chain::Entity::delete_many().exec(&world.db()).await.unwrap();
        assert_eq!(broken(&world).await, Broken::Head);
        // Events with their places, and nothing that says how far they go.
        let rows = all.into_iter().map(|event| event.into_active_model().reset_all());
        audit_events::Entity::insert_many(rows).exec_without_returning(&world.db()).await.unwrap();
        assert_eq!(broken(&world).await, Broken::Head);
        // Where nobody is, nothing has to have been said.
        audit_events::Entity::delete_many().exec(&world.db()).await.unwrap();
        users::Entity::delete_by_id(ada.id).exec(&world.db()).await.unwrap();
        assert_eq!(assert_intact(&world).await.sealed, 0);
    }

    async fn another_key_finds_nothing_right(world: World) {
        sealed_trail(&world, 2).await;
        audit_chain::Entity::update_many()
            .col_expr(audit_chain::Column::Mac, Expr::value(vec![7_u8; 32]))
            .exec(&world.db())
            .await
            .unwrap();
        assert_eq!(broken(&world).await, Broken::Head);
    }

    async fn old_events_go_and_the_cut_is_signed(stage: Stage) {
        let world = World::with(&stage, |variables| {
            variables.set("ROSTER__AUDIT__RETENTION_DAYS", "30");
        })
        .await;
        sealed_trail(&world, 5).await;
        world.clock.advance(Duration::from_hours(24 * 29));
        assert_eq!(remove_old(&world.state).await.unwrap(), 0);
        let ben = world.register("ben").await;
        seal_all(&world.state).await.unwrap();
        world.clock.advance(Duration::from_hours(24 * 2));
        assert_eq!(remove_old(&world.state).await.unwrap(), 6);
        let verdict = assert_intact(&world).await;
        assert_eq!((verdict.sealed, verdict.removed_by_age), (1, 6));
        // Whoever removes one more is found out, and so is who pretends that it was its age.
        let left = events(&world).await.remove(0);
        audit_events::Entity::delete_by_id(left.id).exec(&world.db()).await.unwrap();
        assert_eq!(broken(&world).await, Broken::Removed { number: 7 });
        audit_chain::Entity::update_many()
            .col_expr(audit_chain::Column::CutNumber, Expr::value(7_i64))
            .filter(audit_chain::Column::Id.eq(1_i16))
            .exec(&world.db())
            .await
            .unwrap();
        assert_eq!(broken(&world).await, Broken::Head);
        world.sign_in(&ben).await;
    }

    async fn nothing_goes_where_all_is_kept(stage: Stage) {
        let world = World::with(&stage, |variables| {
            variables.set("ROSTER__AUDIT__RETENTION_DAYS", "0");
        })
        .await;
        sealed_trail(&world, 2).await;
        world.clock.advance(Duration::from_hours(24 * 10_000));
        assert_eq!(remove_old(&world.state).await.unwrap(), 0);
    }

    async fn an_export_has_a_signed_head_and_every_event(world: World) {
        sealed_trail(&world, 3).await;
        let lines = exported(&world).await;
        let head: Value = serde_json::from_str(&lines[0]).unwrap();
        assert_eq!(head["type"], "head");
        assert_eq!((&head["first"], &head["last"]), (&json!(1), &json!(5)));
        let events: Vec<Value> = lines[1..].iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        let numbers: Vec<_> = events.iter().map(|event| event["number"].as_i64().unwrap()).collect();
        assert_eq!(numbers, [1, 2, 3, 4, 5]);
        assert_eq!(events[4]["action"], "audit.exported");
        assert_eq!(events[4]["link"], head["link"]);

        // Who has the published keys can check the head.
        let jwks = world.get("/.well-known/jwks.json").await.expect(200).json().clone();
        let jwks: jsonwebtoken::jwk::JwkSet = serde_json::from_value(jwks).unwrap();
        let signature = head["signature"].as_str().unwrap();
        let header = jsonwebtoken::decode_header(signature).unwrap();
        assert_eq!(header.typ.as_deref(), Some("audit-head+jwt"));
        let jwk = jwks.find(header.kid.as_deref().unwrap()).unwrap();
        let mut rules = jsonwebtoken::Validation::new(header.alg);
        rules.required_spec_claims.clear();
        rules.validate_exp = false;
        rules.validate_aud = false;
        let key = jsonwebtoken::DecodingKey::from_jwk(jwk).unwrap();
        let signed = jsonwebtoken::decode::<Value>(signature, &key, &rules).unwrap().claims;
        for member in ["first", "last", "before", "link", "sealed_at", "exported_at", "iss"] {
            assert_eq!(signed[member], head[member], "{member}");
        }
        // And nobody can sign in with it.
        world.get("/users/me").bearer(signature).await.expect(401);
    }

    async fn a_trail_that_was_put_back_does_not_hold_what_was_exported(world: World) {
        let ada = sealed_trail(&world, 3).await;
        let (old_events, old_head) =
            (events(&world).await, audit_chain::Entity::find_by_id(1_i16).one(&world.db()).await.unwrap().unwrap());
        world.sign_in(&ada).await;
        let lines = exported(&world).await;
        let head = exported_head(&lines[0]).unwrap();
        let verdict = verify(&world.state, Some(&head)).await.unwrap();
        assert_eq!(verdict.broken, None);

        // An old copy of all of it, which is right in itself.
        audit_events::Entity::delete_many().exec(&world.db()).await.unwrap();
        let rows = old_events.into_iter().map(|event| event.into_active_model().reset_all());
        audit_events::Entity::insert_many(rows).exec_without_returning(&world.db()).await.unwrap();
        old_head.into_active_model().reset_all().update(&world.db()).await.unwrap();
        assert_intact(&world).await;
        let verdict = verify(&world.state, Some(&head)).await.unwrap();
        assert_eq!(verdict.broken, Some(Broken::Forked { number: 6 }));

        // It grows on, and is another one from there.
        for _ in 0..3 {
            world.sign_in(&ada).await;
        }
        seal_all(&world.state).await.unwrap();
        assert_intact(&world).await;
        let verdict = verify(&world.state, Some(&head)).await.unwrap();
        assert_eq!(verdict.broken, Some(Broken::Forked { number: 6 }));
    }
}
