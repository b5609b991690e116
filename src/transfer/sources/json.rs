//! Reading the JSON of one row strictly.
//!
//! As with a request's body, what can't be read unambiguously is refused: two members of one name, nesting that only
//! an attacker needs, text that isn't Unicode. Here the reason goes to the operator who has the file.

use std::cell::RefCell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::MAX_ROW_BYTES;
use super::row::Row;
use crate::transfer::model::Refusal;

/// How deep arrays and objects of a row may be nested, the row included: as deep as those of a request.
pub(super) const MAX_DEPTH: usize = 32;

/// Reads a row; none is one that was too long.
pub(super) fn row(bytes: Option<&[u8]>) -> Result<Row, Refusal> {
    let too_long = || Refusal::row(format!("must have at most {MAX_ROW_BYTES} bytes"));
    let bytes = bytes.ok_or_else(too_long)?;
    let text = std::str::from_utf8(bytes).map_err(|_| Refusal::row("must be UTF-8"))?;
    match value(text)? {
        Value::Object(members) => Ok(Row::new(members)),
        _ => Err(Refusal::row("must be a JSON object")),
    }
}

/// Reads one JSON text.
pub(super) fn value(text: &str) -> Result<Value, Refusal> {
    let reason = RefCell::new(None);
    let seed = Strict {
        depth: 0,
        reason: &reason,
    };
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let value = seed
        .deserialize(&mut deserializer)
        .and_then(|value| deserializer.end().map(|()| value));
    value.map_err(|_| {
        reason
            .take()
            .unwrap_or_else(|| Refusal::row("must be valid JSON"))
    })
}

#[derive(Clone, Copy)]
struct Strict<'a> {
    depth: usize,
    reason: &'a RefCell<Option<Refusal>>,
}

impl Strict<'_> {
    fn deeper<E: serde::de::Error>(self) -> Result<Self, E> {
        if self.depth == MAX_DEPTH {
            let detail = format!("must not be nested deeper than {MAX_DEPTH} levels");
            return Err(self.fail(Refusal::row(detail)));
        }
        Ok(Self {
            depth: self.depth + 1,
            ..self
        })
    }

    fn fail<E: serde::de::Error>(self, refusal: Refusal) -> E {
        self.reason.replace(Some(refusal));
        E::custom("refused")
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        let number = Number::from_f64(value).ok_or_else(|| E::custom("not a number"))?;
        Ok(Value::Number(number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut items = Vec::new();
        while let Some(item) = sequence.next_element_seed(inner)? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut object = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            if object.contains_key(&name) {
                return Err(self.fail(Refusal::new(&name, "must be there only once")));
            }
            let value = members.next_value_seed(inner)?;
            object.insert(name, value);
        }
        Ok(Value::Object(object))
    }
}

/// Whether a value is nested deeper than so many levels; a value that was read here, so the recursion is bounded.
pub(super) fn is_deeper(value: &Value, levels: usize) -> bool {
    let is_inner_deeper = |inner: &Value| levels == 0 || is_deeper(inner, levels - 1);
    match value {
        Value::Array(items) => levels == 0 || items.iter().any(is_inner_deeper),
        Value::Object(members) => levels == 0 || members.values().any(is_inner_deeper),
        _ => false,
    }
}
