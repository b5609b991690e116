//! What is to become of a value that may be absent.

/// A change of an optional value. Two nested `Option`s would say the same, and nobody could remember which is which.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Change<T> {
    /// It stays as it is.
    #[default]
    Keep,
    /// It goes.
    Remove,
    /// It becomes this.
    Set(T),
}

impl<T> Change<T> {
    /// Whether nothing is to be done.
    #[must_use]
    pub const fn is_keep(&self) -> bool {
        matches!(self, Self::Keep)
    }
}

impl<T> Change<T> {
    /// The value that is to be set, where one is.
    #[must_use]
    pub fn into_set(self) -> Option<T> {
        match self {
            Self::Set(value) => Some(value),
            Self::Keep | Self::Remove => None,
        }
    }
}

impl<T> From<Option<T>> for Change<T> {
    /// A value that was named: to be set, or to be removed.
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Remove, Self::Set)
    }
}
