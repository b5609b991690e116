//! Who may do what: pure functions, without a database and without HTTP, so that each rule is a line in a test.

use crate::domain::{Role, UserId};
use crate::error::ApiError;

/// Whether somebody with these roles may administer others.
///
/// # Errors
/// [`ApiError::Forbidden`], in the same words for everybody.
pub fn may_administer(roles: &[String]) -> Result<(), ApiError> {
    if roles.iter().any(|role| role == Role::ADMIN) {
        Ok(())
    } else {
        Err(ApiError::Forbidden("This needs the role admin.".into()))
    }
}

/// Whether an account may cease to be an active admin: deleted, disabled or demoted. One has to be left, or nobody
/// could administer the rest.
///
/// # Errors
/// [`ApiError::Conflict`] where it is the last one of `admins`.
pub fn may_lose_admin(admins: &[UserId], leaving: UserId) -> Result<(), ApiError> {
    match admins {
        [last] if *last == leaving => Err(ApiError::Conflict(
            "This is the last active admin: give somebody else the role first.".into(),
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn only_the_role_admin_administers() {
        let roles = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        assert!(may_administer(&roles(&["admin"])).is_ok());
        assert!(may_administer(&roles(&["editor", "admin"])).is_ok());
        for others in [&[][..], &["editor"], &["admins"], &["Admin"]] {
            assert!(may_administer(&roles(others)).is_err(), "{others:?}");
        }
    }

    #[test]
    fn only_the_last_active_admin_has_to_stay() {
        let [a, b, c] = [1, 2, 3].map(|n| UserId::new(Uuid::from_u128(n)));
        assert!(may_lose_admin(&[a], a).is_err());
        assert!(may_lose_admin(&[a], b).is_ok());
        assert!(may_lose_admin(&[a, b], a).is_ok());
        assert!(may_lose_admin(&[], c).is_ok());
    }
}
