//! Roster's own lines.

use serde_json::json;

use super::*;

const FULL: &str = concat!(
    r#"{"version":1,"id":"0190a5d0-3c5e-7b2f-8a41-0d6f2b7c9e13","email":"ada@example.org","email_verified":true,"#,
    r#""pending_email":"ada@example.com","display_name":"Ada Lovelace","locale":"en-GB","#,
    r#""metadata":{"a":[1.5,"é"],"b":{}},"roles":["admin","editor"],"status":"disabled","#,
    r#""password_hash":"$2b$12$x","created_at":"2024-01-15T10:30:00.000Z","#,
    r#""updated_at":"2024-01-15T10:30:00.001Z","last_login_at":"2024-05-31T09:30:00.500Z","#,
    r#""password_changed_at":"2024-01-15T10:30:00.000Z"}"#
);

#[test]
fn a_line_comes_out_as_it_went_in() {
    let user = only(Source::Roster, FULL).unwrap();
    assert_eq!(*user.to_line(true).unwrap(), FULL);
    let without = FULL.replace(r#""password_hash":"$2b$12$x","#, "");
    assert_eq!(*user.to_line(false).unwrap(), without);
}

#[test]
fn only_the_address_is_needed_and_null_is_nothing() {
    let user = only(Source::Roster, r#"{"email":"Ada@Example.org"}"#).unwrap();
    let line = user.to_line(true).unwrap();
    assert_eq!(
        *line,
        concat!(
            r#"{"version":1,"id":null,"email":"ada@example.org","email_verified":false,"pending_email":null,"#,
            r#""display_name":null,"locale":null,"metadata":{},"roles":[],"status":"active","password_hash":null,"#,
            r#""created_at":null,"updated_at":null,"last_login_at":null,"password_changed_at":null}"#
        )
    );
    let again = only(Source::Roster, line.as_str()).unwrap();
    assert_eq!(again.to_line(true).unwrap(), line);
}

#[test]
fn every_spelling_has_one_line() {
    let odd = r#" {"roles":["editor","admin","editor"],"metadata":{"b":{} , "a":[1.50,"\u00e9"]},"created_at":
"#;
    assert_eq!(refusal(Source::Roster, odd), "row: must be valid JSON");
    let odd = odd.replace(
        '\n',
        r#""2024-01-15T11:30:00+01:00","email":" ADA@example.org "}"#,
    );
    let user = only(Source::Roster, odd).unwrap();
    let line = user.to_line(false).unwrap();
    assert!(
        line.contains(r#""roles":["admin","editor"]"#)
            && line.contains(r#""created_at":"2024-01-15T10:30:00.000Z""#)
    );
    assert_eq!(
        only(Source::Roster, line.as_str())
            .unwrap()
            .to_line(false)
            .unwrap(),
        line
    );
}

#[test]
fn what_is_wrong_is_named_and_never_repeated() {
    for (members, refused) in [
        (r#""emial":1"#, "emial: is unknown: there are id, email,"),
        (r#""\u001b[2J":1"#, "\\u{1b}[2J: is unknown"),
        (r#""version":2"#, "version: must be 1"),
        (r#""version":"1""#, "version: must be 1"),
        (r#""email":"b@x.test""#, "email: must be there only once"),
        (r#""id":7"#, "id: must be a string"),
        (r#""id":"7""#, "id: must be a UUID such as"),
        (
            r#""id":"00000000-0000-0000-0000-000000000000""#,
            "id: must be a UUID such as",
        ),
        (
            r#""id":"0190a5d03c5e7b2f8a410d6f2b7c9e13""#,
            "id: must be a UUID such as",
        ),
        (
            r#""email_verified":"true""#,
            "email_verified: must be true or false",
        ),
        (r#""email_verified":1"#, "email_verified: must be true or false"),
        (
            r#""pending_email":"b""#,
            "pending_email: must be one plain address",
        ),
        (
            r#""display_name":"\n""#,
            "display_name: must not contain control characters",
        ),
        (r#""locale":"_""#, "locale: must be a BCP 47 language tag"),
        (r#""metadata":"{}""#, "metadata: must be an object"),
        (
            r#""metadata":{"a":"\u0000"}"#,
            "metadata: must not contain a NUL character",
        ),
        (r#""metadata":{"a":{"b":1,"b":2}}"#, "b: must be there only once"),
        (r#""roles":"admin""#, "roles: must be an array"),
        (r#""roles":[1]"#, "roles: must be an array of strings"),
        (r#""roles":["A"]"#, "roles: a role has 1 to 32 characters"),
        (r#""status":"banned""#, "status: must be active or disabled"),
        (r#""password_hash":{}"#, "password_hash: must be a string"),
        (r#""created_at":1717147800"#, "created_at: must be a string"),
        (
            r#""created_at":"2024-05-31 09:30:00""#,
            "created_at: must be a time such as",
        ),
        (
            r#""created_at":"10000-05-31T09:30:00Z""#,
            "created_at: must be a time such as",
        ),
    ] {
        let found = refusal(Source::Roster, format!(r#"{{"email":"a@x.test",{members}}}"#));
        assert!(found.starts_with(refused), "{members}: {found}");
    }
    for (line, refused) in [
        ("{}", "email: is missing, and users are known by it"),
        (
            r#"{"email":null}"#,
            "email: is missing, and users are known by it",
        ),
        (r#"{"email":"a"}"#, "email: must be one plain address"),
        ("{", "row: must be valid JSON"),
        (r#"{"email":"a@x.test"} {}"#, "row: must be valid JSON"),
    ] {
        let found = refusal(Source::Roster, line);
        assert!(found.starts_with(refused), "{line}: {found}");
    }
}

#[test]
fn metadata_is_bounded_in_size_and_depth() {
    let line = |metadata: &str| format!(r#"{{"email":"a@x.test","metadata":{metadata}}}"#);
    let frame = r#"{"k":""}"#.len();
    let text = |bytes: usize| json!({"k": "x".repeat(bytes - frame)}).to_string();
    assert!(only(Source::Roster, line(&text(16_384))).is_ok());
    assert_eq!(
        refusal(Source::Roster, line(&text(16_385))),
        "metadata: must have at most 16384 bytes as compact JSON"
    );
    let nested = |levels: usize| format!("{}1{}", r#"{"a":"#.repeat(levels), "}".repeat(levels));
    let deepest = only(Source::Roster, line(&nested(31))).unwrap();
    assert!(only(Source::Roster, deepest.to_line(false).unwrap().as_str()).is_ok());
    assert_eq!(
        refusal(Source::Roster, line(&nested(32))),
        "row: must not be nested deeper than 32 levels"
    );
    // In a cell it could be a level deeper, and then couldn't be read again once exported.
    let quoted = |levels: usize| {
        format!(
            "email,metadata\na@x.test,\"{}\"\n",
            nested(levels).replace('"', "\"\"")
        )
    };
    assert!(only(Source::Csv, quoted(31)).is_ok());
    assert_eq!(
        refusal(Source::Csv, quoted(32)),
        "metadata: must not be nested deeper than 31 levels"
    );
}
