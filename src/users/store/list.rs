//! Several accounts at once.

use std::collections::HashMap;

use entity::{user_roles, users};
use sea_orm::sea_query::{Expr, ExprTrait as _, LikeExpr};
use sea_orm::{
    ColumnTrait as _, ConnectionTrait, DbErr, EntityTrait as _, QueryFilter as _, QueryOrder as _,
    QuerySelect as _, QueryTrait as _,
};
use uuid::Uuid;

use super::super::model::{Account, User, UserFilter};
use super::account;
use crate::db::one_of;
use crate::domain::{UserId, search_key};

/// Users in order of registration, from after one of them on.
///
/// # Errors
/// The database's.
pub async fn list(
    connection: &impl ConnectionTrait,
    filter: &UserFilter,
    after: Option<UserId>,
    limit: u64,
) -> Result<Vec<User>, DbErr> {
    let mut query = users::Entity::find().order_by_asc(users::Column::Id).limit(limit);
    if let Some(after) = after {
        query = query.filter(users::Column::Id.gt(after.get()));
    }
    if let Some(status) = filter.status {
        query = query.filter(users::Column::Status.eq(status.as_str()));
    }
    if let Some(role) = &filter.role {
        let holders = user_roles::Entity::find()
            .select_only()
            .column(user_roles::Column::UserId)
            .filter(user_roles::Column::Role.eq(role.as_str()));
        query = query.filter(users::Column::Id.in_subquery(holders.into_query()));
    }
    if let Some(prefix) = &filter.prefix {
        let pattern = || LikeExpr::new(format!("{}%", escape_like(&search_key(prefix)))).escape('\\');
        query = query.filter(
            Expr::col(users::Column::Email)
                .like(pattern())
                .or(Expr::col(users::Column::DisplayNameKey).like(pattern())),
        );
    }
    let accounts = with_roles(connection, query.all(connection).await?).await?;
    Ok(accounts.into_iter().map(|account| account.user).collect())
}

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

fn escape_like(text: &str) -> String {
    text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_")
}
