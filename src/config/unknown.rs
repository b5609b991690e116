//! Finds what was written but is no key.

use std::collections::BTreeSet;

use ::config::{Map, Value, ValueKind};

use super::fault::{Fault, nearest};
use super::layer::{Layer, PREFIX, TWIN, spellings, variable};

/// The keys of the table.
pub(super) struct Known<'a> {
    keys: &'a [&'static str],
    secrets: &'a BTreeSet<&'static str>,
    sections: BTreeSet<&'static str>,
    variables: BTreeSet<String>,
}

impl<'a> Known<'a> {
    pub(super) fn new(keys: &'a [&'static str], secrets: &'a BTreeSet<&'static str>) -> Self {
        let sections = keys.iter().map(|key| section(key)).collect();
        let twins = secrets
            .iter()
            .flat_map(|key| spellings(key))
            .map(|name| format!("{name}{TWIN}"));
        let variables = keys.iter().flat_map(|key| spellings(key)).chain(twins);
        Self {
            keys,
            secrets,
            sections,
            variables: variables.collect(),
        }
    }

    /// Adds a fault for each unknown key in a layer.
    pub(super) fn check(&self, layer: &Layer, faults: &mut Vec<Fault>) {
        match layer {
            Layer::File { path, table } => self.check_table(path, table, faults),
            Layer::Variables { variables, .. } => {
                for name in variables.keys() {
                    if let Some(rest) = name.strip_prefix(PREFIX)
                        && !self.variables.contains(name)
                    {
                        let key = rest.replace("__", ".").to_ascii_lowercase();
                        let origin = layer.origin(name);
                        faults.push(self.fault(&key, origin, variable));
                    }
                }
            }
        }
    }

    /// Adds a notice for each variable that would set a key if its underscores were doubled. No
    /// fault: container platforms set variables of that look themselves (`ROSTER_PORT`).
    pub(super) fn misspelt(&self, layer: &Layer, notices: &mut Vec<String>) {
        let Layer::Variables { variables, .. } = layer else {
            return;
        };
        for name in variables.keys().filter(|name| !name.starts_with(PREFIX)) {
            let Some(rest) = name.strip_prefix("ROSTER_") else {
                continue;
            };
            let meant = rest.to_ascii_lowercase();
            if let Some(key) = self.keys.iter().find(|key| key.replace('.', "_") == meant) {
                let right = variable(key);
                notices.push(format!("{name} is not read; {key} is set by {right}"));
            }
        }
    }

    fn check_table(&self, path: &str, table: &Map<String, Value>, faults: &mut Vec<Fault>) {
        for (name, value) in table {
            let section = quoted(name);
            match &value.kind {
                ValueKind::Table(entries) if entries.is_empty() => {
                    if !self.sections.contains(name.as_str()) {
                        faults.push(self.fault_in_file(&section, path));
                    }
                }
                ValueKind::Table(entries) => {
                    for (name, value) in entries {
                        let key = format!("{section}.{}", quoted(name));
                        if !self.keys.contains(&key.as_str()) {
                            self.check_below(&key, value, path, faults);
                        }
                    }
                }
                _ if self.sections.contains(name.as_str()) => faults.push(Fault::bare(
                    name,
                    path,
                    format!("is a section: write it as [{name}]"),
                )),
                _ => faults.push(self.fault_in_file(&section, path)),
            }
        }
    }

    /// An unknown key, or those inside it where it is a table: each is named by its full path.
    fn check_below(&self, key: &str, value: &Value, path: &str, faults: &mut Vec<Fault>) {
        if self.keys.contains(&key) {
            return;
        }
        let is_group = self
            .keys
            .iter()
            .any(|known| known.strip_prefix(key).is_some_and(|rest| rest.starts_with('.')));
        match &value.kind {
            ValueKind::Table(entries) if entries.is_empty() && is_group => {}
            ValueKind::Table(entries) if !entries.is_empty() => {
                for (name, value) in entries {
                    let key = format!("{key}.{}", quoted(name));
                    self.check_below(&key, value, path, faults);
                }
            }
            _ => faults.push(self.fault_in_file(key, path)),
        }
    }

    fn fault_in_file(&self, key: &str, path: &str) -> Fault {
        let twin_of = key.strip_suffix("_file").filter(|key| self.secrets.contains(key));
        match twin_of {
            Some(secret) => Fault::bare(
                key,
                path,
                format!(
                    "is not a key; a secret's file is named by {}{TWIN}",
                    variable(secret)
                ),
            ),
            None => self.fault(key, path.to_owned(), str::to_owned),
        }
    }

    /// The fault for an unknown key; `spell` writes a known key as this source would have it.
    fn fault(&self, key: &str, origin: String, spell: impl Fn(&str) -> String) -> Fault {
        if let Some(known) = nearest(key, self.keys) {
            let problem = format!("is not a known key; did you mean {}?", spell(known));
            return Fault::bare(key, origin, problem);
        }
        let sections: Vec<_> = self.sections.iter().copied().collect();
        let meant = nearest(section(key), &sections);
        let known: Vec<_> = match meant {
            Some(meant) => {
                let keys = self.keys.iter().filter(|key| section(key) == meant);
                keys.map(|key| spell(key)).collect()
            }
            None => sections.iter().map(|section| spell(section)).collect(),
        };
        Fault::new(key, origin, "is not a known key", known.join(", "))
    }
}

fn section(key: &str) -> &str {
    key.split('.').next().unwrap_or(key)
}

/// A part of a key as TOML would have it: quoted unless plain, so that `"server.port"` as one name
/// isn't taken for the key `server.port`.
fn quoted(part: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if !part.is_empty() && part.bytes().all(plain) {
        part.to_owned()
    } else {
        format!("{part:?}")
    }
}
