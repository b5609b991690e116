//! Sections about serving: `server`, `cors`, `docs`, `log`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZero;
use std::thread;

use super::layer::Form;
use super::network::Network;
use super::raw::shown;
use super::reader::{Choice, Reader, Row};
use super::values;

/// The `server` section: the listener and its limits.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// Address to listen on.
    pub host: IpAddr,
    /// TCP port to listen on; 0 takes any free one.
    pub port: u16,
    /// Address under which others reach the server, `http` or `https`, without a slash at its end;
    /// none to derive it from host and port ([`ServerConfig::public_url`]).
    pub public_url: Option<String>,
    /// Largest request body, in bytes.
    pub max_body_bytes: usize,
    /// The largest file that can be imported over HTTP, in bytes.
    pub max_import_bytes: usize,
    /// Seconds that requests in flight get to finish after a signal; 0 ends them at once.
    pub shutdown_timeout_seconds: u16,
    /// Seconds within which a request's head must have arrived.
    pub header_timeout_seconds: u16,
    /// Seconds within which a request's body must have arrived.
    pub body_timeout_seconds: u16,
    /// Seconds for which a client may leave an answer unread.
    pub write_timeout_seconds: u16,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<Network>,
    /// Worker threads; 0 for one per core ([`ServerConfig::workers`]).
    pub workers: usize,
    /// Open connections per worker thread before further ones wait.
    pub max_connections: usize,
}

impl ServerConfig {
    pub(super) fn read(r: &mut Reader) -> Self {
        Self {
            host: r.text(
                Row::new(
                    "server.host",
                    Form::Plain,
                    "an IPv4 or IPv6 address",
                    "Address to listen on; 0.0.0.0 or :: for all interfaces",
                ),
                IpAddr::V4(Ipv4Addr::LOCALHOST),
                |text| {
                    text.parse()
                        .map_err(|_| format!("{} is not an IP address", shown(text)))
                },
                |host| Some(host.to_string()),
            ),
            port: r.number(
                "server.port",
                8000,
                0..=65_535,
                "TCP port to listen on; 0 takes any free one",
            ),
            public_url: r.text(
                Row::new(
                    "server.public_url",
                    Form::Plain,
                    "an http or https URL without query or fragment; in production https, except for localhost",
                    "Address under which clients reach the server; without one, made from host and port",
                ),
                None,
                |text| values::public_url(text).map(Some),
                Clone::clone,
            ),
            max_body_bytes: r.number(
                "server.max_body_bytes",
                65_536,
                1024..=16_777_216,
                "Largest request body in bytes",
            ),
            max_import_bytes: r.number(
                "server.max_import_bytes",
                104_857_600,
                1024..=1_099_511_627_776,
                "The largest file of users that is taken over HTTP, in bytes; the command line takes any",
            ),
            shutdown_timeout_seconds: r.number(
                "server.shutdown_timeout_seconds",
                30,
                0..=3600,
                "Seconds that requests in flight get to finish after a signal to stop",
            ),
            header_timeout_seconds: r.number(
                "server.header_timeout_seconds",
                5,
                1..=60,
                "Seconds within which the head of a request must have arrived",
            ),
            body_timeout_seconds: r.number(
                "server.body_timeout_seconds",
                10,
                1..=300,
                "Seconds within which the body of a request must have arrived",
            ),
            write_timeout_seconds: r.number(
                "server.write_timeout_seconds",
                30,
                1..=300,
                "Seconds for which a client may leave its answer unread",
            ),
            trusted_proxies: r.list(
                "server.trusted_proxies",
                "a list of IP addresses and networks such as 10.0.0.0/8",
                "Proxies whose X-Forwarded-For is believed",
                str::parse,
            ),
            workers: r.number(
                "server.workers",
                0,
                0..=256,
                "Worker threads; 0 for one per core",
            ),
            max_connections: r.number(
                "server.max_connections",
                25_000,
                16..=1_000_000,
                "Open connections per worker thread before further ones wait",
            ),
        }
    }

    /// Address under which others reach the server, without a slash at its end: the configured one,
    /// or `http://{host}:{port}`. Where the port is 0, whoever listens puts the one in its place that it has become.
    #[must_use]
    pub fn public_url(&self) -> String {
        self.public_url.clone().unwrap_or_else(|| {
            // A socket address writes IPv6 in brackets, as a URL needs it.
            format!("http://{}", SocketAddr::new(self.host, self.port))
        })
    }

    /// Worker threads to start: the configured number, or one per core.
    #[must_use]
    pub fn workers(&self) -> usize {
        or_cores(self.workers)
    }
}

/// The number, or for 0 that of the cores this process may use; 1 where those can't be counted.
pub(super) fn or_cores(number: usize) -> usize {
    if number == 0 {
        thread::available_parallelism().map_or(1, NonZero::get)
    } else {
        number
    }
}

/// The `cors` section: web pages of other origins that may call the API.
#[derive(Clone, Debug)]
pub struct CorsConfig {
    /// Origins as browsers send them (`https://app.example.org`); empty switches CORS off.
    pub allowed_origins: Vec<String>,
}

impl CorsConfig {
    pub(super) fn read(r: &mut Reader) -> Self {
        Self {
            allowed_origins: r.list(
                "cors.allowed_origins",
                "a list of origins such as https://app.example.org, without path; not *",
                "Web pages of these origins may call the API; empty for none",
                values::origin,
            ),
        }
    }
}

/// The `docs` section: the API's documentation in the browser.
#[derive(Clone, Debug)]
pub struct DocsConfig {
    /// Whether Swagger UI is served at `/docs`.
    pub enabled: bool,
}

impl DocsConfig {
    pub(super) fn read(r: &mut Reader) -> Self {
        let default = !r.in_production();
        Self {
            enabled: r.flag(
                "docs.enabled",
                default,
                "Whether Swagger UI is served at /docs; true in development, false in production",
            ),
        }
    }
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people: one line of text a record.
    Text,
    /// For machines: one JSON object a record.
    Json,
}

impl Choice for LogFormat {
    const NAMES: &'static [(&'static str, Self)] = &[("text", Self::Text), ("json", Self::Json)];
}

/// The `log` section.
#[derive(Clone, Debug)]
pub struct LogConfig {
    /// How log lines are written.
    pub format: LogFormat,
    /// Which records are written, in `env_logger`'s syntax: levels, and levels for targets.
    pub filter: String,
}

impl LogConfig {
    pub(super) fn read(r: &mut Reader) -> Self {
        let default = if r.in_production() {
            LogFormat::Json
        } else {
            LogFormat::Text
        };
        Self {
            format: r.choice(
                "log.format",
                default,
                "How log lines are written; text in development, json in production",
            ),
            filter: r.text(
                Row::new(
                    "log.filter",
                    Form::Plain,
                    "levels off, error, warn, info, debug, trace, or target=level, separated by commas",
                    "Which log records are written, such as info,sqlx=warn",
                ),
                "info".to_owned(),
                values::log_filter,
                |filter| Some(filter.clone()),
            ),
        }
    }
}
