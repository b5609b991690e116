//! The outbox: a mail is a row in the transaction that causes it, and is sent after it.
//!
//! Services come here with [`compose`] and [`queue`]: a notice, an [`MailKind::Invitation`], or a [`MailKind::ResetPassword`]
//! for an account that is known, which no limit keeps back. The code is made when the mail is sent. The server runs [`service::deliver`] beside requests. A crash at any
//! point loses no mail, and a mail server that is down or slow holds up nobody.

mod model;
pub mod service;
mod store;

pub use model::{MailKind, NewMail, QueuedMail};
pub use service::{Mail, compose};
pub use store::{drop_queued, forget_sendings, may_send, queue, seal};

/// The time within which mails to one address are counted.
pub const WINDOW: chrono::TimeDelta = chrono::TimeDelta::hours(1);
