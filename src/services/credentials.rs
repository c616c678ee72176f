//! E-mail addresses and passwords as they come in.

use super::validate::Problems;
use crate::error::UserErrorCode;

/// How long an e-mail address may be, in characters.
const MAX_EMAIL: usize = 254;
/// How short a password may be, in characters.
const MIN_PASSWORD: usize = 8;
/// How long a password may be, in characters.
const MAX_PASSWORD: usize = 200;

/// An e-mail address as it is kept and looked up: without blanks around it, in lower case.
#[must_use]
pub fn normal_email(text: &str) -> String {
    text.trim().to_lowercase()
}

/// The same, and what is wrong with it is noted. Whether mail arrives there only mail can tell.
pub fn email(problems: &mut Problems, field: &[&str], text: &str) -> String {
    let email = normal_email(text);
    let is_one = email.split_once('@').is_some_and(|(name, host)| {
        !name.is_empty()
            && !host.is_empty()
            && !host.contains('@')
            && !host.starts_with('.')
            && !host.ends_with('.')
    });
    if email.is_empty() {
        problems.add(field, UserErrorCode::Blank, "Email can't be blank");
    } else if email.chars().count() > MAX_EMAIL {
        let message = format!("Email is too long (maximum is {MAX_EMAIL} characters)");
        problems.add(field, UserErrorCode::TooLong, message);
    } else if !is_one || email.contains(|c: char| c.is_whitespace() || c.is_control()) {
        problems.add(field, UserErrorCode::Invalid, "Email is invalid");
    }
    email
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

    fn is_email(text: &str) -> bool {
        let mut problems = Problems::default();
        email(&mut problems, &["email"], text);
        problems.check().is_ok()
    }

    #[test]
    fn addresses_are_known_by_their_shape() {
        for good in ["ada@example.com", " Ada@Example.COM ", "o'neil+shop@example.co.uk", "ä@ö.example"] {
            assert!(is_email(good), "{good}");
        }
        for bad in ["", "ada", "@example.com", "ada@", "a b@example.com", "a@b@c", "a@.b", "a@b\0.c"] {
            assert!(!is_email(bad), "{bad:?}");
        }
        assert_eq!(normal_email(" Ada@Example.COM "), "ada@example.com");
    }

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
