//! CSV with a header: a row is an object of texts, without the cells that are empty.
//!
//! The reader is csv-core, the inner half of the csv crate: the outer half would hold a row of any length in memory.

use std::collections::BTreeSet;
use std::io::BufRead;

use csv_core::{ReadRecordResult, Reader};
use serde_json::{Map, Value};

use super::input::Input;
use super::row::Row;
use super::{MAX_ROW_BYTES, ReadFault, TakeRow};
use crate::transfer::model::Refusal;

/// The most columns of a table.
const MAX_COLUMNS: usize = 1024;

/// What a table's header must and may have.
#[derive(Clone, Copy)]
pub(super) struct Columns {
    /// Without these it isn't the table that it is said to be; of names with a `|`, either will do.
    pub required: &'static [&'static str],
    /// All that there may be; none where the system's owner may have added others.
    pub known: Option<&'static [&'static str]>,
}

impl Columns {
    fn check(&self, names: &[String]) -> Result<(), ReadFault> {
        let has = |wanted: &str| names.iter().any(|name| name == wanted);
        for required in self.required {
            if !required.split('|').any(has) {
                let required = required.replace('|', " or ");
                return Err(ReadFault::format(format!(
                    "must be CSV in UTF-8, separated by commas, with a header that has the column {required}"
                )));
            }
        }
        let mut seen = BTreeSet::new();
        for name in names {
            let shown = Refusal::new(name, "").member;
            if !seen.insert(name) {
                return Err(ReadFault::format(format!("has two columns of the name {shown}")));
            }
            if let Some(known) = self.known.filter(|known| !known.contains(&name.as_str())) {
                return Err(ReadFault::format(format!(
                    "must not have a column {shown}: there are {}",
                    known.join(", ")
                )));
            }
        }
        Ok(())
    }
}

/// Hands on each row.
pub(super) fn read<R: BufRead>(
    input: &mut Input<R>,
    columns: Columns,
    take: &mut TakeRow<'_>,
) -> Result<(), ReadFault> {
    let mut record = Record::default();
    if !record.read(input)? {
        return Err(ReadFault::format("is empty: a header is expected"));
    }
    let names = record
        .names()
        .map_err(|refusal| ReadFault::format(format!("has a header that {}", refusal.detail)))?;
    columns.check(&names)?;
    loop {
        skip_line_ends(input)?;
        let line = input.line();
        if !record.read(input)? {
            return Ok(());
        }
        if take(line, record.row(&names)).is_break() {
            return Ok(());
        }
    }
}

fn skip_line_ends<R: BufRead>(input: &mut Input<R>) -> Result<(), ReadFault> {
    while let Some(b'\r' | b'\n') = input.peek()? {
        input.advance(1)?;
    }
    Ok(())
}

/// One record, in memory that the next one uses again.
struct Record {
    reader: Reader,
    bytes: Vec<u8>,
    length: usize,
    ends: Vec<usize>,
    cells: usize,
    is_too_long: bool,
}

impl Default for Record {
    fn default() -> Self {
        Self {
            reader: Reader::new(),
            bytes: vec![0; 4096],
            length: 0,
            ends: vec![0; MAX_COLUMNS],
            cells: 0,
            is_too_long: false,
        }
    }
}

impl Record {
    /// Reads the next record; false at the end.
    fn read<R: BufRead>(&mut self, input: &mut Input<R>) -> Result<bool, ReadFault> {
        (self.length, self.cells, self.is_too_long) = (0, 0, false);
        loop {
            let bytes = self.bytes.get_mut(self.length..).unwrap_or_default();
            let ends = self.ends.get_mut(self.cells..).unwrap_or_default();
            let (result, read, written, ended) = self.reader.read_record(input.buffer()?, bytes, ends);
            input.advance(read)?;
            self.length = self.length.saturating_add(written);
            self.cells = self.cells.saturating_add(ended);
            match result {
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputFull if self.bytes.len() < MAX_ROW_BYTES && !self.is_too_long => {
                    self.bytes
                        .resize(self.bytes.len().saturating_mul(2).min(MAX_ROW_BYTES), 0);
                }
                // What is too long is read to its end, over and over into the same memory.
                ReadRecordResult::OutputFull | ReadRecordResult::OutputEndsFull => {
                    (self.length, self.cells, self.is_too_long) = (0, 0, true);
                }
                ReadRecordResult::Record => return Ok(true),
                ReadRecordResult::End => return Ok(false),
            }
        }
    }

    /// The cells of a header.
    fn names(&self) -> Result<Vec<String>, Refusal> {
        let names = self.cells()?.map(|cell| Ok(cell?.trim().to_owned()));
        names.collect()
    }

    fn cells(&self) -> Result<impl Iterator<Item = Result<&str, Refusal>>, Refusal> {
        if self.is_too_long {
            return Err(Refusal::row(format!(
                "must have at most {MAX_ROW_BYTES} bytes and {MAX_COLUMNS} cells"
            )));
        }
        let ends = self.ends.get(..self.cells).unwrap_or_default();
        let mut start = 0;
        Ok(ends.iter().map(move |end| {
            let cell = self.bytes.get(start..*end).unwrap_or_default();
            start = *end;
            std::str::from_utf8(cell).map_err(|_| Refusal::row("must be UTF-8"))
        }))
    }

    fn row(&self, names: &[String]) -> Result<Row, Refusal> {
        let cells = self.cells()?;
        if self.cells != names.len() {
            return Err(Refusal::row(format!(
                "must have as many cells as the header, {}, and has {}",
                names.len(),
                self.cells
            )));
        }
        let mut members = Map::new();
        for (name, cell) in names.iter().zip(cells) {
            let cell = cell.map_err(|refusal| Refusal::new(name, refusal.detail))?;
            // `\N` is no value at all, as MySQL writes it.
            if !cell.is_empty() && cell != "\\N" {
                members.insert(name.clone(), Value::String(cell.to_owned()));
            }
        }
        Ok(Row::new(members))
    }
}
