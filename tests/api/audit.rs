//! The audit trail: who may see what of it, and whether a hand in the database shows.

use std::collections::BTreeSet;
use std::future::IntoFuture as _;
use std::io::Cursor;
use std::time::Duration;

use entity::{audit_chain, audit_events, mail_outbox, signing_keys, users};
use roster::audit::service::{Export, VerifyError, export, remove_old, seal, seal_all, seal_waiting, verify};
use roster::audit::{self, AuditEvent, Broken, Verdict};
use roster::clock::{Clock as _, SystemRandom};
use roster::domain::{Actor, AuditAction, MailId, Origin, SigningAlgorithm, UserStatus};
use roster::error::ApiError;
use roster::mail;
use roster::security::{KeyRing, KeyState, NewSigningKey, Sealer, StoredSigningKey};
use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveModelTrait as _, ColumnTrait as _, ConnectionTrait as _, DbBackend, EntityTrait as _,
    IntoActiveModel as _, QueryFilter as _, QueryOrder as _,
};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Persona, Stage, World, token};

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

/// What was printed, as a file.
fn file(lines: &[String]) -> Export {
    let text = lines.join("\n") + "\n";
    Export::open(Cursor::new(text)).unwrap()
}

/// What is said of the trail, held against an export that is right.
async fn against(world: &World, lines: &[String]) -> Verdict {
    verify(&world.state, Some(file(lines))).await.unwrap()
}

/// What is said of an export that isn't.
async fn refused(world: &World, export: Export) -> String {
    match verify(&world.state, Some(export)).await {
        Err(VerifyError::Export(fault)) => fault.to_string(),
        other => panic!("{other:?}"),
    }
}

/// The `kid` that an export is signed with.
fn kid_of(lines: &[String]) -> String {
    let head: Value = serde_json::from_str(&lines[0]).unwrap();
    let header = jsonwebtoken::decode_header(head["signature"].as_str().unwrap()).unwrap();
    header.kid.unwrap()
}

/// The first events of an export, under a head that somebody else has signed.
fn shortened(lines: &[String], count: usize, ring: &KeyRing) -> Vec<String> {
    let last: Value = serde_json::from_str(&lines[count]).unwrap();
    let mut short = vec![headed(lines, last["number"].clone(), last["link"].clone(), ring)];
    short.extend_from_slice(&lines[1..=count]);
    short
}

/// The head of an export with another end, as somebody else has signed it.
fn headed(lines: &[String], last: Value, link: Value, ring: &KeyRing) -> String {
    let mut head: Value = serde_json::from_str(&lines[0]).unwrap();
    head["last"] = last;
    head["link"] = link;
    let mut said = head.as_object().unwrap().clone();
    for member in ["type", "version", "signature", "jwk"] {
        said.remove(member).unwrap();
    }
    head["signature"] = ring.sign("audit-head+jwt", &said).unwrap().into();
    head["jwk"] = serde_json::from_str(ring.current_jwk()).unwrap();
    head.to_string()
}

fn details(event: &audit_events::Model) -> Value {
    serde_json::from_str(&event.details).unwrap()
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
        for number in [None, Some(4), Some(9), Some(0), Some(-1)] {
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

    async fn two_events_in_one_place_are_found_wherever_that_is(world: World) {
        let made = (0..600).map(|_| {
            let origin = Origin::default();
            AuditEvent::success(&world.state.trail, AuditAction::KeysRotated, Actor::System, None, &origin)
        });
        audit::record_all(&world.db(), made.collect()).await.unwrap();
        seal_all(&world.state).await.unwrap();
        assert_eq!(assert_intact(&world).await.sealed, 600);
        world.db().execute_unprepared("DROP INDEX audit_events_number_key").await.unwrap();
        let all = events(&world).await;
        // At the ends of what is read at a time, too.
        for place in [1, 498, 499, 500, 501, 600] {
            let mut forged = all[place - 1].clone();
            forged.id = Uuid::from_u128(forged.id.as_u128() ^ 1);
            "failure".clone_into(&mut forged.outcome);
            let id = forged.id;
            audit_events::Entity::insert(forged.into_active_model().reset_all())
                .exec_without_returning(&world.db())
                .await
                .unwrap();
            match broken(&world).await {
                Broken::Inserted { id: named } | Broken::Changed { id: named, .. } => assert_eq!(named, id),
                other => panic!("{other:?}"),
            }
            audit_events::Entity::delete_by_id(id).exec(&world.db()).await.unwrap();
        }
        assert_eq!(assert_intact(&world).await.sealed, 600);
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
        // Another row is no head.
        audit_chain::Entity::update_many()
            .col_expr(audit_chain::Column::Id, Expr::value(2_i16))
            .exec(&world.db())
            .await
            .unwrap();
        assert_eq!(broken(&world).await, Broken::Head);
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
        // What is put to where the old events were is none of them.
        let mut forged = left.clone();
        forged.id = Uuid::from_u128(forged.id.as_u128() ^ 1);
        for number in [3, 6] {
            forged.number = Some(number);
            audit_events::Entity::insert(forged.clone().into_active_model().reset_all())
                .exec_without_returning(&world.db())
                .await
                .unwrap();
            assert_eq!(broken(&world).await, Broken::Inserted { id: forged.id });
            audit_events::Entity::delete_by_id(forged.id).exec(&world.db()).await.unwrap();
        }
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

    async fn an_export_of_a_trail_with_a_gap_says_so(world: World) {
        sealed_trail(&world, 3).await;
        let event = events(&world).await.remove(1);
        audit_events::Entity::delete_by_id(event.id).exec(&world.db()).await.unwrap();
        let mut count = 0;
        let line = |_: &str| {
            count += 1;
            Ok::<_, ApiError>(())
        };
        let fault = export(&world.state, Actor::Operator, &Origin::default(), line).await.unwrap_err();
        assert!(matches!(fault, ApiError::Internal(_)), "{fault:?}");
        // What is left was handed out: the head, and events 1, 3, 4 and 5.
        assert_eq!(count, 5);
    }

    async fn a_trail_that_was_put_back_does_not_hold_what_was_exported(world: World) {
        let ada = sealed_trail(&world, 3).await;
        let (old_events, old_head) =
            (events(&world).await, audit_chain::Entity::find_by_id(1_i16).one(&world.db()).await.unwrap().unwrap());
        world.sign_in(&ada).await;
        let lines = exported(&world).await;
        let verdict = against(&world, &lines).await;
        assert_eq!((verdict.broken, verdict.sealed, verdict.compared), (None, 6, 6));

        // An old copy of all of it, which is right in itself.
        audit_events::Entity::delete_many().exec(&world.db()).await.unwrap();
        let rows = old_events.into_iter().map(|event| event.into_active_model().reset_all());
        audit_events::Entity::insert_many(rows).exec_without_returning(&world.db()).await.unwrap();
        old_head.into_active_model().reset_all().update(&world.db()).await.unwrap();
        assert_intact(&world).await;
        assert_eq!(against(&world, &lines).await.broken, Some(Broken::Forked { number: 5 }));

        // It grows on, and is another one from there.
        for _ in 0..3 {
            world.sign_in(&ada).await;
        }
        seal_all(&world.state).await.unwrap();
        assert_intact(&world).await;
        let Some(Broken::Differs { number: 5, members }) = against(&world, &lines).await.broken else {
            panic!("event 5 is another one");
        };
        assert!(members.contains(&"id") && members.contains(&"link"), "{members:?}");
    }

    async fn what_differs_from_an_export_is_named(world: World) {
        sealed_trail(&world, 3).await;
        let lines = exported(&world).await;
        let event = events(&world).await.remove(2);
        let original = event.clone().into_active_model().reset_all();
        change(&world, event.clone(), |row| row.outcome = Set("unknown".to_owned())).await;
        let named = Broken::Differs { number: 3, members: vec!["outcome"] };
        assert_eq!(against(&world, &lines).await.broken, Some(named));
        original.clone().update(&world.db()).await.unwrap();
        change(&world, event, |row| {
            row.occurred_at = Set(*row.occurred_at.as_ref() - chrono::TimeDelta::days(1));
            row.ip = Set(None);
            row.details = Set("{}".to_owned());
            row.mac = Set(vec![1; 32]);
        })
        .await;
        let Some(Broken::Differs { number: 3, members }) = against(&world, &lines).await.broken else {
            panic!("event 3 was changed");
        };
        assert!(["occurred_at", "ip", "mac"].iter().all(|member| members.contains(member)), "{members:?}");
        assert!(!members.contains(&"id") && !members.contains(&"link"), "{members:?}");
        original.update(&world.db()).await.unwrap();
        assert_eq!(against(&world, &lines).await.broken, None);
    }

    async fn an_export_that_was_changed_is_no_measure(world: World) {
        sealed_trail(&world, 3).await;
        let lines = exported(&world).await;
        let mut changed = lines.clone();
        changed[3] = changed[3].replace("\"outcome\":\"", "\"outcome\":\"un");
        assert!(refused(&world, file(&changed)).await.contains("event 3 was changed in it"));
        let mut shorter = lines.clone();
        shorter.remove(2);
        assert!(refused(&world, file(&shorter)).await.contains("event 2 is missing in it"));
        assert!(refused(&world, file(&lines[..4])).await.contains("event 4 is missing in it"));
        let mut longer = lines.clone();
        longer.push(lines[5].clone());
        assert!(refused(&world, file(&longer)).await.contains("goes on behind its last event"));
        let mut garbage = lines.clone();
        garbage[2].truncate(40);
        assert!(refused(&world, file(&garbage)).await.contains("line 3 is no event"));
        // The same said otherwise is another file as well, and no word about the trail.
        for (from, to) in [("Z\",\"action\"", "000001Z\",\"action\""), ("Z\",\"action\"", "+00:00\",\"action\""), ("\":", "\": "), ("}", "}\r")] {
            let mut other = lines.clone();
            other[3] = other[3].replace(from, to);
            assert_ne!(other[3], lines[3]);
            assert!(refused(&world, file(&other)).await.contains("event 3 was changed in it"), "{to}");
        }
        let other = lines[0].replace("\"version\":1", "\"version\":2");
        assert!(Export::open(Cursor::new(other)).is_err());
        let mut head: Value = serde_json::from_str(&lines[0]).unwrap();
        head["last"] = json!(4);
        let said = refused(&world, file(&[&[head.to_string()][..], &lines[1..5]].concat())).await;
        assert!(said.contains("its head isn't what was signed"), "{said}");
        // Whoever has kept it knows which key it was, and which it wasn't.
        let kid = kid_of(&lines);
        let named = file(&lines).signed_by(Some(kid.clone()));
        assert_eq!(verify(&world.state, Some(named)).await.unwrap().broken, None);
        let said = refused(&world, file(&lines).signed_by(Some("another".to_owned()))).await;
        assert!(said.contains("another key") && said.contains(&kid), "{said}");
        assert!(Export::open(Cursor::new("{}\n")).is_err());
        assert!(Export::open(Cursor::new("")).is_err());
    }

    async fn a_key_of_somebody_else_signs_no_export(world: World) {
        sealed_trail(&world, 3).await;
        let lines = exported(&world).await;
        // Made without the secret, and put into the database by hand.
        let sealer = Sealer::new(&[9; 32], "signing keys").unwrap();
        let made = NewSigningKey::generate(SigningAlgorithm::Es256, &sealer, &SystemRandom).unwrap();
        let now = world.clock.now();
        let key = StoredSigningKey {
            id: made.id.clone(),
            algorithm: made.algorithm,
            state: KeyState::Current,
            public_jwk: made.public_jwk.clone(),
            private_sealed: made.private_sealed.clone(),
            created_at: now,
            activated_at: Some(now),
            superseded_at: None,
        };
        let ring = KeyRing::open(&[key], &sealer).unwrap();
        let row = signing_keys::ActiveModel {
            id: Set(made.id.clone()),
            algorithm: Set(made.algorithm.as_str().to_owned()),
            state: Set("previous".to_owned()),
            public_jwk: Set(made.public_jwk),
            private_sealed: Set(made.private_sealed),
            created_at: Set(now.fixed_offset()),
            activated_at: Set(Some(now.fixed_offset())),
            superseded_at: Set(Some(now.fixed_offset())),
        };
        signing_keys::Entity::insert(row).exec_without_returning(&world.db()).await.unwrap();
        let said = refused(&world, file(&shortened(&lines, 3, &ring))).await;
        assert!(said.contains("doesn't know to be its own") && said.contains(&made.id), "{said}");
        // Nor is the trail too short because somebody says so.
        let more = headed(&lines, json!(99), json!("00"), &ring);
        let said = refused(&world, file(&[&[more][..], &lines[1..]].concat())).await;
        assert!(said.contains("event 6 is missing in it"), "{said}");
        // The same head with our key is one of ours.
        let ours = shortened(&lines, 3, &world.state.keys.ring());
        let verdict = against(&world, &ours).await;
        assert_eq!((verdict.broken, verdict.compared), (None, 3));
    }

    async fn an_export_is_verified_after_its_key_is_gone(stage: Stage) {
        let world = World::with(&stage, |variables| {
            variables.set("ROSTER__AUDIT__RETENTION_DAYS", "30");
        })
        .await;
        sealed_trail(&world, 3).await;
        let lines = exported(&world).await;
        signing_keys::Entity::delete_many().exec(&world.db()).await.unwrap();
        // The event of the export names the key, and was digested with the secret.
        let verdict = against(&world, &lines).await;
        assert_eq!((verdict.broken, verdict.compared), (None, 5));

        // That goes because of its age, and the export with it, up to a cut that is signed.
        world.clock.advance(Duration::from_hours(24 * 31));
        world.register("ben").await;
        seal_all(&world.state).await.unwrap();
        assert_eq!(remove_old(&world.state).await.unwrap(), 5);
        let said = refused(&world, file(&lines)).await;
        assert!(said.contains("doesn't know to be its own"), "{said}");
        let named = file(&lines).signed_by(Some(kid_of(&lines)));
        let verdict = verify(&world.state, Some(named)).await.unwrap();
        assert_eq!((verdict.broken, verdict.compared, verdict.removed_by_age), (None, 0, 5));
        let mut changed = lines.clone();
        changed[2] = changed[2].replace("\"outcome\":\"", "\"outcome\":\"un");
        assert!(refused(&world, file(&changed)).await.contains("event 2 was changed in it"));
    }

    async fn how_long_events_wait_to_be_sealed_is_told(world: World) {
        assert_eq!(assert_intact(&world).await.oldest_unsealed_at, None);
        let ada = world.register("ada").await;
        let first = world.clock.now();
        world.clock.advance(Duration::from_mins(10));
        world.sign_in(&ada).await;
        let verdict = assert_intact(&world).await;
        assert_eq!((verdict.unsealed, verdict.oldest_unsealed_at), (2, Some(first)));
        // Without the state of a server, as at the end of a command.
        assert_eq!(seal_waiting(&world.state.db, &world.state.trail).await.unwrap(), 2);
        let verdict = assert_intact(&world).await;
        assert_eq!((verdict.unsealed, verdict.oldest_unsealed_at), (0, None));
    }

    async fn an_event_of_a_clock_that_was_ahead_keeps_nothing(stage: Stage) {
        let world = World::with(&stage, |variables| {
            variables.set("ROSTER__AUDIT__RETENTION_DAYS", "30");
        })
        .await;
        let day = Duration::from_hours(24);
        world.register("ada").await;
        seal_all(&world.state).await.unwrap();
        world.clock.advance(400 * day);
        world.register("ahead").await;
        seal_all(&world.state).await.unwrap();
        world.clock.turn_back(400 * day);
        world.clock.advance(day);
        world.register("behind").await;
        seal_all(&world.state).await.unwrap();
        world.clock.advance(29 * day + Duration::from_mins(1));
        // The first one is old enough. The one from the future is as old as the one behind it, which isn't.
        assert_eq!(remove_old(&world.state).await.unwrap(), 1);
        world.clock.advance(day);
        assert_eq!(remove_old(&world.state).await.unwrap(), 2);
        assert_eq!(assert_intact(&world).await.removed_by_age, 3);

        // With nothing behind it, it stays.
        world.clock.advance(400 * day);
        world.register("ahead-again").await;
        seal_all(&world.state).await.unwrap();
        world.clock.turn_back(400 * day);
        assert_eq!(remove_old(&world.state).await.unwrap(), 0);
        assert_eq!(assert_intact(&world).await.sealed, 1);
    }

    async fn what_was_dated_back_by_hand_is_not_let_go_of(stage: Stage) {
        let world = World::with(&stage, |variables| {
            variables.set("ROSTER__AUDIT__RETENTION_DAYS", "30");
        })
        .await;
        sealed_trail(&world, 2).await;
        let back = world.clock.now() - chrono::TimeDelta::days(40);
        audit_events::Entity::update_many()
            .col_expr(audit_events::Column::OccurredAt, Expr::value(back.fixed_offset()))
            .exec(&world.db())
            .await
            .unwrap();
        assert!(remove_old(&world.state).await.is_err());
        assert_eq!(events(&world).await.len(), 3);
        assert!(matches!(broken(&world).await, Broken::Changed { number: 1, .. }));
    }

    async fn a_time_that_only_looks_old_is_not_let_go_of(stage: Stage) {
        let world = World::with(&stage, |variables| {
            variables.set("ROSTER__AUDIT__RETENTION_DAYS", "30");
        })
        .await;
        sealed_trail(&world, 2).await;
        // The same time in a text that sorts before every other one. PostgreSQL has times, and no texts of them.
        if world.db().get_database_backend() == DbBackend::Sqlite {
            let sql = "UPDATE audit_events SET occurred_at = '+' || occurred_at";
            world.db().execute_unprepared(sql).await.unwrap();
        }
        assert_eq!(remove_old(&world.state).await.unwrap(), 0);
        assert_eq!(assert_intact(&world).await.sealed, 3);
    }

    async fn events_say_how_and_what_was_before(world: World) {
        let admin = world.admin().await;
        let token = world.sign_in(&admin).await;
        let (ada, ben) = (world.register("ada").await, world.register("ben").await);
        let path = format!("/admin/users/{}", ada.id);
        let adas = world.sign_in(&ada).await;

        let own = ada.confirming(json!({"email": "ada-2@example.test"}));
        world.put("/users/me").bearer(&adas).json(&own).await.expect(200);
        let event = world.only_audit("user.email_changed").await;
        assert_eq!(details(&event), json!({"way": "at_once", "verified": false}));
        let change = json!({"email": "ada-3@example.test", "email_verified": true, "roles": ["editor"]});
        world.patch(&path).bearer(&token).json(&change).await.expect(200);
        let changed = world.audit("user.email_changed").await;
        let by_admin = changed.iter().find(|event| event.actor_id == Some(admin.id)).unwrap();
        assert_eq!(details(by_admin), json!({"way": "administered", "verified": true}));

        world.set_roles(&ada, &["author", "editor"]).await;
        let hers: Vec<Value> = world
            .audit("user.roles_changed")
            .await
            .iter()
            .filter(|event| event.subject_id == Some(ada.id))
            .map(details)
            .collect();
        assert_eq!(hers.len(), 2);
        for told in [
            json!({"roles": ["editor"], "roles_before": []}),
            json!({"roles": ["author", "editor"], "roles_before": ["editor"]}),
        ] {
            assert!(hers.contains(&told), "{hers:?}");
        }

        world.delete(&path).bearer(&token).await.expect(204);
        let event = world.only_audit("user.deleted").await;
        let told = json!({"by": "admin", "roles": ["author", "editor"], "status": "active", "sessions": 1});
        assert_eq!(details(&event), told);
        let bens = world.sign_in(&ben).await;
        world.sign_in(&ben).await;
        world.delete("/users/me").bearer(&bens).await.expect(204);
        let deleted = world.audit("user.deleted").await;
        let event = deleted.iter().find(|event| event.subject_id == Some(ben.id)).unwrap();
        assert_eq!(details(event), json!({"by": "self", "roles": [], "status": "active", "sessions": 2}));
    }

    async fn a_confirmed_change_of_address_says_so(stage: Stage) {
        let world = World::with(&stage, |variables| {
            variables.set("ROSTER__ACCOUNT__CONFIRM_NEW_EMAIL", "true");
        })
        .await;
        let ada = world.register("ada").await;
        let bearer = world.sign_in(&ada).await;
        world.deliver().await;
        let change = ada.confirming(json!({"email": "countess@example.test"}));
        world.put("/users/me").bearer(&bearer).json(&change).await.expect(200);
        let letters = world.deliver().await;
        let asked = letters.iter().find(|letter| letter.to.as_str() == "countess@example.test").unwrap();
        let body = json!({"token": token(asked)});
        world.post("/users/me/email/confirm").json(&body).await.expect(200);
        let event = world.only_audit("user.email_changed").await;
        assert_eq!(details(&event), json!({"way": "confirmed", "verified": true}));
    }

    async fn what_an_operator_does_to_mails_is_an_event(world: World) {
        world.register("ada").await;
        world.register("ben").await;
        // Nothing was given up: nothing is done.
        assert_eq!(mail::service::retry(&world.state, None).await.unwrap(), 0);
        assert_eq!(mail::service::purge(&world.state, None).await.unwrap(), 0);
        assert!(world.audit("mail.retried").await.is_empty() && world.audit("mail.purged").await.is_empty());
        mail_outbox::Entity::update_many()
            .col_expr(mail_outbox::Column::State, Expr::value("dead"))
            .exec(&world.db())
            .await
            .unwrap();
        assert_eq!(mail::service::retry(&world.state, None).await.unwrap(), 2);
        let event = world.only_audit("mail.retried").await;
        assert_eq!((event.actor_kind.as_str(), event.subject_id), ("operator", None));
        assert_eq!(details(&event), json!({"which": "given_up", "mails": 2}));
        let id = mail_outbox::Entity::find().one(&world.db()).await.unwrap().unwrap().id;
        assert_eq!(mail::service::purge(&world.state, Some(vec![MailId::new(id)])).await.unwrap(), 1);
        let event = world.only_audit("mail.purged").await;
        assert_eq!(details(&event), json!({"named": [id], "mails": 1}));
        seal_all(&world.state).await.unwrap();
        assert_intact(&world).await;
    }

    async fn a_mail_of_an_unknown_kind_holds_up_no_other(world: World) {
        world.register("ada").await;
        mail_outbox::Entity::update_many()
            .col_expr(mail_outbox::Column::Kind, Expr::value("from_a_later_version"))
            .exec(&world.db())
            .await
            .unwrap();
        let ben = world.register("ben").await;
        let letters = world.deliver().await;
        assert_eq!(letters.len(), 1);
        assert_eq!(letters[0].to.as_str(), ben.email);
        let left = mail_outbox::Entity::find().all(&world.db()).await.unwrap();
        assert_eq!(left.len(), 1);
        assert_eq!(left[0].state, "dead");
        assert!(left[0].last_error.as_deref().unwrap().contains("unknown kind"), "{left:?}");
        assert!(mail::service::list(&world.state, None, 10).await.unwrap().is_empty());
        assert!(world.deliver().await.is_empty());
    }
}
