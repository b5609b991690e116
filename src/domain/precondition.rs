//! What has to hold for a write to be done.

/// The state that the caller has seen, and wants to change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Precondition {
    /// Whatever the state is.
    None,
    /// One of these revisions; none of them where the list is empty.
    RevisionIn(Vec<i64>),
}

impl Precondition {
    /// Whether a resource in this revision may be written.
    #[must_use]
    pub fn allows(&self, revision: i64) -> bool {
        match self {
            Self::None => true,
            Self::RevisionIn(revisions) => revisions.contains(&revision),
        }
    }
}
