//! The command line: a file for each command. Commands call the same services as the API, so they obey the same
//! policy and leave the same audit rows.

mod audit;
mod audit_list;
mod clients;
mod config;
mod dry_run;
mod health;
mod keys;
mod mail;
mod migrate;
mod output;
mod serve;
mod transfer;
mod users;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

use crate::app::AppState;
use crate::clock::Ambient;
use crate::config::{Config, Loaded, LogConfig, LogFormat, Need, Sources};
use crate::startup::{self, StartError};
use crate::{routes, telemetry};

use output::Output;

const AFTER_HELP: &str = "\
With no configuration at all, `roster serve` keeps its data in data/roster.db (SQLite) and listens on 127.0.0.1:8000.
Settings come from config/default.toml, config/$ROSTER_ENV.toml, --config FILE, .env (in development) and variables
such as ROSTER__SERVER__PORT, DATABASE_URL and PORT, the later ones winning. `roster config show` lists all of them.

Exit codes: 0 success, 1 failure, 2 usage error.";

/// User accounts you run yourself: one binary with a secure, documented HTTP API.
#[derive(Debug, Parser)]
#[command(name = "roster", version, after_help = AFTER_HELP, arg_required_else_help = true)]
pub struct Cli {
    /// One more configuration file (TOML), above config/*.toml and below variables
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print data as JSON
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the API
    Serve,
    /// Change or show the state of the database schema
    #[command(subcommand)]
    Migrate(migrate::Command),
    /// Manage accounts
    #[command(subcommand)]
    Users(users::Command),
    /// Manage the keys that sign access tokens
    #[command(subcommand)]
    Keys(keys::Command),
    /// Manage the services that may ask about tokens
    #[command(subcommand)]
    Clients(clients::Command),
    /// Check or hand out the audit trail
    #[command(subcommand)]
    Audit(audit::Command),
    /// See to the mails that wait to be sent
    #[command(subcommand)]
    Mail(mail::Command),
    /// Check or show the configuration
    #[command(subcommand)]
    Config(config::Command),
    /// Print the OpenAPI document
    Openapi,
    /// Ask the running server whether it is ready
    Health,
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// What is common to all commands.
#[derive(Debug)]
struct Context {
    sources: Sources,
    output: Output,
    /// Whether the command may leave events.
    may_change: bool,
}

impl Context {
    fn load(&self, need: Need) -> Result<Loaded, StartError> {
        Config::load(&self.sources, need).map_err(startup::start_error)
    }

    /// Runs a command that isn't the server on the state that services work on.
    async fn with_state(
        &self,
        command: impl AsyncFnOnce(&AppState) -> Result<(), StartError>,
    ) -> Result<(), StartError> {
        let config = self.load(Need::Everything)?.config;
        let ambient = Ambient::system();
        let (db, secret) = startup::open(&config, &ambient).await?;
        let state = startup::open_state(config, ambient, db, &secret).await?;
        let result = command(&state).await;
        startup::close(&state.db, &state.trail, self.may_change).await;
        result
    }
}

impl Command {
    /// Whether it may leave events. The others write nothing, and an export of the trail seals it itself.
    const fn may_change(&self) -> bool {
        match self {
            Self::Users(command) => !matches!(
                command,
                users::Command::List { .. } | users::Command::Show { .. } | users::Command::Schemes
            ),
            Self::Keys(command) => !matches!(command, keys::Command::List),
            Self::Clients(command) => !matches!(command, clients::Command::List),
            Self::Mail(command) => !matches!(
                command,
                mail::Command::List { .. } | mail::Command::Preview { .. }
            ),
            _ => false,
        }
    }
}

/// Runs a command.
#[must_use]
pub fn run(cli: Cli) -> ExitCode {
    let context = Context {
        sources: Sources::from_process(cli.config),
        output: Output::new(cli.json),
        may_change: cli.command.may_change(),
    };
    // Only the server logs what it does; a command says what it has to say itself.
    let last_lines = match cli.command {
        Command::Serve => None,
        _ => telemetry::start(&LogConfig {
            format: LogFormat::Text,
            filter: "warn,sqlx=error".to_owned(),
        }),
    };
    let result = match cli.command {
        Command::Serve => block_on(serve::run(&context)),
        Command::Migrate(command) => block_on(migrate::run(&context, command)),
        Command::Users(command) => block_on(users::run(&context, command)),
        Command::Keys(command) => block_on(keys::run(&context, command)),
        Command::Clients(command) => block_on(clients::run(&context, command)),
        Command::Audit(command) => block_on(audit::run(&context, command)),
        Command::Mail(command) => block_on(mail::run(&context, command)),
        Command::Config(command) => config::run(&context, &command),
        Command::Openapi => routes::document_json()
            .map_err(startup::start_error)
            .and_then(|json| output::print(json.trim_end())),
        Command::Health => block_on(health::run(&context)),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "roster", &mut script);
            output::print(String::from_utf8_lossy(&script).trim_end())
        }
    };
    drop(last_lines);
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::fail(&error);
            ExitCode::FAILURE
        }
    }
}

fn block_on(command: impl Future<Output = Result<(), StartError>>) -> Result<(), StartError> {
    // Background work of the server runs here; requests have threads of their own.
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(|error| StartError::new(format!("cannot start a runtime: {error}")))?
        .block_on(command)
}
