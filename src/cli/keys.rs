//! `roster keys`: the keys that sign access tokens.

use chrono::SecondsFormat;
use clap::Subcommand;

use super::Context;
use super::dry_run::DryRun;
use super::output::{confirm, table};
use crate::audit::Trail;
use crate::clock::Ambient;
use crate::config::Need;
use crate::domain::{Actor, Origin};
use crate::keys::service::{self, JWKS_MAX_AGE, KeyMaker};
use crate::keys::{FOLLOW_EVERY, KeySummary};
use crate::security::Sealer;
use crate::startup::{self, StartError, cause_alone};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List the keys
    List,
    /// Let the next key sign; tokens of the present one stay good until they expire
    Rotate {
        #[command(flatten)]
        dry_run: DryRun,
    },
    /// Take a key out of use at once: every token that it has signed is refused
    Retire {
        /// The key's id (`kid`), as `roster keys list` shows it
        // One in 64 begins with a hyphen.
        #[arg(allow_hyphen_values = true)]
        id: String,
        /// Don't ask
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        dry_run: DryRun,
    },
}

pub(super) async fn run(context: &Context, command: Command) -> Result<(), StartError> {
    let config = context.load(Need::Everything)?.config;
    let ambient = Ambient::system();
    let (db, secret) = startup::open(&config, &ambient).await?;
    let sealer = startup::sealer(&secret)?;
    let trail = startup::trail(&secret, &ambient)?;
    let maker = KeyMaker::new(db.clone(), ambient, &config);
    let result = run_on(context, &maker, &sealer, &trail, command).await;
    startup::close(&db, &trail, context.may_change).await;
    result
}

async fn run_on(
    context: &Context,
    maker: &KeyMaker,
    sealer: &Sealer,
    trail: &Trail,
    command: Command,
) -> Result<(), StartError> {
    let within = FOLLOW_EVERY.as_secs();
    match command {
        Command::List => {
            let keys = service::list(maker).await.map_err(cause_alone)?;
            context.output.data(&keys, |keys| {
                table(
                    &["ID", "ALGORITHM", "STATE", "CREATED"],
                    &keys.iter().map(cells).collect::<Vec<_>>(),
                )
            })
        }
        Command::Rotate { dry_run } => {
            let maker = &rehearsing(maker, dry_run);
            // Keys that can't be opened can't be rotated either: fail before anything is changed.
            if maker.has_keys().await.map_err(cause_alone)? {
                maker.check(sealer).await.map_err(cause_alone)?;
            }
            let id = service::rotate(maker, sealer, trail, Actor::Operator, &Origin::default())
                .await
                .map_err(cause_alone)?;
            if dry_run.is_on() {
                return context.output.would(&format!("{id} would sign from now on"));
            }
            let keys = service::list(maker).await.map_err(cause_alone)?;
            let published = keys.iter().find(|key| key.id == id).map(|key| key.created_at);
            let is_fresh = published.is_some_and(|at| {
                let age = (maker.ambient.now() - at).to_std().unwrap_or_default();
                age < JWKS_MAX_AGE
            });
            let warning = if is_fresh {
                format!(
                    ". It was published a moment ago: services that keep the key set may refuse its tokens for up to {} \
                     minutes",
                    JWKS_MAX_AGE.as_secs() / 60
                )
            } else {
                String::new()
            };
            context.output.done(&format!(
                "{id} signs from now on; running servers follow within {within} seconds{warning}"
            ))
        }
        Command::Retire { id, yes, dry_run } => {
            let keys = service::list(maker).await.map_err(cause_alone)?;
            // Nobody is asked about a key that isn't there: the service says so.
            if let Some(key) = keys.iter().find(|key| key.id == id)
                && !dry_run.is_on()
            {
                let question = format!(
                    "Take the {} key {id} out of use for good? Every token that it has signed is refused.",
                    key.state
                );
                confirm(&question, yes)?;
            }
            let maker = &rehearsing(maker, dry_run);
            service::retire(maker, sealer, trail, &id, Actor::Operator, &Origin::default())
                .await
                .map_err(cause_alone)?;
            if dry_run.is_on() {
                return context.output.would(&format!(
                    "{id} would be out of use, and every token that it has signed refused"
                ));
            }
            context.output.done(&format!(
                "{id} is out of use; running servers follow within {within} seconds"
            ))
        }
    }
}

/// In a dry run, one whose database takes everything back.
fn rehearsing(maker: &KeyMaker, dry_run: DryRun) -> KeyMaker {
    KeyMaker {
        db: dry_run.on_db(&maker.db),
        ..maker.clone()
    }
}

fn cells(key: &KeySummary) -> Vec<String> {
    vec![
        key.id.clone(),
        key.algorithm.to_owned(),
        key.state.to_owned(),
        key.created_at.to_rfc3339_opts(SecondsFormat::Secs, true),
    ]
}
