//! `roster migrate`: the state of the database schema. Needs nothing but the database's settings.

use clap::Subcommand;
use serde::Serialize;

use super::Context;
use super::dry_run::DryRun;
use super::output::{confirm, table};
use crate::config::Need;
use crate::db::DatabaseSettings;
use crate::db::schema::{SchemaManager, none_applied};
use crate::startup::{StartError, start_error};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Apply every migration that is pending
    Up {
        #[command(flatten)]
        dry_run: DryRun,
    },
    /// Take back the last migrations, and the data that hangs on them
    Down {
        /// How many
        #[arg(short, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
        n: u32,
        /// Don't ask
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        dry_run: DryRun,
    },
    /// List the migrations and whether they are applied
    Status,
    /// Remove all data of Roster's and begin with an empty schema
    Fresh {
        /// Don't ask
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        dry_run: DryRun,
    },
}

impl Command {
    const fn is_dry_run(&self) -> bool {
        match self {
            Self::Up { dry_run } | Self::Down { dry_run, .. } | Self::Fresh { dry_run, .. } => {
                dry_run.is_on()
            }
            Self::Status => false,
        }
    }
}

#[derive(Serialize)]
struct Row {
    name: String,
    applied: bool,
}

pub(super) async fn run(context: &Context, command: Command) -> Result<(), StartError> {
    let config = context.load(Need::Database)?.config;
    let settings = DatabaseSettings::new(&config.database, 1);
    if command.is_dry_run() {
        return preview(context, &settings, &command, config.database.url.redacted()).await;
    }
    let makes_file = matches!(command, Command::Up { .. } | Command::Fresh { .. });
    let settings = if makes_file {
        settings.create_if_missing()
    } else {
        settings
    };
    let place = config.database.url.redacted();
    match command {
        Command::Up { .. } => {
            let schema = SchemaManager::connect(&settings).await.map_err(start_error)?;
            let applied = schema.up().await.map_err(start_error)?;
            schema.close().await;
            context
                .output
                .data(&serde_json::json!({ "applied": applied }), |_| {
                    match applied.len() {
                        0 => "nothing to do: every migration is applied".to_owned(),
                        _ => format!("applied {}", applied.join(", ")),
                    }
                })
        }
        Command::Down { n, yes, .. } => {
            confirm(
                &format!("Take back {n} migrations of {place}, and lose the data in them?"),
                yes,
            )?;
            let schema = SchemaManager::connect(&settings).await.map_err(start_error)?;
            let taken_back = schema.down(n).await.map_err(start_error)?;
            schema.close().await;
            context.output.data(
                &serde_json::json!({ "taken_back": taken_back }),
                |_| match taken_back.len() {
                    0 => "nothing to do: no migration is applied".to_owned(),
                    _ => format!("took back {}", taken_back.join(", ")),
                },
            )
        }
        Command::Status => {
            let schema = SchemaManager::connect(&settings).await.map_err(start_error)?;
            let status = schema.status().await.map_err(start_error)?;
            schema.close().await;
            let rows: Vec<Row> = status
                .into_iter()
                .map(|state| Row {
                    name: state.name,
                    applied: state.is_applied,
                })
                .collect();
            context.output.data(&rows, |rows| {
                let cells = |row: &Row| {
                    vec![
                        row.name.clone(),
                        if row.applied { "applied" } else { "pending" }.to_owned(),
                    ]
                };
                table(
                    &["MIGRATION", "STATE"],
                    &rows.iter().map(cells).collect::<Vec<_>>(),
                )
            })
        }
        Command::Fresh { yes, .. } => {
            confirm(
                &format!("Remove every account and all other data of Roster's in {place}?"),
                yes,
            )?;
            let schema = SchemaManager::connect(&settings).await.map_err(start_error)?;
            schema.fresh().await.map_err(start_error)?;
            schema.close().await;
            context.output.done("the schema is fresh, and empty")
        }
    }
}

/// Says what a command would do. It looks only, makes no file, and holds nobody up; that a migration would fail half-way it can't tell,
/// but after such a failure nothing has been changed either.
async fn preview(
    context: &Context,
    settings: &DatabaseSettings,
    command: &Command,
    place: impl std::fmt::Display,
) -> Result<(), StartError> {
    let makes_file = matches!(command, Command::Up { .. } | Command::Fresh { .. });
    let status = if makes_file && settings.sqlite_file().is_some_and(|file| !file.exists()) {
        none_applied()
    } else {
        let schema = SchemaManager::connect(settings).await.map_err(start_error)?;
        let status = schema.status().await;
        schema.close().await;
        status.map_err(start_error)?
    };
    let names = |is_applied: bool| -> Vec<&str> {
        let meant = status.iter().filter(|state| state.is_applied == is_applied);
        meant.map(|state| state.name.as_str()).collect()
    };
    let message = match command {
        // It changes nothing in any case.
        Command::Status => return Ok(()),
        Command::Up { .. } => match names(false).as_slice() {
            [] => "nothing would be done: every migration is applied".to_owned(),
            pending => format!("{} would be applied", pending.join(", ")),
        },
        Command::Down { n, .. } => {
            let applied = names(true);
            let count = usize::try_from(*n).unwrap_or(usize::MAX);
            let last: Vec<&str> = applied.into_iter().rev().take(count).collect();
            match last.as_slice() {
                [] => "nothing would be done: no migration is applied".to_owned(),
                last => format!(
                    "{} would be taken back, and the data in them lost",
                    last.join(", ")
                ),
            }
        }
        Command::Fresh { .. } => format!(
            "every account and all other data of Roster's in {place} would be removed, and {} migrations applied anew",
            status.len()
        ),
    };
    context.output.would(&message)
}
