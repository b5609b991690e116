//! Time that moves when a scenario says so.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use chrono::{DateTime, Utc};
use roster::clock::Clock;
use tokio::sync::watch;

static START: LazyLock<DateTime<Utc>> = LazyLock::new(|| "2031-05-06T07:08:09.123Z".parse().expect("a time"));

/// A clock that stands still until it is moved. Clones are the same clock.
#[derive(Clone, Debug)]
pub struct ManualClock {
    milliseconds: Arc<AtomicI64>,
    looks: Arc<watch::Sender<u64>>,
}

impl ManualClock {
    /// Stands at the same instant in every scenario.
    pub fn new() -> Self {
        Self {
            milliseconds: Arc::new(AtomicI64::new(START.timestamp_millis())),
            looks: Arc::new(watch::Sender::new(0)),
        }
    }

    /// Stands at this instant.
    pub fn at(start: &str) -> Self {
        let start: DateTime<Utc> = start.parse().expect("a time");
        let clock = Self::new();
        clock
            .milliseconds
            .store(start.timestamp_millis(), Ordering::SeqCst);
        clock
    }

    /// Moves on.
    pub fn advance(&self, by: Duration) {
        let by = i64::try_from(by.as_millis()).expect("a short time");
        self.milliseconds.fetch_add(by, Ordering::SeqCst);
    }

    /// Moves back, as a corrected system clock does.
    pub fn turn_back(&self, by: Duration) {
        let by = i64::try_from(by.as_millis()).expect("a short time");
        self.milliseconds.fetch_sub(by, Ordering::SeqCst);
    }
}

impl ManualClock {
    /// Ends when somebody has looked at the clock this many times from now on: that is how far a request has come,
    /// where nothing else of it can be seen yet.
    pub fn looked_at(&self, times: u64) -> impl Future<Output = ()> + use<> {
        let mut looks = self.looks.subscribe();
        let enough = *looks.borrow() + times;
        async move {
            looks
                .wait_for(|count| *count >= enough)
                .await
                .expect("the clock is there");
        }
    }
}

impl Clock for ManualClock {
    fn now(&self) -> DateTime<Utc> {
        self.looks.send_modify(|count| *count += 1);
        DateTime::from_timestamp_millis(self.milliseconds.load(Ordering::SeqCst)).expect("a time")
    }
}
