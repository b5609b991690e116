//! The pages that links in mails lead to. Opening one changes nothing, as programs that look at mails open every link; its
//! button sends a form, to a path of its own, where a form is taken. No page needs script.

use std::fmt::Write as _;

use actix_web::http::StatusCode;
use actix_web::http::header::RETRY_AFTER;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::{Deserialize, Serialize};
use url::Url;
use utoipa::ToSchema;
use zeroize::Zeroizing;

use super::super::model::{PasswordReset, PresentedCode};
use super::super::service;
use super::words::{self, ENGLISH, GERMAN, Words};
use crate::app::AppState;
use crate::config::Config;
use crate::domain::{Limited, Origin, Password, PasswordLength};
use crate::error::{ApiError, FieldFault};
use crate::http::body::{FromMembers, Parsed};
use crate::http::json::Members;
use crate::http::mount::Operation;
use crate::http::origin::RequestOrigin;
use crate::http::page;
use crate::http::problem;
use crate::http::query::Query;
use crate::http::rate_limit;

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::new::<__path_verify_email_page>(|| web::to(verify_email_page)),
        Operation::new::<__path_verify_email_form>(|| web::to(verify_email_form)),
        Operation::new::<__path_reset_password_page>(|| web::to(reset_password_page)),
        Operation::new::<__path_reset_password_form>(|| web::to(reset_password_form)),
        Operation::new::<__path_confirm_email_page>(|| web::to(confirm_email_page)),
        Operation::new::<__path_confirm_email_form>(|| web::to(confirm_email_form)),
    ]
}

/// What a page's form sends
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct CodeForm {
    /// The token of the link, or the code of eight characters.
    #[schema(nullable = false)]
    pub token: Option<String>,
    /// The address that the mail went to, with a code of eight characters.
    #[schema(nullable = false)]
    pub email: Option<String>,
    /// The new password, where one is to be set.
    #[schema(nullable = false, format = Password)]
    pub password: Option<String>,
}

/// What came with a link or a form. Nothing of it is a fault: a person gets a page that says what is missing.
struct Sent {
    token: Zeroizing<String>,
    email: String,
    password: Zeroizing<String>,
}

impl FromMembers for Sent {
    const TAKES_FORM: bool = true;
    const TAKES_JSON: bool = false;

    fn from_members(members: &mut Members, _: &Config) -> Option<Self> {
        let sent = Self {
            token: Zeroizing::new(members.string("token").unwrap_or_default()),
            email: members.string("email").unwrap_or_default(),
            password: Zeroizing::new(members.string("password").unwrap_or_default()),
        };
        // Whatever a mail program has appended to the link.
        members.ignore_rest();
        Some(sent)
    }
}

impl Sent {
    fn code(&self) -> PresentedCode {
        PresentedCode::parse(
            &self.token,
            Some(&self.email)
                .filter(|email| !email.is_empty())
                .map(String::as_str),
        )
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Verify,
    Confirm,
    Reset,
}

impl Form {
    const fn page(self, words: &'static Words) -> &'static words::Page {
        match self {
            Self::Verify => &words.verify,
            Self::Confirm => &words.confirm,
            Self::Reset => &words.reset,
        }
    }

    const fn target(self) -> &'static str {
        match self {
            Self::Verify => "/verify-email/form",
            Self::Confirm => "/users/me/email/confirm/form",
            Self::Reset => "/reset-password/form",
        }
    }
}

fn words(request: &HttpRequest) -> &'static Words {
    if page::prefers_german(request.headers()) {
        &GERMAN
    } else {
        &ENGLISH
    }
}

/// The page with its form. Whoever comes without a token types the short code.
fn form(
    request: &HttpRequest,
    form: Form,
    sent: &Sent,
    fault: Option<(StatusCode, String)>,
) -> Result<HttpResponse, ApiError> {
    let state = AppState::of(request)?;
    let words = words(request);
    let page = form.page(words);
    // Behind a proxy, this server may not be at the root of its host.
    let base =
        Url::parse(&state.config.server.public_url()).map(|url| url.path().trim_end_matches('/').to_owned());
    let mut html = format!("<h1>{}</h1>", page::escape(page.title));
    let (status, problem) = fault.map_or((StatusCode::OK, None), |(status, text)| (status, Some(text)));
    if let Some(text) = problem {
        let _ = write!(
            html,
            "<p class=\"fault\" role=\"alert\">{}</p>",
            page::escape(&text)
        );
    }
    let _ = write!(
        html,
        "<p>{}</p><form method=\"post\" action=\"{}{}\">",
        page::escape(page.text),
        page::escape(&base.unwrap_or_default()),
        form.target()
    );
    if sent.token.is_empty() || !sent.email.is_empty() {
        let _ = write!(
            html,
            "<p>{}</p><label for=\"email\">{}</label>\
             <input id=\"email\" name=\"email\" type=\"email\" autocomplete=\"email\" required value=\"{}\">\
             <label for=\"token\">{}</label>\
             <input id=\"token\" name=\"token\" autocomplete=\"one-time-code\" autocapitalize=\"characters\" required value=\"{}\">",
            page::escape(words.type_it),
            page::escape(words.email),
            page::escape(&sent.email),
            page::escape(words.code),
            page::escape(&sent.token)
        );
    } else {
        let _ = write!(
            html,
            "<input type=\"hidden\" name=\"token\" value=\"{}\">",
            page::escape(&sent.token)
        );
    }
    if form == Form::Reset {
        let _ = write!(
            html,
            "<label for=\"password\">{}</label>\
             <input id=\"password\" name=\"password\" type=\"password\" autocomplete=\"new-password\" required>",
            page::escape(words.password)
        );
    }
    let _ = write!(
        html,
        "<button type=\"submit\">{}</button></form>",
        page::escape(page.button)
    );
    Ok(page::answer_with_form(status, words.language, page.title, &html))
}

/// What came of a form, as a page.
fn outcome(
    request: &HttpRequest,
    which: Form,
    sent: &Sent,
    outcome: Result<(), ApiError>,
) -> Result<HttpResponse, ApiError> {
    let words = words(request);
    let page = which.page(words);
    match outcome {
        Ok(()) => {
            let html = format!(
                "<h1 role=\"status\">{}</h1><p>{}</p>",
                page::escape(page.done),
                page::escape(words.close)
            );
            Ok(page::answer_with_form(
                StatusCode::OK,
                words.language,
                page.done,
                &html,
            ))
        }
        Err(ApiError::InvalidCode) => {
            let fault = (StatusCode::UNPROCESSABLE_ENTITY, words.bad_code.to_owned());
            form(request, which, sent, Some(fault))
        }
        Err(ApiError::Validation(faults)) => {
            let text: Vec<String> = faults.iter().map(|fault| told(words, fault)).collect();
            let fault = (StatusCode::UNPROCESSABLE_ENTITY, text.join(" "));
            form(request, which, sent, Some(fault))
        }
        Err(ApiError::EmailTaken) => form(
            request,
            which,
            sent,
            Some((StatusCode::CONFLICT, words.taken.to_owned())),
        ),
        Err(ApiError::TooManyRequests { retry_after }) => {
            let fault = (StatusCode::TOO_MANY_REQUESTS, words.too_many.to_owned());
            let mut answer = form(request, which, sent, Some(fault))?;
            answer
                .headers_mut()
                .insert(RETRY_AFTER, problem::seconds(retry_after));
            Ok(answer)
        }
        Err(other) => Err(other),
    }
}

fn told(words: &Words, fault: &FieldFault) -> String {
    let german = words::german_fault(fault.code).filter(|_| words.language == GERMAN.language);
    german.map_or_else(
        || format!("{} {}.", words.password, fault.detail.trim_end_matches('.')),
        str::to_owned,
    )
}

async fn reset(state: &AppState, sent: &Sent, origin: Origin) -> Limited<Result<(), ApiError>> {
    let length = PasswordLength {
        min: state.config.password.min_length,
        max: state.config.password.max_length,
    };
    let password = match Password::parse(&sent.password, &length) {
        Ok(password) => password,
        Err(fault) => {
            return Limited::freely(Err(ApiError::invalid("password", fault.code(), fault.detail())));
        }
    };
    let reset = PasswordReset {
        code: sent.code(),
        password,
    };
    service::reset_password(state, reset, origin).await
}

/// The page to prove an address on
///
/// Where the link in a mail leads, unless `mail.links.verify_email` says otherwise. Opening it changes nothing; its button
/// does.
#[utoipa::path(
    get,
    path = "/verify-email",
    tag = "pages",
    security(()),
    params(("token" = Option<String>, Query, description = "The code; without one, the page asks for the short one")),
    responses((status = 200, description = "The page", body = String, content_type = "text/html")),
)]
async fn verify_email_page(request: HttpRequest, sent: Query<Sent>) -> Result<HttpResponse, ApiError> {
    form(&request, Form::Verify, &sent.0, None)
}

/// What the button on that page does
#[utoipa::path(
    post,
    path = "/verify-email/form",
    tag = "pages",
    security(()),
    request_body(content = CodeForm, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "A page that says so", body = String, content_type = "text/html"),
        (status = 422, description = "The page again: the code is not valid, or not any more", body = String, content_type = "text/html"),
        (status = 429, description = "The page again: too many wrong codes and passwords from this address", body = String, content_type = "text/html"),
    ),
)]
async fn verify_email_form(
    request: HttpRequest,
    origin: RequestOrigin,
    sent: Parsed<Sent>,
) -> Result<HttpResponse, ApiError> {
    let state = AppState::of(&request)?;
    let done = service::verify_email(state, sent.0.code(), origin.0).await;
    let done = rate_limit::told(&request, done);
    outcome(&request, Form::Verify, &sent.0, done)
}

/// The page to choose a new password on
///
/// Where the link in a mail leads, unless `mail.links.reset_password` says otherwise. Opening it changes nothing; its
/// button does.
#[utoipa::path(
    get,
    path = "/reset-password",
    tag = "pages",
    security(()),
    params(("token" = Option<String>, Query, description = "The code; without one, the page asks for the short one")),
    responses((status = 200, description = "The page", body = String, content_type = "text/html")),
)]
async fn reset_password_page(request: HttpRequest, sent: Query<Sent>) -> Result<HttpResponse, ApiError> {
    form(&request, Form::Reset, &sent.0, None)
}

/// What the button on that page does
#[utoipa::path(
    post,
    path = "/reset-password/form",
    tag = "pages",
    security(()),
    request_body(content = CodeForm, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "A page that says so", body = String, content_type = "text/html"),
        (status = 422, description = "The page again: the code is not valid, or the password is refused", body = String, content_type = "text/html"),
        (status = 429, description = "The page again: too many wrong codes and passwords from this address", body = String, content_type = "text/html"),
    ),
)]
async fn reset_password_form(
    request: HttpRequest,
    origin: RequestOrigin,
    sent: Parsed<Sent>,
) -> Result<HttpResponse, ApiError> {
    let done = reset(AppState::of(&request)?, &sent.0, origin.0).await;
    let done = rate_limit::told(&request, done);
    outcome(&request, Form::Reset, &sent.0, done)
}

/// The page to confirm a new address on
///
/// Where the link in a mail leads, unless `mail.links.confirm_email` says otherwise. Opening it changes nothing; its button
/// does.
#[utoipa::path(
    get,
    path = "/users/me/email/confirm",
    tag = "pages",
    security(()),
    params(("token" = Option<String>, Query, description = "The code; without one, the page asks for the short one")),
    responses((status = 200, description = "The page", body = String, content_type = "text/html")),
)]
async fn confirm_email_page(request: HttpRequest, sent: Query<Sent>) -> Result<HttpResponse, ApiError> {
    form(&request, Form::Confirm, &sent.0, None)
}

/// What the button on that page does
#[utoipa::path(
    post,
    path = "/users/me/email/confirm/form",
    tag = "pages",
    security(()),
    request_body(content = CodeForm, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "A page that says so", body = String, content_type = "text/html"),
        (status = 409, description = "The page again: another account has the address meanwhile", body = String, content_type = "text/html"),
        (status = 422, description = "The page again: the code is not valid, or not any more", body = String, content_type = "text/html"),
        (status = 429, description = "The page again: too many wrong codes and passwords from this address", body = String, content_type = "text/html"),
    ),
)]
async fn confirm_email_form(
    request: HttpRequest,
    origin: RequestOrigin,
    sent: Parsed<Sent>,
) -> Result<HttpResponse, ApiError> {
    let state = AppState::of(&request)?;
    let done = service::confirm_email(state, sent.0.code(), origin.0).await;
    let done = rate_limit::told(&request, done);
    outcome(&request, Form::Confirm, &sent.0, done.map(drop))
}
