//! What can go wrong, without HTTP.
//!
//! Services and stores return [`ApiError`]; only `http::problem` knows which status and which words a client
//! gets for it. A cause never leaves the process: it goes to the log beside the request's id.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

/// One fault of one field of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldFault {
    /// Where it is: a JSON pointer (RFC 6901) such as `/email`.
    pub pointer: String,
    /// The machine-readable code, such as `too_short`.
    pub code: &'static str,
    /// What is wrong and what is allowed, for a person.
    pub detail: String,
}

impl FieldFault {
    /// A fault of the member with this name. Names are escaped as RFC 6901 §3 has it.
    #[must_use]
    pub fn member(name: &str, code: &'static str, detail: impl Into<String>) -> Self {
        let pointer = format!("/{}", name.replace('~', "~0").replace('/', "~1"));
        Self {
            pointer,
            code,
            detail: detail.into(),
        }
    }
}

/// What a request can fail with.
#[derive(Debug)]
pub enum ApiError {
    /// The request can't be read: bad JSON, bad headers.
    Malformed(Cow<'static, str>),
    /// The body isn't of a media type that is taken here.
    UnsupportedMediaType(Cow<'static, str>),
    /// The body is larger than `server.max_body_bytes`.
    PayloadTooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
    /// The body didn't arrive in time.
    BodyTimeout {
        /// The time it was given.
        limit: Duration,
    },
    /// Readable, but not what the schema and the rules say: every fault at once.
    Validation(Vec<FieldFault>),
    /// Unknown address or wrong password; which of the two is nobody's business.
    InvalidCredentials,
    /// The refresh token isn't good, or not any more; or the password grant's credentials aren't (RFC 6749 §5.2).
    InvalidGrant,
    /// A grant type that isn't offered (RFC 6749 §5.2).
    UnsupportedGrantType,
    /// A scope that isn't granted (RFC 6749 §5.2).
    InvalidScope,
    /// A client that isn't registered, or the wrong secret (RFC 6749 §5.2).
    InvalidClient,
    /// No bearer token was sent.
    MissingToken,
    /// The bearer token isn't good, or not any more.
    InvalidToken,
    /// The caller may not do this.
    Forbidden(Cow<'static, str>),
    /// The right password, but the account is closed.
    AccountDisabled,
    /// `current_password` isn't the current password.
    WrongCurrentPassword,
    /// Nothing of that name.
    NotFound(Cow<'static, str>),
    /// Another account has this address.
    EmailTaken,
    /// A code from a mail that isn't good, or not any more, or not for this.
    InvalidCode,
    /// The change can't be made to the present state.
    Conflict(Cow<'static, str>),
    /// `If-Match` names another state than the present one.
    PreconditionFailed,
    /// Too many attempts, of this client or on this account.
    TooManyRequests {
        /// When the next one is looked at.
        retry_after: Duration,
    },
    /// More password work is waiting than can be done in time.
    Overloaded {
        /// When it is worth trying again.
        retry_after: Duration,
    },
    /// The database can't be reached, or can't do this now.
    DatabaseUnavailable(Cause),
    /// The process can serve no requests, for a reason that an operator may know.
    Unready(Cow<'static, str>),
    /// A fault of ours.
    Internal(Cause),
}

/// Why something failed, for the log and never for a client.
#[derive(Debug)]
pub struct Cause(Box<dyn std::error::Error + Send + Sync>);

impl Cause {
    /// Keeps an error, or a text, as a cause.
    pub fn new(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self(cause.into())
    }

    /// The error itself, where it is of this type.
    #[must_use]
    pub fn of_type<E: std::error::Error + 'static>(&self) -> Option<&E> {
        self.0.downcast_ref()
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl ApiError {
    /// A fault of ours, with its cause.
    pub fn internal(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Internal(Cause::new(cause))
    }

    /// An account that isn't there, or not any more.
    #[must_use]
    pub const fn no_such_account() -> Self {
        Self::NotFound(Cow::Borrowed("There is no such account."))
    }

    /// A single faulty member.
    pub fn invalid(member: &str, code: &'static str, detail: impl Into<String>) -> Self {
        Self::Validation(vec![FieldFault::member(member, code, detail)])
    }
}

/// For operators and logs; a client never sees this text.
impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(detail)
            | Self::UnsupportedMediaType(detail)
            | Self::Forbidden(detail)
            | Self::NotFound(detail)
            | Self::Conflict(detail)
            | Self::Unready(detail) => f.write_str(detail),
            Self::PayloadTooLarge { limit } => write!(f, "the body has more than {limit} bytes"),
            Self::BodyTimeout { limit } => {
                write!(f, "the body did not arrive within {} seconds", limit.as_secs())
            }
            Self::Validation(faults) => {
                for (index, fault) in faults.iter().enumerate() {
                    let separator = if index == 0 { "" } else { "; " };
                    let member = fault.pointer.trim_start_matches('/');
                    write!(f, "{separator}{member} {}", fault.detail)?;
                }
                Ok(())
            }
            Self::InvalidCredentials => f.write_str("unknown address or wrong password"),
            Self::InvalidGrant => f.write_str("the grant is not valid"),
            Self::UnsupportedGrantType => f.write_str("the grant type is not offered"),
            Self::InvalidScope => f.write_str("the scope is not granted"),
            Self::InvalidClient => f.write_str("the client is not registered or its secret is wrong"),
            Self::MissingToken => f.write_str("no bearer token"),
            Self::InvalidToken => f.write_str("the bearer token is not valid"),
            Self::AccountDisabled => f.write_str("the account is disabled"),
            Self::WrongCurrentPassword => f.write_str("the current password is wrong"),
            Self::EmailTaken => f.write_str("another account has this e-mail address"),
            Self::InvalidCode => f.write_str("the code is not valid, or not any more"),
            Self::PreconditionFailed => f.write_str("the resource has changed"),
            Self::TooManyRequests { .. } => f.write_str("too many attempts"),
            Self::Overloaded { .. } => f.write_str("too much password work is waiting"),
            Self::DatabaseUnavailable(cause) => write!(f, "the database is unavailable: {cause}"),
            Self::Internal(cause) => write!(f, "internal error: {cause}"),
        }
    }
}

impl std::error::Error for ApiError {}
