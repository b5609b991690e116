//! The JSON of a request's body: read strictly, and its members taken out one by one.

use std::borrow::Cow;

use serde_json::{Map, Value};

use crate::error::{ApiError, FieldFault};
use crate::json::{self, Fault, MAX_DEPTH};

/// How many unknown members are named in an answer, and how much of each name, in bytes.
const MAX_UNKNOWN: usize = 20;
const MAX_NAME: usize = 64;

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
    json::parse(text).map_err(|fault| ApiError::Malformed(detail(&fault)))
}

fn detail(fault: &Fault) -> Cow<'static, str> {
    match fault {
        Fault::Syntax => "The body is not valid JSON.".into(),
        Fault::Trailing => "The body has more than one JSON value.".into(),
        Fault::TooDeep => format!("The body is nested deeper than {MAX_DEPTH} levels.").into(),
        Fault::Repeated(_) => "The body has an object with two members of the same name.".into(),
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

    #[test]
    fn what_is_no_single_unambiguous_value_is_malformed_and_the_reason_is_told() {
        let deep = "[".repeat(MAX_DEPTH + 1);
        let bodies: [(&[u8], &str); 8] = [
            (b"", "The body is empty; a JSON object is expected."),
            (b" \r\n", "The body is empty; a JSON object is expected."),
            (b"\"\xff\"", "The body is not UTF-8."),
            (b"\"\xed\xa0\x80\"", "The body is not UTF-8."),
            (b"{'a':1}", "The body is not valid JSON."),
            (b"{} x", "The body has more than one JSON value."),
            (
                br#"{"email":1,"\u0065mail":2}"#,
                "The body has an object with two members of the same name.",
            ),
            (deep.as_bytes(), "The body is nested deeper than 32 levels."),
        ];
        for (body, reason) in bodies {
            match parse(body) {
                Err(ApiError::Malformed(told)) => assert_eq!(told, reason),
                other => panic!("{other:?} instead of {reason}"),
            }
        }
        assert_eq!(parse(b"{\"a\":1}").unwrap().to_string(), "{\"a\":1}");
    }
}
