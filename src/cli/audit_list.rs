//! `roster audit list`: what `GET /admin/audit` finds, all pages of it.

use chrono::{DateTime, Utc};
use clap::Args;
use clap::builder::PossibleValuesParser;

use super::Context;
use super::output::{Listing, Stop, shown_json};
use super::users::{AccountArgument, parse_time, time};
use crate::app::AppState;
use crate::audit::api::EventResponse;
use crate::audit::{EventFilter, service};
use crate::domain::{AuditAction, UserId};
use crate::startup::StartError;

pub(super) const EXAMPLES: &str = "\
Several filters narrow the list down together. With --json, each line is an event.

Examples:
  roster audit list --limit 20
  roster audit list --subject ada@example.com --action user.sign_in
  roster audit list --after 2026-01-31T00:00:00Z --json";

/// How many events are read at a time.
const PAGE: u64 = 200;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Only what this user did: an address, or an id, also of one who has left
    #[arg(long, value_name = "EMAIL|ID")]
    actor: Option<AccountArgument>,
    /// Only what was done to this user: likewise
    #[arg(long, value_name = "EMAIL|ID")]
    subject: Option<AccountArgument>,
    /// Only actions of this name
    #[arg(long, value_name = "NAME", value_parser = actions())]
    action: Option<String>,
    /// Only what happened then or later (RFC 3339)
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    after: Option<DateTime<Utc>>,
    /// Only what happened before then (RFC 3339)
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    before: Option<DateTime<Utc>>,
    /// How many at most; all of them where it isn't said
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
}

/// A misspelt action would find nothing, without a word.
fn actions() -> PossibleValuesParser {
    PossibleValuesParser::new(AuditAction::ALL.iter().map(|action| action.as_str()))
}

pub(super) async fn list(
    context: &Context,
    state: &AppState,
    arguments: Arguments,
) -> Result<(), StartError> {
    let filter = EventFilter {
        actor: id_of(state, arguments.actor).await?,
        subject: id_of(state, arguments.subject).await?,
        concerning: None,
        action: arguments.action,
        after: arguments.after,
        before: arguments.before,
    };
    let header = ["TIME", "ACTION", "OUTCOME", "ACTOR", "SUBJECT", "IP", "DETAILS"];
    let mut listing = Listing::new(&context.output, &header);
    let listed = pages(state, &filter, arguments.limit, &mut listing).await;
    listing.end(listed)
}

async fn id_of(state: &AppState, account: Option<AccountArgument>) -> Result<Option<UserId>, StartError> {
    match account {
        Some(account) => account.id(state).await.map(Some),
        None => Ok(None),
    }
}

async fn pages(
    state: &AppState,
    filter: &EventFilter,
    limit: Option<u64>,
    listing: &mut Listing,
) -> Result<(), Stop> {
    let mut left = limit.unwrap_or(u64::MAX);
    let mut before = None;
    loop {
        let wanted = PAGE.min(left);
        let entries = service::list(state, filter.clone(), before, wanted).await?;
        let events = entries
            .iter()
            .map(EventResponse::of)
            .collect::<Result<Vec<_>, _>>()?;
        listing.page(&events, cells)?;
        left = left.saturating_sub(wanted);
        match entries.last() {
            Some(last) if entries.len() as u64 == wanted && left > 0 => before = Some(last.id),
            _ => return Ok(()),
        }
    }
}

fn cells(event: &EventResponse<'_>) -> Vec<String> {
    vec![
        time(event.occurred_at),
        event.action.to_owned(),
        event.outcome.to_owned(),
        event
            .actor
            .id
            .map_or_else(|| event.actor.kind.to_owned(), |id| id.to_string()),
        event.subject.map_or_else(|| "-".to_owned(), |id| id.to_string()),
        event.ip.unwrap_or("-").to_owned(),
        shown_json(event.details.get()),
    ]
}
