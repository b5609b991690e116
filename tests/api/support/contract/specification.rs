//! `openapi.json` as it is committed, in a form to hold answers against.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use jsonschema::Validator;
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value, json};

const DOCUMENT: &str = include_str!("../../../../openapi.json");

pub(super) static SPECIFICATION: LazyLock<Specification> = LazyLock::new(Specification::read);

/// The committed document, ready to hold answers against.
pub(super) struct Specification {
    paths: Vec<PathEntry>,
}

/// A path, with or without a name in braces.
pub(super) struct PathEntry {
    segments: Vec<String>,
    /// By method, in upper case.
    pub(super) operations: BTreeMap<String, Operation>,
}

/// What it takes and what it answers.
pub(super) struct Operation {
    /// What a JSON body has to be, if one is taken.
    pub(super) json_request: Option<Validator>,
    /// By status and media type.
    pub(super) answers: BTreeMap<u16, BTreeMap<String, Validator>>,
}

impl Specification {
    fn read() -> Self {
        let document: Value = serde_json::from_str(DOCUMENT).unwrap();
        let open = &document["components"]["schemas"];
        let mut closed = open.clone();
        close(&mut closed);
        let paths = document["paths"].as_object().unwrap();
        let paths = paths
            .iter()
            .map(|(path, item)| PathEntry {
                segments: split(path),
                operations: item
                    .as_object()
                    .unwrap()
                    .iter()
                    .map(|(method, operation)| {
                        (method.to_uppercase(), Operation::read(operation, open, &closed))
                    })
                    .collect(),
            })
            .collect();
        Self { paths }
    }

    /// The path that a request was for, whatever its spelling.
    pub(super) fn find(&self, path: &str) -> Option<&PathEntry> {
        let path = path.split('?').next().unwrap_or_default();
        let wanted = split(path);
        self.paths.iter().find(|entry| {
            entry.segments.len() == wanted.len()
                && entry
                    .segments
                    .iter()
                    .zip(&wanted)
                    .all(|(ours, theirs)| (ours.starts_with('{') && !theirs.is_empty()) || ours == theirs)
        })
    }
}

impl Operation {
    fn read(operation: &Value, open: &Value, closed: &Value) -> Self {
        let json_request = operation
            .pointer("/requestBody/content/application~1json/schema")
            .map(|schema| validator(schema, open));
        let answers = operation["responses"].as_object().unwrap().iter();
        let answers = answers.map(|(status, response)| {
            let none = Map::new();
            let content = response
                .get("content")
                .map_or(&none, |content| content.as_object().unwrap());
            let types = content
                .iter()
                .map(|(media_type, entry)| {
                    let mut schema = entry["schema"].clone();
                    close(&mut schema);
                    (media_type.clone(), validator(&schema, closed))
                })
                .collect();
            (status.parse().unwrap(), types)
        });
        Self {
            json_request,
            answers: answers.collect(),
        }
    }
}

fn validator(schema: &Value, schemas: &Value) -> Validator {
    let whole = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "allOf": [schema],
        "components": {"schemas": schemas},
    });
    jsonschema::options()
        .should_validate_formats(true)
        .build(&whole)
        .unwrap_or_else(|error| panic!("a schema of openapi.json is none: {error}"))
}

/// Takes schemas of answers at their word: an object that lists its members has no others.
fn close(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            if members.contains_key("properties") && !members.contains_key("additionalProperties") {
                members.insert("additionalProperties".into(), false.into());
            }
            members.values_mut().for_each(close);
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        _ => {}
    }
}

/// A trailing slash makes no difference, nor does a needless escape.
fn split(path: &str) -> Vec<String> {
    let path = path.strip_prefix('/').unwrap_or(path);
    // One, and not the only thing that is left.
    let path = path
        .strip_suffix('/')
        .filter(|rest| !rest.is_empty())
        .unwrap_or(path);
    path.split('/')
        .map(|segment| percent_decode_str(segment).decode_utf8_lossy().into_owned())
        .collect()
}

/// Every documented path with its methods in upper case, in the document's spelling.
pub fn documented_operations() -> Vec<(String, Vec<String>)> {
    let document: Value = serde_json::from_str(DOCUMENT).unwrap();
    let paths = document["paths"].as_object().unwrap();
    paths
        .iter()
        .map(|(path, item)| {
            let methods = item
                .as_object()
                .unwrap()
                .keys()
                .map(|method| method.to_uppercase());
            (path.clone(), methods.collect())
        })
        .collect()
}

/// The committed document.
pub fn document() -> Value {
    serde_json::from_str(DOCUMENT).unwrap()
}
