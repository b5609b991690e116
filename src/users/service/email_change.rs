//! A new address: in force at once, or once mail to it has been answered.

use std::sync::Arc;

use crate::app::AppState;
use crate::audit::AuditEvent;
use crate::config::RegistrationMode;
use crate::db::Transaction;
use crate::domain::{AuditAction, Change, EmailAddress, Origin, Standing, UserId};
use crate::error::ApiError;
use crate::limits::{self, Attempt, Refused};
use crate::mail::{self, MailKind, NewMail};
use crate::verification;

use super::super::model::{Changes, User};
use super::super::store;

/// What goes with a change of address, made before its transaction.
pub(super) struct EmailChange {
    is_confirmed_first: bool,
    /// Whether a client may hear that somebody has the address.
    tells_taken: bool,
    changed: AuditEvent,
    requested: AuditEvent,
    /// To the present address.
    changed_notice: Option<NewMail>,
    requested_notice: Option<NewMail>,
    /// To the new one.
    verification: Option<NewMail>,
    confirmation: Option<NewMail>,
}

impl EmailChange {
    pub(super) fn new(state: &AppState, id: UserId, event: &impl Fn(AuditAction) -> AuditEvent) -> Self {
        let mail = |kind| mail::compose(state, kind, Some(id), String::new());
        Self {
            is_confirmed_first: state.config.confirms_new_email(),
            tells_taken: tells_taken(state),
            changed: event(AuditAction::EmailChanged)
                .with("way", "at_once")
                .with("verified", false),
            requested: event(AuditAction::EmailChangeRequested),
            changed_notice: mail(MailKind::EmailChanged),
            requested_notice: mail(MailKind::EmailChangeRequested),
            verification: mail(MailKind::VerifyEmail),
            confirmation: mail(MailKind::ConfirmEmail),
        }
    }

    /// Puts into the row what is to become of the wanted address, and gives the audit event and the mails of it. With
    /// the account locked.
    pub(super) async fn settle(
        self,
        transaction: &Transaction,
        row: &mut Changes,
        present: &User,
    ) -> Result<(Option<AuditEvent>, Vec<NewMail>), ApiError> {
        let Some(email) = row.email.take() else {
            return Ok((None, Vec::new()));
        };
        if email.as_str() == present.email {
            // The same address again is no change: it stays verified, and another one that waits is given up.
            if present.pending_email.is_some() {
                row.pending_email = Change::Remove;
                forget_pending(transaction, present.id).await?;
            }
            return Ok((None, Vec::new()));
        }
        let to = |mail: Option<NewMail>, address: &str| mail.map(|mail| mail.to(address));
        if !self.is_confirmed_first {
            let mails = [
                to(self.changed_notice, &present.email),
                to(self.verification, email.as_str()),
            ];
            row.email = Some(email);
            return Ok((Some(self.changed), mails.into_iter().flatten().collect()));
        }
        if self.tells_taken && store::account_by_email(&**transaction, &email).await?.is_some() {
            return Err(ApiError::EmailTaken);
        }
        // The code for another address that was wanted before dies now, and not only when the new one is mailed.
        forget_pending(transaction, present.id).await?;
        let mails = [
            to(self.requested_notice, &present.email),
            to(self.confirmation, email.as_str()),
        ];
        row.pending_email = Change::Set(email);
        Ok((Some(self.requested), mails.into_iter().flatten().collect()))
    }
}

/// Whether whoever wants an address that waits to be confirmed hears that somebody has it.
fn tells_taken(state: &AppState) -> bool {
    state.config.registration.mode != RegistrationMode::Verified
}

/// That somebody wants another address, and may hear whether it is taken.
pub(super) struct Asking(Option<Arc<Attempt>>);

impl Asking {
    /// Counts it, before anything is looked at. Where nobody is told anything, or it is the present address, there is nothing
    /// to count.
    ///
    /// # Errors
    /// As [`limits::check_address_change`].
    pub(super) async fn begin(
        state: &AppState,
        present: &User,
        wanted: Option<&EmailAddress>,
        origin: &Origin,
    ) -> Result<Self, Refused> {
        let may_tell = tells_taken(state) || !state.config.confirms_new_email();
        if !may_tell || wanted.is_none_or(|email| email.as_str() == present.email) {
            return Ok(Self(None));
        }
        let attempt = limits::check_address_change(state, origin).await?;
        Ok(Self(Some(Arc::new(attempt))))
    }

    /// What gives it back in the transaction of the change.
    pub(super) fn attempt(&self) -> Option<Arc<Attempt>> {
        self.0.clone()
    }

    /// Settles what ended without the change. Only who was told that the address is taken has asked; how that client
    /// stands is given. Who goes away before this has asked as well, which costs an honest client one of its registrations.
    pub(super) async fn settle(self, state: &AppState, error: Option<&ApiError>) -> Option<Standing> {
        let attempt = self.0?;
        if matches!(error, Some(ApiError::EmailTaken)) {
            return attempt.standing(false);
        }
        let is_in_trouble = matches!(error, Some(ApiError::DatabaseUnavailable(_)));
        let state = state.clone();
        let undone = tokio::spawn(async move {
            if let Err(error) = attempt.undo(&state).await {
                log::debug!("a change of address stays counted: {error}");
            }
        });
        // Nobody waits for a database in trouble twice.
        if !is_in_trouble && let Err(error) = undone.await {
            log::error!("{error}");
        }
        None
    }
}

async fn forget_pending(transaction: &Transaction, id: UserId) -> Result<(), ApiError> {
    verification::drop_codes_for(&**transaction, id, MailKind::ConfirmEmail.as_str()).await?;
    mail::drop_queued(&**transaction, id, &[MailKind::ConfirmEmail]).await?;
    Ok(())
}
