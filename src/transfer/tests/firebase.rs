//! The hash parameters of Firebase inside its file.

use serde_json::json;

use super::*;

/// What was read without parameters beside the file: each row's hash or refusal, and how the reading ended.
fn read_alone(text: &str, given: Option<&FirebaseConfig>) -> (Vec<String>, Result<(), String>) {
    let checks = Checks {
        now: now(),
        is_readable: |_| Ok(()),
    };
    let mut told = Vec::new();
    let ended = read(
        Source::Firebase,
        given,
        &checks,
        text.as_bytes(),
        &mut |_, row| {
            told.push(match row {
                Ok(user) => hash(&user).to_owned(),
                Err(refusal) => refusal.to_string(),
            });
            ControlFlow::Continue(())
        },
    );
    (told, ended.map_err(|fault| fault.to_string()))
}

/// A user with a password, and a document of members in this order.
fn document(members: &[(&str, &Value)]) -> String {
    let members: Vec<String> = members
        .iter()
        .map(|(name, value)| format!("{}:{value}", json!(name)))
        .collect();
    format!("{{{}}}", members.join(",\n"))
}

fn users() -> Value {
    json!([{"email": "ada@x.test", "passwordHash": "aGFzaA==", "salt": "c2FsdA=="}])
}

fn parameters() -> Value {
    json!({"algorithm": "SCRYPT", "base64_signer_key": "a2V5", "base64_salt_separator": "Bw==", "rounds": 8, "mem_cost": 14})
}

#[test]
fn parameters_before_the_users_make_their_hashes_whatever_they_are_written_as() {
    let console = "hash_config {\n  algorithm: SCRYPT,\n  base64_signer_key: a2V5,\n  base64_salt_separator: Bw==,\n  rounds: 8,\n  \
                   mem_cost: 14,\n}\n";
    let of_the_api = json!({"algorithm": "SCRYPT", "signerKey": "a2V5", "saltSeparator": "Bw==", "rounds": 8, "memoryCost": 14});
    for (name, value) in [
        ("hash_config", parameters()),
        ("hash_config", json!(console)),
        ("hashConfig", of_the_api),
    ] {
        let text = document(&[("kind", &json!("x")), (name, &value), ("users", &users())]);
        let hashes = ["$fbscrypt$v=1,n=14,r=8,p=1,ss=Bw==,sk=a2V5$c2FsdA==$aGFzaA==".to_owned()];
        assert_eq!(read_alone(&text, None), (hashes.to_vec(), Ok(())), "{text}");
    }
}

#[test]
fn without_parameters_a_password_is_refused_with_what_is_missing() {
    let (told, ended) = read_alone(&document(&[("users", &users())]), None);
    assert_eq!(ended, Ok(()));
    assert_eq!(
        told,
        [
            "passwordHash: can't be checked without the project's hash parameters: give them as the member hash_config before \
             users, or to the command with --firebase-config"
        ]
    );
}

#[test]
fn parameters_that_come_late_twice_or_wrong_end_the_reading() {
    let (users, good) = (users(), parameters());
    let mut bad = good.clone();
    bad["rounds"] = json!(9);
    let list = json!([]);
    let long = json!("x".repeat(super::super::sources::MAX_ROW_BYTES));
    for (members, detail) in [
        (
            vec![("users", &users), ("hash_config", &good)],
            "has its hash_config behind its users: it must come first, as users are read one by one",
        ),
        (
            vec![("hash_config", &good), ("hashConfig", &good), ("users", &users)],
            "has two members \"hash_config\"",
        ),
        (
            vec![("hash_config", &bad), ("users", &users)],
            "has a wrong hash_config: the hash parameters must have rounds between 1 and 8",
        ),
        (
            vec![("hash_config", &list), ("users", &users)],
            "has a wrong hash_config: the hash parameters must be an object, or the console's text as a string",
        ),
        (
            vec![("hash_config", &long), ("users", &users)],
            "has a wrong hash_config: the hash parameters must be an object, or the console's text as a string",
        ),
    ] {
        let (told, ended) = read_alone(&document(&members), None);
        assert_eq!(ended, Err(format!("the file {detail}")));
        // Nobody with a password was handed on without its hash.
        assert!(
            told.iter().all(|row| row.starts_with("passwordHash: ")),
            "{told:?}"
        );
    }
    let text = document(&[("hash_config", &good), ("users", &users)]);
    let (told, ended) = read_alone(&text, Some(&firebase_config()));
    assert_eq!(
        (told, ended),
        (
            Vec::new(),
            Err("the file has a hash_config, and another one was given besides: give it once".to_owned())
        )
    );
}

#[test]
fn what_other_systems_call_the_same_is_nothing_here() {
    let text = r#"{"hash_config": 7, "users": [{"email": "a@x.test"}]}"#;
    assert_eq!(rows(Source::Keycloak, text).len(), 1);
}
