//! Accounts: what a user is, and how one comes to be, changes and goes.

pub mod api;
mod model;
pub mod service;
mod store;

pub use model::{
    Account, AccountChanges, AdminUser, Changes, Credentials, NewAccount, NewUser, ProfileChanges,
    REGISTRATION, Registration, User, UserSearch, UserSort,
};
pub use service::{Repeats, hash_new, lock_administered, lock_own_account, still_may_administer};
pub use store::{
    account_by_email, credentials_by_email, insert, lock_account, lock_account_by_email, record_sign_in,
    update, user_by_id,
};
