//! Auth0: the export of users, the export of password hashes, and the format of bulk imports; JSON lines or an array.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use serde_json::Value;

use super::Source;
use super::draft::Draft;
use super::row::Row;
use crate::domain::{PasswordHash, UserStatus};
use crate::transfer::model::Refusal;

/// A member that a dump of a database wraps its values in, by their type.
const WRAPPERS: [&str; 3] = ["$date", "$oid", "$numberLong"];

pub(super) fn draft(mut row: Row) -> Result<Draft, Refusal> {
    let mut draft = Draft::new(Source::Auth0);
    for name in [
        "_id",
        "created_at",
        "updated_at",
        "last_login",
        "password_set_date",
    ] {
        unpack(&mut row, name);
    }
    draft.take_id(&mut row, "_id");
    draft.keep_members(&mut row, &["user_id", "id"]);
    draft.email = row.text("email")?;
    draft.email_verified = row.flag("email_verified")?.unwrap_or_default();
    if row.flag("blocked")? == Some(true) {
        draft.status = UserStatus::Disabled;
    }
    let (name, nickname) = (row.text("name")?, row.text("nickname")?);
    let (first, last) = (row.text("given_name")?, row.text("family_name")?);
    // Without a name, Auth0 takes the address for one.
    draft.display_name = name
        .clone()
        .filter(|name| Some(name) != draft.email.as_ref())
        .or_else(|| Draft::full_name(first.as_deref(), last.as_deref()));
    draft.keep("name", name);
    draft.keep("nickname", nickname);
    draft.keep("given_name", first);
    draft.keep("family_name", last);
    draft.password_hash = password_hash(&mut row)?;
    draft.take_own_metadata(row.json("user_metadata")?);
    draft.keep("app_metadata", row.object("app_metadata")?);
    draft.created_at = row.time("created_at")?;
    draft.updated_at = row.time("updated_at")?;
    draft.last_login_at = row.time("last_login")?;
    draft.password_changed_at = row.time("password_set_date")?;
    draft.keep_members(&mut row, &["username", "phone_number", "picture"]);
    Ok(draft)
}

/// Takes `{"$date": …}` for what is in it, and `{"$date": {"$numberLong": …}}` likewise.
fn unpack(row: &mut Row, name: &str) {
    let Some(mut value) = row.take(name) else { return };
    while let Value::Object(members) = &mut value {
        match WRAPPERS.iter().find_map(|wrapper| members.remove(*wrapper)) {
            Some(inner) => value = inner,
            None => break,
        }
    }
    row.put(name, value);
}

fn password_hash(row: &mut Row) -> Result<Option<PasswordHash>, Refusal> {
    let plain = row.text("passwordHash")?.or(row.text("password_hash")?);
    if let Some(hash) = plain {
        return Ok(Some(PasswordHash::from_stored(hash)));
    }
    let Some(custom) = row.object("custom_password_hash")? else {
        return Ok(None);
    };
    let mut custom = Row::new(custom);
    let algorithm = custom.text("algorithm")?.unwrap_or_default();
    let mut hash = Row::new(custom.object("hash")?.unwrap_or_default());
    let text = match algorithm.as_str() {
        // These say everything themselves.
        "bcrypt" | "argon2" | "pbkdf2" | "ldap" => hash
            .text("value")?
            .ok_or_else(|| refused("hash", "must have a value"))?,
        "scrypt" => scrypt(&mut custom, &mut hash)?,
        _ => {
            return Err(refused(
                "algorithm",
                "must be bcrypt, argon2, pbkdf2, scrypt or ldap: no other can be checked here",
            ));
        }
    };
    Ok(Some(PasswordHash::from_stored(text)))
}

/// scrypt's costs stand in members of their own.
fn scrypt(custom: &mut Row, hash: &mut Row) -> Result<String, Refusal> {
    let mut number = |name: &str| {
        let number = custom.take(name).as_ref().and_then(Value::as_u64);
        let number = number.filter(|number| *number > 0);
        number.ok_or_else(|| refused(name, "must be a positive number"))
    };
    let cost = number("cost")?;
    let (block_size, lanes) = (number("blockSize")?, number("parallelization")?);
    if !cost.is_power_of_two() {
        return Err(refused("cost", "must be a power of two"));
    }
    let mut salt = Row::new(custom.object("salt")?.unwrap_or_default());
    let (salt, digest) = (decoded(&mut salt, "salt")?, decoded(hash, "hash")?);
    Ok(format!(
        "$scrypt$ln={},r={block_size},p={lanes}${}${}",
        cost.ilog2(),
        STANDARD_NO_PAD.encode(salt),
        STANDARD_NO_PAD.encode(digest)
    ))
}

/// Bytes as a member `value` in the `encoding` that stands beside it.
fn decoded(part: &mut Row, name: &str) -> Result<Vec<u8>, Refusal> {
    let text = part.text("value")?.unwrap_or_default();
    let bytes = match part.text("encoding")?.as_deref() {
        Some("base64") => STANDARD
            .decode(&text)
            .or_else(|_| STANDARD_NO_PAD.decode(&text))
            .ok(),
        Some("hex") => hex(&text),
        Some("utf8") | None => Some(text.into_bytes()),
        Some(_) => None,
    };
    bytes
        .filter(|bytes| !bytes.is_empty())
        .ok_or_else(|| refused(name, "must have a value in its encoding: base64, hex or utf8"))
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let digits = text
        .chars()
        .map(|digit| u8::try_from(digit.to_digit(16)?).ok())
        .collect::<Option<Vec<u8>>>()?;
    let pairs = digits.chunks(2).map(|pair| match pair {
        [high, low] => Some((high << 4) | low),
        _ => None,
    });
    pairs.collect()
}

fn refused(name: &str, detail: &str) -> Refusal {
    Refusal::new(&format!("custom_password_hash.{name}"), detail)
}
