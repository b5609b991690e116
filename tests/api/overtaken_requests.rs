//! A request that another change of the same account overtakes, between its look at the account and its write.
//!
//! The other change is a transaction of the test's own. It is committed when the request has looked at the clock for
//! its write: it has checked the password against the old state by then, and can't write before the commit.

use entity::{sessions, users};
use reqwest::Method;
use roster::domain::{AuditAction, UserStatus};
use sea_orm::ActiveValue::Set;
use sea_orm::{
    ColumnTrait as _, ConnectionTrait as _, DbBackend, EntityTrait as _, QueryFilter as _,
    SqliteTransactionMode, TransactionOptions, TransactionTrait as _,
};
use serde_json::json;

use crate::support::{Answer, Call, OTHER_PASSWORD, Persona, World};

/// How often a login looks at the clock until it is about to write, and how often a change of the profile does.
const LOGIN: u64 = 1;
const CHANGE: u64 = 3;

/// What the overtaking transaction does.
enum Overtaking {
    Row(Box<users::ActiveModel>),
    Delete,
    EndSessions,
}

impl Overtaking {
    fn row(row: users::ActiveModel) -> Self {
        Self::Row(Box::new(row))
    }
}

fn bcrypt_hash(password: &str) -> String {
    let parts = bcrypt::hash_with_salt(password, 4, *b"sixteen bytes!!!").unwrap();
    parts.format_for_version(bcrypt::Version::TwoB)
}

fn new_password() -> Overtaking {
    Overtaking::row(users::ActiveModel {
        password_hash: Set(Some(bcrypt_hash(OTHER_PASSWORD))),
        ..Default::default()
    })
}

/// Sends a request and lets a change of this account overtake it.
async fn overtaken(
    world: &World,
    call: Call,
    looks: u64,
    persona: &Persona,
    overtaking: Overtaking,
) -> Answer {
    let options = TransactionOptions {
        sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
        ..Default::default()
    };
    let transaction = world.db().begin_with_options(options).await.unwrap();
    if transaction.get_database_backend() == DbBackend::Postgres {
        // Every account, also the one that a request of another's is about: what it looks at in its transaction is
        // what this one leaves.
        transaction
            .execute_unprepared("SELECT id FROM users FOR UPDATE")
            .await
            .unwrap();
    }
    match overtaking {
        Overtaking::Row(row) => {
            let change = users::Entity::update_many()
                .set(*row)
                .filter(users::Column::Id.eq(persona.id));
            change.exec(&transaction).await.unwrap();
        }
        Overtaking::EndSessions => {
            let theirs = sessions::Entity::delete_many().filter(sessions::Column::UserId.eq(persona.id));
            theirs.exec(&transaction).await.unwrap();
        }
        Overtaking::Delete => {
            users::Entity::delete_by_id(persona.id)
                .exec(&transaction)
                .await
                .unwrap();
        }
    }
    let arrived = world.clock.looked_at(looks);
    let request = tokio::spawn(call.into_future());
    arrived.await;
    assert!(!request.is_finished(), "it answers without having written");
    transaction.commit().await.unwrap();
    request.await.unwrap()
}

scenario! {
    async fn a_login_with_the_old_password_comes_too_late(world: World) {
        let ada = world.register("ada").await;
        let call = world.log_in(&ada.email, &ada.password);
        let answer = overtaken(&world, call, LOGIN, &ada, new_password()).await;
        answer.problem("invalid-credentials");
        assert_eq!(world.count_sessions().await, 0);
        assert_eq!(world.user_row(&ada).await.last_login_at, None);
        world.log_in(&ada.email, OTHER_PASSWORD).await.expect(200);
    }

    async fn a_login_that_would_rewrite_the_old_hash_comes_too_late(world: World) {
        let ada = world.register("ada").await;
        let seed = bcrypt::hash_with_salt(&ada.password, 5, *b"sixteen bytes!!!").unwrap();
        world
            .put_hash(&ada, Some(&seed.format_for_version(bcrypt::Version::TwoB)))
            .await;
        let call = world.log_in(&ada.email, &ada.password);
        let answer = overtaken(&world, call, LOGIN, &ada, new_password()).await;
        answer.problem("invalid-credentials");
        assert_eq!(
            world.hash_of(&ada).await,
            bcrypt_hash(OTHER_PASSWORD),
            "the new password stays"
        );
    }

    async fn a_login_looks_again_where_only_the_hash_was_rewritten(world: World) {
        let ada = world.register("ada").await;
        let row = users::ActiveModel {
            password_hash: Set(Some(bcrypt_hash(&ada.password))),
            ..Default::default()
        };
        let call = world.log_in(&ada.email, &ada.password);
        let answer = overtaken(&world, call, LOGIN, &ada, Overtaking::row(row)).await;
        assert_eq!(answer.status, 200, "{answer}");
        assert_eq!(world.sessions_of(&ada).await.len(), 1);
        assert_eq!(world.audit("user.sign_in").await.len(), 1);
    }

    async fn a_login_to_an_account_that_is_being_disabled_is_told_so(world: World) {
        let ada = world.register("ada").await;
        let row = users::ActiveModel {
            status: Set("disabled".to_owned()),
            ..Default::default()
        };
        let call = world.log_in(&ada.email, &ada.password);
        let answer = overtaken(&world, call, LOGIN, &ada, Overtaking::row(row)).await;
        answer.problem("account-disabled");
        assert_eq!(world.count_sessions().await, 0);
    }

    async fn a_login_to_an_account_that_is_being_deleted_fails_like_any_other(world: World) {
        let ada = world.register("ada").await;
        let call = world.log_in(&ada.email, &ada.password);
        let answer = overtaken(&world, call, LOGIN, &ada, Overtaking::Delete).await;
        answer.problem("invalid-credentials");
        assert_eq!(world.count_sessions().await, 0);
    }

    async fn a_change_that_the_old_password_has_confirmed_comes_too_late(world: World) {
        for (name, change) in [
            ("ada", json!({"email": "taken-over@x.test"})),
            ("bob", json!({"password": "copper-anvil-meadow-9"})),
        ] {
            let persona = world.register(name).await;
            let token = world.sign_in(&persona).await;
            let call = world
                .put("/users/me")
                .bearer(&token)
                .json(&persona.confirming(change));
            let answer = overtaken(&world, call, CHANGE, &persona, new_password()).await;
            answer.problem("conflict");
            let row = world.user_row(&persona).await;
            assert_eq!(row.email, persona.email);
            assert_eq!(row.password_hash, Some(bcrypt_hash(OTHER_PASSWORD)));
        }
        for action in [AuditAction::EmailChanged, AuditAction::PasswordChanged] {
            assert_eq!(world.audit(action.as_str()).await.len(), 0, "nothing was changed");
        }
    }

    async fn a_change_of_a_state_that_is_gone_is_refused(world: World) {
        let ada = world.register("ada").await;
        let token = world.sign_in(&ada).await;
        let seen = world
            .get("/users/me")
            .bearer(&token)
            .await
            .expect(200)
            .header("etag")
            .to_owned();
        let row = users::ActiveModel {
            revision: Set(world.user_row(&ada).await.revision + 1),
            display_name: Set(Some("Somebody was faster".to_owned())),
            ..Default::default()
        };
        let call = world.put("/users/me").bearer(&token).header("if-match", seen);
        let call = call.json(&ada.confirming(json!({"email": "new@x.test"})));
        let answer = overtaken(&world, call, CHANGE, &ada, Overtaking::row(row)).await;
        answer.problem("precondition-failed");
        let row = world.user_row(&ada).await;
        assert_eq!(
            (row.email, row.display_name.as_deref()),
            (ada.email, Some("Somebody was faster"))
        );
    }

    async fn a_change_of_an_account_that_is_gone_is_refused(world: World) {
        let ada = world.register("ada").await;
        let token = world.sign_in(&ada).await;
        let call = world
            .put("/users/me")
            .bearer(&token)
            .json(&ada.confirming(json!({"email": "new@x.test"})));
        let answer = overtaken(&world, call, CHANGE, &ada, Overtaking::Delete).await;
        answer.problem("invalid-token");
        assert_eq!(world.count_users().await, 0);
    }

    async fn whoever_is_signed_out_meanwhile_changes_nothing(world: World) {
        let ada = world.register("ada").await;
        for method in [Method::PUT, Method::DELETE] {
            let token = world.sign_in(&ada).await;
            let call = world
                .call(method, "/users/me")
                .bearer(&token)
                .json(&json!({"display_name": "Mallory"}));
            let answer = overtaken(&world, call, CHANGE, &ada, Overtaking::EndSessions).await;
            answer.problem("invalid-token");
            assert_eq!(world.user_row(&ada).await.display_name, None);
        }
    }

    async fn whoever_is_disabled_meanwhile_changes_nothing(world: World) {
        let ada = world.register("ada").await;
        for method in [Method::PATCH, Method::DELETE] {
            let token = world.sign_in(&ada).await;
            let row = users::ActiveModel {
                status: Set("disabled".to_owned()),
                ..Default::default()
            };
            let call = world
                .call(method, "/users/me")
                .bearer(&token)
                .json(&json!({"display_name": "Mallory"}));
            let answer = overtaken(&world, call, CHANGE, &ada, Overtaking::row(row)).await;
            answer.problem("invalid-token");
            assert_eq!(world.user_row(&ada).await.display_name, None);
            world.set_status(&ada, UserStatus::Active).await;
        }
    }

    async fn whoever_is_no_admin_any_more_administers_nothing(world: World) {
        let admin = world.register("admin").await;
        let ada = world.register("ada").await;
        let tokens = world.begin(&ada).await;
        world.set_roles(&admin, &["admin"]).await;
        let account = format!("/admin/users/{}", ada.id);
        let paths = [
            (Method::DELETE, format!("{account}/sessions")),
            (Method::PATCH, account.clone()),
            (Method::DELETE, account),
        ];
        for (method, path) in paths {
            let token = world.sign_in(&admin).await;
            let row = users::ActiveModel {
                status: Set("disabled".to_owned()),
                ..Default::default()
            };
            let call = world.call(method, &path).bearer(&token).json(&json!({"status": "disabled"}));
            let answer = overtaken(&world, call, CHANGE, &admin, Overtaking::row(row)).await;
            answer.problem("forbidden");
            world.profile(&tokens.access).await;
            world.set_status(&admin, UserStatus::Active).await;
        }
    }

    async fn a_registration_waits_for_one_of_the_same_address(world: World) {
        let ada = world.register("ada").await;
        let row = users::ActiveModel {
            email: Set("wanted@x.test".to_owned()),
            ..Default::default()
        };
        let body = json!({"email": "wanted@x.test", "password": OTHER_PASSWORD});
        let call = world.post("/users/").json(&body);
        let answer = overtaken(&world, call, 1, &ada, Overtaking::row(row)).await;
        answer.problem("email-taken");
        assert_eq!(world.count_users().await, 1);
        assert_eq!(world.only_audit("user.registered").await.subject_id, Some(ada.id));
    }
}
