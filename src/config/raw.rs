//! Values as they were written, before a row of the table has judged them.

use std::borrow::Cow;

use ::config::ValueKind;

/// A value as its source holds it: TOML knows types, a variable knows only text.
pub(super) enum Raw<'a> {
    /// From a TOML file, where a number has to be a number and text has to be text.
    Toml(&'a ValueKind),
    /// From a variable or from a secret's own file, to be read as what the key asks for.
    Text(Cow<'a, str>),
}

// The conversions of the `config` crate are not used: they turn "yes" into true and 1.9 into 1.
impl Raw<'_> {
    pub(super) fn flag(&self) -> Result<bool, String> {
        match self {
            Self::Toml(ValueKind::Boolean(flag)) => Ok(*flag),
            Self::Toml(other) => Err(format!("is {}, not true or false", kind(other))),
            Self::Text(text) => match text.as_ref() {
                "true" => Ok(true),
                "false" => Ok(false),
                other => Err(format!("{} is neither true nor false", shown(other))),
            },
        }
    }

    pub(super) fn number(&self) -> Result<i128, String> {
        match self {
            Self::Toml(ValueKind::I64(number)) => Ok(i128::from(*number)),
            Self::Toml(other) => Err(format!("is {}, not a whole number", kind(other))),
            // `parse` alone would also take "+8000".
            Self::Text(text) => Some(text)
                .filter(|text| !text.starts_with('+'))
                .and_then(|text| text.parse().ok())
                .ok_or_else(|| format!("{} is not a whole number", shown(text))),
        }
    }

    /// The text; the error names the type that was found, never the value, so secrets come here too.
    pub(super) fn text(&self) -> Result<&str, String> {
        match self {
            Self::Toml(ValueKind::String(text)) => Ok(text),
            Self::Toml(other) => Err(format!("is {}, not text", kind(other))),
            Self::Text(text) => Ok(text),
        }
    }

    pub(super) fn list(&self) -> Result<Vec<&str>, String> {
        match self {
            Self::Toml(ValueKind::Array(items)) => items
                .iter()
                .map(|item| match &item.kind {
                    ValueKind::String(text) => Ok(text.as_str()),
                    other => Err(format!("holds {}, not only text", kind(other))),
                })
                .collect(),
            Self::Toml(other) => Err(format!("is {}, not a list of text", kind(other))),
            Self::Text(text) if text.trim().is_empty() => Ok(Vec::new()),
            Self::Text(text) => Ok(text.split(',').map(str::trim).collect()),
        }
    }
}

fn kind(value: &ValueKind) -> &'static str {
    match value {
        ValueKind::Nil => "nothing",
        ValueKind::Boolean(_) => "true or false",
        ValueKind::I64(_) | ValueKind::I128(_) | ValueKind::U64(_) | ValueKind::U128(_) => "a whole number",
        ValueKind::Float(_) => "a fraction",
        ValueKind::String(_) => "text",
        ValueKind::Table(_) => "a table",
        ValueKind::Array(_) => "a list",
    }
}

/// A value for a fault's line: quoted, without line breaks, and not endless.
///
/// A URL can carry a password where none belongs, so nothing with an `@` is repeated.
pub(super) fn shown(text: &str) -> String {
    const LONGEST: usize = 60;
    if text.contains('@') {
        return "the value".to_owned();
    }
    if text.chars().count() <= LONGEST {
        return format!("{text:?}");
    }
    let start: String = text.chars().take(LONGEST).collect();
    format!("{start:?}…")
}
