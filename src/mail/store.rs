//! The outbox in the database.

use chrono::{DateTime, TimeDelta, Utc};
use entity::{mail_outbox, mail_sendings};
use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, Condition, ConnectionTrait, DbBackend, DbErr, EntityTrait as _,
    FromQueryResult as _, PaginatorTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _,
    Statement,
};
use serde_json::Value;
use uuid::Uuid;

use super::model::{MailKind, NewMail, QueuedMail};
use crate::domain::{MailId, UserId};
use crate::security::SecretDigest;

const QUEUED: &str = "queued";
const DEAD: &str = "dead";
/// Further ahead than any attempt is put off, or any mail taken on for. What is due even later was written by a clock
/// that has been set back since, and would otherwise wait until that time comes again.
const FURTHEST: TimeDelta = TimeDelta::minutes(31);

/// Puts mails into the outbox, in the transaction of what they are about.
///
/// # Errors
/// The database's.
pub async fn queue(
    connection: &impl ConnectionTrait,
    mails: impl IntoIterator<Item = NewMail>,
) -> Result<(), DbErr> {
    for mail in mails {
        let row = mail_outbox::ActiveModel {
            id: Set(mail.id.get()),
            kind: Set(mail.kind.as_str().to_owned()),
            user_id: Set(mail.user_id.map(UserId::get)),
            recipient: Set(mail.recipient),
            details: Set(Value::Object(mail.details).to_string()),
            secret_sealed: Set(None),
            state: Set(QUEUED.to_owned()),
            attempts: Set(0),
            created_at: Set(mail.created_at.fixed_offset()),
            due_at: Set(mail.created_at.fixed_offset()),
            last_error: Set(None),
        };
        mail_outbox::Entity::insert(row)
            .exec_without_returning(connection)
            .await?;
    }
    Ok(())
}

/// Whether any mail is due: a look that locks nothing.
///
/// # Errors
/// The database's.
pub async fn is_any_due(connection: &impl ConnectionTrait, now: DateTime<Utc>) -> Result<bool, DbErr> {
    let is_due = Condition::any()
        .add(mail_outbox::Column::DueAt.lte(now.fixed_offset()))
        .add(mail_outbox::Column::DueAt.gt((now + FURTHEST).fixed_offset()));
    let due = mail_outbox::Entity::find()
        .filter(mail_outbox::Column::State.eq(QUEUED))
        .filter(is_due)
        .limit(1)
        .one(connection)
        .await?;
    Ok(due.is_some())
}

/// Takes on mails that are due, the oldest first, until `leased_until`: nobody else takes them before that. Whoever
/// dies with them in hand leaves them to whoever comes after that time.
///
/// One that this version can't read is given up, with its reason in the log and in its row, so that it holds up no other:
/// another version may have written it, on whose instance `roster mail retry` brings it back.
///
/// # Errors
/// The database's.
pub async fn claim(
    connection: &impl ConnectionTrait,
    now: DateTime<Utc>,
    leased_until: DateTime<Utc>,
    most: usize,
) -> Result<Vec<QueuedMail>, DbErr> {
    let backend = connection.get_database_backend();
    // Instances pass by what another one is taking; on SQLite a transaction that writes is alone.
    let skip = match backend {
        DbBackend::Postgres => "FOR UPDATE SKIP LOCKED",
        _ => "",
    };
    let sql = format!(
        "UPDATE mail_outbox SET due_at = $2, attempts = attempts + 1 WHERE id IN \
         (SELECT id FROM mail_outbox WHERE state = 'queued' AND (due_at <= $1 OR due_at > $3) \
         ORDER BY due_at, id LIMIT {most} {skip}) RETURNING *"
    );
    let values = [
        now.fixed_offset().into(),
        leased_until.fixed_offset().into(),
        (now + FURTHEST).fixed_offset().into(),
    ];
    let rows = connection
        .query_all_raw(Statement::from_sql_and_values(backend, sql, values))
        .await?;
    let mut mails = Vec::with_capacity(rows.len());
    for row in &rows {
        let row = mail_outbox::Model::from_query_result(row, "")?;
        let id = row.id;
        match queued(row) {
            Ok(mail) => mails.push(mail),
            Err(DbErr::Type(reason)) => {
                log::error!(mail = id.to_string().as_str(); "a mail is given up: {reason}");
                give_up(connection, id, reason).await?;
            }
            Err(error) => return Err(error),
        }
    }
    mails.sort_by_key(|mail| mail.mail.id);
    Ok(mails)
}

/// Has a mail tried no more.
async fn give_up(connection: &impl ConnectionTrait, id: Uuid, reason: String) -> Result<(), DbErr> {
    let row = mail_outbox::ActiveModel {
        state: Set(DEAD.to_owned()),
        last_error: Set(Some(reason)),
        ..Default::default()
    };
    mail_outbox::Entity::update_many()
        .set(row)
        .filter(mail_outbox::Column::Id.eq(id))
        .exec(connection)
        .await?;
    Ok(())
}

fn queued(row: mail_outbox::Model) -> Result<QueuedMail, DbErr> {
    let kind = MailKind::from_name(&row.kind)
        .ok_or_else(|| DbErr::Type(format!("mail {} is of an unknown kind", row.id)))?;
    let Ok(Value::Object(details)) = serde_json::from_str(&row.details) else {
        return Err(DbErr::Type(format!(
            "mail {} has details that are no object",
            row.id
        )));
    };
    Ok(QueuedMail {
        mail: NewMail {
            id: MailId::new(row.id),
            kind,
            user_id: row.user_id.map(UserId::new),
            recipient: row.recipient,
            details,
            created_at: row.created_at.to_utc(),
        },
        secret_sealed: row.secret_sealed,
        is_dead: row.state == DEAD,
        attempts: row.attempts,
        due_at: row.due_at.to_utc(),
        last_error: row.last_error,
    })
}

/// Keeps the code of a mail with it until it is sent. False where the mail is gone.
///
/// # Errors
/// The database's.
pub async fn seal(connection: &impl ConnectionTrait, id: MailId, sealed: Vec<u8>) -> Result<bool, DbErr> {
    let result = mail_outbox::Entity::update_many()
        .col_expr(mail_outbox::Column::SecretSealed, Expr::value(Some(sealed)))
        .filter(mail_outbox::Column::Id.eq(id.get()))
        .exec(connection)
        .await?;
    Ok(result.rows_affected == 1)
}

/// Removes a mail that was sent, or that has nothing to say any more.
///
/// # Errors
/// The database's.
pub async fn remove(connection: &impl ConnectionTrait, id: MailId) -> Result<(), DbErr> {
    mail_outbox::Entity::delete_by_id(id.get())
        .exec(connection)
        .await?;
    Ok(())
}

/// Removes mails of an account that would carry codes and haven't been sent: what they are about is over.
///
/// # Errors
/// The database's.
pub async fn drop_queued(
    connection: &impl ConnectionTrait,
    user_id: UserId,
    kinds: &[MailKind],
) -> Result<(), DbErr> {
    mail_outbox::Entity::delete_many()
        .filter(mail_outbox::Column::UserId.eq(user_id.get()))
        .filter(mail_outbox::Column::Kind.is_in(kinds.iter().map(|kind| kind.as_str())))
        .exec(connection)
        .await?;
    Ok(())
}

/// Puts a mail that couldn't be sent back: to be tried again at that time, or never. Only where nobody else has taken it
/// on meanwhile, which the number of attempts tells.
///
/// # Errors
/// The database's.
pub async fn put_back(
    connection: &impl ConnectionTrait,
    mail: &QueuedMail,
    due_at: Option<DateTime<Utc>>,
    error: String,
) -> Result<(), DbErr> {
    let mut row = mail_outbox::ActiveModel {
        last_error: Set(Some(error)),
        ..Default::default()
    };
    match due_at {
        Some(at) => row.due_at = Set(at.fixed_offset()),
        None => row.state = Set(DEAD.to_owned()),
    }
    mail_outbox::Entity::update_many()
        .set(row)
        .filter(mail_outbox::Column::Id.eq(mail.mail.id.get()))
        .filter(mail_outbox::Column::Attempts.eq(mail.attempts))
        .exec(connection)
        .await?;
    Ok(())
}

/// Mails in the outbox, the oldest first. One that this version can't read is told to the log, and left out.
///
/// # Errors
/// The database's.
pub async fn list(
    connection: &impl ConnectionTrait,
    is_dead: Option<bool>,
    limit: u64,
) -> Result<Vec<QueuedMail>, DbErr> {
    let mut query = mail_outbox::Entity::find();
    if let Some(is_dead) = is_dead {
        let state = if is_dead { DEAD } else { QUEUED };
        query = query.filter(mail_outbox::Column::State.eq(state));
    }
    let rows = query
        .order_by_asc(mail_outbox::Column::Id)
        .limit(limit)
        .all(connection)
        .await?;
    let mut mails = Vec::with_capacity(rows.len());
    for row in rows {
        match queued(row) {
            Ok(mail) => mails.push(mail),
            Err(DbErr::Type(reason)) => log::warn!("a mail isn't listed: {reason}"),
            Err(error) => return Err(error),
        }
    }
    Ok(mails)
}

/// Makes mails due at once: those with these ids, or all dead ones. Gives how many. Their time begins anew, or they
/// would be dead again after one attempt.
///
/// # Errors
/// The database's.
pub async fn retry(
    connection: &impl ConnectionTrait,
    ids: Option<&[MailId]>,
    now: DateTime<Utc>,
) -> Result<u64, DbErr> {
    let row = mail_outbox::ActiveModel {
        state: Set(QUEUED.to_owned()),
        due_at: Set(now.fixed_offset()),
        created_at: Set(now.fixed_offset()),
        ..Default::default()
    };
    let query = mail_outbox::Entity::update_many().set(row);
    let query = match ids {
        Some(ids) => query.filter(is_one_of(ids)),
        None => query.filter(mail_outbox::Column::State.eq(DEAD)),
    };
    Ok(query.exec(connection).await?.rows_affected)
}

/// Removes mails without sending them: those with these ids, or all dead ones. Gives how many.
///
/// # Errors
/// The database's.
pub async fn purge(connection: &impl ConnectionTrait, ids: Option<&[MailId]>) -> Result<u64, DbErr> {
    let query = mail_outbox::Entity::delete_many();
    let query = match ids {
        Some(ids) => query.filter(is_one_of(ids)),
        None => query.filter(mail_outbox::Column::State.eq(DEAD)),
    };
    Ok(query.exec(connection).await?.rows_affected)
}

fn is_one_of(ids: &[MailId]) -> sea_orm::sea_query::SimpleExpr {
    mail_outbox::Column::Id.is_in(ids.iter().map(|id| id.get()))
}

/// Notes that a mail goes to an address, unless as many as may have gone there within the time before; then it is false
/// and nothing is noted. Counting and noting are one step: whoever writes to the same address at the same moment waits.
///
/// What was noted further ahead than that time comes from a clock that was set back, and keeps nobody's mail back; what is
/// ahead by less counts, or each correction of a clock would allow as many mails again.
///
/// # Errors
/// The database's.
pub async fn may_send(
    connection: &impl ConnectionTrait,
    address: SecretDigest,
    (id, now): (Uuid, DateTime<Utc>),
    within: TimeDelta,
    most: u32,
) -> Result<bool, DbErr> {
    let backend = connection.get_database_backend();
    if backend == DbBackend::Postgres {
        let mut key = [0; 8];
        let (head, _) = address.as_bytes().split_at(key.len());
        key.copy_from_slice(head);
        let values = [i64::from_be_bytes(key).into()];
        let sql = "SELECT pg_advisory_xact_lock($1)";
        connection
            .query_one_raw(Statement::from_sql_and_values(backend, sql, values))
            .await?;
    }
    let sent = mail_sendings::Entity::find()
        .filter(mail_sendings::Column::AddressDigest.eq(address.as_bytes().to_vec()))
        .filter(mail_sendings::Column::SentAt.gt((now - within).fixed_offset()))
        .filter(mail_sendings::Column::SentAt.lte((now + within).fixed_offset()))
        .count(connection)
        .await?;
    if sent >= u64::from(most) {
        return Ok(false);
    }
    let row = mail_sendings::ActiveModel {
        id: Set(id),
        address_digest: Set(address.as_bytes().to_vec()),
        sent_at: Set(now.fixed_offset()),
    };
    mail_sendings::Entity::insert(row)
        .exec_without_returning(connection)
        .await?;
    Ok(true)
}

/// Forgets what was sent before this time.
///
/// # Errors
/// The database's.
pub async fn forget_sendings(connection: &impl ConnectionTrait, before: DateTime<Utc>) -> Result<u64, DbErr> {
    let result = mail_sendings::Entity::delete_many()
        .filter(mail_sendings::Column::SentAt.lte(before.fixed_offset()))
        .exec(connection)
        .await?;
    Ok(result.rows_affected)
}
