//! JSON lines: an object a line.

use std::io::BufRead;

use super::input::{Bounded, Input};
use super::{ReadFault, TakeRow, json};

/// Hands on each line that isn't blank.
pub(super) fn read<R: BufRead>(input: &mut Input<R>, take: &mut TakeRow<'_>) -> Result<(), ReadFault> {
    let mut line = Bounded::default();
    loop {
        input.skip_white_space()?;
        if input.peek()?.is_none() {
            return Ok(());
        }
        let number = input.line();
        read_line(input, &mut line)?;
        if take(number, json::row(line.get())).is_break() {
            return Ok(());
        }
    }
}

fn read_line<R: BufRead>(input: &mut Input<R>, line: &mut Bounded) -> Result<(), ReadFault> {
    line.clear();
    loop {
        let buffer = input.buffer()?;
        let end = buffer.iter().position(|byte| *byte == b'\n');
        let bytes = buffer.get(..end.unwrap_or(buffer.len())).unwrap_or_default();
        let length = bytes.len();
        line.extend(bytes);
        input.advance(length)?;
        // What ends a line stays, for the next one to skip; at the end of the file there is nothing.
        if end.is_some() || length == 0 {
            return Ok(());
        }
    }
}
