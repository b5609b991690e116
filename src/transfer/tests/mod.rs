//! What is held of the readers: each source's sample, the lines of our own, the shapes of files, and what happens to
//! files that are cut or hostile.

mod firebase;
mod roster;
mod samples;
mod shapes;
mod table;

use std::ops::ControlFlow;

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::sources::{Checks, FirebaseConfig, ReadFault, Source, read};
use super::{Refusal, UserRecord};

/// A row as it was handed on, with its line.
type Row = (u64, Result<UserRecord, Refusal>);

fn now() -> DateTime<Utc> {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

fn sample(name: &str) -> Vec<u8> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/exports");
    std::fs::read(format!("{folder}/{name}")).unwrap()
}

fn firebase_config() -> FirebaseConfig {
    FirebaseConfig::parse(std::str::from_utf8(&sample("firebase-config.txt")).unwrap()).unwrap()
}

/// With every hash taken: whether one can be read is asked elsewhere.
fn read_all(source: Source, bytes: &[u8]) -> (Vec<Row>, Result<(), ReadFault>) {
    let config = firebase_config();
    let checks = Checks {
        now: now(),
        is_readable: |_| Ok(()),
    };
    let mut rows = Vec::new();
    let result = read(source, Some(&config), &checks, bytes, &mut |line, row| {
        rows.push((line, row));
        ControlFlow::Continue(())
    });
    (rows, result)
}

/// The rows of a file that is the format.
fn rows(source: Source, bytes: impl AsRef<[u8]>) -> Vec<Row> {
    let (rows, result) = read_all(source, bytes.as_ref());
    result.unwrap();
    rows
}

/// The only row of a file.
fn only(source: Source, bytes: impl AsRef<[u8]>) -> Result<UserRecord, Refusal> {
    let mut rows = rows(source, bytes);
    assert_eq!(rows.len(), 1);
    rows.remove(0).1
}

fn refusal(source: Source, bytes: impl AsRef<[u8]>) -> String {
    only(source, bytes).unwrap_err().to_string()
}

fn fault(source: Source, bytes: impl AsRef<[u8]>) -> String {
    read_all(source, bytes.as_ref()).1.unwrap_err().to_string()
}

fn metadata(user: &UserRecord) -> Value {
    serde_json::from_str(user.metadata.as_json()).unwrap()
}

fn hash(user: &UserRecord) -> &str {
    user.password_hash.as_ref().unwrap().expose()
}

fn time(text: &str) -> Option<DateTime<Utc>> {
    text.parse().ok()
}
