//! Making, rotating and retiring signing keys.

use std::time::{Duration, Instant};

use chrono::TimeDelta;
use sea_orm::DbErr;

use super::model::{FOLLOW_EVERY, KeyStore, KeySummary, Look};
use super::store;
use crate::app::AppState;
use crate::audit::{self, AuditEvent, Trail};
use crate::clock::Ambient;
use crate::config::{Config, TokenAlgorithm};
use crate::db::{Db, violated_key};
use crate::domain::{Actor, AuditAction, Origin, SigningAlgorithm, UserId};
use crate::error::{ApiError, Cause};
use crate::security::{KeyRing, KeyState, NewSigningKey, Sealer, StoredSigningKey};
use crate::users::still_may_administer;

/// How long a verifier may keep the key set (`Cache-Control: max-age`): a key of another algorithm than the present
/// one waits as long before it signs.
pub const JWKS_MAX_AGE: Duration = Duration::from_mins(5);
/// How often an unknown `kid` may make an instance look into the database.
const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// What making keys takes; at the start there is no [`AppState`] yet.
#[derive(Clone, Debug)]
pub struct KeyMaker {
    /// Where they are kept.
    pub db: Db,
    /// Time and chance.
    pub ambient: Ambient,
    /// What new keys sign with.
    pub algorithm: SigningAlgorithm,
    /// How long tokens live, and so how long a key verifies after it has ceased to sign.
    pub access_lifetime: Duration,
}

impl KeyMaker {
    /// Takes what is needed from the configuration.
    #[must_use]
    pub fn new(db: Db, ambient: Ambient, config: &Config) -> Self {
        let algorithm = match config.token.algorithm {
            TokenAlgorithm::Es256 => SigningAlgorithm::Es256,
            TokenAlgorithm::EdDsa => SigningAlgorithm::EdDsa,
            TokenAlgorithm::Rs256 => SigningAlgorithm::Rs256,
        };
        let access_lifetime = Duration::from_secs(u64::from(config.token.access_seconds));
        Self {
            db,
            ambient,
            algorithm,
            access_lifetime,
        }
    }

    fn generate(&self, sealer: &Sealer) -> Result<NewSigningKey, ApiError> {
        NewSigningKey::generate(self.algorithm, sealer, self.ambient.random.as_ref())
            .map_err(ApiError::internal)
    }

    /// Reads the keys, and makes the first ones where there are none. Of instances that start at the same moment,
    /// one makes them; the database's unique key sees to that.
    ///
    /// # Errors
    /// [`ApiError`]; with [`crate::security::KeyFault`] as the cause where the keys can't be opened.
    pub async fn open(&self, sealer: Sealer) -> Result<KeyStore, ApiError> {
        let mut keys = self.read().await?;
        let has = |keys: &[StoredSigningKey], state| keys.iter().any(|key| key.state == state);
        for state in [KeyState::Current, KeyState::Next] {
            if !has(&keys, state) {
                self.insert(self.generate(&sealer)?, state).await?;
                keys = self.read().await?;
            }
        }
        let ring = KeyRing::open(&keys, &sealer).map_err(ApiError::internal)?;
        Ok(KeyStore::new(ring, sealer))
    }

    /// Whether there are any keys yet.
    ///
    /// # Errors
    /// [`ApiError`] where the database can't be read.
    pub async fn has_keys(&self) -> Result<bool, ApiError> {
        Ok(!self.read().await?.is_empty())
    }

    /// Whether the keys can be opened.
    ///
    /// # Errors
    /// [`ApiError`], with [`crate::security::KeyFault`] as the cause where they can't.
    pub async fn check(&self, sealer: &Sealer) -> Result<(), ApiError> {
        KeyRing::open(&self.read().await?, sealer).map_err(ApiError::internal)?;
        Ok(())
    }

    async fn read(&self) -> Result<Vec<StoredSigningKey>, ApiError> {
        self.db
            .read(|reader| async move { store::all(&reader).await })
            .await
    }

    async fn insert(&self, key: NewSigningKey, state: KeyState) -> Result<(), ApiError> {
        let now = self.ambient.now();
        self.db
            .write(move |writer| async move {
                let transaction = writer.begin().await?;
                match store::insert(&*transaction, key, state, now).await {
                    // Another instance was faster; its key is as good.
                    Err(error) if violated_key(&error).is_some() => Ok(()),
                    Err(error) => Err(error.into()),
                    Ok(()) => transaction.commit().await,
                }
            })
            .await
    }
}

fn maker(state: &AppState) -> KeyMaker {
    KeyMaker::new(state.db.clone(), state.ambient.clone(), &state.config)
}

/// Takes over the keys that the database has now.
///
/// # Errors
/// [`ApiError`]; the keys stay as they were.
pub async fn reload(state: &AppState) -> Result<(), ApiError> {
    let keys = maker(state).read().await?;
    let ring = KeyRing::open(&keys, &state.keys.sealer).map_err(ApiError::internal)?;
    state.keys.replace(ring);
    Ok(())
}

/// Looks for a key that isn't known here, at most once a second: tokens with made-up keys cost no more than that. Who
/// comes while somebody is looking waits for what that one finds, also where it is nothing but a fault.
///
/// # Errors
/// [`ApiError::DatabaseUnavailable`] where the database can't be read.
pub async fn look_for_unknown(state: &AppState) -> Result<(), ApiError> {
    let mut last = state.keys.last_look.lock().await;
    if let Some(look) = *last
        && look.at.elapsed() < LOOK_AGAIN_AFTER
    {
        return if look.succeeded {
            Ok(())
        } else {
            Err(ApiError::DatabaseUnavailable(Cause::new(
                "the signing keys could not be read a moment ago",
            )))
        };
    }
    let result = reload(state).await;
    *last = Some(Look {
        at: Instant::now(),
        succeeded: result.is_ok(),
    });
    result
}

/// Follows the database for as long as the process runs.
pub async fn follow(state: AppState) {
    loop {
        tokio::time::sleep(FOLLOW_EVERY).await;
        let kept = async {
            tidy(&state).await?;
            reload(&state).await
        };
        if let Err(error) = kept.await {
            log::warn!("cannot read the signing keys, going on with the present ones: {error}");
        }
    }
}

/// Removes keys whose last token has expired, and brings a new `token.algorithm` into force.
///
/// # Errors
/// [`ApiError`] where the database can't be read or written.
pub async fn tidy(state: &AppState) -> Result<(), ApiError> {
    let maker = maker(state);
    let now = state.ambient.now();
    let keys = maker.read().await?;
    let lifetime = TimeDelta::from_std(maker.access_lifetime).unwrap_or(TimeDelta::MAX);
    // A minute more, for clocks that differ.
    let dead_before = now
        .checked_sub_signed(lifetime + TimeDelta::minutes(1))
        .unwrap_or(now);
    if keys
        .iter()
        .any(|key| key.superseded_at.is_some_and(|at| at < dead_before))
    {
        state
            .db
            .write(move |writer| async move {
                let transaction = writer.begin().await?;
                store::delete_superseded_before(&*transaction, dead_before).await?;
                transaction.commit().await
            })
            .await?;
    }
    let of = |wanted| keys.iter().find(|key| key.state == wanted);
    let (Some(current), Some(next)) = (of(KeyState::Current), of(KeyState::Next)) else {
        return Ok(());
    };
    if current.algorithm == maker.algorithm {
        return Ok(());
    }
    if next.algorithm != maker.algorithm {
        return replace_next(state, next.id.clone()).await;
    }
    let max_age = TimeDelta::from_std(JWKS_MAX_AGE).unwrap_or(TimeDelta::MAX);
    if now - next.created_at >= max_age {
        rotate(
            &maker,
            &state.keys.sealer,
            &state.trail,
            Actor::System,
            &Origin::default(),
        )
        .await?;
    }
    Ok(())
}

async fn replace_next(state: &AppState, id: String) -> Result<(), ApiError> {
    let key = maker(state).generate(&state.keys.sealer)?;
    let now = state.ambient.now();
    state
        .db
        .write(move |writer| async move {
            let transaction = writer.begin().await?;
            if store::delete(&*transaction, &id, KeyState::Next).await? {
                store::insert(&*transaction, key, KeyState::Next, now).await?;
            }
            transaction.commit().await
        })
        .await
}

/// Every key, oldest first.
///
/// # Errors
/// [`ApiError`] where the database can't be read.
pub async fn list(maker: &KeyMaker) -> Result<Vec<KeySummary>, ApiError> {
    let keys = maker.read().await?;
    Ok(keys.into_iter().map(summary).collect())
}

/// Every key, oldest first, of a running server.
///
/// # Errors
/// [`ApiError`] where the database can't be read.
pub async fn list_all(state: &AppState) -> Result<Vec<KeySummary>, ApiError> {
    list(&maker(state)).await
}

/// Rotates the keys because an admin wants it. This instance knows the new ones at once.
///
/// # Errors
/// As [`rotate`].
pub async fn rotate_as_admin(state: &AppState, admin: UserId, origin: &Origin) -> Result<(), ApiError> {
    rotate(
        &maker(state),
        &state.keys.sealer,
        &state.trail,
        Actor::User(admin),
        origin,
    )
    .await?;
    reload(state).await
}

fn summary(key: StoredSigningKey) -> KeySummary {
    KeySummary {
        id: key.id,
        algorithm: key.algorithm.as_str(),
        state: key.state.as_str(),
        created_at: key.created_at,
        activated_at: key.activated_at,
        superseded_at: key.superseded_at,
    }
}

const AT_THE_SAME_TIME: &str = "The keys are being changed by another request.";

/// Lets the next key sign, keeps the present one for verifying, and publishes a new next one. Returns the `kid` that
/// signs from now on.
///
/// # Errors
/// [`ApiError::Conflict`] where another rotation is under way; [`ApiError::Forbidden`] for a user who is no active admin
/// any more.
pub async fn rotate(
    maker: &KeyMaker,
    sealer: &Sealer,
    trail: &Trail,
    actor: Actor,
    origin: &Origin,
) -> Result<String, ApiError> {
    let keys = maker.read().await?;
    let of = |wanted| {
        keys.iter()
            .find(|key| key.state == wanted)
            .map(|key| key.id.clone())
    };
    let (Some(current), Some(next)) = (of(KeyState::Current), of(KeyState::Next)) else {
        return Err(ApiError::Conflict(
            "There are no signing keys yet: start the server once.".into(),
        ));
    };
    let fresh = maker.generate(sealer)?;
    let now = maker.ambient.now();
    let event = AuditEvent::success(trail, AuditAction::KeysRotated, actor, None, origin)
        .with("current", next.clone());
    let signs = next.clone();
    maker
        .db
        .write(move |writer| async move {
            let transaction = writer.begin().await?;
            let is_done = store::supersede(&*transaction, &current, now).await?
                && store::activate(&*transaction, &next, now).await?;
            if !is_done {
                return Err(ApiError::Conflict(AT_THE_SAME_TIME.into()));
            }
            // Behind the lock on the keys, so that what ended the admin while this waited for it counts.
            still_may_administer(&transaction, actor).await?;
            store::insert(&*transaction, fresh, KeyState::Next, now)
                .await
                .map_err(conflict_or_fault)?;
            audit::record(&*transaction, event).await?;
            transaction.commit().await
        })
        .await?;
    Ok(signs)
}

fn conflict_or_fault(error: DbErr) -> ApiError {
    if violated_key(&error).is_some() {
        ApiError::Conflict(AT_THE_SAME_TIME.into())
    } else {
        error.into()
    }
}

/// Takes a key out of use at once: every token that it has signed is refused from then on. Where it is the current
/// or the next one, others take its place in the same step.
///
/// This works without opening any private half, so that a key which can't be decrypted can be ended.
///
/// # Errors
/// [`ApiError::NotFound`] where there is no such key.
pub async fn retire(
    maker: &KeyMaker,
    sealer: &Sealer,
    trail: &Trail,
    id: &str,
    actor: Actor,
    origin: &Origin,
) -> Result<(), ApiError> {
    let keys = maker.read().await?;
    let Some(key) = keys.iter().find(|key| key.id == id) else {
        return Err(ApiError::NotFound(
            format!("There is no signing key {id:?}.").into(),
        ));
    };
    let (id, retired) = (key.id.clone(), key.state);
    let successor = keys
        .iter()
        .find(|key| key.state == KeyState::Next)
        .map(|key| key.id.clone());
    let fresh = maker.generate(sealer)?;
    let now = maker.ambient.now();
    let event =
        AuditEvent::success(trail, AuditAction::KeyRetired, actor, None, origin).with("key", id.clone());
    maker
        .db
        .write(move |writer| async move {
            let transaction = writer.begin().await?;
            if !store::delete(&*transaction, &id, retired).await? {
                return Err(ApiError::Conflict(AT_THE_SAME_TIME.into()));
            }
            if retired == KeyState::Current
                && let Some(successor) = successor
                && !store::activate(&*transaction, &successor, now).await?
            {
                return Err(ApiError::Conflict(AT_THE_SAME_TIME.into()));
            }
            if retired != KeyState::Previous {
                store::insert(&*transaction, fresh, KeyState::Next, now)
                    .await
                    .map_err(conflict_or_fault)?;
            }
            audit::record(&*transaction, event).await?;
            transaction.commit().await
        })
        .await
}
