//! Bytes as they come, and the line that they are on.

use std::io::{BufRead, ErrorKind};

use super::{MAX_ROW_BYTES, ReadFault};

/// A file in UTF-8, from behind its byte order mark on.
pub(super) struct Input<R> {
    reader: R,
    line: u64,
}

impl<R: BufRead> Input<R> {
    /// Looks at the first bytes for the ways in which a good export is spoilt on its way here.
    pub(super) fn open(reader: R) -> Result<Self, ReadFault> {
        let mut input = Self { reader, line: 1 };
        match input.peek()? {
            Some(0xEF) => {
                for byte in [0xEF, 0xBB, 0xBF] {
                    if input.peek()? != Some(byte) {
                        return Err(ReadFault::format("must be UTF-8"));
                    }
                    input.advance(1)?;
                }
            }
            Some(0xFE | 0xFF) => return Err(ReadFault::format("is UTF-16: save it as UTF-8")),
            Some(0x1F) => return Err(ReadFault::format("is compressed: unpack it first")),
            _ => {}
        }
        Ok(input)
    }

    /// The line of the next byte, from one on.
    pub(super) const fn line(&self) -> u64 {
        self.line
    }

    /// What is there to be read; empty at the end.
    pub(super) fn buffer(&mut self) -> Result<&[u8], ReadFault> {
        // Asked for twice: a borrow that is given away in one arm of a loop lasts for all of them.
        loop {
            match self.reader.fill_buf() {
                Ok(_) => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(self.reader.fill_buf()?)
    }

    /// The next byte.
    pub(super) fn peek(&mut self) -> Result<Option<u8>, ReadFault> {
        Ok(self.buffer()?.first().copied())
    }

    /// Goes on behind so many bytes of the buffer.
    pub(super) fn advance(&mut self, bytes: usize) -> Result<(), ReadFault> {
        let gone = self.buffer()?.get(..bytes).unwrap_or_default();
        let lines: u64 = gone.iter().map(|byte| u64::from(*byte == b'\n')).sum();
        self.line = self.line.saturating_add(lines);
        self.reader.consume(bytes);
        Ok(())
    }

    /// Goes on behind spaces, tabs and line ends.
    pub(super) fn skip_white_space(&mut self) -> Result<(), ReadFault> {
        loop {
            let buffer = self.buffer()?;
            let bytes = buffer
                .iter()
                .take_while(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n'))
                .count();
            if bytes == 0 {
                return Ok(());
            }
            self.advance(bytes)?;
        }
    }
}

/// The bytes of a row, as long as they aren't too many.
#[derive(Default)]
pub(super) struct Bounded {
    bytes: Vec<u8>,
    is_too_long: bool,
}

impl Bounded {
    /// Forgets what it holds, for the next row.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.is_too_long = false;
    }

    /// Adds to the row, or gives it up.
    pub(super) fn extend(&mut self, bytes: &[u8]) {
        if self.is_too_long || self.bytes.len().saturating_add(bytes.len()) > MAX_ROW_BYTES {
            self.is_too_long = true;
            self.bytes.clear();
        } else {
            self.bytes.extend_from_slice(bytes);
        }
    }

    /// The row; none where it was too long.
    pub(super) fn get(&self) -> Option<&[u8]> {
        (!self.is_too_long).then_some(self.bytes.as_slice())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_that_is_too_long_is_not_held() {
        let mut row = Bounded::default();
        row.extend(&vec![b'x'; MAX_ROW_BYTES]);
        assert_eq!(row.get().map(<[u8]>::len), Some(MAX_ROW_BYTES));
        for _ in 0..100 {
            row.extend(&vec![b'x'; MAX_ROW_BYTES]);
            assert_eq!((row.get(), row.bytes.len()), (None, 0));
        }
        assert!(row.bytes.capacity() <= 2 * MAX_ROW_BYTES);
        row.clear();
        row.extend(b"next");
        assert_eq!(row.get(), Some(b"next".as_slice()));
    }
}
