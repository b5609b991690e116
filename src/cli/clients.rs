//! `roster clients`: the services that may ask about tokens.

use chrono::{DateTime, SecondsFormat, Utc};
use clap::Subcommand;
use serde::Serialize;
use uuid::Uuid;

use super::Context;
use super::dry_run::DryRun;
use super::output::{confirm, table};
use crate::app::AppState;
use crate::clients::{Client, service};
use crate::domain::{Actor, ClientId, ClientName, Origin};
use crate::startup::{StartError, start_error};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Register a service, and show its secret this one time
    Create {
        /// What to call it
        #[arg(value_parser = parse_name)]
        name: ClientName,
        #[command(flatten)]
        dry_run: DryRun,
    },
    /// List the registered services, without their secrets
    List,
    /// Remove a service: its questions are refused at once
    Delete {
        /// The client's id, as `roster clients list` shows it
        #[arg(value_parser = parse_id)]
        client_id: ClientId,
        /// Don't ask
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        dry_run: DryRun,
    },
}

fn parse_name(text: &str) -> Result<ClientName, String> {
    ClientName::parse(text).map_err(|fault| fault.detail().to_owned())
}

fn parse_id(text: &str) -> Result<ClientId, String> {
    ClientId::parse(text)
        .ok_or_else(|| "a client's id is a UUID, as `roster clients list` shows it".to_owned())
}

/// A client as an operator sees it.
#[derive(Serialize)]
struct Row<'a> {
    client_id: Uuid,
    /// Only of a client that was made just now.
    #[serde(skip_serializing_if = "Option::is_none")]
    client_secret: Option<&'a str>,
    name: &'a str,
    created_at: DateTime<Utc>,
}

impl<'a> Row<'a> {
    fn of(client: &'a Client, client_secret: Option<&'a str>) -> Self {
        Self {
            client_id: client.id.get(),
            client_secret,
            name: &client.name,
            created_at: client.created_at,
        }
    }

    fn created_at(&self) -> String {
        self.created_at.to_rfc3339_opts(SecondsFormat::Secs, true)
    }
}

pub(super) async fn run(context: &Context, command: Command) -> Result<(), StartError> {
    context
        .with_state(async |state| run_on(context, state, command).await)
        .await
}

async fn run_on(context: &Context, state: &AppState, command: Command) -> Result<(), StartError> {
    let actor = Actor::Operator;
    let origin = Origin::default();
    match command {
        Command::Create { name, dry_run } => {
            let (client, secret) = service::create(&dry_run.on(state), name, actor, origin)
                .await
                .map_err(start_error)?;
            if dry_run.is_on() {
                // An id and a secret that nobody will ever have aren't shown.
                return context
                    .output
                    .would(&format!("{} would be registered", client.name));
            }
            let secret = secret.expose();
            let server = state.config.server.public_url();
            context
                .output
                .data(&Row::of(&client, Some(&secret)), |row| created(row, &server))
        }
        Command::List => {
            let clients = service::list(state).await.map_err(start_error)?;
            let rows: Vec<_> = clients.iter().map(|client| Row::of(client, None)).collect();
            context.output.data(&rows, |rows| {
                let cells =
                    |row: &Row| vec![row.client_id.to_string(), row.created_at(), row.name.to_owned()];
                table(
                    &["CLIENT ID", "CREATED", "NAME"],
                    &rows.iter().map(cells).collect::<Vec<_>>(),
                )
            })
        }
        Command::Delete {
            client_id,
            yes,
            dry_run,
        } => {
            let client = service::find(state, client_id).await.map_err(start_error)?;
            let question = format!(
                "Remove {} ({client_id}) for good? Its questions are refused at once.",
                client.name
            );
            if !dry_run.is_on() {
                confirm(&question, yes)?;
            }
            service::delete(&dry_run.on(state), client_id, actor, origin)
                .await
                .map_err(start_error)?;
            if dry_run.is_on() {
                return context
                    .output
                    .would(&format!("{} ({client_id}) would be removed", client.name));
            }
            context
                .output
                .done(&format!("{} ({client_id}) is removed", client.name))
        }
    }
}

/// The one time that the secret is shown, and what to do with it.
fn created(row: &Row, server: &str) -> String {
    let rows = [
        ("client id", row.client_id.to_string()),
        ("client secret", row.client_secret.unwrap_or("-").to_owned()),
        ("name", row.name.to_owned()),
        ("created", row.created_at()),
    ];
    let rows = rows.map(|(name, value)| format!("{name:15} {value}")).join("\n");
    format!(
        "{rows}\n\nThe secret can't be shown again: only a digest of it is kept. Store it where the service keeps its \
         secrets.\nThe service asks about a token with HTTP Basic, the client id as user name and the secret as \
         password:\nPOST {server}/oauth/introspect with the form token=ACCESS_TOKEN."
    )
}
