//! The endpoints that OAuth clients and other services know: tokens (RFC 6749), revocation (RFC 7009), introspection
//! (RFC 7662). What they do is done by the features behind them.

pub mod api;
mod model;
pub mod service;
