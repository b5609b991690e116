//! Identifiers in paths.

use uuid::Uuid;

/// An id in the one form that we write ids in; another spelling is another path.
#[must_use]
pub fn id(text: &str) -> Option<Uuid> {
    Uuid::try_parse(text)
        .ok()
        .filter(|parsed| parsed.hyphenated().to_string() == text)
}
