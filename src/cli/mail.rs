//! `roster mail`: what waits to be sent, and what mails look like.

use std::collections::HashSet;

use chrono::{DateTime, SecondsFormat, Utc};
use clap::{Subcommand, ValueEnum};
use serde::Serialize;
use uuid::Uuid;

use super::Context;
use super::dry_run::DryRun;
use super::output::{confirm, print, table};
use crate::app::AppState;
use crate::config::Need;
use crate::domain::{Locale, MailId};
use crate::mail::service::{self, Contents, Rendered, Templates};
use crate::mail::{MailKind, QueuedMail};
use crate::startup::{StartError, start_error};

/// The most mails that are listed.
const MAX_LISTED: u64 = 1000;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List the mails that haven't been sent; one that was sent is gone
    List {
        /// Only those in this state
        #[arg(long)]
        state: Option<State>,
    },
    /// Have mails tried again at once; without an id, all that were given up
    Retry {
        /// Ids, as `roster mail list` shows them
        #[arg(value_parser = parse_id)]
        ids: Vec<MailId>,
        #[command(flatten)]
        dry_run: DryRun,
    },
    /// Remove mails without sending them; without an id, all that were given up
    Purge {
        /// Ids, as `roster mail list` shows them
        #[arg(value_parser = parse_id)]
        ids: Vec<MailId>,
        /// Don't ask
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        dry_run: DryRun,
    },
    /// Show what a mail looks like, with made-up contents
    Preview {
        /// Which mail: `verify_email`, `reset_password`, `invitation` …; a name that there isn't lists them all
        #[arg(value_parser = parse_template)]
        template: MailKind,
        /// The reader's language, as a BCP 47 tag
        #[arg(long, value_parser = parse_locale)]
        locale: Option<Locale>,
        /// The HTML, for a browser, and not the plain form
        #[arg(long)]
        html: bool,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum State {
    /// Waiting for the next attempt
    Queued,
    /// Given up
    Dead,
}

fn parse_id(text: &str) -> Result<MailId, String> {
    Uuid::try_parse(text)
        .map(MailId::new)
        .map_err(|_| "a mail's id is a UUID, as `roster mail list` shows it".to_owned())
}

fn parse_template(text: &str) -> Result<MailKind, String> {
    MailKind::from_name(text)
        .filter(|kind| kind.has_template())
        .ok_or_else(|| {
            let names: Vec<_> = MailKind::ALL
                .iter()
                .filter(|kind| kind.has_template())
                .map(|kind| kind.as_str())
                .collect();
            format!("the templates are {}", names.join(", "))
        })
}

fn parse_locale(text: &str) -> Result<Locale, String> {
    match Locale::parse(text) {
        Ok(Some(locale)) => Ok(locale),
        Ok(None) => Err("a language is missing".to_owned()),
        Err(fault) => Err(fault.detail().to_owned()),
    }
}

/// A mail as an operator sees it: neither its code nor its text.
#[derive(Serialize)]
struct Row<'a> {
    id: Uuid,
    state: &'a str,
    kind: &'a str,
    recipient: &'a str,
    attempts: i64,
    created_at: DateTime<Utc>,
    due_at: DateTime<Utc>,
    last_error: Option<&'a str>,
}

impl<'a> Row<'a> {
    fn of(queued: &'a QueuedMail) -> Self {
        Self {
            id: queued.mail.id.get(),
            state: if queued.is_dead { "dead" } else { "queued" },
            kind: queued.mail.kind.as_str(),
            recipient: &queued.mail.recipient,
            attempts: queued.attempts,
            created_at: queued.mail.created_at,
            due_at: queued.due_at,
            last_error: queued.last_error.as_deref(),
        }
    }

    fn cells(&self) -> Vec<String> {
        vec![
            self.id.to_string(),
            self.state.to_owned(),
            self.kind.to_owned(),
            self.recipient.to_owned(),
            self.attempts.to_string(),
            self.due_at.to_rfc3339_opts(SecondsFormat::Secs, true),
            self.last_error.unwrap_or("-").to_owned(),
        ]
    }
}

/// What a mail looks like.
#[derive(Serialize)]
struct Preview<'a> {
    subject: &'a str,
    text: &'a str,
    html: &'a str,
}

pub(super) async fn run(context: &Context, command: Command) -> Result<(), StartError> {
    if let Command::Preview {
        template,
        locale,
        html,
    } = command
    {
        return preview(context, template, locale.as_ref(), html);
    }
    context
        .with_state(async |state| run_on(context, state, command).await)
        .await
}

/// Needs no database: it's for whoever writes templates.
fn preview(
    context: &Context,
    template: MailKind,
    locale: Option<&Locale>,
    html: bool,
) -> Result<(), StartError> {
    let config = context.load(Need::Database)?.config;
    let templates = Templates::open(config.mail.template_dir.as_deref()).map_err(StartError::new)?;
    let Rendered {
        subject,
        text,
        html: page,
    } = templates
        .render(template, locale.map(Locale::as_str), &Contents::example(template))
        .map_err(StartError::new)?;
    let preview = Preview {
        subject: &subject,
        text: &text,
        html: &page,
    };
    if html && !context.output.is_json() {
        return print(page.trim_end());
    }
    context.output.data(&preview, |preview| {
        format!("Subject: {}\n\n{}", preview.subject, preview.text.trim_end())
    })
}

async fn run_on(context: &Context, state: &AppState, command: Command) -> Result<(), StartError> {
    match command {
        Command::List { state: wanted } => {
            let is_dead = wanted.map(|wanted| matches!(wanted, State::Dead));
            let mails = service::list(state, is_dead, MAX_LISTED)
                .await
                .map_err(start_error)?;
            let rows: Vec<_> = mails.iter().map(Row::of).collect();
            context.output.data(&rows, |rows| {
                table(
                    &["ID", "STATE", "KIND", "TO", "ATTEMPTS", "NEXT", "LAST ERROR"],
                    &rows.iter().map(Row::cells).collect::<Vec<_>>(),
                )
            })
        }
        Command::Retry { ids, dry_run } => {
            let named = distinct(&ids);
            let wanted = (!ids.is_empty()).then_some(ids);
            let count = service::retry(&dry_run.on(state), wanted)
                .await
                .map_err(start_error)?;
            tell(
                context,
                dry_run,
                named,
                count,
                ["will be tried at once", "would be tried at once"],
            )
        }
        Command::Purge { ids, yes, dry_run } => {
            let question = if ids.is_empty() {
                "Remove every mail that was given up?".to_owned()
            } else {
                let count = u64::try_from(ids.len()).unwrap_or(u64::MAX);
                format!("Remove {} for good, unsent?", mails(count))
            };
            if !dry_run.is_on() {
                confirm(&question, yes)?;
            }
            let named = distinct(&ids);
            let wanted = (!ids.is_empty()).then_some(ids);
            let count = service::purge(&dry_run.on(state), wanted)
                .await
                .map_err(start_error)?;
            let removed = if count == 1 { "is removed" } else { "are removed" };
            tell(context, dry_run, named, count, [removed, "would be removed"])
        }
        // Done before there was a database.
        Command::Preview { .. } => Ok(()),
    }
}

/// How many mails are named.
fn distinct(ids: &[MailId]) -> u64 {
    ids.iter().collect::<HashSet<_>>().len() as u64
}

/// Says what has become of so many mails, or would. A named one that isn't there is a failure: it was sent meanwhile, or its
/// id is mistyped. The others are done.
fn tell(
    context: &Context,
    dry_run: DryRun,
    named: u64,
    found: u64,
    [done, would_be]: [&str; 2],
) -> Result<(), StartError> {
    let missing = named.saturating_sub(found);
    if found > 0 || missing == 0 {
        let mails = mails(found);
        if dry_run.is_on() {
            context.output.would(&format!("{mails} {would_be}"))?;
        } else {
            context.output.done(&format!("{mails} {done}"))?;
        }
    }
    if missing > 0 {
        return Err(StartError::new(format!(
            "{missing} of the mails that were named ({named}) can't be found: see `roster mail list`"
        )));
    }
    Ok(())
}

fn mails(count: u64) -> String {
    match count {
        1 => "1 mail".to_owned(),
        count => format!("{count} mails"),
    }
}
