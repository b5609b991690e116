//! Tables: our own, and what is held of all of them.

use serde_json::json;

use super::*;
use crate::domain::Role;

#[test]
fn a_table_of_our_own_names() {
    let text = "\u{feff}email,display_name,roles,metadata,email_verified,status,created_at\r\n\
                ada@example.org,\"Lovelace, Ada\",editor; admin,\"{\"\"a\"\":1}\",true,disabled,2024-01-15T10:30:00Z\r\n\
                \r\n\
                grace@example.org,,,,,,\r\n";
    let rows = rows(Source::Csv, text);
    let [(2, Ok(ada)), (4, Ok(grace))] = rows.as_slice() else {
        panic!("{rows:?}")
    };
    assert_eq!(ada.display_name.as_ref().unwrap().as_str(), "Lovelace, Ada");
    assert_eq!(
        ada.roles.iter().map(Role::as_str).collect::<Vec<_>>(),
        ["admin", "editor"]
    );
    assert_eq!((metadata(ada), ada.email_verified), (json!({"a": 1}), true));
    assert_eq!(ada.created_at, time("2024-01-15T10:30:00Z"));
    assert_eq!(ada.status.as_str(), "disabled");
    assert!(!grace.email_verified && grace.roles.is_empty() && grace.display_name.is_none());
}

#[test]
fn lines_are_counted_through_cells_of_several() {
    let text = "email,metadata\na@x.test,\"{\n\n}\"\nb@x.test,{}\n\n\nc@x.test,[]";
    let lines: Vec<_> = rows(Source::Csv, text)
        .into_iter()
        .map(|(line, row)| (line, row.err().map(|refusal| refusal.to_string())))
        .collect();
    let refused = Some("metadata: must be an object".to_owned());
    assert_eq!(lines, [(2, None), (5, None), (8, refused)]);
}

#[test]
fn a_header_is_held_to_what_must_and_may_be_there() {
    for (source, text, detail) in [
        (Source::Csv, "", "the file is empty: a header is expected"),
        (Source::Csv, "name\n", "that has the column email"),
        (Source::Csv, "email;display_name\n", "that has the column email"),
        (
            Source::Csv,
            "email,emial\n",
            "must not have a column emial: there are id, email,",
        ),
        (Source::Csv, "email,email\n", "has two columns of the name email"),
        (Source::Csv, "email,\u{1b}\n", "must not have a column \\u{1b}:"),
        (
            Source::Django,
            "email,password\n",
            "that has the column is_active",
        ),
        (
            Source::FastapiUsers,
            "email,is_active\n",
            "that has the column hashed_password",
        ),
        (
            Source::Supabase,
            "email\n",
            "that has the column encrypted_password",
        ),
        (Source::BetterAuth, "email\n", "that has the column password"),
    ] {
        let found = fault(source, text);
        assert!(found.contains(detail), "{text:?}: {found}");
    }
    assert!(fault(Source::Csv, b"email,\xff\n").contains("has a header that must be UTF-8"));
    assert_eq!(
        fault(Source::Csv, b"\xff\xfee\0"),
        "the file is UTF-16: save it as UTF-8"
    );
    assert_eq!(
        fault(Source::Auth0, b"\x1f\x8b\x08"),
        "the file is compressed: unpack it first"
    );
    assert_eq!(fault(Source::Csv, b"\xefx"), "the file must be UTF-8");
}

#[test]
fn a_bad_row_costs_the_others_nothing() {
    let long = "x".repeat(2 << 20);
    let many = ",".repeat(5000);
    let mut text = b"email,display_name\na@x.test,A\n".to_vec();
    text.extend(format!("b@x.test,{long}\nc@x.test\nd@x.test,D,{many}\n").into_bytes());
    text.extend(b"e@x.test,\xff\nf@x.test,F\n");
    let found: Vec<_> = rows(Source::Csv, text)
        .into_iter()
        .map(|(line, row)| {
            (
                line,
                row.map(|user| user.email.to_string())
                    .map_err(|refusal| refusal.to_string()),
            )
        })
        .collect();
    assert_eq!(
        found,
        [
            (2, Ok("a@x.test".to_owned())),
            (
                3,
                Err("row: must have at most 1048576 bytes and 1024 cells".to_owned())
            ),
            (
                4,
                Err("row: must have as many cells as the header, 2, and has 1".to_owned())
            ),
            (
                5,
                Err("row: must have at most 1048576 bytes and 1024 cells".to_owned())
            ),
            (6, Err("display_name: must be UTF-8".to_owned())),
            (7, Ok("f@x.test".to_owned())),
        ]
    );
}
