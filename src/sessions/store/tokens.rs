//! Refresh tokens: only their digests are here.

use chrono::{DateTime, FixedOffset, Utc};
use entity::{refresh_tokens, sessions, users};
use sea_orm::sea_query::{Expr, LockType};
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, ConnectionTrait, DbBackend, DbErr, EntityTrait as _,
    PaginatorTrait as _, QueryFilter as _, QuerySelect as _,
};

use super::super::model::{LockedSession, StoredToken};
use crate::domain::{SessionId, UserId, UserStatus};
use crate::security::SecretDigest;

/// The session that a token belongs to, spent or not.
///
/// # Errors
/// The database's.
pub async fn session_of_token(
    connection: &impl ConnectionTrait,
    digest: SecretDigest,
) -> Result<Option<SessionId>, DbErr> {
    let id: Option<uuid::Uuid> = refresh_tokens::Entity::find_by_id(digest.as_bytes().to_vec())
        .select_only()
        .column(refresh_tokens::Column::SessionId)
        .into_tuple()
        .one(connection)
        .await?;
    Ok(id.map(SessionId::new))
}

/// Locks a session for as long as the transaction lasts, and reads it. `SQLite` has one writer at a time anyway.
///
/// # Errors
/// The database's.
pub async fn lock_session(
    connection: &impl ConnectionTrait,
    id: SessionId,
) -> Result<Option<LockedSession>, DbErr> {
    let mut query = sessions::Entity::find_by_id(id.get());
    if connection.get_database_backend() == DbBackend::Postgres {
        query = query.lock(LockType::Update);
    }
    let Some(row) = query.one(connection).await? else {
        return Ok(None);
    };
    // Read after the lock, and without one of its own: whoever closes the account ends its sessions as well, and waits
    // for this one.
    let status: Option<String> = users::Entity::find_by_id(row.user_id)
        .select_only()
        .column(users::Column::Status)
        .into_tuple()
        .one(connection)
        .await?;
    Ok(Some(LockedSession {
        id,
        user_id: UserId::new(row.user_id),
        is_active: status.as_deref() == Some(UserStatus::Active.as_str()),
        last_used_at: row.last_used_at.to_utc(),
        idle_expires_at: row.idle_expires_at.to_utc(),
        expires_at: row.expires_at.to_utc(),
    }))
}

/// A token of a session.
///
/// # Errors
/// The database's.
pub async fn token_of_session(
    connection: &impl ConnectionTrait,
    digest: SecretDigest,
    session_id: SessionId,
) -> Result<Option<StoredToken>, DbErr> {
    let row = refresh_tokens::Entity::find_by_id(digest.as_bytes().to_vec())
        .filter(refresh_tokens::Column::SessionId.eq(session_id.get()))
        .one(connection)
        .await?;
    Ok(row.map(|row| StoredToken {
        expires_at: row.expires_at.to_utc(),
        spent_at: row.spent_at.map(|at| at.to_utc()),
        repeatable_until: row.repeatable_until.map(|at| at.to_utc()),
        successor_sealed: row.successor_sealed,
    }))
}

/// What is written when a token is exchanged.
#[derive(Debug)]
pub struct Rotation {
    /// The session.
    pub session_id: SessionId,
    /// The token that is spent.
    pub spent: SecretDigest,
    /// The one that takes its place.
    pub successor: SecretDigest,
    /// The one that takes its place, sealed; none where there is no window to give it out again.
    pub sealed: Option<Vec<u8>>,
    /// When.
    pub now: DateTime<Utc>,
    /// Until when the spent token gives the same successor again; none where it doesn't.
    pub repeatable_until: Option<DateTime<Utc>>,
    /// When the session ends if nobody uses it again.
    pub idle_expires_at: DateTime<Utc>,
    /// Whether the last use that is on record is longer ago than it is exact to.
    pub is_used_anew: bool,
}

/// Exchanges a token, under the lock of its session.
///
/// # Errors
/// The database's.
pub async fn rotate(connection: &impl ConnectionTrait, rotation: Rotation) -> Result<(), DbErr> {
    let successor = refresh_tokens::ActiveModel {
        digest: Set(rotation.successor.as_bytes().to_vec()),
        session_id: Set(rotation.session_id.get()),
        created_at: Set(rotation.now.fixed_offset()),
        expires_at: Set(rotation.idle_expires_at.fixed_offset()),
        spent_at: Set(None),
        repeatable_until: Set(None),
        successor_sealed: Set(None),
    };
    refresh_tokens::Entity::insert(successor)
        .exec_without_returning(connection)
        .await?;
    let spent = refresh_tokens::ActiveModel {
        spent_at: Set(Some(rotation.now.fixed_offset())),
        repeatable_until: Set(rotation.repeatable_until.map(|at| at.fixed_offset())),
        successor_sealed: Set(rotation.sealed),
        ..Default::default()
    };
    let result = refresh_tokens::Entity::update_many()
        .set(spent)
        .filter(refresh_tokens::Column::Digest.eq(rotation.spent.as_bytes().to_vec()))
        // The lock sees to that already; should it ever be lost, this still keeps a session to one chain.
        .filter(refresh_tokens::Column::SpentAt.is_null())
        .exec(connection)
        .await?;
    if result.rows_affected != 1 {
        return Err(DbErr::RecordNotUpdated);
    }
    let mut session = sessions::ActiveModel {
        idle_expires_at: Set(rotation.idle_expires_at.fixed_offset()),
        ..Default::default()
    };
    if rotation.is_used_anew {
        session.last_used_at = Set(rotation.now.fixed_offset());
    }
    sessions::Entity::update_many()
        .set(session)
        .filter(sessions::Column::Id.eq(rotation.session_id.get()))
        .exec(connection)
        .await?;
    Ok(())
}

/// How many tokens a session has, spent ones included.
///
/// # Errors
/// The database's.
pub async fn count_tokens(connection: &impl ConnectionTrait, session_id: SessionId) -> Result<u64, DbErr> {
    refresh_tokens::Entity::find()
        .filter(refresh_tokens::Column::SessionId.eq(session_id.get()))
        .count(connection)
        .await
}

/// A token that is given out once more.
#[derive(Debug)]
pub struct GivenAgain {
    /// Its session.
    pub session_id: SessionId,
    /// The one that was presented, whose own window isn't moved.
    pub presented: SecretDigest,
    /// The one that is given.
    pub given: SecretDigest,
    /// Until when it, and all that came after it, can be exchanged although they are spent.
    pub repeatable_until: DateTime<Utc>,
    /// What was spent before this keeps the window that it has, so that none can be kept open for ever.
    pub spent_after: DateTime<Utc>,
}

/// Lets whoever has been given a token once more follow the chain to its end, where it has gone on since.
///
/// # Errors
/// The database's.
pub async fn give_out_again(connection: &impl ConnectionTrait, again: GivenAgain) -> Result<(), DbErr> {
    let created_at = refresh_tokens::Entity::find_by_id(again.given.as_bytes().to_vec())
        .select_only()
        .column(refresh_tokens::Column::CreatedAt)
        .into_tuple::<DateTime<FixedOffset>>()
        .one(connection)
        .await?;
    let Some(created_at) = created_at else {
        return Ok(());
    };
    let until = again.repeatable_until.fixed_offset();
    refresh_tokens::Entity::update_many()
        .col_expr(refresh_tokens::Column::RepeatableUntil, Expr::value(Some(until)))
        .filter(refresh_tokens::Column::SessionId.eq(again.session_id.get()))
        .filter(refresh_tokens::Column::SuccessorSealed.is_not_null())
        .filter(refresh_tokens::Column::CreatedAt.gte(created_at))
        .filter(refresh_tokens::Column::Digest.ne(again.presented.as_bytes().to_vec()))
        .filter(refresh_tokens::Column::SpentAt.gt(again.spent_after.fixed_offset()))
        .filter(refresh_tokens::Column::RepeatableUntil.lt(until))
        .exec(connection)
        .await?;
    Ok(())
}
