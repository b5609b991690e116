//! `roster users sessions`: where somebody is signed in, and the end of that.

use clap::Args;
use uuid::Uuid;

use super::super::Context;
use super::super::dry_run::DryRun;
use super::super::output::{Listing, Stop, confirm};
use super::account::{AccountArgument, find, time};
use crate::app::AppState;
use crate::domain::{Actor, Origin, SessionId, UserId};
use crate::sessions::api::SessionResponse;
use crate::sessions::service;
use crate::startup::StartError;
use crate::users::AdminUser;

pub(super) const EXAMPLES: &str = "\
With --json, each line is a session.

Examples:
  roster users sessions ada@example.com
  roster users sessions ada@example.com --end
  roster users sessions ada@example.com --end --session 0190a5d0-3c5e-7b2f-8a41-0d6f2b7c9e13 --yes";

/// How many sessions are read at a time.
const PAGE: u64 = 200;

#[derive(Debug, Args)]
pub(in crate::cli) struct Arguments {
    /// The e-mail address, or the id
    #[arg(value_name = "EMAIL|ID")]
    account: AccountArgument,
    /// End them: access and refresh tokens are refused from the next request on
    #[arg(long)]
    end: bool,
    /// End this one only: its id, as this command shows it
    #[arg(long, value_name = "SESSION_ID", requires = "end", value_parser = parse_session)]
    session: Option<SessionId>,
    /// Don't ask
    #[arg(long, requires = "end")]
    yes: bool,
    #[command(flatten)]
    dry_run: DryRun,
}

fn parse_session(text: &str) -> Result<SessionId, String> {
    Uuid::try_parse(text)
        .map(SessionId::new)
        .map_err(|_| "a session's id is a UUID, as `roster users sessions` shows it".to_owned())
}

pub(super) async fn sessions(
    context: &Context,
    state: &AppState,
    arguments: Arguments,
) -> Result<(), StartError> {
    let seen = find(state, &arguments.account).await?;
    if arguments.end {
        return end(context, state, &seen, arguments).await;
    }
    let header = ["ID", "BEGAN", "LAST USED", "EXPIRES", "IP", "CLIENT"];
    let mut listing = Listing::new(&context.output, &header);
    let listed = pages(state, seen.user.id, &mut listing).await;
    listing.end(listed)
}

async fn pages(state: &AppState, id: UserId, listing: &mut Listing) -> Result<(), Stop> {
    let mut after = None;
    loop {
        let sessions = service::list(state, id, after, PAGE).await?;
        let rows: Vec<_> = sessions
            .iter()
            .map(|session| SessionResponse::of(session, None))
            .collect();
        listing.page(&rows, cells)?;
        match sessions.last() {
            Some(last) if sessions.len() as u64 == PAGE => after = Some(last.id),
            _ => return Ok(()),
        }
    }
}

fn cells(session: &SessionResponse<'_>) -> Vec<String> {
    vec![
        session.id.to_string(),
        time(session.created_at),
        time(session.last_used_at),
        time(session.expires_at),
        session.ip.unwrap_or("-").to_owned(),
        // A client says what it likes.
        session.user_agent.unwrap_or("-").escape_debug().to_string(),
    ]
}

async fn end(
    context: &Context,
    state: &AppState,
    seen: &AdminUser,
    arguments: Arguments,
) -> Result<(), StartError> {
    let Arguments {
        session,
        yes,
        dry_run,
        ..
    } = arguments;
    let email = &seen.user.email;
    let what = match session {
        Some(session) => format!("the session {session} of {email}"),
        None => format!("all sessions of {email} ({})", seen.sessions),
    };
    if !dry_run.is_on() {
        confirm(&format!("End {what}?"), yes)?;
    }
    let (state, actor, origin) = (dry_run.on(state), Actor::Operator, Origin::default());
    match session {
        Some(session) => service::end_one(&state, seen.user.id, session, actor, origin).await?,
        None => service::end_all(&state, seen.user.id, actor, origin).await?,
    }
    if dry_run.is_on() {
        return context.output.would(&format!("{what} would end"));
    }
    context.output.done(&match session {
        Some(session) => format!("the session {session} of {email} has ended"),
        None => format!("{email} has no session any more"),
    })
}
