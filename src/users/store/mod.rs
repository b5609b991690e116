//! Accounts in the database.

mod idempotency;
mod list;
mod search;
mod statement;

use chrono::{DateTime, Utc};
use entity::{user_roles, users};
use sea_orm::ActiveModelTrait as _;
use sea_orm::sea_query::{Expr, ExprTrait as _, SimpleExpr};
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, ConnectionTrait, DbBackend, DbErr, EntityTrait as _,
    IntoActiveModel as _, QueryFilter as _, QueryOrder as _, QuerySelect as _, QueryTrait as _,
};
use uuid::Uuid;

use super::model::{Account, Changes, Credentials, Registration, User};
use crate::domain::{
    Change, DisplayName, EmailAddress, Locale, Metadata, PasswordHash, Role, UserId, UserStatus,
};

pub use idempotency::{forget_expired, remember, remembered};
pub use list::accounts_by_ids;
pub use search::search;

/// The user with this id.
///
/// # Errors
/// The database's.
pub async fn user_by_id(connection: &impl ConnectionTrait, id: UserId) -> Result<Option<User>, DbErr> {
    Ok(account_by_id(connection, id).await?.map(|account| account.user))
}

/// The account with this id.
///
/// # Errors
/// The database's.
pub async fn account_by_id(connection: &impl ConnectionTrait, id: UserId) -> Result<Option<Account>, DbErr> {
    let row = users::Entity::find_by_id(id.get()).one(connection).await?;
    with_roles(connection, row).await
}

/// The account with this id, locked until the transaction ends: what is decided about it stays true while it is
/// written. On `SQLite` a writer is alone anyway.
///
/// # Errors
/// The database's.
pub async fn lock_account(connection: &impl ConnectionTrait, id: UserId) -> Result<Option<Account>, DbErr> {
    locked(connection, users::Column::Id.eq(id.get())).await
}

/// The account with this address, locked as by [`lock_account`].
///
/// # Errors
/// The database's.
pub async fn lock_account_by_email(
    connection: &impl ConnectionTrait,
    email: &EmailAddress,
) -> Result<Option<Account>, DbErr> {
    locked(connection, users::Column::Email.eq(email.as_str())).await
}

async fn locked(connection: &impl ConnectionTrait, which: SimpleExpr) -> Result<Option<Account>, DbErr> {
    let mut query = users::Entity::find().filter(which);
    if connection.get_database_backend() == DbBackend::Postgres {
        query = query.lock_exclusive();
    }
    let row = query.one(connection).await?;
    with_roles(connection, row).await
}

/// The account with this address.
///
/// # Errors
/// The database's.
pub async fn account_by_email(
    connection: &impl ConnectionTrait,
    email: &EmailAddress,
) -> Result<Option<Account>, DbErr> {
    let row = row_by_email(connection, email).await?;
    with_roles(connection, row).await
}

/// What a sign-in needs to know of the account with this address: exactly one query, whether there is one or not.
///
/// # Errors
/// The database's.
pub async fn credentials_by_email(
    connection: &impl ConnectionTrait,
    email: &EmailAddress,
) -> Result<Option<Credentials>, DbErr> {
    let Some(row) = row_by_email(connection, email).await? else {
        return Ok(None);
    };
    Ok(Some(Credentials {
        user_id: UserId::new(row.id),
        status: status(&row)?,
        password_hash: row.password_hash.map(PasswordHash::from_stored),
    }))
}

async fn row_by_email(
    connection: &impl ConnectionTrait,
    email: &EmailAddress,
) -> Result<Option<users::Model>, DbErr> {
    users::Entity::find()
        .filter(users::Column::Email.eq(email.as_str()))
        .one(connection)
        .await
}

fn status(row: &users::Model) -> Result<UserStatus, DbErr> {
    UserStatus::from_name(&row.status)
        .ok_or_else(|| DbErr::Type(format!("user {} has an unknown status", row.id)))
}

async fn with_roles(
    connection: &impl ConnectionTrait,
    row: Option<users::Model>,
) -> Result<Option<Account>, DbErr> {
    let Some(row) = row else { return Ok(None) };
    let roles = user_roles::Entity::find()
        .filter(user_roles::Column::UserId.eq(row.id))
        .order_by_asc(user_roles::Column::Role)
        .all(connection)
        .await?;
    account(row, roles).map(Some)
}

fn account(row: users::Model, roles: Vec<user_roles::Model>) -> Result<Account, DbErr> {
    let status = status(&row)?;
    Ok(Account {
        user: User {
            id: UserId::new(row.id),
            email: row.email,
            email_verified: row.email_verified,
            pending_email: row.pending_email,
            display_name: row.display_name,
            locale: row.locale,
            metadata: Metadata::from_stored(row.metadata),
            roles: roles.into_iter().map(|role| role.role).collect(),
            status,
            created_at: row.created_at.to_utc(),
            updated_at: row.updated_at.to_utc(),
            last_login_at: row.last_login_at.map(|at| at.to_utc()),
            revision: row.revision,
        },
        password_hash: row.password_hash.map(PasswordHash::from_stored),
    })
}

/// Adds an account. The database refuses an address that is taken.
///
/// # Errors
/// The database's; a violated unique key among them.
pub async fn insert(
    connection: &impl ConnectionTrait,
    id: UserId,
    email: &EmailAddress,
    new: Registration,
    email_verified: bool,
    now: DateTime<Utc>,
) -> Result<User, DbErr> {
    let now = now.fixed_offset();
    let row = users::Model {
        id: id.get(),
        email: email.as_str().to_owned(),
        email_verified,
        pending_email: None,
        display_name_key: new.display_name.as_ref().map(DisplayName::search_key),
        display_name: new.display_name.map(DisplayName::into_string),
        locale: new.locale.map(Locale::into_string),
        metadata: new.metadata.as_json().to_owned(),
        status: UserStatus::Active.as_str().to_owned(),
        password_changed_at: new.password_hash.as_ref().map(|_| now),
        password_hash: new.password_hash.map(|hash| hash.expose().to_owned()),
        revision: 1,
        created_at: now,
        updated_at: now,
        last_login_at: None,
    };
    users::Entity::insert(row.clone().into_active_model().reset_all())
        .exec_without_returning(connection)
        .await?;
    Ok(account(row, Vec::new())?.user)
}

async fn insert_roles(connection: &impl ConnectionTrait, id: UserId, roles: &[Role]) -> Result<(), DbErr> {
    let rows = roles.iter().map(|role| user_roles::ActiveModel {
        user_id: Set(id.get()),
        role: Set(role.as_str().to_owned()),
    });
    if rows.len() > 0 {
        user_roles::Entity::insert_many(rows)
            .exec_without_returning(connection)
            .await?;
    }
    Ok(())
}

/// Writes changes to a user's row. False where the user is gone.
///
/// # Errors
/// The database's; a violated unique key among them.
pub async fn update(
    connection: &impl ConnectionTrait,
    id: UserId,
    changes: Changes,
    now: DateTime<Utc>,
) -> Result<bool, DbErr> {
    let now = now.fixed_offset();
    let mut row = users::ActiveModel {
        updated_at: Set(now),
        ..Default::default()
    };
    if let Some(email) = changes.email {
        row.email = Set(email.as_str().to_owned());
        row.email_verified = Set(false);
        row.pending_email = Set(None);
    }
    if let Some(is_verified) = changes.email_verified {
        row.email_verified = Set(is_verified);
    }
    match changes.pending_email {
        Change::Keep => {}
        Change::Remove => row.pending_email = Set(None),
        Change::Set(email) => row.pending_email = Set(Some(email.as_str().to_owned())),
    }
    match changes.display_name {
        Change::Keep => {}
        Change::Remove => {
            row.display_name = Set(None);
            row.display_name_key = Set(None);
        }
        Change::Set(name) => {
            row.display_name_key = Set(Some(name.search_key()));
            row.display_name = Set(Some(name.into_string()));
        }
    }
    match changes.locale {
        Change::Keep => {}
        Change::Remove => row.locale = Set(None),
        Change::Set(locale) => row.locale = Set(Some(locale.into_string())),
    }
    if let Some(metadata) = changes.metadata {
        row.metadata = Set(metadata.as_json().to_owned());
    }
    if let Some(status) = changes.status {
        row.status = Set(status.as_str().to_owned());
    }
    if let Some(hash) = changes.password_hash {
        row.password_hash = Set(Some(hash.expose().to_owned()));
        row.password_changed_at = Set(Some(now));
    }
    let statement = users::Entity::update_many()
        .set(row)
        .col_expr(users::Column::Revision, Expr::col(users::Column::Revision).add(1))
        .filter(users::Column::Id.eq(id.get()));
    Ok(statement.exec(connection).await?.rows_affected == 1)
}

/// Notes a sign-in with the hash that was checked, and puts a newer hash in its place where there is one. False
/// where the account is gone, disabled, or has another hash by now: a password change meanwhile wins.
///
/// # Errors
/// The database's.
pub async fn record_sign_in(
    connection: &impl ConnectionTrait,
    id: UserId,
    checked: &PasswordHash,
    rehash: Option<&PasswordHash>,
    now: DateTime<Utc>,
) -> Result<bool, DbErr> {
    let mut row = users::ActiveModel {
        last_login_at: Set(Some(now.fixed_offset())),
        ..Default::default()
    };
    if let Some(hash) = rehash {
        row.password_hash = Set(Some(hash.expose().to_owned()));
    }
    let result = users::Entity::update_many()
        .set(row)
        // `last_login_at` is part of what a client sees, so the entity tag changes with it.
        .col_expr(users::Column::Revision, Expr::col(users::Column::Revision).add(1))
        .filter(users::Column::Id.eq(id.get()))
        .filter(users::Column::Status.eq(UserStatus::Active.as_str()))
        .filter(users::Column::PasswordHash.eq(checked.expose()))
        .exec(connection)
        .await?;
    Ok(result.rows_affected == 1)
}

/// Removes an account; the database removes all that hangs on it.
///
/// # Errors
/// The database's.
pub async fn delete(connection: &impl ConnectionTrait, id: UserId) -> Result<(), DbErr> {
    users::Entity::delete_by_id(id.get()).exec(connection).await?;
    Ok(())
}

/// Puts a set of roles in place of the present one.
///
/// # Errors
/// The database's.
pub async fn replace_roles(
    connection: &impl ConnectionTrait,
    id: UserId,
    roles: &[Role],
) -> Result<(), DbErr> {
    user_roles::Entity::delete_many()
        .filter(user_roles::Column::UserId.eq(id.get()))
        .exec(connection)
        .await?;
    insert_roles(connection, id, roles).await?;
    Ok(())
}

/// Locks the accounts that can administer others, and lists them. Two requests that would each remove one of the
/// last two wait for each other here. On `SQLite` a writer is alone anyway.
///
/// # Errors
/// The database's.
pub async fn lock_active_admins(connection: &impl ConnectionTrait) -> Result<Vec<UserId>, DbErr> {
    let holders = user_roles::Entity::find()
        .select_only()
        .column(user_roles::Column::UserId)
        .filter(user_roles::Column::Role.eq(Role::ADMIN));
    let admins = users::Entity::find()
        .select_only()
        .column(users::Column::Id)
        .filter(users::Column::Status.eq(UserStatus::Active.as_str()))
        .filter(users::Column::Id.in_subquery(holders.into_query()))
        .order_by_asc(users::Column::Id);
    if connection.get_database_backend() == DbBackend::Postgres {
        // What this returns may be stale: after a wait, PostgreSQL looks at the locked rows again, and not at the
        // roles. The next statement sees what was committed meanwhile.
        let _: Vec<Uuid> = admins
            .clone()
            .lock_exclusive()
            .into_tuple()
            .all(connection)
            .await?;
    }
    let ids: Vec<Uuid> = admins.into_tuple().all(connection).await?;
    Ok(ids.into_iter().map(UserId::new).collect())
}

/// Whether this account can administer others at this moment.
///
/// # Errors
/// The database's.
pub async fn is_active_admin(connection: &impl ConnectionTrait, id: UserId) -> Result<bool, DbErr> {
    let account = account_by_id(connection, id).await?;
    Ok(account.is_some_and(|account| {
        account.user.status == UserStatus::Active && account.user.roles.iter().any(|role| role == Role::ADMIN)
    }))
}
