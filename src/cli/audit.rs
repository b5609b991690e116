//! `roster audit`: whether the audit trail is as it was written, and the trail itself.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use chrono::TimeDelta;
use clap::Subcommand;
use serde_json::json;

use super::Context;
use super::audit_list;
use super::output::{Lines, progress};
use super::users::time;
use crate::app::AppState;
use crate::audit::service::{self, Export, VerifyError};
use crate::audit::{Broken, Verdict};
use crate::domain::{Actor, Origin};
use crate::error::ApiError;
use crate::startup::{StartError, cause_alone};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Check every event, and name the first one that was changed, removed or inserted
    Verify {
        /// An earlier export: its head must be signed, and every event of it must still be where it was
        #[arg(long, value_name = "FILE")]
        against: Option<PathBuf>,
        /// The key (`kid`) that the export is signed with, where it was noted
        // One in 64 begins with a hyphen.
        #[arg(long, value_name = "KID", requires = "against", allow_hyphen_values = true)]
        signed_by: Option<String>,
    },
    /// List events, the newest first
    #[command(after_help = audit_list::EXAMPLES)]
    List(audit_list::Arguments),
    /// Print the trail as JSON lines: a signed head, then every event in order
    Export,
}

pub(super) async fn run(context: &Context, command: Command) -> Result<(), StartError> {
    let on_state = async |state: &AppState| match command {
        Command::Verify { against, signed_by } => verify(context, state, against.as_deref(), signed_by).await,
        Command::List(arguments) => audit_list::list(context, state, arguments).await,
        Command::Export => export(state).await,
    };
    context.with_state(on_state).await
}

/// How long an event may wait: a running server seals within a second or two, and tries again within a minute.
const LATE: TimeDelta = TimeDelta::minutes(5);

async fn verify(
    context: &Context,
    state: &AppState,
    against: Option<&Path>,
    signed_by: Option<String>,
) -> Result<(), StartError> {
    let export = match against {
        Some(path) => Some(open(path)?.signed_by(signed_by)),
        None => None,
    };
    let verdict = service::verify(state, export)
        .await
        .map_err(|error| match (error, against) {
            (VerifyError::Export(fault), Some(path)) => {
                StartError::new(format!("{} {fault}", path.display()))
            }
            (VerifyError::Export(fault), None) => StartError::new(format!("the export {fault}")),
            (VerifyError::Failed(error), _) => cause_alone(error),
        })?;
    let Verdict {
        broken,
        sealed,
        compared,
        exported_at,
        unsealed,
        oldest_unsealed_at,
        removed_by_age,
    } = &verdict;
    // A clock that was set back is no reason for an age below zero.
    let age = oldest_unsealed_at.map(|at| (state.ambient.now() - at).max(TimeDelta::zero()));
    let data = json!({
        "is_intact": broken.is_none(),
        "fault": broken.as_ref().map(fault),
        "sealed": sealed,
        "compared": compared,
        "exported_at": exported_at,
        "unsealed": unsealed,
        "oldest_unsealed_seconds": age.map(|age| age.num_seconds()),
        "removed_by_age": removed_by_age,
    });
    if let Some(age) = age
        && age > LATE
    {
        log::warn!(
            "events wait to be sealed for {}: no server has run since, or it can't seal, and its log says why",
            duration(age)
        );
    }
    if let Some(broken) = broken {
        if context.output.is_json() {
            context.output.data(&data, ToString::to_string)?;
        }
        return Err(StartError::new(format!(
            "the audit trail isn't as it was written: {broken}"
        )));
    }
    context.output.data(&data, |_| {
        let waiting = age.map_or_else(String::new, |age| format!(" (the oldest for {})", duration(age)));
        let found = exported_at.map_or_else(String::new, |at| {
            let at = time(at);
            format!("; {compared} of them are those of the export, to the letter, which was made at {at}")
        });
        format!(
            "the audit trail is as it was written: {sealed} events are sealed, {unsealed} wait to be{waiting}, \
             {removed_by_age} were removed because of their age{found}"
        )
    })
}

/// A length of time in its largest unit.
fn duration(time: TimeDelta) -> String {
    for (count, unit) in [
        (time.num_days(), "d"),
        (time.num_hours(), "h"),
        (time.num_minutes(), "min"),
    ] {
        if count > 0 {
            return format!("{count} {unit}");
        }
    }
    format!("{} s", time.num_seconds())
}

fn fault(broken: &Broken) -> serde_json::Value {
    match broken {
        Broken::Changed { number, id } => json!({"kind": "changed", "number": number, "id": id}),
        Broken::Removed { number } => json!({"kind": "removed", "number": number}),
        Broken::Inserted { id } => json!({"kind": "inserted", "id": id}),
        Broken::Head => json!({"kind": "head"}),
        Broken::Forked { number } => json!({"kind": "forked", "number": number}),
        Broken::Differs { number, members } => {
            json!({"kind": "differs", "number": number, "members": members})
        }
    }
}

fn open(path: &Path) -> Result<Export, StartError> {
    let file = File::open(path)
        .map_err(|error| StartError::new(format!("cannot read {}: {error}", path.display())))?;
    Export::open(BufReader::new(file)).map_err(|fault| StartError::new(format!("{} {fault}", path.display())))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_of_time_is_told_in_its_largest_unit() {
        for (seconds, told) in [
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 min"),
            (3599, "59 min"),
            (7200, "2 h"),
            (86_400 * 3 + 1, "3 d"),
        ] {
            assert_eq!(duration(TimeDelta::seconds(seconds)), told);
        }
    }
}
