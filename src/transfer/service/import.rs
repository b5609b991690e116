//! Moving users in: a file is read on a thread of its own, a batch ahead of the database.

use std::fmt;
use std::io::BufRead;
use std::ops::ControlFlow;
use std::time::Instant;

use chrono::{DateTime, Utc};
use tokio::sync::mpsc;

use super::super::model::{NewRow, Outcome, Refusal, UserRecord};
use super::super::sources::{self, Checks, FirebaseConfig, ReadFault, Source};
use super::super::store;
use super::ending::Ending;
use super::pace::Pace;
use super::seen::Seen;
use crate::app::AppState;
use crate::audit::{self, AuditEvent};
use crate::clock::Ambient;
use crate::domain::{Actor, AuditAction, Origin, Role, UserId};
use crate::error::ApiError;
use crate::users::still_may_administer;

/// How many rows are read at a time, and go into one transaction at most.
pub(super) const BATCH: usize = 4000;
/// Fewer of them where what is kept with each has more bytes than this in all.
const HEAVY: usize = 4 << 20;
/// How many batches are read ahead: with the one that is being written, all that is in memory.
const AHEAD: usize = 1;

/// What is moved in, and by whom.
#[derive(Debug)]
pub struct Import {
    /// Where the file is from.
    pub source: Source,
    /// How Firebase has hashed, where it is from there.
    pub firebase: Option<FirebaseConfig>,
    /// Whether nothing is to be written.
    pub is_dry_run: bool,
    /// Who does it.
    pub actor: Actor,
    /// From where.
    pub origin: Origin,
}

/// What became of the rows so far. At the end of each batch, the last three add up to the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Rows that were read.
    pub read: u64,
    /// Accounts that were made, or would be.
    pub imported: u64,
    /// Rows whose address has an account already: nothing was changed.
    pub existing: u64,
    /// Rows that can't be taken.
    pub refused: u64,
}

impl Report {
    fn count(&mut self, outcomes: &[Outcome]) {
        for outcome in outcomes {
            match outcome {
                Outcome::Imported => self.imported += 1,
                Outcome::Existing => self.existing += 1,
                Outcome::IdTaken => self.refused += 1,
            }
        }
    }
}

/// Why an import didn't reach its end. What was imported before stays.
#[derive(Debug)]
pub enum ImportError {
    /// The file can't be read on.
    Read(ReadFault),
    /// The database, or whoever is told of refused rows.
    Failed(ApiError),
}

impl fmt::Display for ImportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(fault) => fault.fmt(f),
            Self::Failed(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ImportError {}

impl From<ApiError> for ImportError {
    fn from(error: ApiError) -> Self {
        Self::Failed(error)
    }
}

type ReadRow = (u64, Result<UserRecord, Refusal>);

/// Makes an account for every row whose address has none. The same file again does nothing, so an import that was
/// interrupted is gone on with by doing it again. `tell` hears of every batch: how far it has come, and which rows were
/// refused, with their lines.
///
/// Each transaction that made accounts has an audit row of its own, and so have each account that comes with roles and the
/// import as a whole, at its end; memory holds three batches, however long the file is, and in a dry run nine bytes for each
/// address and each id that would be new.
///
/// # Errors
/// [`ImportError`]; with [`ApiError::Forbidden`] where a user is no active admin any more: what was imported before stays.
pub async fn import(
    state: &AppState,
    import: Import,
    input: impl BufRead + Send + 'static,
    tell: impl FnMut(&Report, &[(u64, Refusal)]),
) -> Result<Report, ImportError> {
    let mut ending = Ending::of(state, &import);
    let moved = move_in(state, import, input, &mut ending.report, tell).await;
    let report = ending.report;
    let written = ending.write(moved.as_ref().err()).await;
    if let (Err(_), Err(error)) = (&moved, &written) {
        // What stopped the import is what there is to be told.
        log::warn!("the end of an import isn't in the audit trail: {error}");
    }
    moved?;
    written?;
    Ok(report)
}

async fn move_in(
    state: &AppState,
    mut import: Import,
    input: impl BufRead + Send + 'static,
    report: &mut Report,
    mut tell: impl FnMut(&Report, &[(u64, Refusal)]),
) -> Result<(), ImportError> {
    let (batches, mut received) = mpsc::channel(AHEAD);
    let checks = Checks::at(state.ambient.now());
    let (source, firebase) = (import.source, import.firebase.take());
    let reading =
        tokio::task::spawn_blocking(move || read(source, firebase.as_ref(), &checks, input, &batches));
    let mut seen = Seen::default();
    let mut pace = Pace::default();
    while let Some(batch) = received.recv().await {
        report.read += batch.len() as u64;
        let mut refused = Vec::new();
        let mut rows = Vec::with_capacity(batch.len());
        for (line, row) in batch {
            match row {
                Ok(record) => rows.push((line, record)),
                Err(refusal) => refused.push((line, refusal)),
            }
        }
        report.refused += refused.len() as u64;
        let lines: Vec<u64> = rows.iter().map(|(line, _)| *line).collect();
        let rows: Vec<NewRow> = rows
            .into_iter()
            .map(|(_, record)| new_row(&state.ambient, record))
            .collect();
        let outcomes = if import.is_dry_run {
            let outcomes = try_batch(state, rows, &mut seen).await?;
            report.count(&outcomes);
            outcomes
        } else {
            write_rows(state, &import, rows, &mut pace, report).await?
        };
        for (line, outcome) in lines.into_iter().zip(outcomes) {
            if outcome == Outcome::IdTaken {
                refused.push((line, Refusal::new("id", "is the id of another account")));
            }
        }
        refused.sort_by_key(|(line, _)| *line);
        tell(report, &refused);
    }
    match reading.await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(fault)) => Err(ImportError::Read(fault)),
        Err(ended) => Err(ApiError::internal(ended).into()),
    }
}

/// Reads the file into batches, until nobody takes them any more.
fn read(
    source: Source,
    firebase: Option<&FirebaseConfig>,
    checks: &Checks,
    input: impl BufRead,
    batches: &mpsc::Sender<Vec<ReadRow>>,
) -> Result<(), ReadFault> {
    let mut batch = Vec::new();
    let mut weight = 0;
    let mut each = |line: u64, row: Result<UserRecord, Refusal>| {
        weight += row.as_ref().map_or(0, |record| record.metadata.as_json().len());
        batch.push((line, row));
        if batch.len() < BATCH && weight < HEAVY {
            return ControlFlow::Continue(());
        }
        weight = 0;
        let full = std::mem::take(&mut batch);
        match batches.blocking_send(full) {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    };
    let ended = sources::read(source, firebase, checks, input, &mut each);
    if !batch.is_empty() {
        // Nobody takes them where the import has failed already.
        let _ = batches.blocking_send(batch);
    }
    ended
}

/// Fills in what the source doesn't know.
fn new_row(ambient: &Ambient, record: UserRecord) -> NewRow {
    let now = ambient.now();
    let created_at = record.created_at.unwrap_or(now);
    NewRow {
        id: record.id.unwrap_or_else(|| new_id(ambient, created_at)),
        created_at,
        updated_at: record.updated_at.unwrap_or(created_at),
        password_changed_at: record
            .password_changed_at
            .or_else(|| record.password_hash.as_ref().map(|_| created_at)),
        record,
    }
}

/// Ids are in order of registration, also of one that was elsewhere.
fn new_id(ambient: &Ambient, created_at: DateTime<Utc>) -> UserId {
    let mut chance = [0; 10];
    ambient.random.fill(&mut chance);
    let milliseconds = u64::try_from(created_at.timestamp_millis()).unwrap_or_default();
    UserId::new(uuid::Builder::from_unix_timestamp_millis(milliseconds, &chance).into_uuid())
}

/// Adds the rows of a batch, in as many transactions as it takes for others to have their turn. Each is counted when it is
/// committed: what comes after may fail.
async fn write_rows(
    state: &AppState,
    import: &Import,
    mut rows: Vec<NewRow>,
    pace: &mut Pace,
    report: &mut Report,
) -> Result<Vec<Outcome>, ApiError> {
    let mut outcomes = Vec::with_capacity(rows.len());
    while !rows.is_empty() {
        let rest = rows.split_off(rows.len().min(pace.rows()));
        let begun = Instant::now();
        let written = write_some(state, import, rows).await?;
        report.count(&written);
        outcomes.extend(written);
        if let Some(pause) = pace.took(begun.elapsed())
            && state.db.has_one_writer()
        {
            tokio::time::sleep(pause).await;
        }
        rows = rest;
    }
    Ok(outcomes)
}

async fn write_some(state: &AppState, import: &Import, rows: Vec<NewRow>) -> Result<Vec<Outcome>, ApiError> {
    let event = AuditEvent::success(
        &state.trail,
        AuditAction::UsersImported,
        import.actor,
        None,
        &import.origin,
    )
    .with("source", import.source.as_str());
    let roles: Vec<Option<AuditEvent>> = rows.iter().map(|row| roles_given(state, import, row)).collect();
    let actor = import.actor;
    state
        .db
        .write(move |writer| async move {
            let transaction = writer.begin().await?;
            // A file takes its time to arrive, and an admin may be none any more by now.
            still_may_administer(&transaction, actor).await?;
            let outcomes = store::insert(&*transaction, rows).await?;
            let imported = outcomes
                .iter()
                .filter(|outcome| **outcome == Outcome::Imported)
                .count();
            if imported > 0 {
                audit::record(&*transaction, event.with("imported", imported)).await?;
                let given: Vec<AuditEvent> = outcomes
                    .iter()
                    .zip(roles)
                    .filter(|(outcome, _)| **outcome == Outcome::Imported)
                    .filter_map(|(_, event)| event)
                    .collect();
                audit::record_all(&*transaction, given).await?;
            }
            transaction.commit().await?;
            Ok(outcomes)
        })
        .await
}

/// What the trail of an account says of the roles that it comes with: how somebody became an admin is asked there.
fn roles_given(state: &AppState, import: &Import, row: &NewRow) -> Option<AuditEvent> {
    let roles: Vec<&str> = row.record.roles.iter().map(Role::as_str).collect();
    if roles.is_empty() {
        return None;
    }
    let event = AuditEvent::success(
        &state.trail,
        AuditAction::RolesChanged,
        import.actor,
        Some(row.id),
        &import.origin,
    );
    Some(
        event
            .with("roles", roles)
            .with("roles_before", Vec::<String>::new()),
    )
}

/// What would become of these rows.
async fn try_batch(state: &AppState, rows: Vec<NewRow>, seen: &mut Seen) -> Result<Vec<Outcome>, ApiError> {
    // An id that the file doesn't have would be made anew, and is nobody's.
    let names: Vec<(String, Option<UserId>)> = rows
        .iter()
        .map(|row| (row.record.email.as_str().to_owned(), row.record.id))
        .collect();
    let asked = names.clone();
    let (emails, ids) = state
        .db
        .read(move |reader| {
            let asked = asked.clone();
            async move {
                let emails: Vec<&str> = asked.iter().map(|(email, _)| email.as_str()).collect();
                let ids: Vec<UserId> = asked.iter().filter_map(|(_, id)| *id).collect();
                store::present(&reader, &emails, &ids).await
            }
        })
        .await?;
    Ok(names
        .into_iter()
        .map(|(email, id)| {
            if emails.contains(&email) || seen.has(("email", &email)) {
                Outcome::Existing
            } else if id.is_some_and(|id| ids.contains(&id) || !seen.insert(("id", id))) {
                Outcome::IdTaken
            } else {
                // Only who would be imported takes an address from whoever comes later.
                seen.insert(("email", &email));
                Outcome::Imported
            }
        })
        .collect())
}
