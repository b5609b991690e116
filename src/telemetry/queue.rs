//! Log lines on their way out, so that nobody waits for whoever reads them.
//!
//! A log goes to a pipe, and a pipe that nobody reads blocks whoever writes to it: every worker, at its next request. So
//! requests put their lines into a bounded queue, and one thread writes them, as many at a time as there are. Where the
//! queue is full, lines are dropped and counted, and the count is the next line that gets out: a server that can't say
//! what it does goes on doing it.
//!
//! The queue itself has no bound and takes memory for what is in it alone; the bound is a count beside it. A channel with a
//! bound of its own would make room for every line at the start: half a mebibyte, touched, of a process that is at rest.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread;
use std::time::Duration;

/// How many lines wait at most: some seconds of a busy server.
const LINES: usize = 16_384;
/// How many bytes are written at once.
const BATCH: usize = 64 * 1024;
/// How long the end of the process waits for a reader.
const LAST_WORDS: Duration = Duration::from_secs(1);

enum Entry {
    Line(Vec<u8>),
    /// Everything before it has been written.
    Flush(SyncSender<()>),
}

/// What is known of the lines on both sides.
#[derive(Debug, Default)]
struct Count {
    /// How many are in the queue.
    waiting: AtomicUsize,
    /// How many weren't let in, since that was told last.
    dropped: AtomicU64,
}

impl Count {
    /// Whether one more may be put into the queue; it is counted, as there or as dropped.
    fn admit(&self) -> bool {
        let is_admitted = self.waiting.fetch_add(1, Ordering::Relaxed) < LINES;
        if !is_admitted {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        is_admitted
    }

    /// One has been taken out.
    fn left(&self) {
        self.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Where lines are put. `env_logger` writes each record in one call.
pub(super) struct Queue {
    entries: Sender<Entry>,
    count: Arc<Count>,
}

/// Waits for the lines of the process when it is dropped, though not for ever.
#[derive(Debug)]
#[must_use = "what is still in the queue when this goes is written first"]
pub struct Flush(Sender<Entry>);

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a line")
    }
}

/// The line that tells how many were dropped.
pub(super) type Notice = fn(u64) -> String;

/// A queue, and the thread that writes to `out` what is put into it.
///
/// # Errors
/// Where the system gives no thread.
pub(super) fn start(out: impl Write + Send + 'static, notice: Notice) -> io::Result<(Queue, Flush)> {
    let (entries, waiting) = channel();
    let count = Arc::new(Count::default());
    let counted = Arc::clone(&count);
    thread::Builder::new()
        .name("log".into())
        .stack_size(128 * 1024)
        .spawn(move || write_all(&waiting, &counted, notice, out))?;
    let flush = Flush(entries.clone());
    Ok((Queue { entries, count }, flush))
}

impl Write for Queue {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.count.admit() {
            // The other end is there for as long as the process.
            let _ = self.entries.send(Entry::Line(line.to_owned()));
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn write_all(waiting: &Receiver<Entry>, count: &Count, notice: Notice, mut out: impl Write) {
    let mut batch = Vec::with_capacity(BATCH);
    while let Ok(first) = waiting.recv() {
        let mut flushed = Vec::new();
        let mut next = Some(first);
        while let Some(entry) = next {
            match entry {
                Entry::Line(line) => {
                    count.left();
                    batch.extend_from_slice(&line);
                }
                Entry::Flush(done) => flushed.push(done),
            }
            next = if batch.len() < BATCH {
                waiting.try_recv().ok()
            } else {
                None
            };
        }
        let lost = count.dropped.swap(0, Ordering::Relaxed);
        if lost > 0 {
            batch.extend_from_slice(notice(lost).as_bytes());
        }
        // A reader that has gone is no reason to end; nor can it be told.
        let _ = out.write_all(&batch);
        batch.clear();
        for done in flushed {
            let _ = done.try_send(());
        }
    }
}

impl Drop for Flush {
    fn drop(&mut self) {
        let (done, is_done) = sync_channel(1);
        // Behind all lines: it is no line, and always has a place.
        if self.0.send(Entry::Flush(done)).is_ok() {
            let _ = is_done.recv_timeout(LAST_WORDS);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// Says when the first bytes come, and takes nothing until it is told to.
    struct Gate {
        met: Sender<()>,
        open: Receiver<()>,
        written: Arc<Mutex<Vec<u8>>>,
        is_open: bool,
    }

    impl Write for Gate {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if !self.is_open {
                // Not everybody waits for it.
                let _ = self.met.send(());
                self.open.recv().map_err(io::Error::other)?;
                self.is_open = true;
            }
            self.written.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_that_nobody_reads_block_nobody_and_are_counted() {
        let (opener, open) = channel();
        let (met, is_met) = channel();
        let written = Arc::new(Mutex::new(Vec::new()));
        let gate = Gate {
            met,
            open,
            written: Arc::clone(&written),
            is_open: false,
        };
        let (mut queue, flush) = start(gate, |lost| format!("{lost} dropped\n")).unwrap();
        queue.write_all(b"line 0\n").unwrap();
        // From here on the thread stands still, and takes nothing out.
        is_met.recv().unwrap();
        let more = 3 * LINES;
        for number in 1..=more {
            queue.write_all(format!("line {number}\n").as_bytes()).unwrap();
        }
        let dropped = queue.count.dropped.load(Ordering::Relaxed);
        assert_eq!(usize::try_from(dropped).unwrap(), more - LINES);
        opener.send(()).unwrap();
        // The queue is emptied before the count is told again.
        while queue.count.dropped.load(Ordering::Relaxed) > 0 {
            thread::yield_now();
        }
        drop(flush);
        let written = String::from_utf8(written.lock().unwrap().clone()).unwrap();
        let lines = written.lines().filter(|line| line.starts_with("line ")).count();
        let told: usize = written
            .lines()
            .filter_map(|line| line.strip_suffix(" dropped"))
            .map(|number| number.parse::<usize>().unwrap())
            .sum();
        assert_eq!((lines, told), (1 + LINES, more - LINES));
    }

    #[test]
    fn the_last_words_get_out() {
        let written = Arc::new(Mutex::new(Vec::new()));
        let (opener, open) = channel();
        opener.send(()).unwrap();
        let gate = Gate {
            met: channel().0,
            open,
            written: Arc::clone(&written),
            is_open: false,
        };
        let (mut queue, flush) = start(gate, |lost| format!("{lost} dropped\n")).unwrap();
        writeln!(queue, "stopped").unwrap();
        drop(flush);
        assert_eq!(*written.lock().unwrap(), b"stopped\n");
    }
}
