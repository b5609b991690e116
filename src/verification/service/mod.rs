//! Deciding about codes: when one is made, and what its proof is good for.

mod housekeeping;
mod prepare;
mod present;
mod prove;

use serde_json::{Map, Value};

use crate::app::AppState;
use crate::domain::{EmailAddress, Limited, Origin};
use crate::error::ApiError;
use crate::limits::{self, LimitKind};
use crate::mail::{self, MailKind, NewMail};

pub use housekeeping::keep_house;
pub use prepare::prepare;
pub use prove::{confirm_email, reset_password, verify_email};

/// Asks for a code to be mailed to an address, if that makes sense: which is found out when the mail is sent, so that
/// this does and takes the same for every address. A client address has as many of these as it has registrations, and
/// from the same budget: what a registration sends is a mail as well.
///
/// # Errors
/// [`ApiError::TooManyRequests`], [`ApiError::DatabaseUnavailable`].
pub async fn request(
    state: &AppState,
    kind: MailKind,
    email: &EmailAddress,
    origin: &Origin,
) -> Limited<Result<(), ApiError>> {
    let Limited { outcome, standing } = limits::spend(state, LimitKind::Registration, origin).await;
    let outcome = match outcome {
        Ok(()) => queue(state, kind, email, origin).await,
        Err(error) => Err(error),
    };
    Limited { outcome, standing }
}

async fn queue(
    state: &AppState,
    kind: MailKind,
    email: &EmailAddress,
    origin: &Origin,
) -> Result<(), ApiError> {
    let mail = mail::compose(state, kind, None, email.as_str());
    let mail = mail.map(|mail| with_origin(mail, origin));
    state
        .db
        .write(move |writer| async move {
            let transaction = writer.begin().await?;
            mail::queue(&*transaction, mail).await?;
            transaction.commit().await
        })
        .await
}

/// Who asked, for the audit trail.
fn with_origin(mail: NewMail, origin: &Origin) -> NewMail {
    let text = |value: &Option<String>| value.clone().map_or(Value::Null, Value::String);
    mail.with("ip", text(&origin.ip.map(|ip| ip.to_string())))
        .with("user_agent", text(&origin.user_agent))
        .with("request_id", text(&origin.request_id))
}

fn origin_of(details: &Map<String, Value>) -> Origin {
    let text = |name: &str| details.get(name).and_then(Value::as_str).map(str::to_owned);
    Origin {
        ip: text("ip").and_then(|ip| ip.parse().ok()),
        user_agent: text("user_agent"),
        request_id: text("request_id"),
    }
}
