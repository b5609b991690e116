//! What an admin does: with accounts, sessions and keys.

mod accounts;
mod idempotency;
mod keys;
mod list;
mod races;
mod sessions;

use crate::support::{Persona, World};

/// An admin, signed in.
struct Admin {
    persona: Persona,
    token: String,
}

impl Admin {
    async fn of(world: &World) -> Self {
        let persona = world.admin().await;
        let token = world.sign_in(&persona).await;
        Self { persona, token }
    }

    /// The same with another name than everybody's admin has.
    async fn called(world: &World, name: &str) -> Self {
        let persona = world.register(name).await;
        world.set_roles(&persona, &["admin"]).await;
        let token = world.sign_in(&persona).await;
        Self { persona, token }
    }
}

/// The path of somebody's account.
fn path(persona: &Persona) -> String {
    format!("/admin/users/{}", persona.id)
}
