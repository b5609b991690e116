//! Signing in, and knowing on each request who is signed in.
//!
//! The bearer check wraps the private routes and leaves an [`AuthenticatedUser`] behind; the handler takes it as an
//! argument and fails closed where none was left. One verification, two locks.

pub mod api;
mod bearer;
mod model;
pub mod service;
mod store;

pub use bearer::authenticate;
pub use model::{Administrator, AuthenticatedUser, SignIn};
pub use service::{identify, sign_in, verify};
