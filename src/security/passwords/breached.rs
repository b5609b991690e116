//! Passwords known from breaches, in a file that the operator provides; nothing goes over the network.
//!
//! The format is that of the Pwned Passwords download *ordered by hash*, or any part of it:
//!
//! - a line for each password: the SHA-1 of its UTF-8 in hexadecimal, upper or lower case, optionally `:` and a count;
//! - whole hashes of 40 digits, or prefixes of at least 10, of the same length throughout the file. A prefix of 10
//!   digits makes the file a quarter of the size and takes one good password in a thousand for a breached one, if
//!   a thousand million are listed;
//! - sorted by hash; LF or CR LF.
//!
//! It is searched on disk by halving, some thirty short reads for forty gigabytes; nothing is loaded.

use std::cmp::Ordering;
use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};

use crate::domain::Password;

/// The fewest digits of a prefix.
const FEWEST_DIGITS: usize = 10;
/// The digits of a whole SHA-1.
const ALL_DIGITS: usize = 40;
/// The longest line: the digits, a colon, a 64-bit count, CR LF.
const LONGEST_LINE: u64 = 64;
/// Files up to this size, in bytes, are checked whole when they are opened; of larger ones [`SAMPLES`] lines.
const CHECKED_WHOLE: u64 = 1_048_576;
/// How many lines of a large file are checked: enough to notice another format or another order.
const SAMPLES: u64 = 64;

/// An opened file of breached passwords. Clones share it.
#[derive(Clone, Debug)]
pub struct BreachedPasswords {
    lines: Arc<Lines>,
}

#[derive(Debug)]
struct Lines {
    /// Reading moves the file's position: one at a time.
    file: Mutex<File>,
    bytes: u64,
    digits: usize,
}

/// A line: where it starts, where the next one does, and its digits in upper case.
struct Line {
    start: u64,
    next: u64,
    digits: Vec<u8>,
}

impl BreachedPasswords {
    /// Opens a file and checks its format; see the module's description.
    ///
    /// # Errors
    /// [`BreachedFileFault`] where it can't be read or isn't in the format.
    pub fn open(path: &Path) -> Result<Self, BreachedFileFault> {
        let file = File::open(path)?;
        let mut lines = Lines {
            bytes: file.metadata()?.len(),
            file: Mutex::new(file),
            digits: 0,
        };
        lines.check()?;
        Ok(Self {
            lines: Arc::new(lines),
        })
    }

    /// Whether a password is in the file.
    ///
    /// # Errors
    /// [`BreachedFileFault`] where the file can't be read any more or has a faulty line.
    pub fn contains(&self, password: &Password) -> Result<bool, BreachedFileFault> {
        let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, password.expose().as_bytes());
        let mut wanted = String::with_capacity(ALL_DIGITS);
        for byte in hash.as_ref() {
            fmt::Write::write_fmt(&mut wanted, format_args!("{byte:02X}")).map_err(io::Error::other)?;
        }
        let wanted = wanted.as_bytes().get(..self.lines.digits).unwrap_or_default();
        let (mut low, mut high) = (0, self.lines.bytes);
        while low < high {
            let line = self.lines.around(u64::midpoint(low, high))?;
            match line.digits.as_slice().cmp(wanted) {
                Ordering::Equal => return Ok(true),
                Ordering::Less => low = line.next,
                Ordering::Greater => high = line.start,
            }
        }
        Ok(false)
    }
}

impl Lines {
    /// Learns the number of digits from the first line, then looks at all lines of a small file and at some of a
    /// large one.
    fn check(&mut self) -> Result<(), BreachedFileFault> {
        let first = self.around(0)?;
        self.digits = first.digits.len();
        let stride = if self.bytes <= CHECKED_WHOLE {
            0
        } else {
            self.bytes / SAMPLES
        };
        let mut previous = first;
        while previous.next < self.bytes {
            let at = previous.next.max(previous.start.saturating_add(stride));
            let line = self.around(at.min(self.bytes.saturating_sub(1)))?;
            if line.digits < previous.digits {
                return Err(BreachedFileFault::Unsorted { at: line.start });
            }
            previous = line;
        }
        Ok(())
    }

    /// The line that the byte at `at` belongs to; a line feed belongs to the line that it ends.
    fn around(&self, at: u64) -> Result<Line, BreachedFileFault> {
        let from = at.saturating_sub(LONGEST_LINE);
        let to = at.saturating_add(LONGEST_LINE).min(self.bytes);
        let text = self.read(from, to)?;
        let (before, after) = text
            .split_at_checked(usize::try_from(at.saturating_sub(from)).unwrap_or(usize::MAX))
            .unwrap_or((&text, &[]));
        let head = match before.iter().rposition(|byte| *byte == b'\n') {
            Some(line_feed) => before.get(line_feed.saturating_add(1)..).unwrap_or_default(),
            None if from == 0 => before,
            None => return Err(BreachedFileFault::BadLine { at: from }),
        };
        let tail = match after.iter().position(|byte| *byte == b'\n') {
            Some(line_feed) => after.get(..=line_feed).unwrap_or_default(),
            None if to == self.bytes => after,
            None => return Err(BreachedFileFault::BadLine { at }),
        };
        let start = at.saturating_sub(length(head));
        let digits = hash_digits(&[head, tail].concat())
            .filter(|digits| self.digits == 0 || digits.len() == self.digits)
            .ok_or(BreachedFileFault::BadLine { at: start })?;
        Ok(Line {
            start,
            next: at.saturating_add(length(tail)),
            digits,
        })
    }

    fn read(&self, from: u64, to: u64) -> io::Result<Vec<u8>> {
        let mut text = vec![0; usize::try_from(to.saturating_sub(from)).unwrap_or_default()];
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.seek(SeekFrom::Start(from))?;
        file.read_exact(&mut text)?;
        Ok(text)
    }
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

/// The digits of a well-formed line in upper case.
fn hash_digits(line: &[u8]) -> Option<Vec<u8>> {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let mut parts = line.splitn(2, |byte| *byte == b':');
    let digits = parts.next()?;
    let count_is_fine = parts
        .next()
        .is_none_or(|count| !count.is_empty() && count.iter().all(u8::is_ascii_digit));
    let fine = count_is_fine
        && (FEWEST_DIGITS..=ALL_DIGITS).contains(&digits.len())
        && digits.iter().all(u8::is_ascii_hexdigit);
    fine.then(|| digits.to_ascii_uppercase())
}

/// What is wrong with a file of breached passwords.
#[derive(Debug)]
pub enum BreachedFileFault {
    /// It can't be opened or read.
    Io(io::Error),
    /// A line isn't a hash, or not one of the same length as the first.
    BadLine {
        /// The line's offset in bytes.
        at: u64,
    },
    /// It isn't sorted by hash.
    Unsorted {
        /// The offset in bytes of a line that is smaller than one before it.
        at: u64,
    },
}

impl From<io::Error> for BreachedFileFault {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl fmt::Display for BreachedFileFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "the file of breached passwords can't be read: {error}"),
            Self::BadLine { at } => write!(
                f,
                "the file of breached passwords has no SHA-1 in hexadecimal (whole, or a prefix of at least \
                 {FEWEST_DIGITS} digits, of one length throughout) at byte {at}"
            ),
            Self::Unsorted { at } => {
                write!(
                    f,
                    "the file of breached passwords isn't sorted by hash at byte {at}"
                )
            }
        }
    }
}

impl std::error::Error for BreachedFileFault {}
