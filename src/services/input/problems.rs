//! Collects all problems of an input, so that they are reported at once.

use crate::domain::checkout::pricing::MAX_PRICE;
use crate::domain::money::{Currency, Money, micros};
use crate::domain::text::web_addresses::has_web_address;
use crate::error::{Error, UserError, UserErrorCode};

/// Maximum length of a single line of text, in characters.
pub(crate) const MAX_LINE_CHARS: usize = 255;
/// Maximum length of an image's alternative text, in characters.
pub(super) const MAX_ALT_TEXT_CHARS: usize = 512;
/// Maximum length of a URL, in bytes.
const MAX_URL_BYTES: usize = 2_048;
/// Maximum length of HTML, in bytes.
pub(super) const MAX_HTML_BYTES: usize = 512 * 1024;

/// The problems found so far, each with the path of its field.
#[derive(Default)]
pub(crate) struct Problems(Vec<UserError>);

impl Problems {
    /// Adds a problem.
    pub(crate) fn add(&mut self, field: &[&str], code: UserErrorCode, message: impl Into<String>) {
        self.0.push(UserError::new(field, code, message));
    }

    /// Validates a required line of text.
    pub(crate) fn required(&mut self, field: &[&str], text: &str) {
        if text.trim().is_empty() {
            self.add(field, UserErrorCode::Blank, format!("{} can't be blank", display_name(field)));
        }
        self.line(field, text);
    }

    /// Validates a line of text.
    pub(crate) fn line(&mut self, field: &[&str], text: &str) {
        self.text(field, text, MAX_LINE_CHARS);
    }

    /// Validates the alternative text of an image.
    pub(crate) fn alt_text(&mut self, field: &[&str], text: &str) {
        self.text(field, text, MAX_ALT_TEXT_CHARS);
    }

    fn text(&mut self, field: &[&str], text: &str, max: usize) {
        if text.chars().count() > max {
            let message = format!("{} is too long (maximum is {max} characters)", display_name(field));
            self.add(field, UserErrorCode::TooLong, message);
        }
    }

    /// Validates a person's name. Mails greet people by name, so it must not be a link.
    pub(crate) fn person_name(&mut self, field: &[&str], text: &str) {
        self.line(field, text);
        if has_web_address(text) {
            let message =
                format!("{} can't contain a web address; leave a blank after a dot", display_name(field));
            self.add(field, UserErrorCode::Invalid, message);
        }
    }

    /// Validates HTML.
    pub(crate) fn html(&mut self, field: &[&str], html: &str) {
        if html.len() > MAX_HTML_BYTES {
            let message = format!("{} is too long (maximum is {MAX_HTML_BYTES} bytes)", display_name(field));
            self.add(field, UserErrorCode::TooLong, message);
        }
    }

    /// Parses an amount of at least zero to minor units. Returns 0 and adds a problem if it is
    /// invalid.
    pub(crate) fn amount(&mut self, field: &[&str], text: &str, currency: Currency) -> i64 {
        match Money::parse(text, currency) {
            Ok(money) if money.minor() >= 0 => money.minor(),
            Ok(_) => {
                self.add(field, UserErrorCode::Invalid, format!("{} can't be negative", display_name(field)));
                0
            }
            Err(error) => {
                self.add(field, UserErrorCode::Invalid, format!("{}: {error}", display_name(field)));
                0
            }
        }
    }

    /// As [`Problems::amount`], for an optional amount.
    pub(crate) fn optional_amount(
        &mut self,
        field: &[&str],
        text: Option<&str>,
        currency: Currency,
    ) -> Option<i64> {
        text.map(|text| self.amount(field, text, currency))
    }

    /// Checks that a price is low enough for the totals of carts not to overflow.
    pub(crate) fn check_price_limit(&mut self, field: &[&str], minor: i64, currency: Currency) {
        if minor > MAX_PRICE {
            let max = Money::new(MAX_PRICE, currency).to_decimal();
            let message = format!("{} can be up to {max} {}", display_name(field), currency.code());
            self.add(field, UserErrorCode::Invalid, message);
        }
    }

    /// Parses a decimal number from zero to `max` to millionths. Returns 0 and adds a problem if it
    /// is invalid.
    pub(crate) fn micros(&mut self, field: &[&str], text: &str, max: i64) -> i64 {
        match micros::parse(text) {
            Some(number) if number <= max => number,
            Some(_) => {
                let message = format!("{} can be up to {}", display_name(field), micros::to_decimal(max));
                self.add(field, UserErrorCode::Invalid, message);
                0
            }
            None => {
                let message =
                    format!("{} must be a number such as 0.5, with up to six decimals", display_name(field));
                self.add(field, UserErrorCode::Invalid, message);
                0
            }
        }
    }

    /// Parses a percentage from zero to `max`, both in millionths of the whole. Returns 0 and adds
    /// a problem if it is invalid.
    pub(crate) fn percentage(&mut self, field: &[&str], text: &str, max: i64) -> i64 {
        match micros::parse_percentage(text) {
            Some(part) if part <= max => part,
            _ => {
                let max = micros::to_percentage(max);
                let message = format!(
                    "{} must be a percentage from 0 to {max} such as 12.5, with up to four decimals",
                    display_name(field)
                );
                self.add(field, UserErrorCode::Invalid, message);
                0
            }
        }
    }

    /// Validates a positive number of things.
    pub(crate) fn count(&mut self, field: &[&str], number: i64) {
        const MAX_COUNT: i64 = 1_000_000_000;
        if !(1..=MAX_COUNT).contains(&number) {
            self.add(
                field,
                UserErrorCode::Invalid,
                format!("{} must be from 1 to {MAX_COUNT}", display_name(field)),
            );
        }
    }

    /// Validates a URL or a path on this server.
    pub(crate) fn url(&mut self, field: &[&str], url: &str) {
        if !is_address(url) || url.len() > MAX_URL_BYTES {
            let message = format!(
                "{} must be an https:// or http:// address, or a path on this server that starts with one slash, without \
                 spaces and of at most {MAX_URL_BYTES} bytes",
                display_name(field)
            );
            self.add(field, UserErrorCode::Invalid, message);
        }
    }

    /// Whether there are no problems.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The problems, for callers that report them in another way.
    pub(crate) fn into_vec(self) -> Vec<UserError> {
        self.0
    }

    /// Appends the problems of another collection.
    pub(crate) fn append(&mut self, mut others: Self) {
        self.0.append(&mut others.0);
    }

    /// Fails if there are any problems.
    ///
    /// # Errors
    /// [`Error::Invalid`] with all problems.
    pub(crate) fn check(self) -> Result<(), Error> {
        if self.0.is_empty() { Ok(()) } else { Err(Error::Invalid(self.0)) }
    }
}

/// Whether a text is an http(s) URL, or a path on this server. Protocol-relative URLs (`//host`)
/// are neither.
pub(crate) fn is_address(text: &str) -> bool {
    let starts_with =
        |start: &str| text.get(..start.len()).is_some_and(|head| head.eq_ignore_ascii_case(start));
    let is_path = text.starts_with('/') && !text.starts_with("//");
    (is_path || starts_with("https://") || starts_with("http://"))
        && !text.contains(|c: char| c.is_whitespace() || c.is_control())
}

/// The display name of a field: `compareAtPrice` becomes "Compare at price".
fn display_name(field: &[&str]) -> String {
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
