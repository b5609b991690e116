//! How fast an import writes: much at a time, and never so long at a time that others who write are kept waiting.

use std::time::Duration;

use super::import::BATCH;

/// What one transaction may take. Whoever else writes to an `SQLite` file waits for it.
const MOMENT: Duration = Duration::from_millis(200);
/// How many rows go into the first transaction, before anything is known of the disk.
const FIRST: usize = 250;
/// How few rows go into one transaction on a slow disk.
const FEWEST: usize = 50;
/// After how much writing there is a pause. With the last transaction's moment it is well under what a request waits for the
/// lock of an `SQLite` file (2 s).
const STRETCH: Duration = Duration::from_millis(1500);
/// Other processes look every 100 ms whether an `SQLite` file is still locked (`sqliteDefaultBusyCallback`), and nobody
/// queues: without a pause that is longer, they would find it locked again and again.
const PAUSE: Duration = Duration::from_millis(130);

/// The size of the next transaction, and when to pause.
#[derive(Debug)]
pub struct Pace {
    rows: usize,
    written: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            rows: FIRST,
            written: Duration::ZERO,
        }
    }
}

impl Pace {
    /// How many rows the next transaction has.
    pub const fn rows(&self) -> usize {
        self.rows
    }

    /// Learns what the last transaction took; gives how long to pause before the next.
    pub fn took(&mut self, time: Duration) -> Option<Duration> {
        if time > MOMENT {
            self.rows = (self.rows / 2).max(FEWEST);
        } else if time < MOMENT / 3 {
            self.rows = (self.rows * 2).min(BATCH);
        }
        self.written += time;
        if self.written < STRETCH {
            return None;
        }
        self.written = Duration::ZERO;
        Some(PAUSE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn a_slow_disk_gets_little_at_a_time_and_a_fast_one_much() {
        let mut pace = Pace::default();
        let sizes = |pace: &mut Pace, time: Duration| -> Vec<usize> {
            (0..5)
                .map(|_| {
                    pace.took(time);
                    pace.rows()
                })
                .collect()
        };
        assert_eq!(sizes(&mut pace, ms(10)), [500, 1000, 2000, 4000, 4000]);
        assert_eq!(sizes(&mut pace, ms(900)), [2000, 1000, 500, 250, 125]);
        assert_eq!(sizes(&mut pace, ms(900)), [62, 50, 50, 50, 50]);
        assert_eq!(sizes(&mut pace, ms(150)), [50, 50, 50, 50, 50]);
    }

    #[test]
    fn others_have_a_turn_before_they_give_up() {
        let mut pace = Pace::default();
        let pauses: Vec<bool> = (0..9).map(|_| pace.took(ms(300)).is_some()).collect();
        let every_fifth = [false, false, false, false, true, false, false, false, false];
        assert_eq!(pauses, every_fifth);
    }
}
