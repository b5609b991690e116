//! Reading hashes, all of them.

use chrono::{DateTime, FixedOffset};
use entity::users::{Column, Entity};
use sea_orm::{
    ColumnTrait as _, ConnectionTrait, DbErr, EntityTrait as _, QueryFilter as _, QueryOrder as _,
    QuerySelect as _,
};
use uuid::Uuid;

use super::model::StoredPassword;
use crate::domain::{PasswordHash, UserId};

/// Hashes in the order of their accounts' ids, from after one of them on.
///
/// # Errors
/// The database's.
pub async fn passwords(
    connection: &impl ConnectionTrait,
    after: Option<UserId>,
    limit: u64,
) -> Result<Vec<StoredPassword>, DbErr> {
    let mut query = Entity::find()
        .select_only()
        .columns([Column::Id, Column::PasswordHash, Column::LastLoginAt])
        .order_by_asc(Column::Id)
        .limit(limit);
    if let Some(after) = after {
        query = query.filter(Column::Id.gt(after.get()));
    }
    let rows: Vec<(Uuid, Option<String>, Option<DateTime<FixedOffset>>)> =
        query.into_tuple().all(connection).await?;
    Ok(rows
        .into_iter()
        .map(|(id, hash, last_login_at)| StoredPassword {
            user_id: UserId::new(id),
            hash: hash.map(PasswordHash::from_stored),
            last_login_at: last_login_at.map(|at| at.to_utc()),
        })
        .collect())
}
