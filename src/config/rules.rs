//! Rules about more than one key, or about one key in production.

use std::fs::File;
use std::path::Path;

use url::Url;

use super::reader::{Reader, allowed_secret};
use super::security::MAKE_A_KEY;
use super::{
    Config, Environment, Need, PasswordAlgorithm, PasswordConfig, RegistrationMode, SecretKey, SmtpTls,
};

/// Memory in KiB and iterations of argon2id that OWASP names as equally strong minimums.
const ARGON2_MINIMUMS: [(u32, u32); 5] = [(47_104, 1), (19_456, 2), (12_288, 3), (9216, 4), (7168, 5)];

/// Hands the reader a fault for each rule that the configuration breaks.
pub(super) fn check(config: &Config, need: Need, r: &mut Reader) {
    sessions(config, r);
    breached_file(config, r);
    retired_schemes(&config.password, r);
    mail_files(config, r);
    proxies(config, r);
    database(config, r);
    if need == Need::Everything {
        issuer(config, r);
        mail(config, r);
    }
    match (config.environment, need) {
        (Environment::Production, Need::Everything) => {
            public_url(config, r);
            secret_key(config, r);
            passwords(&config.password, r);
        }
        (Environment::Development, Need::Everything) => {
            let weakness = config.security.secret_key.as_ref().and_then(SecretKey::weakness);
            if let Some(weakness) = weakness {
                r.notice(format!(
                    "security.secret_key {weakness}: production would refuse it"
                ));
            }
        }
        (_, Need::Database) => {}
    }
}

fn sessions(config: &Config, r: &mut Reader) {
    let idle = config.session.refresh_idle_days;
    let absolute = config.session.refresh_absolute_days;
    if absolute < idle {
        let from = r.origin("session.refresh_idle_days");
        r.refuse(
            "session.refresh_absolute_days",
            format!("{absolute} is less than session.refresh_idle_days ({from}), which is {idle}"),
            "at least session.refresh_idle_days",
        );
    }
}

/// RFC 8414 §3.3: a client refuses metadata whose issuer isn't the URL that it has asked.
fn issuer(config: &Config, r: &mut Reader) {
    let url = config.server.public_url();
    if let Some(issuer) = config.token.issuer.as_ref().filter(|issuer| **issuer != url) {
        r.notice(format!(
            "token.issuer is {issuer}, and the server's address is {url}: OAuth clients that read the metadata there \
             refuse it"
        ));
    }
}

/// What can't be done without mail isn't switched on without it.
fn mail(config: &Config, r: &mut Reader) {
    const ALLOWED: &str = "that, or mail.smtp_url";
    if !config.sends_mail() {
        if config.registration.mode == RegistrationMode::Verified {
            r.refuse(
                "registration.mode",
                "verified needs a mail server, and mail.smtp_url is not set".to_owned(),
                &format!("open, closed; {ALLOWED}"),
            );
        }
        if config.account.confirm_new_email == Some(true) {
            r.refuse(
                "account.confirm_new_email",
                "true needs a mail server, and mail.smtp_url is not set".to_owned(),
                &format!("false; {ALLOWED}"),
            );
        }
    }
    let plain = config
        .mail
        .smtp_url
        .as_ref()
        .filter(|url| url.tls == SmtpTls::None && !url.is_local);
    if plain.is_some() {
        match config.environment {
            Environment::Production => r.refuse(
                "mail.smtp_url",
                "sends codes and passwords in clear text".to_owned(),
                "in production no ?tls=none, except for localhost",
            ),
            Environment::Development => r.notice(
                "mail.smtp_url sends codes and passwords in clear text: production would refuse it"
                    .to_owned(),
            ),
        }
    }
}

fn mail_files(config: &Config, r: &mut Reader) {
    if let Some(path) = &config.mail.template_dir
        && !path.is_dir()
    {
        let problem = format!("{} is not a directory", path.display());
        r.refuse("mail.template_dir", problem, "the path of a directory");
    }
    readable_file("mail.ca_file", config.mail.ca_file.as_deref(), r);
}

fn breached_file(config: &Config, r: &mut Reader) {
    readable_file(
        "password.breached_file",
        config.password.breached_file.as_deref(),
        r,
    );
}

/// Who chooses a password after that day would be locked out by it: what new passwords get isn't given up.
fn retired_schemes(password: &PasswordConfig, r: &mut Reader) {
    let (for_long, chosen) = (PasswordAlgorithm::FOR_LONG.name(), password.algorithm.name());
    let origin = r.origin("password.algorithm");
    for retired in &password.retire_before {
        let problem = if retired.scheme == for_long {
            format!(
                "{for_long} is what new passwords over 72 bytes are hashed with, whatever password.algorithm is"
            )
        } else if retired.scheme == chosen {
            format!(
                "{chosen} is what new passwords are hashed with: password.algorithm ({origin}) is {chosen}"
            )
        } else {
            continue;
        };
        let bcrypt = PasswordAlgorithm::Bcrypt.name();
        r.refuse(
            "password.retire_before",
            problem,
            &format!(
                "schemes other than {for_long}, and {bcrypt} once password.algorithm is {}",
                PasswordAlgorithm::Argon2id.name()
            ),
        );
    }
}

fn readable_file(key: &str, path: Option<&Path>, r: &mut Reader) {
    let Some(path) = path else {
        return;
    };
    // Opening a directory succeeds; only reading from it fails.
    let problem = match File::open(path).and_then(|file| file.metadata()) {
        Ok(metadata) if metadata.is_dir() => "is a directory".to_owned(),
        Ok(_) => return,
        Err(error) => format!("can't be read: {error}"),
    };
    r.refuse(
        key,
        format!("{} {problem}", path.display()),
        "the path of a readable file",
    );
}

fn proxies(config: &Config, r: &mut Reader) {
    if config
        .server
        .trusted_proxies
        .iter()
        .any(|network| network.prefix() == 0)
    {
        r.notice(
            "server.trusted_proxies trusts every address: clients can choose the address they are counted and logged under"
                .to_owned(),
        );
    }
}

fn database(config: &Config, r: &mut Reader) {
    let url = &config.database.url;
    if !url.without_effect().is_empty() {
        // A name that isn't plain may be a piece of something else.
        let is_plain = |name: &&String| {
            name.bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
        };
        let names: Vec<_> = url.without_effect().iter().filter(is_plain).cloned().collect();
        r.notice(format!(
            "database.url has parameters that have no effect: {}",
            names.join(", ")
        ));
    }
    if config.environment == Environment::Production
        && let Some(host) = url.exposed_to()
    {
        r.notice(format!(
            "database.url has no sslmode=verify-full: the way to {host} is encrypted only if that offers it, and anybody \
             on it can pose as the database"
        ));
    }
}

fn public_url(config: &Config, r: &mut Reader) {
    const ALLOWED: &str =
        "an https URL such as https://accounts.example.org; http only for localhost, 127.0.0.1 and [::1]";
    match &config.server.public_url {
        // No fault: a service of this host alone is reached where it listens.
        None => r.notice(format!(
            "server.public_url is not set: tokens and metadata name {}",
            config.server.public_url()
        )),
        Some(url) if url.starts_with("https://") || is_local(url) => {}
        Some(_) => r.refuse(
            "server.public_url",
            "must be https in production".to_owned(),
            ALLOWED,
        ),
    }
}

fn is_local(url: &str) -> bool {
    let url = Url::parse(url);
    let host = url.as_ref().ok().and_then(Url::host_str);
    matches!(host, Some("localhost" | "127.0.0.1" | "[::1]"))
}

fn secret_key(config: &Config, r: &mut Reader) {
    let problem = match &config.security.secret_key {
        None => "must be set in production".to_owned(),
        Some(key) => match key.weakness() {
            None => return,
            Some(weakness) => format!("{weakness}, which production refuses"),
        },
    };
    let key = "security.secret_key";
    r.refuse(key, problem, &allowed_secret(key, MAKE_A_KEY));
}

fn passwords(password: &PasswordConfig, r: &mut Reader) {
    if password.bcrypt_cost < 10 {
        r.refuse(
            "password.bcrypt_cost",
            format!("{} is too low for production", password.bcrypt_cost),
            "10 to 16 in production",
        );
    }
    // Whatever the algorithm: passwords too long for bcrypt are hashed with argon2id.
    let (memory, iterations) = (password.argon2_memory_kib, password.argon2_iterations);
    let strong = |(least_memory, least_iterations): &(u32, u32)| {
        memory >= *least_memory && iterations >= *least_iterations
    };
    if !ARGON2_MINIMUMS.iter().any(strong) {
        let pairs: Vec<_> = ARGON2_MINIMUMS
            .iter()
            .map(|(memory, iterations)| format!("{memory} with {iterations}"))
            .collect();
        r.refuse(
            "password.argon2_memory_kib",
            format!("{memory} with password.argon2_iterations = {iterations} is too weak for production"),
            &format!("in production at least one of {}", pairs.join(", ")),
        );
    }
    if password.min_length < 8 {
        r.refuse(
            "password.min_length",
            format!("{} is too short for production", password.min_length),
            "8 to 64 in production",
        );
    }
}
