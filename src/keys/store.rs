//! Signing keys in the database.

use chrono::{DateTime, Utc};
use entity::signing_keys::{ActiveModel, Column, Entity, Model};
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, ConnectionTrait, DbErr, EntityTrait as _, QueryFilter as _,
    QueryOrder as _,
};

use crate::security::{KeyState, NewSigningKey, StoredSigningKey};

/// Every key, oldest first.
pub async fn all(connection: &impl ConnectionTrait) -> Result<Vec<StoredSigningKey>, DbErr> {
    let rows = Entity::find()
        .order_by_asc(Column::CreatedAt)
        .order_by_asc(Column::Id)
        .all(connection)
        .await?;
    rows.into_iter().map(stored).collect()
}

/// The key with this `kid`, if it hasn't been removed yet.
///
/// # Errors
/// The database's.
pub async fn find(connection: &impl ConnectionTrait, id: &str) -> Result<Option<StoredSigningKey>, DbErr> {
    let row = Entity::find_by_id(id).one(connection).await?;
    row.map(stored).transpose()
}

fn stored(row: Model) -> Result<StoredSigningKey, DbErr> {
    let unreadable = || {
        DbErr::Type(format!(
            "signing key {} has an unknown algorithm or state",
            row.id
        ))
    };
    Ok(StoredSigningKey {
        algorithm: row.algorithm.parse().map_err(|_| unreadable())?,
        state: row.state.parse().map_err(|_| unreadable())?,
        id: row.id,
        public_jwk: row.public_jwk,
        private_sealed: row.private_sealed,
        created_at: row.created_at.to_utc(),
        activated_at: row.activated_at.map(|at| at.to_utc()),
        superseded_at: row.superseded_at.map(|at| at.to_utc()),
    })
}

/// Adds a key. The database allows one `next` and one `current`: a second one violates its unique key.
pub async fn insert(
    connection: &impl ConnectionTrait,
    key: NewSigningKey,
    state: KeyState,
    now: DateTime<Utc>,
) -> Result<(), DbErr> {
    let row = ActiveModel {
        id: Set(key.id),
        algorithm: Set(key.algorithm.as_str().to_owned()),
        state: Set(state.as_str().to_owned()),
        public_jwk: Set(key.public_jwk),
        private_sealed: Set(key.private_sealed),
        created_at: Set(now.fixed_offset()),
        activated_at: Set((state == KeyState::Current).then(|| now.fixed_offset())),
        superseded_at: Set(None),
    };
    Entity::insert(row).exec_without_returning(connection).await?;
    Ok(())
}

/// Lets the current key sign no more. False where it isn't current any more.
pub async fn supersede(
    connection: &impl ConnectionTrait,
    id: &str,
    now: DateTime<Utc>,
) -> Result<bool, DbErr> {
    let changes = ActiveModel {
        state: Set(KeyState::Previous.as_str().to_owned()),
        superseded_at: Set(Some(now.fixed_offset())),
        ..Default::default()
    };
    change(connection, id, KeyState::Current, changes).await
}

/// Lets the next key sign from now on. False where it isn't the next one any more.
pub async fn activate(
    connection: &impl ConnectionTrait,
    id: &str,
    now: DateTime<Utc>,
) -> Result<bool, DbErr> {
    let changes = ActiveModel {
        state: Set(KeyState::Current.as_str().to_owned()),
        activated_at: Set(Some(now.fixed_offset())),
        ..Default::default()
    };
    change(connection, id, KeyState::Next, changes).await
}

async fn change(
    connection: &impl ConnectionTrait,
    id: &str,
    from: KeyState,
    changes: ActiveModel,
) -> Result<bool, DbErr> {
    let result = Entity::update_many()
        .set(changes)
        .filter(Column::Id.eq(id))
        .filter(Column::State.eq(from.as_str()))
        .exec(connection)
        .await?;
    Ok(result.rows_affected == 1)
}

/// Removes a key. False where there is none of that id and state.
pub async fn delete(connection: &impl ConnectionTrait, id: &str, state: KeyState) -> Result<bool, DbErr> {
    let result = Entity::delete_many()
        .filter(Column::Id.eq(id))
        .filter(Column::State.eq(state.as_str()))
        .exec(connection)
        .await?;
    Ok(result.rows_affected == 1)
}

/// Removes keys that ceased to sign before an instant.
pub async fn delete_superseded_before(
    connection: &impl ConnectionTrait,
    at: DateTime<Utc>,
) -> Result<u64, DbErr> {
    let result = Entity::delete_many()
        .filter(Column::State.eq(KeyState::Previous.as_str()))
        .filter(Column::SupersededAt.lt(at.fixed_offset()))
        .exec(connection)
        .await?;
    Ok(result.rows_affected)
}
