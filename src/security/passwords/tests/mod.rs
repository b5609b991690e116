//! What must hold of passwords, from one hash to the whole door. Costs are the lowest there are; nothing sleeps and
//! nothing measures time.

mod breached;
mod check;
mod door;
mod foreign;
mod pool;
mod scheme;
mod strength;
mod vectors;

use super::scheme::{Algorithm, HashSettings};
use super::work_memory::WorkMemory;
use crate::domain::{Password, PasswordHash, PasswordLength};

/// bcrypt at cost 4, argon2id with 64 KiB and one pass.
fn cheap(preferred: Algorithm) -> HashSettings {
    HashSettings {
        preferred,
        bcrypt_cost: 4,
        argon2_memory_kib: 64,
        argon2_iterations: 1,
    }
}

fn memory() -> WorkMemory {
    WorkMemory::new(64)
}

fn password(text: &str) -> Password {
    Password::parse(text, &PasswordLength { min: 1, max: 4096 }).unwrap()
}

fn stored(text: &str) -> PasswordHash {
    PasswordHash::from_stored(text.to_owned())
}
