//! The outermost middleware: what every request and every answer has in common.
//!
//! On the way in: a request id, one `Host`, one spelling of the path. On the way out: failures as problem documents,
//! the security headers, one line in the access log. A panic is answered like any other fault of ours.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use actix_cors::CorsError;
use actix_web::body::{BoxBody, EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_SECURITY_POLICY,
    CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY,
    X_CONTENT_TYPE_OPTIONS,
};
use actix_web::http::uri::PathAndQuery;
use actix_web::http::{ConnectionType, Method, StatusCode, Uri, Version};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage as _, HttpResponse, ResponseError};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use futures_util::FutureExt as _;

use super::bearer::Caller;
use super::crowd::Activity;
use super::origin::{RequestId, client_address};
use super::pipeline::Gate;
use super::{oauth, page, problem, rate_limit};
use crate::app::{AppState, LineLimit};
use crate::clock::Ambient;
use crate::error::ApiError;

/// The target of access-log records.
pub const ACCESS_LOG: &str = "roster::access";

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The longest path that a log line shows.
const MAX_LOGGED_PATH: usize = 200;
/// The longest method: a client may make one up that is as long as a head may be, and every request would write it.
const MAX_LOGGED_METHOD: usize = 32;

/// Wraps a request; see the module.
///
/// # Errors
/// None that a client sees as such: failures become answers.
pub async fn envelope<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    let activity = request.conn_data::<Activity>().cloned().unwrap_or_default();
    activity.set_last(request.head().connection_type() != ConnectionType::KeepAlive);
    activity.begin_request(Gate::behind(request.method(), request.headers()));
    let result = answer(request, next).await;
    let is_closing = match &result {
        Ok(response) => response.response().head().connection_type() == ConnectionType::Close,
        Err(error) => error.as_error::<Answered>().is_some_and(Answered::is_closing),
    };
    activity.end_request(is_closing);
    result
}

async fn answer<B: MessageBody + 'static>(
    mut request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    let started = Instant::now();
    let state = Arc::clone(AppState::of(request.request())?);
    let id = request_id(request.headers(), &state);
    // The path as the routing reads it: `/%6fauth/token` is the same endpoint.
    let is_oauth = oauth::is_oauth(request.match_info().as_str());
    request.extensions_mut().insert(id.clone());
    let access =
        log::log_enabled!(target: ACCESS_LOG, log::Level::Info).then(|| Access::of(&request, &state));

    if let Err(error) = check_host(&request) {
        let mut response = failure(&error, is_oauth, &id);
        finish(response.headers_mut(), &id, &state);
        close_at_the_end(&mut response, &state);
        log_access(access, &response, None, started, &id, &state);
        return Ok(request.into_response(response).map_into_right_body());
    }
    trim_trailing_slash(&mut request);

    // What a panic leaves behind is this request's alone: shared state is behind locks that note a poisoning.
    let outcome = AssertUnwindSafe(next.call(request)).catch_unwind().await;
    let response = match outcome {
        Ok(Ok(response)) => response,
        Ok(Err(error)) => {
            let status = error.as_response_error().status_code();
            return Err(Answered::with(
                explain(Some(&error), status, is_oauth, &id),
                access,
                started,
                &id,
                &state,
            ));
        }
        Err(_panic) => {
            log::error!(request_id = id.as_str(); "a request handler panicked");
            let fault = ApiError::internal("panic");
            return Err(Answered::with(
                failure(&fault, is_oauth, &id),
                access,
                started,
                &id,
                &state,
            ));
        }
    };

    let caller = response.request().extensions().get::<Caller>().copied();
    let mut response = render_failure(response, is_oauth, &id);
    let request = response.request().clone();
    rate_limit::add_fields(&request, response.response_mut().headers_mut());
    drop(request);
    finish(response.response_mut().headers_mut(), &id, &state);
    close_at_the_end(response.response_mut(), &state);
    log_access(access, response.response(), caller, started, &id, &state);
    Ok(response)
}

/// Turns a failure that isn't a problem document yet into one; keeps its headers (`Allow`, CORS).
fn render_failure<B: MessageBody + 'static>(
    response: ServiceResponse<B>,
    is_oauth: bool,
    id: &RequestId,
) -> ServiceResponse<EitherBody<B>> {
    let status = response.status();
    // A page that says what went wrong is for a person who has sent a form.
    let is_page = response.headers().get(CONTENT_TYPE).is_some_and(page::is_html);
    if is_page || !(status.is_client_error() || status.is_server_error()) {
        return response.map_into_left_body();
    }
    let document = explain(response.response().error(), status, is_oauth, id);
    let (request, failed) = response.into_parts();
    let mut answer = document;
    for (name, value) in failed.headers() {
        if *name != CONTENT_TYPE && !answer.headers().contains_key(name) {
            answer.headers_mut().append(name.clone(), value.clone());
        }
    }
    ServiceResponse::new(request, answer).map_into_right_body()
}

/// Tells a failure in the way that clients of the path expect.
pub fn failure(error: &ApiError, is_oauth: bool, id: &RequestId) -> HttpResponse {
    if is_oauth {
        oauth::answer(error)
    } else {
        problem::answer(error, id.as_str())
    }
}

fn explain(error: Option<&Error>, status: StatusCode, is_oauth: bool, id: &RequestId) -> HttpResponse {
    if let Some(error) = error.and_then(Error::as_error::<ApiError>) {
        log_cause(error, id);
        return failure(error, is_oauth, id);
    }
    if let Some(error) = error.and_then(Error::as_error::<CorsError>) {
        let error = ApiError::Malformed(format!("Preflight refused: {error}.").into());
        return failure(&error, is_oauth, id);
    }
    if is_oauth {
        oauth::answer_status(status)
    } else {
        problem::answer_status(status, id.as_str())
    }
}

/// An answer on its way through the error side of the framework, which knows no request: it is complete already.
#[derive(Debug)]
struct Answered(std::cell::RefCell<Option<HttpResponse>>);

impl Answered {
    fn with(
        mut response: HttpResponse,
        access: Option<Access>,
        started: Instant,
        id: &RequestId,
        state: &AppState,
    ) -> Error {
        finish(response.headers_mut(), id, state);
        close_at_the_end(&mut response, state);
        log_access(access, &response, None, started, id, state);
        Self(std::cell::RefCell::new(Some(response))).into()
    }

    fn is_closing(&self) -> bool {
        let response = self.0.borrow();
        response
            .as_ref()
            .is_some_and(|response| response.head().connection_type() == ConnectionType::Close)
    }
}

impl std::fmt::Display for Answered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("answered with a problem document")
    }
}

impl ResponseError for Answered {
    fn error_response(&self) -> HttpResponse<BoxBody> {
        self.0
            .take()
            .unwrap_or_else(|| HttpResponse::InternalServerError().finish())
    }
}

/// Keeps a well-formed id, so that a trace goes on through us, or makes one.
fn request_id(headers: &HeaderMap, state: &AppState) -> RequestId {
    let mut sent = headers.get_all(X_REQUEST_ID);
    if let (Some(id), None) = (sent.next(), sent.next())
        && (1..=64).contains(&id.len())
        && id
            .as_bytes()
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
    {
        return RequestId(id.clone());
    }
    new_request_id(&state.ambient)
}

/// An id for a request that has brought none.
#[must_use]
pub fn new_request_id(ambient: &Ambient) -> RequestId {
    let mut chance = [0; 15];
    ambient.random.fill(&mut chance);
    let made = BASE64_URL_SAFE_NO_PAD.encode(chance);
    RequestId(HeaderValue::from_str(&made).unwrap_or_else(|_| HeaderValue::from_static("-")))
}

/// RFC 9112 §3.2: an HTTP/1.1 request has exactly one `Host`.
fn check_host(request: &ServiceRequest) -> Result<(), ApiError> {
    let mut hosts = request.headers().get_all(HOST);
    match (hosts.next(), hosts.next()) {
        (Some(_), None) => Ok(()),
        (None, _) if request.version() < Version::HTTP_11 => Ok(()),
        _ => Err(ApiError::Malformed(
            "The request must have exactly one Host header.".into(),
        )),
    }
}

/// One trailing slash makes no difference, and costs no redirect: a redirect loses bodies and `Authorization`.
fn trim_trailing_slash(request: &mut ServiceRequest) {
    let path = request.uri().path();
    let Some(trimmed) = path
        .strip_suffix('/')
        .filter(|rest| !rest.is_empty() && !rest.ends_with('/'))
    else {
        return;
    };
    let trimmed = match request.uri().query() {
        Some(query) => format!("{trimmed}?{query}"),
        None => trimmed.to_owned(),
    };
    let Ok(path_and_query) = PathAndQuery::try_from(trimmed) else {
        return;
    };
    let mut parts = request.uri().clone().into_parts();
    parts.path_and_query = Some(path_and_query);
    if let Ok(uri) = Uri::from_parts(parts) {
        request.match_info_mut().get_mut().update(&uri);
        request.head_mut().uri = uri;
    }
}

/// The headers that every answer has; a page or a cacheable answer has set its own before.
pub fn finish(headers: &mut HeaderMap, id: &RequestId, state: &AppState) {
    headers.insert(X_REQUEST_ID, id.0.clone());
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    if !headers.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN) {
        // Where no origin is let in, there is nothing to be let in with.
        headers.remove(ACCESS_CONTROL_ALLOW_CREDENTIALS);
    }
    if !headers.contains_key(CONTENT_SECURITY_POLICY) {
        let policy = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");
        headers.insert(CONTENT_SECURITY_POLICY, policy);
    }
    if !headers.contains_key(CACHE_CONTROL) {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    if state.is_https {
        headers.insert(
            STRICT_TRANSPORT_SECURITY,
            HeaderValue::from_static("max-age=31536000; includeSubDomains"),
        );
    }
}

/// Tells the client of a server that is ending to send its next request elsewhere: whoever hears it loses none
/// (RFC 9112 §9.6).
fn close_at_the_end<B>(response: &mut HttpResponse<B>, state: &AppState) {
    if state.lifecycle.is_ending() {
        response.head_mut().set_connection_type(ConnectionType::Close);
    }
}

fn log_cause(error: &ApiError, id: &RequestId) {
    match error {
        ApiError::Internal(cause) => log::error!(request_id = id.as_str(); "internal error: {cause}"),
        ApiError::DatabaseUnavailable(cause) => {
            log::error!(request_id = id.as_str(); "the database is unavailable: {cause}");
        }
        _ => {}
    }
}

/// What the access log says of a request, taken before it is handed on.
struct Access {
    method: Method,
    path: String,
    ip: String,
}

impl Access {
    /// The path alone: a query may hold what shouldn't be logged.
    fn of(request: &ServiceRequest, state: &AppState) -> Self {
        let path = request.uri().path();
        let shown = path
            .get(..path.floor_char_boundary(MAX_LOGGED_PATH))
            .unwrap_or_default();
        let ip = client_address(
            request.peer_addr(),
            request.headers(),
            &state.config.server.trusted_proxies,
        );
        Self {
            method: request.method().clone(),
            path: shown.to_owned(),
            ip: ip.map_or_else(|| "-".to_owned(), |ip| ip.to_string()),
        }
    }
}

/// What bounds the lines of requests with this answer, where anybody at all can send as many of them as there is bandwidth.
fn line_limit(state: &AppState, status: StatusCode) -> Option<&LineLimit> {
    match status {
        StatusCode::TOO_MANY_REQUESTS => Some(&state.refusals.beyond_limits),
        StatusCode::UNAUTHORIZED => Some(&state.refusals.unauthorized),
        StatusCode::NOT_FOUND => Some(&state.refusals.not_found),
        _ => None,
    }
}

fn log_access<B>(
    access: Option<Access>,
    response: &HttpResponse<B>,
    caller: Option<Caller>,
    started: Instant,
    id: &RequestId,
    state: &AppState,
) {
    let Some(access) = access else { return };
    let micros = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
    let status: StatusCode = response.status();
    if let Some(limit) = line_limit(state, status) {
        let Some(left_out) = limit.admit() else { return };
        if left_out > 0 {
            let answer = status.as_u16();
            log::warn!(target: ACCESS_LOG, answer = answer, count = left_out; "too many refused requests to log them all");
        }
    }
    let user = caller.map(|caller| caller.0.to_string());
    let method = access.method.as_str();
    log::info!(
        target: ACCESS_LOG,
        method = method.get(..MAX_LOGGED_METHOD).unwrap_or(method),
        path = access.path.as_str(),
        status = status.as_u16(),
        duration_us = micros,
        ip = access.ip.as_str(),
        user = user.as_deref().unwrap_or("-"),
        request_id = id.as_str();
        "request"
    );
}
