//! The way out of the house for mail. One seam: SMTP, files for development, and memory in tests.
//!
//! What comes here is complete; what is told about a failure is whether it makes sense to try again.

mod file;
mod smtp;

use std::fmt;

use chrono::{DateTime, Utc};
use lettre::address::{Address, Envelope};
use lettre::message::header::{ContentTransferEncoding, ContentType, HeaderName, HeaderValue};
use lettre::message::{Body, Mailbox, Message, MultiPart, SinglePart};

use crate::domain::{EmailAddress, MailId};

pub use file::FileMailer;
pub use smtp::{SmtpMailer, SmtpSettings};

/// The longest line of a message, in bytes (RFC 5322 §2.1.1).
const MAX_LINE: usize = 998;

/// A mail, ready to be sent.
#[derive(Clone)]
pub struct Letter {
    /// Its id, the left half of the `Message-ID`: the same each time that it is sent, so that a repeat can be told.
    pub id: MailId,
    /// Who sends it.
    pub from: Mailbox,
    /// To whom; never more than one.
    pub to: EmailAddress,
    /// One line.
    pub subject: String,
    /// The plain form.
    pub text: String,
    /// The same with a layout.
    pub html: String,
    /// The link in it, where there is one.
    pub link: Option<String>,
    /// When it was caused.
    pub created_at: DateTime<Utc>,
}

/// A letter has codes in it: only what it is about is shown.
impl fmt::Debug for Letter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Letter({})", self.id)
    }
}

/// Why a mail wasn't sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SendFault {
    /// It never will be: the server says that there is no such mailbox, or the address can't be written to.
    Refused(String),
    /// Perhaps later.
    Failed(String),
}

/// Sends mails.
#[async_trait::async_trait]
pub trait Mailer: Send + Sync + fmt::Debug {
    /// Hands one mail on. When this says that it was sent, whoever comes next is responsible for it.
    ///
    /// # Errors
    /// [`SendFault`].
    async fn send(&self, letter: &Letter) -> Result<(), SendFault>;
}

/// The letter as a message (RFC 5322, RFC 2045). Bytes outside of ASCII go as they are, or as quoted-printable for a
/// server that takes nothing else; a text in ASCII has short enough lines to need neither.
fn message(letter: &Letter, beyond_ascii: ContentTransferEncoding) -> Result<Message, SendFault> {
    let unsendable = |error: &dyn fmt::Display| SendFault::Refused(format!("cannot be written: {error}"));
    let (local, domain) = letter
        .to
        .as_str()
        .rsplit_once('@')
        .ok_or_else(|| unsendable(&"no address"))?;
    // lettre's own parser knows fewer addresses than RFC 6531 (no combining marks, no symbols); ours has proven this one.
    let to = Address::new_dangerous(local, domain);
    // Without one, the library makes it from the header, and reads that with its parser.
    let envelope = Envelope::new(Some(letter.from.email.clone()), vec![to.clone()])
        .map_err(|error| unsendable(&error))?;
    let part = |kind: ContentType, content: &str| {
        let encoding = if content.is_ascii() {
            ContentTransferEncoding::SevenBit
        } else {
            beyond_ascii
        };
        let content = content.replace("\r\n", "\n").replace('\n', "\r\n");
        let body = if encoding == ContentTransferEncoding::QuotedPrintable {
            Body::new_with_encoding(content, encoding).map_err(|_| unsendable(&"it is not text"))?
        } else if content.lines().all(|line| line.len() <= MAX_LINE) {
            // The library would have lines of 76 bytes, and break a link.
            Body::dangerous_pre_encoded(content.into_bytes(), encoding)
        } else {
            return Err(unsendable(&"a line is too long"));
        };
        Ok(SinglePart::builder().header(kind).body(body))
    };
    let parts = MultiPart::alternative()
        .singlepart(part(ContentType::TEXT_PLAIN, &letter.text)?)
        .singlepart(part(ContentType::TEXT_HTML, &letter.html)?);
    let automatic = HeaderValue::new(
        HeaderName::new_from_ascii_str("Auto-Submitted"),
        // RFC 3834 §5: no vacation notice comes back.
        "auto-generated".to_owned(),
    );
    Message::builder()
        .message_id(Some(format!("<{}@{}>", letter.id, letter.from.email.domain())))
        .date(letter.created_at.into())
        .from(letter.from.clone())
        .to(Mailbox::new(None, to))
        .envelope(envelope)
        .subject(letter.subject.clone())
        .raw_header(automatic)
        .multipart(parts)
        .map_err(|error| unsendable(&error))
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn letter() -> Letter {
        Letter {
            id: MailId::new(Uuid::from_u128(7)),
            from: "Example <accounts@example.org>".parse().unwrap(),
            to: EmailAddress::parse("ada@example.com").unwrap(),
            subject: "Grüße".to_owned(),
            text: "Schöne Grüße\n\nhttps://example.org/reset?token=0123456789012345678901234567890123456789012345678901234567890123456789\n"
                .to_owned(),
            html: "<p>hello</p>".to_owned(),
            link: None,
            created_at: DateTime::from_timestamp_millis(1_900_000_000_000).unwrap(),
        }
    }

    fn written(letter: &Letter) -> String {
        let bytes = message(letter, ContentTransferEncoding::EightBit)
            .unwrap()
            .formatted();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_link_stays_whole_and_a_repeat_has_the_same_message_id() {
        let text = written(&letter());
        assert!(text.contains("\r\nhttps://example.org/reset?token=0123456789012345678901234567890123456789012345678901234567890123456789\r\n"));
        assert!(text.contains("Message-ID: <00000000-0000-0000-0000-000000000007@example.org>\r\n"));
        assert!(
            text.contains("From: Example <accounts@example.org>\r\n"),
            "{text}"
        );
        assert!(text.contains("To: ada@example.com\r\n"), "{text}");
        assert!(text.contains("Auto-Submitted: auto-generated\r\n"));
        assert!(
            text.contains("Date: Sun, 17 Mar 2030 17:46:40 +0000\r\n"),
            "{text}"
        );
    }

    #[test]
    fn no_header_can_be_added_through_a_subject() {
        let mut letter = letter();
        letter.subject = "Hello\r\nBcc: eve@x.test\r\n\r\nbody".to_owned();
        let text = written(&letter);
        let (head, _) = text.split_once("\r\n\r\n").unwrap();
        assert!(!head.lines().any(|line| line.starts_with("Bcc")), "{head}");
    }

    /// Writes to an address in each way that there is, and sees where it goes.
    #[track_caller]
    fn goes_to(address: &str, canonical: &str) {
        let mut letter = letter();
        letter.to = EmailAddress::parse(address).unwrap();
        for encoding in [
            ContentTransferEncoding::EightBit,
            ContentTransferEncoding::QuotedPrintable,
        ] {
            let message = message(&letter, encoding).unwrap();
            let to: Vec<_> = message.envelope().to().iter().map(ToString::to_string).collect();
            assert_eq!(to, [canonical]);
            let from = message.envelope().from().map(ToString::to_string);
            assert_eq!(from.as_deref(), Some("accounts@example.org"));
            let text = String::from_utf8(message.formatted()).unwrap();
            assert!(text.contains(&format!("\r\nTo: {canonical}\r\n")), "{text}");
        }
    }

    #[test]
    fn an_address_with_any_characters_is_written_as_it_is() {
        goes_to("josé@bücher.example", "josé@xn--bcher-kva.example");
        let longest = format!("{}@{}.test", "€".repeat(21), "d".repeat(63));
        for address in [
            "用户@x.test",
            "हिन्दी@x.test",
            "ก็@x.test",
            "a·b@x.test",
            "€@x.test",
            "💩@x.test",
            "!#$%&'*+-/=?^_`{|}~@x.test",
            &longest,
        ] {
            goes_to(address, address);
        }
    }

    #[test]
    fn no_address_is_taken_that_cannot_be_written_to() {
        // One in so many characters meets every script and kind; each is taken or refused by itself.
        let taken: Vec<String> = ('\0'..=char::MAX)
            .step_by(97)
            .filter_map(|c| EmailAddress::parse(&format!("{c}@x.test")).ok())
            .map(|address| address.as_str().trim_end_matches("@x.test").to_owned())
            .collect();
        assert!(taken.len() > 5000, "{}", taken.len());
        for several in taken.chunks(4) {
            let address = format!("{}@x.test", several.join("."));
            goes_to(&address, &address);
        }
    }

    #[test]
    fn a_letter_does_not_speak() {
        assert_eq!(
            format!("{:?}", letter()),
            "Letter(00000000-0000-0000-0000-000000000007)"
        );
    }
}
