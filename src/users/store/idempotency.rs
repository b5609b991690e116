//! What was answered to requests that may be sent again.

use chrono::{DateTime, Utc};
use entity::idempotency_keys::{ActiveModel, Column, Entity};
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, ConnectionTrait, DbErr, EntityTrait as _, QueryFilter as _,
};

use super::super::model::{Answer, Remembered};
use crate::db::batch_of;
use crate::domain::UserId;

/// What is remembered under this digest, and hasn't expired.
///
/// # Errors
/// The database's.
pub async fn remembered(
    connection: &impl ConnectionTrait,
    digest: &[u8; 32],
    now: DateTime<Utc>,
) -> Result<Option<Remembered>, DbErr> {
    let row = Entity::find_by_id(digest.to_vec())
        .filter(Column::ExpiresAt.gt(now.fixed_offset()))
        .one(connection)
        .await?;
    Ok(row.map(|row| Remembered {
        request: row.request,
        answer: Answer {
            status: u16::try_from(row.status).unwrap_or_default(),
            body: row.body,
            location: row.location,
            etag: row.etag,
        },
    }))
}

/// Remembers an answer, in the transaction of what it tells. The database refuses a second one under the same digest.
///
/// # Errors
/// The database's; a violated unique key among them.
pub async fn remember(
    connection: &impl ConnectionTrait,
    (digest, request): (&[u8; 32], &[u8; 32]),
    user_id: Option<UserId>,
    answer: Answer,
    now: DateTime<Utc>,
    expires_at: DateTime<Utc>,
) -> Result<(), DbErr> {
    Entity::delete_many()
        .filter(Column::Digest.eq(digest.to_vec()))
        .filter(Column::ExpiresAt.lte(now.fixed_offset()))
        .exec(connection)
        .await?;
    let row = ActiveModel {
        digest: Set(digest.to_vec()),
        request: Set(request.to_vec()),
        user_id: Set(user_id.map(UserId::get)),
        status: Set(i64::from(answer.status)),
        body: Set(answer.body),
        location: Set(answer.location),
        etag: Set(answer.etag),
        expires_at: Set(expires_at.fixed_offset()),
    };
    Entity::insert(row).exec_without_returning(connection).await?;
    Ok(())
}

/// Removes some of what has expired, and that nobody has locked; gives how many.
///
/// # Errors
/// The database's.
pub async fn forget_expired(
    connection: &impl ConnectionTrait,
    now: DateTime<Utc>,
    batch: u64,
) -> Result<u64, DbErr> {
    let expired = "SELECT digest FROM idempotency_keys WHERE expires_at <= $1";
    let delete = "DELETE FROM idempotency_keys WHERE digest";
    let now = now.fixed_offset();
    batch_of(connection, delete, expired, "idempotency_keys", now, batch).await
}
