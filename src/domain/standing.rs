//! How a client stands with the limits of what it asks for.

/// So many attempts in so long a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuotaPolicy {
    /// The name of the limit: lower-case ASCII.
    pub name: &'static str,
    /// How many attempts there are at most.
    pub quota: u32,
    /// How many seconds it takes until that many are there again where none is left.
    pub window_seconds: u64,
}

/// What is left of a quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RemainingQuota {
    /// The limit.
    pub name: &'static str,
    /// How many attempts are left.
    pub remaining: u32,
    /// How many seconds it takes until there is one more; zero where none is missing.
    pub reset_seconds: u64,
}

/// What a client is told of the limits that a request was held to, whatever came of the request.
///
/// Which limits there are is told in full. What is left is told of those alone that count what this client does: how
/// many attempts an account has left would tell whether its owner has signed in meanwhile, and so that it has one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Every limit.
    pub policies: Vec<QuotaPolicy>,
    /// What is left, or that nothing is.
    pub remaining: Option<RemainingQuota>,
}

/// An outcome, and how the client stands after it. None where nothing was limited.
#[derive(Debug)]
pub struct Limited<T> {
    /// What came of the request.
    pub outcome: T,
    /// How the client stands.
    pub standing: Option<Standing>,
}

impl<T> Limited<T> {
    /// The same standing with another outcome.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Limited<U> {
        Limited {
            outcome: change(self.outcome),
            standing: self.standing,
        }
    }

    /// An outcome that no limit had a part in.
    pub const fn freely(outcome: T) -> Self {
        Self {
            outcome,
            standing: None,
        }
    }
}
