//! Requests that may be sent again: what was answered the first time is answered each time (`Idempotency-Key`,
//! draft-ietf-httpapi-idempotency-key-header). `docs/decisions/0021-idempotency.md` has the reasoning.

use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use zeroize::Zeroizing;

use crate::app::AppState;
use crate::db::{Transaction, violated_key};
use crate::domain::UserId;
use crate::error::ApiError;
use crate::security::KeyedDigest;

use super::super::model::{AdminUser, Answer};
use super::super::store;

/// How long an answer is remembered.
const REMEMBERED_FOR: TimeDelta = TimeDelta::hours(24);
/// How long the clean-up rests when nothing is left to be done.
const EVERY: Duration = Duration::from_mins(1);
/// How many rows a batch removes at most.
const BATCH: u64 = 500;
/// How long it rests between two batches, so that writers of requests come in between.
const REST: Duration = Duration::from_millis(50);

/// The requests with a key that this instance is answering, bounded by the requests there are.
#[derive(Debug)]
pub struct Repeats {
    digests: KeyedDigest,
    running: Mutex<HashSet<[u8; 32]>>,
}

impl Repeats {
    /// Knows requests by digests of this kind.
    #[must_use]
    pub fn new(digests: KeyedDigest) -> Self {
        Self {
            digests,
            running: Mutex::default(),
        }
    }

    fn begin(self: &Arc<Self>, digest: [u8; 32]) -> Option<Turn> {
        let is_first = self
            .running
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(digest);
        is_first.then(|| Turn {
            repeats: Arc::clone(self),
            digest,
        })
    }
}

/// Held while a request with a key is answered.
struct Turn {
    repeats: Arc<Repeats>,
    digest: [u8; 32],
}

impl Drop for Turn {
    fn drop(&mut self) {
        let running = &self.repeats.running;
        running
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.digest);
    }
}

/// What is answered, for an account that has come to be or for none.
pub type Render = Box<dyn Fn(Option<&AdminUser>) -> Result<Answer, ApiError> + Send + Sync>;

/// A request that may be sent again: by whom under which key, and what it says.
pub struct Repeat {
    digest: [u8; 32],
    request: [u8; 32],
    now: DateTime<Utc>,
    render: Render,
}

impl fmt::Debug for Repeat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Repeat([redacted])")
    }
}

impl Repeat {
    /// A request with this key and this body. Keys of one caller are nothing to another; those who aren't signed in share
    /// theirs.
    #[must_use]
    pub fn new(state: &AppState, caller: Option<UserId>, key: &str, body: &[u8], render: Render) -> Self {
        let digests = &state.repeats.digests;
        let digest = match caller {
            None => digests.of("anonymous", key.as_bytes()),
            Some(id) => {
                let id = id.get();
                digests.of("user", &[id.as_bytes(), key.as_bytes()].concat())
            }
        };
        // The body has a password in it: without the key of this digest nobody can try which.
        let text = Zeroizing::new([digest.as_slice(), body].concat());
        Self {
            digest,
            request: digests.of("request", &text),
            now: state.ambient.now(),
            render,
        }
    }

    /// Remembers what is answered, in the transaction of what it tells.
    ///
    /// # Errors
    /// [`ApiError::Conflict`] where another instance was faster.
    pub(super) async fn remember(
        self,
        transaction: &Transaction,
        made: Option<&AdminUser>,
    ) -> Result<(), ApiError> {
        let answer = (self.render)(made)?;
        let (of, until) = ((&self.digest, &self.request), self.now + REMEMBERED_FOR);
        store::remember(
            &**transaction,
            of,
            made.map(|made| made.user.id),
            answer,
            self.now,
            until,
        )
        .await
        .map_err(|error| match violated_key(&error) {
            Some(_) => still_running(),
            None => error.into(),
        })
    }
}

/// What came of a request that may be sent again.
#[derive(Debug)]
pub enum Once<T> {
    /// This was the first time.
    First(T),
    /// It was answered before, like this.
    Again(Answer),
}

/// Does something once, however often it is asked for. What fails is not remembered.
///
/// # Errors
/// [`ApiError::Validation`] where the key came with another body before; [`ApiError::Conflict`] where the first request is
/// still being answered; and what `work` fails with.
pub async fn once<T>(
    state: &AppState,
    repeat: Option<Repeat>,
    work: impl AsyncFnOnce(Option<Repeat>) -> Result<T, ApiError>,
) -> Result<Once<T>, ApiError> {
    let Some(repeat) = repeat else {
        return work(None).await.map(Once::First);
    };
    let (digest, request) = (repeat.digest, repeat.request);
    if let Some(answer) = again(state, digest, request).await? {
        return Ok(Once::Again(answer));
    }
    let _turn = state.repeats.begin(digest).ok_or_else(still_running)?;
    // Between the look and the turn, the first one may have come to its end.
    if let Some(answer) = again(state, digest, request).await? {
        return Ok(Once::Again(answer));
    }
    match work(Some(repeat)).await {
        Ok(done) => Ok(Once::First(done)),
        // Another instance may have been faster; then this failed because of that.
        Err(error) => match again(state, digest, request).await? {
            Some(answer) => Ok(Once::Again(answer)),
            None => Err(error),
        },
    }
}

async fn again(state: &AppState, digest: [u8; 32], request: [u8; 32]) -> Result<Option<Answer>, ApiError> {
    let now = state.ambient.now();
    let found = state
        .db
        .read(move |reader| async move { store::remembered(&reader, &digest, now).await })
        .await?;
    match found {
        None => Ok(None),
        Some(found) if found.request == request => Ok(Some(found.answer)),
        Some(_) => Err(ApiError::invalid(
            "Idempotency-Key",
            "reused",
            "was sent with another request before: another request needs another key",
        )),
    }
}

fn still_running() -> ApiError {
    ApiError::Conflict("The first request with this Idempotency-Key is still being answered.".into())
}

/// Removes what has expired, for as long as the process runs.
pub async fn keep_house(state: AppState) {
    loop {
        tokio::time::sleep(EVERY).await;
        if let Err(error) = housekeep(&state).await {
            log::warn!("cannot remove remembered answers, trying again in a minute: {error}");
        }
    }
}

/// Removes every remembered answer that has expired, batch by batch. Gives how many.
///
/// # Errors
/// [`ApiError::DatabaseUnavailable`]; what was removed before stays removed.
pub async fn housekeep(state: &AppState) -> Result<u64, ApiError> {
    let mut total = 0;
    loop {
        let now = state.ambient.now();
        let removed = state
            .db
            .write(move |writer| async move {
                let transaction = writer.begin().await?;
                let removed = store::forget_expired(&*transaction, now, BATCH).await?;
                transaction.commit().await?;
                Ok(removed)
            })
            .await?;
        total += removed;
        if removed < BATCH {
            return Ok(total);
        }
        tokio::time::sleep(REST).await;
    }
}
