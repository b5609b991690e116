//! Sending what is in the outbox.
//!
//! Each instance does it, beside requests. It looks at fixed times and isn't woken by whoever queues a mail: otherwise the
//! work for an address that has an account would run right behind its request, and be felt by the next one.

use std::time::Duration;

use chrono::TimeDelta;
use tokio::task::JoinSet;

use super::super::model::{MailKind, QueuedMail};
use super::super::store;
use super::templates::Contents;
use super::{Letterhead, Mail};
use crate::app::AppState;
use crate::domain::EmailAddress;
use crate::error::ApiError;
use crate::mailer::{Letter, SendFault};
use crate::verification::{self, Prepared};

/// How often the outbox is looked at.
const EVERY: Duration = Duration::from_millis(400);
/// How long it is left alone after the database has failed.
const REST: Duration = Duration::from_secs(5);
/// How many mails are under way at once: a slow mail server holds up this many, and requests not at all.
const AT_ONCE: usize = 16;
/// What preparing and writing may take besides the mail server.
const MARGIN: TimeDelta = TimeDelta::seconds(10);
/// For how long a mail is tried.
const GIVE_UP_AFTER: TimeDelta = TimeDelta::hours(24);
/// Bounds of the time between two attempts.
const BACKOFF: (TimeDelta, TimeDelta) = (TimeDelta::seconds(2), TimeDelta::minutes(30));
/// What is kept of a mail server's words.
const MAX_ERROR: usize = 500;

/// Sends mails for as long as the process runs.
pub async fn deliver(state: AppState) {
    let mut running = JoinSet::new();
    loop {
        tokio::time::sleep(EVERY).await;
        while running.try_join_next().is_some() {}
        let free = AT_ONCE.saturating_sub(running.len());
        if free == 0 {
            continue;
        }
        match claim(&state, free).await {
            Ok(mails) => {
                for mail in mails {
                    let state = state.clone();
                    running.spawn(async move { attempt_and_log(&state, mail).await });
                }
            }
            Err(error) => {
                log::warn!("cannot look for mails to send: {error}");
                tokio::time::sleep(REST).await;
            }
        }
    }
}

/// Tries every mail that is due now, once; gives how many. For tests, which don't wait.
///
/// # Errors
/// [`ApiError::DatabaseUnavailable`].
pub async fn deliver_due(state: &AppState) -> Result<usize, ApiError> {
    let mut count = 0;
    loop {
        let mails = claim(state, AT_ONCE).await?;
        if mails.is_empty() {
            return Ok(count);
        }
        count += mails.len();
        for mail in mails {
            attempt_and_log(state, mail).await;
        }
    }
}

async fn claim(state: &AppState, most: usize) -> Result<Vec<QueuedMail>, ApiError> {
    let Some(mail) = &state.mail else {
        return Ok(Vec::new());
    };
    let now = state.ambient.now();
    let lease = TimeDelta::from_std(mail.letterhead.timeout).unwrap_or(GIVE_UP_AFTER);
    let leased_until = now + lease + MARGIN;
    let is_any_due = state
        .db
        .read(move |reader| async move { store::is_any_due(&reader, now).await })
        .await?;
    // Nearly always: no lock is taken for that.
    if !is_any_due {
        return Ok(Vec::new());
    }
    state
        .db
        .write(move |writer| async move {
            let transaction = writer.begin().await?;
            let mails = store::claim(&*transaction, now, leased_until, most).await?;
            transaction.commit().await?;
            Ok(mails)
        })
        .await
}

async fn attempt_and_log(state: &AppState, mail: QueuedMail) {
    let id = mail.mail.id;
    // Its lease ends, and it is tried again.
    if let Err(error) = attempt(state, mail).await {
        log::warn!(mail = id.to_string().as_str(); "cannot send a mail now: {error}");
    }
}

async fn attempt(state: &AppState, mail: QueuedMail) -> Result<(), ApiError> {
    let Some(post) = &state.mail else { return Ok(()) };
    let Some(prepared) = verification::prepare(state, &mail).await? else {
        return remove(state, &mail).await;
    };
    let sent = match letter(post, &mail, &prepared) {
        Ok(letter) => post.mailer.send(&letter).await,
        Err(fault) => Err(fault),
    };
    match sent {
        Ok(()) => remove(state, &mail).await,
        Err(SendFault::Refused(reason)) => put_back(state, mail, true, reason).await,
        Err(SendFault::Failed(reason)) => put_back(state, mail, false, reason).await,
    }
}

fn letter(post: &Mail, mail: &QueuedMail, prepared: &Prepared) -> Result<Letter, SendFault> {
    let to = EmailAddress::parse(&mail.mail.recipient)
        .map_err(|_| SendFault::Refused("is to what is no address".to_owned()))?;
    let head: &Letterhead = &post.letterhead;
    let secret = prepared.secret.as_ref();
    let link = secret.map(|secret| head.link(prepared.kind, &secret.token.expose()));
    let code = secret.map(|secret| secret.typed.expose());
    let at = mail.mail.created_at.format("%Y-%m-%d %H:%M UTC").to_string();
    let contents = Contents {
        service: &head.service,
        url: &head.public_url,
        email: to.as_str(),
        at: &at,
        link: link.as_deref(),
        code: code.as_ref().map(|code| code.as_str()),
        valid_minutes: verification::lifetime(prepared.kind).num_minutes(),
        factor: mail
            .mail
            .details
            .get("factor")
            .and_then(|name| name.as_str())
            .unwrap_or_default(),
    };
    // A template that fails is an operator's to mend; the mail waits for that.
    let rendered = post
        .templates
        .render(prepared.kind, prepared.locale.as_deref(), &contents)
        .map_err(SendFault::Failed)?;
    Ok(Letter {
        id: mail.mail.id,
        from: head.from.clone(),
        to,
        subject: rendered.subject,
        text: rendered.text,
        html: rendered.html,
        link,
        created_at: mail.mail.created_at,
    })
}

async fn remove(state: &AppState, mail: &QueuedMail) -> Result<(), ApiError> {
    let id = mail.mail.id;
    state
        .db
        .write(move |writer| async move {
            let transaction = writer.begin().await?;
            store::remove(&*transaction, id).await?;
            transaction.commit().await
        })
        .await
}

async fn put_back(
    state: &AppState,
    mail: QueuedMail,
    is_refused: bool,
    mut reason: String,
) -> Result<(), ApiError> {
    reason.retain(|c| !c.is_control());
    reason.truncate(reason.floor_char_boundary(MAX_ERROR));
    let (id, kind): (_, MailKind) = (mail.mail.id.to_string(), mail.mail.kind);
    let now = state.ambient.now();
    let age = now - mail.mail.created_at;
    let next = (!is_refused && age < GIVE_UP_AFTER).then(|| now + (age / 8).clamp(BACKOFF.0, BACKOFF.1));
    // No address: `roster mail list` tells it to whoever may know.
    match next {
        Some(next) => log::warn!(
            mail = id.as_str(), kind = kind.as_str(), attempts = mail.attempts, next = next.to_rfc3339().as_str();
            "a mail was not sent: {reason}"
        ),
        None => log::error!(
            mail = id.as_str(), kind = kind.as_str(), attempts = mail.attempts;
            "a mail is given up: {reason}"
        ),
    }
    state
        .db
        .write(move |writer| async move {
            let transaction = writer.begin().await?;
            store::put_back(&*transaction, &mail, next, reason).await?;
            transaction.commit().await
        })
        .await
}
