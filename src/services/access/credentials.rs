//! Validates e-mail addresses and passwords.

use crate::domain::customers::emails::{self, EmailError};
use crate::error::UserErrorCode;
use crate::services::input::Problems;

/// Minimum length of a password, in characters.
const MIN_PASSWORD_LENGTH: usize = 8;
/// Maximum length of a password, in characters.
const MAX_PASSWORD_LENGTH: usize = 200;

/// Normalizes an e-mail address for lookups; see [`emails::normalize`].
#[must_use]
pub(crate) fn normalize_email(text: &str) -> String {
    emails::normalize(text)
}

/// Validates an e-mail address, reports problems and returns the form that is stored.
pub(crate) fn check_email(problems: &mut Problems, field: &[&str], text: &str) -> String {
    emails::parse(text).unwrap_or_else(|problem| {
        let code = match problem {
            EmailError::Blank => UserErrorCode::Blank,
            EmailError::TooLong => UserErrorCode::TooLong,
            EmailError::Invalid(_) => UserErrorCode::Invalid,
        };
        problems.add(field, code, format!("Email {problem}"));
        emails::normalize(text)
    })
}

/// Validates a new password and reports problems.
pub(crate) fn check_password(problems: &mut Problems, field: &[&str], text: &str) {
    let length = text.chars().count();
    if text.trim().is_empty() {
        problems.add(field, UserErrorCode::Blank, "Password can't be blank");
    } else if length < MIN_PASSWORD_LENGTH {
        let message = format!("Password is too short (minimum is {MIN_PASSWORD_LENGTH} characters)");
        problems.add(field, UserErrorCode::TooShort, message);
    } else if length > MAX_PASSWORD_LENGTH {
        let message = format!("Password is too long (maximum is {MAX_PASSWORD_LENGTH} characters)");
        problems.add(field, UserErrorCode::TooLong, message);
    } else if text.trim() != text {
        problems.add(field, UserErrorCode::Invalid, "Password can't start or end with a blank");
    }
}

/// Whether a password could be right at all: no stored password is longer than the maximum, so
/// hashing a longer one is pointless.
#[must_use]
pub(crate) fn is_plausible_password(text: &str) -> bool {
    text.chars().count() <= MAX_PASSWORD_LENGTH
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_have_a_minimum_and_a_maximum_length() {
        let is_accepted = |text: &str| {
            let mut problems = Problems::default();
            check_password(&mut problems, &["password"], text);
            problems.check().is_ok()
        };
        assert!(is_accepted("longenough") && is_accepted(&"ä".repeat(200)));
        for bad in ["", "        ", "short", " padded-word ", &"x".repeat(201)] {
            assert!(!is_accepted(bad), "{bad:?}");
        }
    }
}
