//! Registering clients, and telling whether one is who it says it is.

use super::model::{Client, StoredClient};
use super::store;
use crate::app::AppState;
use crate::audit::{self, AuditEvent};
use crate::domain::{Actor, AuditAction, ClientId, ClientName, Limited, Origin};
use crate::error::ApiError;
use crate::limits::{self, LimitKind};
use crate::security::{ClientSecret, SecretDigest};

/// Registers a client. The secret is in nobody's hands but the caller's: it can't be told again.
///
/// # Errors
/// [`ApiError`] where the database can't be written.
pub async fn create(
    state: &AppState,
    name: ClientName,
    actor: Actor,
    origin: Origin,
) -> Result<(Client, ClientSecret), ApiError> {
    let secret = ClientSecret::generate(state.ambient.random.as_ref());
    let client = Client {
        id: ClientId::new(state.ambient.new_uuid()),
        name: name.into_string(),
        created_at: state.ambient.now(),
    };
    let event = AuditEvent::success(&state.trail, AuditAction::ClientCreated, actor, None, &origin)
        .with("client", client.id.to_string());
    let row = StoredClient {
        client: client.clone(),
        secret_digest: secret.digest(),
    };
    state
        .db
        .write(move |writer| async move {
            let transaction = writer.begin().await?;
            store::insert(&*transaction, row).await?;
            audit::record(&*transaction, event).await?;
            transaction.commit().await
        })
        .await?;
    Ok((client, secret))
}

/// Every client, the oldest first. An operator registers them one by one: there are never many.
///
/// # Errors
/// [`ApiError`] where the database can't be read.
pub async fn list(state: &AppState) -> Result<Vec<Client>, ApiError> {
    state
        .db
        .read(|reader| async move { store::all(&reader).await })
        .await
}

/// The client with this id.
///
/// # Errors
/// [`ApiError::NotFound`] where there is none.
pub async fn find(state: &AppState, id: ClientId) -> Result<Client, ApiError> {
    read(state, id)
        .await?
        .map(|found| found.client)
        .ok_or_else(|| no_such_client(id))
}

/// Removes a client: it is refused from the next question on.
///
/// # Errors
/// [`ApiError::NotFound`] where there is none.
pub async fn delete(state: &AppState, id: ClientId, actor: Actor, origin: Origin) -> Result<(), ApiError> {
    let event = AuditEvent::success(&state.trail, AuditAction::ClientDeleted, actor, None, &origin)
        .with("client", id.to_string());
    state
        .db
        .write(move |writer| async move {
            let transaction = writer.begin().await?;
            if !store::delete(&*transaction, id).await? {
                return Err(no_such_client(id));
            }
            audit::record(&*transaction, event).await?;
            transaction.commit().await
        })
        .await
}

/// The client that these credentials are of.
///
/// An unknown client and a wrong secret are one refusal. The wrong secret of a known client is written down as well:
/// somebody is guessing, or the service has an old one. That takes a moment longer, and tells no more than that there
/// is a client with this id, which is no secret.
///
/// Wrong secrets are counted for the client's address. Nobody guesses 256 random bits, so who has the right one is never
/// refused, and isn't even asked about; what is limited is how fast the audit trail grows.
///
/// # Errors
/// [`ApiError::InvalidClient`], or [`ApiError::TooManyRequests`] in its place; [`ApiError::DatabaseUnavailable`].
pub async fn authenticate(
    state: &AppState,
    client_id: &str,
    client_secret: &str,
    origin: Origin,
) -> Limited<Result<Client, ApiError>> {
    let found = match ClientId::parse(client_id) {
        Some(id) => read(state, id).await,
        None => Ok(None),
    };
    let found = match found {
        Ok(found) => found,
        Err(error) => return Limited::freely(Err(error)),
    };
    let presented = ClientSecret::parse(client_secret).map(|secret| secret.digest());
    let stored = found.as_ref().map(|client| client.secret_digest);
    // Both stand-ins are the same digest: that two are equal proves nothing unless both are real.
    let is_same = presented.unwrap_or(SecretDigest::NOBODYS) == stored.unwrap_or(SecretDigest::NOBODYS);
    let known = match found {
        Some(found) if presented.is_some() && is_same => return Limited::freely(Ok(found.client)),
        Some(found) => Some(found.client.id),
        None => None,
    };
    let mut refused = limits::spend(state, LimitKind::Client, &origin)
        .await
        .map(|spent| spent.and(Err(ApiError::InvalidClient)));
    if let (Some(id), Err(ApiError::InvalidClient)) = (known, &refused.outcome)
        && let Err(error) = refuse(state, id, &origin).await
    {
        refused.outcome = Err(error);
    }
    refused
}

async fn refuse(state: &AppState, id: ClientId, origin: &Origin) -> Result<(), ApiError> {
    let event = AuditEvent::failure(
        &state.trail,
        AuditAction::ClientAuthentication,
        Actor::Anonymous,
        None,
        origin,
        "wrong_secret",
    )
    .with("client", id.to_string());
    audit::record_alone(&state.db, event).await
}

async fn read(state: &AppState, id: ClientId) -> Result<Option<StoredClient>, ApiError> {
    state
        .db
        .read(move |reader| async move { store::by_id(&reader, id).await })
        .await
}

fn no_such_client(id: ClientId) -> ApiError {
    ApiError::NotFound(format!("There is no client {id}.").into())
}
