//! `firebase auth:export --format=json`, and the parameters that make its hashes checkable.

use std::cell::OnceCell;
use std::fmt;

use base64::Engine as _;
use base64::alphabet::{STANDARD as STANDARD_ALPHABET, URL_SAFE as URL_SAFE_ALPHABET};
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::document::Beside;
use super::draft::Draft;
use super::row::Row;
use super::{ReadFault, Source, json};
use crate::domain::{PasswordHash, UserStatus};
use crate::transfer::model::Refusal;

/// The most rounds and the most memory that Firebase itself allows.
const MAX_ROUNDS: u32 = 8;
const MAX_MEM_COST: u32 = 14;

/// The member of a file that holds the parameters, as the console calls it and as the Identity Toolkit's API does.
const HASH_CONFIGS: [&[u8]; 2] = [b"\"hash_config\"", b"\"hashConfig\""];

const EITHER_PADDING: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const FROM_STANDARD: GeneralPurpose = GeneralPurpose::new(&STANDARD_ALPHABET, EITHER_PADDING);
const FROM_URL_SAFE: GeneralPurpose = GeneralPurpose::new(&URL_SAFE_ALPHABET, EITHER_PADDING);

/// The hash parameters of a project, one of which is a key: without it no password can be checked.
pub struct FirebaseConfig {
    signer_key: Zeroizing<String>,
    salt_separator: String,
    rounds: u32,
    mem_cost: u32,
}

impl fmt::Debug for FirebaseConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FirebaseConfig(redacted)")
    }
}

/// Why a text doesn't hold hash parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirebaseConfigFault(String);

impl fmt::Display for FirebaseConfigFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the hash parameters {}", self.0)
    }
}

impl std::error::Error for FirebaseConfigFault {}

impl FirebaseConfig {
    /// Reads `hash_config { algorithm: SCRYPT, … }` as the console shows it, or the same as JSON.
    ///
    /// # Errors
    /// [`FirebaseConfigFault`] with what is missing or wrong; it never repeats the key.
    pub fn parse(text: &str) -> Result<Self, FirebaseConfigFault> {
        let text = text.trim_start_matches('\u{FEFF}').trim();
        let mut found = if text.starts_with('{') {
            of_json(text)?
        } else {
            of_console(text)?
        };
        let mut take = |names: &[&str]| {
            let value = names.iter().find_map(|name| found.remove(*name));
            value.ok_or_else(|| {
                fault(format!(
                    "must have {}",
                    names.first().copied().unwrap_or_default()
                ))
            })
        };
        if take(&["algorithm"])?.as_str() != Some("SCRYPT") {
            return Err(fault("must have the algorithm SCRYPT"));
        }
        let signer_key = base64(&take(&["base64_signer_key", "signerKey", "signer_key"])?)
            .filter(|key| !key.is_empty())
            .ok_or_else(|| fault("must have a base64_signer_key in base64"))?;
        let separator = &["base64_salt_separator", "saltSeparator", "salt_separator"];
        let salt_separator =
            base64(&take(separator)?).ok_or_else(|| fault("must have a base64_salt_separator in base64"))?;
        Ok(Self {
            signer_key,
            salt_separator: salt_separator.to_string(),
            rounds: number("rounds", &take(&["rounds"])?, MAX_ROUNDS)?,
            mem_cost: number(
                "mem_cost",
                &take(&["mem_cost", "memCost", "memoryCost"])?,
                MAX_MEM_COST,
            )?,
        })
    }

    fn hash(&self, salt: &str, hash: &str) -> PasswordHash {
        let Self {
            signer_key,
            salt_separator,
            rounds,
            mem_cost,
        } = self;
        let signer_key = signer_key.as_str();
        PasswordHash::from_stored(format!(
            "$fbscrypt$v=1,n={mem_cost},r={rounds},p=1,ss={salt_separator},sk={signer_key}${salt}${hash}"
        ))
    }
}

/// The hash parameters while a file is read: given besides it, or met in it before its users.
pub(super) struct Parameters<'a> {
    given: Option<&'a FirebaseConfig>,
    met: OnceCell<FirebaseConfig>,
}

impl<'a> Parameters<'a> {
    /// Those that were given besides the file, if any.
    pub(super) const fn given(given: Option<&'a FirebaseConfig>) -> Self {
        Self {
            given,
            met: OnceCell::new(),
        }
    }

    /// What is known so far.
    pub(super) fn get(&self) -> Option<&FirebaseConfig> {
        self.given.or_else(|| self.met.get())
    }

    /// Takes them from a member of the file, where it is `hash_config`: an object, or the console's text as one string.
    /// They have to come first, as users are handed on as they are read and need them.
    pub(super) fn take(&self, member: &Beside<'_>) -> Result<(), ReadFault> {
        if !HASH_CONFIGS.contains(&member.name) {
            return Ok(());
        }
        if member.is_behind {
            return Err(ReadFault::format(
                "has its hash_config behind its users: it must come first, as users are read one by one",
            ));
        }
        if self.given.is_some() {
            return Err(ReadFault::format(
                "has a hash_config, and another one was given besides: give it once",
            ));
        }
        let text = member.value.and_then(|bytes| std::str::from_utf8(bytes).ok());
        let read = match text {
            Some(object) if object.starts_with('{') => FirebaseConfig::parse(object),
            other => match other.and_then(|text| json::value(text).ok()) {
                Some(Value::String(shown)) => FirebaseConfig::parse(&shown),
                _ => Err(fault("must be an object, or the console's text as a string")),
            },
        };
        let config = read.map_err(|fault| ReadFault::format(format!("has a wrong hash_config: {fault}")))?;
        self.met
            .set(config)
            .map_err(|_| ReadFault::format("has two members \"hash_config\""))
    }
}

fn fault(detail: impl Into<String>) -> FirebaseConfigFault {
    FirebaseConfigFault(detail.into())
}

fn of_json(text: &str) -> Result<Map<String, Value>, FirebaseConfigFault> {
    let value =
        json::value(text).map_err(|_| fault("must be valid JSON, or the text that the console shows"))?;
    let Value::Object(mut found) = value else {
        return Err(fault("must be a JSON object"));
    };
    // As the console calls it, or as the Identity Toolkit's API returns it.
    for name in ["hash_config", "hashConfig"] {
        if let Some(Value::Object(inner)) = found.remove(name) {
            return Ok(inner);
        }
    }
    Ok(found)
}

fn of_console(text: &str) -> Result<Map<String, Value>, FirebaseConfigFault> {
    let inner = text
        .strip_prefix("hash_config")
        .and_then(|rest| rest.trim().strip_prefix('{')?.strip_suffix('}'))
        .ok_or_else(|| fault("must be the text that the console shows, hash_config { … }, or JSON"))?;
    let pairs = inner.split([',', '\n']).filter_map(|line| line.split_once(':'));
    Ok(pairs
        .map(|(name, value)| (name.trim().to_owned(), Value::String(value.trim().to_owned())))
        .collect())
}

fn number(name: &str, value: &Value, most: u32) -> Result<u32, FirebaseConfigFault> {
    let number = match value {
        Value::String(text) => text.parse().ok(),
        other => other.as_u64().and_then(|number| u32::try_from(number).ok()),
    };
    number
        .filter(|number| (1..=most).contains(number))
        .ok_or_else(|| fault(format!("must have {name} between 1 and {most}")))
}

/// Standard base64 with its padding, whichever of its two alphabets it comes in.
fn base64(value: &Value) -> Option<Zeroizing<String>> {
    let text = value.as_str()?;
    let bytes = if text.contains(['-', '_']) {
        FROM_URL_SAFE.decode(text)
    } else {
        FROM_STANDARD.decode(text)
    };
    let bytes = Zeroizing::new(bytes.ok()?);
    Some(Zeroizing::new(STANDARD.encode(bytes.as_slice())))
}

pub(super) fn draft(mut row: Row, config: Option<&FirebaseConfig>) -> Result<Draft, Refusal> {
    let mut draft = Draft::new(Source::Firebase);
    draft.take_id(&mut row, "localId");
    draft.email = row.text("email")?;
    draft.email_verified = row.flag("emailVerified")?.unwrap_or_default();
    draft.display_name = row.text("displayName")?;
    if row.flag("disabled")? == Some(true) {
        draft.status = UserStatus::Disabled;
    }
    draft.password_hash = password_hash(&mut row, config)?;
    draft.created_at = row.time("createdAt")?;
    draft.last_login_at = row.time("lastSignedInAt")?;
    draft.password_changed_at = row.time("passwordUpdatedAt")?;
    // Claims that the application's server has set; no user can.
    draft.keep("customAttributes", row.object("customAttributes")?);
    let providers = row
        .list("providerUserInfo")?
        .iter()
        .filter_map(provider)
        .collect::<Vec<_>>();
    draft.keep("providerUserInfo", providers);
    draft.keep_members(&mut row, &["phoneNumber", "photoUrl"]);
    Ok(draft)
}

fn password_hash(row: &mut Row, config: Option<&FirebaseConfig>) -> Result<Option<PasswordHash>, Refusal> {
    let (hash, salt) = (row.text("passwordHash")?, row.text("salt")?);
    let Some(hash) = hash else { return Ok(None) };
    let config = config.ok_or_else(|| {
        Refusal::new(
            "passwordHash",
            "can't be checked without the project's hash parameters: give them as the member hash_config before users, \
             or to the command with --firebase-config",
        )
    })?;
    let decode = |name: &str, text: Option<String>| {
        base64(&text.unwrap_or_default().into()).ok_or_else(|| Refusal::new(name, "must be base64"))
    };
    let (salt, hash) = (decode("salt", salt)?, decode("passwordHash", Some(hash))?);
    Ok(Some(config.hash(&salt, &hash)))
}

/// Who somebody is elsewhere: without the name and picture that are there.
fn provider(value: &Value) -> Option<Value> {
    let members = ["providerId", "rawId"].map(|name| Some((name.to_owned(), value.get(name)?.clone())));
    let kept: Map<String, Value> = members.into_iter().flatten().collect();
    (!kept.is_empty()).then_some(Value::Object(kept))
}
