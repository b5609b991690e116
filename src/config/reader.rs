//! Reads the table's rows from the layers.
//!
//! A section asks for each of its keys once, with default, range and explanation. Those calls are
//! the table of keys: whatever was asked for is known, and everything else that was written is a
//! fault. A key at fault yields its default, so that reading goes on and finds the other faults;
//! [`Reader::finish`] makes sure that no such value is ever used.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::fs::File;
use std::io::Read;
use std::ops::RangeInclusive;

use super::fault::{Fault, Faults};
use super::layer::{Form, Found, Layer, TWIN, variable};
use super::raw::{Raw, shown};
use super::sources::Gathered;
use super::{Environment, Setting, unknown};

/// What is shown in place of a secret.
pub(super) const REDACTED: &str = "[redacted]";

/// More than this is no secret, and reading on could take forever (`/dev/zero`).
const LONGEST_SECRET: u64 = 64 * 1024;

/// A value with a fixed set of names.
pub(super) trait Choice: Copy + PartialEq + 'static {
    /// Each value with the name that chooses it.
    const NAMES: &'static [(&'static str, Self)];
}

/// What a row says about its key, apart from default and type.
pub(super) struct Row {
    pub(super) key: &'static str,
    pub(super) form: Form,
    pub(super) allowed: String,
    pub(super) explanation: &'static str,
}

pub(super) struct Reader {
    environment: Environment,
    layers: Vec<Layer>,
    settings: Vec<Setting>,
    secrets: BTreeSet<&'static str>,
    faults: Vec<Fault>,
    notices: Vec<String>,
}

impl Reader {
    pub(super) fn new(gathered: Gathered) -> Self {
        Self {
            environment: gathered.environment,
            layers: gathered.layers,
            settings: Vec::new(),
            secrets: BTreeSet::new(),
            faults: gathered.faults,
            notices: gathered.notices,
        }
    }

    pub(super) fn in_production(&self) -> bool {
        self.environment == Environment::Production
    }

    /// Reads one key from every layer; the highest that has it wins, and each bad value is a fault,
    /// also where a higher layer covers it.
    pub(super) fn read<T>(
        &mut self,
        row: Row,
        default: T,
        parse: impl Fn(&Raw<'_>) -> Result<T, String>,
        show: impl Fn(&T) -> Option<String>,
    ) -> T {
        let mut value = default;
        let mut origin = "default".to_owned();
        for layer in &self.layers {
            let Some(found) = layer.find(row.key, row.form) else {
                continue;
            };
            match judge(found, &parse) {
                Ok((judged, from)) => (value, origin) = (judged, from),
                Err((problem, from)) => {
                    let allowed = row.allowed.as_str();
                    self.faults.push(Fault::new(row.key, from, problem, allowed));
                }
            }
        }
        if row.form == Form::Secret {
            self.secrets.insert(row.key);
        }
        self.settings.push(Setting {
            key: row.key,
            value: show(&value),
            origin,
            explanation: row.explanation,
            allowed: row.allowed,
        });
        value
    }

    #[expect(
        clippy::redundant_closure_for_method_calls,
        reason = "the method by itself is not general over the lifetime of its argument"
    )]
    pub(super) fn flag(&mut self, key: &'static str, default: bool, explanation: &'static str) -> bool {
        let row = Row::new(key, Form::Plain, "true or false", explanation);
        self.read(row, default, |raw| raw.flag(), |flag| Some(flag.to_string()))
    }

    pub(super) fn number<T>(
        &mut self,
        key: &'static str,
        default: T,
        range: RangeInclusive<T>,
        explanation: &'static str,
    ) -> T
    where
        T: TryFrom<i128> + PartialOrd + Display,
    {
        let allowed = format!("{} to {}", range.start(), range.end());
        let parse = |raw: &Raw<'_>| {
            let number = raw.number()?;
            T::try_from(number)
                .ok()
                .filter(|number| range.contains(number))
                .ok_or_else(|| format!("{number} is out of range"))
        };
        let row = Row::new(key, Form::Plain, &allowed, explanation);
        self.read(row, default, parse, |number| Some(number.to_string()))
    }

    pub(super) fn choice<T: Choice>(
        &mut self,
        key: &'static str,
        default: T,
        explanation: &'static str,
    ) -> T {
        let names: Vec<_> = T::NAMES.iter().map(|(name, _)| *name).collect();
        let parse = |raw: &Raw<'_>| {
            let text = raw.text()?;
            let chosen = T::NAMES.iter().find(|(name, _)| *name == text);
            chosen
                .map(|(_, value)| *value)
                .ok_or_else(|| format!("{} is not one of the choices", shown(text)))
        };
        let show = |value: &T| {
            let chosen = T::NAMES.iter().find(|(_, choice)| choice == value);
            chosen.map(|(name, _)| (*name).to_owned())
        };
        let row = Row::new(key, Form::Plain, &names.join(", "), explanation);
        self.read(row, default, parse, show)
    }

    /// A value written as text; `row.form` says whether it is a secret.
    pub(super) fn text<T>(
        &mut self,
        row: Row,
        default: T,
        parse: impl Fn(&str) -> Result<T, String>,
        show: impl Fn(&T) -> Option<String>,
    ) -> T {
        self.read(row, default, |raw| parse(raw.text()?), show)
    }

    /// A list of text; empty by default.
    pub(super) fn list<T: PartialEq + Display>(
        &mut self,
        key: &'static str,
        allowed: &str,
        explanation: &'static str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Vec<T> {
        let parse = |raw: &Raw<'_>| {
            let mut items = Vec::new();
            for text in raw.list()? {
                let item = parse(text).map_err(|problem| format!("{} {problem}", shown(text)))?;
                if !items.contains(&item) {
                    items.push(item);
                }
            }
            Ok(items)
        };
        let show = |items: &Vec<T>| {
            let items: Vec<_> = items.iter().map(T::to_string).collect();
            Some(items.join(", "))
        };
        let row = Row::new(key, Form::List, allowed, explanation);
        self.read(row, Vec::new(), parse, show)
    }

    /// Where the value of a key came from; `default` when it wasn't set.
    pub(super) fn origin(&self, key: &str) -> String {
        let setting = self.settings.iter().find(|setting| setting.key == key);
        setting.map_or_else(|| "default".to_owned(), |setting| setting.origin.clone())
    }

    /// Adds what a rule across keys found. A key that is at fault already has its default in place
    /// of its value, so a rule's word about it would be wrong: it is left out.
    pub(super) fn refuse(&mut self, key: &str, problem: String, allowed: &str) {
        if !self.faults.iter().any(|fault| fault.key == key) {
            let origin = self.origin(key);
            self.faults.push(Fault::new(key, origin, problem, allowed));
        }
    }

    pub(super) fn notice(&mut self, notice: String) {
        self.notices.push(notice);
    }

    /// The settings and the notices, or everything that is wrong.
    pub(super) fn finish(mut self) -> Result<(Vec<Setting>, Vec<String>), Faults> {
        let keys: Vec<_> = self.settings.iter().map(|setting| setting.key).collect();
        let known = unknown::Known::new(&keys, &self.secrets);
        for layer in &self.layers {
            known.check(layer, &mut self.faults);
            known.misspelt(layer, &mut self.notices);
        }
        if self.faults.is_empty() {
            Ok((self.settings, self.notices))
        } else {
            Err(Faults::sorted(self.faults))
        }
    }
}

impl Row {
    pub(super) fn new(key: &'static str, form: Form, allowed: &str, explanation: &'static str) -> Self {
        let allowed = match form {
            Form::Secret => allowed_secret(key, allowed),
            Form::Plain | Form::List => allowed.to_owned(),
        };
        Self {
            key,
            form,
            allowed,
            explanation,
        }
    }
}

/// What is allowed for a secret, with the two ways to set it.
pub(super) fn allowed_secret(key: &str, allowed: &str) -> String {
    let variable = variable(key);
    format!("{allowed}, in {variable} or in a file named by {variable}{TWIN}")
}

/// The parsed value, or the problem; either way with the place it came from.
fn judge<T>(
    found: Found<'_>,
    parse: impl Fn(&Raw<'_>) -> Result<T, String>,
) -> Result<(T, String), (String, String)> {
    match found {
        Found::Both { origin, twin } => Err((format!("is set, and so is {twin}: keep one"), origin)),
        Found::Value { raw, origin } => {
            if let Raw::Text(text) = &raw
                && text.contains(char::REPLACEMENT_CHARACTER)
            {
                return Err(("is not valid UTF-8".to_owned(), origin));
            }
            match parse(&raw) {
                Ok(value) => Ok((value, origin)),
                Err(problem) => Err((problem, origin)),
            }
        }
        Found::Named { path, origin } => {
            // The secret itself in place of a path would otherwise be shown as the path.
            let as_text = Raw::Text(path.into());
            if path.contains("://") || parse(&as_text).is_ok() {
                let problem = "holds the secret itself, and should name a file that holds it";
                return Err((problem.to_owned(), origin));
            }
            match read_secret(path) {
                Ok(text) => match parse(&Raw::Text(text.into())) {
                    Ok(value) => Ok((value, format!("{origin} ({path})"))),
                    Err(problem) => Err((problem, format!("{origin} ({path})"))),
                },
                Err(problem) => Err((format!("names {path:?}, which {problem}"), origin)),
            }
        }
    }
}

/// The content of a secret's file, without the newline that editors and `echo` leave at its end.
fn read_secret(path: &str) -> Result<String, String> {
    let unreadable = |error| format!("can't be read: {error}");
    let mut text = String::new();
    File::open(path)
        .map_err(unreadable)?
        .take(LONGEST_SECRET + 1)
        .read_to_string(&mut text)
        .map_err(unreadable)?;
    if u64::try_from(text.len()).is_ok_and(|length| length > LONGEST_SECRET) {
        return Err("is too long for a secret".to_owned());
    }
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    if text.is_empty() {
        return Err("is empty".to_owned());
    }
    Ok(text)
}
