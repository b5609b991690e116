//! A listener in, a running server out.

use std::future::ready;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_cors::Cors;
use actix_http::error::DispatchError;
use actix_http::{HttpMessage as _, HttpService, Request, Response};
use actix_server::{Server, ServerHandle};
use actix_service::{
    IntoServiceFactory as _, ServiceFactory, ServiceFactoryExt as _, fn_service, map_config,
};
use actix_web::App;
use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{AppConfig, ServiceRequest, ServiceResponse};
use actix_web::http::{Method, header};
use actix_web::middleware::{Condition, from_fn};
use actix_web::rt;
use actix_web::rt::net::TcpStream;
use actix_web::web::{Data, ServiceConfig};

use crate::app::AppState;
use crate::config::Config;
use crate::error::ApiError;
use crate::http::crowd::{Activity, Crowd};
use crate::http::envelope::{envelope, failure, finish, new_request_id};
use crate::http::oauth;
use crate::http::pipeline::Gate;
use crate::http::wire::{LINGER, Wire};
use crate::operations::docs::OpenApiDocument;
use crate::routes;

/// How long an idle connection is kept for its client's next request. Longer than the 60 s of common proxies, so
/// that it is they who close, and never while we are reading the next request.
const KEEP_ALIVE: Duration = Duration::from_secs(75);

/// A server that has its address and answers as soon as it is awaited.
#[derive(Debug)]
pub struct RunningServer {
    /// Where it listens.
    pub address: SocketAddr,
    /// To stop it.
    pub handle: ServerHandle,
    server: ServerFuture,
}

struct ServerFuture(Server);

impl std::fmt::Debug for ServerFuture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Server")
    }
}

impl RunningServer {
    /// Starts on a listener.
    ///
    /// The order of the middleware, outermost first: the envelope (ids, problems, headers, log), CORS, routing, the
    /// bearer check on private routes.
    ///
    /// # Errors
    /// Where the listener can't be used.
    pub fn start(listener: TcpListener, state: AppState) -> io::Result<Self> {
        Self::start_with(listener, state, |_| {})
    }

    /// The same with more mounted, which no document tells of: for tests of what no route of the program does, such as
    /// a panic.
    ///
    /// # Errors
    /// As [`RunningServer::start`].
    pub fn start_with(
        listener: TcpListener,
        state: AppState,
        more: fn(&mut ServiceConfig),
    ) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let config = Arc::clone(&state.config);
        let document = OpenApiDocument::new(routes::document_json);
        let seconds = |count: u16| Duration::from_secs(u64::from(count));
        let builder = Server::build()
            .workers(config.server.workers())
            .max_concurrent_connections(config.server.max_connections)
            .shutdown_timeout(u64::from(config.server.shutdown_timeout_seconds))
            // The command that serves handles signals: readiness has to change first.
            .disable_signals();
        let is_ending = builder.graceful_shutdown_signal();
        let server = builder
            .listen("http", listener, move || {
                let state = Arc::new(for_worker(&state));
                let expected = Arc::clone(&state);
                let app = app(Arc::clone(&state), document.clone(), more);
                let app = map_config(app.into_factory(), |()| AppConfig::default());
                let crowd = Crowd::new(config.server.max_connections);
                // In place of the framework's own end of connections, which drops a request that has arrived and isn't
                // read yet.
                let (is_ending, ending) = (is_ending.clone(), Rc::clone(&crowd));
                rt::spawn(async move {
                    is_ending.notified().await;
                    ending.end();
                });
                let http = HttpService::build()
                    .keep_alive(KEEP_ALIVE)
                    .client_request_timeout(seconds(config.server.header_timeout_seconds))
                    // How long the rest of a body that nobody wants is waited for.
                    .client_disconnect_timeout(LINGER)
                    .on_connect_ext(|wire: &Wire, data| {
                        data.insert(wire.activity());
                    })
                    .local_addr(address)
                    .expect(move |request| ready(check_expected(&expected, request)))
                    .h1(app.map_err(|error: actix_web::Error| error.error_response()));
                let wire = fn_service(move |stream: TcpStream| {
                    let peer = stream.peer_addr().ok();
                    ready(Ok::<_, DispatchError>((
                        Wire::new(stream, Arc::clone(&state), &crowd),
                        peer,
                    )))
                });
                wire.and_then(http)
            })?
            .run();
        Ok(Self {
            address,
            handle: server.handle(),
            server: ServerFuture(server),
        })
    }

    /// Serves until it is stopped.
    ///
    /// # Errors
    /// Where the server can't go on.
    pub async fn run(self) -> io::Result<()> {
        self.server.0.await
    }
}

/// State for one worker thread, with database connections of its own.
fn for_worker(state: &AppState) -> AppState {
    let mut state = state.clone();
    match state.db.for_worker() {
        Ok(db) => state.db = db,
        Err(error) => log::error!("a worker shares database connections with the others: {error}"),
    }
    state
}

/// The application: its middleware, and everything that is mounted.
fn app(
    state: Arc<AppState>,
    document: OpenApiDocument,
    more: fn(&mut ServiceConfig),
) -> App<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse<impl MessageBody>,
        Error = actix_web::Error,
        InitError = (),
    >,
> {
    let cors = Condition::new(!state.config.cors.allowed_origins.is_empty(), cors(&state.config));
    let sends_mail = state.mail.is_some();
    App::new()
        .app_data(state)
        .app_data(Data::new(document))
        .wrap(cors)
        .wrap(from_fn(envelope))
        .configure(|config| {
            more(config);
            routes::configure(config, sends_mail);
        })
}

/// Refuses a body that is too large before the client sends it, where the client asks first (RFC 9110 §10.1.1).
fn check_expected(state: &AppState, request: Request) -> Result<Request, Response<BoxBody>> {
    let limit = state.config.server.max_body_bytes;
    let length = request
        .headers()
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok());
    if length
        .and_then(|length| length.parse::<u64>().ok())
        .is_none_or(|length| length <= limit as u64)
    {
        return Ok(request);
    }
    // Whatever comes now belongs to the body that is refused, and the framework closes.
    if let Some(activity) = request.conn_data::<Activity>() {
        activity.set_gate(Gate::Open);
    }
    let id = new_request_id(&state.ambient);
    let is_oauth = oauth::is_oauth(request.uri().path());
    let mut response = failure(&ApiError::PayloadTooLarge { limit }, is_oauth, &id);
    finish(response.headers_mut(), &id, state);
    Err(response.into())
}

/// Cross-origin access for the configured origins, and for no other: a browser keeps answers from them.
fn cors(config: &Config) -> Cors {
    let methods = [
        Method::GET,
        Method::HEAD,
        Method::POST,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
        Method::OPTIONS,
    ];
    let headers = [
        header::AUTHORIZATION,
        header::CONTENT_TYPE,
        header::IF_MATCH,
        header::ACCEPT,
    ];
    let exposed = [
        "Retry-After",
        "RateLimit",
        "RateLimit-Policy",
        "X-Request-Id",
        "ETag",
        "Location",
        "Link",
        "WWW-Authenticate",
    ];
    let cors = Cors::default()
        .allowed_methods(methods)
        .allowed_headers(headers)
        .allowed_header("x-request-id")
        .allowed_header("idempotency-key")
        .expose_headers(exposed)
        // A request from elsewhere is answered as ever, without the headers that would let a browser read it.
        .block_on_origin_mismatch(false)
        // The refresh cookie, where a frontend of one of these origins has asked for it; never with `*`.
        .supports_credentials()
        .max_age(3600);
    config
        .cors
        .allowed_origins
        .iter()
        .fold(cors, |cors, origin| cors.allowed_origin(origin))
}
