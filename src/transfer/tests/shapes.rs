//! Files: lines, arrays, objects; whole, broken, cut, endless.

use std::io::{self, BufReader, Read};

use super::*;
use crate::transfer::sources::MAX_ROW_BYTES;

const SAMPLES: [(Source, &str); 9] = [
    (Source::Django, "django.csv"),
    (Source::FastapiUsers, "fastapi-users.csv"),
    (Source::Supabase, "supabase.csv"),
    (Source::Supabase, "supabase.json"),
    (Source::Firebase, "firebase.json"),
    (Source::Keycloak, "keycloak.json"),
    (Source::Auth0, "auth0.jsonl"),
    (Source::BetterAuth, "better-auth.csv"),
    (Source::BetterAuth, "better-auth.json"),
];

/// What came of a row, in short.
fn told(rows: &[Row]) -> Vec<(u64, String)> {
    rows.iter()
        .map(|(line, row)| match row {
            Ok(user) => (*line, user.email.to_string()),
            Err(refusal) => (*line, refusal.to_string()),
        })
        .collect()
}

#[test]
fn names_are_read_as_they_are_written() {
    for source in Source::ALL {
        assert_eq!(source.to_string().parse(), Ok(source));
    }
    let fault = "Django".parse::<Source>().unwrap_err();
    assert_eq!(
        fault,
        "a source is one of roster, csv, django, fastapi-users, supabase, firebase, keycloak, auth0, better-auth"
    );
}

#[test]
fn users_are_the_same_in_lines_in_an_array_and_in_an_object() {
    let (one, two) = (
        r#"{"email":"a@x.test"}"#,
        r#"{"email":"b@x.test","x":["]}\"",{}]}"#,
    );
    let both = [(1, "a@x.test".to_owned()), (2, "b@x.test".to_owned())];
    for (source, text) in [
        (Source::Auth0, format!("{one}\n{two}\n")),
        (Source::Auth0, format!("{one}\r\n  {two}")),
        (Source::Auth0, format!("[{one},\n{two}]\n")),
        (Source::Keycloak, format!("[{one},\n{two}]")),
        (Source::Keycloak, format!(r#"{{"users":[{one},{}{two}]}}"#, '\n')),
        (
            Source::Keycloak,
            format!(
                r#"{{"a":{{"users":[7]}},"b":"]","users":[{one},{}{two}], "users ":[]}}"#,
                '\n'
            ),
        ),
    ] {
        assert_eq!(told(&rows(source, &text)), both, "{text}");
    }
    assert!(rows(Source::Firebase, r#"{"users":[]}"#).is_empty());
    assert!(rows(Source::Auth0, " \n").is_empty());
}

#[test]
fn a_file_that_is_not_the_format_says_what_it_should_be() {
    for (source, text, detail) in [
        (Source::Roster, "[]", "must be JSON lines: an object a line"),
        (Source::Roster, "email\n", "must be JSON lines: an object a line"),
        (
            Source::Auth0,
            "email\n",
            "must be JSON lines or a JSON array of objects",
        ),
        (
            Source::Firebase,
            "uid,email\n",
            "must be JSON, {\"users\": […]}: export with --format=json",
        ),
        (
            Source::Keycloak,
            "",
            "must be JSON: {\"users\": […]}, or an array of users",
        ),
        (
            Source::Keycloak,
            "{}",
            "must have a member \"users\" with an array of users",
        ),
        (
            Source::Keycloak,
            r#"{"realm":"x"}"#,
            "must have a member \"users\" with an array of users",
        ),
        (
            Source::Keycloak,
            r#"{"users":[],"users":[]}"#,
            "has two members \"users\"",
        ),
        (
            Source::Keycloak,
            r#"{"users":{}}"#,
            "isn't valid JSON on line 1: an array of users must begin here",
        ),
        (
            Source::Keycloak,
            "{\n1:2}",
            "isn't valid JSON on line 2: the name of a member must be here",
        ),
        (
            Source::Keycloak,
            r#"{"a" 1}"#,
            "isn't valid JSON on line 1: a colon must be here",
        ),
        (
            Source::Keycloak,
            r#"{"a":}"#,
            "isn't valid JSON on line 1: a value must be here",
        ),
        (
            Source::Keycloak,
            r#"{"a":1 "b":2}"#,
            "isn't valid JSON on line 1: a comma or the end of the object",
        ),
        (
            Source::Keycloak,
            "[{}\n\n{}]",
            "isn't valid JSON on line 3: a comma or the end of the array",
        ),
        (
            Source::Keycloak,
            "[,]",
            "isn't valid JSON on line 1: a value must be here",
        ),
        (
            Source::Keycloak,
            "[{},]",
            "isn't valid JSON on line 1: a value must be here",
        ),
        (
            Source::Keycloak,
            "[{}",
            "isn't valid JSON on line 1: it ends too early",
        ),
        (
            Source::Keycloak,
            "[{\"a\":\"",
            "isn't valid JSON on line 1: it ends too early",
        ),
        (
            Source::Keycloak,
            "[]\n[]",
            "isn't valid JSON on line 2: there is more behind its end",
        ),
    ] {
        let found = fault(source, text);
        assert!(
            found.starts_with(&format!("the file {detail}")),
            "{text}: {found}"
        );
    }
}

#[test]
fn a_bad_user_in_an_array_costs_the_others_nothing() {
    let long = "x".repeat(MAX_ROW_BYTES);
    let deep = "[".repeat(100_000) + &"]".repeat(100_000);
    let text = format!(
        "[{{\"email\":\"a@x.test\"}},\n{{\"email\":}},\n7,\n\"{long}\",\n{{\"a\":{deep}}},\n{{\"a\":1,\"a\":2}},\n\
         {{\"email\":\"b@x.test\"}}]"
    );
    let told = told(&rows(Source::Auth0, text));
    let told: Vec<_> = told.iter().map(|(line, text)| (*line, text.as_str())).collect();
    assert_eq!(
        told,
        [
            (1, "a@x.test"),
            (2, "row: must be valid JSON"),
            (3, "row: must be a JSON object"),
            (4, "row: must have at most 1048576 bytes"),
            (5, "row: must not be nested deeper than 32 levels"),
            (6, "a: must be there only once"),
            (7, "b@x.test"),
        ]
    );
}

#[test]
fn a_line_may_have_a_mebibyte_and_no_byte_more() {
    let frame = r#"{"email":"a@x.test","x":""}"#.len();
    let line = |bytes: usize| format!(r#"{{"email":"a@x.test","x":"{}"}}"#, "y".repeat(bytes - frame));
    let text = format!(
        "{}\n{}\n{}\n",
        line(MAX_ROW_BYTES),
        line(MAX_ROW_BYTES + 1),
        line(100)
    );
    let told = told(&rows(Source::Auth0, text));
    assert_eq!(told.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [1, 2, 3]);
    let refused: Vec<_> = told
        .iter()
        .map(|(_, text)| text.starts_with("row: must have at most"))
        .collect();
    assert_eq!(refused, [false, true, false]);
}

#[test]
fn whoever_has_seen_enough_ends_the_reading() {
    let checks = Checks::at(now());
    for (source, name) in SAMPLES {
        let mut seen = 0;
        read(source, None, &checks, sample(name).as_slice(), &mut |_, _| {
            seen += 1;
            ControlFlow::Break(())
        })
        .unwrap();
        assert_eq!(seen, 1, "{name}");
    }
}

/// Gives a byte at a time, so that every border between two reads is met.
struct Trickle<'a>(&'a [u8]);

impl Read for Trickle<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let (Some((first, rest)), Some(place)) = (self.0.split_first(), buffer.first_mut()) else {
            return Ok(0);
        };
        *place = *first;
        self.0 = rest;
        Ok(1)
    }
}

#[test]
fn it_is_the_same_however_the_bytes_arrive() {
    let config = firebase_config();
    let checks = Checks {
        now: now(),
        is_readable: |_| Ok(()),
    };
    for (source, name) in SAMPLES {
        let bytes = sample(name);
        let whole = rows(source, &bytes);
        let mut trickled = Vec::new();
        let input = BufReader::with_capacity(1, Trickle(&bytes));
        read(source, Some(&config), &checks, input, &mut |line, row| {
            trickled.push((line, row));
            ControlFlow::Continue(())
        })
        .unwrap();
        assert_eq!(format!("{whole:?}"), format!("{trickled:?}"), "{name}");
    }
}

#[test]
fn a_file_cut_anywhere_is_read_up_to_the_cut() {
    for (source, name) in SAMPLES {
        let bytes = sample(name);
        let whole = told(&rows(source, &bytes));
        for end in 0..bytes.len() {
            let (found, _) = read_all(source, &bytes[..end]);
            let found = told(&found);
            // The last row may be another one: a line that is cut can still look like a line.
            let untouched = found.len().saturating_sub(1);
            assert_eq!(found[..untouched], whole[..untouched], "{name} cut at {end}");
        }
        for source in Source::ALL {
            let _ = read_all(source, &bytes);
        }
    }
}

#[test]
fn every_user_can_be_exported_and_imported_again() {
    for (source, name) in SAMPLES {
        for (_, row) in rows(source, sample(name)) {
            let Ok(user) = row else { continue };
            let line = user.to_line(true).unwrap();
            let again = only(Source::Roster, line.as_str()).unwrap();
            assert_eq!(again.to_line(true).unwrap(), line, "{name}");
        }
    }
}

/// The same text over and over, and an error where more of it is asked for than anybody needs.
struct Endless {
    text: &'static [u8],
    given: usize,
}

impl Read for Endless {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.given > 8 << 20 {
            return Err(io::Error::other("asked for too much"));
        }
        for place in buffer.iter_mut() {
            *place = self.text[self.given % self.text.len()];
            self.given += 1;
        }
        Ok(buffer.len())
    }
}

#[test]
fn a_file_without_end_is_handed_on_as_it_comes() {
    let checks = Checks::at(now());
    for (source, start, text) in [
        (Source::Roster, "", "{\"email\":\"a@x.test\"}\n"),
        (Source::Auth0, "[{}", ",\n{\"email\":\"a@x.test\"}"),
        (Source::Keycloak, "{\"users\":[{}", ",\n{\"email\":\"a@x.test\"}"),
        (Source::Csv, "email\n", "a@x.test\n"),
    ] {
        let endless = Endless {
            text: text.as_bytes(),
            given: 0,
        };
        let input = BufReader::new(start.as_bytes().chain(endless));
        let mut left = 10_000;
        read(source, None, &checks, input, &mut |_, _| {
            left -= 1;
            if left == 0 {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        })
        .unwrap();
        assert_eq!(left, 0, "{source}");
    }
}

#[test]
fn what_the_system_says_is_told() {
    let endless = Endless {
        text: b"{\"email\":\"a@x.test",
        given: 0,
    };
    let checks = Checks::at(now());
    let result = read(
        Source::Roster,
        None,
        &checks,
        BufReader::new(endless),
        &mut |_, _| ControlFlow::Continue(()),
    );
    assert_eq!(
        result.unwrap_err().to_string(),
        "cannot read the file: asked for too much"
    );
}
