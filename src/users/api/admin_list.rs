//! Accounts over HTTP, for admins: finding them.

use actix_web::{HttpRequest, HttpResponse, web};
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};
use uuid::Uuid;

use super::super::model::{Position, SortColumn, UserSearch, UserSort};
use super::super::service;
use super::admin_wire::{AccountStatus, AdminUserResponse, RoleName};
use super::members::{parse_email, parse_role, parse_status};
use crate::app::AppState;
use crate::auth::Administrator;
use crate::config::Config;
use crate::domain::{SearchPrefix, UserId};
use crate::error::ApiError;
use crate::http::body::FromMembers;
use crate::http::json::Members;
use crate::http::list;
use crate::http::mount::Operation;
use crate::http::openapi::one_of;
use crate::http::problem::Problem;
use crate::http::query::Query;

/// The order where none is asked for: the newest first.
const DEFAULT_SORT: UserSort = UserSort {
    column: SortColumn::Created,
    is_descending: true,
};
/// The longest address, and so the longest place in the order of addresses.
const MAX_EMAIL: usize = 254;

pub(super) fn operations() -> Vec<Operation> {
    vec![Operation::new::<__path_list_accounts>(|| web::to(list_accounts))]
}

/// A page of accounts
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AdminUserList<'a> {
    /// The accounts of this page.
    pub items: Vec<AdminUserResponse<'a>>,
    /// The `cursor` of the next page, or null.
    #[schema(required)]
    pub next_cursor: Option<String>,
}

/// The name of an order; `-` is the other way round.
struct AccountOrder;

impl PartialSchema for AccountOrder {
    fn schema() -> RefOr<Schema> {
        one_of(["created_at", "-created_at", "email", "-email"])
    }
}

impl ToSchema for AccountOrder {}

/// Which page of which accounts is wanted.
struct Search {
    wanted: UserSearch,
    limit: u64,
    after: Option<Position>,
}

impl FromMembers for Search {
    fn from_members(members: &mut Members, _: &Config) -> Option<Self> {
        let prefix = match members.string("q").map(|text| SearchPrefix::parse(&text)) {
            None => None,
            Some(Ok(prefix)) => prefix,
            Some(Err(fault)) => {
                members.fault("q", fault.code(), fault.detail());
                None
            }
        };
        let email = members
            .string("email")
            .and_then(|text| parse_email(members, &text));
        let role = members.string("role").and_then(|text| parse_role(members, &text));
        let status = parse_status(members);
        let created_after = list::take_time(members, "created_after");
        let created_before = list::take_time(members, "created_before");
        let sort = match members.string("sort").map(|text| UserSort::from_name(&text)) {
            None => Some(DEFAULT_SORT),
            Some(Some(sort)) => Some(sort),
            Some(None) => {
                let detail = "must be created_at, -created_at, email or -email";
                members.fault("sort", "not_allowed", detail);
                None
            }
        };
        let limit = list::take_limit(members);
        let after = match (members.string("cursor"), sort) {
            (Some(text), Some(sort)) => {
                let position = read_position(&text, sort);
                if position.is_none() {
                    list::foreign_cursor(members);
                }
                position
            }
            _ => None,
        };
        Some(Self {
            wanted: UserSearch {
                prefix,
                email,
                role,
                status,
                created_after,
                created_before,
                sort: sort?,
            },
            limit: limit?,
            after,
        })
    }
}

/// The kind of a cursor: each order has its own, so that the place in one isn't taken for a place in another.
const fn cursor_kind(sort: UserSort) -> u8 {
    match (sort.column, sort.is_descending) {
        (SortColumn::Created, false) => 2,
        (SortColumn::Created, true) => 3,
        (SortColumn::Email, false) => 4,
        (SortColumn::Email, true) => 5,
    }
}

fn write_position(position: &Position, sort: UserSort) -> String {
    let place = match position {
        Position::Created(at, id) => {
            let mut place = at.timestamp_millis().to_be_bytes().to_vec();
            place.extend_from_slice(id.get().as_bytes());
            place
        }
        Position::Email(email) => email.as_bytes().to_vec(),
    };
    list::cursor_of(cursor_kind(sort), &place)
}

fn read_position(text: &str, sort: UserSort) -> Option<Position> {
    let (kind, place) = list::read_cursor(text)?;
    if kind != cursor_kind(sort) {
        return None;
    }
    match sort.column {
        SortColumn::Created => {
            let (at, id) = place.split_first_chunk::<8>()?;
            let at: DateTime<Utc> = DateTime::from_timestamp_millis(i64::from_be_bytes(*at))?;
            let at = Some(at).filter(|at| (0..=9999).contains(&chrono::Datelike::year(at)))?;
            Some(Position::Created(at, UserId::new(Uuid::from_slice(id).ok()?)))
        }
        SortColumn::Email => {
            let email = String::from_utf8(place).ok()?;
            let is_email = (1..=MAX_EMAIL).contains(&email.len()) && !email.chars().any(char::is_control);
            is_email.then_some(Position::Email(email))
        }
    }
}

/// Find accounts
///
/// In pages, the newest first where nothing else is asked for. Several filters narrow the list down together. A page looks at
/// a bounded part of the table: where a filter matches little of it, a page may have fewer items than `limit`, or none, and
/// still a `next_cursor`.
#[utoipa::path(
    get,
    path = "/admin/users",
    tag = "administration",
    params(
        ("q" = Option<String>, Query, description = "How the e-mail address or the display name begins, in any letter case",
            max_length = 255),
        ("email" = Option<String>, Query, description = "The e-mail address, in any spelling"),
        ("role" = inline(Option<RoleName>), Query, description = "The name of a role"),
        ("status" = inline(Option<AccountStatus>), Query, description = "Whether they may be used", example = "active"),
        ("created_after" = Option<DateTime<Utc>>, Query, description = "Only accounts that came to be later than this"),
        ("created_before" = Option<DateTime<Utc>>, Query, description = "Only accounts that came to be earlier than this"),
        ("sort" = inline(Option<AccountOrder>), Query, description = "Their order; the newest first where it isn't said",
            example = "-created_at"),
        ("limit" = Option<u64>, Query, description = "How many at most", minimum = 1, maximum = 200, example = 50),
        ("cursor" = Option<String>, Query, description = "The `next_cursor` of the page before, in the same order"),
    ),
    responses(
        (status = 200, description = "A page of them", body = AdminUserList,
            headers(("Link" = Option<String>, description = "The next page, where there is one: `rel=\"next\"`"))),
        (status = 403, description = "Needs the role admin", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "An unknown parameter, or one out of its range", body = Problem,
            content_type = "application/problem+json"),
    ),
)]
async fn list_accounts(
    _: Administrator,
    request: HttpRequest,
    search: Query<Search>,
) -> Result<HttpResponse, ApiError> {
    let Search { wanted, limit, after } = search.0;
    let sort = wanted.sort;
    let (accounts, next) = service::search(AppState::of(&request)?, wanted, after, limit).await?;
    let next_cursor = next.map(|position| write_position(&position, sort));
    let list = AdminUserList {
        items: accounts
            .iter()
            .map(AdminUserResponse::of)
            .collect::<Result<_, _>>()?,
        next_cursor: next_cursor.clone(),
    };
    Ok(list::answer(
        &list::target("/admin/users", &request),
        next_cursor.as_deref(),
        &list,
    ))
}
