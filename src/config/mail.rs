//! The `mail` section.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

use lettre::message::Mailbox;
use percent_encoding::percent_decode_str;
use secrecy::SecretString;
use url::{Host, Url};

use super::layer::Form;
use super::raw::shown;
use super::reader::{REDACTED, Reader, Row};
use super::values;

const SMTP_URL: &str = "smtps://USER:PASSWORD@HOST:PORT for TLS from the start, or smtp://… for STARTTLS; ?tls=none for a \
                        server on the way to which nobody can listen";
/// What stands for the code in a link.
pub const TOKEN: &str = "{token}";

/// The `mail` section: sending mail.
#[derive(Clone, Debug)]
pub struct MailConfig {
    /// The mail server. Without one there is no mail in production, and files in development.
    pub smtp_url: Option<SmtpUrl>,
    /// The sender; none to derive it from the public URL.
    pub from: Option<Mailbox>,
    /// Certificates (PEM) that the mail server's may be signed with, besides Mozilla's list.
    pub ca_file: Option<PathBuf>,
    /// Seconds that the mail server has to take one mail.
    pub timeout_seconds: u16,
    /// How many mails that anybody can ask for go to one address within an hour.
    pub max_per_hour: u32,
    /// A folder with templates that stand in for the built-in ones.
    pub template_dir: Option<PathBuf>,
    /// Where links lead.
    pub links: MailLinks,
}

/// The `mail.links` keys: URLs with [`TOKEN`] in them; none for Roster's own pages.
#[derive(Clone, Debug, Default)]
pub struct MailLinks {
    /// To prove an address.
    pub verify_email: Option<String>,
    /// To choose a new password.
    pub reset_password: Option<String>,
    /// To confirm a new address.
    pub confirm_email: Option<String>,
    /// To accept an invitation.
    pub invitation: Option<String>,
}

impl MailConfig {
    pub(super) fn read(r: &mut Reader) -> Self {
        Self {
            smtp_url: r.text(
                Row::new(
                    "mail.smtp_url",
                    Form::Secret,
                    SMTP_URL,
                    "Mail server; without one no mail in production, and files in data/mail in development",
                ),
                None,
                |text| SmtpUrl::parse(text).map(Some),
                |url| url.as_ref().map(|_| REDACTED.to_owned()),
            ),
            from: r.text(
                Row::new(
                    "mail.from",
                    Form::Plain,
                    "an address such as accounts@example.org or \"Example <accounts@example.org>\"",
                    "Sender of mails; without one, made from the public URL",
                ),
                None,
                |text| sender(text).map(Some),
                |from| from.as_ref().map(ToString::to_string),
            ),
            ca_file: r.text(
                Row::new(
                    "mail.ca_file",
                    Form::Plain,
                    "the path of a readable file with PEM certificates",
                    "Certificates that the mail server's may be signed with, besides the public ones",
                ),
                None,
                |text| values::path(text).map(Some),
                |path| path.as_ref().map(|path| path.display().to_string()),
            ),
            timeout_seconds: r.number(
                "mail.timeout_seconds",
                30,
                1..=300,
                "Seconds that the mail server has to take one mail",
            ),
            max_per_hour: r.number(
                "mail.max_per_hour",
                3,
                1..=1000,
                "Mails that anybody can ask for and that go to one address within an hour; more are dropped silently",
            ),
            template_dir: r.text(
                Row::new(
                    "mail.template_dir",
                    Form::Plain,
                    "the path of a directory",
                    "Directory with templates that stand in for the built-in ones",
                ),
                None,
                |text| values::path(text).map(Some),
                |path| path.as_ref().map(|path| path.display().to_string()),
            ),
            links: MailLinks {
                verify_email: link(r, "mail.links.verify_email", "Where the link leads that proves an address"),
                reset_password: link(
                    r,
                    "mail.links.reset_password",
                    "Where the link leads that lets choose a new password",
                ),
                confirm_email: link(
                    r,
                    "mail.links.confirm_email",
                    "Where the link leads that confirms a new address",
                ),
                invitation: link(
                    r,
                    "mail.links.invitation",
                    "Where the link leads that accepts an invitation",
                ),
            },
        }
    }
}

fn link(r: &mut Reader, key: &'static str, explanation: &'static str) -> Option<String> {
    r.text(
        Row::new(
            key,
            Form::Plain,
            "an http or https URL with {token} in it; without one, a page of this server",
            explanation,
        ),
        None,
        |text| link_target(text).map(Some),
        Clone::clone,
    )
}

/// A URL that a code is put into. Outside of host and port: a code that a client can't read would go to a stranger.
fn link_target(text: &str) -> Result<String, String> {
    if text.matches(TOKEN).count() != 1 {
        return Err(format!("{} must have {TOKEN} in it once", shown(text)));
    }
    let url = values::web_url(&text.replace(TOKEN, "token"))
        .map_err(|problem| format!("{} {problem}", shown(text)))?;
    let behind = text.split_once("://").map_or("", |(_, rest)| rest);
    let is_in_authority = behind
        .split(['/', '?', '#'])
        .next()
        .is_some_and(|authority| authority.contains(TOKEN));
    if is_in_authority || !text.is_ascii() || url.host_str().is_none() {
        return Err(format!("{} has its {TOKEN} in the wrong place", shown(text)));
    }
    Ok(text.to_owned())
}

fn sender(text: &str) -> Result<Mailbox, String> {
    if text.chars().any(char::is_control) {
        return Err("has control characters in it".to_owned());
    }
    text.parse()
        .map_err(|_| "is not an address, nor a name with an address in angle brackets".to_owned())
}

/// How the connection to the mail server is kept secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SmtpTls {
    /// TLS from the first byte on (RFC 8314 §3.3).
    FromStart,
    /// By STARTTLS (RFC 3207); a server that doesn't offer it gets no mail.
    Required,
    /// By STARTTLS where the server offers it: for a server on this machine.
    Offered,
    /// Not at all.
    None,
}

/// A mail server and how to sign in to it. Its Debug shows no password.
#[derive(Clone)]
pub struct SmtpUrl {
    /// A name or an IP address.
    pub host: String,
    /// The port.
    pub port: u16,
    /// How the connection is kept secret.
    pub tls: SmtpTls,
    /// User name and password.
    pub credentials: Option<(String, SecretString)>,
    /// Whether the server is this very machine.
    pub is_local: bool,
}

impl fmt::Debug for SmtpUrl {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "SmtpUrl({}:{})", self.host, self.port)
    }
}

impl SmtpUrl {
    /// The error repeats nothing of the text, which has a password in it.
    fn parse(text: &str) -> Result<Self, String> {
        let url = Url::parse(text).map_err(|_| "is not a URL")?;
        let is_from_start = match url.scheme() {
            "smtps" => true,
            "smtp" => false,
            _ => return Err("begins with neither smtp:// nor smtps://".to_owned()),
        };
        let host = url.host_str().filter(|host| !host.is_empty());
        let host = host.ok_or("names no host")?.trim_matches(['[', ']']).to_owned();
        let is_named = Host::parse(&host).is_ok() || host.parse::<IpAddr>().is_ok();
        if !is_named || host.contains('%') {
            return Err("names no host".to_owned());
        }
        if !matches!(url.path(), "" | "/") || url.fragment().is_some() {
            return Err("has something behind host and port".to_owned());
        }
        let is_local = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
        let tls = match (url.query(), is_from_start) {
            (None, true) => SmtpTls::FromStart,
            (None, false) if is_local => SmtpTls::Offered,
            (None | Some("tls=required"), false) => SmtpTls::Required,
            (Some("tls=none"), false) => SmtpTls::None,
            _ => return Err("has a query that is neither tls=required nor tls=none".to_owned()),
        };
        let decoded = |part: &str| {
            let text = percent_decode_str(part).decode_utf8().ok()?;
            (!text.contains(char::is_control)).then(|| text.into_owned())
        };
        let user = decoded(url.username()).ok_or("has a user name that can't be read")?;
        let password = url.password().map(decoded);
        let credentials = match (user.is_empty(), password) {
            (true, None) => None,
            (false, Some(Some(password))) => Some((user, SecretString::from(password))),
            _ => return Err("needs a user name and a password, or neither".to_owned()),
        };
        Ok(Self {
            port: url.port().unwrap_or(if is_from_start { 465 } else { 587 }),
            host,
            tls,
            credentials,
            is_local,
        })
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    #[test]
    fn a_mail_server_is_read_with_its_port_and_its_credentials() {
        let url = SmtpUrl::parse("smtps://ada%40x.test:p%3Ass@mail.example.org").unwrap();
        assert_eq!(
            (url.host.as_str(), url.port, url.tls),
            ("mail.example.org", 465, SmtpTls::FromStart)
        );
        let (user, password) = url.credentials.unwrap();
        assert_eq!((user.as_str(), password.expose_secret()), ("ada@x.test", "p:ss"));
        let url = SmtpUrl::parse("smtp://mail.example.org:2525").unwrap();
        assert_eq!((url.port, url.tls), (2525, SmtpTls::Required));
        assert!(url.credentials.is_none());
        assert_eq!(SmtpUrl::parse("smtp://mail.example.org").unwrap().port, 587);
        for (text, tls) in [
            ("smtp://127.0.0.1:1025", SmtpTls::Offered),
            ("smtp://[::1]:1025", SmtpTls::Offered),
            ("smtp://localhost?tls=required", SmtpTls::Required),
            ("smtp://mailpit:1025?tls=none", SmtpTls::None),
        ] {
            assert_eq!(SmtpUrl::parse(text).unwrap().tls, tls, "{text}");
        }
    }

    #[test]
    fn what_is_no_mail_server_is_refused_without_repeating_it() {
        for text in [
            "",
            "mail.example.org",
            "http://hunter2@mail.example.org",
            "smtp://",
            "smtp://:hunter2@mail.example.org",
            "smtp://hunter2@mail.example.org",
            "smtp://mail.example.org/hunter2",
            "smtp://mail.example.org?tls=hunter2",
            "smtps://mail.example.org?tls=none",
            "smtp://a%0d%0a:hunter2@mail.example.org",
            "smtp://mail.example.org:hunter2",
        ] {
            let problem = SmtpUrl::parse(text).unwrap_err();
            assert!(!problem.contains("hunter2"), "{problem}");
        }
        let url = SmtpUrl::parse("smtp://u:hunter2@mail.example.org").unwrap();
        assert!(!format!("{url:?}").contains("hunter2"));
    }

    #[test]
    fn a_link_has_its_token_once_and_not_where_the_host_is() {
        assert!(link_target("https://app.example/reset?token={token}").is_ok());
        assert!(link_target("https://app.example/#/reset/{token}").is_ok());
        for text in [
            "https://app.example/reset",
            "https://{token}.evil.example/",
            "https://app.example/{token}/{token}",
            "ftp://app.example/{token}",
            "javascript:alert('{token}')",
            "https://app.example/\r\n{token}",
        ] {
            assert!(link_target(text).is_err(), "{text}");
        }
    }
}
