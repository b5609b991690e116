//! What a command prints: data on standard output, failures on standard error.

use std::fmt::Write as _;
use std::io::{self, BufWriter, IsTerminal as _, StdoutLock, Write as _};
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::error::ApiError;
use crate::startup::StartError;

/// Where a command prints to, and how.
#[derive(Debug)]
pub(super) struct Output {
    json: bool,
}

impl Output {
    pub(super) const fn new(json: bool) -> Self {
        Self { json }
    }

    pub(super) const fn is_json(&self) -> bool {
        self.json
    }

    /// Prints data: as JSON where that was asked for, else as text.
    pub(super) fn data<T: Serialize>(
        &self,
        data: &T,
        text: impl FnOnce(&T) -> String,
    ) -> Result<(), StartError> {
        if self.json {
            let json = serde_json::to_string(data)
                .map_err(|error| StartError::new(format!("cannot print the data: {error}")))?;
            return print(&json);
        }
        print(&text(data))
    }

    /// Says that something was done; on standard output, so that it can be kept.
    pub(super) fn done(&self, message: &str) -> Result<(), StartError> {
        self.data(&serde_json::json!({ "done": message }), |_| message.to_owned())
    }

    /// Says what a dry run has found, in the place of what was done.
    pub(super) fn would(&self, message: &str) -> Result<(), StartError> {
        self.data(&serde_json::json!({ "dry_run": true, "would": message }), |_| {
            format!("{message} (a dry run: nothing was changed)")
        })
    }
}

/// Prints a text as it is.
pub(super) fn print(text: &str) -> Result<(), StartError> {
    or_enough(writeln!(io::stdout().lock(), "{text}").map_err(Stop::from))
}

/// Why no more is printed.
pub(super) enum Stop {
    /// Whoever reads has enough, as in `| head`.
    Enough,
    /// The lines can't be had, or can't be written.
    Failed(StartError),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            Self::Enough
        } else {
            Self::Failed(StartError::new(format!("cannot write the output: {error}")))
        }
    }
}

impl From<ApiError> for Stop {
    fn from(error: ApiError) -> Self {
        Self::Failed(error.into())
    }
}

fn or_enough(printed: Result<(), Stop>) -> Result<(), StartError> {
    match printed {
        Ok(()) | Err(Stop::Enough) => Ok(()),
        Err(Stop::Failed(error)) => Err(error),
    }
}

/// Prints lines, many of them, to a reader who may have enough before the last one.
pub(super) struct Lines(BufWriter<StdoutLock<'static>>);

impl Lines {
    pub(super) fn new() -> Self {
        Self(BufWriter::with_capacity(1 << 16, io::stdout().lock()))
    }

    /// Prints one. An error ends the work that the lines come from.
    pub(super) fn line(&mut self, text: &str) -> Result<(), Stop> {
        writeln!(self.0, "{text}").map_err(Stop::from)
    }

    /// Prints what is still held back, where the work came to its end; gives what is to be said of it.
    pub(super) fn end<T>(mut self, worked: Result<T, Stop>) -> Result<(), StartError> {
        or_enough(worked.and_then(|_| self.0.flush().map_err(Stop::from)))
    }
}

/// Says what went wrong. A fault of the configuration has a line for each of its faults.
pub(super) fn fail(error: &StartError) {
    let mut stderr = io::stderr().lock();
    for line in error.to_string().lines() {
        // Where standard error is gone, the exit code has to do.
        let _ = writeln!(stderr, "roster: {line}");
    }
}

/// Rows in columns, for people.
pub(super) fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let mut columns = Columns::default();
    let header: Vec<String> = header.iter().map(|&name| name.to_owned()).collect();
    let rows: Vec<&Vec<String>> = std::iter::once(&header).chain(rows).collect();
    columns.widen(rows.iter().copied());
    let lines: Vec<String> = rows.into_iter().map(|row| columns.line(row)).collect();
    lines.join("\n")
}

/// JSON for a terminal, where it came from users: characters that would be obeyed instead of shown are escaped, as JSON
/// allows for any character of a string. Serializers escape those below U+0020 alone.
pub(super) fn shown_json(json: &str) -> String {
    let mut shown = String::with_capacity(json.len());
    for character in json.chars() {
        let is_obeyed = character.is_control()
            || matches!(
                character,
                '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
            );
        if is_obeyed {
            // A `String` takes everything.
            let _ = write!(shown, "\\u{:04x}", u32::from(character));
        } else {
            shown.push(character);
        }
    }
    shown
}

/// How wide each column is, in characters.
#[derive(Default)]
struct Columns(Vec<usize>);

impl Columns {
    fn widen<'a>(&mut self, rows: impl Iterator<Item = &'a Vec<String>>) {
        for row in rows {
            self.0.resize(self.0.len().max(row.len()), 0);
            for (width, cell) in self.0.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
    }

    fn line(&self, row: &[String]) -> String {
        let cells = row
            .iter()
            .zip(&self.0)
            .map(|(cell, &width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    }
}

/// Prints a list that may be long, a page at a time as it is read: as a table with one header, or as JSON with one item a
/// line. A million items take no more memory than a page. The price is a column that grows wider half-way down.
pub(super) struct Listing {
    lines: Lines,
    columns: Columns,
    /// Until it is printed.
    header: Option<Vec<String>>,
    json: bool,
}

impl Listing {
    pub(super) fn new(output: &Output, header: &[&str]) -> Self {
        Self {
            lines: Lines::new(),
            columns: Columns::default(),
            header: Some(header.iter().map(|&name| name.to_owned()).collect()),
            json: output.json,
        }
    }

    /// Prints a page. An error ends the work that the pages come from.
    pub(super) fn page<T: Serialize>(
        &mut self,
        items: &[T],
        cells: impl Fn(&T) -> Vec<String>,
    ) -> Result<(), Stop> {
        if self.json {
            for item in items {
                let json = serde_json::to_string(item).map_err(|error| {
                    Stop::Failed(StartError::new(format!("cannot print the data: {error}")))
                })?;
                self.lines.line(&json)?;
            }
        } else {
            let rows: Vec<Vec<String>> = items.iter().map(cells).collect();
            // An empty page says nothing about the columns.
            if !rows.is_empty() {
                self.rows(&rows)?;
            }
        }
        // Whoever looks on sees a page when it is there.
        self.lines.0.flush().map_err(Stop::from)
    }

    /// Prints the header as well where nothing was printed yet: it is as wide as the first page.
    fn rows(&mut self, rows: &[Vec<String>]) -> Result<(), Stop> {
        let header = self.header.take();
        self.columns.widen(header.iter().chain(rows));
        for row in header.iter().chain(rows) {
            self.lines.line(&self.columns.line(row))?;
        }
        Ok(())
    }

    /// Ends the list; gives what is to be said of the work that its pages came from.
    pub(super) fn end(mut self, worked: Result<(), Stop>) -> Result<(), StartError> {
        let worked = worked.and_then(|()| {
            if self.json || self.header.is_none() {
                Ok(())
            } else {
                self.rows(&[])
            }
        });
        self.lines.end(worked)
    }
}

/// Asks before something is destroyed. Only a person at a terminal is asked: a script has decided already, and those that
/// there are say `users delete EMAIL` and no more. The price is that a script in the wrong place isn't stopped here.
pub(super) fn confirm(question: &str, yes: bool) -> Result<(), StartError> {
    if yes || !io::stdin().is_terminal() {
        return Ok(());
    }
    let explain = |error: io::Error| StartError::new(format!("cannot ask: {error}"));
    let mut stderr = io::stderr().lock();
    write!(stderr, "{question} [y/N] ")
        .and_then(|()| stderr.flush())
        .map_err(explain)?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).map_err(explain)?;
    if matches!(answer.trim(), "y" | "Y" | "yes") {
        Ok(())
    } else {
        Err(StartError::new("stopped: nothing was changed"))
    }
}

/// Counts what long work has done, on a terminal; out of `total`, where that is known, in the unit of the steps.
pub(super) fn progress(what: &'static str, total: Option<u64>) -> Progress {
    Progress {
        what,
        done: 0,
        total,
        is_shown: io::stderr().is_terminal(),
        shown_at: None,
    }
}

/// How far long work has come: one line on standard error that is written over, and nothing where that isn't a
/// terminal.
pub(super) struct Progress {
    what: &'static str,
    done: u64,
    total: Option<u64>,
    is_shown: bool,
    shown_at: Option<Instant>,
}

impl Progress {
    /// How often the line is written.
    const EVERY: Duration = Duration::from_millis(100);
    /// How many signs wide a full bar is.
    const WIDTH: u64 = 30;

    /// Makes room for a line of somebody else.
    pub(super) fn clear(&mut self) {
        if self.is_shown && self.shown_at.take().is_some() {
            let _ = write!(io::stderr().lock(), "\r\x1b[K");
        }
    }

    /// So much more is done.
    pub(super) fn step(&mut self, by: u64) {
        self.done += by;
        if !self.is_shown || self.shown_at.is_some_and(|at| at.elapsed() < Self::EVERY) {
            return;
        }
        self.shown_at = Some(Instant::now());
        let line = match self.total.filter(|&total| total > 0) {
            Some(total) => {
                let full = (self.done.min(total) * Self::WIDTH) / total;
                let bar: String = (0..Self::WIDTH)
                    .map(|at| if at < full { '#' } else { '.' })
                    .collect();
                format!("[{bar}] {:3} %", self.done.min(total) * 100 / total)
            }
            None => format!("{} {}", self.done, self.what),
        };
        // A progress bar that can't be shown is no reason to stop.
        let _ = write!(io::stderr().lock(), "\r{line}\x1b[K");
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_character_of_shown_json_is_obeyed_by_a_terminal() {
        let json = serde_json::json!({ "a": "\u{1b}[31m \u{9b}2J \u{7f} \u{202e} \u{2066} Öve \u{1f98a}" });
        let shown = shown_json(&json.to_string());
        assert_eq!(
            shown,
            "{\"a\":\"\\u001b[31m \\u009b2J \\u007f \\u202e \\u2066 Öve \u{1f98a}\"}"
        );
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), json);
    }
}
