//! The `database` section, and the URL that is a secret because it may hold a password.

use std::fmt;
use std::net::IpAddr;

use secrecy::{ExposeSecret, SecretString};
use url::{Url, form_urlencoded};

use super::layer::Form;
use super::reader::{Reader, Row};

/// The `database` section.
#[derive(Clone, Debug)]
pub struct DatabaseConfig {
    /// Which database, and how to get into it.
    pub url: DatabaseUrl,
    /// Most open connections; 0 for what suits the database.
    pub max_connections: u32,
    /// Milliseconds that a request waits for a connection.
    pub acquire_timeout_ms: u32,
    /// Milliseconds after which a statement is given up.
    pub statement_timeout_ms: u32,
    /// Whether prepared statements are kept by name; a transaction-mode pooler needs `false`.
    pub prepared_statements: bool,
    /// Whether `serve` brings the schema up to date before it listens.
    pub migrate_at_start: bool,
}

impl DatabaseConfig {
    pub(super) fn read(r: &mut Reader) -> Self {
        let migrate_at_start = !r.in_production();
        Self {
            url: r.text(
                Row::new(
                    "database.url",
                    Form::Secret,
                    "sqlite://PATH, or postgres://USER:PASSWORD@HOST/NAME",
                    "Database to use",
                ),
                DatabaseUrl::built_in(),
                DatabaseUrl::parse,
                |url| Some(url.redacted().to_owned()),
            ),
            max_connections: r.number(
                "database.max_connections",
                0,
                0..=1000,
                "Most open connections; 0 for what suits the database",
            ),
            // Neither may outlast the 3 seconds within which a client is promised its 503.
            acquire_timeout_ms: r.number(
                "database.acquire_timeout_ms",
                2000,
                50..=2500,
                "Milliseconds that a request waits for a connection before it gets 503",
            ),
            statement_timeout_ms: r.number(
                "database.statement_timeout_ms",
                2000,
                100..=2800,
                "Milliseconds after which a statement is given up and its request gets 503",
            ),
            prepared_statements: r.flag(
                "database.prepared_statements",
                true,
                "Whether prepared statements are kept; false behind a transaction-mode pooler",
            ),
            migrate_at_start: r.flag(
                "database.migrate_at_start",
                migrate_at_start,
                "Whether `serve` migrates first; true in development, false in production",
            ),
        }
    }
}

/// The kinds of database that Roster runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DatabaseKind {
    /// A file, or memory, in this process.
    Sqlite,
    /// A `PostgreSQL` server, 13 or later.
    Postgres,
}

/// The parameters of a `PostgreSQL` URL that sqlx 0.9 hears; of any other it logs the value, and goes on without it.
const PARAMETERS: [&str; 16] = [
    "sslmode",
    "ssl-mode",
    "sslrootcert",
    "ssl-root-cert",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
    "statement-cache-capacity",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "application_name",
];
/// Those whose value mustn't be shown, or may be anything.
const MORE_PARAMETERS: [&str; 2] = ["password", "options"];

/// A database's URL. Its Debug shows no more than the kind.
#[derive(Clone)]
pub struct DatabaseUrl {
    kind: DatabaseKind,
    redacted: String,
    text: SecretString,
    without_effect: Vec<String>,
    exposed_to: Option<String>,
}

impl DatabaseUrl {
    /// The database of a Roster that wasn't told of any.
    fn built_in() -> Self {
        Self::sqlite("sqlite://data/roster.db")
    }

    fn sqlite(text: &str) -> Self {
        Self {
            kind: DatabaseKind::Sqlite,
            redacted: text.to_owned(),
            text: text.into(),
            without_effect: Vec::new(),
            exposed_to: None,
        }
    }

    /// Takes a URL that begins with `sqlite:`, `postgres://` or `postgresql://`.
    ///
    /// # Errors
    ///
    /// What is wrong with the URL, without repeating any of it.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err("has white space in it, which must be percent-encoded".to_owned());
        }
        if let Some(rest) = text.strip_prefix("sqlite:") {
            return match rest.trim_start_matches('/').split('?').next() {
                None | Some("") => Err("names no file".to_owned()),
                Some(_) => Ok(Self::sqlite(text)),
            };
        }
        if !text.starts_with("postgres://") && !text.starts_with("postgresql://") {
            return Err("does not begin with sqlite:, postgres:// or postgresql://".to_owned());
        }
        let mut url = Url::parse(text).map_err(|error| format!("is not a URL: {error}"))?;
        // A bare `/`, `?` or `#` in a password ends the host part early: the rest of the password
        // would then count as path or query, and be shown.
        let behind = [Some(url.path()), url.query(), url.fragment()];
        if url.fragment().is_some() || behind.into_iter().flatten().any(|part| part.contains('@')) {
            return Err(
                "has an @ or # behind its host; special characters in a password must be percent-encoded"
                    .to_owned(),
            );
        }
        let host = url.host_str().unwrap_or_default();
        let socket = url
            .query_pairs()
            .any(|(name, value)| name == "host" && !value.is_empty());
        if host.is_empty() && !socket {
            return Err("names no host".to_owned());
        }
        let exposed_to = exposed_to(&url);
        let without_effect = take_unknown_parameters(&mut url)?;
        let text = if without_effect.is_empty() {
            text.into()
        } else {
            String::from(url.clone()).into()
        };
        Ok(Self {
            kind: DatabaseKind::Postgres,
            redacted: redact(url)?,
            text,
            without_effect,
            exposed_to,
        })
    }

    /// Which kind of database it is.
    #[must_use]
    pub const fn kind(&self) -> DatabaseKind {
        self.kind
    }

    /// The names of parameters that nobody hears; the URL goes on without them.
    #[must_use]
    pub fn without_effect(&self) -> &[String] {
        &self.without_effect
    }

    /// The host, where the way to it leads over a network and the URL doesn't insist on TLS.
    #[must_use]
    pub fn exposed_to(&self) -> Option<&str> {
        self.exposed_to.as_deref()
    }

    /// The URL as given, with its password; only for connecting.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.text.expose_secret()
    }

    /// The URL with `***` in place of each password in it, for people to read.
    #[must_use]
    pub fn redacted(&self) -> &str {
        &self.redacted
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "DatabaseUrl({:?}, [redacted])", self.kind)
    }
}

/// Takes out what the driver would ignore, whose value it would write to the log, and gives the names.
///
/// # Errors
///
/// Where such a parameter is about TLS: whoever wrote it counts on it.
fn take_unknown_parameters(url: &mut Url) -> Result<Vec<String>, String> {
    let is_known = |name: &str| {
        PARAMETERS.contains(&name) || MORE_PARAMETERS.contains(&name) || name.starts_with("options[")
    };
    let unknown: Vec<String> = url
        .query_pairs()
        .map(|(name, _)| name.into_owned())
        .filter(|name| !is_known(name))
        .collect();
    if unknown
        .iter()
        .any(|name| name.to_ascii_lowercase().starts_with("ssl"))
    {
        return Err(
            "has a parameter about TLS that would have no effect: sslmode, sslrootcert, sslcert and sslkey are known"
                .to_owned(),
        );
    }
    if !unknown.is_empty() {
        let known: Vec<&str> = url
            .query()
            .unwrap_or_default()
            .split('&')
            .filter(|pair| form_urlencoded::parse(pair.as_bytes()).all(|(name, _)| is_known(&name)))
            .collect();
        let known = known.join("&");
        url.set_query(Some(known.as_str()).filter(|query| !query.is_empty()));
    }
    Ok(unknown)
}

/// The host to which data could go in the clear: not this machine's, and without an `sslmode` that refuses to.
fn exposed_to(url: &Url) -> Option<String> {
    let last = |names: [&str; 2]| {
        let pairs = url
            .query_pairs()
            .filter(|(name, _)| names.contains(&name.as_ref()));
        pairs.last().map(|(_, value)| value.into_owned())
    };
    let host = last(["host", "hostaddr"]).or_else(|| url.host_str().map(str::to_owned))?;
    let is_socket = host.starts_with('/') || host.to_ascii_lowercase().starts_with("%2f");
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let is_local = host == "localhost" || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    let insists = last(["sslmode", "ssl-mode"])
        .is_some_and(|mode| matches!(mode.as_str(), "require" | "verify-ca" | "verify-full"));
    (!is_socket && !is_local && !insists).then_some(host)
}

fn redact(mut url: Url) -> Result<String, String> {
    const HIDDEN: &str = "***";
    if url.password().is_some() {
        url.set_password(Some(HIDDEN))
            .map_err(|()| "names no host for its password".to_owned())?;
    }
    // libpq's parameter `password` is a password as well.
    let secret = |name: &str| name.to_ascii_lowercase().contains("password");
    if url.query_pairs().any(|(name, _)| secret(&name)) {
        let pairs: Vec<(String, String)> = url
            .query_pairs()
            .map(|(name, value)| {
                let value = if secret(&name) { HIDDEN } else { &value };
                (name.clone().into_owned(), value.to_owned())
            })
            .collect();
        url.query_pairs_mut().clear().extend_pairs(pairs);
    }
    Ok(url.to_string())
}
