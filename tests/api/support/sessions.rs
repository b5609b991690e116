//! Sessions as a client has them.

use entity::{refresh_tokens, sessions};
use sea_orm::{ColumnTrait as _, EntityTrait as _, PaginatorTrait as _, QueryFilter as _};
use serde_json::json;
use uuid::Uuid;

use super::client::{Answer, Call};
use super::tokens::decoded;
use super::world::{Persona, World};

/// What a client holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tokens {
    pub access: String,
    pub refresh: String,
}

impl Tokens {
    /// Of an answer that has them.
    #[track_caller]
    pub fn of(answer: &Answer) -> Self {
        let text = |name: &str| {
            answer.json()[name]
                .as_str()
                .unwrap_or_else(|| panic!("{name}: {answer}"))
                .to_owned()
        };
        Self {
            access: text("access_token"),
            refresh: text("refresh_token"),
        }
    }

    /// The session that they belong to.
    pub fn session(&self) -> Uuid {
        decoded(&self.access).1["sid"].as_str().unwrap().parse().unwrap()
    }
}

impl World {
    /// A new session of somebody.
    pub async fn begin(&self, persona: &Persona) -> Tokens {
        Tokens::of(&self.log_in(&persona.email, &persona.password).await.expect(200))
    }

    /// A refresh, whatever comes of it.
    pub fn refresh(&self, token: &str) -> Call {
        self.post("/oauth/token")
            .form(&[("grant_type", "refresh_token"), ("refresh_token", token)])
    }

    /// A refresh that succeeds.
    pub async fn refreshed(&self, token: &str) -> Tokens {
        Tokens::of(&self.refresh(token).await.expect(200))
    }

    /// Fails unless the access token opens the profile.
    pub async fn lives(&self, tokens: &Tokens) {
        self.get("/users/me").bearer(&tokens.access).await.expect(200);
    }

    /// Fails unless neither token is good for anything.
    pub async fn is_dead(&self, tokens: &Tokens) {
        let answer = self.get("/users/me").bearer(&tokens.access).await;
        answer.problem("invalid-token");
        self.refresh(&tokens.refresh).await.oauth_error("invalid_grant");
    }

    /// How many tokens of a session haven't been spent.
    pub async fn count_live_tokens(&self, session: Uuid) -> u64 {
        refresh_tokens::Entity::find()
            .filter(refresh_tokens::Column::SessionId.eq(session))
            .filter(refresh_tokens::Column::SpentAt.is_null())
            .count(&self.db())
            .await
            .unwrap()
    }

    /// Every refresh token's row.
    pub async fn token_rows(&self) -> Vec<refresh_tokens::Model> {
        refresh_tokens::Entity::find().all(&self.db()).await.unwrap()
    }

    /// A session's row, if it is there.
    pub async fn session_row(&self, id: Uuid) -> Option<sessions::Model> {
        sessions::Entity::find_by_id(id).one(&self.db()).await.unwrap()
    }

    /// Signs out with a scope.
    pub async fn log_out(&self, tokens: &Tokens, scope: &str) {
        self.post(&format!("/logout?scope={scope}"))
            .bearer(&tokens.access)
            .await
            .expect(204);
    }

    /// Sets another password, through a session of somebody's.
    pub async fn change_password(&self, persona: &Persona, tokens: &Tokens, password: &str) {
        let body = json!({"password": password, "current_password": persona.password});
        self.put("/users/me")
            .bearer(&tokens.access)
            .json(&body)
            .await
            .expect(200);
    }
}
