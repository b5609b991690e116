//! The pool: who is taken, who is refused, who is skipped. Jobs stand still until a test lets them go.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Barrier, Mutex};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use super::super::job_costs::{JobCosts, JobKind};
use super::super::pool::{HashingError, HashingPool, HashingPoolSettings};
use super::super::queue::{Bounds, Job, Place, Queue, Task};
use super::super::work_memory::WorkMemory;
use crate::domain::ClientNetwork;

const KIND: JobKind = JobKind::CheckBcrypt;
const NOBODY: ClientNetwork = ClientNetwork::None;
/// Somebody with many connections.
const MANY: ClientNetwork = ClientNetwork::V4([203, 0, 113, 66]);
const ADA: ClientNetwork = ClientNetwork::V4([198, 51, 100, 1]);
const BOB: ClientNetwork = ClientNetwork::V6([0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 1]);

/// A clock that stands still until it is put forward.
#[derive(Clone)]
struct ManualClock(Arc<Mutex<Instant>>);

impl ManualClock {
    fn forward(&self, by: Duration) {
        *self.0.lock().unwrap() += by;
    }
}

/// Jobs are taken to cost 100 ms.
fn pool(threads: usize, max_wait: Duration) -> (HashingPool, ManualClock) {
    let settings = HashingPoolSettings {
        threads,
        max_wait,
        max_queued: 100,
        kept_memory_kib: 64,
        first_costs: JobCosts::all(ms(100)),
    };
    let clock = ManualClock(Arc::new(Mutex::new(Instant::now())));
    let now = clock.clone();
    let pool = HashingPool::start(settings, Arc::new(move || *now.0.lock().unwrap())).unwrap();
    (pool, clock)
}

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// A job that says when it has started and then waits to be released.
struct Standstill {
    started: Receiver<()>,
    release: Sender<()>,
}

fn standstill() -> (impl FnOnce(&mut WorkMemory) + Send + 'static, Standstill) {
    let (say_started, started) = channel();
    let (release, released) = channel();
    let job = move |_: &mut WorkMemory| {
        say_started.send(()).unwrap();
        released.recv().unwrap();
    };
    (job, Standstill { started, release })
}

fn poll<F: Future>(future: &mut Pin<Box<F>>) -> Poll<F::Output> {
    future.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

/// Occupies one thread; the future has to be kept or dropped, as the test wants.
fn occupy(
    pool: &HashingPool,
) -> (
    Pin<Box<impl Future<Output = Result<(), HashingError>>>>,
    Standstill,
) {
    let (job, gate) = standstill();
    let mut running = Box::pin(pool.run(NOBODY, KIND, job));
    assert!(poll(&mut running).is_pending());
    gate.started.recv().unwrap();
    (running, gate)
}

fn overloaded(seconds: u64) -> HashingError {
    HashingError::Overloaded {
        retry_after: Duration::from_secs(seconds),
    }
}

#[tokio::test]
async fn a_job_gets_its_answer_from_a_named_thread() {
    let (pool, _) = pool(1, ms(0));
    let name = pool
        .run(NOBODY, KIND, |_| thread::current().name().map(str::to_owned))
        .await;
    assert_eq!(name.unwrap().as_deref(), Some("roster-hash-1"));
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn hashing_threads_are_nicer_and_others_are_not() {
    let nice = || rustix::process::getpriority_process(None).unwrap();
    let before = nice();
    let (pool, _) = pool(1, ms(0));
    assert_eq!(
        pool.run(NOBODY, KIND, move |_| nice()).await,
        Ok((before + 10).min(19))
    );
    assert_eq!(nice(), before);
}

#[tokio::test]
async fn jobs_run_beside_each_other() {
    let (pool, _) = pool(2, ms(0));
    let meeting = Arc::new(Barrier::new(2));
    let meet = || {
        let meeting = Arc::clone(&meeting);
        pool.run(NOBODY, KIND, move |_| meeting.wait().is_leader())
    };
    let (one, other) = tokio::join!(meet(), meet());
    assert!(one.unwrap() ^ other.unwrap());
}

#[tokio::test]
async fn without_waiting_only_a_free_thread_takes_a_job() {
    let (pool, _) = pool(2, ms(0));
    let (first, gate) = occupy(&pool);
    // The other thread is free.
    let (second, other_gate) = occupy(&pool);
    assert_eq!(pool.run(NOBODY, KIND, |_| ()).await, Err(overloaded(1)));
    gate.release.send(()).unwrap();
    first.await.unwrap();
    assert_eq!(pool.run(NOBODY, KIND, |_| 5).await, Ok(5));
    other_gate.release.send(()).unwrap();
    second.await.unwrap();
}

#[tokio::test]
async fn who_would_wait_too_long_is_refused_at_once() {
    let (pool, _) = pool(1, ms(300));
    let (running, gate) = occupy(&pool);
    let mut waiting = Vec::new();
    // 100 ms running, then 200 and 300 with those that wait.
    for _ in 0..3 {
        let mut job = Box::pin(pool.run(NOBODY, KIND, |_| ()));
        assert!(poll(&mut job).is_pending());
        waiting.push(job);
    }
    let mut refused = Box::pin(pool.run(NOBODY, KIND, |_| ()));
    assert_eq!(poll(&mut refused), Poll::Ready(Err(overloaded(1))));
    assert_eq!(format!("{pool:?}"), "HashingPool(1 running, 3 queued)");
    gate.release.send(()).unwrap();
    running.await.unwrap();
    for job in waiting {
        job.await.unwrap();
    }
    assert_eq!(pool.run(NOBODY, KIND, |_| ()).await, Ok(()));
}

#[tokio::test]
async fn two_threads_take_twice_as_much() {
    let (pool, _) = pool(2, ms(200));
    let held = [occupy(&pool), occupy(&pool)];
    let mut waiting = Vec::new();
    while waiting.len() < 10 {
        let mut job = Box::pin(pool.run(NOBODY, KIND, |_| ()));
        if poll(&mut job).is_ready() {
            break;
        }
        waiting.push(job);
    }
    // Two running and two queued are 200 ms for two threads; one more would be over.
    assert_eq!(waiting.len(), 3);
    for (running, gate) in held {
        gate.release.send(()).unwrap();
        running.await.unwrap();
    }
    for job in waiting {
        job.await.unwrap();
    }
}

#[tokio::test]
async fn the_queue_is_bounded_whatever_the_estimate() {
    let settings = HashingPoolSettings {
        threads: 1,
        max_wait: Duration::MAX,
        max_queued: 2,
        kept_memory_kib: 64,
        first_costs: JobCosts::all(Duration::ZERO),
    };
    let pool = HashingPool::start(settings, Arc::new(Instant::now)).unwrap();
    let (running, gate) = occupy(&pool);
    let mut waiting = [(); 2].map(|()| Box::pin(pool.run(NOBODY, KIND, |_| ())));
    for job in &mut waiting {
        assert!(poll(job).is_pending());
    }
    assert_eq!(pool.run(NOBODY, KIND, |_| ()).await, Err(overloaded(1)));
    gate.release.send(()).unwrap();
    running.await.unwrap();
    for job in waiting {
        job.await.unwrap();
    }
}

#[tokio::test]
async fn a_job_whose_time_is_up_is_not_run() {
    let (pool, clock) = pool(1, ms(1000));
    let (running, gate) = occupy(&pool);
    let (say, ran) = channel();
    let mut late = Box::pin(pool.run(NOBODY, KIND, move |_| say.send(()).unwrap()));
    assert!(poll(&mut late).is_pending());
    clock.forward(ms(1001));
    gate.release.send(()).unwrap();
    running.await.unwrap();
    assert!(matches!(late.await, Err(HashingError::Overloaded { .. })));
    assert!(ran.recv().is_err(), "dropped without having run");
}

#[tokio::test]
async fn a_job_in_time_is_run() {
    let (pool, clock) = pool(1, ms(1000));
    let (running, gate) = occupy(&pool);
    let mut in_time = Box::pin(pool.run(NOBODY, KIND, |_| 5));
    assert!(poll(&mut in_time).is_pending());
    clock.forward(ms(1000));
    gate.release.send(()).unwrap();
    running.await.unwrap();
    assert_eq!(in_time.await, Ok(5));
}

#[tokio::test]
async fn nobodys_job_is_skipped() {
    let (pool, _) = pool(1, ms(1000));
    let (running, gate) = occupy(&pool);
    let (say, ran) = channel();
    let mut gone = Box::pin(pool.run(NOBODY, KIND, move |_| say.send(()).unwrap()));
    assert!(poll(&mut gone).is_pending());
    drop(gone);
    gate.release.send(()).unwrap();
    running.await.unwrap();
    // The one thread takes jobs in order: this one comes after.
    pool.run(NOBODY, KIND, |_| ()).await.unwrap();
    assert!(ran.recv().is_err(), "dropped without having run");
}

#[tokio::test]
async fn those_who_left_do_not_keep_others_out() {
    let (pool, _) = pool(1, ms(100));
    let (running, gate) = occupy(&pool);
    let mut first = Box::pin(pool.run(NOBODY, KIND, |_| ()));
    assert!(poll(&mut first).is_pending());
    assert_eq!(pool.run(NOBODY, KIND, |_| ()).await, Err(overloaded(1)));
    drop(first);
    let mut second = Box::pin(pool.run(NOBODY, KIND, |_| 5));
    assert!(poll(&mut second).is_pending());
    gate.release.send(()).unwrap();
    running.await.unwrap();
    assert_eq!(second.await, Ok(5));
}

#[tokio::test]
async fn a_disconnect_frees_no_thread() {
    let (pool, _) = pool(1, ms(0));
    let (running, gate) = occupy(&pool);
    drop(running);
    assert_eq!(pool.run(NOBODY, KIND, |_| ()).await, Err(overloaded(1)));
    assert_eq!(format!("{pool:?}"), "HashingPool(1 running, 0 queued)");
    gate.release.send(()).unwrap();
}

#[tokio::test]
async fn a_panic_fails_one_job_and_kills_no_thread() {
    let (pool, _) = pool(1, ms(0));
    for _ in 0..3 {
        let failed: Result<(), _> = pool.run(NOBODY, KIND, |_| panic!("on purpose")).await;
        assert_eq!(failed, Err(HashingError::Failed));
    }
    assert_eq!(pool.run(NOBODY, KIND, |_| 5).await, Ok(5));
}

#[tokio::test]
async fn the_estimate_follows_what_is_measured() {
    let (pool, clock) = pool(1, ms(1000));
    for _ in 0..40 {
        let clock = clock.clone();
        pool.run(NOBODY, KIND, move |_| clock.forward(ms(2000)))
            .await
            .unwrap();
    }
    let (running, gate) = occupy(&pool);
    // Nearly two seconds by now: one running is too much already, and another kind is as it was.
    assert_eq!(
        pool.run(NOBODY, JobKind::CheckArgon2, |_| ()).await,
        Err(HashingError::Overloaded {
            retry_after: average(ms(100), ms(2000), 40)
        })
    );
    gate.release.send(()).unwrap();
    running.await.unwrap();
}

/// A quarter of each new measurement.
fn average(first: Duration, measured: Duration, times: u32) -> Duration {
    (0..times).fold(first, |average, _| (average * 3 + measured) / 4)
}

#[tokio::test]
async fn each_thread_keeps_one_buffer() {
    let (pool, _) = pool(1, ms(0));
    let address = |memory: &mut WorkMemory| memory.blocks(64).unwrap().as_ptr() as usize;
    let first = pool.run(NOBODY, KIND, address).await.unwrap();
    assert_eq!(pool.run(NOBODY, KIND, address).await, Ok(first));
    pool.run(NOBODY, KIND, |memory| memory.blocks(65).map(|_| ()))
        .await
        .unwrap()
        .unwrap();
    let kept = pool
        .run(NOBODY, KIND, |memory| format!("{memory:?}"))
        .await
        .unwrap();
    assert_eq!(kept, "WorkMemory(0 KiB)");
}

thread_local! {
    static AT_END: RefCell<Option<SayAtEnd>> = const { RefCell::new(None) };
}

struct SayAtEnd(Sender<()>);

impl Drop for SayAtEnd {
    fn drop(&mut self) {
        self.0.send(()).unwrap();
    }
}

#[tokio::test]
async fn the_threads_end_with_the_last_clone() {
    let (pool, _) = pool(1, ms(0));
    let clone = pool.clone();
    drop(pool);
    let (say, ended) = channel();
    let leave_word = move |_: &mut WorkMemory| AT_END.with_borrow_mut(|place| *place = Some(SayAtEnd(say)));
    clone.run(NOBODY, KIND, leave_word).await.unwrap();
    let (running, gate) = occupy(&clone);
    drop(running);
    drop(clone);
    assert!(ended.try_recv().is_err(), "the running job isn't interrupted");
    gate.release.send(()).unwrap();
    ended.recv().unwrap();
}

#[tokio::test]
async fn a_job_may_own_the_last_clone() {
    let (pool, _) = pool(1, ms(1000));
    let (say, ended) = channel();
    let leave_word = move |_: &mut WorkMemory| AT_END.with_borrow_mut(|place| *place = Some(SayAtEnd(say)));
    pool.run(NOBODY, KIND, leave_word).await.unwrap();
    let (running, gate) = occupy(&pool);
    drop(running);
    let clone = pool.clone();
    let mut skipped = Box::pin(pool.run(NOBODY, KIND, move |_| drop(clone)));
    assert!(poll(&mut skipped).is_pending());
    drop(skipped);
    drop(pool);
    // The thread drops the job, and with it the pool, and must not wait for itself.
    gate.release.send(()).unwrap();
    ended.recv().unwrap();
}

/// A job of a client that says its name when it is run; it has been let in.
fn queued(
    pool: &HashingPool,
    client: ClientNetwork,
    name: &'static str,
    ran: &Sender<&'static str>,
) -> Pin<Box<impl Future<Output = Result<(), HashingError>> + use<>>> {
    let (pool, ran) = (pool.clone(), ran.clone());
    let mut job = Box::pin(async move {
        let say = move |_: &mut WorkMemory| ran.send(name).unwrap();
        pool.run(client, KIND, say).await
    });
    assert!(poll(&mut job).is_pending(), "{name} isn't let in");
    job
}

#[tokio::test]
async fn clients_are_served_in_turn_and_each_ones_jobs_in_order() {
    let (pool, _) = pool(1, ms(10_000));
    let (running, gate) = occupy(&pool);
    let (ran, order) = channel();
    let mut waiting = Vec::new();
    for name in ["many 1", "many 2", "many 3", "many 4"] {
        waiting.push(queued(&pool, MANY, name, &ran));
    }
    waiting.push(queued(&pool, ADA, "ada 1", &ran));
    waiting.push(queued(&pool, BOB, "bob 1", &ran));
    waiting.push(queued(&pool, ADA, "ada 2", &ran));
    gate.release.send(()).unwrap();
    running.await.unwrap();
    for job in waiting {
        job.await.unwrap();
    }
    drop(ran);
    let order: Vec<&str> = order.iter().collect();
    assert_eq!(
        order,
        ["many 1", "ada 1", "bob 1", "many 2", "ada 2", "many 3", "many 4"]
    );
}

#[tokio::test]
async fn who_has_few_takes_the_last_place_of_who_has_most() {
    let (pool, _) = pool(1, ms(300));
    let (running, gate) = occupy(&pool);
    let (ran, order) = channel();
    let mut first = queued(&pool, MANY, "many 1", &ran);
    let second = queued(&pool, MANY, "many 2", &ran);
    let mut last = queued(&pool, MANY, "many 3", &ran);
    // Whoever has most is refused at once.
    assert_eq!(pool.has_room(MANY), Err(overloaded(1)));
    assert_eq!(pool.run(MANY, KIND, |_| ()).await, Err(overloaded(1)));
    assert_eq!(pool.has_room(ADA), Ok(()));
    let ada = queued(&pool, ADA, "ada 1", &ran);
    assert_eq!(poll(&mut last), Poll::Ready(Err(overloaded(1))));
    assert!(poll(&mut first).is_pending());
    assert_eq!(format!("{pool:?}"), "HashingPool(1 running, 3 queued)");
    // Two and one: another one of hers would only turn that round.
    assert_eq!(pool.has_room(ADA), Err(overloaded(1)));
    assert_eq!(pool.run(ADA, KIND, |_| ()).await, Err(overloaded(1)));
    // Somebody else has none yet.
    let bob = queued(&pool, BOB, "bob 1", &ran);
    assert_eq!(second.await, Err(overloaded(1)));
    // One each: now there is nothing to be shared out.
    let late = ClientNetwork::V4([198, 51, 100, 3]);
    assert_eq!(pool.run(late, KIND, |_| ()).await, Err(overloaded(1)));
    gate.release.send(()).unwrap();
    running.await.unwrap();
    for job in [first, ada, bob] {
        job.await.unwrap();
    }
    drop(ran);
    assert_eq!(order.iter().collect::<Vec<_>>(), ["many 1", "ada 1", "bob 1"]);
}

#[tokio::test]
async fn who_has_the_threads_has_the_larger_share() {
    let (pool, _) = pool(1, ms(100));
    let (job, gate) = standstill();
    let mut running = Box::pin(pool.run(MANY, KIND, job));
    assert!(poll(&mut running).is_pending());
    gate.started.recv().unwrap();
    let (ran, order) = channel();
    let many = queued(&pool, MANY, "many 1", &ran);
    let ada = queued(&pool, ADA, "ada 1", &ran);
    assert_eq!(many.await, Err(overloaded(1)));
    // Nothing of his waits, but he is being served: hers stays.
    assert_eq!(pool.run(MANY, KIND, |_| ()).await, Err(overloaded(1)));
    gate.release.send(()).unwrap();
    running.await.unwrap();
    ada.await.unwrap();
    drop(ran);
    assert_eq!(order.iter().collect::<Vec<_>>(), ["ada 1"]);
}

#[tokio::test]
async fn room_is_made_by_time_and_not_one_for_one() {
    let (pool, clock) = pool(1, ms(1000));
    for _ in 0..40 {
        let clock = clock.clone();
        pool.run(NOBODY, KIND, move |_| clock.forward(ms(200)))
            .await
            .unwrap();
    }
    let (running, gate) = occupy(&pool);
    let mut quick = Vec::new();
    loop {
        let mut job = Box::pin(pool.run(MANY, JobKind::Create, |_| ()));
        if poll(&mut job).is_ready() {
            break;
        }
        quick.push(job);
    }
    // Nearly 200 ms are running, and so there is room for nine of 100 ms.
    assert_eq!(quick.len(), 9);
    let mut ada = Box::pin(pool.run(ADA, KIND, |_| ()));
    assert!(poll(&mut ada).is_pending());
    quick.retain_mut(|job| poll(job).is_pending());
    assert_eq!(quick.len(), 8);
    // Her job is twice what made room for it, so the next one needs two.
    let mut bob = Box::pin(pool.run(BOB, KIND, |_| ()));
    assert!(poll(&mut bob).is_pending());
    quick.retain_mut(|job| poll(job).is_pending());
    assert_eq!(quick.len(), 6);
    assert_eq!(format!("{pool:?}"), "HashingPool(1 running, 8 queued)");
    gate.release.send(()).unwrap();
    running.await.unwrap();
    ada.await.unwrap();
    bob.await.unwrap();
}

/// A job that is nothing but there.
struct Idle;

impl Task for Idle {
    fn is_abandoned(&self) -> bool {
        false
    }

    fn run(&mut self, _: &mut WorkMemory) -> bool {
        true
    }

    fn deliver(self: Box<Self>) {}

    fn refuse(self: Box<Self>, _: HashingError) {}
}

#[test]
fn who_was_given_a_free_thread_keeps_it() {
    let bounds = Bounds {
        threads: 2,
        max_wait: ms(0),
        max_queued: 100,
    };
    let now = Instant::now();
    let mut queue = Queue::new(bounds, JobCosts::all(ms(100)));
    // Both threads are free, and wake up.
    for _ in 0..2 {
        let room = queue.make_room(MANY, now);
        assert_eq!(room.place, Ok(Place::Thread));
        queue.push(Job {
            client: MANY,
            kind: KIND,
            place: Place::Thread,
            task: Box::new(Idle),
        });
    }
    let room = queue.make_room(ADA, now);
    assert_eq!(room.place, Err(overloaded(1)));
    assert!(room.ousted.is_empty());
    assert_eq!(queue.queued(), 2);
}

#[tokio::test]
async fn a_look_takes_no_place() {
    let (pool, _) = pool(1, ms(100));
    let (running, gate) = occupy(&pool);
    for _ in 0..1_000 {
        assert_eq!(pool.has_room(ADA), Ok(()));
    }
    let mut waiting = Box::pin(pool.run(ADA, KIND, |_| 5));
    assert!(poll(&mut waiting).is_pending());
    assert_eq!(pool.has_room(ADA), Err(overloaded(1)));
    // Who left is no reason to refuse anybody.
    drop(waiting);
    assert_eq!(pool.has_room(ADA), Ok(()));
    assert_eq!(format!("{pool:?}"), "HashingPool(1 running, 0 queued)");
    gate.release.send(()).unwrap();
    running.await.unwrap();
}

#[tokio::test]
async fn a_late_or_abandoned_job_costs_its_client_no_turn() {
    let (pool, clock) = pool(1, ms(1000));
    let (running, gate) = occupy(&pool);
    let (ran, order) = channel();
    let late = queued(&pool, MANY, "late", &ran);
    let gone = queued(&pool, MANY, "gone", &ran);
    clock.forward(ms(600));
    let ada = queued(&pool, ADA, "ada 1", &ran);
    let many = queued(&pool, MANY, "many 1", &ran);
    drop(gone);
    clock.forward(ms(600));
    gate.release.send(()).unwrap();
    running.await.unwrap();
    assert!(matches!(late.await, Err(HashingError::Overloaded { .. })));
    many.await.unwrap();
    ada.await.unwrap();
    drop(ran);
    assert_eq!(order.iter().collect::<Vec<_>>(), ["many 1", "ada 1"]);
}

#[tokio::test]
async fn a_share_is_there_while_it_has_a_job() {
    let (pool, _) = pool(1, ms(600_000));
    let (running, gate) = occupy(&pool);
    assert_eq!(pool.shares(), 1);
    let client = |number: u8| ClientNetwork::V4([198, 51, 100, number]);
    let mut waiting: Vec<_> = (0..100)
        .map(|number| {
            let pool = pool.clone();
            Box::pin(async move { pool.run(client(number), KIND, |_| ()).await })
        })
        .collect();
    for job in &mut waiting {
        assert!(poll(job).is_pending());
    }
    assert_eq!(pool.shares(), 101);
    // Half of them leave. The queue has its most jobs, so the next one finds that out.
    waiting.truncate(50);
    let mut next = Box::pin(pool.run(client(200), KIND, |_| ()));
    assert!(poll(&mut next).is_pending());
    assert_eq!(pool.shares(), 52);
    gate.release.send(()).unwrap();
    running.await.unwrap();
    for job in waiting {
        job.await.unwrap();
    }
    next.await.unwrap();
    assert_eq!(pool.shares(), 0);
}
