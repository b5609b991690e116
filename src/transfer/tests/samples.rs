//! Every sample in `tests/exports`, and the finer points of its source.

use serde_json::json;

use super::*;
use crate::domain::{Role, UserStatus};

fn roles(user: &UserRecord) -> Vec<&str> {
    user.roles.iter().map(Role::as_str).collect()
}

fn name(user: &UserRecord) -> Option<&str> {
    user.display_name.as_ref().map(crate::domain::DisplayName::as_str)
}

/// The users of a sample whose rows are all good but those that are named.
fn users(source: Source, sample_name: &str, refused: &[(usize, &str)]) -> Vec<UserRecord> {
    let mut users = Vec::new();
    for (index, (line, row)) in rows(source, sample(sample_name)).into_iter().enumerate() {
        match (row, refused.iter().find(|(at, _)| *at == index)) {
            (Ok(user), None) => users.push(user),
            (Err(refusal), Some((_, member))) => assert_eq!(refusal.member, *member),
            (row, _) => panic!("line {line}: {row:?}"),
        }
    }
    users
}

#[test]
fn django() {
    let users = users(Source::Django, "django.csv", &[(6, "email")]);
    let [ada, grace, edsger, barbara, kurt, alan] = users.as_slice() else {
        panic!("six users")
    };
    assert_eq!(ada.email.as_str(), "ada@example.org");
    assert_eq!(
        (ada.id, ada.email_verified, name(ada)),
        (None, false, Some("Ada Lovelace"))
    );
    assert_eq!(
        metadata(ada),
        json!({"django": {"id": 1, "username": "ada", "first_name": "Ada", "last_name": "Lovelace",
            "is_superuser": true, "is_staff": true}})
    );
    assert!(ada.roles.is_empty(), "a foreign superuser is nobody here");
    assert!(ada.created_at.is_some() && ada.last_login_at.is_none());
    for (user, start) in [
        (ada, "pbkdf2_sha256$1000000$"),
        (grace, "argon2$argon2id$v=19$"),
        (edsger, "bcrypt_sha256$$2b$12$"),
        (barbara, "scrypt$"),
        (kurt, "pbkdf2_sha1$"),
    ] {
        assert!(hash(user).starts_with(start), "{start}");
    }
    assert_eq!(
        (edsger.status, kurt.status),
        (UserStatus::Disabled, UserStatus::Active)
    );
    assert!(alan.password_hash.is_none(), "an unusable password is none");
    assert_eq!(name(alan), Some("Alan"));
}

#[test]
fn django_on_every_database() {
    let header = "id,password,last_login,email,is_active,date_joined\n";
    for (row, last_login) in [
        (
            "7,x,2024-05-31 11:30:00.5+02,a@x.test,t,2024-01-15 10:30:00+00",
            time("2024-05-31T09:30:00.5Z"),
        ),
        (
            "7,x,2024-05-31 09:30:00.500000,a@x.test,1,2024-01-15 10:30:00",
            time("2024-05-31T09:30:00.5Z"),
        ),
        ("7,x,NULL,a@x.test,1,2024-01-15 10:30:00.000000", None),
        ("7,x,\\N,a@x.test,True,2024-01-15 10:30:00.000000", None),
        (
            "7,x,0000-00-00 00:00:00,a@x.test,true,2024-01-15 10:30:00.000000",
            None,
        ),
    ] {
        let user = only(Source::Django, format!("{header}{row}\n")).unwrap();
        assert_eq!(user.last_login_at, last_login, "{row}");
        assert_eq!(user.created_at, time("2024-01-15T10:30:00Z"), "{row}");
        assert_eq!(user.status, UserStatus::Active);
    }
    let refused = refusal(Source::Django, format!("{header}7,x,,a@x.test,yes,\n"));
    assert_eq!(refused, "is_active: must be true or false, t or f, 1 or 0");
    let refused = refusal(Source::Django, format!("{header}7,x,yesterday,a@x.test,1,\n"));
    assert!(refused.starts_with("last_login: must be a time such as"));
}

#[test]
fn fastapi_users() {
    let users = users(Source::FastapiUsers, "fastapi-users.csv", &[]);
    let [ada, grace] = users.as_slice() else {
        panic!("two users")
    };
    assert_eq!(
        ada.id.unwrap().to_string(),
        "0d2f4f0e-6a0b-4c7a-9a55-7f3f2c9e1d10"
    );
    assert!(ada.email_verified && !grace.email_verified);
    assert!(hash(ada).starts_with("$argon2id$") && hash(grace).starts_with("$2b$06$"));
    assert_eq!(
        metadata(ada),
        json!({"fastapi-users": {"is_superuser": true, "first_name": "Ada"}})
    );
    assert_eq!(
        (ada.status, grace.status),
        (UserStatus::Active, UserStatus::Disabled)
    );
    assert!(ada.roles.is_empty());
}

#[test]
fn supabase_as_table_and_as_array() {
    for file in ["supabase.csv", "supabase.json"] {
        let users = users(Source::Supabase, file, &[(2, "deleted_at")]);
        let [ada, grace] = users.as_slice() else {
            panic!("two users")
        };
        assert_eq!(
            ada.id.unwrap().to_string(),
            "8d3a1c1e-4a0f-4f0c-9a53-1f6c5f6f2a01"
        );
        assert!(ada.email_verified && !grace.email_verified);
        assert!(hash(ada).starts_with("$2a$06$") && grace.password_hash.is_none());
        assert_eq!(name(ada), Some("Ada Lovelace"));
        assert_eq!(ada.last_login_at, time("2024-05-31T09:30:00.5Z"));
        assert_eq!(ada.created_at, time("2024-01-15T10:29:00Z"));
        assert_eq!(
            metadata(ada),
            json!({
                "full_name": "Ada Lovelace",
                "role": "admin",
                "supabase": {
                    "role": "authenticated",
                    "raw_app_meta_data": {"provider": "email", "providers": ["email"], "role": "admin"},
                    // What she wrote under that name herself doesn't pass for what Supabase said.
                    "user_metadata": {"supabase": {"role": "admin"}},
                },
            }),
            "{file}"
        );
        assert!(ada.roles.is_empty(), "nobody trusts what people edit");
        assert_eq!(
            (ada.status, grace.status),
            (UserStatus::Active, UserStatus::Disabled)
        );
        assert_eq!(
            metadata(grace)["supabase"]["banned_until"],
            "2123-01-01 00:00:00+00"
        );
    }
}

#[test]
fn a_ban_of_supabase_ends() {
    for (until, status) in [
        ("2026-01-01 00:00:00+00", UserStatus::Active),
        ("2026-01-01 00:00:00.001+00", UserStatus::Disabled),
        ("infinity", UserStatus::Disabled),
    ] {
        let line = json!({"email": "a@x.test", "banned_until": until}).to_string();
        assert_eq!(only(Source::Supabase, line).unwrap().status, status, "{until}");
    }
}

#[test]
fn firebase() {
    let users = users(Source::Firebase, "firebase.json", &[(1, "email")]);
    let [ada, grace] = users.as_slice() else {
        panic!("two users")
    };
    // The example of Firebase's own documentation, in URL-safe base64 there.
    assert_eq!(
        hash(ada),
        "$fbscrypt$v=1,n=14,r=8,p=1,ss=Bw==,\
         sk=jxspr8Ki0RYycVU8zykbdLGjFQ3McFUH0uiiTvC8pVMXAn210wjLNmdZJzxUECKbm0QsEmYUSDzZvpjeJ9WmXA==\
         $42xEC+ixf3L2lw==\
         $lSrfV15cpx95/sZS2W9c9Kp6i/LVgQNDNC/qzrCnh1SAyZvqmZqAjTdn3aoItz+VHjoZilo78198JAdRuid5lQ=="
    );
    assert_eq!(
        metadata(ada),
        json!({"firebase": {
            "localId": "kRtp9sVmYxQ3b1W2c5u8",
            "customAttributes": {"admin": true},
            "providerUserInfo": [{"providerId": "google.com", "rawId": "1157"}],
        }})
    );
    assert_eq!(ada.created_at, time("2024-01-15T10:30:00Z"));
    assert_eq!(ada.last_login_at, time("2024-05-31T09:30:00.5Z"));
    assert!(ada.email_verified && ada.roles.is_empty());
    assert_eq!(
        (grace.status, grace.password_hash.is_some()),
        (UserStatus::Disabled, false)
    );
}

#[test]
fn a_password_of_firebase_needs_the_parameters_of_its_project() {
    let checks = Checks::at(now());
    let mut members = Vec::new();
    let result = read(
        Source::Firebase,
        None,
        &checks,
        sample("firebase.json").as_slice(),
        &mut |_, row| {
            members.push(row.err().map(|refusal| refusal.member));
            ControlFlow::Continue(())
        },
    );
    assert!(result.is_ok());
    assert_eq!(
        members,
        [Some("passwordHash".to_owned()), Some("email".to_owned()), None]
    );
}

#[test]
fn parameters_of_firebase_come_as_text_and_as_json() {
    let console = sample("firebase-config.txt");
    let line = sample("firebase.json");
    let hash_with = |text: &str| {
        let config = FirebaseConfig::parse(text).unwrap();
        assert_eq!(format!("{config:?}"), "FirebaseConfig(redacted)");
        let checks = Checks {
            now: now(),
            is_readable: |_| Ok(()),
        };
        let mut found = None;
        read(
            Source::Firebase,
            Some(&config),
            &checks,
            line.as_slice(),
            &mut |_, row| {
                found = row.ok().and_then(|user| user.password_hash);
                ControlFlow::Break(())
            },
        )
        .unwrap();
        found.unwrap().expose().to_owned()
    };
    let key = "jxspr8Ki0RYycVU8zykbdLGjFQ3McFUH0uiiTvC8pVMXAn210wjLNmdZJzxUECKbm0QsEmYUSDzZvpjeJ9WmXA==";
    let flat = json!({"algorithm": "SCRYPT", "base64_signer_key": key, "base64_salt_separator": "Bw==",
        "rounds": 8, "mem_cost": 14});
    let of_the_api = json!({"hashConfig": {"algorithm": "SCRYPT", "signerKey": key, "saltSeparator": "Bw==",
        "rounds": 8, "memoryCost": 14}});
    let expected = hash_with(std::str::from_utf8(&console).unwrap());
    for text in [
        flat.to_string(),
        json!({"hash_config": flat}).to_string(),
        of_the_api.to_string(),
    ] {
        assert_eq!(hash_with(&text), expected);
    }
    for (from, to, detail) in [
        ("SCRYPT", "BCRYPT", "must have the algorithm SCRYPT"),
        ("rounds: 8", "rounds: 9", "must have rounds between 1 and 8"),
        (
            "mem_cost: 14",
            "mem_cost: 0",
            "must have mem_cost between 1 and 14",
        ),
        ("mem_cost: 14,", "", "must have mem_cost"),
        ("jxsp", "j#sp", "must have a base64_signer_key in base64"),
        (
            "hash_config",
            "hash",
            "must be the text that the console shows, hash_config { … }, or JSON",
        ),
    ] {
        let text = String::from_utf8(console.clone()).unwrap().replace(from, to);
        let fault = FirebaseConfig::parse(&text).unwrap_err().to_string();
        assert_eq!(fault, format!("the hash parameters {detail}"));
    }
}

#[test]
fn keycloak() {
    let users = users(
        Source::Keycloak,
        "keycloak.json",
        &[(5, "serviceAccountClientId")],
    );
    let [ada, grace, edsger, barbara, alan] = users.as_slice() else {
        panic!("five users")
    };
    assert_eq!(
        ada.id.unwrap().to_string(),
        "c0ffee00-0000-4000-8000-000000000001"
    );
    assert_eq!(name(ada), Some("Ada Example"));
    assert_eq!(ada.locale.as_ref().unwrap().to_string(), "de");
    assert_eq!(
        roles(ada),
        ["editor"],
        "neither admin nor what Keycloak gives to everybody"
    );
    assert_eq!(
        metadata(ada),
        json!({"keycloak": {
            "username": "ada", "firstName": "Ada", "lastName": "Example", "groups": ["/staff"],
            "attributes": {"locale": ["de"], "team": ["engines"]}, "realmRoles": ["admin", "Head of Sales"],
        }})
    );
    assert_eq!(ada.created_at, time("2024-01-15T10:30:00.001Z"));
    assert_eq!(ada.password_changed_at, time("2024-01-15T10:30:00Z"));
    for (user, start) in [
        (ada, "$argon2id$v=19$m=7168,t=5,p=1$"),
        (grace, "$pbkdf2-sha512$i=30000,l=64$"),
        (edsger, "$pbkdf2-sha256$i=27500,l=64$"),
        (barbara, "$pbkdf2-sha1$i=20000,l=64$"),
    ] {
        let rest = hash(user).strip_prefix(start).unwrap();
        let (salt, digest) = rest.split_once('$').unwrap();
        assert_eq!((salt.len(), digest.contains(['=', '$'])), (22, false), "{start}");
    }
    assert!(alan.password_hash.is_none());
    assert_eq!(
        (edsger.status, alan.status),
        (UserStatus::Disabled, UserStatus::Active)
    );
}

#[test]
fn keycloak_argon2_can_be_checked() {
    use crate::domain::PasswordAttempt;
    use crate::security::passwords::{WorkMemory, verify};

    let users = users(
        Source::Keycloak,
        "keycloak.json",
        &[(5, "serviceAccountClientId")],
    );
    let stored = users[0].password_hash.as_ref().unwrap();
    for (typed, is_right) in [
        ("correct horse battery staple", true),
        ("correct horse battery stable", false),
    ] {
        let attempt = PasswordAttempt::parse(typed);
        assert_eq!(verify(stored, &attempt, &mut WorkMemory::new(7168)), Ok(is_right));
    }
}

#[test]
fn keycloak_before_8() {
    let credential = |algorithm: &str| {
        json!([{"email": "a@x.test", "credentials": [{"type": "password", "hashedSaltedValue": "AAECAw==",
            "salt": "BAUG", "hashIterations": 20000, "algorithm": algorithm}]}])
        .to_string()
    };
    let user = only(Source::Keycloak, credential("pbkdf2-sha256")).unwrap();
    assert_eq!(hash(&user), "$pbkdf2-sha256$i=20000,l=4$BAUG$AAECAw");
    assert_eq!(
        refusal(Source::Keycloak, credential("hmac")),
        "credentials.algorithm: must be pbkdf2, pbkdf2-sha256, pbkdf2-sha512 or argon2"
    );
}

#[test]
fn auth0() {
    let users = users(
        Source::Auth0,
        "auth0.jsonl",
        &[(3, "custom_password_hash.algorithm")],
    );
    let [ada, grace, barbara] = users.as_slice() else {
        panic!("three users")
    };
    assert!(hash(ada).starts_with("$2b$06$") && hash(grace).starts_with("$2b$06$"));
    assert_eq!(
        metadata(ada),
        json!({"auth0": {"_id": "60425dc43519d90068f82973"}})
    );
    assert_eq!(ada.password_changed_at, time("2021-03-05T16:32:52.903Z"));
    assert_eq!(name(grace), Some("Grace Hopper"), "an address is no name");
    assert_eq!(
        metadata(grace),
        json!({"theme": "dark", "auth0": {"user_id": "auth0|60425dc43519d90068f82974",
            "name": "grace@example.org", "nickname": "grace", "given_name": "Grace", "family_name": "Hopper",
            "app_metadata": {"roles": ["admin"]}}})
    );
    assert!(grace.roles.is_empty() && grace.status == UserStatus::Disabled);
    assert_eq!(grace.last_login_at, time("2021-03-06T16:00:00Z"));
    assert!(hash(barbara).starts_with("$scrypt$ln=14,r=8,p=1$"));
    assert_eq!(name(barbara), Some("Barbara Liskov"));
    // Else the account had a password that nobody has ever chosen, and another one after a way out and in.
    for empty in [json!({}), json!({"value": ""}), json!({"value": null})] {
        let custom = json!({"algorithm": "bcrypt", "hash": empty});
        let user = json!({"email": "a@x.test", "custom_password_hash": custom}).to_string();
        assert_eq!(
            refusal(Source::Auth0, user),
            "custom_password_hash.hash: must have a value"
        );
    }
}

#[test]
fn better_auth_as_table_and_as_array() {
    for file in ["better-auth.csv", "better-auth.json"] {
        let users = users(Source::BetterAuth, file, &[]);
        let [ada, grace] = users.as_slice() else {
            panic!("two users")
        };
        let (salt, key) = hash(ada).split_once(':').unwrap();
        assert_eq!((salt.len(), key.len()), (32, 128), "{file}");
        assert_eq!((name(ada), ada.email_verified), (Some("Ada Lovelace"), true));
        let kept = metadata(ada);
        assert_eq!(
            (&kept["better-auth"]["role"], ada.roles.len()),
            (&json!("admin"), 0),
            "{file}"
        );
        assert!(!ada.metadata.as_json().contains("still-good"), "{file}");
        assert!(!ada.metadata.as_json().contains(salt), "{file}");
        assert_eq!(
            (ada.status, grace.status),
            (UserStatus::Active, UserStatus::Disabled),
            "{file}"
        );
        assert!(ada.created_at.is_some() && ada.updated_at.is_some());
    }
    let user = &users(Source::BetterAuth, "better-auth.json", &[])[0];
    let accounts = &metadata(user)["better-auth"]["accounts"];
    assert_eq!(*accounts, json!([{"providerId": "github", "accountId": 583_231}]));
}

#[test]
fn only_hashes_that_can_be_read_are_taken() {
    let mut refused = Vec::new();
    let line = br#"{"email":"a@x.test","password_hash":"not-a-hash"}"#;
    read(
        Source::Roster,
        None,
        &Checks::at(now()),
        line.as_slice(),
        &mut |_, row| {
            refused.push(row.unwrap_err().to_string());
            ControlFlow::Continue(())
        },
    )
    .unwrap();
    assert_eq!(
        refused,
        ["password_hash: the password hash is in no known format"]
    );
}
