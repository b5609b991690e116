//! What an audit row says.

use std::net::IpAddr;

use crate::domain::{ClientNetwork, UserId};

/// Who did it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Actor {
    /// Somebody who isn't signed in.
    Anonymous,
    /// A signed-in user.
    User(UserId),
    /// Whoever runs the command-line program on the server.
    Operator,
    /// Roster itself.
    System,
}

impl Actor {
    /// The name of the kind of actor.
    #[must_use]
    pub const fn kind(self) -> &'static str {
        match self {
            Self::Anonymous => "anonymous",
            Self::User(_) => "user",
            Self::Operator => "operator",
            Self::System => "system",
        }
    }

    /// In which part somebody acts on this account: `self`, `admin`, or as [`Actor::kind`] says it.
    #[must_use]
    pub fn part(self, account: UserId) -> &'static str {
        match self {
            Self::User(id) if id == account => "self",
            Self::User(_) => "admin",
            other => other.kind(),
        }
    }

    /// The user, where it was one.
    #[must_use]
    pub const fn user_id(self) -> Option<UserId> {
        match self {
            Self::User(id) => Some(id),
            Self::Anonymous | Self::Operator | Self::System => None,
        }
    }
}

/// Where a request came from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// The client's address, as far as trusted proxies tell it.
    pub ip: Option<IpAddr>,
    /// What the client calls itself, cut to 512 bytes.
    pub user_agent: Option<String>,
    /// The request's id, as in the answer and the logs.
    pub request_id: Option<String>,
}

impl Origin {
    /// Which client it is: by its address, IPv6 by /64.
    #[must_use]
    pub fn network(&self) -> ClientNetwork {
        ClientNetwork::of(self.ip)
    }
}

macro_rules! names {
    ($(#[$doc:meta])* $type:ident { $($(#[$variant_doc:meta])* $variant:ident = $name:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $type { $($(#[$variant_doc])* $variant),+ }

        impl $type {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// Its name in the audit trail.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }
        }
    };
}

names!(
    /// What was done.
    AuditAction {
        /// An account came to be.
        UserRegistered = "user.registered",
        /// Somebody tried to sign in.
        SignIn = "user.sign_in",
        /// So many wrong passwords were tried on an account that it waits before the next one is looked at.
        UserLocked = "user.locked",
        /// A session was ended: by a logout, by its owner from elsewhere, by a revocation.
        SessionEnded = "session.ended",
        /// A refresh token was used long after it had been exchanged, and its session ended.
        TokenReuse = "token_reuse",
        /// The password was changed, or its change refused.
        PasswordChanged = "user.password_changed",
        /// The address was changed, or its change refused.
        EmailChanged = "user.email_changed",
        /// Another address is wanted, and waits to be confirmed.
        EmailChangeRequested = "user.email_change_requested",
        /// The owner of the address was shown to be the owner of the account.
        EmailVerified = "user.email_verified",
        /// A mailed code was guessed wrongly by somebody who typed one.
        CodeRefused = "code.refused",
        /// A code to choose a new password was made, to be mailed.
        ResetRequested = "user.reset_requested",
        /// An admin has changed what else a profile says.
        ProfileChanged = "user.profile_changed",
        /// The set of roles was changed.
        RolesChanged = "user.roles_changed",
        /// The account was closed.
        UserDisabled = "user.disabled",
        /// The account was opened again.
        UserEnabled = "user.enabled",
        /// The account and all that hangs on it were removed.
        UserDeleted = "user.deleted",
        /// The next signing key took over.
        KeysRotated = "keys.rotated",
        /// A signing key was taken out of use at once.
        KeyRetired = "keys.retired",
        /// A client was registered.
        ClientCreated = "client.created",
        /// A client was removed.
        ClientDeleted = "client.deleted",
        /// A registered client was refused.
        ClientAuthentication = "client.authentication",
        /// Accounts were taken over from elsewhere.
        UsersImported = "users.imported",
        /// A move of accounts from elsewhere has ended, with how many rows were read, taken and refused; perhaps early.
        ImportEnded = "users.import_ended",
        /// All accounts were handed out.
        UsersExported = "users.exported",
        /// All that is held about somebody was handed to that person.
        UserExported = "user.exported",
        /// The audit trail was handed out.
        AuditExported = "audit.exported",
        /// Mails that hadn't been sent were made due at once.
        MailsRetried = "mail.retried",
        /// Mails were removed without being sent.
        MailsPurged = "mail.purged",
    }
);

names!(
    /// How it ended.
    AuditOutcome {
        /// It was done.
        Success = "success",
        /// It was refused.
        Failure = "failure",
    }
);
