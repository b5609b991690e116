//! Reading the query of a request's target as strictly as a body.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};

use super::body::{FromMembers, parse_form};
use super::json::Members;
use crate::app::AppState;
use crate::error::ApiError;

/// A query that was read, complete and valid. A parameter that nobody knows is a fault, as a misspelt filter would
/// otherwise do nothing without a word.
#[derive(Debug)]
pub struct Query<T>(pub T);

impl<T: FromMembers> FromRequest for Query<T> {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(read(request))
    }
}

fn read<T: FromMembers>(request: &HttpRequest) -> Result<Query<T>, ApiError> {
    let state = AppState::of(request)?;
    let mut members = Members::of_form(parse_form(request.query_string().as_bytes())?);
    let value = T::from_members(&mut members, &state.config);
    members.finish()?;
    value
        .map(Query)
        .ok_or_else(|| ApiError::internal("a query was refused without a fault"))
}
