//! What has ended is removed, and what is removed was of no use to anybody.

use std::time::Duration;

use entity::{refresh_tokens, sessions};
use roster::clock::Clock as _;
use roster::security::RefreshToken;
use roster::sessions::service::housekeep;
use sea_orm::ActiveValue::Set;
use sea_orm::{ConnectionTrait as _, EntityTrait as _, Statement};
use uuid::Uuid;

use crate::support::{Persona, Stage, World};

const DAY: Duration = Duration::from_hours(24);

/// Sessions that have expired, each with tokens of its own.
async fn put_expired(world: &World, persona: &Persona, count: usize) {
    let at = (world.clock.now() - chrono::TimeDelta::days(100)).fixed_offset();
    let rows: Vec<_> = (0..count)
        .map(|_| sessions::ActiveModel {
            id: Set(world.state.ambient.new_uuid()),
            user_id: Set(persona.id),
            client_id: Set("roster".to_owned()),
            scope: Set("account".to_owned()),
            created_at: Set(at),
            last_used_at: Set(at),
            idle_expires_at: Set(at),
            expires_at: Set(at),
            ip: Set(None),
            user_agent: Set(None),
        })
        .collect();
    let ids: Vec<Uuid> = rows.iter().map(|row| *row.id.as_ref()).collect();
    let tokens = ids.into_iter().flat_map(|session_id| {
        [None, Some(at)].map(|spent_at| refresh_tokens::ActiveModel {
            digest: Set(RefreshToken::generate(world.state.ambient.random.as_ref())
                .digest()
                .as_bytes()
                .to_vec()),
            session_id: Set(session_id),
            created_at: Set(at),
            expires_at: Set(at),
            spent_at: Set(spent_at),
            repeatable_until: Set(spent_at),
            successor_sealed: Set(spent_at.map(|_| vec![1])),
        })
    });
    let db = world.db();
    for chunk in rows.chunks(500) {
        sessions::Entity::insert_many(chunk.to_vec())
            .exec_without_returning(&db)
            .await
            .unwrap();
    }
    let tokens: Vec<_> = tokens.collect();
    for chunk in tokens.chunks(500) {
        refresh_tokens::Entity::insert_many(chunk.to_vec())
            .exec_without_returning(&db)
            .await
            .unwrap();
    }
}

scenario! {
    async fn expired_sessions_go_with_their_tokens_and_living_ones_stay(world: World) {
        let other = world.second_instance().await;
        let ada = world.register("ada").await;
        let tokens = world.begin(&ada).await;
        // Several batches, with two instances at it.
        put_expired(&world, &ada, 1_200).await;
        let (one, two) = tokio::join!(housekeep(&world.state), housekeep(&other.state));
        let removed = one.unwrap() + two.unwrap() + housekeep(&world.state).await.unwrap();
        assert!(removed >= 1_200 + 2_400, "{removed}");
        assert_eq!(world.count_sessions().await, 1);
        assert_eq!(world.token_rows().await.len(), 1);
        world.lives(&world.refreshed(&tokens.refresh).await).await;
        assert_eq!(housekeep(&world.state).await.unwrap(), 0);
    }

    async fn a_session_that_ends_before_its_spent_tokens_takes_them_along(stage: Stage) {
        let world = World::with(&stage, |_| {}).await;
        let ada = world.register("ada").await;
        let first = world.begin(&ada).await;
        // The operator lowers the idle time; the session is refreshed once more, and then left alone.
        let stricter = world
            .second_instance_with(|variables| variables.set("ROSTER__SESSION__REFRESH_IDLE_DAYS", "1"))
            .await;
        stricter.refreshed(&first.refresh).await;
        world.clock.advance(DAY);
        housekeep(&world.state).await.unwrap();
        assert_eq!((world.count_sessions().await, world.token_rows().await.len()), (0, 0));
    }

    async fn a_spent_token_is_remembered_as_long_as_it_could_have_lived(world: World) {
        let ada = world.register("ada").await;
        let first = world.begin(&ada).await;
        world.clock.advance(20 * DAY);
        let second = world.refreshed(&first.refresh).await;
        housekeep(&world.state).await.unwrap();
        assert_eq!(world.token_rows().await.len(), 2);
        world.clock.advance(10 * DAY);
        assert_eq!(housekeep(&world.state).await.unwrap(), 1);
        assert_eq!(world.token_rows().await.len(), 1);
        // It is unknown now, and ends nothing.
        world.refresh(&first.refresh).await.oauth_error("invalid_grant");
        world.lives(&world.refreshed(&second.refresh).await).await;
    }

    async fn a_sealed_successor_is_wiped_when_its_window_has_passed(world: World) {
        let ada = world.register("ada").await;
        let first = world.begin(&ada).await;
        let second = world.refreshed(&first.refresh).await;
        let sealed = async || world.token_rows().await.iter().filter(|row| row.successor_sealed.is_some()).count();
        assert_eq!(housekeep(&world.state).await.unwrap(), 0);
        assert_eq!(sealed().await, 1);
        world.clock.advance(Duration::from_secs(10));
        let third = world.refreshed(&second.refresh).await;
        // Another instance's clock may be behind: what could still be asked for there stays.
        assert_eq!(housekeep(&world.state).await.unwrap(), 0);
        world.clock.advance(Duration::from_secs(30));
        assert_eq!(housekeep(&world.state).await.unwrap(), 1);
        world.clock.advance(Duration::from_secs(10));
        assert_eq!(housekeep(&world.state).await.unwrap(), 1);
        assert_eq!(sealed().await, 0);
        // What was wiped still tells that it was used.
        world.refresh(&first.refresh).await.oauth_error("invalid_grant");
        world.is_dead(&third).await;
        assert_eq!(world.audit("token_reuse").await.len(), 1);
    }

    async fn no_token_that_could_be_used_is_in_the_database(world: World) {
        let ada = world.register("ada").await;
        let first = world.begin(&ada).await;
        let second = world.refreshed(&first.refresh).await;
        let secret = |text: &str| {
            use base64::Engine as _;
            base64::prelude::BASE64_URL_SAFE_NO_PAD.decode(text.trim_start_matches("roster_rt_")).unwrap()
        };
        let mut dump: Vec<Vec<u8>> = Vec::new();
        for row in world.token_rows().await {
            dump.extend([row.digest, row.successor_sealed.unwrap_or_default()]);
        }
        let db = world.db();
        for table in ["sessions", "users", "audit_events", "clients"] {
            let sql = format!("SELECT * FROM {table}");
            let rows = db.query_all_raw(Statement::from_string(db.get_database_backend(), sql)).await.unwrap();
            dump.extend(rows.iter().map(|row| format!("{row:?}").into_bytes()));
        }
        for text in [&first.refresh, &second.refresh] {
            for needle in [text.as_bytes().to_vec(), text.trim_start_matches("roster_rt_").as_bytes().to_vec(), secret(text)] {
                let is_there = dump.iter().any(|bytes| bytes.windows(needle.len()).any(|window| window == needle));
                assert!(!is_there);
            }
        }
        assert!(!first.access.is_empty());
    }
}
