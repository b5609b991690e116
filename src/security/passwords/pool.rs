//! The threads that hash, and the bounded queue in front of them.
//!
//! A password hash takes a whole core for up to a third of a second. Left to the runtime's blocking pool, a few
//! hundred logins take every core and gigabytes of argon2 memory, and everybody waits for everybody. So a fixed number
//! of threads hash, at a lower priority than the threads that answer requests, and whoever would have to wait too
//! long is told so at once.
//!
//! A job belongs to the pool and not to the request: a client that goes away while its job runs frees nothing, or
//! sixty-four impatient clients would be sixty-four hashes at once.

use std::any::Any;
use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::job_costs::{JobCosts, JobKind};
use super::work_memory::WorkMemory;

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
        let (running, queued) = (queue.running.len(), queue.jobs.len());
        write!(f, "HashingPool({running} running, {queued} queued)")
    }
}

/// Closes the queue when the last clone of the pool goes; the threads hold only what is shared.
struct Handle {
    shared: Arc<Shared>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        let abandoned = {
            let mut queue = self.shared.lock();
            queue.closed = true;
            std::mem::take(&mut queue.jobs)
        };
        self.shared.wake.notify_all();
        // Outside of the lock: a job may own anything.
        drop(abandoned);
    }
}

struct Shared {
    queue: Mutex<Queue>,
    wake: Condvar,
    threads: usize,
    max_wait: Duration,
    max_queued: usize,
    now: MonotonicClock,
}

struct Queue {
    jobs: VecDeque<Job>,
    running: Vec<JobKind>,
    costs: JobCosts,
    closed: bool,
}

struct Job {
    kind: JobKind,
    /// After this it is too late to start; `None` for a job that found a free thread, which only has to wake up.
    deadline: Option<Instant>,
    task: Box<dyn Task>,
}

impl HashingPool {
    /// Starts the threads, named `roster-hash-1` and up.
    ///
    /// # Errors
    /// What the system said if it gave no thread; those already started end.
    pub fn start(settings: HashingPoolSettings, now: MonotonicClock) -> io::Result<Self> {
        let threads = settings.threads.max(1);
        let shared = Arc::new(Shared {
            queue: Mutex::new(Queue {
                jobs: VecDeque::new(),
                running: Vec::new(),
                costs: settings.first_costs,
                closed: false,
            }),
            wake: Condvar::new(),
            threads,
            max_wait: settings.max_wait,
            max_queued: settings.max_queued,
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

    /// Runs a job on a hashing thread and waits for what it returns.
    ///
    /// Whether it is taken is decided when the future is first polled. Dropping the future skips a job that hasn't
    /// started, and changes nothing for one that has.
    ///
    /// # Errors
    /// [`HashingError::Overloaded`] at once where everything queued and running would, by its measured average, take
    /// longer than the longest wait, and later where that average was wrong and the wait is over before a thread is
    /// free. [`HashingError::Failed`] if the job panicked.
    pub async fn run<R, F>(&self, kind: JobKind, job: F) -> Result<R, HashingError>
    where
        R: Send + 'static,
        F: FnOnce(&mut WorkMemory) -> R + Send + 'static,
    {
        let (answer, outcome) = oneshot::channel();
        self.handle.shared.admit(
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
}

impl Shared {
    /// The queue. A panic under the lock is a defect of this file; the queue is still a queue afterwards.
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn admit(&self, kind: JobKind, task: Box<dyn Task>) -> Result<(), HashingError> {
        let now = (self.now)();
        let mut queue = self.lock();
        let mut deadline = None;
        let mut gone = VecDeque::new();
        if !queue.has_free_thread(self.threads) {
            if queue.is_full(self) {
                // Jobs whose caller went away take no time: they don't count against those who stayed.
                let (abandoned, kept) = queue.jobs.drain(..).partition(|job| job.task.is_abandoned());
                queue.jobs = kept;
                gone = abandoned;
            }
            if !queue.has_free_thread(self.threads) {
                if queue.is_full(self) {
                    let error = queue.overloaded(self.threads);
                    drop(queue);
                    drop(gone);
                    return Err(error);
                }
                deadline = now.checked_add(self.max_wait);
            }
        }
        queue.jobs.push_back(Job { kind, deadline, task });
        drop(queue);
        drop(gone);
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
                    self.finished(job.kind, finished.then_some(took));
                    // Last: whoever gets the answer may count on a free thread.
                    job.task.deliver();
                }
            }
        }
    }

    /// Waits for a job; `None` when the pool is closed. What it returns is looked at, and dropped, outside the lock.
    fn next(&self) -> Option<Next> {
        let mut queue = self.lock();
        loop {
            if queue.closed {
                return None;
            }
            let Some(job) = queue.jobs.pop_front() else {
                queue = self.wake.wait(queue).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            if job.task.is_abandoned() {
                return Some(Next::Skip(job));
            }
            if job.deadline.is_some_and(|deadline| (self.now)() > deadline) {
                let error = queue.overloaded(self.threads);
                return Some(Next::Refuse(job, error));
            }
            queue.running.push(job.kind);
            return Some(Next::Run(job));
        }
    }

    /// Counts a thread as free again, and learns from what its job took.
    fn finished(&self, kind: JobKind, took: Option<Duration>) {
        let mut queue = self.lock();
        if let Some(place) = queue.running.iter().position(|running| *running == kind) {
            queue.running.swap_remove(place);
        }
        if let Some(took) = took {
            queue.costs.learn(kind, took);
        }
    }
}

impl Queue {
    fn has_free_thread(&self, threads: usize) -> bool {
        self.running.len().saturating_add(self.jobs.len()) < threads
    }

    /// Whether one more would have to wait too long, given that no thread is free.
    fn is_full(&self, shared: &Shared) -> bool {
        shared.max_wait.is_zero()
            || self.jobs.len() >= shared.max_queued
            || self.backlog(shared.threads) > shared.max_wait
    }

    /// How long the threads need for everything queued and running, the running counted in full.
    fn backlog(&self, threads: usize) -> Duration {
        let queued = self.jobs.iter().map(|job| job.kind);
        let work = queued
            .chain(self.running.iter().copied())
            .fold(Duration::ZERO, |sum, kind| {
                sum.saturating_add(self.costs.of(kind))
            });
        u32::try_from(threads)
            .ok()
            .and_then(|threads| work.checked_div(threads))
            .unwrap_or(work)
    }

    fn overloaded(&self, threads: usize) -> HashingError {
        HashingError::Overloaded {
            retry_after: self.backlog(threads).max(Duration::from_secs(1)),
        }
    }
}

/// What a thread does next.
enum Next {
    Run(Job),
    Refuse(Job, HashingError),
    Skip(Job),
}

/// A job without its types.
trait Task: Send {
    /// Whether nobody waits for it any more.
    fn is_abandoned(&self) -> bool;
    /// Runs it and keeps what it returned; `false` if it panicked.
    fn run(&mut self, memory: &mut WorkMemory) -> bool;
    /// Hands over what it returned, or that it failed.
    fn deliver(self: Box<Self>);
    /// Says instead that it won't be run.
    fn refuse(self: Box<Self>, error: HashingError);
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
