//! Identifiers in paths.

use uuid::Uuid;

use crate::domain::UserId;
use crate::error::ApiError;

/// An id in the one form that we write ids in; another spelling is another path.
#[must_use]
pub fn id(text: &str) -> Option<Uuid> {
    Uuid::try_parse(text)
        .ok()
        .filter(|parsed| parsed.hyphenated().to_string() == text)
}

/// The account that a path names.
///
/// # Errors
/// [`ApiError::NotFound`] where it can't be the id of one.
pub fn account(text: &str) -> Result<UserId, ApiError> {
    id(text).map(UserId::new).ok_or_else(ApiError::no_such_account)
}
