//! One layer of the configuration: a file, or a set of variables.

use std::borrow::Cow;
use std::collections::BTreeMap;

use ::config::{Map, Value, ValueKind};

use super::raw::Raw;

/// What every variable for a key begins with; `__` separates the parts behind it as well.
pub(super) const PREFIX: &str = "ROSTER__";

/// What the variable naming a secret's file ends with.
pub(super) const TWIN: &str = "_FILE";

/// Names that hosting platforms set, each with the key it stands for.
pub(super) const SHORT_NAMES: [(&str, &str); 2] = [("DATABASE_URL", "database.url"), ("PORT", "server.port")];

/// How a key may be written, beyond its type.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Plain,
    /// An empty variable is the empty list, not an absent value.
    List,
    /// Never shown, and a variable may name a file that holds it.
    Secret,
}

/// A source of values.
pub(super) enum Layer {
    File {
        /// The path as it was given.
        path: String,
        table: Map<String, Value>,
    },
    Variables {
        /// The `.env` file they stand in; none for those of the process.
        file: Option<String>,
        variables: BTreeMap<String, String>,
    },
}

/// What a layer has for a key.
pub(super) enum Found<'a> {
    Value {
        raw: Raw<'a>,
        origin: String,
    },
    /// The secret is in this file.
    Named {
        path: &'a str,
        origin: String,
    },
    /// A variable and its twin, of which only one can be meant.
    Both {
        origin: String,
        twin: String,
    },
}

impl Layer {
    pub(super) fn find(&self, key: &str, form: Form) -> Option<Found<'_>> {
        match self {
            Self::File { path, table } => {
                let mut parts = key.split('.');
                let mut kind = &table.get(parts.next()?)?.kind;
                for part in parts {
                    let ValueKind::Table(entries) = kind else {
                        return None;
                    };
                    kind = &entries.get(part)?.kind;
                }
                let raw = Raw::Toml(kind);
                let origin = path.clone();
                Some(Found::Value { raw, origin })
            }
            Self::Variables { variables, .. } => spellings(key)
                .into_iter()
                .find_map(|name| self.find_variable(variables, &name, form)),
        }
    }

    fn find_variable<'a>(
        &self,
        variables: &'a BTreeMap<String, String>,
        name: &str,
        form: Form,
    ) -> Option<Found<'a>> {
        let direct = variables
            .get(name)
            .filter(|value| form == Form::List || !value.is_empty());
        let twin = format!("{name}{TWIN}");
        let named = variables
            .get(&twin)
            .filter(|value| form == Form::Secret && !value.is_empty());
        match (direct, named) {
            (None, None) => None,
            (Some(_), Some(_)) => Some(Found::Both {
                origin: self.origin(name),
                twin,
            }),
            (Some(value), None) => Some(Found::Value {
                raw: Raw::Text(Cow::Borrowed(value)),
                origin: self.origin(name),
            }),
            (None, Some(path)) => Some(Found::Named {
                path,
                origin: self.origin(&twin),
            }),
        }
    }

    /// Where a variable of this layer stands, for a fault or a setting.
    pub(super) fn origin(&self, variable: &str) -> String {
        match self {
            Self::File { path, .. } => path.clone(),
            Self::Variables { file: None, .. } => variable.to_owned(),
            Self::Variables { file: Some(file), .. } => format!("{variable} in {file}"),
        }
    }
}

/// The variables that set a key, the one that wins first.
pub(super) fn spellings(key: &str) -> Vec<String> {
    let short = SHORT_NAMES.iter().filter(|(_, stands_for)| *stands_for == key);
    std::iter::once(variable(key))
        .chain(short.map(|(name, _)| (*name).to_owned()))
        .collect()
}

/// The variable for a key: `server.port` is set by `ROSTER__SERVER__PORT`.
pub(super) fn variable(key: &str) -> String {
    format!("{PREFIX}{}", key.to_ascii_uppercase().replace('.', "__"))
}

/// Whether a variable sets a key, rightly spelt or not.
pub(super) fn sets_a_key(variable: &str) -> bool {
    variable.starts_with(PREFIX)
        || SHORT_NAMES
            .iter()
            .any(|(name, _)| variable.strip_suffix(TWIN).unwrap_or(variable) == *name)
}
