//! What is held about somebody, against what that person gets: column by column, so that whoever adds one decides about it.

use std::collections::BTreeSet;

use sea_orm::{ConnectionTrait as _, DbBackend, Statement};
use serde_json::{Value, json};

use crate::support::{OTHER_PASSWORD, World};

/// Columns, and where the export tells them.
const TOLD: &[(&str, &str)] = &[
    ("audit_events.action", "/audit/0/action"),
    ("audit_events.actor_id", "/audit/0/actor/id"),
    ("audit_events.actor_kind", "/audit/0/actor/kind"),
    ("audit_events.details", "/audit/0/details"),
    ("audit_events.id", "/audit/0/id"),
    ("audit_events.ip", "/audit/0/ip"),
    ("audit_events.occurred_at", "/audit/0/occurred_at"),
    ("audit_events.outcome", "/audit/0/outcome"),
    ("audit_events.request_id", "/audit/0/request_id"),
    ("audit_events.subject_id", "/audit/0/subject"),
    ("audit_events.user_agent", "/audit/0/user_agent"),
    ("mail_codes.created_at", "/codes/0/created_at"),
    ("mail_codes.email", "/codes/0/email"),
    ("mail_codes.expires_at", "/codes/0/expires_at"),
    ("mail_codes.purpose", "/codes/0/purpose"),
    ("mail_outbox.created_at", "/mails/0/created_at"),
    ("mail_outbox.kind", "/mails/0/kind"),
    ("mail_outbox.recipient", "/mails/0/to"),
    ("sessions.created_at", "/sessions/0/created_at"),
    ("sessions.id", "/sessions/0/id"),
    ("sessions.idle_expires_at", "/sessions/0/expires_at"),
    ("sessions.ip", "/sessions/0/ip"),
    ("sessions.last_used_at", "/sessions/0/last_used_at"),
    ("sessions.user_agent", "/sessions/0/user_agent"),
    ("user_roles.role", "/user/roles/0"),
    ("users.created_at", "/user/created_at"),
    ("users.display_name", "/user/display_name"),
    ("users.email", "/user/email"),
    ("users.email_verified", "/user/email_verified"),
    ("users.id", "/user/id"),
    ("users.last_login_at", "/user/last_login_at"),
    ("users.locale", "/user/locale"),
    ("users.metadata", "/user/metadata"),
    ("users.password_changed_at", "/user/password_changed_at"),
    ("users.pending_email", "/user/pending_email"),
    ("users.status", "/user/status"),
    ("users.updated_at", "/user/updated_at"),
];

/// Columns that the export doesn't tell, and why.
const UNTOLD: &[(&str, &str)] = &[
    ("audit_events.link", "holds the trail together, and says nothing"),
    ("audit_events.mac", "holds the trail together, and says nothing"),
    (
        "audit_events.number",
        "holds the trail together, and says nothing",
    ),
    ("mail_codes.id", "leads nowhere"),
    ("mail_codes.registration", "of whoever has no account yet"),
    ("mail_codes.token_digest", "a secret's"),
    ("mail_codes.typed_digest", "a secret's"),
    ("mail_codes.user_id", "is users.id"),
    ("mail_codes.wrong_guesses", "a defence, and anybody's guesses"),
    ("mail_outbox.attempts", "how the sending goes"),
    (
        "mail_outbox.details",
        "from where a mail was asked for: perhaps by somebody else, whose business that is",
    ),
    ("mail_outbox.due_at", "how the sending goes"),
    ("mail_outbox.id", "leads nowhere"),
    ("mail_outbox.last_error", "how the sending goes"),
    ("mail_outbox.secret_sealed", "a secret"),
    ("mail_outbox.state", "how the sending goes"),
    ("mail_outbox.user_id", "is users.id"),
    ("sessions.client_id", "the same for everybody"),
    ("sessions.expires_at", "created_at and a setting"),
    ("sessions.scope", "the same for everybody"),
    ("sessions.user_id", "is users.id"),
    ("user_roles.user_id", "is users.id"),
    ("users.display_name_key", "display_name, in lower case"),
    (
        "users.password_hash",
        "a secret; /user/has_password says whether there is one",
    ),
    ("users.revision", "counts changes, for ETag"),
];

/// Tables that have no place in the export, and why.
const NOT_THERE: &[(&str, &str)] = &[
    ("audit_chain", "about nobody"),
    ("clients", "services, about nobody"),
    (
        "idempotency_keys",
        "an answer that its reader was given, for a day: what /user says, as it was",
    ),
    (
        "mail_sendings",
        "keyed digests of addresses, whoever has them; for an hour",
    ),
    ("rate_limits", "keyed digests of addresses and ids, for hours"),
    (
        "refresh_tokens",
        "digests of secrets, of the sessions that are there",
    ),
    ("seaql_migrations", "about nobody"),
    ("signing_keys", "about nobody"),
];

/// Every column of every table there is.
async fn columns(world: &World) -> BTreeSet<String> {
    let db = world.db();
    let backend = db.get_database_backend();
    let sql = match backend {
        DbBackend::Postgres => {
            "SELECT (table_name || '.' || column_name)::text FROM information_schema.columns WHERE table_schema = 'public'"
        }
        _ => {
            "SELECT t.name || '.' || c.name FROM sqlite_master AS t, pragma_table_info(t.name) AS c \
             WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite_%'"
        }
    };
    let rows = db
        .query_all_raw(Statement::from_string(backend, sql))
        .await
        .unwrap();
    rows.iter().map(|row| row.try_get_by_index(0).unwrap()).collect()
}

async fn export(world: &World, token: &str) -> Value {
    world
        .get("/users/me/export")
        .bearer(token)
        .await
        .expect(200)
        .json()
        .clone()
}

scenario! {
    async fn every_column_that_says_something_about_somebody_is_in_the_export(world: World) {
        let found = columns(&world).await;
        let decided: BTreeSet<&str> = TOLD.iter().chain(UNTOLD).map(|(column, _)| *column).collect();
        assert_eq!(decided.len(), TOLD.len() + UNTOLD.len(), "each once");
        let table_of = |column: &str| column.split('.').next().unwrap().to_owned();
        let left_out = |column: &str| NOT_THERE.iter().any(|(table, _)| *table == table_of(column));
        let open: Vec<&String> =
            found.iter().filter(|column| !decided.contains(column.as_str()) && !left_out(column)).collect();
        assert!(open.is_empty(), "in the export of one's own data, or is there a reason? {open:?}");
        for column in &decided {
            assert!(found.contains(*column) && !left_out(column), "{column}");
        }
        for (table, _) in NOT_THERE {
            assert!(found.iter().any(|column| table_of(column) == *table), "{table}");
        }

        // And it is told where the list says.
        let ada = world.register("ada").await;
        world.set_roles(&ada, &["editor"]).await;
        let token = world.sign_in(&ada).await;
        // The code of a new account is made with its mail; the notice of a new password waits.
        world.deliver().await;
        let change = ada.confirming(json!({"password": OTHER_PASSWORD, "locale": "de"}));
        let changed = world.put("/users/me").bearer(&token).json(&change).await.expect(200);
        assert_eq!(changed.json()["locale"], "de");
        let token = world.log_in(&ada.email, OTHER_PASSWORD).await.expect(200);
        let all = export(&world, token.json()["access_token"].as_str().unwrap()).await;
        for (column, place) in TOLD {
            assert!(all.pointer(place).is_some(), "{column}: {place} in {all}");
        }
        assert_eq!(all["mails"][0]["kind"], "password_changed");
        assert_eq!(all["mails"][0]["to"], ada.email.as_str());
        assert_eq!(all["codes"][0]["purpose"], "verify_email");
    }

    async fn a_mail_to_a_proven_address_is_told_and_one_to_an_unproven_one_is_not(world: World) {
        let ada = world.register("ada").await;
        let token = world.sign_in(&ada).await;
        let letter = world.only_letter().await;
        // Nobody has looked yet whose it is.
        world.post("/forgot-password").json(&json!({"email": ada.email})).await.expect(202);
        assert_eq!(export(&world, &token).await["mails"], json!([]));
        let proof = json!({"token": crate::support::token(&letter)});
        world.post("/verify-email").json(&proof).await.expect(204);
        let all = export(&world, &token).await;
        assert_eq!(all["mails"][0]["kind"], "reset_password");
        assert_eq!(all["mails"].as_array().unwrap().len(), 1);
    }

    async fn an_admin_gets_what_the_admin_did_and_not_to_whom(world: World) {
        let admin = world.admin().await;
        let token = world.sign_in(&admin).await;
        let ben = world.register("ben").await;
        let bens = world.sign_in(&ben).await;
        let change = world.patch(&format!("/admin/users/{}", ben.id)).bearer(&token);
        change.header("user-agent", "the desk").json(&json!({"display_name": "Ben"})).await.expect(200);
        let event = |all: &Value| {
            let mut events = all["audit"].as_array().unwrap().iter();
            events.find(|event| event["action"] == "user.profile_changed").unwrap().clone()
        };
        let own = export(&world, &token).await;
        let of_the_admin = event(&own);
        assert_eq!(of_the_admin["actor"]["id"], admin.id.to_string());
        assert_eq!((&of_the_admin["subject"], &of_the_admin["user_agent"]), (&Value::Null, &json!("the desk")));
        for secret in [ben.id.to_string(), ben.email.clone()] {
            assert!(!own.to_string().contains(&secret), "{secret}");
        }
        // The other one sees that it was done and by whom, and not from where.
        let of_ben = event(&export(&world, &bens).await);
        assert_eq!((&of_ben["id"], &of_ben["subject"]), (&of_the_admin["id"], &json!(ben.id.to_string())));
        assert_eq!((&of_ben["ip"], &of_ben["user_agent"]), (&Value::Null, &Value::Null));
    }
}
