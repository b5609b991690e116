//! Deciding what the OAuth endpoints do, by way of the features behind them.

use super::model::Introspection;
use crate::app::AppState;
use crate::auth::{self, SignIn};
use crate::clients;
use crate::domain::{Limited, Origin};
use crate::error::ApiError;
use crate::security::RefreshToken;
use crate::sessions::{self, IssuedTokens};

/// Tokens for a refresh token.
///
/// # Errors
/// [`ApiError::InvalidGrant`] for anything but a refresh token that is good now.
pub async fn refresh(state: &AppState, token: &str, origin: Origin) -> Result<IssuedTokens, ApiError> {
    let token = RefreshToken::parse(token).ok_or(ApiError::InvalidGrant)?;
    sessions::refresh(state, token, origin).await
}

/// Tokens for address and password: what `/login` does.
///
/// # Errors
/// As [`auth::sign_in`].
pub async fn sign_in(
    state: &AppState,
    attempt: SignIn,
    origin: Origin,
) -> Limited<Result<IssuedTokens, ApiError>> {
    auth::sign_in(state, attempt, origin).await
}

/// Ends the session of a token of either kind (RFC 7009 §2.1). What isn't a token, or not any more, is none to end.
///
/// # Errors
/// [`ApiError::DatabaseUnavailable`].
pub async fn revoke(state: &AppState, token: &str, origin: &Origin) -> Result<(), ApiError> {
    if let Some(token) = RefreshToken::parse(token) {
        return sessions::end_of_token(state, &token, origin).await;
    }
    match auth::verify(state, token).await {
        Ok(token) => sessions::end_of_access_token(state, token.user_id, token.session_id, origin).await,
        Err(ApiError::InvalidToken) => Ok(()),
        Err(error) => Err(error),
    }
}

/// What a registered resource server is told of a token; none where it isn't good.
///
/// A refresh token is none to it: it is for this server alone, and a resource server that took one for an access
/// token would let in whoever has it (RFC 7662 §4).
///
/// # Errors
/// [`ApiError::InvalidClient`], [`ApiError::TooManyRequests`] in its place, [`ApiError::DatabaseUnavailable`].
pub async fn introspect(
    state: &AppState,
    client_id: &str,
    client_secret: &str,
    token: &str,
    origin: &Origin,
) -> Limited<Result<Option<Introspection>, ApiError>> {
    let client = clients::service::authenticate(state, client_id, client_secret, origin.clone()).await;
    let Limited { outcome, standing } = client;
    let outcome = match outcome {
        Ok(_) => details(state, token).await,
        Err(error) => Err(error),
    };
    Limited { outcome, standing }
}

async fn details(state: &AppState, token: &str) -> Result<Option<Introspection>, ApiError> {
    let user = match auth::identify(state, token).await {
        Ok(user) => user,
        Err(ApiError::InvalidToken) => return Ok(None),
        Err(error) => return Err(error),
    };
    let Ok(details) = state.tokens.details(token) else {
        return Ok(None);
    };
    Ok(Some(Introspection {
        user_id: user.user.id,
        session_id: user.session_id,
        details,
    }))
}
