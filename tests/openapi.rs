//! `openapi.json` as it is committed: what the program says of itself, and a document that others can read.
//!
//! After a change of the API: `ROSTER_REGENERATE=1 cargo test --test openapi`.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "all of this is test code: what must hold is stated, and fails loudly where it doesn't"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use actix_web::App;
use actix_web::http::Method;
use actix_web::test::{TestRequest, call_service, init_service};
use serde_json::{Value, json};

/// What no member of any request or answer may be called like: a hint or a question is a second, weaker password,
/// and passwords don't expire.
const NO_SUCH_MEMBER: [&str; 8] = [
    "hint",
    "question",
    "security_answer",
    "password_expir",
    "password_age",
    "hash",
    "salt",
    "pepper",
];

/// Words that only requests have.
const ONLY_SENT: [&str; 3] = ["password", "current_password", "client_secret"];

fn committed() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi.json")).unwrap()
}

fn document() -> Value {
    serde_json::from_str(&committed()).unwrap()
}

struct Operation {
    path: String,
    method: String,
    document: Value,
}

impl Operation {
    fn all() -> Vec<Self> {
        let document = document();
        let paths = document["paths"].as_object().unwrap();
        let found: Vec<Self> = paths
            .iter()
            .flat_map(|(path, item)| {
                item.as_object().unwrap().iter().map(|(method, operation)| Self {
                    path: path.clone(),
                    method: method.clone(),
                    document: operation.clone(),
                })
            })
            .collect();
        assert!(found.len() > 10, "{}", found.len());
        found
    }

    fn name(&self) -> String {
        format!("{} {}", self.method.to_uppercase(), self.path)
    }

    fn is_public(&self) -> bool {
        self.document["security"] == json!([{}])
    }

    /// Whether it is for services that an operator has registered.
    fn is_for_services(&self) -> bool {
        self.document["security"] == json!([{"client": []}])
    }

    fn is_oauth(&self) -> bool {
        self.path.starts_with("/oauth/")
    }

    fn answers(&self) -> BTreeMap<u16, Value> {
        let answers = self.document["responses"].as_object().unwrap().iter();
        answers
            .map(|(status, answer)| (status.parse().unwrap(), answer.clone()))
            .collect()
    }

    /// Media types of the body with their schemas.
    fn request_schemas(&self) -> Vec<(String, Value)> {
        let Some(content) = self.document["requestBody"]["content"].as_object() else {
            return Vec::new();
        };
        content
            .iter()
            .flat_map(|(media_type, entry)| {
                let alternatives = alternatives(&entry["schema"]);
                alternatives
                    .into_iter()
                    .map(|schema| (media_type.clone(), schema))
            })
            .collect()
    }
}

/// The schemas that a schema refers to or is one of; itself where it is none of that.
fn alternatives(schema: &Value) -> Vec<Value> {
    if let Some(reference) = schema["$ref"].as_str() {
        return alternatives(document().pointer(reference.trim_start_matches('#')).unwrap());
    }
    match schema["oneOf"].as_array() {
        Some(schemas) => schemas.iter().flat_map(alternatives).collect(),
        None => vec![schema.clone()],
    }
}

/// Calls with every object in a value, and the names that lead there.
fn visit(value: &Value, at: &str, into: &mut impl FnMut(&str, &serde_json::Map<String, Value>)) {
    match value {
        Value::Object(members) => {
            into(at, members);
            for (name, member) in members {
                visit(member, &format!("{at}/{name}"), into);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                visit(item, &format!("{at}/{index}"), into);
            }
        }
        _ => {}
    }
}

/// The names of all components that a value leads to.
fn reachable(value: &Value) -> BTreeSet<String> {
    let document = document();
    let mut found = BTreeSet::new();
    let mut unread = vec![value.clone()];
    while let Some(value) = unread.pop() {
        visit(&value, "", &mut |_, members| {
            if let Some(reference) = members.get("$ref").and_then(Value::as_str)
                && found.insert(reference.to_owned())
            {
                unread.push(
                    document
                        .pointer(reference.trim_start_matches('#'))
                        .unwrap()
                        .clone(),
                );
            }
        });
    }
    found
}

#[test]
fn the_committed_document_is_what_the_program_says() {
    let present = roster::routes::document_json().unwrap();
    if std::env::var_os("ROSTER_REGENERATE").is_some() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi.json");
        fs::write(file, &present).unwrap();
    }
    assert!(
        committed() == present,
        "openapi.json has drifted: run ROSTER_REGENERATE=1 cargo test --test openapi"
    );
}

#[test]
fn it_is_an_openapi_3_1_document_of_this_version() {
    let document = document();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1."));
    assert_eq!(document["info"]["title"], "Roster");
    assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    assert!(!document["info"]["description"].as_str().unwrap().is_empty());
    let known = [
        "openapi",
        "info",
        "servers",
        "paths",
        "components",
        "security",
        "tags",
        "externalDocs",
    ];
    for name in document.as_object().unwrap().keys() {
        assert!(
            known.contains(&name.as_str()),
            "{name} is no member of an OpenAPI document"
        );
    }
    for (path, item) in document["paths"].as_object().unwrap() {
        assert!(path.starts_with('/'), "{path}");
        for method in item.as_object().unwrap().keys() {
            // HEAD and OPTIONS go without saying.
            assert!(
                ["get", "put", "post", "delete", "patch"].contains(&method.as_str()),
                "{method} {path}"
            );
        }
    }
}

#[test]
fn every_reference_leads_somewhere_and_every_schema_is_referred_to() {
    let document = document();
    let mut references = BTreeSet::new();
    visit(&document, "", &mut |at, members| {
        if let Some(reference) = members.get("$ref") {
            let reference = reference.as_str().unwrap();
            let pointer = reference
                .strip_prefix('#')
                .unwrap_or_else(|| panic!("{at}: {reference} is elsewhere"));
            assert!(
                document.pointer(pointer).is_some(),
                "{at}: {reference} leads nowhere"
            );
            references.insert(reference.to_owned());
        }
    });
    for name in document["components"]["schemas"].as_object().unwrap().keys() {
        let reference = format!("#/components/schemas/{name}");
        assert!(references.contains(&reference), "nobody refers to {name}");
    }
}

#[test]
fn every_schema_is_one_and_its_examples_are_examples_of_it() {
    let document = document();
    let mut schemas = Vec::new();
    visit(&document, "", &mut |at, members| {
        if let Some(schema) = members.get("schema") {
            schemas.push((format!("{at}/schema"), schema.clone()));
        }
        // A relic of 3.0, which 3.1 ignores.
        assert!(!members.contains_key("nullable"), "{at}: nullable");
    });
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        schemas.push((name.clone(), schema.clone()));
    }
    let whole = |schema: &Value| {
        json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "allOf": [schema],
            "components": document["components"],
        })
    };
    let mut examples = 0;
    for (name, schema) in schemas {
        let build = |schema: &Value| {
            jsonschema::options()
                .should_validate_formats(true)
                .build(&whole(schema))
                .unwrap_or_else(|fault| panic!("{name}: {fault}"))
        };
        build(&schema);
        visit(&schema, &name, &mut |at, members| {
            if at.ends_with("/properties") {
                return;
            }
            if let Some(example) = members.get("example") {
                let fits = build(&Value::Object(members.clone())).is_valid(example);
                assert!(fits, "{at}: {example} is no example of it");
                examples += 1;
            }
        });
    }
    assert!(examples > 5, "{examples}");
}

#[test]
fn every_operation_has_a_name_of_its_own_a_summary_and_a_tag() {
    let mut ids = BTreeSet::new();
    for operation in Operation::all() {
        let id = operation.document["operationId"].as_str().unwrap_or_default();
        assert!(!id.is_empty(), "{} has no operationId", operation.name());
        assert!(ids.insert(id.to_owned()), "two operations are called {id}");
        let summary = operation.document["summary"].as_str().unwrap_or_default();
        assert!(
            !summary.is_empty() && !summary.contains('\n'),
            "{}: {summary:?}",
            operation.name()
        );
        let tags = operation.document["tags"].as_array().map_or(0, Vec::len);
        assert_eq!(tags, 1, "{} is in {tags} groups", operation.name());
    }
}

#[test]
fn every_operation_tells_how_it_succeeds_and_how_it_fails() {
    for operation in Operation::all() {
        let answers = operation.answers();
        let statuses: BTreeSet<u16> = answers.keys().copied().collect();
        let name = operation.name();
        assert!(
            statuses.iter().any(|status| (200..300).contains(status)),
            "{name}: {statuses:?}"
        );
        let mut expected = BTreeSet::from([400, 500]);
        if !operation.is_public() {
            expected.extend([401, 503]);
        }
        if !operation.request_schemas().is_empty() {
            expected.extend([413, 415, 503]);
            // RFC 6749 §5.2 has 400 for that.
            if !operation.is_oauth() {
                expected.insert(422);
            }
        }
        assert!(
            expected.is_subset(&statuses),
            "{name}: {statuses:?} lacks some of {expected:?}"
        );
        for (status, answer) in answers {
            let description = answer["description"].as_str().unwrap_or_default();
            assert!(!description.is_empty(), "{name}: {status} isn't described");
            if status >= 400 {
                let content = answer["content"].as_object().unwrap();
                let types: Vec<&String> = content.keys().collect();
                if operation.path.ends_with("/form") && [409, 422, 429].contains(&status) {
                    // A person has sent it, and is told on a page.
                    assert_eq!(types, ["text/html"], "{name}: {status}");
                    continue;
                }
                let (media_type, schema) = if operation.is_oauth() {
                    ("application/json", "#/components/schemas/OAuthError")
                } else {
                    ("application/problem+json", "#/components/schemas/Problem")
                };
                assert_eq!(types, [media_type], "{name}: {status}");
                assert_eq!(content[media_type]["schema"]["$ref"], schema, "{name}: {status}");
            } else if status == 204 || operation.path == "/oauth/revoke" {
                assert!(answer.get("content").is_none(), "{name}: {status}");
            } else {
                assert!(answer["content"].is_object(), "{name}: {status}");
            }
        }
    }
}

#[test]
fn requests_name_all_their_members() {
    let mut bodies = 0;
    // A file of rows is described by the page about moving in, and each of its rows is read for itself.
    for operation in Operation::all()
        .into_iter()
        .filter(|operation| operation.path != "/admin/import")
    {
        for (media_type, schema) in operation.request_schemas() {
            let name = operation.name();
            bodies += 1;
            // Where there is a choice of bodies, each of them is held to the same.
            for schema in alternatives(&schema) {
                assert_eq!(schema["type"], "object", "{name}: {media_type}");
                if media_type == "application/json" {
                    assert_eq!(schema["additionalProperties"], false, "{name}");
                }
            }
            match media_type.as_str() {
                "application/json" => {}
                // OAuth has clients send what it doesn't know yet (RFC 6749 §3.2).
                "application/x-www-form-urlencoded" => {
                    assert!(schema.get("additionalProperties").is_none(), "{name}");
                }
                other => panic!("{name} takes {other}"),
            }
            assert_eq!(operation.document["requestBody"]["required"], true, "{name}");
        }
    }
    assert!(bodies >= 4, "{bodies}");
}

#[test]
fn what_is_in_a_path_is_described_and_nothing_else() {
    for operation in Operation::all() {
        let in_path: BTreeSet<String> = operation
            .path
            .split('/')
            .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
            .map(str::to_owned)
            .collect();
        let none = Vec::new();
        let parameters = operation.document["parameters"].as_array().unwrap_or(&none);
        let mut described = BTreeSet::new();
        for parameter in parameters {
            let name = parameter["name"].as_str().unwrap();
            assert!(
                !parameter["description"].as_str().unwrap_or_default().is_empty(),
                "{name}"
            );
            assert!(parameter["schema"].is_object(), "{name}");
            match parameter["in"].as_str().unwrap() {
                "path" => {
                    assert_eq!(parameter["required"], true, "{name}");
                    described.insert(name.to_owned());
                }
                // These are told by the security scheme and by media types.
                "header" => assert!(
                    !["Authorization", "Accept", "Content-Type"].contains(&name),
                    "{name}"
                ),
                "query" => {}
                other => panic!("{}: {name} is in {other}", operation.name()),
            }
        }
        assert_eq!(described, in_path, "{}", operation.name());
    }
}

#[test]
fn an_operation_is_open_to_anyone_or_behind_either_scheme() {
    let schemes: BTreeSet<String> = document()["components"]["securitySchemes"]
        .as_object()
        .unwrap()
        .keys()
        .cloned()
        .collect();
    assert_eq!(schemes, ["bearer", "client", "login"].map(str::to_owned).into());
    assert!(
        document().get("security").is_none(),
        "what is private says so itself"
    );
    let (mut open, mut private) = (0, 0);
    for operation in Operation::all() {
        if operation.is_public() {
            open += 1;
            assert!(
                !operation.answers().contains_key(&401) || operation.path == "/login",
                "{}",
                operation.name()
            );
        } else if operation.is_for_services() {
            assert_eq!(operation.path, "/oauth/introspect");
        } else {
            private += 1;
            let asked = &operation.document["security"];
            assert_eq!(
                *asked,
                json!([{"login": []}, {"bearer": []}]),
                "{}",
                operation.name()
            );
        }
    }
    assert!(open > 0 && private > 0);
    for operation in Operation::all()
        .iter()
        .filter(|operation| operation.path.starts_with("/users/me"))
        // The code in the mail says whose address it is, wherever the mail is read.
        .filter(|operation| !operation.path.starts_with("/users/me/email/confirm"))
    {
        assert!(!operation.is_public(), "{}", operation.name());
    }
}

#[test]
fn swagger_ui_finds_out_how_to_sign_in() {
    let document = document();
    let schemes = &document["components"]["securitySchemes"];
    assert_eq!(schemes["login"]["type"], "oauth2");
    assert_eq!(schemes["login"]["flows"]["password"]["tokenUrl"], "/login");
    assert_eq!(schemes["bearer"]["type"], "http");
    assert_eq!(schemes["bearer"]["scheme"], "bearer");
}

#[test]
fn no_member_is_a_second_weaker_password() {
    visit(&document(), "", &mut |at, members| {
        let Some(properties) = members.get("properties").and_then(Value::as_object) else {
            return;
        };
        for name in properties.keys() {
            let looks_like = NO_SUCH_MEMBER
                .iter()
                .find(|word| name.to_lowercase().contains(*word))
                // RFC 7009 §2.1 calls a member so that has nothing to do with passwords.
                .filter(|_| name != "token_type_hint");
            assert!(looks_like.is_none(), "{at}: {name}");
        }
    });
}

#[test]
fn no_answer_has_a_secret_in_it() {
    let document = document();
    for operation in Operation::all() {
        for reference in reachable(&operation.document["responses"]) {
            let schema = document.pointer(reference.trim_start_matches('#')).unwrap();
            let Some(properties) = schema["properties"].as_object() else {
                continue;
            };
            for name in properties.keys() {
                assert!(
                    !ONLY_SENT.contains(&name.as_str()),
                    "{}: {reference}: {name}",
                    operation.name()
                );
            }
        }
    }
}

/// Nothing stands behind the operations here, and so nothing can be said of what they answer: only that they are there.
#[actix_web::test]
async fn every_documented_operation_is_mounted() {
    let app = init_service(App::new().configure(|config| roster::routes::configure(config, true))).await;
    for operation in Operation::all() {
        let method = Method::from_bytes(operation.method.to_uppercase().as_bytes()).unwrap();
        let path = operation
            .path
            .replace("{name}", "not-found")
            .replace("{file}", "start.js")
            .replace("{id}", "019a0000-0000-7000-8000-000000000001");
        assert!(!path.contains('{'), "{path}: say what there is");
        let path = if path == "/" {
            path
        } else {
            path.trim_end_matches('/').to_owned()
        };
        let request = TestRequest::default().method(method).uri(&path).to_request();
        let status = call_service(&app, request).await.status().as_u16();
        assert!(![404, 405].contains(&status), "{}: {status}", operation.name());
    }
    let request = TestRequest::get().uri("/elsewhere").to_request();
    assert_eq!(call_service(&app, request).await.status().as_u16(), 404);
}
