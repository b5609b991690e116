//! Codes over HTTP: asking for one, and using it.

mod pages;
mod words;

use actix_web::{HttpRequest, HttpResponse, web};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::model::{PasswordReset, PresentedCode};
use super::service;
use crate::app::AppState;
use crate::config::Config;
use crate::domain::EmailAddress;
use crate::error::ApiError;
use crate::http::body::{FromMembers, Parsed};
use crate::http::json::Members;
use crate::http::mount::Operation;
use crate::http::on_its_way::{MailOnItsWay, mail_is_on_its_way};
use crate::http::origin::RequestOrigin;
use crate::http::problem::Problem;
use crate::http::rate_limit;
use crate::mail::MailKind;
use crate::users::api::{UserResponse, parse_email, parse_password, user_answer};

/// The operations of this feature: there only where mail can be sent.
#[must_use]
pub fn operations() -> Vec<Operation> {
    let mut operations = vec![
        Operation::new::<__path_request_verification>(|| web::to(request_verification)),
        Operation::new::<__path_verify_email>(|| web::to(verify_email)),
        Operation::new::<__path_forgot_password>(|| web::to(forgot_password)),
        Operation::new::<__path_reset_password>(|| web::to(reset_password)),
        Operation::new::<__path_confirm_email>(|| web::to(confirm_email)),
    ];
    operations.extend(pages::operations());
    operations
}

/// To whom a mail is to go
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MailRequest {
    /// The e-mail address of the account.
    #[schema(example = "ada@example.com")]
    pub email: String,
}

/// A code from a mail
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CodeRequest {
    /// What stands behind `token=` in the mail's link; or the code of eight characters, together with `email`.
    #[schema(example = "roster_ml_Jc3VYRwQ8v2JcJ4Vt2Yd0nKp2hM5sXb7eQfLrTzGkAo")]
    pub token: String,
    /// The address that the mail went to; only needed with a code of eight characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "ada@example.com")]
    pub email: Option<String>,
}

/// A code from a mail, and the password that it is to set
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ResetPasswordRequest {
    /// What stands behind `token=` in the mail's link; or the code of eight characters, together with `email`.
    #[schema(example = "roster_ml_Jc3VYRwQ8v2JcJ4Vt2Yd0nKp2hM5sXb7eQfLrTzGkAo")]
    pub token: String,
    /// The new password, as for registering.
    #[schema(example = "velvet-harbor-cinder-52")]
    pub password: String,
    /// The address that the mail went to; only needed with a code of eight characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "ada@example.com")]
    pub email: Option<String>,
}

/// An address, as `email`.
struct Recipient(EmailAddress);

impl FromMembers for Recipient {
    fn from_members(members: &mut Members, _: &Config) -> Option<Self> {
        let text = members.required_string("email")?;
        parse_email(members, &text).map(Self)
    }
}

impl FromMembers for PresentedCode {
    fn from_members(members: &mut Members, _: &Config) -> Option<Self> {
        let token = members.required_string("token");
        let email = members.string("email");
        Some(Self::parse(&token?, email.as_deref()))
    }
}

impl FromMembers for PasswordReset {
    fn from_members(members: &mut Members, config: &Config) -> Option<Self> {
        let password = members.required_string("password");
        let password = password.and_then(|text| parse_password(members, &text, config));
        let code = PresentedCode::from_members(members, config);
        Some(Self {
            code: code?,
            password: password?,
        })
    }
}

/// Ask for a mail to prove an address
///
/// The answer is the same whether or not anybody has registered the address, and whether or not it is proven already. The
/// code in the mail is good for 24 hours, and replaces the one before.
#[utoipa::path(
    post,
    path = "/verify-email/request",
    tag = "mail",
    security(()),
    request_body = MailRequest,
    responses(
        (status = 202, description = "If it makes sense, a mail is on its way", body = MailOnItsWay),
        (status = 429, description = "Too many mails asked for from this address", body = Problem,
            content_type = "application/problem+json"),
    ),
)]
async fn request_verification(
    request: HttpRequest,
    origin: RequestOrigin,
    body: Parsed<Recipient>,
) -> Result<HttpResponse, ApiError> {
    let state = AppState::of(&request)?;
    let asked = service::request(state, MailKind::VerifyEmail, &body.0.0, &origin.0).await;
    rate_limit::told(&request, asked)?;
    Ok(mail_is_on_its_way())
}

/// Prove an address
///
/// With the code from the mail. Where registering asks for a proof, this is what makes the account.
#[utoipa::path(
    post,
    path = "/verify-email",
    tag = "mail",
    security(()),
    request_body = CodeRequest,
    responses(
        (status = 204, description = "The address is proven"),
        (status = 422, description = "The code is used, expired, replaced, mistyped or for something else; or the request \
            isn't what is asked for", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "Too many wrong codes and passwords from this address", body = Problem,
            content_type = "application/problem+json"),
    ),
)]
async fn verify_email(
    request: HttpRequest,
    origin: RequestOrigin,
    body: Parsed<PresentedCode>,
) -> Result<HttpResponse, ApiError> {
    let verified = service::verify_email(AppState::of(&request)?, body.0, origin.0).await;
    rate_limit::told(&request, verified)?;
    Ok(HttpResponse::NoContent().finish())
}

/// Ask for a mail to choose a new password
///
/// The answer is the same whether or not anybody has the address. The code in the mail is good for 30 minutes, and
/// replaces the one before.
#[utoipa::path(
    post,
    path = "/forgot-password",
    tag = "mail",
    security(()),
    request_body = MailRequest,
    responses(
        (status = 202, description = "If it makes sense, a mail is on its way", body = MailOnItsWay),
        (status = 429, description = "Too many mails asked for from this address", body = Problem,
            content_type = "application/problem+json"),
    ),
)]
async fn forgot_password(
    request: HttpRequest,
    origin: RequestOrigin,
    body: Parsed<Recipient>,
) -> Result<HttpResponse, ApiError> {
    let state = AppState::of(&request)?;
    let asked = service::request(state, MailKind::ResetPassword, &body.0.0, &origin.0).await;
    rate_limit::told(&request, asked)?;
    Ok(mail_is_on_its_way())
}

/// Choose a new password
///
/// With the code from the mail, or from an invitation. Every session ends, every other code dies, and nobody is signed in.
/// A password that is refused leaves the code as it is.
#[utoipa::path(
    post,
    path = "/reset-password",
    tag = "mail",
    security(()),
    request_body = ResetPasswordRequest,
    responses(
        (status = 204, description = "The new password is set"),
        (status = 422, description = "The code is used, expired, replaced, mistyped or for something else; or the password \
            is refused", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "Too many wrong codes and passwords from this address", body = Problem,
            content_type = "application/problem+json"),
    ),
)]
async fn reset_password(
    request: HttpRequest,
    origin: RequestOrigin,
    body: Parsed<PasswordReset>,
) -> Result<HttpResponse, ApiError> {
    let reset = service::reset_password(AppState::of(&request)?, body.0, origin.0).await;
    rate_limit::told(&request, reset)?;
    Ok(HttpResponse::NoContent().finish())
}

/// Confirm a new address
///
/// With the code that was mailed to it: the pending address becomes the address. The code says whose it is, so that the
/// link can be opened on another device than the one that is signed in; a token is neither needed nor looked at.
#[utoipa::path(
    post,
    path = "/users/me/email/confirm",
    tag = "mail",
    security(()),
    request_body = CodeRequest,
    responses(
        (status = 200, description = "The account as it is now", body = UserResponse,
            headers(("ETag" = String, description = "Its present state"))),
        (status = 409, description = "Another account has the address meanwhile", body = Problem,
            content_type = "application/problem+json"),
        (status = 422, description = "The code is used, expired, replaced, mistyped or for something else; or the request \
            isn't what is asked for", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "Too many wrong codes and passwords from this address", body = Problem,
            content_type = "application/problem+json"),
    ),
)]
async fn confirm_email(
    request: HttpRequest,
    origin: RequestOrigin,
    body: Parsed<PresentedCode>,
) -> Result<HttpResponse, ApiError> {
    let confirmed = service::confirm_email(AppState::of(&request)?, body.0, origin.0).await;
    let user = rate_limit::told(&request, confirmed)?;
    user_answer(HttpResponse::Ok(), &user)
}
