//! E-mail addresses: one parser for everybody who takes one (checkout, sign-up, staff) and for what
//! sends mail, so that no address is taken that no mail can be sent to. Whether mail arrives there
//! only mail can tell.
//!
//! An address is plain: a name of letters, digits and a few signs, an `@`, and a domain. What RFC
//! 5322 allows beside that (quoted names, comments, literal IP addresses) is of no person who buys
//! something, and mail servers refuse much of it.

/// How long an address may be, in bytes.
const MAX_LENGTH: usize = 254;
/// How long the part before the `@` may be, in bytes.
const MAX_NAME: usize = 64;
/// How long a part of the domain may be, in bytes.
const MAX_LABEL: usize = 63;
/// What a name may have beside letters, digits and dots.
const SIGNS: &str = "!#$%&'*+-/=?^_`{|}~";

/// Why a text is no e-mail address. It reads after the field's name and never repeats the address.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum EmailProblem {
    /// There is nothing in it.
    #[error("can't be blank")]
    Blank,
    /// It is too long.
    #[error("is too long (maximum is {MAX_LENGTH} characters, and {MAX_NAME} before the @)")]
    TooLong,
    /// It is of no such form.
    #[error("is invalid: {0}")]
    Invalid(String),
}

/// An address as it is looked up: without blanks around it, in lower case. It may be none.
#[must_use]
pub fn normal(text: &str) -> String {
    super::text::lower(text.trim())
}

/// An address as it is kept: without blanks around it, in lower case.
///
/// # Errors
/// [`EmailProblem`].
pub fn parse(text: &str) -> Result<String, EmailProblem> {
    let email = normal(text);
    let invalid = |why: &str| Err(EmailProblem::Invalid(why.to_owned()));
    if email.is_empty() {
        return Err(EmailProblem::Blank);
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
    let wrong = name.chars().find(|c| !is_plain(*c) && !SIGNS.contains(*c));
    if let Some(wrong) = wrong.or_else(|| domain.chars().find(|c| !is_plain(*c) && *c != '-')) {
        return Err(EmailProblem::Invalid(format!("it can't contain {}", shown(wrong))));
    }
    if email.len() > MAX_LENGTH || name.len() > MAX_NAME {
        return Err(EmailProblem::TooLong);
    }
    let is_label = |label: &str| label.len() <= MAX_LABEL && !label.starts_with('-') && !label.ends_with('-');
    if !domain.split('.').all(is_label) {
        return invalid("what is after the @ must be a domain, such as example.com");
    }
    Ok(email)
}

/// A character for people: by its number where it can't be seen.
fn shown(c: char) -> String {
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
    fn addresses_are_known_by_their_shape() {
        for good in [
            "ada@example.com",
            " Ada@Example.COM ",
            "o'neil+shop@example.co.uk",
            "ä@ö.example",
            "a.b_c-d@sub.example.com",
            "用户@例子.广告",
            "root@localhost",
        ] {
            assert_eq!(parse(good), Ok(normal(good)), "{good}");
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
        assert_eq!(parse(&format!("{}@example.com", "a".repeat(65))), Err(EmailProblem::TooLong));
        let hidden = parse("a\u{200b}@example.com").unwrap_err().to_string();
        assert_eq!(hidden, "is invalid: it can't contain the character U+200B");
    }
}
