//! Several accounts at once.

use std::collections::HashMap;

use entity::{user_roles, users};
use sea_orm::{ConnectionTrait, DbErr, EntityTrait as _, QueryFilter as _, QueryOrder as _};
use uuid::Uuid;

use super::super::model::Account;
use super::account;
use crate::db::one_of;
use crate::domain::UserId;

/// The accounts with these ids, in no order; those that are gone are left out.
///
/// # Errors
/// The database's.
pub async fn accounts_by_ids(
    connection: &impl ConnectionTrait,
    ids: &[UserId],
) -> Result<Vec<Account>, DbErr> {
    let rows = users::Entity::find()
        .filter(one_of(
            connection,
            users::Column::Id,
            ids.iter().map(|id| id.get()),
        ))
        .all(connection)
        .await?;
    with_roles(connection, rows).await
}

async fn with_roles(
    connection: &impl ConnectionTrait,
    rows: Vec<users::Model>,
) -> Result<Vec<Account>, DbErr> {
    let mut roles: HashMap<Uuid, Vec<user_roles::Model>> = HashMap::new();
    let of_these = one_of(
        connection,
        user_roles::Column::UserId,
        rows.iter().map(|row| row.id),
    );
    let found = user_roles::Entity::find()
        .filter(of_these)
        .order_by_asc(user_roles::Column::Role);
    for role in found.all(connection).await? {
        roles.entry(role.user_id).or_default().push(role);
    }
    rows.into_iter()
        .map(|row| {
            let roles = roles.remove(&row.id).unwrap_or_default();
            account(row, roles)
        })
        .collect()
}
