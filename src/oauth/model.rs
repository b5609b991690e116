//! Plain data of the OAuth endpoints.

use zeroize::Zeroizing;

use crate::auth::SignIn;
use crate::domain::{SessionId, UserId};
use crate::security::TokenDetails;

/// What a client offers for tokens.
#[derive(Debug)]
pub enum Grant {
    /// A refresh token, as it was sent; where none was, a cookie may have it.
    Refresh(Option<Zeroizing<String>>),
    /// Address and password.
    Password(SignIn),
}

/// What a resource server is told of a token that is good.
#[derive(Clone, Debug)]
pub struct Introspection {
    /// Whose it is.
    pub user_id: UserId,
    /// The session that it belongs to.
    pub session_id: SessionId,
    /// What it says besides.
    pub details: TokenDetails,
}
