//! A letter as it travels: headers and two parts, in the form of RFC 5322. For the mailers alone.

use std::time::{Duration, SystemTime};

use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};
use lettre::{Address, Message};

use super::{Letter, MailError};
use crate::domain::email;

/// Who letters are from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sender {
    mailbox: Mailbox,
    /// Whether each letter bears the name that its shop has at the time.
    is_named_by_shop: bool,
}

impl Sender {
    /// Reads `Mercato <no-reply@shop.example>`, or an address alone.
    ///
    /// # Errors
    /// A sentence that goes after the setting's name.
    pub fn parse(text: &str) -> Result<Self, String> {
        text.parse()
            .map(|mailbox| Self { mailbox, is_named_by_shop: false })
            .map_err(|_| "must be an address such as `Mercato <no-reply@shop.example>`".to_owned())
    }

    /// Who letters of a shop are from that has not said so: nobody could answer.
    #[must_use]
    pub fn of_shop() -> Self {
        let address = Address::new_dangerous("no-reply", "localhost");
        Self { mailbox: Mailbox::new(None, address), is_named_by_shop: true }
    }

    /// Who a letter of a shop is from.
    fn of_letter(&self, shop: &str) -> Mailbox {
        match self.is_named_by_shop {
            true => Mailbox::new(Some(one_line(shop)), self.mailbox.email.clone()),
            false => self.mailbox.clone(),
        }
    }

    /// The name of a letter among all letters in the world.
    fn message_id(&self, id: &str) -> String {
        format!("<{id}@{}>", self.mailbox.email.domain())
    }
}

/// A letter with its headers. Nothing in it can add another header: addresses and the letter's name are of letters that mean nothing in
/// a header, and what people wrote is cleared of line ends and encoded.
pub(super) fn message(letter: &Letter, from: &Sender) -> Result<Message, MailError> {
    let is_safe = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if letter.id.is_empty() || !letter.id.chars().all(is_safe) {
        return Err(MailError::Refused("its name is none that a header or a file can have".to_owned()));
    }
    let to =
        email::parse(&letter.to).map_err(|problem| MailError::Refused(format!("the address {problem}")))?;
    // What the parser takes, this takes: tests see to that.
    let to: Address = to.parse().map_err(|_| MailError::Refused("the address is invalid".to_owned()))?;
    let since_1970 = Duration::from_micros(u64::try_from(letter.date.micros()).unwrap_or(0));
    let header = |name, value: &str| HeaderValue::new(HeaderName::new_from_ascii_str(name), value.to_owned());
    Message::builder()
        .from(from.of_letter(&letter.shop))
        .to(Mailbox::new(None, to))
        .subject(one_line(&letter.subject))
        .message_id(Some(from.message_id(&letter.id)))
        .date(SystemTime::UNIX_EPOCH.checked_add(since_1970).unwrap_or(SystemTime::UNIX_EPOCH))
        .raw_header(header("Content-Language", letter.language))
        // Keeps out-of-office answers away (RFC 3834).
        .raw_header(header("Auto-Submitted", "auto-generated"))
        .multipart(MultiPart::alternative_plain_html(letter.text.clone(), letter.html.clone()))
        .map_err(|error| MailError::Refused(error.to_string()))
}

/// A text without line ends and other control characters.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::Timestamp;

    fn letter() -> Letter {
        Letter {
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

    /// The lines of the headers, those that go on in the next joined.
    fn headers(letter: &Letter) -> Vec<String> {
        let from = Sender::parse("\"Paper, Home\" <shop@example.com>").unwrap();
        let text = String::from_utf8(message(letter, &from).unwrap().formatted()).unwrap();
        let (head, _) = text.split_once("\r\n\r\n").unwrap();
        head.replace("\r\n ", " ").split("\r\n").map(str::to_owned).collect()
    }

    #[test]
    fn a_letter_is_called_the_same_whenever_it_is_sent() {
        let headers = headers(&letter());
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
    fn what_is_taken_as_an_address_can_be_written_to() {
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
            let letter = Letter { to: to.to_owned(), ..letter() };
            assert!(message(&letter, &from).is_ok(), "{to}");
        }
    }

    #[test]
    fn nothing_adds_a_header() {
        let injection = "Hello\r\nBcc: everybody@example.com\r\n\r\nBuy!";
        let from = Sender::of_shop();
        let subject = Letter { subject: injection.to_owned(), shop: injection.to_owned(), ..letter() };
        let text = String::from_utf8(message(&subject, &from).unwrap().formatted()).unwrap();
        assert!(!text.lines().any(|line| line.starts_with("Bcc")), "{text}");
        assert_eq!(headers(&subject).len(), headers(&letter()).len());

        let from = Sender::parse("shop@example.com").unwrap();
        for to in
            ["ada@example.com\r\nBcc: everybody@example.com", "ada@example.com, bob@example.com", "", "ada"]
        {
            let letter = Letter { to: to.to_owned(), ..letter() };
            assert!(matches!(message(&letter, &from), Err(MailError::Refused(_))), "{to}");
        }
        for id in ["", "../../etc/passwd", "a\r\nBcc: everybody@example.com", "a@b"] {
            let letter = Letter { id: id.to_owned(), ..letter() };
            assert!(matches!(message(&letter, &from), Err(MailError::Refused(_))), "{id}");
        }
        for from in ["", "shop", "Shop <>", "a@b.c\nBcc: d@e.f", "Shop <a@b.c> and others"] {
            assert!(Sender::parse(from).is_err(), "{from:?}");
        }
    }
}
