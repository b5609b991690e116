//! Mail over SMTP (RFC 5321).

use std::fmt;
use std::time::Duration;

use lettre::message::header::ContentTransferEncoding;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Tokio1Executor};
use secrecy::ExposeSecret as _;

use super::{Letter, Mailer, SendFault, message};
use crate::config::{SmtpTls, SmtpUrl};

/// Answers that say that it is the mailbox that doesn't exist or doesn't take this (RFC 5321 §4.2.3). Others, such as
/// a refused sign-in, are about us, and an operator may mend them.
const REFUSED: [u16; 3] = [550, 551, 553];

/// How to reach the mail server.
#[derive(Debug)]
pub struct SmtpSettings<'a> {
    /// The server.
    pub url: &'a SmtpUrl,
    /// What we call ourselves (`EHLO`).
    pub hello: String,
    /// Certificates in PEM that the server's may be signed with, besides Mozilla's list.
    pub more_roots: Option<Vec<u8>>,
    /// How long one mail may take in all.
    pub timeout: Duration,
}

/// Sends mails to one server, each on a connection of its own: a connection that is kept is a connection that has died
/// when it is needed.
pub struct SmtpMailer {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    timeout: Duration,
}

impl fmt::Debug for SmtpMailer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SmtpMailer")
    }
}

impl SmtpMailer {
    /// Nothing is sent yet, and nobody is asked whether the server is there.
    ///
    /// # Errors
    /// A text for an operator, where the certificates can't be used.
    pub fn new(settings: SmtpSettings<'_>) -> Result<Self, String> {
        let url = settings.url;
        let mut tls = TlsParameters::builder(url.host.clone());
        for block in pem_blocks(settings.more_roots.as_deref().unwrap_or_default()) {
            let root = Certificate::from_pem(block.as_bytes())
                .map_err(|error| format!("has a certificate that can't be read: {error}"))?;
            tls = tls.add_root_certificate(root);
        }
        let tls = tls.build().map_err(|error| error.to_string())?;
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&url.host)
            .port(url.port)
            .hello_name(ClientId::Domain(settings.hello))
            .timeout(Some(settings.timeout))
            .tls(match url.tls {
                SmtpTls::FromStart => Tls::Wrapper(tls),
                SmtpTls::Required => Tls::Required(tls),
                SmtpTls::Offered => Tls::Opportunistic(tls),
                SmtpTls::None => Tls::None,
            });
        if let Some((user, password)) = &url.credentials {
            let password = password.expose_secret().to_owned();
            builder = builder.credentials(Credentials::new(user.clone(), password));
        }
        Ok(Self {
            transport: builder.build(),
            timeout: settings.timeout,
        })
    }

    async fn deliver(&self, letter: &Letter) -> Result<(), SendFault> {
        let first = message(letter, ContentTransferEncoding::EightBit)?;
        let Err(error) = self.transport.send(first).await else {
            return Ok(());
        };
        // The library's own refusal: the server hasn't said that it takes 8-bit bytes (RFC 6152).
        let error = if error.is_client() && !(letter.text.is_ascii() && letter.html.is_ascii()) {
            let second = message(letter, ContentTransferEncoding::QuotedPrintable)?;
            let Err(error) = self.transport.send(second).await else {
                return Ok(());
            };
            error
        } else {
            error
        };
        let is_final = error
            .status()
            .is_some_and(|code| REFUSED.contains(&u16::from(code)));
        let text = error.to_string();
        // An address outside of ASCII, and a server that doesn't know such (RFC 6531).
        if is_final || (error.is_client() && !letter.to.as_str().is_ascii()) {
            Err(SendFault::Refused(text))
        } else {
            Err(SendFault::Failed(text))
        }
    }
}

#[async_trait::async_trait]
impl Mailer for SmtpMailer {
    async fn send(&self, letter: &Letter) -> Result<(), SendFault> {
        // The library's limit is for each command; a server that takes a second for each byte keeps every one of them.
        match tokio::time::timeout(self.timeout, self.deliver(letter)).await {
            Ok(sent) => sent,
            Err(_) => Err(SendFault::Failed(format!(
                "the mail server took longer than {} seconds",
                self.timeout.as_secs()
            ))),
        }
    }
}

/// The certificates in a file; the library reads one at a time.
fn pem_blocks(pem: &[u8]) -> Vec<String> {
    const END: &str = "-----END CERTIFICATE-----";
    let text = String::from_utf8_lossy(pem);
    text.split_inclusive(END)
        .filter(|block| block.ends_with(END))
        .map(|block| format!("{}\n", block.trim_start()))
        .collect()
}
