//! What a command prints: data on standard output, failures on standard error.

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
    let header: Vec<String> = header.iter().map(|&name| name.to_owned()).collect();
    let mut widths: Vec<usize> = header.iter().map(|cell| cell.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |row: &Vec<String>| {
        let cells = row
            .iter()
            .zip(&widths)
            .map(|(cell, &width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    std::iter::once(&header)
        .chain(rows)
        .map(line)
        .collect::<Vec<_>>()
        .join("\n")
}

/// Asks before something is destroyed. Only a person at a terminal is asked: a script has decided already.
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
