//! Reading JSON strictly.
//!
//! What can't be read unambiguously is refused before anybody looks for members in it: two members of one name
//! (which one did the proxy in front of us see?), nesting that only an attacker needs, text that isn't Unicode.
//! I-JSON (RFC 7493) asks for the same.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::error::{ApiError, FieldFault};

/// How many unknown members are named in an answer, and how much of each name, in bytes.
const MAX_UNKNOWN: usize = 20;
const MAX_NAME: usize = 64;
/// How deep arrays and objects may be nested, the outermost included.
const MAX_DEPTH: usize = 32;

/// Parses one JSON text.
///
/// # Errors
/// [`ApiError::Malformed`], with a reason in words of ours: a parser's own would tell lines, columns and types.
pub fn parse(bytes: &[u8]) -> Result<Value, ApiError> {
    let text =
        std::str::from_utf8(bytes).map_err(|_| ApiError::Malformed("The body is not UTF-8.".into()))?;
    if text.trim_ascii().is_empty() {
        return Err(ApiError::Malformed(
            "The body is empty; a JSON object is expected.".into(),
        ));
    }
    let reason = Cell::new(Reason::Syntax);
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let seed = Strict {
        depth: 0,
        reason: &reason,
    };
    let value = seed
        .deserialize(&mut deserializer)
        .map_err(|_| reason.get().error())?;
    deserializer
        .end()
        .map_err(|_| ApiError::Malformed("The body has more than one JSON value.".into()))?;
    Ok(value)
}

#[derive(Clone, Copy)]
enum Reason {
    Syntax,
    TooDeep,
    Duplicate,
}

impl Reason {
    fn error(self) -> ApiError {
        ApiError::Malformed(match self {
            Self::Syntax => "The body is not valid JSON.".into(),
            Self::TooDeep => format!("The body is nested deeper than {MAX_DEPTH} levels.").into(),
            Self::Duplicate => "The body has an object with two members of the same name.".into(),
        })
    }
}

#[derive(Clone, Copy)]
struct Strict<'a> {
    depth: usize,
    reason: &'a Cell<Reason>,
}

impl Strict<'_> {
    fn deeper<E: serde::de::Error>(self) -> Result<Self, E> {
        if self.depth == MAX_DEPTH {
            self.reason.set(Reason::TooDeep);
            return Err(E::custom("too deep"));
        }
        Ok(Self {
            depth: self.depth + 1,
            ..self
        })
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

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
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
            let value = members.next_value_seed(inner)?;
            if object.insert(name, value).is_some() {
                self.reason.set(Reason::Duplicate);
                return Err(A::Error::custom("duplicate member"));
            }
        }
        Ok(Value::Object(object))
    }
}

/// The members of a request's body, taken out one by one. Faults are gathered, so that a client hears of all of them
/// at once; what nobody has taken is one more fault.
#[derive(Debug)]
pub struct Members {
    left: Map<String, Value>,
    faults: Vec<FieldFault>,
    is_form: bool,
}

impl Members {
    /// The members of a parsed body.
    ///
    /// # Errors
    /// [`ApiError::Validation`] where the body isn't an object.
    pub fn of(value: Value) -> Result<Self, ApiError> {
        match value {
            Value::Object(left) => Ok(Self {
                left,
                faults: Vec::new(),
                is_form: false,
            }),
            other => Err(ApiError::Validation(vec![FieldFault {
                pointer: String::new(),
                code: "wrong_type",
                detail: format!("must be an object, not {}", kind(&other)),
            }])),
        }
    }

    /// Members of a form, where every value is a text.
    #[must_use]
    pub fn of_form(fields: Map<String, Value>) -> Self {
        Self {
            left: fields,
            faults: Vec::new(),
            is_form: true,
        }
    }

    /// Whether they came as a form.
    #[must_use]
    pub const fn is_form(&self) -> bool {
        self.is_form
    }

    /// Whether the member is there.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.left.contains_key(name)
    }

    /// Forgets members that are allowed and not needed.
    pub fn ignore(&mut self, names: &[&str]) {
        for name in names {
            self.left.remove(*name);
        }
    }

    /// Forgets whatever hasn't been taken: forms may carry more than we know (RFC 6749 §3.2).
    pub fn ignore_rest(&mut self) {
        self.left.clear();
    }

    /// Takes a text that has to be there.
    pub fn required_string(&mut self, name: &str) -> Option<String> {
        if !self.left.contains_key(name) {
            self.fault(name, "missing", "is required");
            return None;
        }
        self.string(name)
    }

    /// Takes a text.
    pub fn string(&mut self, name: &str) -> Option<String> {
        match self.left.remove(name)? {
            Value::String(text) => Some(text),
            other => {
                self.fault(
                    name,
                    "wrong_type",
                    format!("must be a string, not {}", kind(&other)),
                );
                None
            }
        }
    }

    /// Takes a switch: a boolean, in a form the text `true` or `false`. Off where it isn't sent.
    pub fn flag(&mut self, name: &str) -> bool {
        match self.left.remove(name) {
            None => false,
            Some(Value::Bool(on)) => on,
            Some(Value::String(text)) if self.is_form && matches!(text.as_str(), "true" | "false") => {
                text == "true"
            }
            Some(Value::String(_)) if self.is_form => {
                self.fault(name, "not_allowed", "must be true or false");
                false
            }
            Some(other) => {
                self.fault(
                    name,
                    "wrong_type",
                    format!("must be a boolean, not {}", kind(&other)),
                );
                false
            }
        }
    }

    /// Takes a boolean, where one is sent.
    pub fn boolean(&mut self, name: &str) -> Option<bool> {
        match self.left.remove(name)? {
            Value::Bool(on) => Some(on),
            other => {
                self.fault(
                    name,
                    "wrong_type",
                    format!("must be a boolean, not {}", kind(&other)),
                );
                None
            }
        }
    }

    /// Takes a list of texts; each that is none is a fault of its own.
    pub fn strings(&mut self, name: &str) -> Option<Vec<String>> {
        let items = match self.left.remove(name)? {
            Value::Array(items) => items,
            other => {
                self.fault(
                    name,
                    "wrong_type",
                    format!("must be an array, not {}", kind(&other)),
                );
                return None;
            }
        };
        let mut texts = Vec::with_capacity(items.len());
        let mut is_good = true;
        for (at, item) in items.into_iter().enumerate() {
            match item {
                Value::String(text) => texts.push(text),
                other => {
                    is_good = false;
                    let detail = format!("must be a string, not {}", kind(&other));
                    self.fault_of_item(name, at, "wrong_type", detail);
                }
            }
        }
        is_good.then_some(texts)
    }

    /// Notes a fault of an item of a list.
    pub fn fault_of_item(&mut self, name: &str, at: usize, code: &'static str, detail: impl Into<String>) {
        // A body full of nonsense doesn't earn an answer ten times its size.
        if self.faults.len() > MAX_UNKNOWN {
            return;
        }
        let mut fault = FieldFault::member(name, code, detail);
        fault.pointer = format!("{}/{at}", fault.pointer);
        self.faults.push(fault);
    }

    /// Forgets the members of a form that have no value: to OAuth they weren't sent (RFC 6749 §3.2).
    pub fn ignore_empty(&mut self) {
        if self.is_form {
            self.left
                .retain(|_, value| !matches!(value, Value::String(text) if text.is_empty()));
        }
    }

    /// Takes an object.
    pub fn object(&mut self, name: &str) -> Option<Map<String, Value>> {
        match self.left.remove(name)? {
            Value::Object(object) => Some(object),
            other => {
                self.fault(
                    name,
                    "wrong_type",
                    format!("must be an object, not {}", kind(&other)),
                );
                None
            }
        }
    }

    /// Notes a fault of a member.
    pub fn fault(&mut self, name: &str, code: &'static str, detail: impl Into<String>) {
        self.faults.push(FieldFault::member(name, code, detail));
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// [`ApiError::Validation`] with every fault that was noted, members that nobody took included.
    pub fn finish(mut self) -> Result<(), ApiError> {
        // A body full of nonsense doesn't earn an answer ten times its size.
        for name in self.left.keys().take(MAX_UNKNOWN) {
            let shown = name.get(..name.floor_char_boundary(MAX_NAME)).unwrap_or_default();
            self.faults.push(FieldFault::member(
                shown,
                "unknown_member",
                "is not a member of this request",
            ));
        }
        if self.faults.is_empty() {
            Ok(())
        } else {
            Err(ApiError::Validation(self.faults))
        }
    }
}

const fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nested(depth: usize) -> String {
        format!("{}{}", "[".repeat(depth), "]".repeat(depth))
    }

    #[test]
    fn what_is_ambiguous_or_hostile_is_malformed() {
        for text in [
            "",
            " ",
            "\u{FEFF}{}",
            "{}{}",
            "{} x",
            "{'a':1}",
            "{\"a\":1,}",
            "// c\n{}",
            "NaN",
            "1e400",
            "-1e400",
            r#""\ud800""#,
            r#""\udc00\ud800""#,
            r#"{"a":1,"a":2}"#,
            r#"{"email":1,"\u0065mail":2}"#,
            r#"[{"a":{"b":1,"b":1}}]"#,
            "\"\n\"",
            "01",
            "{\"a\"",
            "tru",
        ] {
            assert!(
                matches!(parse(text.as_bytes()), Err(ApiError::Malformed(_))),
                "{text}"
            );
        }
        assert!(parse(b"\"\xff\"").is_err());
        assert!(parse(b"\"\xed\xa0\x80\"").is_err());
    }

    #[test]
    fn nesting_is_bounded_and_costs_no_stack() {
        assert!(parse(nested(MAX_DEPTH).as_bytes()).is_ok());
        for depth in [MAX_DEPTH + 1, 200, 100_000] {
            assert!(
                matches!(parse(nested(depth).as_bytes()), Err(ApiError::Malformed(_))),
                "{depth}"
            );
            assert!(parse("[".repeat(depth).as_bytes()).is_err());
        }
    }

    #[test]
    fn whatever_else_is_json_comes_through_unchanged() {
        let text = r#"{"a":[1,-2,1.5,true,null,"é😀\u0000"],"b":{"":{}}}"#;
        assert_eq!(parse(text.as_bytes()).unwrap().to_string(), text);
        for number in [
            "31.245270191439438",
            "121.48791951161945",
            "5e-324",
            "1.7976931348623157e308",
        ] {
            assert_eq!(
                parse(number.as_bytes()).unwrap().as_f64(),
                Some(number.parse().unwrap())
            );
        }
        assert_eq!(
            parse(b"18446744073709551615").unwrap().to_string(),
            "18446744073709551615"
        );
    }
}
