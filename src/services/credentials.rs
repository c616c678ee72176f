//! E-mail addresses and passwords as they come in.

use super::validate::Problems;
use crate::domain::email::{self, EmailProblem};
use crate::error::UserErrorCode;

/// How short a password may be, in characters.
const MIN_PASSWORD: usize = 8;
/// How long a password may be, in characters.
const MAX_PASSWORD: usize = 200;

/// An e-mail address as it is looked up; see [`email::normal`].
#[must_use]
pub fn normal_email(text: &str) -> String {
    email::normal(text)
}

/// An e-mail address as it is kept, and what is wrong with it is noted.
pub fn email(problems: &mut Problems, field: &[&str], text: &str) -> String {
    email::parse(text).unwrap_or_else(|problem| {
        let code = match problem {
            EmailProblem::Blank => UserErrorCode::Blank,
            EmailProblem::TooLong => UserErrorCode::TooLong,
            EmailProblem::Invalid(_) => UserErrorCode::Invalid,
        };
        problems.add(field, code, format!("Email {problem}"));
        email::normal(text)
    })
}

/// Notes what is wrong with a password that is to be set.
pub fn password(problems: &mut Problems, field: &[&str], text: &str) {
    let length = text.chars().count();
    if text.trim().is_empty() {
        problems.add(field, UserErrorCode::Blank, "Password can't be blank");
    } else if length < MIN_PASSWORD {
        let message = format!("Password is too short (minimum is {MIN_PASSWORD} characters)");
        problems.add(field, UserErrorCode::TooShort, message);
    } else if length > MAX_PASSWORD {
        let message = format!("Password is too long (maximum is {MAX_PASSWORD} characters)");
        problems.add(field, UserErrorCode::TooLong, message);
    } else if text.trim() != text {
        problems.add(field, UserErrorCode::Invalid, "Password can't start or end with a blank");
    }
}

/// Whether a password that somebody signs in with is worth a hash: none that was ever set is longer.
#[must_use]
pub fn could_be_password(text: &str) -> bool {
    text.chars().count() <= MAX_PASSWORD
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_neither_short_nor_endless() {
        let codes = |text: &str| {
            let mut problems = Problems::default();
            password(&mut problems, &["password"], text);
            problems.check().is_ok()
        };
        assert!(codes("longenough") && codes(&"ä".repeat(200)));
        for bad in ["", "        ", "short", " padded-word ", &"x".repeat(201)] {
            assert!(!codes(bad), "{bad:?}");
        }
    }
}
