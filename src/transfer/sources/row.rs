//! One row: members taken out one by one, as the systems of the world write them.

use chrono::{DateTime, Utc};
use serde_json::{Map, Number, Value};

use super::{json, time};
use crate::transfer::model::Refusal;

/// The members of a row. In a table every value is a text, so numbers, switches, times and objects are taken as text
/// as well.
#[derive(Debug, Default)]
pub(super) struct Row {
    members: Map<String, Value>,
}

impl Row {
    pub(super) const fn new(members: Map<String, Value>) -> Self {
        Self { members }
    }

    /// Takes a value of any kind; null is none.
    pub(super) fn take(&mut self, name: &str) -> Option<Value> {
        self.members.remove(name).filter(|value| !value.is_null())
    }

    /// Takes a text; the empty one is none.
    pub(super) fn text(&mut self, name: &str) -> Result<Option<String>, Refusal> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text).filter(|text| !text.is_empty())),
            Some(_) => Err(Refusal::new(name, "must be a string")),
        }
    }

    /// Takes a switch: a boolean, or what databases print for one.
    pub(super) fn flag(&mut self, name: &str) -> Result<Option<bool>, Refusal> {
        let text = match self.take(name) {
            None => return Ok(None),
            Some(Value::Bool(is_on)) => return Ok(Some(is_on)),
            Some(Value::Number(number)) => number.to_string(),
            Some(Value::String(text)) => text.to_ascii_lowercase(),
            Some(_) => String::new(),
        };
        match text.as_str() {
            "1" | "t" | "true" => Ok(Some(true)),
            "0" | "f" | "false" => Ok(Some(false)),
            _ => Err(Refusal::new(name, "must be true or false, t or f, 1 or 0")),
        }
    }

    /// Takes an instant: a text, or a number of seconds or milliseconds since 1970.
    pub(super) fn time(&mut self, name: &str) -> Result<Option<DateTime<Utc>>, Refusal> {
        let at = match self.take(name) {
            None => return Ok(None),
            Some(Value::Number(number)) => number.as_i64().and_then(time::of_number),
            Some(Value::String(text)) => {
                if text.is_empty() || text.eq_ignore_ascii_case("null") || time::is_zero_date(&text) {
                    return Ok(None);
                }
                time::parse(&text).or_else(|| time::of_digits(&text))
            }
            Some(_) => None,
        };
        at.map(Some).ok_or_else(|| Refusal::new(name, time::DETAIL))
    }

    /// Takes what holds JSON: as it is, or as text.
    pub(super) fn json(&mut self, name: &str) -> Result<Option<Value>, Refusal> {
        match self.take(name) {
            Some(Value::String(text)) if text.is_empty() => Ok(None),
            Some(Value::String(text)) => json::value(&text)
                .map(|value| Some(value).filter(|value| !value.is_null()))
                .map_err(|refusal| Refusal::new(name, refusal.detail)),
            other => Ok(other),
        }
    }

    /// Takes an object, as it is or as text.
    pub(super) fn object(&mut self, name: &str) -> Result<Option<Map<String, Value>>, Refusal> {
        match self.json(name)? {
            None => Ok(None),
            Some(Value::Object(object)) => Ok(Some(object)),
            Some(_) => Err(Refusal::new(name, "must be an object")),
        }
    }

    /// Takes an array.
    pub(super) fn list(&mut self, name: &str) -> Result<Vec<Value>, Refusal> {
        match self.take(name) {
            None => Ok(Vec::new()),
            Some(Value::Array(items)) => Ok(items),
            Some(_) => Err(Refusal::new(name, "must be an array")),
        }
    }

    /// Takes a number, or the text of one, or any other text: an id of another system.
    pub(super) fn foreign_id(&mut self, name: &str) -> Option<Value> {
        match self.take(name)? {
            Value::String(text) => Some(
                text.parse::<i64>()
                    .ok()
                    .filter(|n| n.to_string() == text)
                    .map_or_else(
                        || Value::String(text),
                        |number| Value::Number(Number::from(number)),
                    ),
            ),
            other => Some(other),
        }
    }

    /// Gives a member another name where it has none of that name: for columns that are spelt in two ways.
    pub(super) fn rename(&mut self, from: &str, to: &str) {
        if !self.members.contains_key(to)
            && let Some(value) = self.members.remove(from)
        {
            self.members.insert(to.to_owned(), value);
        }
    }

    /// Puts a member in.
    pub(super) fn put(&mut self, name: &str, value: impl Into<Value>) {
        self.members.insert(name.to_owned(), value.into());
    }

    /// Forgets members.
    pub(super) fn forget(&mut self, names: &[&str]) {
        for name in names {
            self.members.remove(*name);
        }
    }

    /// The name of a member that nobody has taken.
    pub(super) fn first_left(&self) -> Option<&str> {
        self.members.keys().next().map(String::as_str)
    }

    /// The members that nobody has taken, apart from those that say nothing.
    pub(super) fn rest(self) -> Map<String, Value> {
        let mut rest = self.members;
        rest.retain(|_, value| !value.is_null());
        rest
    }
}
