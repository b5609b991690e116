//! Keycloak's export of a realm, or of its users in files of their own.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use super::Source;
use super::draft::Draft;
use super::row::Row;
use crate::domain::{Locale, PasswordHash, Role, UserStatus};
use crate::transfer::model::Refusal;

/// Roles that Keycloak gives to everybody, for its own purposes.
const BUILT_IN: [&str; 2] = ["offline_access", "uma_authorization"];
const BUILT_IN_PREFIX: &str = "default-roles-";

pub(super) fn draft(mut row: Row) -> Result<Draft, Refusal> {
    if row.text("serviceAccountClientId")?.is_some() {
        return Err(Refusal::new(
            "serviceAccountClientId",
            "says that it is a client and no person",
        ));
    }
    let mut draft = Draft::new(Source::Keycloak);
    draft.take_id(&mut row, "id");
    draft.email = row.text("email")?;
    draft.email_verified = row.flag("emailVerified")?.unwrap_or_default();
    if row.flag("enabled")? == Some(false) {
        draft.status = UserStatus::Disabled;
    }
    let (first, last) = (row.text("firstName")?, row.text("lastName")?);
    draft.display_name = Draft::full_name(first.as_deref(), last.as_deref());
    draft.keep("firstName", first);
    draft.keep("lastName", last);
    draft.created_at = row.time("createdTimestamp")?;
    let attributes = row.object("attributes")?.unwrap_or_default();
    draft.locale = locale(&attributes);
    draft.keep("attributes", attributes);
    take_roles(&mut draft, row.list("realmRoles")?);
    if let Some((hash, chosen_at)) = password(row.list("credentials")?)? {
        draft.password_hash = Some(hash);
        draft.password_changed_at = chosen_at;
    }
    let elsewhere = ["username", "groups", "clientRoles", "federatedIdentities"];
    draft.keep_members(&mut row, &elsewhere);
    Ok(draft)
}

/// The language that somebody has chosen in the account console, where it is a tag.
fn locale(attributes: &Map<String, Value>) -> Option<String> {
    let value = attributes.get("locale")?;
    let text = value.get(0).unwrap_or(value).as_str()?;
    matches!(Locale::parse(text), Ok(Some(_))).then(|| text.to_owned())
}

/// What is a role here as well becomes one, apart from the one that would be a power here.
fn take_roles(draft: &mut Draft, names: Vec<Value>) {
    let mut others = Vec::new();
    for name in names {
        let text = name.as_str().unwrap_or_default();
        if BUILT_IN.contains(&text) || text.starts_with(BUILT_IN_PREFIX) {
            continue;
        }
        match Role::parse(text) {
            Ok(role) if role.as_str() != Role::ADMIN => {
                draft.roles.insert(role);
            }
            _ => others.push(name),
        }
    }
    draft.keep("realmRoles", others);
}

type Chosen = (PasswordHash, Option<DateTime<Utc>>);

/// The first password, with when it was chosen.
fn password(credentials: Vec<Value>) -> Result<Option<Chosen>, Refusal> {
    for credential in credentials {
        let Value::Object(members) = credential else {
            return Err(Refusal::new("credentials", "must be an array of objects"));
        };
        let mut credential = Row::new(members);
        if credential.text("type")?.as_deref() == Some("password") {
            let chosen_at = credential.time("createdDate")?;
            return hash(credential).map(|hash| Some((hash, chosen_at)));
        }
    }
    Ok(None)
}

fn hash(mut credential: Row) -> Result<PasswordHash, Refusal> {
    // Before Keycloak 8 everything stood in the credential itself.
    let (mut secret, mut how) = (Row::default(), Row::default());
    if let Some(value) = credential.text("hashedSaltedValue")? {
        secret.put("value", value);
        for name in ["hashIterations", "algorithm"] {
            if let Some(value) = credential.take(name) {
                how.put(name, value);
            }
        }
        if let Some(salt) = credential.take("salt") {
            secret.put("salt", salt);
        }
    } else {
        secret = Row::new(credential.object("secretData")?.unwrap_or_default());
        how = Row::new(credential.object("credentialData")?.unwrap_or_default());
    }
    let salt = base64(&mut secret, "salt")?;
    let digest = base64(&mut secret, "value")?;
    let iterations = how
        .take("hashIterations")
        .as_ref()
        .and_then(Value::as_u64)
        .ok_or_else(|| refused("hashIterations", "must be a number"))?;
    let (salt_text, digest_text) = (STANDARD_NO_PAD.encode(&salt), STANDARD_NO_PAD.encode(&digest));
    let algorithm = how.text("algorithm")?.unwrap_or_default();
    let name = match algorithm.as_str() {
        "pbkdf2" => "pbkdf2-sha1",
        "pbkdf2-sha256" | "pbkdf2-sha512" => algorithm.as_str(),
        "argon2" => {
            let costs = argon2(&mut how, iterations)?;
            return Ok(PasswordHash::from_stored(format!(
                "${costs}${salt_text}${digest_text}"
            )));
        }
        _ => {
            return Err(refused(
                "algorithm",
                "must be pbkdf2, pbkdf2-sha256, pbkdf2-sha512 or argon2",
            ));
        }
    };
    let length = digest.len();
    Ok(PasswordHash::from_stored(format!(
        "${name}$i={iterations},l={length}${salt_text}${digest_text}"
    )))
}

/// The head of an argon2 hash, in the order of its reference implementation.
fn argon2(how: &mut Row, iterations: u64) -> Result<String, Refusal> {
    let parameters = how.object("additionalParameters")?.unwrap_or_default();
    // Each of them is a list of one text.
    let text = |name: &str| {
        let value = parameters.get(name);
        let value = value.and_then(|value| value.get(0).or(Some(value)));
        value.and_then(Value::as_str).unwrap_or_default()
    };
    let variant = match text("type") {
        "id" => "argon2id",
        "i" => "argon2i",
        "d" => "argon2d",
        _ => return Err(refused("type", "must be id, i or d")),
    };
    let version = match text("version") {
        "1.3" => 19,
        "1.0" => 16,
        _ => return Err(refused("version", "must be 1.3 or 1.0")),
    };
    let number = |name: &str| {
        let number: Result<u32, _> = text(name).parse();
        number.map_err(|_| refused(name, "must be a number"))
    };
    let (memory, lanes) = (number("memory")?, number("parallelism")?);
    Ok(format!(
        "{variant}$v={version}$m={memory},t={iterations},p={lanes}"
    ))
}

fn base64(secret: &mut Row, name: &str) -> Result<Vec<u8>, Refusal> {
    let text = secret.text(name)?.unwrap_or_default();
    STANDARD
        .decode(text)
        .ok()
        .filter(|bytes| !bytes.is_empty())
        .ok_or_else(|| refused(name, "must be base64"))
}

fn refused(name: &str, detail: &str) -> Refusal {
    Refusal::new(&format!("credentials.{name}"), detail)
}
