//! `roster users import`, `export` and `schemes`: users on their way in and out, and how their passwords are hashed.

use std::fs::File;
use std::io::{self, BufReader, Read, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use chrono::{DateTime, SecondsFormat, Utc};
use clap::Args;
use serde_json::json;

use super::Context;
use super::output::{Lines, progress, table};
use crate::app::AppState;
use crate::domain::{Actor, Origin};
use crate::schemes::{self, SchemeCount};
use crate::startup::{StartError, start_error};
use crate::transfer::Refusal;
use crate::transfer::service::{self, Import, ImportError, Report};
use crate::transfer::sources::{FirebaseConfig, Source};

#[derive(Debug, Args)]
pub(super) struct ImportArguments {
    /// The file, or - for standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// What it is from: roster, csv, django, fastapi-users, supabase, firebase, keycloak, auth0 or better-auth
    #[arg(long, value_name = "NAME")]
    from: Source,
    /// How Firebase has hashed: the password hash parameters that its console shows, unless FILE has them as `hash_config`
    #[arg(long, value_name = "FILE")]
    firebase_config: Option<PathBuf>,
    /// Write nothing, and say what would be done
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Args)]
pub(super) struct ExportArguments {
    /// Print the hashes of passwords as well
    #[arg(long)]
    with_password_hashes: bool,
}

/// Each refused row is said on standard error as it comes, and the sums at the end on standard output.
pub(super) async fn import(
    context: &Context,
    state: &AppState,
    arguments: ImportArguments,
) -> Result<(), StartError> {
    let ImportArguments {
        file,
        from,
        firebase_config,
        dry_run,
    } = arguments;
    let firebase = firebase_config.as_deref().map(read_firebase).transpose()?;
    let (input, length) = open(&file)?;
    let read = Arc::new(AtomicU64::new(0));
    let counted = BufReader::with_capacity(
        1 << 16,
        Counted {
            input,
            read: Arc::clone(&read),
        },
    );
    let import = Import {
        source: from,
        firebase,
        is_dry_run: dry_run,
        actor: Actor::Operator,
        origin: Origin::default(),
    };
    let db = state.db.for_loading().map_err(start_error)?;
    let state = AppState {
        db: db.clone(),
        ..state.clone()
    };
    let mut bar = progress("rows", length);
    let (mut bytes, mut rows) = (0, 0);
    let is_json = context.output.is_json();
    let report = service::import(&state, import, counted, |report, refused| {
        for (line, refusal) in refused {
            bar.clear();
            say(is_json, *line, refusal);
        }
        let come = read.load(Ordering::Relaxed);
        bar.step(if length.is_some() {
            come - bytes
        } else {
            report.read - rows
        });
        (bytes, rows) = (come, report.read);
    })
    .await;
    drop(bar);
    db.close().await;
    let report = report.map_err(|error| stopped(&error, dry_run))?;
    conclude(context, &report, dry_run)
}

/// Why there are no sums. Nobody is sent to do it again with a file that can't be read, or to go on from where nothing
/// was written.
fn stopped(error: &ImportError, is_dry_run: bool) -> StartError {
    let advice = match error {
        ImportError::Failed(_) if !is_dry_run => {
            "; what was imported before stays, and the same command goes on from there"
        }
        ImportError::Failed(_) | ImportError::Read(_) => "",
    };
    StartError::new(format!("the import stopped: {error}{advice}"))
}

fn conclude(context: &Context, report: &Report, dry_run: bool) -> Result<(), StartError> {
    let Report {
        read,
        imported,
        existing,
        refused,
    } = report;
    let data = json!({
        "dry_run": dry_run,
        "read": read,
        "imported": imported,
        "existing": existing,
        "refused": refused,
    });
    context.output.data(&data, |_| {
        let would = if dry_run { " would be" } else { "" };
        let read = rows(*read);
        format!("{read} read: {imported}{would} imported, {existing} there already, {refused} refused")
    })?;
    if *refused > 0 {
        let verb = if *refused == 1 { "was" } else { "were" };
        return Err(StartError::new(format!(
            "{refused} of {} {verb} refused",
            rows(*read)
        )));
    }
    Ok(())
}

fn rows(count: u64) -> String {
    let noun = if count == 1 { "row" } else { "rows" };
    format!("{count} {noun}")
}

fn say(is_json: bool, line: u64, refusal: &Refusal) {
    let mut stderr = io::stderr().lock();
    // Where standard error is gone, the sums at the end have to do.
    let _ = if is_json {
        let data = json!({"line": line, "member": refusal.member, "detail": refusal.detail});
        writeln!(stderr, "{data}")
    } else {
        writeln!(stderr, "line {line}: {refusal}")
    };
}

fn read_firebase(path: &Path) -> Result<FirebaseConfig, StartError> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| StartError::new(format!("cannot read {}: {error}", path.display())))?;
    FirebaseConfig::parse(&text).map_err(|fault| StartError::new(format!("{}: {fault}", path.display())))
}

/// The file and its length, where it has one.
fn open(path: &Path) -> Result<(Box<dyn Read + Send>, Option<u64>), StartError> {
    if path == Path::new("-") {
        return Ok((Box::new(io::stdin()), None));
    }
    let explain = |error: io::Error| StartError::new(format!("cannot read {}: {error}", path.display()));
    let file = File::open(path).map_err(explain)?;
    let metadata = file.metadata().map_err(explain)?;
    let length = metadata.is_file().then_some(metadata.len());
    Ok((Box::new(file), length))
}

/// Counts what was read.
struct Counted {
    input: Box<dyn Read + Send>,
    read: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(buffer)?;
        self.read.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

pub(super) async fn export(state: &AppState, arguments: ExportArguments) -> Result<(), StartError> {
    let mut output = Lines::new();
    let mut bar = progress("users", None);
    let origin = Origin::default();
    let with_hashes = arguments.with_password_hashes;
    let exported = service::export(state, with_hashes, Actor::Operator, &origin, |line| {
        bar.step(1);
        output.line(line)
    })
    .await;
    output.end(exported)
}

pub(super) async fn schemes(context: &Context, state: &AppState) -> Result<(), StartError> {
    let ledger = schemes::service::ledger(state).await?;
    let text = |at: Option<DateTime<Utc>>| {
        at.map_or_else(
            || "-".to_owned(),
            |at| at.to_rfc3339_opts(SecondsFormat::Secs, true),
        )
    };
    let rows: Vec<Vec<String>> = ledger
        .schemes
        .iter()
        .map(|count| {
            vec![
                count.scheme.clone(),
                count.cost.clone(),
                count.accounts.to_string(),
                text(count.oldest_login_at),
                count.never_signed_in.to_string(),
                text(count.retired_at),
            ]
        })
        .collect();
    let data = json!({
        "items": ledger.schemes.iter().map(scheme_data).collect::<Vec<_>>(),
        "without_password": ledger.without_password,
    });
    context.output.data(&data, |_| {
        let header = [
            "SCHEME",
            "COST",
            "ACCOUNTS",
            "OLDEST LOGIN",
            "NEVER SIGNED IN",
            "OUT OF USE FROM",
        ];
        let without = match ledger.without_password {
            1 => "1 account has no password".to_owned(),
            count => format!("{count} accounts have no password"),
        };
        format!("{}\n\n{without}", table(&header, &rows))
    })
}

fn scheme_data(count: &SchemeCount) -> serde_json::Value {
    json!({
        "scheme": count.scheme,
        "cost": count.cost,
        "accounts": count.accounts,
        "oldest_login_at": count.oldest_login_at,
        "never_signed_in": count.never_signed_in,
        "retired_at": count.retired_at,
    })
}
