//! Deciding about mails: what they look like, when they are tried, and what an operator does with them.

mod delivery;
mod templates;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use lettre::message::Mailbox;
use serde_json::Map;
use url::Url;

use super::model::{MailKind, NewMail, QueuedMail};
use super::store;
use crate::app::AppState;
use crate::audit::{self, AuditEvent};
use crate::config::{Config, MailLinks, SecretKey, TOKEN};
use crate::domain::{Actor, AuditAction, MailId, Origin, UserId};
use crate::error::ApiError;
use crate::mailer::{FileMailer, Mailer, SmtpMailer, SmtpSettings};
use crate::security::MailKeys;

pub use delivery::{deliver, deliver_due};
pub use templates::{Contents, Rendered, Templates};

/// How many ids an event names at most; how many mails there were, it says in any case.
const MAX_NAMED: usize = 100;
/// Where mails go in development.
const FOLDER: &str = "data/mail";

/// What it takes to send mail.
#[derive(Clone, Debug)]
pub struct Mail {
    /// The way out.
    pub mailer: Arc<dyn Mailer>,
    /// What codes are sealed and digested with.
    pub keys: Arc<MailKeys>,
    templates: Arc<Templates>,
    letterhead: Arc<Letterhead>,
}

/// What is the same in all mails.
#[derive(Debug)]
struct Letterhead {
    from: Mailbox,
    service: String,
    public_url: String,
    links: MailLinks,
    timeout: Duration,
}

/// Why mail can't be sent, in words for an operator.
#[derive(Debug)]
pub struct MailFault(String);

impl fmt::Display for MailFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Mail {
    /// What the configuration asks for; none where there is no mail.
    ///
    /// # Errors
    /// [`MailFault`] where a template or a certificate can't be used.
    pub fn open(config: &Config, secret: &SecretKey) -> Result<Option<Self>, MailFault> {
        if !config.sends_mail() {
            return Ok(None);
        }
        let fault = |key: &str, problem: &dyn fmt::Display| MailFault(format!("{key}: {problem}"));
        let templates = Templates::open(config.mail.template_dir.as_deref())
            .map_err(|problem| fault("mail.template_dir", &problem))?;
        let from = sender(config).map_err(|problem| fault("mail.from", &problem))?;
        let timeout = Duration::from_secs(u64::from(config.mail.timeout_seconds));
        let mailer: Arc<dyn Mailer> = match &config.mail.smtp_url {
            Some(url) => {
                let roots = config.mail.ca_file.as_ref().map(std::fs::read).transpose();
                let settings = SmtpSettings {
                    url,
                    hello: from.email.domain().to_owned(),
                    more_roots: roots.map_err(|problem| fault("mail.ca_file", &problem))?,
                    timeout,
                };
                Arc::new(SmtpMailer::new(settings).map_err(|problem| fault("mail.ca_file", &problem))?)
            }
            None => Arc::new(FileMailer::new(PathBuf::from(FOLDER))),
        };
        Ok(Some(Self {
            mailer,
            keys: Arc::new(MailKeys::new(secret.expose()).map_err(|problem| fault("mail", &problem))?),
            templates: Arc::new(templates),
            letterhead: Arc::new(Letterhead {
                service: from.name.clone().unwrap_or_else(|| "Roster".to_owned()),
                from,
                public_url: config.server.public_url(),
                links: config.mail.links.clone(),
                timeout,
            }),
        }))
    }
}

impl Letterhead {
    /// Where a mail's link leads: to the configured place, or to a page of ours. Never to what a request calls us.
    fn link(&self, kind: MailKind, token: &str) -> String {
        let (configured, page) = match kind {
            MailKind::ResetPassword => (&self.links.reset_password, "/reset-password"),
            MailKind::ConfirmEmail => (&self.links.confirm_email, "/users/me/email/confirm"),
            MailKind::Invitation => (&self.links.invitation, "/reset-password"),
            _ => (&self.links.verify_email, "/verify-email"),
        };
        match configured {
            Some(target) => target.replace(TOKEN, token),
            None => format!("{}{page}?token={token}", self.public_url),
        }
    }
}

/// The configured sender, or one at the host that clients know.
fn sender(config: &Config) -> Result<Mailbox, String> {
    if let Some(from) = &config.mail.from {
        return Ok(from.clone());
    }
    let url = Url::parse(&config.server.public_url()).map_err(|error| error.to_string())?;
    let host = url.domain().filter(|domain| domain.contains('.'));
    format!("Roster <no-reply@{}>", host.unwrap_or("localhost"))
        .parse()
        .map_err(|_| "must be set: none can be made from server.public_url".to_owned())
}

/// A mail to be queued with a change; none where there is no mail at all.
#[must_use]
pub fn compose(
    state: &AppState,
    kind: MailKind,
    user_id: Option<UserId>,
    recipient: impl Into<String>,
) -> Option<NewMail> {
    state.mail.as_ref().map(|_| NewMail {
        id: MailId::new(state.ambient.new_uuid()),
        kind,
        user_id,
        recipient: recipient.into(),
        details: Map::new(),
        created_at: state.ambient.now(),
    })
}

/// Mails in the outbox, the oldest first.
///
/// # Errors
/// [`ApiError::DatabaseUnavailable`].
pub async fn list(state: &AppState, is_dead: Option<bool>, limit: u64) -> Result<Vec<QueuedMail>, ApiError> {
    state
        .db
        .read(move |reader| async move { store::list(&reader, is_dead, limit).await })
        .await
}

/// Has mails tried again at once: those with these ids, or all dead ones. Gives how many. An operator's doing, with one
/// event where there were any.
///
/// # Errors
/// [`ApiError::DatabaseUnavailable`].
pub async fn retry(state: &AppState, ids: Option<Vec<MailId>>) -> Result<u64, ApiError> {
    let now = state.ambient.now();
    let event = by_operator(state, AuditAction::MailsRetried, ids.as_deref());
    state
        .db
        .write(move |writer| async move {
            let transaction = writer.begin().await?;
            let count = store::retry(&*transaction, ids.as_deref(), now).await?;
            if count > 0 {
                audit::record(&*transaction, event.with("mails", count)).await?;
            }
            transaction.commit().await?;
            Ok(count)
        })
        .await
}

/// Removes mails unsent: those with these ids, or all dead ones. Gives how many. An operator's doing, with one event where
/// there were any.
///
/// # Errors
/// [`ApiError::DatabaseUnavailable`].
pub async fn purge(state: &AppState, ids: Option<Vec<MailId>>) -> Result<u64, ApiError> {
    let event = by_operator(state, AuditAction::MailsPurged, ids.as_deref());
    state
        .db
        .write(move |writer| async move {
            let transaction = writer.begin().await?;
            let count = store::purge(&*transaction, ids.as_deref()).await?;
            if count > 0 {
                audit::record(&*transaction, event.with("mails", count)).await?;
            }
            transaction.commit().await?;
            Ok(count)
        })
        .await
}

/// What an operator has done to mails: those that were named, by their ids and without their addresses, or all that were
/// given up.
fn by_operator(state: &AppState, action: AuditAction, ids: Option<&[MailId]>) -> AuditEvent {
    let origin = Origin::default();
    let event = AuditEvent::success(&state.trail, action, Actor::Operator, None, &origin);
    match ids {
        Some(ids) => {
            let ids = ids.iter().take(MAX_NAMED);
            let named: Vec<String> = ids.map(|id| id.get().to_string()).collect();
            event.with("named", named)
        }
        None => event.with("which", "given_up"),
    }
}
