//! What the database holds, behind the API's back.

use entity::{audit_events, rate_limits, sessions, users};
use roster::clock::Clock as _;
use sea_orm::ActiveValue::Set;
use sea_orm::{ColumnTrait as _, EntityTrait as _, PaginatorTrait as _, QueryFilter as _};

use super::world::{Persona, World};

impl World {
    /// Somebody's row.
    pub async fn user_row(&self, persona: &Persona) -> users::Model {
        let row = users::Entity::find_by_id(persona.id).one(&self.db()).await;
        row.unwrap().expect("the account is there")
    }

    /// Somebody's hash.
    pub async fn hash_of(&self, persona: &Persona) -> String {
        self.user_row(persona)
            .await
            .password_hash
            .expect("the account has a password")
    }

    /// Puts another hash in place of somebody's, or none: what an import does.
    pub async fn put_hash(&self, persona: &Persona, hash: Option<&str>) {
        let row = users::ActiveModel {
            password_hash: Set(hash.map(str::to_owned)),
            ..Default::default()
        };
        self.update_user(persona, row).await;
    }

    /// Writes to somebody's row.
    pub async fn update_user(&self, persona: &Persona, row: users::ActiveModel) {
        let done = users::Entity::update_many()
            .set(row)
            .filter(users::Column::Id.eq(persona.id))
            .exec(&self.db())
            .await
            .unwrap();
        assert_eq!(done.rows_affected, 1);
    }

    /// How many accounts there are.
    pub async fn count_users(&self) -> u64 {
        users::Entity::find().count(&self.db()).await.unwrap()
    }

    /// How many accounts have this address.
    pub async fn count_users_of(&self, email: &str) -> u64 {
        let found = users::Entity::find().filter(users::Column::Email.eq(email));
        found.count(&self.db()).await.unwrap()
    }

    /// How many sessions there are, of whomever.
    pub async fn count_sessions(&self) -> u64 {
        sessions::Entity::find().count(&self.db()).await.unwrap()
    }

    /// Somebody's sessions, the oldest first.
    pub async fn sessions_of(&self, persona: &Persona) -> Vec<sessions::Model> {
        let found = sessions::Entity::find().filter(sessions::Column::UserId.eq(persona.id));
        let mut found = found.all(&self.db()).await.unwrap();
        found.sort_by_key(|session| (session.created_at, session.id));
        found
    }

    /// Everything that limits remember.
    pub async fn limit_rows(&self) -> Vec<rate_limits::Model> {
        rate_limits::Entity::find().all(&self.db()).await.unwrap()
    }

    /// What an attacker with so many addresses leaves behind.
    pub async fn flood_limits(&self, addresses: usize) {
        let rows: Vec<rate_limits::ActiveModel> = (0..addresses)
            .map(|number| rate_limits::ActiveModel {
                key: Set(format!("{number:032}").into_bytes()),
                kind: Set("address".to_owned()),
                drained_at: Set(0),
                blocked_until: Set(0),
                stale_at: Set(self.now_in_milliseconds()),
            })
            .collect();
        for chunk in rows.chunks(500) {
            let insert = rate_limits::Entity::insert_many(chunk.to_vec());
            insert.exec_without_returning(&self.db()).await.unwrap();
        }
    }

    /// The time as limits count it.
    pub fn now_in_milliseconds(&self) -> i64 {
        self.clock.now().timestamp_millis()
    }

    /// The audit trail of one kind of action, in no order: the clock stands still.
    pub async fn audit(&self, action: &str) -> Vec<audit_events::Model> {
        let found = audit_events::Entity::find().filter(audit_events::Column::Action.eq(action));
        let found = found.all(&self.db()).await.unwrap();
        for event in &found {
            assert!(event.occurred_at.to_utc() <= self.clock.now());
            // Whatever the action: an audit row tells nobody's address and no secret.
            // The id of its request is made by chance, which spells whatever it likes.
            let mut told = event.clone();
            told.request_id = None;
            let text = format!("{told:?}");
            for never in [
                "@",
                "%40",
                "$2b$",
                "$argon2",
                "eyJ",
                "plum-orbit",
                "velvet-harbor",
            ] {
                assert!(!text.contains(never), "{never} in {text}");
            }
        }
        found
    }

    /// The one entry of an action.
    pub async fn only_audit(&self, action: &str) -> audit_events::Model {
        let mut found = self.audit(action).await;
        assert_eq!(found.len(), 1, "{found:?}");
        found.remove(0)
    }
}
