//! Codes in the database: digests, and what they are good for.

use chrono::{DateTime, Utc};
use entity::mail_codes::{ActiveModel, Column, Entity, Model};
use sea_orm::sea_query::{Expr, ExprTrait as _};
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, ConnectionTrait, DbErr, EntityTrait as _, QueryFilter as _,
};
use uuid::Uuid;

use super::model::{NewCode, Purpose, StoredCode};
use crate::domain::{EmailAddress, UserId};
use crate::security::SecretDigest;

/// How many wrong guesses a typed code survives; its link is beyond guessing, and stays good.
const MAX_WRONG: i64 = 10;

/// Puts a code in the place of the one before, if there was one: for the same purpose, of the same account or, before
/// there is one, for the same address. Wrong guesses at one that was made since `guesses_since` count for the new one.
///
/// # Errors
/// The database's.
pub async fn replace(
    connection: &impl ConnectionTrait,
    id: Uuid,
    new: NewCode,
    guesses_since: DateTime<Utc>,
) -> Result<(), DbErr> {
    let before = match new.user_id {
        Some(user) => Column::UserId
            .eq(user.get())
            .and(Column::Purpose.eq(new.purpose.as_str())),
        None => Column::UserId.is_null().and(Column::Email.eq(new.email.as_str())),
    };
    let replaced = Entity::find().filter(before.clone()).one(connection).await?;
    let wrong = replaced
        .filter(|code| code.created_at > guesses_since.fixed_offset())
        .map_or(0, |code| code.wrong_guesses);
    Entity::delete_many().filter(before).exec(connection).await?;
    let row = ActiveModel {
        id: Set(id),
        purpose: Set(new.purpose.as_str().to_owned()),
        user_id: Set(new.user_id.map(UserId::get)),
        email: Set(new.email),
        token_digest: Set(new.token.as_bytes().to_vec()),
        typed_digest: Set(new.typed.as_bytes().to_vec()),
        wrong_guesses: Set(wrong),
        registration: Set(new.registration),
        created_at: Set(new.created_at.fixed_offset()),
        expires_at: Set(new.expires_at.fixed_offset()),
    };
    Entity::insert(row).exec_without_returning(connection).await?;
    Ok(())
}

/// The code of a link, expired or not.
///
/// # Errors
/// The database's.
pub async fn by_token(
    connection: &impl ConnectionTrait,
    token: SecretDigest,
) -> Result<Option<StoredCode>, DbErr> {
    let row = Entity::find()
        .filter(Column::TokenDigest.eq(token.as_bytes().to_vec()))
        .one(connection)
        .await?;
    row.map(stored).transpose()
}

/// The registration that waits for the proof of an address.
///
/// # Errors
/// The database's.
pub async fn waiting_registration(
    connection: &impl ConnectionTrait,
    email: &str,
    now: DateTime<Utc>,
) -> Result<Option<StoredCode>, DbErr> {
    let row = Entity::find()
        .filter(Column::UserId.is_null())
        .filter(Column::Email.eq(email))
        .filter(Column::ExpiresAt.gt(now.fixed_offset()))
        .one(connection)
        .await?;
    row.map(stored).transpose()
}

/// Codes that were mailed to an address for one of these purposes, can still be typed, and are charged one wrong guess
/// by this very call: whoever guesses a hundred times at once is charged a hundred times before anything is compared.
///
/// # Errors
/// The database's.
pub async fn charge_guess(
    connection: &impl ConnectionTrait,
    email: &EmailAddress,
    purposes: &[Purpose],
    now: DateTime<Utc>,
) -> Result<Vec<StoredCode>, DbErr> {
    let rows = Entity::update_many()
        .col_expr(Column::WrongGuesses, Expr::col(Column::WrongGuesses).add(1))
        .filter(Column::Email.eq(email.as_str()))
        .filter(Column::Purpose.is_in(purposes.iter().map(|purpose| purpose.as_str())))
        .filter(Column::ExpiresAt.gt(now.fixed_offset()))
        .filter(Column::WrongGuesses.lt(MAX_WRONG))
        .exec_with_returning(connection)
        .await?;
    rows.into_iter().map(stored).collect()
}

/// Takes a charge back: the guess was right.
///
/// # Errors
/// The database's.
pub async fn forgive_guess(connection: &impl ConnectionTrait, ids: &[Uuid]) -> Result<(), DbErr> {
    Entity::update_many()
        .col_expr(Column::WrongGuesses, Expr::col(Column::WrongGuesses).sub(1))
        .filter(Column::Id.is_in(ids.iter().copied()))
        .exec(connection)
        .await?;
    Ok(())
}

/// Writes a row for a guess that was wrong, where there is no event to write; [`remove_decoy`] takes it away in the same
/// transaction. A commit with something to write waits for the disk, and one without doesn't: who could tell them apart by
/// the clock would know which address a code was mailed to, and so who has an account.
///
/// # Errors
/// The database's.
pub async fn write_decoy(
    connection: &impl ConnectionTrait,
    id: Uuid,
    now: DateTime<Utc>,
) -> Result<(), DbErr> {
    let digest = id.as_bytes().repeat(2);
    let row = ActiveModel {
        id: Set(id),
        purpose: Set(Purpose::VerifyEmail.as_str().to_owned()),
        user_id: Set(None),
        email: Set(id.to_string()),
        token_digest: Set(digest.clone()),
        typed_digest: Set(digest),
        wrong_guesses: Set(MAX_WRONG),
        registration: Set(None),
        created_at: Set(now.fixed_offset()),
        expires_at: Set(now.fixed_offset()),
    };
    Entity::insert(row).exec_without_returning(connection).await?;
    Ok(())
}

/// Takes the row of [`write_decoy`] away. Asked for in any case, so that there are as many statements where none was written.
///
/// # Errors
/// The database's.
pub async fn remove_decoy(connection: &impl ConnectionTrait, id: Uuid) -> Result<(), DbErr> {
    Entity::delete_many()
        .filter(Column::Id.eq(id))
        .exec(connection)
        .await?;
    Ok(())
}

/// Uses a code up. False where somebody else was faster, or it has been replaced or has expired: of many at once, one
/// gets true.
///
/// # Errors
/// The database's.
pub async fn take(connection: &impl ConnectionTrait, id: Uuid, now: DateTime<Utc>) -> Result<bool, DbErr> {
    let result = Entity::delete_many()
        .filter(Column::Id.eq(id))
        .filter(Column::ExpiresAt.gt(now.fixed_offset()))
        .exec(connection)
        .await?;
    Ok(result.rows_affected == 1)
}

/// Kills every code of an account.
///
/// # Errors
/// The database's.
pub async fn drop_codes(connection: &impl ConnectionTrait, user_id: UserId) -> Result<(), DbErr> {
    Entity::delete_many()
        .filter(Column::UserId.eq(user_id.get()))
        .exec(connection)
        .await?;
    Ok(())
}

/// Kills the code of an account for one purpose, by the name of its mail.
///
/// # Errors
/// The database's.
pub async fn drop_codes_for(
    connection: &impl ConnectionTrait,
    user_id: UserId,
    purpose: &str,
) -> Result<(), DbErr> {
    Entity::delete_many()
        .filter(Column::UserId.eq(user_id.get()))
        .filter(Column::Purpose.eq(purpose))
        .exec(connection)
        .await?;
    Ok(())
}

/// Kills a registration that waited for an address, which has an account now.
///
/// # Errors
/// The database's.
pub async fn drop_registration(connection: &impl ConnectionTrait, email: &str) -> Result<(), DbErr> {
    Entity::delete_many()
        .filter(Column::UserId.is_null())
        .filter(Column::Email.eq(email))
        .exec(connection)
        .await?;
    Ok(())
}

/// Removes codes that have expired before this time; gives how many.
///
/// # Errors
/// The database's.
pub async fn remove_expired(connection: &impl ConnectionTrait, before: DateTime<Utc>) -> Result<u64, DbErr> {
    let result = Entity::delete_many()
        .filter(Column::ExpiresAt.lte(before.fixed_offset()))
        .exec(connection)
        .await?;
    Ok(result.rows_affected)
}

fn stored(row: Model) -> Result<StoredCode, DbErr> {
    let broken = |what: &str| DbErr::Type(format!("code {} has {what}", row.id));
    Ok(StoredCode {
        id: row.id,
        purpose: Purpose::from_name(&row.purpose).ok_or_else(|| broken("an unknown purpose"))?,
        user_id: row.user_id.map(UserId::new),
        typed: SecretDigest::from_stored(&row.typed_digest).ok_or_else(|| broken("no digest"))?,
        email: row.email,
        registration: row.registration,
        expires_at: row.expires_at.to_utc(),
    })
}
