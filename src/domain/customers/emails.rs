//! E-mail addresses: one parser for all input (checkout, sign-up, staff) and for sending mail, so
//! that every accepted address can be sent to. Whether mail arrives can only be found out by
//! sending it.
//!
//! Only plain addresses are accepted: a local part of letters, digits and some symbols, an `@`, and
//! a domain. The other forms of RFC 5322 (quoted local parts, comments, IP address literals) are
//! not used by buyers, and many mail servers reject them.

use crate::domain::text::lower;

/// Maximum length of an address in bytes.
const MAX_LENGTH: usize = 254;
/// Maximum length of the part before the `@` in bytes.
const MAX_NAME_LENGTH: usize = 64;
/// Maximum length of a label of the domain in bytes.
const MAX_LABEL_LENGTH: usize = 63;
/// Symbols allowed before the `@` besides letters, digits and dots.
const NAME_SYMBOLS: &str = "!#$%&'*+-/=?^_`{|}~";

/// Why a text is not a valid e-mail address. The message is shown after the field's name and never
/// repeats the address.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum EmailError {
    /// The text is empty.
    #[error("can't be blank")]
    Blank,
    /// The address is too long.
    #[error("is too long (maximum is {MAX_LENGTH} characters, and {MAX_NAME_LENGTH} before the @)")]
    TooLong,
    /// The address is malformed.
    #[error("is invalid: {0}")]
    Invalid(String),
}

/// Normalizes an address for lookups: trimmed and in lower case. It is not validated.
#[must_use]
pub fn normalize(text: &str) -> String {
    lower(text.trim())
}

/// Validates and normalizes an address for storage.
///
/// # Errors
/// [`EmailError`].
pub fn parse(text: &str) -> Result<String, EmailError> {
    let email = normalize(text);
    let invalid = |why: &str| Err(EmailError::Invalid(why.to_owned()));
    if email.is_empty() {
        return Err(EmailError::Blank);
    }
    let Some((name, domain)) = email.split_once('@') else {
        return invalid("it must have an @, such as ada@example.com");
    };
    if name.is_empty() || domain.is_empty() {
        return invalid("it must have something before and after the @");
    }
    if domain.contains('@') {
        return invalid("it can have one @ alone");
    }
    for (part, place) in [(name, "before"), (domain, "after")] {
        if part.split('.').any(str::is_empty) {
            return invalid(&format!(
                "what is {place} the @ can't begin or end with a dot, nor have two in a row"
            ));
        }
    }
    let is_plain = |c: char| c == '.' || c.is_alphanumeric();
    let wrong = name.chars().find(|c| !is_plain(*c) && !NAME_SYMBOLS.contains(*c));
    if let Some(wrong) = wrong.or_else(|| domain.chars().find(|c| !is_plain(*c) && *c != '-')) {
        return Err(EmailError::Invalid(format!("it can't contain {}", describe_char(wrong))));
    }
    if email.len() > MAX_LENGTH || name.len() > MAX_NAME_LENGTH {
        return Err(EmailError::TooLong);
    }
    let is_label =
        |label: &str| label.len() <= MAX_LABEL_LENGTH && !label.starts_with('-') && !label.ends_with('-');
    if !domain.split('.').all(is_label) {
        return invalid("what is after the @ must be a domain, such as example.com");
    }
    Ok(email)
}

/// Names a character in an error message, by its code point if it is invisible.
fn describe_char(c: char) -> String {
    match c {
        ' ' => "a blank".to_owned(),
        c if c.is_ascii_graphic() => c.to_string(),
        c => format!("the character U+{:04X}", u32::from(c)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn malformed_addresses_are_rejected() {
        for good in [
            "ada@example.com",
            " Ada@Example.COM ",
            "o'neil+shop@example.co.uk",
            "ä@ö.example",
            "a.b_c-d@sub.example.com",
            "用户@例子.广告",
            "root@localhost",
        ] {
            assert_eq!(parse(good), Ok(normalize(good)), "{good}");
        }
        for bad in [
            "",
            "ada",
            "@example.com",
            "ada@",
            "a b@example.com",
            "a@b@c",
            "a@.b",
            "a@b.",
            "a@b..c",
            "a..b@example.com",
            ".a@example.com",
            "a.@example.com",
            "<a@example.com",
            "<a@example.com>",
            "a\u{200b}@example.com",
            "a@exam\u{200b}ple.com",
            "a@b\0.c",
            "a\r\nbcc@example.com",
            "\"a b\"@example.com",
            "a(b)@example.com",
            "a@[192.0.2.1]",
            "a@-b.example",
            "a@b_c.example",
            "a,b@example.com",
            "a;b@example.com",
            "ada@example.com, bob@example.com",
        ] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
        assert_eq!(parse(&format!("{}@example.com", "a".repeat(65))), Err(EmailError::TooLong));
        let hidden = parse("a\u{200b}@example.com").unwrap_err().to_string();
        assert_eq!(hidden, "is invalid: it can't contain the character U+200B");
    }
}
