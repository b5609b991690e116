//! Attempts whose outcome isn't known yet.
//!
//! An attempt counts from when it begins, or parallel guesses would slip through; a success takes its count back.
//! Somebody who signs in from twenty tabs at once would be refused ten times that way, for nothing. So an attempt that
//! the count refuses waits while others of the same account or address are still being looked at here: one of them may
//! succeed, and make room.
//!
//! There is an entry for each account and address with an attempt in flight, and so never more than a few for each
//! request that is being answered.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use super::super::model::Key;

/// Every key with an attempt in flight.
#[derive(Debug, Default)]
pub struct InFlight(Mutex<HashMap<Key, Arc<Flight>>>);

/// The attempts of one key.
#[derive(Debug, Default)]
struct Flight {
    state: Mutex<FlightState>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct FlightState {
    /// How many attempts have begun, or are being counted at this moment.
    running: usize,
    /// How many have come to an end: a number that changes tells that it's worth asking the database again.
    ended: u64,
}

/// An attempt of one key. Dropped, it has ended.
#[derive(Debug)]
pub struct Running {
    all: Arc<InFlight>,
    key: Key,
    flight: Arc<Flight>,
    /// How many had ended when this one began.
    ended: u64,
    is_counted: bool,
}

/// What came of waiting for others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Awaited {
    /// One has come to its end: there may be room now.
    Ended,
    /// There are none, or none any more: the refusal stands.
    None,
    /// They haven't come to an end in time.
    TooLong,
}

impl InFlight {
    /// An attempt begins. It says so before it is counted, so that nobody who is refused because of it overlooks it.
    pub fn enter(self: &Arc<Self>, key: Key) -> Running {
        let mut all = lock(&self.0);
        let flight = Arc::clone(all.entry(key).or_default());
        let mut state = lock(&flight.state);
        state.running += 1;
        let ended = state.ended;
        drop(state);
        Running {
            all: Arc::clone(self),
            key,
            flight,
            ended,
            is_counted: false,
        }
    }

    fn leave(&self, running: &Running) {
        let mut all = lock(&self.0);
        let mut state = lock(&running.flight.state);
        state.running -= 1;
        if running.is_counted {
            state.ended += 1;
        }
        let is_last = state.running == 0;
        drop(state);
        if is_last && let Entry::Occupied(entry) = all.entry(running.key) {
            entry.remove();
        }
        drop(all);
        if is_last || running.is_counted {
            running.flight.changed.notify_waiters();
        }
    }
}

impl Running {
    /// It was counted, and will have an outcome.
    pub const fn counted(&mut self) {
        self.is_counted = true;
    }

    /// It was refused: waits until another one has come to its end.
    pub async fn wait_for_others(self, deadline: Instant) -> Awaited {
        let (flight, ended) = (Arc::clone(&self.flight), self.ended);
        drop(self);
        loop {
            // Made before the look, so that what happens between the two isn't missed.
            let changed = flight.changed.notified();
            {
                let state = lock(&flight.state);
                if state.ended != ended {
                    return Awaited::Ended;
                }
                if state.running == 0 {
                    return Awaited::None;
                }
            }
            if timeout_at(deadline, changed).await.is_err() {
                return Awaited::TooLong;
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.all.leave(self);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const KEY: Key = Key([7; 32]);

    fn soon() -> Instant {
        Instant::now() + Duration::from_mins(1)
    }

    #[tokio::test]
    async fn who_is_refused_waits_for_an_end_and_for_nothing_else() {
        let all = Arc::new(InFlight::default());
        assert_eq!(all.enter(KEY).wait_for_others(soon()).await, Awaited::None);

        let mut first = all.enter(KEY);
        first.counted();
        let second = all.enter(KEY);
        let other = all.enter(Key([8; 32]));
        let waiting = tokio::spawn(second.wait_for_others(soon()));
        tokio::task::yield_now().await;
        drop(other);
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(first);
        assert_eq!(waiting.await.unwrap(), Awaited::Ended);
        assert!(lock(&all.0).is_empty());
    }

    #[tokio::test]
    async fn those_that_are_all_refused_do_not_wait_for_each_other() {
        let all = Arc::new(InFlight::default());
        let (first, second) = (all.enter(KEY), all.enter(KEY));
        let waiting = tokio::spawn(first.wait_for_others(soon()));
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        assert_eq!(second.wait_for_others(soon()).await, Awaited::None);
        assert_eq!(waiting.await.unwrap(), Awaited::None);
        assert!(lock(&all.0).is_empty());
    }

    #[tokio::test]
    async fn an_end_between_refusal_and_wait_is_not_missed() {
        let all = Arc::new(InFlight::default());
        let mut first = all.enter(KEY);
        first.counted();
        let second = all.enter(KEY);
        drop(first);
        assert_eq!(second.wait_for_others(soon()).await, Awaited::Ended);
    }

    #[test]
    fn a_million_keys_take_the_room_of_those_that_are_in_flight_at_once() {
        const AT_ONCE: usize = 1_000;
        let all = Arc::new(InFlight::default());
        let mut running = std::collections::VecDeque::new();
        for number in 0..1_000_000_u64 {
            let mut key = [0; 32];
            key[..8].copy_from_slice(&number.to_le_bytes());
            running.push_back(all.enter(Key(key)));
            if running.len() > AT_ONCE {
                running.pop_front();
            }
        }
        assert_eq!(lock(&all.0).len(), AT_ONCE);
        assert!(lock(&all.0).capacity() < 8 * AT_ONCE);
        running.clear();
        assert!(lock(&all.0).is_empty());
    }

    #[tokio::test]
    async fn nobody_waits_for_ever() {
        let all = Arc::new(InFlight::default());
        let mut first = all.enter(KEY);
        first.counted();
        assert_eq!(
            all.enter(KEY).wait_for_others(Instant::now()).await,
            Awaited::TooLong
        );
        drop(first);
        assert!(lock(&all.0).is_empty());
    }
}
