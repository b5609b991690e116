//! The queue in front of the hashing threads: whose turn it is, and who is told to come back later.
//!
//! One queue for all would belong to whoever sends most: a client that signs in over many connections, with the right
//! password of an account of its own, would have every hash, and everybody else would be told that there is too much to
//! do. So each client has a share. The shares are served in turn, one job each; and where no more jobs can wait, somebody
//! with few takes the place of the last job of whoever has most, which is told then what its sender would have been told
//! at once.
//!
//! The price: among many clients, somebody who was let in may be told later that it was in vain; its sender had others
//! before it. Somebody with many networks has as many shares. A share is there while it has a job, so there are never
//! more than jobs.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use super::job_costs::{JobCosts, JobCounts, JobKind};
use super::pool::HashingError;
use super::work_memory::WorkMemory;
use crate::domain::ClientNetwork;

/// A job without its types.
pub(super) trait Task: Send {
    /// Whether nobody waits for it any more.
    fn is_abandoned(&self) -> bool;
    /// Runs it and keeps what it returned; `false` if it panicked.
    fn run(&mut self, memory: &mut WorkMemory) -> bool;
    /// Hands over what it returned, or that it failed.
    fn deliver(self: Box<Self>);
    /// Says instead that it won't be run.
    fn refuse(self: Box<Self>, error: HashingError);
}

/// Something to be run on a hashing thread.
pub(super) struct Job {
    /// Whose share it is of.
    pub(super) client: ClientNetwork,
    pub(super) kind: JobKind,
    pub(super) place: Place,
    pub(super) task: Box<dyn Task>,
}

/// What a job was promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// There was a free thread, which only has to wake up.
    Thread,
    /// It waits, and after this it is too late to start; `None` where that is never.
    Turn(Option<Instant>),
}

/// How much may wait.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) threads: usize,
    pub(super) max_wait: Duration,
    pub(super) max_queued: usize,
}

/// What was found for one more job. Jobs that are in the way are handed out, to be dropped or told outside the lock: a job
/// may own anything.
pub(super) struct Room {
    /// The place, or that there is none.
    pub(super) place: Result<Place, HashingError>,
    /// Jobs that nobody waits for any more.
    pub(super) abandoned: Vec<Job>,
    /// Jobs that had to make room, and what they are told.
    pub(super) ousted: Vec<(Job, HashingError)>,
}

/// What a thread does next.
pub(super) enum Next {
    Run(Job),
    Refuse(Job, HashingError),
    Skip(Job),
}

pub(super) struct Queue {
    bounds: Bounds,
    /// Of every client that has a job here.
    shares: HashMap<ClientNetwork, Share>,
    /// Whose turn it is: each client with a job that waits, once.
    turns: VecDeque<ClientNetwork>,
    queued: usize,
    running: usize,
    /// Everything queued and running.
    counts: JobCounts,
    costs: JobCosts,
    closed: bool,
}

/// What one client has here.
#[derive(Default)]
pub(super) struct Share {
    jobs: VecDeque<Job>,
    running: usize,
}

impl Share {
    /// Queued and running: who has all the threads isn't somebody with few, whatever waits.
    fn load(&self) -> usize {
        self.jobs.len().saturating_add(self.running)
    }
}

impl Queue {
    pub(super) fn new(bounds: Bounds, costs: JobCosts) -> Self {
        Self {
            bounds,
            shares: HashMap::new(),
            turns: VecDeque::new(),
            queued: 0,
            running: 0,
            counts: JobCounts::default(),
            costs,
            closed: false,
        }
    }

    pub(super) const fn queued(&self) -> usize {
        self.queued
    }

    pub(super) const fn running(&self) -> usize {
        self.running
    }

    #[cfg(test)]
    pub(super) fn shares(&self) -> usize {
        self.shares.len()
    }

    pub(super) const fn is_closed(&self) -> bool {
        self.closed
    }

    /// Takes no turn any more, and hands out what has waited.
    pub(super) fn close(&mut self) -> HashMap<ClientNetwork, Share> {
        self.closed = true;
        self.queued = 0;
        self.turns.clear();
        std::mem::take(&mut self.shares)
    }

    /// Looks for a place for one more job of a client, and makes room where somebody else has more than a fair part. Who
    /// gets a place has to [`Self::push`] the job before the lock is given up.
    pub(super) fn make_room(&mut self, client: ClientNetwork, now: Instant) -> Room {
        let (place, abandoned) = self.look(client);
        let mut room = Room {
            place: place.map(|is_free| {
                if is_free {
                    Place::Thread
                } else {
                    Place::Turn(now.checked_add(self.bounds.max_wait))
                }
            }),
            abandoned,
            ousted: Vec::new(),
        };
        if matches!(room.place, Ok(Place::Turn(_))) {
            let told = self.overloaded();
            // By time and not one for one: a quick job makes no room for a slow one.
            while self.is_full()
                && let Some(job) = self.oust_for(client)
            {
                room.ousted.push((job, told.clone()));
            }
        }
        room
    }

    /// Why one more job of a client would find no place at this moment, if that is so; and jobs to be dropped outside the
    /// lock.
    pub(super) fn refusal(&mut self, client: ClientNetwork) -> (Option<HashingError>, Vec<Job>) {
        let (place, abandoned) = self.look(client);
        (place.err(), abandoned)
    }

    /// Whether there is a place: true for a free thread, false for one to wait at, for which room may have to be made.
    fn look(&mut self, client: ClientNetwork) -> (Result<bool, HashingError>, Vec<Job>) {
        if self.has_free_thread() {
            return (Ok(true), Vec::new());
        }
        if !self.is_full() {
            return (Ok(false), Vec::new());
        }
        // Jobs whose caller went away take no time: they don't count against those who stayed.
        let abandoned = self.take_abandoned();
        let place = if self.has_free_thread() {
            Ok(true)
        } else if !self.is_full() || self.larger_than(client).is_some() {
            Ok(false)
        } else {
            Err(self.overloaded())
        };
        (place, abandoned)
    }

    /// Takes a job in, at the end of its client's share.
    pub(super) fn push(&mut self, job: Job) {
        let client = job.client;
        self.queued = self.queued.saturating_add(1);
        self.counts.add(job.kind);
        let share = self.shares.entry(client).or_default();
        let is_first = share.jobs.is_empty();
        share.jobs.push_back(job);
        if is_first {
            self.turns.push_back(client);
        }
    }

    /// The job whose turn it is. One that isn't run any more takes no turn away from its client's others.
    pub(super) fn next(&mut self, now: impl Fn() -> Instant) -> Option<Next> {
        loop {
            let client = self.turns.pop_front()?;
            let Some(share) = self.shares.get_mut(&client) else {
                continue;
            };
            let Some(job) = share.jobs.pop_front() else {
                continue;
            };
            let has_more = !share.jobs.is_empty();
            self.queued = self.queued.saturating_sub(1);
            let is_abandoned = job.task.is_abandoned();
            let is_late = matches!(job.place, Place::Turn(Some(deadline)) if now() > deadline);
            if !is_abandoned && !is_late {
                share.running = share.running.saturating_add(1);
                self.running = self.running.saturating_add(1);
                if has_more {
                    self.turns.push_back(client);
                }
                return Some(Next::Run(job));
            }
            self.counts.remove(job.kind);
            if has_more {
                self.turns.push_front(client);
            } else {
                self.forget_idle(client);
            }
            if is_abandoned {
                return Some(Next::Skip(job));
            }
            let error = self.overloaded();
            return Some(Next::Refuse(job, error));
        }
    }

    /// Counts a thread as free again, and learns from what its job took, if that is known.
    pub(super) fn finished(&mut self, client: ClientNetwork, kind: JobKind, took: Option<Duration>) {
        self.running = self.running.saturating_sub(1);
        self.counts.remove(kind);
        if let Some(share) = self.shares.get_mut(&client) {
            share.running = share.running.saturating_sub(1);
        }
        self.forget_idle(client);
        if let Some(took) = took {
            self.costs.learn(kind, took);
        }
    }

    fn forget_idle(&mut self, client: ClientNetwork) {
        if self.shares.get(&client).is_some_and(|share| share.load() == 0) {
            self.shares.remove(&client);
        }
    }

    fn has_free_thread(&self) -> bool {
        self.running.saturating_add(self.queued) < self.bounds.threads
    }

    /// Whether one more would have to wait too long, given that no thread is free.
    fn is_full(&self) -> bool {
        self.bounds.max_wait.is_zero()
            || self.queued >= self.bounds.max_queued
            || self.backlog() > self.bounds.max_wait
    }

    /// How long the threads need for everything queued and running, the running counted in full.
    fn backlog(&self) -> Duration {
        let work = self.costs.of_all(&self.counts);
        u32::try_from(self.bounds.threads)
            .ok()
            .and_then(|threads| work.checked_div(threads))
            .unwrap_or(work)
    }

    fn overloaded(&self) -> HashingError {
        HashingError::Overloaded {
            retry_after: self.backlog().max(Duration::from_secs(1)),
        }
    }

    /// The client with the largest share, where it can give up a job for this one and still has no less. Of several, any:
    /// nobody's address is worse than another's. Whoever was given a thread keeps it.
    fn larger_than(&self, client: ClientNetwork) -> Option<ClientNetwork> {
        let own = self.shares.get(&client).map_or(0, Share::load);
        let waits = |share: &Share| {
            let last = share.jobs.back();
            last.is_some_and(|job| matches!(job.place, Place::Turn(_)))
        };
        let (largest, load) = self
            .shares
            .iter()
            .filter(|(_, share)| waits(share))
            .map(|(other, share)| (*other, share.load()))
            .max_by_key(|(_, load)| *load)?;
        // By two and more: with a difference of one, the two would only change places, over and over.
        (load > own.saturating_add(1)).then_some(largest)
    }

    /// Takes the last job of the largest share away, if that is larger than this client's.
    fn oust_for(&mut self, client: ClientNetwork) -> Option<Job> {
        let largest = self.larger_than(client)?;
        let share = self.shares.get_mut(&largest)?;
        let job = share.jobs.pop_back()?;
        if share.jobs.is_empty() {
            self.turns.retain(|turn| *turn != largest);
        }
        self.queued = self.queued.saturating_sub(1);
        self.counts.remove(job.kind);
        self.forget_idle(largest);
        Some(job)
    }

    fn take_abandoned(&mut self) -> Vec<Job> {
        let mut abandoned = Vec::new();
        for share in self.shares.values_mut() {
            if share.jobs.iter().any(|job| job.task.is_abandoned()) {
                let all = share.jobs.drain(..);
                let (gone, kept): (VecDeque<Job>, VecDeque<Job>) =
                    all.partition(|job| job.task.is_abandoned());
                share.jobs = kept;
                abandoned.extend(gone);
            }
        }
        if !abandoned.is_empty() {
            self.queued = self.queued.saturating_sub(abandoned.len());
            for job in &abandoned {
                self.counts.remove(job.kind);
            }
            self.shares.retain(|_, share| share.load() > 0);
            let shares = &self.shares;
            self.turns
                .retain(|turn| shares.get(turn).is_some_and(|share| !share.jobs.is_empty()));
        }
        abandoned
    }
}
