//! The hashing of one sign-in, and why it takes the same time for everybody.
//!
//! Whoever measures how long a refusal takes must not learn whether the address is known, nor what is stored for it.
//! The measurer picks the attempt, so its length is no secret; the stored hash is. So the time is fixed by the
//! attempt's length alone: every refusal costs one hash of *today's scheme for an attempt of that length*.
//!
//! | stored | attempt up to 72 bytes | attempt over 72 bytes |
//! |---|---|---|
//! | nothing, or nothing readable | today's hash, for nothing | today's hash, for nothing |
//! | bcrypt | its own, then topped up | can't match: today's hash, for nothing |
//! | argon2 | its own, then topped up | its own, then topped up |
//! | another system's | its own, then topped up | its own, then topped up |
//!
//! With bcrypt preferred an attempt over 72 bytes thus costs one argon2id hash whatever is stored, which is what the
//! only accounts that it could open have. *Topped up* means: where a hash cheaper than today's said no (an import
//! with a lower cost, a long password's argon2id met by a short attempt, an LDAP digest of a microsecond), the missing work is
//! done for nothing. Another system's work is counted by what it was measured to be; that is right within a few per cent
//! of today's hash on machines like those it was measured on.
//! Nothing is made in advance for this: a hash for nothing is computed with a fixed salt over the attempt, so the first
//! unknown address costs what the thousandth does, and starting costs nothing.
//!
//! What stays visible: a stored hash that costs *more* than today's takes longer, until its owner's next sign-in
//! rewrites it: an import with a higher cost, and all bcrypt hashes after a change to argon2id, ten times cheaper.
//! Raising everybody to the dearest hash in the database would be an operator's ten-fold bill for hiding which accounts are
//! old. And a sign-in that succeeds and rewrites takes longer; the status code already said so.

use super::scheme::{HashFault, HashSettings, SALT_BYTES};
use super::stand_in::{Work, top_up};
use super::stored::StoredHash;
use super::work_memory::WorkMemory;
use crate::domain::{PasswordAttempt, PasswordHash};

/// What came of comparing an attempt with what is stored.
#[derive(Debug)]
pub enum Verified {
    /// Another password, no such account, or a stored hash that can't be read: nobody outside may tell them apart.
    Mismatch,
    /// The very password.
    Match {
        /// The hash to store in place of the one compared with, where that isn't today's. Swap it only for that one:
        /// the password may have been changed meanwhile.
        rehash: Option<PasswordHash>,
    },
}

/// Compares, tops up, and makes the new hash that a match may need.
///
/// # Errors
/// [`HashFault::OutOfMemory`] or [`HashFault::Settings`]; never [`HashFault::Unreadable`], which is a mismatch.
pub(super) fn check(
    settings: &HashSettings,
    stored: Option<&PasswordHash>,
    attempt: &PasswordAttempt,
    new_salt: impl FnOnce() -> [u8; SALT_BYTES],
    memory: &mut WorkMemory,
) -> Result<Verified, HashFault> {
    let length = attempt.expose().len();
    let mut spent = Work::NONE;
    if let Some(hash) = stored
        && let Ok(readable) = StoredHash::parse(hash)
    {
        if readable.matches(attempt, memory)? {
            let rehash = settings.needs_rehash(hash, length).then(|| {
                // The right password opens the account also where the new hash can't be made; the next sign-in tries
                // again.
                settings.hash(attempt.expose(), new_salt(), memory).ok()
            });
            return Ok(Verified::Match {
                rehash: rehash.flatten(),
            });
        }
        spent = readable.work(attempt);
    }
    top_up(spent, settings.scheme_for(length), attempt, memory)?;
    Ok(Verified::Mismatch)
}
