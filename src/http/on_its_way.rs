//! The answer to whoever asks for a mail: the same for every address.

use actix_web::HttpResponse;
use serde::Serialize;
use utoipa::ToSchema;

/// That a mail will arrive, if it makes sense to send one
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MailOnItsWay {
    /// What to tell a person.
    #[schema(example = "If there is something to tell this address, a mail is on its way.")]
    pub detail: &'static str,
}

/// The same, whether or not anybody has the address.
pub const MAIL_ON_ITS_WAY: MailOnItsWay = MailOnItsWay {
    detail: "If there is something to tell this address, a mail is on its way.",
};

/// 202, whether or not anybody has the address.
#[must_use]
pub fn mail_is_on_its_way() -> HttpResponse {
    HttpResponse::Accepted().json(MAIL_ON_ITS_WAY)
}
