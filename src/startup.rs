//! From a configuration to a state that can serve: database, schema, secret, keys. Every fault here is one line that
//! names the cause and the cure, and leaves nothing behind.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use zeroize::Zeroizing;

use crate::app::{AppState, Lifecycle, RefusalLog};
use crate::audit::Trail;
use crate::audit::service::seal_waiting;
use crate::clock::Ambient;
use crate::config::{Config, PasswordAlgorithm, SecretKey};
use crate::db::schema::SchemaManager;
use crate::db::{DatabaseSettings, Db};
use crate::error::ApiError;
use crate::keys::service::KeyMaker;
use crate::limits::Limits;
use crate::mail::Mail;
use crate::security::passwords::{
    Algorithm, BreachedPasswords, HashSettings, PasswordPolicy, Passwords, PasswordsSettings,
};
use crate::security::{AccessTokenSettings, AccessTokens, KeyedDigest, Party, RetiredSchemes, Sealer};
use crate::sessions::LastUses;
use crate::users::Repeats;

/// As many as either database has by default, or more.
const DATABASE_CONNECTIONS: usize = 20;
/// An `SQLite` connection has the file, its log and its index open; a worker waits on a few files of its own as well.
const FILES_EACH: usize = 3;
/// Logs, mails, the listener, signals.
const OTHER_FILES: usize = 40;
/// Fewer connections than this for a worker, because there are too few files, are worth a warning.
const FEW_CONNECTIONS: usize = 1000;

/// Why Roster can't start. Its text is one line for an operator.
#[derive(Debug)]
pub struct StartError(String);

impl StartError {
    /// A fault in words of ours.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl std::fmt::Display for StartError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for StartError {}

/// Turns any error into a line for an operator.
pub fn start_error(error: impl std::fmt::Display) -> StartError {
    StartError::new(error.to_string())
}

/// Raises the limit on open files as far as this process may, and takes no more connections than that leaves room for:
/// where the files run out, nobody is let in and the database can't be opened again either.
pub fn fit_open_files(config: &mut Config) {
    let limits = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limits.maximum,
        maximum: limits.maximum,
    };
    // A system may refuse its own hard limit; the soft one stays then.
    let is_raised = setrlimit(Resource::Nofile, raised).is_ok();
    let Some(most) = (if is_raised { limits.maximum } else { limits.current }) else {
        return;
    };
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let workers = config.server.workers().max(1);
    let database = usize::try_from(config.database.max_connections).unwrap_or(usize::MAX);
    let ours = database
        .max(DATABASE_CONNECTIONS)
        .saturating_add(workers)
        .saturating_mul(FILES_EACH)
        .saturating_add(OTHER_FILES);
    let room = (most - ours.min(most / 2)) / workers;
    if room < config.server.max_connections {
        // Most installations never have so many clients, and needn't read about it at each start.
        let level = if room < FEW_CONNECTIONS {
            log::Level::Warn
        } else {
            log::Level::Debug
        };
        log::log!(
            level,
            "{most} files may be open: each of {workers} workers takes {room} connections instead of \
             server.max_connections = {}; raise the limit (ulimit -n, LimitNOFILE=) for more",
            config.server.max_connections
        );
        config.server.max_connections = room.max(1);
    }
}

/// The database, and the secret that its keys are sealed with.
///
/// # Errors
/// [`StartError`] where either can't be used; nothing stays open then.
pub async fn open(config: &Config, ambient: &Ambient) -> Result<(Db, SecretKey), StartError> {
    // A secret that can't be used is found before a database is made for it.
    stored_secret(config)?;
    let db = open_database(config).await?;
    match secret_key(config, &db, ambient).await {
        Ok(secret) => Ok((db, secret)),
        Err(error) => {
            db.close().await;
            Err(error)
        }
    }
}

/// Connects, and sees to it that the schema is this version's: migrated now where the configuration says so, asked
/// for where it doesn't.
///
/// # Errors
/// [`StartError`] where the database can't be opened, is newer than this program, or lacks migrations.
pub async fn open_database(config: &Config) -> Result<Db, StartError> {
    let settings = database_settings(config);
    let schema = SchemaManager::connect(&settings).await.map_err(start_error)?;
    let is_current = bring_up_to_date(config, &schema).await;
    // Whatever came of it: a connection that isn't closed leaves files behind.
    schema.close().await;
    is_current?;
    Db::connect(settings).await.map_err(start_error)
}

async fn bring_up_to_date(config: &Config, schema: &SchemaManager) -> Result<(), StartError> {
    let status = schema.status().await.map_err(start_error)?;
    let pending = status.iter().filter(|state| !state.is_applied).count();
    if pending == 0 {
        return Ok(());
    }
    if !config.database.migrate_at_start {
        return Err(StartError::new(format!(
            "the database {} lacks {pending} migrations: run `roster migrate up`, or set database.migrate_at_start",
            config.database.url.redacted()
        )));
    }
    schema.up().await.map_err(start_error)?;
    Ok(())
}

/// How to connect. A missing `SQLite` file is made only where it may be migrated as well.
#[must_use]
pub fn database_settings(config: &Config) -> DatabaseSettings {
    let settings = DatabaseSettings::new(&config.database, config.server.workers());
    if config.database.migrate_at_start {
        settings.create_if_missing()
    } else {
        settings
    }
}

/// The secret that seals the signing keys: configured, or in development kept in a file that is made once.
///
/// # Errors
/// [`StartError`] where there is none and none may be made, or the file can't be read or written.
pub async fn secret_key(config: &Config, db: &Db, ambient: &Ambient) -> Result<SecretKey, StartError> {
    // In this order: another instance that is starting makes its keys after its file.
    let maker = KeyMaker::new(db.clone(), ambient.clone(), config);
    let has_keys = maker.has_keys().await.map_err(start_error)?;
    if let Some(secret) = stored_secret(config)? {
        return Ok(secret);
    }
    let path = &config.security.secret_key_path;
    if has_keys {
        return Err(StartError::new(format!(
            "the database has signing keys, but the secret that they are encrypted with is missing: put {} \
             back, or set security.secret_key",
            path.display()
        )));
    }
    make_secret_key(path, ambient)?;
    stored_secret(config)?.ok_or_else(|| StartError::new(format!("the secret in {} is gone", path.display())))
}

/// The configured secret, or the one in its file; none where it is still to be made.
fn stored_secret(config: &Config) -> Result<Option<SecretKey>, StartError> {
    if let Some(secret) = &config.security.secret_key {
        return Ok(Some(secret.clone()));
    }
    let path = &config.security.secret_key_path;
    match std::fs::read_to_string(path).map(Zeroizing::new) {
        Ok(text) => SecretKey::parse(text.trim()).map(Some).map_err(|fault| {
            StartError::new(format!("the secret in {} is not usable: {fault}", path.display()))
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(StartError::new(format!(
            "cannot read the secret in {}: {error}",
            path.display()
        ))),
    }
}

/// Makes the file, unless another instance is faster: it appears as a whole, or not at all.
fn make_secret_key(path: &Path, ambient: &Ambient) -> Result<(), StartError> {
    let explain =
        |error: io::Error| StartError::new(format!("cannot write a secret to {}: {error}", path.display()));
    let mut bytes = Zeroizing::new([0; 32]);
    ambient.random.fill(bytes.as_mut());
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(explain)?;
    }
    // A name that nobody else has, which a process id isn't where each container counts its own; and a file that is new:
    // what is there already may be another instance's, or a link that somebody has laid.
    let mut chance = [0; 8];
    ambient.random.fill(&mut chance);
    let draft = path.with_extension(format!("{:016x}.draft", u64::from_be_bytes(chance)));
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&draft)
        .map_err(explain)?;
    let text = Zeroizing::new(BASE64_STANDARD.encode(bytes.as_slice()));
    let linked = writeln!(file, "{}", text.as_str())
        .and_then(|()| file.sync_all())
        // Unlike a renaming, this never replaces what is there.
        .and_then(|()| std::fs::hard_link(&draft, path));
    std::fs::remove_file(&draft).map_err(explain)?;
    match linked {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(explain(error)),
        Ok(()) => {
            log::warn!(
                "made a secret key in {}: keep it with the database, and set security.secret_key in production",
                path.display()
            );
            Ok(())
        }
    }
}

/// Everything that requests need.
///
/// # Errors
/// [`StartError`] where the keys can't be opened or a file can't be read.
pub async fn open_state(
    config: Config,
    ambient: Ambient,
    db: Db,
    secret: &SecretKey,
) -> Result<AppState, StartError> {
    let opened = async {
        let passwords = passwords(&config, &ambient)?;
        let maker = KeyMaker::new(db.clone(), ambient.clone(), &config);
        let keys = maker.open(sealer(secret)?).await.map_err(cause_alone)?;
        let digests = KeyedDigest::new(secret.expose(), "limits").map_err(start_error)?;
        let mail = Mail::open(&config, secret).map_err(start_error)?;
        let trail = trail(secret, &ambient)?;
        let repeats = KeyedDigest::new(secret.expose(), "idempotency").map_err(start_error)?;
        let repeats = Repeats::new(repeats);
        Ok::<_, StartError>((passwords, keys, Limits::new(digests), mail, trail, repeats))
    };
    let (passwords, keys, limits, mail, trail, repeats) = match opened.await {
        Ok(opened) => opened,
        Err(error) => {
            db.close().await;
            return Err(error);
        }
    };
    let is_derived = config.server.public_url.is_none();
    let tokens = AccessTokenSettings {
        issuer: Party {
            name: config.issuer(),
            is_any_port: is_derived && config.token.issuer.is_none(),
        },
        audience: Party {
            name: config.audience(),
            is_any_port: is_derived && config.token.audience.is_none(),
        },
        lifetime: Duration::from_secs(u64::from(config.token.access_seconds)),
    };
    Ok(AppState {
        keys: Arc::new(keys),
        tokens: Arc::new(AccessTokens::new(tokens, ambient.clone())),
        trail,
        retired: Arc::new(retired(&config)),
        passwords,
        mail,
        is_https: config.server.public_url().starts_with("https:"),
        config: Arc::new(config),
        ambient,
        db,
        last_uses: Arc::new(LastUses::default()),
        limits: Arc::new(limits),
        repeats: Arc::new(repeats),
        refusals: Arc::new(RefusalLog::default()),
        lifecycle: Arc::new(Lifecycle::default()),
    })
}

/// What seals signing keys.
///
/// # Errors
/// None with a secret of the right length.
pub fn sealer(secret: &SecretKey) -> Result<Sealer, StartError> {
    Sealer::new(secret.expose(), "signing keys").map_err(start_error)
}

/// What events of the audit trail are made with.
///
/// # Errors
/// None with a secret of the right length.
pub fn trail(secret: &SecretKey, ambient: &Ambient) -> Result<Trail, StartError> {
    let key = KeyedDigest::new(secret.expose(), "audit").map_err(start_error)?;
    Ok(Trail::new(ambient.clone(), key))
}

/// Ends a command's work on a database, also where the command has failed in the end: what was done before stays.
///
/// If it may have left events, they get their places in the chain first: perhaps no server runs that would do it, and until
/// then one can be removed without a trace. The command is done, whatever comes of this.
pub async fn close(db: &Db, trail: &Trail, may_have_events: bool) {
    if may_have_events && let Err(error) = seal_waiting(db, trail).await {
        let error = cause_alone(error);
        log::warn!("the events of this command have no place in the audit trail's chain yet: {error}");
    }
    db.close().await;
}

/// An operator gets the cause itself, without the words that are for a log.
#[must_use]
pub fn cause_alone(error: ApiError) -> StartError {
    match error {
        ApiError::Internal(cause) => start_error(cause),
        other => start_error(other),
    }
}

fn retired(config: &Config) -> RetiredSchemes {
    let schemes = &config.password.retire_before;
    RetiredSchemes::new(
        schemes
            .iter()
            .map(|retired| (retired.scheme.clone(), retired.at()))
            .collect(),
    )
}

fn passwords(config: &Config, ambient: &Ambient) -> Result<Passwords, StartError> {
    let password = &config.password;
    let breached = password
        .breached_file
        .as_deref()
        .map(BreachedPasswords::open)
        .transpose();
    let settings = PasswordsSettings {
        hashing: HashSettings {
            preferred: match password.algorithm {
                PasswordAlgorithm::Bcrypt => Algorithm::Bcrypt,
                PasswordAlgorithm::Argon2id => Algorithm::Argon2id,
            },
            bcrypt_cost: password.bcrypt_cost,
            argon2_memory_kib: password.argon2_memory_kib,
            argon2_iterations: password.argon2_iterations,
        },
        policy: PasswordPolicy {
            service_name: "roster".to_owned(),
            min_strength: password.min_strength,
            breached: breached
                .map_err(|error| StartError::new(format!("password.breached_file: {error}")))?,
        },
        threads: password.hashing_threads(),
        max_wait: Duration::from_millis(u64::from(password.hashing_max_wait_ms)),
    };
    Passwords::start(settings, Arc::clone(&ambient.random))
        .map_err(|error| StartError::new(format!("cannot start the hashing threads: {error}")))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;
    use crate::clock::{Random, SystemClock};

    /// Fills every byte with the same value, so that the name of the draft is known.
    #[derive(Debug)]
    struct Constant;

    impl Random for Constant {
        fn fill(&self, buffer: &mut [u8]) {
            buffer.fill(0xab);
        }
    }

    #[test]
    fn a_new_secret_is_for_its_owner_and_follows_no_link() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret.key");
        let ambient = Ambient {
            clock: Arc::new(SystemClock),
            random: Arc::new(Constant),
        };
        let victim = folder.path().join("victim");
        std::fs::write(&victim, "kept").unwrap();
        let draft = folder.path().join("secret.abababababababab.draft");
        symlink(&victim, &draft).unwrap();
        assert!(make_secret_key(&path, &ambient).is_err());
        assert_eq!(std::fs::read_to_string(&victim).unwrap(), "kept");
        assert!(!path.exists());

        std::fs::remove_file(&draft).unwrap();
        make_secret_key(&path, &ambient).unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(!draft.exists());
        let first = std::fs::read_to_string(&path).unwrap();
        // Another instance that comes later leaves it as it is.
        make_secret_key(&path, &ambient).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), first);
    }
}
