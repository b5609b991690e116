//! Sessions in the database.

mod clean_up;
mod tokens;

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use entity::{refresh_tokens, sessions};
use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, ConnectionTrait, DbBackend, DbErr, EntityTrait as _,
    QueryFilter as _, QueryOrder as _, QuerySelect as _,
};

use super::model::{NewSession, Session};
use crate::db::one_of;
use crate::domain::{SessionId, UserId};
use crate::security::{CLIENT_ID, SCOPE};

pub use clean_up::{
    lock_clean_up, note_use, remove_expired_sessions, remove_expired_tokens, wipe_successors,
};
pub use tokens::{
    GivenAgain, Rotation, count_tokens, give_out_again, lock_session, rotate, session_of_token,
    token_of_session,
};

/// Begins a session, with its first refresh token.
///
/// # Errors
/// The database's.
pub async fn insert_session(connection: &impl ConnectionTrait, session: NewSession) -> Result<(), DbErr> {
    let token = refresh_tokens::ActiveModel {
        digest: Set(session.token.as_bytes().to_vec()),
        session_id: Set(session.id.get()),
        created_at: Set(session.created_at.fixed_offset()),
        expires_at: Set(session.idle_expires_at.fixed_offset()),
        spent_at: Set(None),
        repeatable_until: Set(None),
        successor_sealed: Set(None),
    };
    let row = sessions::ActiveModel {
        id: Set(session.id.get()),
        user_id: Set(session.user_id.get()),
        client_id: Set(CLIENT_ID.to_owned()),
        scope: Set(SCOPE.to_owned()),
        created_at: Set(session.created_at.fixed_offset()),
        last_used_at: Set(session.created_at.fixed_offset()),
        idle_expires_at: Set(session.idle_expires_at.fixed_offset()),
        expires_at: Set(session.expires_at.fixed_offset()),
        ip: Set(session.origin.ip.map(|ip| ip.to_string())),
        user_agent: Set(session.origin.user_agent),
    };
    sessions::Entity::insert(row)
        .exec_without_returning(connection)
        .await?;
    refresh_tokens::Entity::insert(token)
        .exec_without_returning(connection)
        .await?;
    Ok(())
}

/// Ends the oldest sessions of a user where there are more than `most` with the one that begins; gives how many.
/// Whoever calls has the account locked, or two sign-ins at once would each count without the other.
///
/// # Errors
/// The database's.
pub async fn end_oldest(
    connection: &impl ConnectionTrait,
    user_id: UserId,
    begins: SessionId,
    most: u32,
    now: DateTime<Utc>,
) -> Result<u64, DbErr> {
    let surplus: Vec<uuid::Uuid> = sessions::Entity::find()
        .select_only()
        .column(sessions::Column::Id)
        .filter(sessions::Column::UserId.eq(user_id.get()))
        // What has expired takes nobody's place; the clean-up sees to it.
        .filter(sessions::Column::IdleExpiresAt.gt(now.fixed_offset()))
        // Others may have begun within the same millisecond.
        .filter(sessions::Column::Id.ne(begins.get()))
        .order_by_desc(sessions::Column::CreatedAt)
        .order_by_desc(sessions::Column::Id)
        // SQLite knows no offset without a limit.
        .limit(u64::from(u32::MAX))
        .offset(u64::from(most.saturating_sub(1)))
        .into_tuple()
        .all(connection)
        .await?;
    if surplus.is_empty() {
        return Ok(0);
    }
    let result = sessions::Entity::delete_many()
        .filter(sessions::Column::Id.is_in(surplus))
        .exec(connection)
        .await?;
    Ok(result.rows_affected)
}

/// Sessions of a user that haven't expired, the newest first, after the one with this id.
///
/// # Errors
/// The database's.
pub async fn list(
    connection: &impl ConnectionTrait,
    user_id: UserId,
    after: Option<SessionId>,
    limit: u64,
    now: DateTime<Utc>,
) -> Result<Vec<Session>, DbErr> {
    let mut query = sessions::Entity::find()
        .filter(sessions::Column::UserId.eq(user_id.get()))
        .filter(sessions::Column::IdleExpiresAt.gt(now.fixed_offset()));
    if let Some(after) = after {
        query = query.filter(sessions::Column::Id.lt(after.get()));
    }
    let rows = query
        .order_by_desc(sessions::Column::Id)
        .limit(limit)
        .all(connection)
        .await?;
    let session = |row: sessions::Model| Session {
        id: SessionId::new(row.id),
        created_at: row.created_at.to_utc(),
        last_used_at: row.last_used_at.to_utc(),
        idle_expires_at: row.idle_expires_at.to_utc(),
        ip: row.ip,
        user_agent: row.user_agent,
    };
    Ok(rows.into_iter().map(session).collect())
}

/// How many sessions that haven't expired each of these users has; those without any are left out.
///
/// # Errors
/// The database's.
pub async fn count_sessions(
    connection: &impl ConnectionTrait,
    users: &[UserId],
    now: DateTime<Utc>,
) -> Result<HashMap<UserId, u64>, DbErr> {
    let rows: Vec<(uuid::Uuid, i64)> = sessions::Entity::find()
        .select_only()
        .column(sessions::Column::UserId)
        .column_as(sessions::Column::Id.count(), "count")
        .filter(one_of(
            connection,
            sessions::Column::UserId,
            users.iter().map(|id| id.get()),
        ))
        .filter(sessions::Column::IdleExpiresAt.gt(now.fixed_offset()))
        .group_by(sessions::Column::UserId)
        .into_tuple()
        .all(connection)
        .await?;
    Ok(rows
        .into_iter()
        .map(|(id, count)| (UserId::new(id), u64::try_from(count).unwrap_or(0)))
        .collect())
}

/// Whether a session of this user is still there and hasn't expired; held until the transaction ends, so that whoever
/// ends it at the same moment comes before this look or after all of what follows it.
///
/// # Errors
/// The database's.
pub async fn session_lives(
    connection: &impl ConnectionTrait,
    id: SessionId,
    user_id: UserId,
    now: DateTime<Utc>,
) -> Result<bool, DbErr> {
    let mut query = sessions::Entity::find_by_id(id.get())
        .filter(sessions::Column::UserId.eq(user_id.get()))
        .filter(sessions::Column::ExpiresAt.gt(now.fixed_offset()));
    if connection.get_database_backend() == DbBackend::Postgres {
        query = query.lock_shared();
    }
    Ok(query.one(connection).await?.is_some())
}

/// Ends one session of a user. False where the user has no such session.
///
/// # Errors
/// The database's.
pub async fn end_session(
    connection: &impl ConnectionTrait,
    user_id: UserId,
    id: SessionId,
) -> Result<bool, DbErr> {
    let result = sessions::Entity::delete_many()
        .filter(sessions::Column::Id.eq(id.get()))
        .filter(sessions::Column::UserId.eq(user_id.get()))
        .exec(connection)
        .await?;
    Ok(result.rows_affected == 1)
}

/// Ends every session of a user, and with them every token.
///
/// # Errors
/// The database's.
pub async fn end_sessions(connection: &impl ConnectionTrait, user_id: UserId) -> Result<(), DbErr> {
    sessions::Entity::delete_many()
        .filter(sessions::Column::UserId.eq(user_id.get()))
        .exec(connection)
        .await?;
    Ok(())
}

/// Ends every session of a user but one.
///
/// # Errors
/// The database's.
pub async fn end_sessions_except(
    connection: &impl ConnectionTrait,
    user_id: UserId,
    kept: SessionId,
) -> Result<(), DbErr> {
    sessions::Entity::delete_many()
        .filter(sessions::Column::UserId.eq(user_id.get()))
        .filter(sessions::Column::Id.ne(kept.get()))
        .exec(connection)
        .await?;
    Ok(())
}

/// Gives a session a new id: access tokens name the old one, and find nothing any more; refresh tokens follow by
/// their foreign key. A time stamp couldn't do this, as `iat` has steps of a second. False where it has ended.
///
/// # Errors
/// The database's.
pub async fn renew_session(
    connection: &impl ConnectionTrait,
    id: SessionId,
    renewed: SessionId,
) -> Result<bool, DbErr> {
    let result = sessions::Entity::update_many()
        .col_expr(sessions::Column::Id, Expr::value(renewed.get()))
        .filter(sessions::Column::Id.eq(id.get()))
        .exec(connection)
        .await?;
    Ok(result.rows_affected == 1)
}
