//! Logs: one line for each record, through `env_logger`, as text for people or JSON for machines.

mod queue;

use std::fmt::Write as _;
use std::io::{self, Write};

use chrono::SecondsFormat;
use env_logger::fmt::Formatter;
use log::Record;
use log::kv::{self, Key, Value, VisitSource};
use serde_json::Map;

use crate::clock::{Clock as _, SystemClock};
use crate::config::{LogConfig, LogFormat};

pub use queue::Flush;

/// Starts logging to standard error, through a queue. Called once; a second call changes nothing. What it
/// gives waits for the last lines when it is dropped; none where lines are written directly.
pub fn start(config: &LogConfig) -> Option<Flush> {
    let mut builder = env_logger::Builder::new();
    // Libraries tell their own steps at info: a server's log has room for its requests instead.
    for library in ["actix_server", "sea_orm_migration", "sqlx"] {
        builder.filter_module(library, log::LevelFilter::Warn);
    }
    // A head that it refuses is an error to it. The request has its own line, and anybody can send one.
    builder.filter_module("actix_http::h1::dispatcher", log::LevelFilter::Off);
    builder.parse_filters(&config.filter);
    let notice: queue::Notice = match config.format {
        LogFormat::Text => dropped_in_text,
        LogFormat::Json => dropped_in_json,
    };
    let flush = match queue::start(io::stderr(), notice) {
        Ok((queue, flush)) => {
            builder.target(env_logger::Target::Pipe(Box::new(queue)));
            Some(flush)
        }
        // Slower, and no reason not to serve.
        Err(_) => None,
    };
    match config.format {
        LogFormat::Text => builder.format(text),
        LogFormat::Json => builder.format(json),
    };
    let _ = builder.try_init();
    // One record, where the default would write several lines of its own form.
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map_or_else(String::new, ToString::to_string);
        let message = panic.payload_as_str().unwrap_or("a panic without a message");
        log::error!(place = place.as_str(); "panic: {message}");
    }));
    flush
}

fn text(out: &mut Formatter, record: &Record<'_>) -> io::Result<()> {
    let mut line = format!(
        "{} {:5} {}",
        out.timestamp_millis(),
        record.level(),
        escape(&record.args().to_string())
    );
    let _ = record.key_values().visit(&mut TextFields(&mut line));
    writeln!(out, "{line}")
}

struct TextFields<'a>(&'a mut String);

impl<'kvs> VisitSource<'kvs> for TextFields<'_> {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), kv::Error> {
        let _ = write!(self.0, " {key}={}", escape(&value.to_string()));
        Ok(())
    }
}

/// One record is one line, whatever a client has put into it.
fn escape(text: &str) -> String {
    if text.chars().any(char::is_control) {
        text.escape_debug().to_string()
    } else {
        text.to_owned()
    }
}

fn json(out: &mut Formatter, record: &Record<'_>) -> io::Result<()> {
    let mut line = Map::new();
    line.insert("time".into(), out.timestamp_millis().to_string().into());
    line.insert("level".into(), record.level().as_str().to_lowercase().into());
    line.insert("target".into(), record.target().into());
    line.insert("message".into(), record.args().to_string().into());
    let _ = record.key_values().visit(&mut JsonFields(&mut line));
    writeln!(out, "{}", serde_json::Value::Object(line))
}

fn dropped(lines: u64) -> (String, String) {
    (
        SystemClock.now().to_rfc3339_opts(SecondsFormat::Millis, true),
        format!("{lines} log lines were dropped: nobody read them fast enough"),
    )
}

fn dropped_in_text(lines: u64) -> String {
    let (time, message) = dropped(lines);
    format!("{time} WARN  {message}\n")
}

fn dropped_in_json(lines: u64) -> String {
    let (time, message) = dropped(lines);
    let line =
        serde_json::json!({"time": time, "level": "warn", "target": module_path!(), "message": message});
    format!("{line}\n")
}

struct JsonFields<'a>(&'a mut Map<String, serde_json::Value>);

impl<'kvs> VisitSource<'kvs> for JsonFields<'_> {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), kv::Error> {
        let field = value
            .to_u64()
            .map_or_else(|| value.to_string().into(), serde_json::Value::from);
        self.0.insert(key.as_str().to_owned(), field);
        Ok(())
    }
}
