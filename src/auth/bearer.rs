//! The bearer check in front of every private route.

use actix_web::dev::ServiceRequest;
use actix_web::{Error, HttpMessage as _};

use super::model::AuthenticatedUser;
use super::service;
use crate::app::AppState;
use crate::error::ApiError;
use crate::http::bearer::{BearerToken, Caller};

/// Finds out who is calling, for `HttpAuthentication::with_fn` of actix-web-httpauth.
///
/// # Errors
/// The request back, with why it was refused.
pub async fn authenticate(
    request: ServiceRequest,
    token: BearerToken,
) -> Result<ServiceRequest, (Error, ServiceRequest)> {
    match identify(&request, &token).await {
        Ok(user) => {
            let mut extensions = request.extensions_mut();
            extensions.insert(Caller(user.user.id));
            extensions.insert(user);
            drop(extensions);
            Ok(request)
        }
        Err(error) => Err((error.into(), request)),
    }
}

async fn identify(request: &ServiceRequest, token: &BearerToken) -> Result<AuthenticatedUser, ApiError> {
    service::identify(AppState::of(request.request())?, token.expose()).await
}
