//! What every part of a running Roster shares: built once, cloned cheaply.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use actix_web::HttpRequest;

use crate::audit::Trail;
use crate::clock::Ambient;
use crate::config::Config;
use crate::db::Db;
use crate::error::ApiError;
use crate::keys::KeyStore;
use crate::limits::Limits;
use crate::mail::Mail;
use crate::security::passwords::Passwords;
use crate::security::{AccessTokens, RetiredSchemes};
use crate::sessions::LastUses;
use crate::users::Repeats;

/// The shared state. Every request reaches it; nothing in Roster is global.
#[derive(Clone, Debug)]
pub struct AppState {
    /// The database, with connections of this worker's own.
    pub db: Db,
    /// The configuration, as it was at the start.
    pub config: Arc<Config>,
    /// Time and chance.
    pub ambient: Ambient,
    /// What events of the audit trail are made with.
    pub trail: Trail,
    /// Hashing and checking of passwords.
    pub passwords: Passwords,
    /// Hash schemes that nobody signs in with any more.
    pub retired: Arc<RetiredSchemes>,
    /// The signing keys.
    pub keys: Arc<KeyStore>,
    /// Issuing and verifying of access tokens.
    pub tokens: Arc<AccessTokens>,
    /// What mail is sent with; none where there is no mail.
    pub mail: Option<Mail>,
    /// When sessions were used, as long as it hasn't been written.
    pub last_uses: Arc<LastUses>,
    /// What limits need besides the database.
    pub limits: Arc<Limits>,
    /// Requests that may be sent again.
    pub repeats: Arc<Repeats>,
    /// What keeps refused requests from flooding the log.
    pub refusals: Arc<RefusalLog>,
    /// Whether the process is about to end.
    pub lifecycle: Arc<Lifecycle>,
    /// Whether clients reach the API over https, as `server.public_url` says.
    pub is_https: bool,
}

impl AppState {
    /// The state that the server has put behind every request.
    ///
    /// # Errors
    /// [`ApiError::Internal`] where it hasn't.
    pub fn of(request: &HttpRequest) -> Result<&Arc<Self>, ApiError> {
        request
            .app_data()
            .ok_or_else(|| ApiError::internal("a request without application state"))
    }
}

/// Whether the process is about to end.
#[derive(Debug, Default)]
pub struct Lifecycle {
    is_ending: AtomicBool,
    open: AtomicUsize,
    taken: AtomicUsize,
}

impl Lifecycle {
    /// From now on `/readyz` says no, so that a load balancer sends nothing more.
    pub fn end(&self) {
        self.is_ending.store(true, Ordering::Relaxed);
    }

    /// Whether it is.
    #[must_use]
    pub fn is_ending(&self) -> bool {
        self.is_ending.load(Ordering::Relaxed)
    }

    /// A worker has taken a connection.
    pub fn connect(&self) {
        self.taken.fetch_add(1, Ordering::Relaxed);
        self.open.fetch_add(1, Ordering::Relaxed);
    }

    /// A connection is gone.
    pub fn disconnect(&self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }

    /// How many connections are open, and how many have been taken since the start.
    #[must_use]
    pub fn connections(&self) -> (usize, usize) {
        (
            self.open.load(Ordering::Relaxed),
            self.taken.load(Ordering::Relaxed),
        )
    }
}

/// What keeps refused requests from flooding the log: whoever sends ten thousand a second would fill the disk otherwise. Of
/// each kind so many are logged in a second, and how many weren't is told with the next one.
#[derive(Debug)]
pub struct RefusalLog {
    /// Those that a limit has refused. Whoever goes on beyond a limit tells nothing new: 20 a second.
    pub beyond_limits: LineLimit,
    /// Those without a good token or password: 100 a second, enough to see who tries what.
    pub unauthorized: LineLimit,
    /// Those for what there isn't: 100 a second.
    pub not_found: LineLimit,
}

impl Default for RefusalLog {
    fn default() -> Self {
        Self {
            beyond_limits: LineLimit::new(20),
            unauthorized: LineLimit::new(100),
            not_found: LineLimit::new(100),
        }
    }
}

/// So many lines of one kind in a second.
#[derive(Debug)]
pub struct LineLimit {
    most: u64,
    started: Instant,
    second: AtomicU64,
    logged: AtomicU64,
    left_out: AtomicU64,
}

impl LineLimit {
    fn new(most: u64) -> Self {
        Self {
            most,
            started: Instant::now(),
            second: AtomicU64::new(0),
            logged: AtomicU64::new(0),
            left_out: AtomicU64::new(0),
        }
    }

    /// Whether one more may be logged; and if so, how many weren't since the last one that was.
    pub fn admit(&self) -> Option<u64> {
        self.admit_in(self.started.elapsed().as_secs())
    }

    /// Two threads that begin a second at once may let a few more through.
    fn admit_in(&self, second: u64) -> Option<u64> {
        if self.second.swap(second, Ordering::Relaxed) != second {
            self.logged.store(0, Ordering::Relaxed);
        }
        if self.logged.fetch_add(1, Ordering::Relaxed) < self.most {
            Some(self.left_out.swap(0, Ordering::Relaxed))
        } else {
            self.left_out.fetch_add(1, Ordering::Relaxed);
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_of_one_kind_take_no_line_of_another() {
        let log = RefusalLog::default();
        let limits = [&log.beyond_limits, &log.unauthorized, &log.not_found];
        let admitted = limits.map(|limit| (0..1000).filter_map(|_| limit.admit_in(0)).count());
        assert_eq!(admitted, [20, 100, 100]);
    }

    #[test]
    fn so_many_refusals_are_logged_in_a_second_and_the_rest_is_counted() {
        let log = LineLimit::new(20);
        let admitted = |second| (0..100).filter_map(|_| log.admit_in(second)).collect::<Vec<_>>();
        assert_eq!(admitted(0), [0; 20]);
        let next = admitted(1);
        assert_eq!((next.len(), next.first(), next.get(1)), (20, Some(&80), Some(&0)));
        assert_eq!(log.admit_in(7), Some(80));
        assert_eq!(log.admit_in(7), Some(0));
    }
}
