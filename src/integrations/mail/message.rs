//! Builds the MIME message (RFC 5322) of a mail: headers, a plain-text part and an HTML part.

use std::time::{Duration, SystemTime};

use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};
use lettre::{Address, Message};

use super::{MailError, OutgoingMail};
use crate::domain::customers::emails;

/// The sender of all mails.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sender {
    mailbox: Mailbox,
    /// Whether each mail shows its shop's current name as the sender's name.
    is_named_by_shop: bool,
}

impl Sender {
    /// Parses `Mercato <no-reply@shop.example>`, or a bare address.
    ///
    /// # Errors
    /// A message to be shown after the setting's name.
    pub fn parse(text: &str) -> Result<Self, String> {
        text.parse()
            .map(|mailbox| Self { mailbox, is_named_by_shop: false })
            .map_err(|_error| "must be an address such as `Mercato <no-reply@shop.example>`".to_owned())
    }

    /// The sender when none is configured: `no-reply@localhost` with the shop's name.
    #[must_use]
    pub fn named_by_shop() -> Self {
        let address = Address::new_dangerous("no-reply", "localhost");
        Self { mailbox: Mailbox::new(None, address), is_named_by_shop: true }
    }

    /// The `From` mailbox of a shop's mail.
    fn mailbox_for(&self, shop: &str) -> Mailbox {
        if self.is_named_by_shop {
            Mailbox::new(Some(one_line(shop)), self.mailbox.email.clone())
        } else {
            self.mailbox.clone()
        }
    }

    /// The globally unique `Message-ID`.
    fn message_id(&self, id: &str) -> String {
        format!("<{id}@{}>", self.mailbox.email.domain())
    }
}

/// Builds a mail's message. Header injection is impossible: addresses and the mail's id are
/// restricted to characters without a meaning in headers, and free text is encoded and stripped of
/// line breaks.
pub(super) fn build_message(mail: &OutgoingMail, from: &Sender) -> Result<Message, MailError> {
    let is_safe = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if mail.id.is_empty() || !mail.id.chars().all(is_safe) {
        return Err(MailError::Refused("its name is none that a header or a file can have".to_owned()));
    }
    let to =
        emails::parse(&mail.to).map_err(|problem| MailError::Refused(format!("the address {problem}")))?;
    // The parser accepts nothing that this rejects; a test checks it.
    let to: Address = to.parse().map_err(|_error| MailError::Refused("the address is invalid".to_owned()))?;
    let since_epoch = Duration::from_micros(u64::try_from(mail.date.micros()).unwrap_or(0));
    let header = |name, value: &str| HeaderValue::new(HeaderName::new_from_ascii_str(name), value.to_owned());
    Message::builder()
        .from(from.mailbox_for(&mail.shop))
        .to(Mailbox::new(None, to))
        .subject(one_line(&mail.subject))
        .message_id(Some(from.message_id(&mail.id)))
        .date(SystemTime::UNIX_EPOCH.checked_add(since_epoch).unwrap_or(SystemTime::UNIX_EPOCH))
        .raw_header(header("Content-Language", mail.language))
        // Suppresses automatic replies (RFC 3834).
        .raw_header(header("Auto-Submitted", "auto-generated"))
        .multipart(MultiPart::alternative_plain_html(mail.text.clone(), mail.html.clone()))
        .map_err(|error| MailError::Refused(error.to_string()))
}

/// Replaces line breaks and other control characters by spaces.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::Timestamp;

    fn mail() -> OutgoingMail {
        OutgoingMail {
            id: "order_placed.0123".to_owned(),
            shop: "Mercato".to_owned(),
            to: "ada@example.com".to_owned(),
            subject: "Bestellung bestätigt".to_owned(),
            text: "Guten Tag".to_owned(),
            html: "<p>Guten Tag</p>".to_owned(),
            language: "de",
            date: Timestamp::from_micros(1_767_268_800_000_000).unwrap(),
        }
    }

    /// The header lines, unfolded.
    fn headers(mail: &OutgoingMail) -> Vec<String> {
        let from = Sender::parse("\"Paper, Home\" <shop@example.com>").unwrap();
        let text = String::from_utf8(build_message(mail, &from).unwrap().formatted()).unwrap();
        let (head, _) = text.split_once("\r\n\r\n").unwrap();
        head.replace("\r\n ", " ").split("\r\n").map(str::to_owned).collect()
    }

    #[test]
    fn message_ids_and_other_headers_are_deterministic() {
        let headers = headers(&mail());
        for expected in [
            "Message-ID: <order_placed.0123@example.com>",
            "To: ada@example.com",
            "From: =?utf-8?b?UGFwZXIsIEhvbWU=?= <shop@example.com>",
            "Date: Thu, 01 Jan 2026 12:00:00 +0000",
            "Content-Language: de",
            "Auto-Submitted: auto-generated",
        ] {
            assert!(headers.iter().any(|header| header == expected), "{expected} is not in {headers:#?}");
        }
    }

    #[test]
    fn accepted_addresses_can_be_sent_to() {
        let from = Sender::parse("shop@example.com").unwrap();
        let long = format!("{}@{}.example.com", "a".repeat(64), "b".repeat(63));
        for to in [
            "ada@example.com",
            "o'neil+shop@example.co.uk",
            "!#$%&'*+-/=?^_`{|}~@example.com",
            "1.2@3.example",
            "root@localhost",
            "ä@ö.example",
            "用户@例子.广告",
            "a@1-2.example",
            long.as_str(),
        ] {
            let mail = OutgoingMail { to: to.to_owned(), ..mail() };
            assert!(build_message(&mail, &from).is_ok(), "{to}");
        }
    }

    #[test]
    fn user_input_cannot_inject_headers() {
        let injection = "Hello\r\nBcc: everybody@example.com\r\n\r\nBuy!";
        let from = Sender::named_by_shop();
        let subject = OutgoingMail { subject: injection.to_owned(), shop: injection.to_owned(), ..mail() };
        let text = String::from_utf8(build_message(&subject, &from).unwrap().formatted()).unwrap();
        assert!(!text.lines().any(|line| line.starts_with("Bcc")), "{text}");
        assert_eq!(headers(&subject).len(), headers(&mail()).len());

        let from = Sender::parse("shop@example.com").unwrap();
        for to in
            ["ada@example.com\r\nBcc: everybody@example.com", "ada@example.com, bob@example.com", "", "ada"]
        {
            let mail = OutgoingMail { to: to.to_owned(), ..mail() };
            assert!(matches!(build_message(&mail, &from), Err(MailError::Refused(_))), "{to}");
        }
        for id in ["", "../../etc/passwd", "a\r\nBcc: everybody@example.com", "a@b"] {
            let mail = OutgoingMail { id: id.to_owned(), ..mail() };
            assert!(matches!(build_message(&mail, &from), Err(MailError::Refused(_))), "{id}");
        }
        for from in ["", "shop", "Shop <>", "a@b.c\nBcc: d@e.f", "Shop <a@b.c> and others"] {
            assert!(Sender::parse(from).is_err(), "{from:?}");
        }
    }
}
