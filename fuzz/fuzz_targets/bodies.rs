//! What comes in bodies and queries.
//!
//! The first byte says which: `j` JSON, `m` metadata, `f` a form or a query, `t` a media type, `c` a cursor, `l` a limit.

#![no_main]

use std::collections::BTreeSet;
use std::fmt;

use actix_web::http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use libfuzzer_sys::{Corpus, fuzz_target};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use roster::domain::Metadata;
use roster::error::ApiError;
use roster::http::fuzzing;
use roster::http::json::{self, Members};
use roster::http::list;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Number, Value};
use uuid::Uuid;

fuzz_target!(|bytes: &[u8]| -> Corpus {
    let Some((&kind, rest)) = bytes.split_first() else {
        return Corpus::Reject;
    };
    match (kind, std::str::from_utf8(rest)) {
        (b'j', _) => json(rest),
        (b'm', _) => metadata(rest),
        (b'f', _) => form(rest),
        (b't', _) => media_type(rest),
        (b'c', Ok(text)) => cursor(text),
        (b'l', Ok(text)) => limit(text),
        _ => return Corpus::Reject,
    }
    Corpus::Keep
});

/// JSON as `serde_json` reads it, with nothing merged.
enum Tree {
    Leaf(Value),
    Array(Vec<Tree>),
    Object(Vec<(String, Tree)>),
}

impl Tree {
    fn depth(&self) -> usize {
        match self {
            Self::Leaf(_) => 0,
            Self::Array(items) => 1 + items.iter().map(Self::depth).max().unwrap_or_default(),
            Self::Object(members) => {
                1 + members
                    .iter()
                    .map(|(_, value)| value.depth())
                    .max()
                    .unwrap_or_default()
            }
        }
    }

    fn has_twins(&self) -> bool {
        match self {
            Self::Leaf(_) => false,
            Self::Array(items) => items.iter().any(Self::has_twins),
            Self::Object(members) => {
                let names: BTreeSet<_> = members.iter().map(|(name, _)| name).collect();
                names.len() < members.len() || members.iter().any(|(_, value)| value.has_twins())
            }
        }
    }

    fn value(self) -> Value {
        match self {
            Self::Leaf(value) => value,
            Self::Array(items) => Value::Array(items.into_iter().map(Self::value).collect()),
            Self::Object(members) => Value::Object(
                members
                    .into_iter()
                    .map(|(name, value)| (name, value.value()))
                    .collect(),
            ),
        }
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TreeVisitor)
    }
}

struct TreeVisitor;

impl<'de> Visitor<'de> for TreeVisitor {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Tree, E> {
        Ok(Tree::Leaf(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Tree, E> {
        Ok(Tree::Leaf(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Tree, E> {
        Ok(Tree::Leaf(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Tree, E> {
        Ok(Tree::Leaf(Value::Number(
            Number::from_f64(value).expect("JSON has finite numbers only"),
        )))
    }

    fn visit_str<E>(self, value: &str) -> Result<Tree, E> {
        Ok(Tree::Leaf(value.into()))
    }

    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(Tree::Leaf(Value::Null))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Tree, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = sequence.next_element()? {
            items.push(item);
        }
        Ok(Tree::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Tree, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = object.next_entry()? {
            members.push(member);
        }
        Ok(Tree::Object(members))
    }
}

/// What we take is what `serde_json` takes, less twins and depth; it means the same, and so does it once written.
fn json(bytes: &[u8]) {
    let tree: Option<Tree> = serde_json::from_slice(bytes).ok();
    let wanted = tree.filter(|tree| tree.depth() <= 32 && !tree.has_twins());
    let found = json::parse(bytes);
    assert_eq!(found.is_ok(), wanted.is_some());
    let (Ok(found), Some(wanted)) = (found, wanted) else {
        return;
    };
    assert_eq!(found, wanted.value());
    let written = found.to_string();
    assert_eq!(json::parse(written.as_bytes()).ok().as_ref(), Some(&found));
    members(found);
}

/// Whatever is in a body, an answer names a bounded number of faults.
fn members(value: Value) {
    let Ok(mut members) = Members::of(value) else {
        return;
    };
    let email = members.required_string("email");
    members.flag("cookie");
    members.object("metadata");
    match members.finish() {
        Ok(()) => assert!(email.is_some()),
        Err(ApiError::Validation(faults)) => {
            assert!((1..=23).contains(&faults.len()));
            // Each of 64 bytes may take two in a JSON pointer.
            assert!(
                faults
                    .iter()
                    .all(|fault| !fault.code.is_empty() && fault.pointer.len() <= 129)
            );
        }
        Err(other) => panic!("{other:?}"),
    }
}

/// Stored compactly, within its limit, without a NUL, and the same when it is read again.
fn metadata(bytes: &[u8]) {
    let Ok(Value::Object(object)) = json::parse(bytes) else {
        return;
    };
    let Ok(metadata) = Metadata::from_object(object.clone()) else {
        return;
    };
    assert!(metadata.as_json().len() <= 16 * 1024);
    let Ok(Value::Object(again)) = json::parse(metadata.as_json().as_bytes()) else {
        panic!("metadata is an object");
    };
    assert_eq!(again, object);
    assert!(!has_nul(&Value::Object(object)));
    assert_eq!(Metadata::from_object(again).as_ref(), Ok(&metadata));
}

fn has_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(has_nul),
        Value::Object(members) => members
            .iter()
            .any(|(name, value)| name.contains('\0') || has_nul(value)),
        _ => false,
    }
}

/// What we take means what the URL standard says, and the same once it is written anew.
fn form(bytes: &[u8]) {
    let Some(fields) = fuzzing::form(bytes) else {
        return;
    };
    let found: BTreeSet<_> = fields
        .iter()
        .map(|(name, value)| (name.clone(), value.as_str().expect("a form has texts").to_owned()))
        .collect();
    let lenient: Vec<_> = url::form_urlencoded::parse(bytes).into_owned().collect();
    assert_eq!(lenient.len(), found.len());
    assert_eq!(lenient.into_iter().collect::<BTreeSet<_>>(), found);
    let encode = |text| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let written: Vec<_> = found
        .iter()
        .map(|(name, value)| format!("{}={}", encode(name), encode(value)))
        .collect();
    assert_eq!(fuzzing::form(written.join("&").as_bytes()), Some(fields));
}

/// Only the two media types that we know, and never two headers.
fn media_type(bytes: &[u8]) {
    let Ok(value) = HeaderValue::from_bytes(bytes) else {
        return;
    };
    let mut headers = HeaderMap::new();
    headers.append(CONTENT_TYPE, value.clone());
    let (found, json_only) = (
        fuzzing::is_form(&headers, true),
        fuzzing::is_form(&headers, false),
    );
    assert_eq!(json_only, found.filter(|is_form| !is_form));
    if let Some(is_form) = found {
        let text = value.to_str().expect("it was read").to_ascii_lowercase();
        let essence = text.split(';').next().unwrap_or_default().trim();
        let wanted = if is_form {
            "application/x-www-form-urlencoded"
        } else {
            "application/json"
        };
        assert_eq!(essence, wanted);
    }
    headers.append(CONTENT_TYPE, value);
    assert_eq!(fuzzing::is_form(&headers, true), None);
}

/// One text for each place, and back.
fn cursor(text: &str) {
    if let Some(id) = fuzzing::parse_cursor(text) {
        assert_eq!(fuzzing::cursor(id), text);
    }
    // In another order than that of ids.
    if let Some((kind, place)) = list::read_cursor(text) {
        assert_eq!(list::cursor_of(kind, &place), text);
    }
    let mut id = [0; 16];
    for (to, from) in id.iter_mut().zip(text.bytes()) {
        *to = from;
    }
    let id = Uuid::from_bytes(id);
    assert_eq!(fuzzing::parse_cursor(&fuzzing::cursor(id)), Some(id));
}

/// A whole number from 1 to 200.
fn limit(text: &str) {
    if let Some(limit) = fuzzing::parse_limit(text) {
        assert!((1..=200).contains(&limit));
        assert_eq!(text.trim_start_matches('0'), limit.to_string());
    }
}
