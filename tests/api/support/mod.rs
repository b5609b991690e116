//! What scenarios are made of.
//!
//! [`scenario!`] runs one on both databases; [`World`] is a server with its database, clock and client; [`Stage`] is
//! where worlds are made, and cleared away whatever comes of the scenario.

#[path = "../../support/postgres.rs"]
pub mod postgres;

mod client;
mod clock;
pub mod contract;
mod post;
mod raw;
mod rows;
mod sessions;
mod stage;
mod tokens;
mod world;

pub use client::{Answer, Call, all};
pub use clock::ManualClock;
pub use post::{token, typed_code};
pub use raw::Connection;
pub use sessions::Tokens;
pub use stage::{Backend, Stage, run};
pub use tokens::{ForeignKey, accepted, decoded, refused, segments, with};
pub use world::{OTHER_PASSWORD, PASSWORD, PUBLIC_URL, Persona, World, basic};

/// Scenarios, each of which becomes two tests: `NAME::sqlite` and `NAME::postgres`.
///
/// The argument is a [`World`] with the usual settings, or a [`Stage`] to make worlds with other ones:
///
/// ```ignore
/// scenario! {
///     async fn a_taken_address_is_refused(world: World) { … }
///
///     async fn a_closed_server_takes_nobody(stage: Stage) {
///         let world = World::with(&stage, |variables| {
///             variables.set("ROSTER__REGISTRATION__MODE", "closed");
///         }).await;
///     }
/// }
/// ```
macro_rules! scenario {
    ($($(#[$attribute:meta])* async fn $name:ident($argument:ident: $type:ty) $body:block)+) => {$(
        $(#[$attribute])*
        async fn $name($argument: $type) $body

        // A module and a function may have the same name.
        mod $name {
            #[test]
            fn sqlite() {
                $crate::support::run($crate::support::Backend::Sqlite, super::$name);
            }

            #[test]
            fn postgres() {
                $crate::support::run($crate::support::Backend::Postgres, super::$name);
            }
        }
    )+};
}
