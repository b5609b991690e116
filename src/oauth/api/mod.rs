//! The OAuth endpoints over HTTP.

mod inspect;
mod token;

use actix_web::web;

use crate::http::mount::Operation;

/// The operations of this feature.
#[must_use]
pub fn operations() -> Vec<Operation> {
    vec![
        Operation::new::<token::__path_token>(|| web::to(token::token)),
        Operation::new::<inspect::__path_revoke>(|| web::to(inspect::revoke)),
        Operation::new::<inspect::__path_introspect>(|| web::to(inspect::introspect)),
    ]
}
