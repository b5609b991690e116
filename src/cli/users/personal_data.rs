//! `roster users personal-data`: everything that is held about somebody, where that person asks for it in writing.

use super::super::Context;
use super::super::output::print;
use super::account::{AccountArgument, find};
use crate::app::AppState;
use crate::domain::{Actor, Origin};
use crate::startup::{StartError, start_error};
use crate::transfer::api::OwnDataResponse;
use crate::transfer::service;

pub(super) const EXAMPLES: &str = "\
It is JSON: the document that the person gets from GET /users/me/export, for a request by GDPR article 15 or 20. Passwords
and their hashes aren't in it. That it was printed is an event of the audit trail.

Example:
  roster users personal-data ada@example.com > ada.json";

/// Prints the document: in one line with `--json`, else as people read it.
pub(super) async fn personal_data(
    context: &Context,
    state: &AppState,
    account: &AccountArgument,
) -> Result<(), StartError> {
    let id = find(state, account).await?.user.id;
    let data = service::own_data(state, id, Actor::Operator, &Origin::default()).await?;
    let document = OwnDataResponse::of(&data, id, None, state.ambient.now())?;
    let json = if context.output.is_json() {
        serde_json::to_string(&document)
    } else {
        serde_json::to_string_pretty(&document)
    };
    print(&json.map_err(start_error)?)
}
