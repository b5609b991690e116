//! Exchanging a refresh token for its successor, exactly once, however often it is asked for.
//!
//! A client that never saw the answer asks again, two tabs ask at once: within `session.refresh_grace_seconds` a spent
//! token gives the same successor again. The database must not hold a token that can be used, so the successor is
//! sealed under a key that only the spent token yields; `docs/decisions` has the reasoning. Later than that, a spent
//! token in use means that two parties have it (RFC 9700 §4.14.2), and the session ends.

use chrono::{DateTime, TimeDelta, Utc};

use super::super::model::{IssuedTokens, LockedSession, StoredToken};
use super::super::store::{self, GivenAgain, Rotation};
use super::last_uses::EXACT_TO;
use super::{issue, prolonged};
use crate::app::AppState;
use crate::audit::{self, AuditEvent};
use crate::clock::Ambient;
use crate::config::SessionConfig;
use crate::db::Transaction;
use crate::domain::{Actor, AuditAction, Origin, SessionId, UserId};
use crate::error::ApiError;
use crate::security::{RefreshToken, Sealer, SecretDigest, Unsealable};

/// What a sealed successor is sealed for.
const PURPOSE: &str = "refresh token successor";
/// How many windows after it was spent a token can be made to give its successor once more.
const WINDOWS: i32 = 3;
/// How many tokens a session may have, spent ones of the last weeks included: one refresh in four minutes, day and night.
/// What it takes to end a session grows with them, so whoever has stolen one could otherwise make it unendable; and to
/// forget the oldest would let that one cover up the theft.
const MOST_TOKENS: u64 = 10_000;
/// How often the session of a token is looked up that gets another id at the same moment.
const ATTEMPTS: usize = 4;

/// What is to be done with a refresh token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// It gives nothing: its time is over, or its session's, or the account is closed.
    Refuse,
    /// It is exchanged now.
    Rotate,
    /// It was exchanged a moment ago: the same successor again.
    Repeat,
    /// It was exchanged long ago: two parties have it.
    Reuse,
}

fn judge(session: &LockedSession, token: &StoredToken, now: DateTime<Utc>) -> Verdict {
    let is_over = [session.idle_expires_at, session.expires_at, token.expires_at]
        .into_iter()
        .any(|end| end <= now);
    if is_over || !session.is_active {
        return Verdict::Refuse;
    }
    match token.spent_at {
        None => Verdict::Rotate,
        // A clock that was set back makes the window no shorter; the session's own end bounds it.
        Some(_)
            if token.repeatable_until.is_some_and(|until| now < until)
                && token.successor_sealed.is_some() =>
        {
            Verdict::Repeat
        }
        Some(_) => Verdict::Reuse,
    }
}

/// A refresh token that was presented, with all that its exchange may take, made before the transaction begins.
struct Exchange {
    digest: SecretDigest,
    /// Seals and opens successors of this token.
    seal: Sealer,
    successor: RefreshToken,
    sealed_successor: Vec<u8>,
    config: SessionConfig,
    ambient: Ambient,
    /// When it was presented, which is what it is judged by.
    now: DateTime<Utc>,
    /// What the audit trail says where it is reuse.
    reuse: AuditEvent,
    /// What it says where the session has been refreshed too often.
    ended: AuditEvent,
}

/// What is given for it.
struct Exchanged {
    user_id: UserId,
    session_id: SessionId,
    token: RefreshToken,
    idle_expires_at: DateTime<Utc>,
}

/// For how long a spent token gives the same successor again.
fn grace(config: &SessionConfig) -> TimeDelta {
    TimeDelta::seconds(i64::from(config.refresh_grace_seconds))
}

/// Exchanges a refresh token for a new pair.
///
/// # Errors
/// [`ApiError::InvalidGrant`], whatever the reason: unknown, expired, spent, its session ended, its account closed.
pub async fn refresh(
    state: &AppState,
    token: RefreshToken,
    origin: Origin,
) -> Result<IssuedTokens, ApiError> {
    if !is_known(state, token.digest()).await? {
        return Err(ApiError::InvalidGrant);
    }
    let exchange = Exchange::prepare(state, &token, &origin).map_err(ApiError::internal)?;
    let now = exchange.now;
    let exchanged = state
        .db
        .write(move |writer| async move {
            let transaction = writer.begin().await?;
            let exchanged = exchange.run(&transaction).await?;
            // Also where nothing is given: reuse has ended a session.
            transaction.commit().await?;
            Ok(exchanged)
        })
        .await?
        .ok_or(ApiError::InvalidGrant)?;
    let Exchanged {
        user_id,
        session_id,
        token,
        idle_expires_at,
    } = exchanged;
    issue(state, user_id, session_id, token, now, idle_expires_at)
}

/// A look that locks nothing: nonsense costs one read, and never makes a writer wait.
async fn is_known(state: &AppState, digest: SecretDigest) -> Result<bool, ApiError> {
    let session = state
        .db
        .read(move |reader| async move { store::session_of_token(&reader, digest).await })
        .await?;
    Ok(session.is_some())
}

impl Exchange {
    fn prepare(state: &AppState, token: &RefreshToken, origin: &Origin) -> Result<Self, Unsealable> {
        let random = state.ambient.random.as_ref();
        let digest = token.digest();
        let seal = Sealer::new(token.bytes(), PURPOSE)?;
        let successor = RefreshToken::generate(random);
        let sealed_successor = seal.seal(successor.expose().as_bytes(), digest.as_bytes(), random)?;
        let reuse = AuditEvent::failure(
            &state.trail,
            AuditAction::TokenReuse,
            Actor::Anonymous,
            None,
            origin,
            "spent_refresh_token",
        );
        let ended = AuditEvent::success(
            &state.trail,
            AuditAction::SessionEnded,
            Actor::System,
            None,
            origin,
        )
        .with("reason", "too_many_refreshes");
        Ok(Self {
            digest,
            seal,
            successor,
            sealed_successor,
            config: state.config.session.clone(),
            ambient: state.ambient.clone(),
            now: state.ambient.now(),
            reuse,
            ended,
        })
    }

    async fn run(self, transaction: &Transaction) -> Result<Option<Exchanged>, ApiError> {
        let Some((session, stored)) = lock(transaction, self.digest).await? else {
            return Ok(None);
        };
        match judge(&session, &stored, self.now) {
            Verdict::Refuse => Ok(None),
            Verdict::Rotate if store::count_tokens(&**transaction, session.id).await? >= MOST_TOKENS => {
                store::end_session(&**transaction, session.user_id, session.id).await?;
                let mut ended = self.ended.with("session", session.id.to_string());
                ended.subject = Some(session.user_id);
                audit::record(&**transaction, ended).await?;
                Ok(None)
            }
            Verdict::Rotate => self.rotate(transaction, session).await.map(Some),
            Verdict::Repeat => self.repeat(transaction, session, stored).await.map(Some),
            Verdict::Reuse => {
                store::end_session(&**transaction, session.user_id, session.id).await?;
                let mut reuse = self.reuse.with("session", session.id.to_string());
                reuse.subject = Some(session.user_id);
                audit::record(&**transaction, reuse).await?;
                Ok(None)
            }
        }
    }

    async fn rotate(self, transaction: &Transaction, session: LockedSession) -> Result<Exchanged, ApiError> {
        // The window begins when the token is spent, not when somebody began to wait for the lock.
        let now = self.now.max(self.ambient.now());
        let idle_expires_at = prolonged(&self.config, now, session.expires_at);
        let has_window = self.config.refresh_grace_seconds > 0;
        let rotation = Rotation {
            session_id: session.id,
            spent: self.digest,
            successor: self.successor.digest(),
            sealed: has_window.then_some(self.sealed_successor),
            now,
            repeatable_until: has_window.then(|| now + grace(&self.config)),
            idle_expires_at,
            is_used_anew: now - session.last_used_at >= EXACT_TO,
        };
        store::rotate(&**transaction, rotation).await?;
        Ok(Exchanged {
            user_id: session.user_id,
            session_id: session.id,
            token: self.successor,
            idle_expires_at,
        })
    }

    async fn repeat(
        self,
        transaction: &Transaction,
        session: LockedSession,
        stored: StoredToken,
    ) -> Result<Exchanged, ApiError> {
        let sealed = stored.successor_sealed.unwrap_or_default();
        let text = self
            .seal
            .open(&sealed, self.digest.as_bytes())
            .map_err(ApiError::internal)?;
        let again = std::str::from_utf8(&text)
            .ok()
            .and_then(RefreshToken::parse)
            .ok_or_else(|| ApiError::internal("a sealed refresh token isn't one"))?;
        // Whoever gets it has a whole window to use it, also where somebody else was faster.
        let now = self.now.max(self.ambient.now());
        let grace = grace(&self.config);
        let given_again = GivenAgain {
            session_id: session.id,
            presented: self.digest,
            given: again.digest(),
            repeatable_until: now + grace,
            spent_after: now - grace * WINDOWS,
        };
        store::give_out_again(&**transaction, given_again).await?;
        Ok(Exchanged {
            user_id: session.user_id,
            session_id: session.id,
            token: again,
            idle_expires_at: session.idle_expires_at,
        })
    }
}

/// The session of a token and the token, with the session locked: of all who come with a token of one session, one at
/// a time gets past here.
///
/// A change of password gives the session another id while we wait for it. The lock then finds nothing under the old
/// one, and the token says where it is now.
async fn lock(
    transaction: &Transaction,
    digest: SecretDigest,
) -> Result<Option<(LockedSession, StoredToken)>, ApiError> {
    for _ in 0..ATTEMPTS {
        let Some(id) = store::session_of_token(&**transaction, digest).await? else {
            return Ok(None);
        };
        let Some(session) = store::lock_session(&**transaction, id).await? else {
            continue;
        };
        // Read after the lock: it may have been spent while we waited.
        return Ok(store::token_of_session(&**transaction, digest, id)
            .await?
            .map(|token| (session, token)));
    }
    Err(ApiError::Conflict(
        "The session is being changed by other requests.".into(),
    ))
}

/// Ends the session of a refresh token, spent or not. Nothing happens where there is none.
///
/// # Errors
/// [`ApiError::DatabaseUnavailable`].
pub async fn end_of_token(state: &AppState, token: &RefreshToken, origin: &Origin) -> Result<(), ApiError> {
    let digest = token.digest();
    if !is_known(state, digest).await? {
        return Ok(());
    }
    let mut event = revoked(state, origin);
    state
        .db
        .write(move |writer| async move {
            let transaction = writer.begin().await?;
            let Some((session, _)) = lock(&transaction, digest).await? else {
                return Ok(());
            };
            store::end_session(&*transaction, session.user_id, session.id).await?;
            event.subject = Some(session.user_id);
            let event = event.with("session", session.id.to_string());
            audit::record(&*transaction, event).await?;
            transaction.commit().await
        })
        .await
}

/// Ends the session of a verified access token. Nothing happens where it has ended.
///
/// # Errors
/// [`ApiError::DatabaseUnavailable`].
pub async fn end_of_access_token(
    state: &AppState,
    user_id: UserId,
    id: SessionId,
    origin: &Origin,
) -> Result<(), ApiError> {
    let mut event = revoked(state, origin).with("session", id.to_string());
    event.subject = Some(user_id);
    state
        .db
        .write(move |writer| async move {
            let transaction = writer.begin().await?;
            if store::end_session(&*transaction, user_id, id).await? {
                audit::record(&*transaction, event).await?;
            }
            transaction.commit().await
        })
        .await
}

/// Whoever has a token may end its session (RFC 7009 §2.1), and has shown nothing else.
fn revoked(state: &AppState, origin: &Origin) -> AuditEvent {
    AuditEvent::success(
        &state.trail,
        AuditAction::SessionEnded,
        Actor::Anonymous,
        None,
        origin,
    )
    .with("reason", "revoked")
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::<Utc>::UNIX_EPOCH + TimeDelta::seconds(seconds)
    }

    fn session() -> LockedSession {
        LockedSession {
            id: SessionId::new(Uuid::from_u128(1)),
            user_id: UserId::new(Uuid::from_u128(2)),
            is_active: true,
            last_used_at: at(0),
            idle_expires_at: at(1000),
            expires_at: at(2000),
        }
    }

    fn token(spent_at: Option<i64>) -> StoredToken {
        StoredToken {
            expires_at: at(1000),
            spent_at: spent_at.map(at),
            repeatable_until: spent_at.map(|spent_at| at(spent_at + 10)),
            successor_sealed: spent_at.map(|_| vec![1]),
        }
    }

    #[test]
    fn a_token_is_exchanged_once_repeated_for_a_while_and_then_it_is_reuse() {
        let judged = |spent, now| judge(&session(), &token(spent), at(now));
        assert_eq!(judged(None, 0), Verdict::Rotate);
        assert_eq!(judged(None, 999), Verdict::Rotate);
        assert_eq!(judged(Some(100), 100), Verdict::Repeat);
        assert_eq!(judged(Some(100), 109), Verdict::Repeat);
        assert_eq!(judged(Some(100), 110), Verdict::Reuse);
        // The clock was set back between the two.
        assert_eq!(judged(Some(700), 100), Verdict::Repeat);
    }

    #[test]
    fn nothing_outlives_its_end() {
        for now in [1000, 1001, 5000] {
            assert_eq!(judge(&session(), &token(None), at(now)), Verdict::Refuse);
            assert_eq!(judge(&session(), &token(Some(now - 1)), at(now)), Verdict::Refuse);
        }
        let mut ended = session();
        ended.expires_at = at(5);
        assert_eq!(judge(&ended, &token(None), at(5)), Verdict::Refuse);
        let mut closed = session();
        closed.is_active = false;
        assert_eq!(judge(&closed, &token(None), at(5)), Verdict::Refuse);
        assert_eq!(judge(&closed, &token(Some(1)), at(500)), Verdict::Refuse);
    }

    #[test]
    fn without_a_window_every_second_use_is_reuse() {
        let mut spent = token(Some(100));
        spent.successor_sealed = None;
        spent.repeatable_until = None;
        assert_eq!(judge(&session(), &spent, at(100)), Verdict::Reuse);
        // Also where the clock was set back.
        assert_eq!(judge(&session(), &spent, at(50)), Verdict::Reuse);
    }
}
