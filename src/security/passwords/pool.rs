//! The threads that hash. In front of them is a bounded queue that shares them out among clients: see `queue`.
//!
//! A password hash takes a whole core for up to a third of a second. Left to the runtime's blocking pool, a few
//! hundred logins take every core and gigabytes of argon2 memory, and everybody waits for everybody. So a fixed number
//! of threads hash, at a lower priority than the threads that answer requests, and whoever would have to wait too
//! long is told so at once.
//!
//! A job belongs to the pool and not to the request: a client that goes away while its job runs frees nothing, or
//! sixty-four impatient clients would be sixty-four hashes at once.

use std::any::Any;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::job_costs::{JobCosts, JobKind};
use super::queue::{Bounds, Job, Next, Queue, Task};
use super::work_memory::WorkMemory;
use crate::domain::ClientNetwork;

/// How much nicer the hashing threads are than the thread that started them (nice(2), 0 to 19).
#[cfg(target_os = "linux")]
const NICER_BY: i32 = 10;

/// A monotonic clock.
pub type MonotonicClock = Arc<dyn Fn() -> Instant + Send + Sync>;

/// How big the pool is and how long anybody may wait for it.
#[derive(Clone, Copy, Debug)]
pub struct HashingPoolSettings {
    /// Hashing threads; one a core is what there is to gain. Zero counts as one.
    pub threads: usize,
    /// The longest wait for a thread. Zero: only where one is free.
    pub max_wait: Duration,
    /// The most jobs that wait, whatever their estimate.
    pub max_queued: usize,
    /// The argon2 memory in KiB that a thread keeps between jobs.
    pub kept_memory_kib: u32,
    /// What a job of each kind is taken to cost before one has been measured.
    pub first_costs: JobCosts,
}

impl HashingPoolSettings {
    /// The bound on waiting jobs that [`Self::max_queued`] should have: an idle one is small, so it only has to
    /// keep a wrong estimate from filling the memory.
    pub const MAX_QUEUED: usize = 4096;
}

/// A handle on the hashing threads. Clones share them; after the last one is dropped they end, each after the job that
/// it is running.
#[derive(Clone)]
pub struct HashingPool {
    handle: Arc<Handle>,
}

impl fmt::Debug for HashingPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let queue = self.handle.shared.lock();
        let (running, queued) = (queue.running(), queue.queued());
        write!(f, "HashingPool({running} running, {queued} queued)")
    }
}

/// Closes the queue when the last clone of the pool goes; the threads hold only what is shared.
struct Handle {
    shared: Arc<Shared>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        let abandoned = self.shared.lock().close();
        self.shared.wake.notify_all();
        // Outside of the lock: a job may own anything.
        drop(abandoned);
    }
}

struct Shared {
    queue: Mutex<Queue>,
    wake: Condvar,
    now: MonotonicClock,
}

impl HashingPool {
    /// Starts the threads, named `roster-hash-1` and up.
    ///
    /// # Errors
    /// What the system said if it gave no thread; those already started end.
    pub fn start(settings: HashingPoolSettings, now: MonotonicClock) -> io::Result<Self> {
        let threads = settings.threads.max(1);
        let bounds = Bounds {
            threads,
            max_wait: settings.max_wait,
            max_queued: settings.max_queued,
        };
        let shared = Arc::new(Shared {
            queue: Mutex::new(Queue::new(bounds, settings.first_costs)),
            wake: Condvar::new(),
            now,
        });
        let handle = Handle {
            shared: Arc::clone(&shared),
        };
        for number in 1..=threads {
            let shared = Arc::clone(&shared);
            let mut memory = WorkMemory::new(settings.kept_memory_kib);
            thread::Builder::new()
                .name(format!("roster-hash-{number}"))
                .spawn(move || {
                    lower_priority();
                    shared.work(&mut memory);
                })?;
        }
        Ok(Self {
            handle: Arc::new(handle),
        })
    }

    /// Runs a job on a hashing thread and waits for what it returns. Clients are served in turn, and each one's jobs in
    /// order.
    ///
    /// Whether it is taken is decided when the future is first polled. Dropping the future skips a job that hasn't
    /// started, and changes nothing for one that has.
    ///
    /// # Errors
    /// [`HashingError::Overloaded`] at once where everything queued and running would, by its measured average, take
    /// longer than the longest wait, and no other client has more here than this one; later where somebody with less has
    /// come, where that average was wrong, or where others' turns came first, and the wait is over before a thread is free.
    /// [`HashingError::Failed`] if the job panicked.
    pub async fn run<R, F>(&self, client: ClientNetwork, kind: JobKind, job: F) -> Result<R, HashingError>
    where
        R: Send + 'static,
        F: FnOnce(&mut WorkMemory) -> R + Send + 'static,
    {
        let (answer, outcome) = oneshot::channel();
        self.handle.shared.admit(
            client,
            kind,
            Box::new(Pending {
                job: Some(job),
                result: None,
                answer,
            }),
        )?;
        // A closed channel: the pool ended before the job began.
        outcome.await.unwrap_or_else(|_| Err(HashingError::Failed))
    }

    /// Whether a job of this client would be let in at this moment: a look before work that would be in vain. Nothing is
    /// held for it, and [`Self::run`] decides.
    ///
    /// # Errors
    /// [`HashingError::Overloaded`], as [`Self::run`] would say at once.
    pub fn has_room(&self, client: ClientNetwork) -> Result<(), HashingError> {
        let (refusal, abandoned) = self.handle.shared.lock().refusal(client);
        // Outside of the lock: a job may own anything.
        drop(abandoned);
        refusal.map_or(Ok(()), Err)
    }

    /// How many clients the queue knows of.
    #[cfg(test)]
    pub(super) fn shares(&self) -> usize {
        self.handle.shared.lock().shares()
    }
}

impl Shared {
    /// The queue. A panic under the lock is a defect of this file; the queue is still a queue afterwards.
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn admit(&self, client: ClientNetwork, kind: JobKind, task: Box<dyn Task>) -> Result<(), HashingError> {
        let now = (self.now)();
        let mut queue = self.lock();
        let room = queue.make_room(client, now);
        let refusal = match room.place {
            Ok(place) => {
                queue.push(Job {
                    client,
                    kind,
                    place,
                    task,
                });
                None
            }
            Err(error) => Some(error),
        };
        drop(queue);
        drop(room.abandoned);
        for (job, error) in room.ousted {
            job.task.refuse(error);
        }
        if let Some(error) = refusal {
            return Err(error);
        }
        self.wake.notify_one();
        Ok(())
    }

    /// A hashing thread's life.
    fn work(&self, memory: &mut WorkMemory) {
        while let Some(next) = self.next() {
            match next {
                Next::Skip(job) => drop(job),
                Next::Refuse(job, error) => job.task.refuse(error),
                Next::Run(mut job) => {
                    let started = (self.now)();
                    let finished = job.task.run(memory);
                    memory.settle();
                    let took = (self.now)().saturating_duration_since(started);
                    self.lock()
                        .finished(job.client, job.kind, finished.then_some(took));
                    // Last: whoever gets the answer may count on a free thread.
                    job.task.deliver();
                }
            }
        }
    }

    /// Waits for a job; `None` when the pool is closed. What it returns is looked at, and dropped, outside the lock.
    fn next(&self) -> Option<Next> {
        let mut queue = self.lock();
        while !queue.is_closed() {
            if let Some(next) = queue.next(&*self.now) {
                return Some(next);
            }
            queue = self.wake.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        None
    }
}

struct Pending<R, F> {
    job: Option<F>,
    result: Option<Result<R, Box<dyn Any + Send>>>,
    answer: oneshot::Sender<Result<R, HashingError>>,
}

impl<R, F> Task for Pending<R, F>
where
    R: Send,
    F: FnOnce(&mut WorkMemory) -> R + Send,
{
    fn is_abandoned(&self) -> bool {
        self.answer.is_closed()
    }

    fn run(&mut self, memory: &mut WorkMemory) -> bool {
        // Safe to go on after a panic: the job is consumed, and the memory's content means nothing to the next one.
        self.result = self
            .job
            .take()
            .map(|job| catch_unwind(AssertUnwindSafe(|| job(memory))));
        matches!(self.result, Some(Ok(_)))
    }

    fn deliver(self: Box<Self>) {
        let result = match self.result {
            Some(Ok(result)) => Ok(result),
            // The panic hook has already told the log what it was.
            Some(Err(_)) | None => Err(HashingError::Failed),
        };
        // Nobody may be waiting any more; then the result is of no use either.
        self.answer.send(result).ok();
    }

    fn refuse(self: Box<Self>, error: HashingError) {
        self.answer.send(Err(error)).ok();
    }
}

/// Lets the threads that answer requests go first.
#[cfg(target_os = "linux")]
fn lower_priority() {
    // On Linux a nice value belongs to the calling thread (sched(7)). If the system refuses, hashing competes with
    // the rest as an equal: slower answers under load, nothing that is worth not starting for.
    rustix::process::nice(NICER_BY).ok();
}

/// Elsewhere a nice value belongs to the process, and lowering that would gain nothing.
#[cfg(not(target_os = "linux"))]
fn lower_priority() {}

/// Why a job brought no result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HashingError {
    /// It would have waited too long, and wasn't run.
    Overloaded {
        /// By when what is queued now should be done; a second at least.
        retry_after: Duration,
    },
    /// It was taken and something broke; the log says what.
    Failed,
}

impl fmt::Display for HashingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Overloaded { retry_after } => {
                write!(
                    f,
                    "too many passwords to hash; try again in {} s",
                    retry_after.as_secs()
                )
            }
            Self::Failed => f.write_str("a hashing job failed"),
        }
    }
}

impl std::error::Error for HashingError {}
