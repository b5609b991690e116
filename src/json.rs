//! Reading JSON strictly, whoever has sent it: a client its request, another system its users.
//!
//! What can't be read unambiguously is refused before anybody looks for members in it: two members of one name
//! (which one did the proxy in front of us see?), nesting that only an attacker needs. I-JSON (RFC 7493) asks for the
//! same. Who comes here says in words of his own what is wrong: a parser's would tell lines, columns and types.

use std::cell::RefCell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::map::Entry;
use serde_json::{Map, Number, Value};

/// How deep arrays and objects may be nested, the outermost included.
pub const MAX_DEPTH: usize = 32;

/// Why a text is refused.
#[derive(Debug, PartialEq, Eq)]
pub enum Fault {
    /// It isn't JSON.
    Syntax,
    /// Something comes after the value.
    Trailing,
    /// It is nested deeper than [`MAX_DEPTH`].
    TooDeep,
    /// An object has two members of this name.
    Repeated(String),
}

/// Reads one JSON text.
///
/// # Errors
/// The first thing that is wrong with it.
pub fn parse(text: &str) -> Result<Value, Fault> {
    let fault = RefCell::new(Fault::Syntax);
    let seed = Strict {
        depth: 0,
        fault: &fault,
    };
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let Ok(value) = seed.deserialize(&mut deserializer) else {
        return Err(fault.into_inner());
    };
    deserializer.end().map_err(|_| Fault::Trailing)?;
    Ok(value)
}

/// Whether a value is nested deeper than so many levels; a value that was read here, so the recursion is bounded.
#[must_use]
pub fn is_deeper(value: &Value, levels: usize) -> bool {
    let is_inner_deeper = |inner: &Value| levels == 0 || is_deeper(inner, levels - 1);
    match value {
        Value::Array(items) => levels == 0 || items.iter().any(is_inner_deeper),
        Value::Object(members) => levels == 0 || members.values().any(is_inner_deeper),
        _ => false,
    }
}

#[derive(Clone, Copy)]
struct Strict<'a> {
    depth: usize,
    /// Errors of serde's carry no more than a text, so the reason is left here.
    fault: &'a RefCell<Fault>,
}

impl Strict<'_> {
    fn deeper<E: serde::de::Error>(self) -> Result<Self, E> {
        if self.depth == MAX_DEPTH {
            return Err(self.refuse(Fault::TooDeep));
        }
        Ok(Self {
            depth: self.depth + 1,
            ..self
        })
    }

    fn refuse<E: serde::de::Error>(self, fault: Fault) -> E {
        self.fault.replace(fault);
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
        let number = Number::from_f64(value).ok_or_else(|| self.refuse(Fault::Syntax))?;
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
            match object.entry(name) {
                Entry::Vacant(place) => {
                    place.insert(members.next_value_seed(inner)?);
                }
                Entry::Occupied(known) => {
                    return Err(self.refuse(Fault::Repeated(known.key().clone())));
                }
            }
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nested(depth: usize) -> String {
        format!("{}{}", "[".repeat(depth), "]".repeat(depth))
    }

    #[test]
    fn what_is_no_json_is_refused() {
        for text in [
            "",
            " ",
            "\u{FEFF}{}",
            "{'a':1}",
            "{\"a\":1,}",
            "// c\n{}",
            "NaN",
            "1e400",
            "-1e400",
            r#""\ud800""#,
            r#""\udc00\ud800""#,
            "\"\n\"",
            "{\"a\"",
            "tru",
            "01",
        ] {
            assert_eq!(parse(text), Err(Fault::Syntax), "{text}");
        }
        for text in ["{}{}", "{} x"] {
            assert_eq!(parse(text), Err(Fault::Trailing), "{text}");
        }
    }

    #[test]
    fn two_members_of_one_name_are_refused_however_they_are_spelt() {
        for (text, name) in [
            (r#"{"a":1,"a":2}"#, "a"),
            (r#"{"email":1,"\u0065mail":2}"#, "email"),
            (r#"[{"a":{"b":1,"b":1}}]"#, "b"),
            (r#"{"":1,"":1}"#, ""),
        ] {
            assert_eq!(parse(text), Err(Fault::Repeated(name.to_owned())), "{text}");
        }
        assert!(parse(r#"{"a":{"a":1},"b":{"a":1}}"#).is_ok());
    }

    #[test]
    fn nesting_is_bounded_and_costs_no_stack() {
        let deepest = parse(&nested(MAX_DEPTH)).unwrap();
        assert!(is_deeper(&deepest, MAX_DEPTH - 1) && !is_deeper(&deepest, MAX_DEPTH));
        for depth in [MAX_DEPTH + 1, 200, 100_000] {
            assert_eq!(parse(&nested(depth)), Err(Fault::TooDeep), "{depth}");
            assert_eq!(parse(&"[".repeat(depth)), Err(Fault::TooDeep), "{depth}");
        }
    }

    #[test]
    fn whatever_else_is_json_comes_through_unchanged() {
        let text = r#"{"a":[1,-2,1.5,true,null,"é😀\u0000"],"b":{"":{}}}"#;
        assert_eq!(parse(text).unwrap().to_string(), text);
        for number in [
            "31.245270191439438",
            "121.48791951161945",
            "5e-324",
            "1.7976931348623157e308",
        ] {
            assert_eq!(parse(number).unwrap().as_f64(), Some(number.parse().unwrap()));
        }
        assert_eq!(
            parse("18446744073709551615").unwrap().to_string(),
            "18446744073709551615"
        );
    }
}
