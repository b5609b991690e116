//! Registered clients: who is one, and who only says so.

use std::net::IpAddr;
use std::time::Duration;

use roster::clients::{Client, service};
use roster::domain::{Actor, ClientId, ClientName, Origin};
use roster::error::ApiError;
use roster::security::{ClientSecret, SecretDigest};
use sea_orm::{ConnectionTrait as _, EntityTrait as _};
use serde_json::{Value, json};

use crate::support::World;

async fn create(world: &World, name: &str) -> (Client, ClientSecret) {
    let name = ClientName::parse(name).unwrap();
    service::create(&world.state, name, Actor::Operator, Origin::default())
        .await
        .unwrap()
}

async fn authenticate(world: &World, id: &str, secret: &str) -> Result<Client, ApiError> {
    service::authenticate(&world.state, id, secret, Origin::default())
        .await
        .outcome
}

async fn refused(world: &World, id: &str, secret: &str) {
    let result = authenticate(world, id, secret).await;
    assert!(
        matches!(result, Err(ApiError::InvalidClient)),
        "{id:?} {secret:?}: {result:?}"
    );
}

scenario! {
    async fn a_client_is_known_by_its_id_and_secret(world: World) {
        let (billing, secret) = create(&world, "billing").await;
        assert_eq!(billing.name, "billing");
        assert_eq!(billing.created_at, world.state.ambient.now());
        let id = billing.id.to_string();
        assert_eq!(authenticate(&world, &id, &secret.expose()).await.unwrap(), billing);

        // Another with the same name is another client.
        world.clock.advance(Duration::from_secs(1));
        let (other, others_secret) = create(&world, "billing").await;
        assert_ne!(other.id, billing.id);
        refused(&world, &id, &others_secret.expose()).await;
        assert_eq!(
            service::list(&world.state).await.unwrap(),
            [billing.clone(), other.clone()]
        );
        assert_eq!(service::find(&world.state, other.id).await.unwrap(), other);
    }

    async fn an_unknown_client_and_a_wrong_secret_are_one_refusal(world: World) {
        let (billing, secret) = create(&world, "billing").await;
        let (id, text) = (billing.id.to_string(), secret.expose());
        let unknown = ClientId::new(world.state.ambient.new_uuid()).to_string();
        let another = ClientSecret::generate(world.state.ambient.random.as_ref()).expose();
        for id in ["", "billing", "roster", "\0", &unknown, &id.to_uppercase(), &id.replace('-', "")] {
            refused(&world, id, &text).await;
            refused(&world, id, &another).await;
            refused(&world, id, "").await;
        }
        assert!(world.audit("client.authentication").await.is_empty());
        let wrong = ["", "wrong", &another, &text[..text.len() - 1], &format!("{}=", *text)];
        for secret in wrong {
            refused(&world, &id, secret).await;
        }
        assert_eq!(world.audit("client.authentication").await.len(), wrong.len());
        authenticate(&world, &id, &text).await.unwrap();
        assert_eq!(world.audit("client.authentication").await.len(), wrong.len());
    }

    async fn the_wrong_secret_of_a_known_client_is_audited_with_its_origin(world: World) {
        let (billing, _) = create(&world, "billing").await;
        let origin = Origin {
            ip: Some(IpAddr::from([203, 0, 113, 7])),
            user_agent: Some("billing/1".to_owned()),
            request_id: Some("request-1".to_owned()),
        };
        let result =
            service::authenticate(&world.state, &billing.id.to_string(), "roster_cs_wrong", origin).await.outcome;
        assert!(matches!(result, Err(ApiError::InvalidClient)), "{result:?}");
        let event = world.only_audit("client.authentication").await;
        assert_eq!(
            (event.outcome.as_str(), event.actor_kind.as_str(), event.subject_id),
            ("failure", "anonymous", None)
        );
        assert_eq!(
            (event.ip.as_deref(), event.user_agent.as_deref(), event.request_id.as_deref()),
            (Some("203.0.113.7"), Some("billing/1"), Some("request-1"))
        );
        assert_eq!(
            serde_json::from_str::<Value>(&event.details).unwrap(),
            json!({"reason": "wrong_secret", "client": billing.id.to_string()})
        );
        assert!(!format!("{event:?}").contains("roster_cs_"));
    }

    async fn a_removed_client_is_refused_at_once(world: World) {
        let (billing, secret) = create(&world, "billing").await;
        let (id, text) = (billing.id.to_string(), secret.expose());
        service::delete(&world.state, billing.id, Actor::Operator, Origin::default())
            .await
            .unwrap();
        refused(&world, &id, &text).await;
        assert!(service::list(&world.state).await.unwrap().is_empty());
        let again = service::delete(&world.state, billing.id, Actor::Operator, Origin::default()).await;
        assert!(matches!(again, Err(ApiError::NotFound(_))), "{again:?}");
        let gone = service::find(&world.state, billing.id).await;
        assert!(matches!(gone, Err(ApiError::NotFound(_))), "{gone:?}");
        for action in ["client.created", "client.deleted"] {
            let event = world.only_audit(action).await;
            assert_eq!((event.outcome.as_str(), event.actor_kind.as_str()), ("success", "operator"));
            assert_eq!(
                serde_json::from_str::<Value>(&event.details).unwrap(),
                json!({"client": id})
            );
        }
        assert!(world.audit("client.authentication").await.is_empty());
    }

    async fn nothing_is_done_without_its_audit_row(world: World) {
        let (billing, secret) = create(&world, "billing").await;
        world
            .db()
            .execute_unprepared("ALTER TABLE audit_events RENAME TO elsewhere")
            .await
            .unwrap();
        let name = ClientName::parse("other").unwrap();
        let created = service::create(&world.state, name, Actor::Operator, Origin::default()).await;
        assert!(created.is_err(), "{created:?}");
        let deleted =
            service::delete(&world.state, billing.id, Actor::Operator, Origin::default()).await;
        assert!(deleted.is_err(), "{deleted:?}");
        let clients = service::list(&world.state).await.unwrap();
        assert_eq!(clients.as_slice(), std::slice::from_ref(&billing));
        // A good secret needs no row.
        authenticate(&world, &billing.id.to_string(), &secret.expose()).await.unwrap();
        world
            .db()
            .execute_unprepared("ALTER TABLE elsewhere RENAME TO audit_events")
            .await
            .unwrap();
    }

    async fn nobody_knows_the_secret_of_the_stand_in(world: World) {
        let (billing, _) = create(&world, "billing").await;
        // Where somebody has put the stand-in's digest into the database, a text that is no secret still isn't one.
        let mut row: entity::clients::ActiveModel = entity::clients::Entity::find_by_id(billing.id.get())
            .one(&world.db())
            .await
            .unwrap()
            .unwrap()
            .into();
        row.secret_digest = sea_orm::Set(SecretDigest::NOBODYS.as_bytes().to_vec());
        entity::clients::Entity::update(row).exec(&world.db()).await.unwrap();
        refused(&world, &billing.id.to_string(), "").await;
    }
}
