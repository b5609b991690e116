//! Typed, layered configuration.
//!
//! `main` comes here once: [`Sources::from_process`], then [`Config::load`]; everyone else is handed
//! the section that concerns them. Layers, lowest first: built-in defaults, `config/default.toml`,
//! `config/{ROSTER_ENV}.toml`, the file of `--config`, `.env` (in development only), the process's
//! environment. A start with a wrong configuration is refused with every fault at once.
//!
//! The keys, their ranges and explanations stand in the `read` functions of the sections, and
//! nowhere else: loading, the list of settings and the check for unknown keys all come from there,
//! and a test holds `config/default.toml` against them.
//!
//! This room opens no database and writes nothing; it reads files only to learn what is configured.

use std::fmt;

mod accounts;
mod audit;
mod database;
mod fault;
mod later;
mod layer;
mod limits;
mod mail;
mod network;
mod password;
mod raw;
mod reader;
mod rules;
mod security;
mod server;
mod sources;
#[cfg(test)]
mod tests;
mod unknown;
mod values;

pub use accounts::{
    AccountConfig, OAuthConfig, RegistrationConfig, RegistrationMode, SessionConfig, TokenAlgorithm,
    TokenConfig,
};
pub use audit::AuditConfig;
pub use database::{DatabaseConfig, DatabaseKind, DatabaseUrl};
pub use fault::{Fault, Faults};
pub use limits::LimitsConfig;
pub use mail::{MailConfig, MailLinks, SmtpTls, SmtpUrl, TOKEN};
pub use network::Network;
pub use password::{PasswordAlgorithm, PasswordConfig, RetiredScheme};
pub use security::{SecretKey, SecurityConfig};
pub use server::{CorsConfig, DocsConfig, LogConfig, LogFormat, ServerConfig};
pub use sources::Sources;

use reader::Reader;

/// What the server is run for, chosen by `ROSTER_ENV`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Environment {
    /// Starts without any configuration.
    #[default]
    Development,
    /// Makes up no secret and refuses weak settings.
    Production,
}

impl fmt::Display for Environment {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Development => "development",
            Self::Production => "production",
        })
    }
}

/// What a command needs the configuration for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// The database alone, as for a migration: what production demands of secrets, costs and the
    /// public URL is not asked for. Every other fault is one here too.
    Database,
    /// All of it.
    Everything,
}

/// The configuration: every value checked, nothing left to look up.
#[derive(Clone, Debug)]
pub struct Config {
    /// What the server is run for.
    pub environment: Environment,
    /// The listener and its limits.
    pub server: ServerConfig,
    /// The database.
    pub database: DatabaseConfig,
    /// The key that encrypts what is secret in the database.
    pub security: SecurityConfig,
    /// Access tokens.
    pub token: TokenConfig,
    /// Refresh tokens.
    pub session: SessionConfig,
    /// The OAuth endpoints.
    pub oauth: OAuthConfig,
    /// Which passwords are taken, and how they are hashed.
    pub password: PasswordConfig,
    /// Who may register.
    pub registration: RegistrationConfig,
    /// What users may change about themselves.
    pub account: AccountConfig,
    /// Sending mail.
    pub mail: MailConfig,
    /// Web pages of other origins that may call the API.
    pub cors: CorsConfig,
    /// The API's documentation in the browser.
    pub docs: DocsConfig,
    /// The log.
    pub log: LogConfig,
    /// How often may be tried.
    pub limits: LimitsConfig,
    /// The audit trail.
    pub audit: AuditConfig,
}

/// A configuration that was found right, and how it came about.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// Every key with its value, for people; grouped by section.
    pub settings: Vec<Setting>,
    /// Sentences about settings that are allowed but probably not meant. None shows a secret.
    pub notices: Vec<String>,
}

/// One key with the value that won. Nothing in it is secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The key, such as `server.port`.
    pub key: &'static str,
    /// The value as text, a list separated by commas; `[redacted]` for a secret, `***` for the
    /// password in a database's URL; none where the key is not set and has no default.
    pub value: Option<String>,
    /// Where the value came from: a file's path, a variable's name, or `default`.
    pub origin: String,
    /// What the key is for, in one line.
    pub explanation: &'static str,
    /// Which values are allowed.
    pub allowed: String,
}

impl Config {
    /// Reads and checks the configuration.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with it, at once: unreadable files, unknown keys, wrong types,
    /// values out of range, and what production demands.
    pub fn load(sources: &Sources, need: Need) -> Result<Loaded, Faults> {
        let gathered = sources.gather();
        let environment = gathered.environment;
        let mut reader = Reader::new(gathered);
        let r = &mut reader;
        let config = Self {
            environment,
            server: ServerConfig::read(r),
            database: DatabaseConfig::read(r),
            security: SecurityConfig::read(r),
            token: TokenConfig::read(r),
            session: SessionConfig::read(r),
            oauth: OAuthConfig::read(r),
            password: PasswordConfig::read(r),
            registration: RegistrationConfig::read(r),
            account: AccountConfig::read(r),
            mail: MailConfig::read(r),
            cors: CorsConfig::read(r),
            docs: DocsConfig::read(r),
            log: LogConfig::read(r),
            limits: LimitsConfig::read(r),
            audit: AuditConfig::read(r),
        };
        later::read(r);
        rules::check(&config, need, r);
        let (settings, notices) = reader.finish()?;
        Ok(Loaded {
            config,
            settings,
            notices,
        })
    }

    /// Whether there is somewhere to send mails to: a mail server, or in development a folder.
    #[must_use]
    pub fn sends_mail(&self) -> bool {
        self.mail.smtp_url.is_some() || self.environment == Environment::Development
    }

    /// Whether a new address waits until mail to it has been answered.
    #[must_use]
    pub fn confirms_new_email(&self) -> bool {
        let by_default = self.mail.smtp_url.is_some();
        self.account.confirm_new_email.unwrap_or(by_default)
    }

    /// The `iss` claim of access tokens: the configured issuer, or the public URL.
    #[must_use]
    pub fn issuer(&self) -> String {
        let configured = self.token.issuer.clone();
        configured.unwrap_or_else(|| self.server.public_url())
    }

    /// The `aud` claim of access tokens: the configured audience, or the public URL.
    #[must_use]
    pub fn audience(&self) -> String {
        let configured = self.token.audience.clone();
        configured.unwrap_or_else(|| self.server.public_url())
    }
}
