//! Sections about accounts: `token`, `session`, `registration`, `account`.

use super::layer::Form;
use super::reader::{Choice, Reader, Row};
use super::values;

/// How access tokens are signed. Keys of another algorithm stay valid until they retire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenAlgorithm {
    /// ECDSA on P-256 with SHA-256: small signatures, understood everywhere.
    Es256,
    /// Ed25519.
    EdDsa,
    /// RSA PKCS#1 v1.5 with SHA-256: large signatures, for verifiers that know nothing else.
    Rs256,
}

impl Choice for TokenAlgorithm {
    const NAMES: &'static [(&'static str, Self)] = &[
        ("ES256", Self::Es256),
        ("EdDSA", Self::EdDsa),
        ("RS256", Self::Rs256),
    ];
}

/// The `token` section: access tokens.
#[derive(Clone, Debug)]
pub struct TokenConfig {
    /// How new signing keys sign.
    pub algorithm: TokenAlgorithm,
    /// The `iss` claim; none for the public URL ([`Config::issuer`](super::Config::issuer)).
    pub issuer: Option<String>,
    /// The `aud` claim; none for the public URL ([`Config::audience`](super::Config::audience)).
    pub audience: Option<String>,
    /// Seconds for which an access token is valid.
    pub access_seconds: u32,
}

impl TokenConfig {
    pub(super) fn read(r: &mut Reader) -> Self {
        const ALLOWED: &str = "1 to 255 characters without white space";
        let name = |text: &str| values::token_name(text).map(Some);
        Self {
            algorithm: r.choice(
                "token.algorithm",
                TokenAlgorithm::Es256,
                "How new signing keys sign access tokens",
            ),
            issuer: r.text(
                Row::new(
                    "token.issuer",
                    Form::Plain,
                    ALLOWED,
                    "Issuer (iss) of access tokens; without one, the public URL",
                ),
                None,
                name,
                Clone::clone,
            ),
            audience: r.text(
                Row::new(
                    "token.audience",
                    Form::Plain,
                    ALLOWED,
                    "Audience (aud) of access tokens; without one, the public URL",
                ),
                None,
                name,
                Clone::clone,
            ),
            access_seconds: r.number(
                "token.access_seconds",
                900,
                30..=86_400,
                "Seconds for which an access token is valid",
            ),
        }
    }
}

/// The `session` section: refresh tokens.
#[derive(Clone, Debug)]
pub struct SessionConfig {
    /// Days without use after which a session ends.
    pub refresh_idle_days: u32,
    /// Days after which a session ends however much it is used; never less than the idle days.
    pub refresh_absolute_days: u32,
    /// Seconds within which a spent refresh token still yields its successor; 0 for never.
    pub refresh_grace_seconds: u32,
    /// How many sessions a user has at most; the oldest goes when another one begins.
    pub max_per_user: u32,
}

/// The `oauth` section.
#[derive(Clone, Debug)]
pub struct OAuthConfig {
    /// Whether `/oauth/token` takes `grant_type=password`.
    pub password_grant: bool,
}

impl OAuthConfig {
    pub(super) fn read(r: &mut Reader) -> Self {
        Self {
            password_grant: r.flag(
                "oauth.password_grant",
                true,
                "Whether /oauth/token takes grant_type=password, for OAuth clients of one's own",
            ),
        }
    }
}

impl SessionConfig {
    pub(super) fn read(r: &mut Reader) -> Self {
        Self {
            refresh_idle_days: r.number(
                "session.refresh_idle_days",
                30,
                1..=3650,
                "Days without use after which a session ends",
            ),
            refresh_absolute_days: r.number(
                "session.refresh_absolute_days",
                90,
                1..=3650,
                "Days after which a session ends in any case; at least session.refresh_idle_days",
            ),
            refresh_grace_seconds: r.number(
                "session.refresh_grace_seconds",
                10,
                0..=60,
                "Seconds within which a spent refresh token still gives the same successor",
            ),
            max_per_user: r.number(
                "session.max_per_user",
                50,
                1..=1000,
                "Sessions that a user has at most; the oldest goes when another one begins",
            ),
        }
    }
}

/// Who may register an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegistrationMode {
    /// Anyone; the account can be used at once.
    Open,
    /// Anyone; there is an account once its address is proven, and nobody is told whether there was one before.
    Verified,
    /// Nobody; accounts are made by an operator.
    Closed,
}

impl Choice for RegistrationMode {
    const NAMES: &'static [(&'static str, Self)] = &[
        ("open", Self::Open),
        ("verified", Self::Verified),
        ("closed", Self::Closed),
    ];
}

/// The `registration` section.
#[derive(Clone, Debug)]
pub struct RegistrationConfig {
    /// Who may register an account.
    pub mode: RegistrationMode,
}

impl RegistrationConfig {
    pub(super) fn read(r: &mut Reader) -> Self {
        Self {
            mode: r.choice(
                "registration.mode",
                RegistrationMode::Open,
                "Who may register: open for anyone, verified for whoever proves the address, closed for nobody",
            ),
        }
    }
}

/// The `account` section: what users may change about themselves.
#[derive(Clone, Debug)]
pub struct AccountConfig {
    /// Whether a new e-mail address or password asks for the current password.
    pub require_current_password: bool,
    /// Whether a new e-mail address waits for a confirmation; none for what suits the mail server.
    pub confirm_new_email: Option<bool>,
}

impl AccountConfig {
    pub(super) fn read(r: &mut Reader) -> Self {
        Self {
            require_current_password: r.flag(
                "account.require_current_password",
                true,
                "Whether changing e-mail or password asks for the current password",
            ),
            confirm_new_email: r.read(
                Row::new(
                    "account.confirm_new_email",
                    Form::Plain,
                    "true or false",
                    "Whether a new e-mail address waits for a confirmation; without a word, where mail.smtp_url is set",
                ),
                None,
                |raw| raw.flag().map(Some),
                |flag| flag.map(|flag| flag.to_string()),
            ),
        }
    }
}
