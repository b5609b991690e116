//! The database: connecting, reading, and the unit of work.
//!
//! Services come here with a closure. [`Db::read`] hands it a [`Reader`], [`Db::write`] a [`Writer`] to begin a
//! [`Transaction`] on. Both run it in a task of its own that the request only awaits. That is not a nicety: when a
//! client resets its connection, actix drops the handler's future, and a `BEGIN` that is dropped on its way returns
//! its connection to the pool inside an open transaction; the next plain write on it reports success and is lost.
//!
//! The price is one small allocation a request. What it buys besides: a deadline for the request doesn't cancel
//! anything, and a link that swallows packets is noticed and replaced.

mod among;
mod batch;
mod classify;
mod connect;
mod direct;
mod file;
mod lane;
mod probe;
mod reader;
mod replace;
mod row;
pub mod schema;
mod writer;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, DbErr, QueryResult, Statement};
use tokio::sync::{OwnedRwLockReadGuard, RwLock, Semaphore};

use crate::error::{ApiError, Cause};
use direct::Direct;
use lane::Lane;
use reader::{Executor, read_in_transaction};
use row::Source;

pub use among::one_of;
pub use batch::batch_of;
pub use classify::{UniqueKey, violated_key};
pub use connect::{ConnectError, DatabaseSettings};
pub use lane::Parameter;
pub use reader::Reader;
pub use row::Row;
pub use writer::{Transaction, Writer};

/// How long a request waits at most while all connections are being replaced.
const REPLACEMENT_WAIT: Duration = Duration::from_millis(300);

/// A handle on the database; clones share its connections.
#[derive(Clone, Debug)]
pub struct Db {
    shared: Arc<Shared>,
    /// Where this handle is a worker's, and the database an `SQLite` file.
    direct: Option<Arc<Direct>>,
    /// Whether what is written through this handle is taken back instead of committed.
    is_rehearsal: bool,
}

#[derive(Debug)]
struct Shared {
    settings: DatabaseSettings,
    link: ArcSwap<Link>,
    /// Counts the links that were given up, so that many requests stuck on one replace it once.
    generation: AtomicU64,
    /// When anything was answered last, in milliseconds since `opened`.
    answered: AtomicU64,
    /// When connections were replaced last that took no writes, likewise; 0 where they never were.
    replaced: AtomicU64,
    opened: Instant,
    /// Held by whoever writes to `SQLite`: there, one writes at a time anyway, and those that wait inside the
    /// database would each hold a connection.
    writing: Arc<Semaphore>,
    /// Held by whatever uses connections that workers share to an `SQLite` file, and by nobody else while all are replaced.
    passage: Arc<RwLock<()>>,
    /// Every worker's, so that they can be closed.
    directs: Mutex<Vec<Arc<Direct>>>,
}

/// The connections as they are at the moment; replaced as a whole when the link has stopped answering.
#[derive(Debug)]
struct Link {
    pool: DatabaseConnection,
    /// None where reads need a transaction, or there are too few connections to divide.
    lane: Option<Lane>,
}

impl Link {
    async fn close(&self) {
        if let Some(lane) = &self.lane {
            lane.close().await;
        }
        let _ = self.pool.close_by_ref().await;
    }
}

impl Db {
    fn new(settings: DatabaseSettings, link: Link, writing: Arc<Semaphore>) -> Self {
        let shared = Arc::new(Shared {
            settings,
            link: ArcSwap::from_pointee(link),
            generation: AtomicU64::new(0),
            answered: AtomicU64::new(0),
            replaced: AtomicU64::new(0),
            opened: Instant::now(),
            writing,
            passage: Arc::default(),
            directs: Mutex::default(),
        });
        Self {
            shared,
            direct: None,
            is_rehearsal: false,
        }
    }

    /// A handle for one worker thread.
    ///
    /// On PostgreSQL it has connections of its own. A socket belongs to the runtime of the thread that opened it:
    /// shared, it would wake one thread for the sake of another at each answer, and would die under the others
    /// when its thread is the first to finish at a shutdown. `SQLite` connections are threads of their own, and
    /// are shared, but for the one that the worker reads on by itself.
    ///
    /// # Errors
    /// [`ConnectError`] where the settings can't be used.
    pub fn for_worker(&self) -> Result<Self, ConnectError> {
        match self.backend() {
            DbBackend::Postgres => {
                let settings = self.shared.settings.for_worker();
                let link = settings.open()?;
                Ok(Self {
                    is_rehearsal: self.is_rehearsal,
                    ..Self::new(settings, link, one_at_a_time())
                })
            }
            _ => Ok(Self {
                shared: Arc::clone(&self.shared),
                direct: self.shared.new_direct(),
                is_rehearsal: self.is_rehearsal,
            }),
        }
    }

    /// A handle with one connection, for a command that loads many rows: it waits longer than a request may, and `SQLite`
    /// has more memory for it.
    ///
    /// # Errors
    /// [`ConnectError`] where the settings can't be used.
    pub fn for_loading(&self) -> Result<Self, ConnectError> {
        let settings = self.shared.settings.for_loading();
        let link = settings.open()?;
        Ok(Self {
            is_rehearsal: self.is_rehearsal,
            ..Self::new(settings, link, Arc::clone(&self.shared.writing))
        })
    }

    /// A handle on the same connections through which nothing is changed: every unit of work runs to its end, so that each
    /// rule and each unique key has its say, and is rolled back where it would be committed. For dry runs.
    ///
    /// The price is that of the change itself, locks included.
    #[must_use]
    pub fn rehearsal(&self) -> Self {
        Self {
            is_rehearsal: true,
            ..self.clone()
        }
    }

    /// Which database this is.
    #[must_use]
    pub fn backend(&self) -> DbBackend {
        self.shared.link.load().pool.get_database_backend()
    }

    /// Whether one writes at a time, of all processes.
    #[must_use]
    pub fn has_one_writer(&self) -> bool {
        self.backend() == DbBackend::Sqlite
    }

    /// The plain connection pool, for migrations and for tests.
    #[must_use]
    pub fn connection(&self) -> DatabaseConnection {
        self.shared.link.load().pool.clone()
    }

    /// Closes all connections, after what runs on them has ended. An `SQLite` database is one complete file then.
    pub async fn close(&self) {
        for direct in self.shared.take_directs() {
            direct.close();
        }
        self.shared.link.load_full().close().await;
        // A connection whose thread has ended before it was back in the pool has closed nothing.
        self.shared.settings.checkpoint().await;
    }

    /// Runs reads, each of which stands for itself. A connection that turns out to be broken is replaced and the
    /// reads are run again: a ping before each one would cost a fifth of the throughput.
    ///
    /// # Errors
    /// [`ApiError::DatabaseUnavailable`] when the database can't answer in time, and whatever `work` fails with.
    pub async fn read<T, F, Fut>(&self, work: F) -> Result<T, ApiError>
    where
        T: Send + 'static,
        F: Fn(Reader) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<T, DbErr>> + Send,
    {
        let deadline = self.deadline();
        let passage = self.enter().await;
        let pool = self.connection();
        let in_transaction = self.shared.settings.needs_transactions();
        let attempts = self.shared.settings.attempts();
        self.run(deadline, async move {
            let _passage = passage;
            let mut attempt = 1;
            loop {
                let result = if in_transaction {
                    read_in_transaction(&pool, &work).await
                } else {
                    work(Reader(Executor::Pool(pool.clone()))).await
                };
                match result {
                    Err(error) if attempt < attempts && classify::is_broken_connection(&error) => {
                        attempt += 1;
                    }
                    Err(error) => return Err(classify::api_error(error)),
                    Ok(value) => return Ok(value),
                }
            }
        })
        .await
    }

    /// Runs one query on connections that are kept for it; see the `direct` and the `lane` module.
    ///
    /// # Errors
    /// [`ApiError::DatabaseUnavailable`] when the database can't answer in time.
    pub async fn fetch<T, const N: usize>(
        &self,
        sql: &'static str,
        parameters: [Parameter; N],
        decode: fn(&Row<'_>) -> Result<T, DbErr>,
    ) -> Result<Vec<T>, ApiError> {
        if let Some(direct) = &self.direct
            && let Some(rows) = direct.fetch(sql, &parameters, decode)
        {
            return Ok(rows);
        }
        let rows = self.fetch_elsewhere(sql, parameters).await?;
        rows.iter()
            .map(|row| decode(&Row(Source::Sqlx(row))).map_err(ApiError::from))
            .collect()
    }

    async fn fetch_elsewhere<const N: usize>(
        &self,
        sql: &'static str,
        parameters: [Parameter; N],
    ) -> Result<Vec<QueryResult>, ApiError> {
        let deadline = self.deadline();
        let passage = self.enter().await;
        let link = self.shared.link.load_full();
        if link.lane.is_none() {
            drop(passage);
            return self
                .read(move |reader| async move {
                    let values = parameters.map(|parameter| match parameter {
                        Parameter::Uuid(id) => id.into(),
                        Parameter::Time(at) => at.into(),
                    });
                    let backend = reader.get_database_backend();
                    reader
                        .query_all_raw(Statement::from_sql_and_values(backend, sql, values))
                        .await
                })
                .await;
        }
        self.run(deadline, async move {
            let _passage = passage;
            match &link.lane {
                Some(lane) => lane.fetch(sql, &parameters).await.map_err(classify::api_error),
                None => Err(ApiError::internal("no connections are kept")),
            }
        })
        .await
    }

    /// Runs a unit of work that writes. `work` begins and commits its transaction itself, in sight; it does
    /// nothing slow in between, and runs to its end even when the client has gone.
    ///
    /// # Errors
    /// [`ApiError::DatabaseUnavailable`] when the database can't answer in time: then nothing has been done, nor will be,
    /// but for a commit that was already on its way, which may succeed. And whatever `work` fails with.
    pub async fn write<T, F, Fut>(&self, work: F) -> Result<T, ApiError>
    where
        T: Send + 'static,
        F: FnOnce(Writer) -> Fut + Send + 'static,
        Fut: Future<Output = Result<T, ApiError>> + Send,
    {
        let deadline = self.deadline();
        let passage = self.enter().await;
        let writer = Writer {
            pool: self.connection(),
            attempts: self.shared.settings.attempts(),
            is_pooled: self.shared.settings.needs_transactions(),
            writing: self.has_one_writer().then(|| Arc::clone(&self.shared.writing)),
            deadline,
            is_rehearsal: self.is_rehearsal,
        };
        self.run(deadline, async move {
            let _passage = passage;
            work(writer).await
        })
        .await
    }

    /// Until when whoever asks now waits, whatever the time is spent on.
    fn deadline(&self) -> tokio::time::Instant {
        tokio::time::Instant::now() + self.shared.settings.time_limit()
    }

    /// Waits while connections are being replaced, but not for long: closed ones say so at once.
    async fn enter(&self) -> Option<OwnedRwLockReadGuard<()>> {
        if self.backend() != DbBackend::Sqlite {
            return None;
        }
        let passage = Arc::clone(&self.shared.passage).read_owned();
        tokio::time::timeout(REPLACEMENT_WAIT, passage).await.ok()
    }

    async fn run<T: Send + 'static>(
        &self,
        deadline: tokio::time::Instant,
        work: impl Future<Output = Result<T, ApiError>> + Send + 'static,
    ) -> Result<T, ApiError> {
        let shared = &self.shared;
        let generation = shared.generation.load(Ordering::Relaxed);
        let started = shared.opened.elapsed();
        match tokio::time::timeout_at(deadline, tokio::spawn(work)).await {
            Ok(Ok(result)) => {
                shared
                    .answered
                    .store(milliseconds(shared.opened.elapsed()), Ordering::Relaxed);
                if let Err(ApiError::DatabaseUnavailable(cause)) = &result
                    && classify::is_read_only(cause)
                {
                    self.look_for_a_writable_one();
                }
                result
            }
            Ok(Err(ended)) => Err(ApiError::internal(ended)),
            Err(_) => {
                // Where others had an answer meanwhile, the link is well and this one waited for a lock or a place.
                if shared.answered.load(Ordering::Relaxed) < milliseconds(started) {
                    self.give_up(generation);
                }
                let limit = shared.settings.time_limit();
                Err(unavailable(format!("no answer within {limit:?}")))
            }
        }
    }
}

impl Shared {
    fn new_direct(&self) -> Option<Arc<Direct>> {
        let direct = Arc::new(Direct::new(self.settings.plain_sqlite_file()?));
        self.directs().push(Arc::clone(&direct));
        Some(direct)
    }

    fn take_directs(&self) -> Vec<Arc<Direct>> {
        std::mem::take(&mut self.directs())
    }

    fn directs(&self) -> MutexGuard<'_, Vec<Arc<Direct>>> {
        self.directs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The turn to write.
fn one_at_a_time() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(1))
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn unavailable(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> ApiError {
    ApiError::DatabaseUnavailable(Cause::new(cause))
}

impl From<DbErr> for ApiError {
    fn from(error: DbErr) -> Self {
        classify::api_error(error)
    }
}
