//! Validation of cart mutations, as far as it needs no database. All problems are reported at once.

use std::collections::HashSet;
use std::hash::Hash;

use sha2::{Digest, Sha256};

use super::{BuyerPatch, LinePatch, NewLine};
use crate::domain::checkout::carts::Attribute;
use crate::error::UserErrorCode;
use crate::services::access::credentials;
use crate::services::input::{MAX_LINE_CHARS, Problems};

/// Maximum number of lines, or ids of lines, per mutation.
const MAX_INPUT: usize = 250;
/// Maximum number of lines per cart. Wholesale orders have hundreds.
pub(super) const MAX_LINES: usize = 1_000;
/// Maximum quantity of a line, which the database enforces as well.
pub(super) const MAX_QUANTITY: i64 = 1_000_000;
/// Maximum length of a note, in characters.
const MAX_NOTE: usize = 5_000;
/// Maximum number of attributes of a cart or a line.
const MAX_ATTRIBUTES: usize = 100;
/// Maximum length of an attribute's value, in characters.
const MAX_VALUE: usize = 2_000;
/// Maximum size of all attributes of a cart and its lines together, in bytes.
pub(super) const MAX_ATTRIBUTE_BYTES: usize = 256 * 1024;
/// Maximum number of discount codes per cart.
const MAX_CODES: usize = 25;
/// Maximum number of addresses per cart.
pub(super) const MAX_ADDRESSES: usize = 10;

/// The path of a field in a list item.
pub(super) fn item_path(path: &[&str], index: usize, parts: &[&str]) -> Vec<String> {
    let index = index.to_string();
    path.iter().copied().chain([index.as_str()]).chain(parts.iter().copied()).map(str::to_owned).collect()
}

/// Adds a problem with a field in a list item.
pub(super) fn add_problem(
    problems: &mut Problems,
    (path, index, parts): (&[&str], usize, &[&str]),
    code: UserErrorCode,
    message: impl Into<String>,
) {
    let path = item_path(path, index, parts);
    problems.add(&path.iter().map(String::as_str).collect::<Vec<_>>(), code, message);
}

/// Validates lines to be added.
pub(super) fn new_lines(problems: &mut Problems, path: &[&str], lines: &[NewLine]) {
    check_input_size(problems, path, lines.len());
    for (index, line) in lines.iter().enumerate() {
        check_quantity(problems, (path, index), line.quantity, 1);
        check_item_attributes(problems, path, index, &line.attributes);
    }
}

/// Validates changes of lines.
pub(super) fn line_patches(problems: &mut Problems, path: &[&str], patches: &[LinePatch]) {
    check_input_size(problems, path, patches.len());
    for (index, patch) in patches.iter().enumerate() {
        if let Some(wanted) = patch.quantity {
            check_quantity(problems, (path, index), wanted, 0);
        }
        if let Some(attributes) = &patch.attributes {
            check_item_attributes(problems, path, index, attributes);
        }
    }
    reject_duplicates(problems, path, &["id"], patches.iter().map(|patch| patch.id));
}

/// Validates ids to be removed.
pub(super) fn ids<T: Eq + Hash>(problems: &mut Problems, path: &[&str], ids: &[T]) {
    check_input_size(problems, path, ids.len());
    reject_duplicates(problems, path, &[], ids.iter());
}

/// Rejects ids that are given twice.
pub(super) fn reject_duplicates<T: Eq + Hash>(
    problems: &mut Problems,
    path: &[&str],
    part: &[&str],
    ids: impl Iterator<Item = T>,
) {
    let mut seen = HashSet::new();
    for (index, id) in ids.enumerate() {
        if !seen.insert(id) {
            add_problem(problems, (path, index, part), UserErrorCode::Taken, "This is given twice");
        }
    }
}

fn check_input_size(problems: &mut Problems, path: &[&str], size: usize) {
    if size > MAX_INPUT {
        problems.add(path, UserErrorCode::TooMany, format!("Send up to {MAX_INPUT} at a time"));
    }
}

fn check_quantity(problems: &mut Problems, (path, index): (&[&str], usize), wanted: i64, min: i64) {
    let (code, message) = if wanted < min {
        (UserErrorCode::MinimumNotMet, format!("Quantity must be {min} or more"))
    } else if wanted > MAX_QUANTITY {
        (UserErrorCode::MaximumExceeded, format!("Quantity must be {MAX_QUANTITY} or less"))
    } else {
        return;
    };
    add_problem(problems, (path, index, &["quantity"]), code, message);
}

fn check_item_attributes(problems: &mut Problems, path: &[&str], index: usize, input: &[Attribute]) {
    let path = item_path(path, index, &["attributes"]);
    attributes(problems, &path.iter().map(String::as_str).collect::<Vec<_>>(), input);
}

/// Validates the attributes of a cart or a line.
pub(super) fn attributes(problems: &mut Problems, path: &[&str], input: &[Attribute]) {
    if input.len() > MAX_ATTRIBUTES {
        let message = format!("There can be up to {MAX_ATTRIBUTES} attributes");
        problems.add(path, UserErrorCode::TooMany, message);
    }
    for (index, attribute) in input.iter().enumerate() {
        let key = attribute.key.as_str();
        let mut wrong =
            |part, code, message: String| add_problem(problems, (path, index, &[part]), code, message);
        if key.trim().is_empty() {
            wrong("key", UserErrorCode::Blank, "Key can't be blank".to_owned());
        } else if key.chars().count() > MAX_LINE_CHARS {
            let message = format!("Key is too long (maximum is {MAX_LINE_CHARS} characters)");
            wrong("key", UserErrorCode::TooLong, message);
        }
        if attribute.value.chars().count() > MAX_VALUE {
            let message = format!("Value is too long (maximum is {MAX_VALUE} characters)");
            wrong("value", UserErrorCode::TooLong, message);
        }
    }
}

/// Removes attributes whose key is repeated later in the list.
#[must_use]
pub(super) fn dedup_attributes(attributes: &[Attribute]) -> Vec<Attribute> {
    let mut kept: Vec<Attribute> = Vec::with_capacity(attributes.len());
    for attribute in attributes {
        match kept.iter_mut().find(|known| known.key == attribute.key) {
            Some(known) => known.value.clone_from(&attribute.value),
            None => kept.push(attribute.clone()),
        }
    }
    kept
}

/// A key that is equal for equal attributes, regardless of their order. It is a digest because
/// indexed texts have a maximum length.
#[must_use]
pub(super) fn attributes_key(attributes: &[Attribute]) -> String {
    if attributes.is_empty() {
        return String::new();
    }
    let mut pairs: Vec<(&str, &str)> =
        attributes.iter().map(|one| (one.key.as_str(), one.value.as_str())).collect();
    pairs.sort_unstable();
    let mut digest = Sha256::new();
    for text in pairs.iter().flat_map(|(key, value)| [key, value]) {
        // The lengths keep different lists from having the same input.
        digest.update((text.len() as u64).to_be_bytes());
        digest.update(text.as_bytes());
    }
    base16ct::lower::encode_string(&digest.finalize())
}

/// Validates a buyer's note.
pub(super) fn note(problems: &mut Problems, path: &[&str], text: &str) {
    if text.chars().count() > MAX_NOTE {
        let message = format!("Note is too long (maximum is {MAX_NOTE} characters)");
        problems.add(path, UserErrorCode::NoteTooLong, message);
    }
}

/// Validates discount codes, trims them and removes duplicates, ignoring case.
pub(super) fn codes(problems: &mut Problems, path: &[&str], input: &[String]) -> Vec<String> {
    let mut kept: Vec<String> = Vec::new();
    for (index, code) in input.iter().enumerate() {
        let code = code.trim();
        if code.chars().count() > MAX_LINE_CHARS {
            let message = format!("A discount code can have up to {MAX_LINE_CHARS} characters");
            add_problem(problems, (path, index, &[]), UserErrorCode::Invalid, message);
        } else if !code.is_empty() && kept.iter().all(|known| known.to_lowercase() != code.to_lowercase()) {
            kept.push(code.to_owned());
        }
    }
    if kept.len() > MAX_CODES {
        let message = format!("A cart can have up to {MAX_CODES} discount codes");
        problems.add(path, UserErrorCode::TooMany, message);
    }
    kept
}

/// Validates a buyer, trims the texts and converts the e-mail address to lower case.
pub(super) fn buyer(problems: &mut Problems, path: &[&str], patch: &BuyerPatch) -> BuyerPatch {
    let trimmed = |text: &Option<String>| {
        text.as_deref().map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned)
    };
    let clean = BuyerPatch {
        email: patch.email.as_ref().map(|email| trimmed(email).map(|email| email.to_lowercase())),
        phone: patch.phone.as_ref().map(trimmed),
        ..patch.clone()
    };
    if let Some(Some(email)) = &clean.email {
        credentials::check_email(problems, &[path, &["email"]].concat(), email);
    }
    if let Some(Some(phone)) = &clean.phone {
        problems.line(&[path, &["phone"]].concat(), phone);
    }
    clean
}

/// Rejects more than one selected address.
pub(super) fn check_single_selection(
    problems: &mut Problems,
    path: &[&str],
    selected: impl Iterator<Item = Option<bool>>,
) {
    let wanted = selected.enumerate().filter(|(_, selected)| *selected == Some(true));
    for (index, _) in wanted.skip(1) {
        let code = UserErrorCode::OnlyOneDeliveryAddressCanBeSelected;
        add_problem(
            problems,
            (path, index, &["selected"]),
            code,
            "Only one delivery address can be selected",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attribute(key: &str, value: &str) -> Attribute {
        Attribute { key: key.to_owned(), value: value.to_owned() }
    }

    #[test]
    fn keys_of_attributes_ignore_their_order_and_are_unambiguous() {
        let key = |list: &[(&str, &str)]| {
            attributes_key(&list.iter().map(|(key, value)| attribute(key, value)).collect::<Vec<_>>())
        };
        assert_eq!(key(&[]), "");
        assert_eq!(key(&[("a", "1"), ("b", "2")]), key(&[("b", "2"), ("a", "1")]));
        assert_ne!(key(&[("a", "1")]), key(&[("a", "2")]));
        assert_ne!(key(&[("ab", "c")]), key(&[("a", "bc")]));
        assert_ne!(key(&[("a", "")]), key(&[]));
    }

    #[test]
    fn the_last_of_several_attributes_with_one_key_is_kept() {
        let kept = dedup_attributes(&[attribute("a", "1"), attribute("b", "2"), attribute("a", "3")]);
        assert_eq!(kept, [attribute("a", "3"), attribute("b", "2")]);
    }

    #[test]
    fn codes_are_trimmed_and_deduplicated() {
        let mut problems = Problems::default();
        let input = [" SUMMER ", "", "summer", "TEN"].map(str::to_owned);
        assert_eq!(codes(&mut problems, &["discountCodes"], &input), ["SUMMER", "TEN"]);
        assert!(problems.check().is_ok());
    }
}
