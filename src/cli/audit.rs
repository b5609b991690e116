//! `roster audit`: whether the audit trail is as it was written, and the trail itself.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader};
use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde_json::json;

use super::Context;
use super::output::{Lines, progress};
use crate::app::AppState;
use crate::audit::service::{self, ExportedHead};
use crate::audit::{Broken, Verdict};
use crate::domain::{Actor, Origin};
use crate::error::ApiError;
use crate::startup::{StartError, cause_alone};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Check every event, and name the first one that was changed, removed or inserted
    Verify {
        /// An earlier export: its last event must still be where it was
        #[arg(long, value_name = "FILE")]
        against: Option<PathBuf>,
    },
    /// Print the trail as JSON lines: a signed head, then every event in order
    Export,
}

pub(super) async fn run(context: &Context, command: Command) -> Result<(), StartError> {
    let state = context.open_state().await?;
    let result = match command {
        Command::Verify { against } => verify(context, &state, against.as_deref()).await,
        Command::Export => export(&state).await,
    };
    state.db.close().await;
    result
}

async fn verify(context: &Context, state: &AppState, against: Option<&Path>) -> Result<(), StartError> {
    let exported = against.map(read_head).transpose()?;
    let verdict = service::verify(state, exported.as_ref())
        .await
        .map_err(cause_alone)?;
    let Verdict {
        broken,
        sealed,
        unsealed,
        removed_by_age,
    } = &verdict;
    let data = json!({
        "is_intact": broken.is_none(),
        "fault": broken.as_ref().map(fault),
        "sealed": sealed,
        "unsealed": unsealed,
        "removed_by_age": removed_by_age,
    });
    if let Some(broken) = broken {
        if context.output.is_json() {
            context.output.data(&data, ToString::to_string)?;
        }
        return Err(StartError::new(format!(
            "the audit trail isn't as it was written: {broken}"
        )));
    }
    context.output.data(&data, |_| {
        format!(
            "the audit trail is as it was written: {sealed} events are sealed, {unsealed} wait to be, {removed_by_age} \
             were removed because of their age"
        )
    })
}

fn fault(broken: &Broken) -> serde_json::Value {
    match broken {
        Broken::Changed { number, id } => json!({"kind": "changed", "number": number, "id": id}),
        Broken::Removed { number } => json!({"kind": "removed", "number": number}),
        Broken::Inserted { id } => json!({"kind": "inserted", "id": id}),
        Broken::Head => json!({"kind": "head"}),
        Broken::Forked { number } => json!({"kind": "forked", "number": number}),
    }
}

fn read_head(path: &Path) -> Result<ExportedHead, StartError> {
    let explain = |error: io::Error| StartError::new(format!("cannot read {}: {error}", path.display()));
    let mut line = String::new();
    BufReader::new(File::open(path).map_err(explain)?)
        .read_line(&mut line)
        .map_err(explain)?;
    service::exported_head(&line).ok_or_else(|| {
        StartError::new(format!(
            "{} doesn't begin with the head of an export, as `roster audit export` prints it",
            path.display()
        ))
    })
}

async fn export(state: &AppState) -> Result<(), StartError> {
    let mut output = Lines::new();
    let mut bar = progress("events", None);
    let exported = service::export(state, Actor::Operator, &Origin::default(), |line| {
        bar.step(1);
        output.line(line)
    })
    .await;
    output.end(exported)
}

impl From<ApiError> for StartError {
    fn from(error: ApiError) -> Self {
        cause_alone(error)
    }
}
