//! Plain data about hash schemes.

use chrono::{DateTime, Utc};

use crate::domain::{PasswordHash, UserId};

/// What an account's password is hashed with, and when it was shown to be known.
#[derive(Clone, Debug)]
pub struct StoredPassword {
    /// The hash; none where there is no password.
    pub hash: Option<PasswordHash>,
    /// When somebody signed in last.
    pub last_login_at: Option<DateTime<Utc>>,
}

/// How far the accounts have been read: a place in the order in which their database reads them best.
#[derive(Clone, Copy, Debug)]
pub enum Place {
    /// The number of a row.
    Row(i64),
    /// The id of an account.
    Id(UserId),
}

/// The accounts of one scheme and cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemeCount {
    /// Its name, such as `bcrypt`; `unreadable` for hashes that nobody can sign in with.
    pub scheme: String,
    /// Its cost, such as `cost=12`; empty where it has none.
    pub cost: String,
    /// How many accounts have it.
    pub accounts: u64,
    /// The last sign-in of the account among them that has been away for the longest; none where nobody ever signed in.
    pub oldest_login_at: Option<DateTime<Utc>>,
    /// How many of them have never signed in.
    pub never_signed_in: u64,
    /// From when on nobody can sign in with it.
    pub retired_at: Option<DateTime<Utc>>,
}

/// All accounts, by scheme and cost.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    /// In order of scheme and cost.
    pub schemes: Vec<SchemeCount>,
    /// How many accounts have no password.
    pub without_password: u64,
}
