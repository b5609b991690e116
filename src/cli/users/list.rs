//! `roster users list`: what `GET /admin/users` finds, all pages of it.

use chrono::{DateTime, Utc};
use clap::Args;

use super::super::Context;
use super::super::output::{Listing, Stop};
use super::account::or_dash;
use super::values::{EmailArgument, parse_role, parse_status, parse_time};
use crate::app::AppState;
use crate::domain::{Role, SearchPrefix, UserStatus};
use crate::startup::StartError;
use crate::users::api::AdminUserResponse;
use crate::users::{UserSearch, UserSort, service};

pub(super) const EXAMPLES: &str = "\
Several filters narrow the list down together. With --json, each line is an account.

Examples:
  roster users list --role admin
  roster users list -q ada --status disabled
  roster users list --sort=-created_at --limit 20
  roster users list --created-after 2026-01-31T00:00:00Z --json";

/// How many accounts are read at a time.
const PAGE: u64 = 200;

#[derive(Debug, Args)]
pub(in crate::cli) struct Arguments {
    /// Only those with this role
    #[arg(long, value_name = "NAME", value_parser = parse_role)]
    role: Option<Role>,
    /// Only those in this state: active or disabled
    #[arg(long, value_name = "S", value_parser = parse_status)]
    status: Option<UserStatus>,
    /// Only those whose address or display name begins so, in any letter case
    #[arg(short, long, value_name = "TEXT")]
    q: Option<Prefix>,
    /// Only the one with this address
    #[arg(long, value_name = "EMAIL")]
    email: Option<EmailArgument>,
    /// Only those that came to be later than this (RFC 3339)
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    created_after: Option<DateTime<Utc>>,
    /// Only those that came to be earlier than this (RFC 3339)
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    created_before: Option<DateTime<Utc>>,
    /// Their order: `created_at`, `-created_at`, `email` or `-email`; `-` is the other way round
    #[arg(
        long,
        value_name = "ORDER",
        default_value = "created_at",
        allow_hyphen_values = true,
        value_parser = parse_sort
    )]
    sort: UserSort,
    /// How many at most; all of them where it isn't said
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
}

/// What addresses and names begin with; none for the empty text, as everything begins with it.
#[derive(Clone, Debug)]
pub(in crate::cli) struct Prefix(Option<SearchPrefix>);

impl std::str::FromStr for Prefix {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        SearchPrefix::parse(text)
            .map(Self)
            .map_err(|fault| fault.detail().to_owned())
    }
}

fn parse_sort(text: &str) -> Result<UserSort, String> {
    UserSort::from_name(text).ok_or_else(|| "must be created_at, -created_at, email or -email".to_owned())
}

pub(super) async fn list(
    context: &Context,
    state: &AppState,
    arguments: Arguments,
) -> Result<(), StartError> {
    let wanted = UserSearch {
        prefix: arguments.q.and_then(|prefix| prefix.0),
        email: arguments.email.map(|email| email.0),
        role: arguments.role,
        status: arguments.status,
        created_after: arguments.created_after,
        created_before: arguments.created_before,
        sort: arguments.sort,
    };
    let mut listing = Listing::new(&context.output, &["EMAIL", "STATUS", "ROLES", "ID"]);
    let listed = pages(state, &wanted, arguments.limit, &mut listing).await;
    listing.end(listed)
}

async fn pages(
    state: &AppState,
    wanted: &UserSearch,
    limit: Option<u64>,
    listing: &mut Listing,
) -> Result<(), Stop> {
    let mut left = limit.unwrap_or(u64::MAX);
    let mut after = None;
    loop {
        // A page may be short, or empty, and lead on all the same.
        let (accounts, next) = service::search(state, wanted.clone(), after, PAGE.min(left)).await?;
        let rows = accounts
            .iter()
            .map(AdminUserResponse::of)
            .collect::<Result<Vec<_>, _>>()?;
        listing.page(&rows, cells)?;
        left = left.saturating_sub(rows.len() as u64);
        if next.is_none() || left == 0 {
            return Ok(());
        }
        after = next;
    }
}

fn cells(account: &AdminUserResponse<'_>) -> Vec<String> {
    vec![
        account.email.to_owned(),
        account.status.to_owned(),
        or_dash(account.roles.join(",")),
        account.id.to_string(),
    ]
}
