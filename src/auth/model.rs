//! Plain data about signing in.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpMessage as _, HttpRequest};

use crate::domain::{EmailAddress, PasswordAttempt, SessionId};
use crate::error::ApiError;
use crate::policy;
use crate::users::User;

/// Whoever sent the request, as the database knows the account at this moment.
#[derive(Clone, Debug)]
pub struct AuthenticatedUser {
    /// The account.
    pub user: User,
    /// The session that the token belongs to.
    pub session_id: SessionId,
}

/// Takes what the bearer check has left behind. Where it hasn't run, there is nobody.
impl FromRequest for AuthenticatedUser {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(
            request
                .extensions_mut()
                .remove::<Self>()
                .ok_or(ApiError::MissingToken),
        )
    }
}

/// A signed-in user with the role `admin`: a handler that takes one is closed to everybody else. Name it first among the
/// arguments, so that nobody else learns what a body or a path would have come to.
#[derive(Clone, Debug)]
pub struct Administrator(pub AuthenticatedUser);

impl FromRequest for Administrator {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let user = AuthenticatedUser::from_request(request, payload).into_inner();
        ready(user.and_then(|user| {
            policy::may_administer(&user.user.roles)?;
            Ok(Self(user))
        }))
    }
}

/// An attempt to sign in.
#[derive(Debug)]
pub struct SignIn {
    /// The address; none where what was sent can't be one, which is told to nobody.
    pub email: Option<EmailAddress>,
    /// The password as typed.
    pub password: PasswordAttempt,
}
