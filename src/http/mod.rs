//! HTTP, apart from what any feature is about: reading requests strictly, rendering every failure as a problem
//! document, and mounting operations so that what is mounted is what is documented.
//!
//! Features come here; this room knows no feature.

pub mod basic;
pub mod bearer;
pub mod body;
pub mod conditional;
pub mod crowd;
pub mod envelope;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
pub mod idempotency;
pub mod json;
pub mod list;
pub mod mount;
pub mod oauth;
pub mod on_its_way;
pub mod openapi;
pub mod origin;
pub mod page;
pub mod path;
pub mod pipeline;
pub mod problem;
pub mod query;
pub mod rate_limit;
pub mod refresh_cookie;
pub mod upload;
pub mod wire;
