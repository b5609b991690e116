//! The JSON object that belongs to a user.

use serde_json::{Map, Value};

/// The most that a user's metadata may take, in bytes of compact JSON.
const MAX_BYTES: usize = 16 * 1024;

/// A JSON object of at most 16 KiB, kept as compact JSON text.
///
/// As text it is the same on both databases, and it reaches the client again without being parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metadata(String);

/// Why a JSON object can't be metadata.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetadataFault {
    /// More than 16 KiB of compact JSON.
    TooLarge,
    /// A NUL character in a name or a text: PostgreSQL can't hold one in its own JSON types, so an operator who
    /// queries the column there would meet an error.
    Nul,
}

impl MetadataFault {
    /// The machine-readable code of the fault.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::TooLarge => "too_large",
            Self::Nul => "invalid_characters",
        }
    }

    /// What is wrong and what is allowed, for a person.
    #[must_use]
    pub const fn detail(self) -> &'static str {
        match self {
            Self::TooLarge => "must have at most 16384 bytes as compact JSON",
            Self::Nul => "must not contain a NUL character",
        }
    }
}

impl Metadata {
    /// Takes a JSON object that has been read strictly.
    ///
    /// # Errors
    /// [`MetadataFault`] where it is too large or holds a NUL.
    pub fn from_object(object: Map<String, Value>) -> Result<Self, MetadataFault> {
        let value = Value::Object(object);
        if has_nul(&value) {
            return Err(MetadataFault::Nul);
        }
        let text = value.to_string();
        if text.len() > MAX_BYTES {
            return Err(MetadataFault::TooLarge);
        }
        Ok(Self(text))
    }

    /// Metadata as it was stored. Only what [`Self::as_json`] gave out is ever stored.
    #[must_use]
    pub const fn from_stored(text: String) -> Self {
        Self(text)
    }

    /// The compact JSON text.
    #[must_use]
    pub fn as_json(&self) -> &str {
        &self.0
    }
}

impl Default for Metadata {
    /// The empty object.
    fn default() -> Self {
        Self("{}".to_owned())
    }
}

fn has_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(has_nul),
        Value::Object(members) => members
            .iter()
            .any(|(name, value)| name.contains('\0') || has_nul(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(value: Value) -> Result<Metadata, MetadataFault> {
        let Value::Object(object) = value else {
            panic!("an object")
        };
        Metadata::from_object(object)
    }

    #[test]
    fn the_limit_is_held_to_the_byte() {
        let frame = r#"{"k":""}"#.len();
        let fits = parse(json!({"k": "x".repeat(MAX_BYTES - frame)})).unwrap();
        assert_eq!(fits.as_json().len(), MAX_BYTES);
        let over = parse(json!({"k": "x".repeat(MAX_BYTES - frame + 1)}));
        assert_eq!(over, Err(MetadataFault::TooLarge));
    }

    #[test]
    fn a_nul_is_refused_wherever_it_hides() {
        assert_eq!(parse(json!({"a": [{"b": "\0"}]})), Err(MetadataFault::Nul));
        assert_eq!(parse(json!({"\0": 1})), Err(MetadataFault::Nul));
    }
}
