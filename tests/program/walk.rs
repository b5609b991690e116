//! Documents whose commands are run as they stand, and print what the document says they print.
//!
//! Between `<!-- walk -->` and `<!-- /walk -->`, each block of `sh` is run, all in one shell. A block of `json`, of
//! `text` or of nothing in particular right behind one is what it prints, in which … stands for anything that differs
//! each time. A document may have several walks.

use std::fmt::Write as _;

use serde_json::Value;

use crate::support::{Installation, finish};

const BEGIN: &str = "<!-- walk -->";
const END: &str = "<!-- /walk -->";
/// Printed behind each block; nothing else prints it.
const MARK: &str = "\u{1e}end of block";

/// Commands, and what they print where the text says it.
#[derive(Debug, PartialEq)]
pub struct Step {
    pub commands: String,
    pub prints: Option<Output>,
}

#[derive(Debug, PartialEq)]
pub enum Output {
    Json(String),
    Text(String),
}

/// The walks of a document, each with its steps, in order.
pub fn walks(document: &str) -> Vec<Vec<Step>> {
    let parts = document.split(BEGIN).skip(1);
    let walks: Vec<_> = parts
        .map(|part| {
            let walk = part.split_once(END);
            steps(
                walk.unwrap_or_else(|| panic!("there is no {END} behind a {BEGIN}"))
                    .0,
            )
        })
        .collect();
    assert!(!walks.is_empty(), "there is no {BEGIN} … {END}");
    walks
}

fn steps(walk: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut lines = walk.lines();
    let mut is_right_behind = false;
    while let Some(line) = lines.next() {
        let Some(kind) = line.strip_prefix("```") else {
            // Prose between the two ends their belonging together; an empty line doesn't.
            is_right_behind &= line.trim().is_empty();
            continue;
        };
        let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
        let block = block.join("\n");
        match (kind, is_right_behind) {
            ("sh", _) => steps.push(Step {
                commands: block,
                prints: None,
            }),
            ("json", true) => steps.last_mut().unwrap().prints = Some(Output::Json(block)),
            ("" | "text", true) => steps.last_mut().unwrap().prints = Some(Output::Text(block)),
            _ => panic!("a block of {kind:?} that is neither run nor the output of one that is:\n{block}"),
        }
        is_right_behind = kind == "sh";
    }
    assert!(!steps.is_empty(), "the walk has no steps");
    steps
}

/// One script of all steps, with a mark behind each. `begin` is its first line.
pub fn script(begin: &str, steps: &[Step]) -> String {
    let mut script = format!("{begin}\n");
    for step in steps {
        writeln!(script, "{}\nprintf '\\n%s\\n' '{MARK}'", step.commands).unwrap();
    }
    script
}

/// Whether a text is as another says, in which … stands for anything.
fn fits(expected: &str, actual: &str) -> bool {
    let mut parts = expected.split('…');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = actual.strip_prefix(first) else {
        return false;
    };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else {
        return rest.is_empty();
    };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

/// The places at which a value differs from the expected one. `"…"` alone stands for any value.
fn differences(expected: &Value, actual: &Value, place: &str, found: &mut Vec<String>) {
    match (expected, actual) {
        (Value::String(text), _) if text == "…" => {}
        (Value::String(text), Value::String(other)) if fits(text, other) => {}
        (Value::Object(members), Value::Object(others)) => {
            for name in members
                .keys()
                .chain(others.keys().filter(|name| !members.contains_key(*name)))
            {
                let place = format!("{place}/{name}");
                match (members.get(name), others.get(name)) {
                    (Some(member), Some(other)) => differences(member, other, &place, found),
                    (Some(_), None) => found.push(format!("{place} is not printed")),
                    _ => found.push(format!("{place} is printed as well: {}", others[name])),
                }
            }
        }
        (Value::Array(items), Value::Array(others)) if items.len() == others.len() => {
            for (index, (item, other)) in items.iter().zip(others).enumerate() {
                differences(item, other, &format!("{place}/{index}"), found);
            }
        }
        _ if expected == actual => {}
        _ => found.push(format!("{place} should be {expected}, and is {actual}")),
    }
}

/// Holds what a walk has printed against what its document says.
pub fn check_all(steps: &[Step], printed: &str) {
    let mut outputs = printed.split(MARK);
    for step in steps {
        let printed = outputs.next().unwrap_or_default();
        if let Some(expected) = &step.prints {
            let result = check(expected, printed);
            assert!(
                result.is_ok(),
                "{}\nprints something else:\n{}",
                step.commands,
                result.unwrap_err()
            );
        }
    }
}

fn check(expected: &Output, printed: &str) -> Result<(), String> {
    let printed = printed.trim();
    match expected {
        Output::Json(text) => {
            let read = |text: &str| {
                serde_json::from_str::<Value>(text).map_err(|error| format!("{error} in {text}"))
            };
            let mut found = Vec::new();
            differences(&read(text)?, &read(printed)?, "", &mut found);
            if found.is_empty() {
                Ok(())
            } else {
                Err(found.join("\n"))
            }
        }
        Output::Text(text) => {
            let (expected, actual): (Vec<_>, Vec<_>) =
                (text.trim().lines().collect(), printed.lines().collect());
            let is_same = expected.len() == actual.len()
                && expected
                    .iter()
                    .zip(&actual)
                    .all(|(expected, actual)| fits(expected, actual.trim_end()));
            if is_same {
                Ok(())
            } else {
                Err(format!("should be\n{text}\nand is\n{printed}"))
            }
        }
    }
}

const SAMPLE: &str = r#"
```sh
not part of the walk
```
<!-- walk -->
First, this:

```sh
API=${API:-http://127.0.0.1:8000}
echo '{"id": "0198", "list": [1, 2], "at": "2026-01-01T00:00:00Z", "name": null}'
```

```json
{"id": "…", "list": [1, 2], "at": "2026-…Z", "name": null}
```

Then, which prints nothing:

```sh
name=Ada
```
And at last:
```sh
echo "Hello, $name"; echo "$API" "$(date +%s)"
```
```text
Hello, Ada
http://… …
```
<!-- /walk -->
```json
"not part of it either"
```
<!-- walk -->
```sh
echo another
```
<!-- /walk -->
"#;

#[tokio::test]
async fn a_walk_is_read_run_and_compared() {
    let mut walks = walks(SAMPLE);
    assert_eq!(walks.len(), 2);
    let steps = walks.swap_remove(0);
    assert_eq!(steps.len(), 3);
    assert_eq!(
        steps[1],
        Step {
            commands: "name=Ada".to_owned(),
            prints: None
        }
    );
    let mut bash = Installation::new().program("bash");
    bash.current_dir("/").args(["-c", &script("set -eu", &steps)]);
    let ended = finish(bash, "").await;
    assert_eq!(ended.code, 0, "{ended:?}");
    let outputs: Vec<_> = ended.stdout.split(MARK).collect();
    assert_eq!(outputs.len(), 4);
    check_all(&steps, &ended.stdout);
}

#[test]
fn what_differs_is_named() {
    let expected = Output::Json(r#"{"a": "…", "b": {"c": [1, "x…"]}, "d": 1}"#.to_owned());
    check(
        &expected,
        r#"{"d": 1, "b": {"c": [1, "xyz"]}, "a": {"any": "thing"}}"#,
    )
    .unwrap();
    let wrong = check(&expected, r#"{"a": 1, "b": {"c": [2, "yz"]}, "e": true}"#).unwrap_err();
    let lines: Vec<_> = wrong.lines().collect();
    assert_eq!(
        lines,
        [
            "/b/c/0 should be 1, and is 2",
            "/b/c/1 should be \"x…\", and is \"yz\"",
            "/d is not printed",
            "/e is printed as well: true",
        ]
    );
    check(&expected, "not JSON").unwrap_err();
    let text = Output::Text("HTTP/1.1 204 …\nx: …".to_owned());
    check(&text, "HTTP/1.1 204 No Content\r\nx: 1\n").unwrap();
    check(&text, "HTTP/1.1 404 Not Found\nx: 1\n").unwrap_err();
    check(&text, "HTTP/1.1 204 No Content\n").unwrap_err();
}

#[test]
fn a_part_that_stands_for_anything_takes_anything() {
    for (expected, actual, is_fit) in [
        ("…", "", true),
        ("abc", "abc", true),
        ("abc", "abcd", false),
        ("a…c", "ac", true),
        ("a…c", "abcbc", true),
        ("a…b…c", "a--b--c", true),
        ("a…b…c", "a--c--b", false),
        ("…c", "abc", true),
        ("a…a", "a", false),
    ] {
        assert_eq!(fits(expected, actual), is_fit, "{expected} {actual}");
    }
}
