//! Clients in the database.

use entity::clients::{ActiveModel, Column, Entity, Model};
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, ConnectionTrait, DbErr, EntityTrait as _, QueryFilter as _,
    QueryOrder as _,
};

use super::model::{Client, StoredClient};
use crate::domain::ClientId;
use crate::security::SecretDigest;

/// Adds a client.
///
/// # Errors
/// The database's.
pub async fn insert(connection: &impl ConnectionTrait, new: StoredClient) -> Result<(), DbErr> {
    let row = ActiveModel {
        id: Set(new.client.id.get()),
        name: Set(new.client.name),
        secret_digest: Set(new.secret_digest.as_bytes().to_vec()),
        created_at: Set(new.client.created_at.fixed_offset()),
    };
    Entity::insert(row).exec_without_returning(connection).await?;
    Ok(())
}

/// The client with this id.
///
/// # Errors
/// The database's.
pub async fn by_id(connection: &impl ConnectionTrait, id: ClientId) -> Result<Option<StoredClient>, DbErr> {
    let row = Entity::find_by_id(id.get()).one(connection).await?;
    row.map(stored).transpose()
}

/// Every client, the oldest first.
///
/// # Errors
/// The database's.
pub async fn all(connection: &impl ConnectionTrait) -> Result<Vec<Client>, DbErr> {
    let rows = Entity::find()
        .order_by_asc(Column::CreatedAt)
        .order_by_asc(Column::Id)
        .all(connection)
        .await?;
    Ok(rows.into_iter().map(client).collect())
}

/// Removes a client. False where there is none.
///
/// # Errors
/// The database's.
pub async fn delete(connection: &impl ConnectionTrait, id: ClientId) -> Result<bool, DbErr> {
    let result = Entity::delete_many()
        .filter(Column::Id.eq(id.get()))
        .exec(connection)
        .await?;
    Ok(result.rows_affected == 1)
}

fn stored(row: Model) -> Result<StoredClient, DbErr> {
    let secret_digest = SecretDigest::from_stored(&row.secret_digest)
        .ok_or_else(|| DbErr::Type(format!("client {} has no SHA-256 digest", row.id)))?;
    Ok(StoredClient {
        client: client(row),
        secret_digest,
    })
}

fn client(row: Model) -> Client {
    Client {
        id: ClientId::new(row.id),
        name: row.name,
        created_at: row.created_at.to_utc(),
    }
}
