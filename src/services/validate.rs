//! Collects everything that is wrong with an input, so that its sender hears of all of it at once.

use crate::domain::micros;
use crate::domain::money::{Currency, Money};
use crate::domain::web_text::has_web_address;
use crate::error::{Error, UserError, UserErrorCode};

/// How long a single line of text may be, in characters.
pub const MAX_LINE: usize = 255;
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
        if text.chars().count() > MAX_LINE {
            let message = format!("{} is too long (maximum is {MAX_LINE} characters)", name(field));
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
        let known = ["https://", "http://", "/"].iter().any(|start| url.starts_with(start));
        if !known || url.len() > 2_048 || url.contains(|c: char| c.is_whitespace() || c.is_control()) {
            let message = format!("{} must be an https:// or http:// address without spaces", name(field));
            self.add(field, UserErrorCode::Invalid, message);
        }
    }

    /// Whether nothing was noted.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
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
