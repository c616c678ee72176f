//! Collects everything that is wrong with an input, so that its sender hears of all of it at once.

use crate::domain::micros;
use crate::domain::money::{Currency, Money};
use crate::domain::pricing::MAX_PRICE;
use crate::domain::web_text::has_web_address;
use crate::error::{Error, UserError, UserErrorCode};

/// How long a single line of text may be, in characters.
pub const MAX_LINE: usize = 255;
/// How long the words for an image may be, in characters.
pub const MAX_ALT_TEXT: usize = 512;
/// How long an address may be, in bytes.
const MAX_URL_BYTES: usize = 2_048;
/// How long a description may be, in bytes.
pub const MAX_HTML: usize = 512 * 1024;

/// The problems found so far, each with the path of its field.
#[derive(Default)]
pub struct Problems(Vec<UserError>);

impl Problems {
    /// Notes a problem.
    pub fn add(&mut self, field: &[&str], code: UserErrorCode, message: impl Into<String>) {
        self.0.push(UserError::new(field, code, message));
    }

    /// A line of text that must be there.
    pub fn required(&mut self, field: &[&str], text: &str) {
        if text.trim().is_empty() {
            self.add(field, UserErrorCode::Blank, format!("{} can't be blank", name(field)));
        }
        self.line(field, text);
    }

    /// A line of text.
    pub fn line(&mut self, field: &[&str], text: &str) {
        self.text(field, text, MAX_LINE);
    }

    /// What an image shows, in words.
    pub fn alt_text(&mut self, field: &[&str], text: &str) {
        self.text(field, text, MAX_ALT_TEXT);
    }

    fn text(&mut self, field: &[&str], text: &str, most: usize) {
        if text.chars().count() > most {
            let message = format!("{} is too long (maximum is {most} characters)", name(field));
            self.add(field, UserErrorCode::TooLong, message);
        } else if text.contains('\0') {
            self.add(field, UserErrorCode::Invalid, format!("{} can't contain a NUL character", name(field)));
        }
    }

    /// A person's name. Mails greet people by it, so it must not be a link.
    pub fn person_name(&mut self, field: &[&str], text: &str) {
        self.line(field, text);
        if has_web_address(text) {
            let message = format!("{} can't contain a web address; leave a blank after a dot", name(field));
            self.add(field, UserErrorCode::Invalid, message);
        }
    }

    /// A longer piece of HTML.
    pub fn html(&mut self, field: &[&str], html: &str) {
        if html.len() > MAX_HTML {
            let message = format!("{} is too long (maximum is {MAX_HTML} bytes)", name(field));
            self.add(field, UserErrorCode::TooLong, message);
        } else if html.contains('\0') {
            self.add(field, UserErrorCode::Invalid, format!("{} can't contain a NUL character", name(field)));
        }
    }

    /// An amount of at least zero, in minor units; 0 when it is none, and then noted.
    pub fn amount(&mut self, field: &[&str], text: &str, currency: Currency) -> i64 {
        match Money::parse(text, currency) {
            Ok(money) if money.minor() >= 0 => money.minor(),
            Ok(_) => {
                self.add(field, UserErrorCode::Invalid, format!("{} can't be negative", name(field)));
                0
            }
            Err(error) => {
                self.add(field, UserErrorCode::Invalid, format!("{}: {error}", name(field)));
                0
            }
        }
    }

    /// An amount as [`Problems::amount`], where one is given.
    pub fn amount_if_any(&mut self, field: &[&str], text: Option<&str>, currency: Currency) -> Option<i64> {
        text.map(|text| self.amount(field, text, currency))
    }

    /// What one piece is sold for, in minor units; 0 when the text is no such amount, and then noted.
    pub fn price(&mut self, field: &[&str], text: &str, currency: Currency) -> i64 {
        let minor = self.amount(field, text, currency);
        self.price_limit(field, minor, currency);
        minor
    }

    /// A price that is not too high for carts to add it up.
    pub fn price_limit(&mut self, field: &[&str], minor: i64, currency: Currency) {
        if minor > MAX_PRICE {
            let most = Money::new(MAX_PRICE, currency).to_decimal();
            let message = format!("{} can be up to {most} {}", name(field), currency.code());
            self.add(field, UserErrorCode::Invalid, message);
        }
    }

    /// A plain decimal of at least zero and at most `most`, in millionths; 0 when it is none, and then noted.
    pub fn micros(&mut self, field: &[&str], text: &str, most: i64) -> i64 {
        match micros::parse(text) {
            Some(number) if number <= most => number,
            Some(_) => {
                let message = format!("{} can be up to {}", name(field), micros::to_decimal(most));
                self.add(field, UserErrorCode::Invalid, message);
                0
            }
            None => {
                let message =
                    format!("{} must be a number such as 0.5, with up to six decimals", name(field));
                self.add(field, UserErrorCode::Invalid, message);
                0
            }
        }
    }

    /// A percentage of up to `most`, both as millionths of the whole; 0 when it is none, and then noted.
    pub fn percentage(&mut self, field: &[&str], text: &str, most: i64) -> i64 {
        match micros::parse_percentage(text) {
            Some(part) if part <= most => part,
            _ => {
                let most = micros::to_percentage(most);
                let message = format!(
                    "{} must be a percentage from 0 to {most} such as 12.5, with up to four decimals",
                    name(field)
                );
                self.add(field, UserErrorCode::Invalid, message);
                0
            }
        }
    }

    /// A number of things, above zero.
    pub fn count(&mut self, field: &[&str], number: i64) {
        const MOST: i64 = 1_000_000_000;
        if !(1..=MOST).contains(&number) {
            self.add(field, UserErrorCode::Invalid, format!("{} must be from 1 to {MOST}", name(field)));
        }
    }

    /// A web address, or a path on this server.
    pub fn url(&mut self, field: &[&str], url: &str) {
        if !is_address(url) || url.len() > MAX_URL_BYTES {
            let message = format!(
                "{} must be an https:// or http:// address, or a path on this server that starts with one slash, without \
                 spaces and of at most {MAX_URL_BYTES} bytes",
                name(field)
            );
            self.add(field, UserErrorCode::Invalid, message);
        }
    }

    /// Whether nothing was noted.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The problems themselves, for those who tell of them in another way.
    pub fn into_vec(self) -> Vec<UserError> {
        self.0
    }

    /// Adds what others noted.
    pub fn append(&mut self, mut others: Self) {
        self.0.append(&mut others.0);
    }

    /// Ends here when anything was noted.
    ///
    /// # Errors
    /// [`Error::Invalid`] with all problems.
    pub fn check(self) -> Result<(), Error> {
        if self.0.is_empty() { Ok(()) } else { Err(Error::Invalid(self.0)) }
    }
}

/// Whether a text is a web address, or a path on this server. One that starts with two slashes is neither: it names another
/// server and not how to speak to it.
pub fn is_address(text: &str) -> bool {
    let starts = |start: &str| text.get(..start.len()).is_some_and(|head| head.eq_ignore_ascii_case(start));
    let is_path = text.starts_with('/') && !text.starts_with("//");
    (is_path || starts("https://") || starts("http://"))
        && !text.contains(|c: char| c.is_whitespace() || c.is_control())
}

/// The field's name as a person would say it: `compareAtPrice` is "Compare at price".
fn name(field: &[&str]) -> String {
    let last = field.iter().rev().find(|part| !part.bytes().all(|byte| byte.is_ascii_digit()));
    let mut name = String::new();
    for (at, c) in last.copied().unwrap_or("value").chars().enumerate() {
        match c {
            c if at == 0 => name.extend(c.to_uppercase()),
            c if c.is_uppercase() => {
                name.push(' ');
                name.extend(c.to_lowercase());
            }
            c => name.push(c),
        }
    }
    name
}
