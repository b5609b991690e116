//! Plain data about mails.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use crate::domain::{MailId, UserId};

macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident = $name:literal),+ $(,)?) => {
        /// What a mail is about. But for [`MailKind::Register`], each is the name of a template.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum MailKind { $($(#[$doc])* $variant),+ }

        impl MailKind {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// Its name in the database, and of its template.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }
        }
    };
}

kinds! {
    /// Somebody wants an account, where nobody is told whether there is one: becomes [`Self::VerifyEmail`] or
    /// [`Self::AlreadyRegistered`] when it is sent.
    Register = "register",
    /// A code to prove an address.
    VerifyEmail = "verify_email",
    /// Somebody wanted to register an address that has an account.
    AlreadyRegistered = "already_registered",
    /// A code to choose a new password.
    ResetPassword = "reset_password",
    /// A code to confirm a new address; goes there.
    ConfirmEmail = "confirm_email",
    /// A code to take over an account that an operator has made.
    Invitation = "invitation",
    /// The password was changed.
    PasswordChanged = "password_changed",
    /// Another address is wanted; goes to the present one.
    EmailChangeRequested = "email_change_requested",
    /// The address was changed; goes to the old one.
    EmailChanged = "email_changed",
    /// The account was closed.
    AccountDisabled = "account_disabled",
    /// The account was opened again.
    AccountEnabled = "account_enabled",
    /// Another factor signs in from now on; `details.factor` is its name.
    FactorAdded = "factor_added",
    /// A factor doesn't sign in any more; `details.factor` is its name.
    FactorRemoved = "factor_removed",
}

impl MailKind {
    /// Reads what [`Self::as_str`] wrote.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.as_str() == name)
    }

    /// Whether it has a template of its own.
    #[must_use]
    pub fn has_template(self) -> bool {
        self != Self::Register
    }

    /// Whether it carries a code.
    #[must_use]
    pub const fn has_code(self) -> bool {
        matches!(
            self,
            Self::Register | Self::VerifyEmail | Self::ResetPassword | Self::ConfirmEmail | Self::Invitation
        )
    }
}

/// A mail to be queued.
#[derive(Clone, Debug)]
pub struct NewMail {
    /// Its id.
    pub id: MailId,
    /// What it is about.
    pub kind: MailKind,
    /// To whose account it belongs; none where nobody has looked whether there is one.
    pub user_id: Option<UserId>,
    /// The address, in canonical form.
    pub recipient: String,
    /// What it tells, or is about. No secret.
    pub details: Map<String, Value>,
    /// When it was caused.
    pub created_at: DateTime<Utc>,
}

impl NewMail {
    /// To another address.
    #[must_use]
    pub fn to(mut self, recipient: impl Into<String>) -> Self {
        self.recipient = recipient.into();
        self
    }

    /// With something to tell.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.details.insert(name.to_owned(), value.into());
        self
    }
}

/// A mail in the outbox.
#[derive(Clone, Debug)]
pub struct QueuedMail {
    /// The mail.
    pub mail: NewMail,
    /// Its code, sealed, where one was made already.
    pub secret_sealed: Option<Vec<u8>>,
    /// Whether nobody tries any more.
    pub is_dead: bool,
    /// How often it was tried.
    pub attempts: i64,
    /// When it is tried next.
    pub due_at: DateTime<Utc>,
    /// What went wrong last.
    pub last_error: Option<String>,
}
