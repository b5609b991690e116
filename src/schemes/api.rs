//! The hash ledger over HTTP.

use actix_web::{HttpRequest, HttpResponse, web};
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use super::model::SchemeCount;
use super::service;
use crate::app::AppState;
use crate::auth::Administrator;
use crate::error::ApiError;
use crate::http::mount::Operation;
use crate::http::problem::Problem;

/// The operations of this feature.
#[must_use]
pub fn operations() -> Vec<Operation> {
    vec![Operation::new::<__path_list_password_schemes>(|| {
        web::to(list_password_schemes)
    })]
}

/// The accounts whose passwords are hashed with one scheme and cost
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PasswordScheme<'a> {
    /// Its name; `unreadable` for hashes that nobody can sign in with.
    #[schema(example = "bcrypt")]
    pub scheme: &'a str,
    /// Its cost; empty where it has none.
    #[schema(example = "cost=12")]
    pub cost: &'a str,
    /// How many accounts have it.
    pub accounts: u64,
    /// The last sign-in of the account among them that has been away for the longest; null where nobody ever signed in.
    #[schema(required)]
    pub oldest_login_at: Option<DateTime<Utc>>,
    /// How many of them have never signed in.
    pub never_signed_in: u64,
    /// From when on nobody can sign in with it (`password.retire_before`), or null.
    #[schema(required)]
    pub retired_at: Option<DateTime<Utc>>,
}

impl<'a> From<&'a SchemeCount> for PasswordScheme<'a> {
    fn from(count: &'a SchemeCount) -> Self {
        Self {
            scheme: &count.scheme,
            cost: &count.cost,
            accounts: count.accounts,
            oldest_login_at: count.oldest_login_at,
            never_signed_in: count.never_signed_in,
            retired_at: count.retired_at,
        }
    }
}

/// Every scheme that passwords are hashed with
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PasswordSchemeList<'a> {
    /// All of them, in order of scheme and cost.
    pub items: Vec<PasswordScheme<'a>>,
    /// Always null: it is one page.
    #[schema(required, value_type = Option<String>)]
    pub next_cursor: (),
    /// How many accounts have no password.
    pub without_password: u64,
}

/// See how passwords are hashed
///
/// How many accounts there are for each hash scheme and cost. A hash of another scheme or cost than the configured one is
/// rewritten when its owner signs in. Needs the role `admin`.
#[utoipa::path(
    get,
    path = "/admin/password-schemes",
    tag = "administration",
    responses(
        (status = 200, description = "The schemes", body = PasswordSchemeList),
        (status = 403, description = "The role `admin` is missing", body = Problem,
            content_type = "application/problem+json"),
    ),
)]
async fn list_password_schemes(_: Administrator, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let ledger = service::ledger(AppState::of(&request)?).await?;
    Ok(HttpResponse::Ok().json(PasswordSchemeList {
        items: ledger.schemes.iter().map(PasswordScheme::from).collect(),
        next_cursor: (),
        without_password: ledger.without_password,
    }))
}
