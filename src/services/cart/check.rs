//! What is wrong with the input of a cart's mutations, before anything is read: everything at once.

use std::collections::HashSet;
use std::hash::Hash;

use sha2::{Digest, Sha256};

use super::{BuyerPatch, LinePatch, NewLine};
use crate::domain::cart::Attribute;
use crate::domain::hex::hex;
use crate::error::UserErrorCode;
use crate::services::credentials;
use crate::services::validate::{MAX_LINE, Problems};

/// How many lines, or ids of lines, one mutation may have.
const MAX_INPUT: usize = 250;
/// How many lines a cart may have. Wholesale buyers order hundreds of things at once.
pub const MAX_LINES: usize = 1_000;
/// How many pieces a line may have; the database knows the same bound.
pub const MAX_QUANTITY: i64 = 1_000_000;
/// How long a note may be, in characters.
const MAX_NOTE: usize = 5_000;
/// How many attributes a cart or a line may have.
const MAX_ATTRIBUTES: usize = 100;
/// How long an attribute's value may be, in characters.
const MAX_VALUE: usize = 2_000;
/// How large all attributes of a cart and its lines may be together, in bytes.
pub const MAX_ATTRIBUTE_BYTES: usize = 256 * 1024;
/// How many discount codes a cart may have.
const MAX_CODES: usize = 25;
/// How many addresses a cart may have.
pub const MAX_ADDRESSES: usize = 10;

/// The path of a part of an item of a list.
pub fn at(path: &[&str], index: usize, parts: &[&str]) -> Vec<String> {
    let index = index.to_string();
    path.iter().copied().chain([index.as_str()]).chain(parts.iter().copied()).map(str::to_owned).collect()
}

/// Notes a problem with a part of an item of a list.
pub fn blame(
    problems: &mut Problems,
    (path, index, parts): (&[&str], usize, &[&str]),
    code: UserErrorCode,
    message: impl Into<String>,
) {
    let path = at(path, index, parts);
    problems.add(&path.iter().map(String::as_str).collect::<Vec<_>>(), code, message);
}

/// Lines to be added.
pub fn new_lines(problems: &mut Problems, path: &[&str], lines: &[NewLine]) {
    input_size(problems, path, lines.len());
    for (index, line) in lines.iter().enumerate() {
        quantity(problems, (path, index), line.quantity, 1);
        item_attributes(problems, path, index, &line.attributes);
    }
}

/// Changes of lines.
pub fn line_patches(problems: &mut Problems, path: &[&str], patches: &[LinePatch]) {
    input_size(problems, path, patches.len());
    for (index, patch) in patches.iter().enumerate() {
        if let Some(wanted) = patch.quantity {
            quantity(problems, (path, index), wanted, 0);
        }
        if let Some(attributes) = &patch.attributes {
            item_attributes(problems, path, index, attributes);
        }
    }
    no_twins(problems, path, &["id"], patches.iter().map(|patch| patch.id));
}

/// Ids of what is to go.
pub fn ids<T: Eq + Hash>(problems: &mut Problems, path: &[&str], ids: &[T]) {
    input_size(problems, path, ids.len());
    no_twins(problems, path, &[], ids.iter());
}

/// Nothing may be meant twice.
pub fn no_twins<T: Eq + Hash>(
    problems: &mut Problems,
    path: &[&str],
    part: &[&str],
    ids: impl Iterator<Item = T>,
) {
    let mut seen = HashSet::new();
    for (index, id) in ids.enumerate() {
        if !seen.insert(id) {
            blame(problems, (path, index, part), UserErrorCode::Taken, "This is there twice");
        }
    }
}

fn input_size(problems: &mut Problems, path: &[&str], size: usize) {
    if size > MAX_INPUT {
        problems.add(path, UserErrorCode::TooMany, format!("Send up to {MAX_INPUT} at a time"));
    }
}

fn quantity(problems: &mut Problems, (path, index): (&[&str], usize), wanted: i64, least: i64) {
    let (code, message) = if wanted < least {
        (UserErrorCode::MinimumNotMet, format!("Quantity must be {least} or more"))
    } else if wanted > MAX_QUANTITY {
        (UserErrorCode::MaximumExceeded, format!("Quantity must be {MAX_QUANTITY} or less"))
    } else {
        return;
    };
    blame(problems, (path, index, &["quantity"]), code, message);
}

fn item_attributes(problems: &mut Problems, path: &[&str], index: usize, sent: &[Attribute]) {
    let path = at(path, index, &["attributes"]);
    attributes(problems, &path.iter().map(String::as_str).collect::<Vec<_>>(), sent);
}

/// Attributes of a cart or of a line.
pub fn attributes(problems: &mut Problems, path: &[&str], sent: &[Attribute]) {
    if sent.len() > MAX_ATTRIBUTES {
        let message = format!("There can be up to {MAX_ATTRIBUTES} attributes");
        problems.add(path, UserErrorCode::TooMany, message);
    }
    for (index, attribute) in sent.iter().enumerate() {
        let key = attribute.key.as_str();
        let mut wrong = |part, code, message: String| blame(problems, (path, index, &[part]), code, message);
        if key.trim().is_empty() {
            wrong("key", UserErrorCode::Blank, "Key can't be blank".to_owned());
        } else if key.chars().count() > MAX_LINE {
            let message = format!("Key is too long (maximum is {MAX_LINE} characters)");
            wrong("key", UserErrorCode::TooLong, message);
        } else if key.contains('\0') {
            wrong("key", UserErrorCode::Invalid, "Key can't contain a NUL character".to_owned());
        }
        if attribute.value.chars().count() > MAX_VALUE {
            let message = format!("Value is too long (maximum is {MAX_VALUE} characters)");
            wrong("value", UserErrorCode::TooLong, message);
        } else if attribute.value.contains('\0') {
            wrong("value", UserErrorCode::Invalid, "Value can't contain a NUL character".to_owned());
        }
    }
}

/// Attributes as they are kept: of those with the same key, the last.
#[must_use]
pub fn kept_attributes(sent: &[Attribute]) -> Vec<Attribute> {
    let mut kept: Vec<Attribute> = Vec::with_capacity(sent.len());
    for attribute in sent {
        match kept.iter_mut().find(|known| known.key == attribute.key) {
            Some(known) => known.value.clone_from(&attribute.value),
            None => kept.push(attribute.clone()),
        }
    }
    kept
}

/// What is the same for the same attributes, whatever their order. A digest, since an index takes no long texts.
#[must_use]
pub fn attributes_key(attributes: &[Attribute]) -> String {
    if attributes.is_empty() {
        return String::new();
    }
    let mut pairs: Vec<(&str, &str)> =
        attributes.iter().map(|one| (one.key.as_str(), one.value.as_str())).collect();
    pairs.sort_unstable();
    let mut digest = Sha256::new();
    for text in pairs.iter().flat_map(|(key, value)| [key, value]) {
        // With their lengths, so that no two lists read alike.
        digest.update((text.len() as u64).to_be_bytes());
        digest.update(text.as_bytes());
    }
    hex(&digest.finalize())
}

/// A buyer's note.
pub fn note(problems: &mut Problems, path: &[&str], text: &str) {
    if text.chars().count() > MAX_NOTE {
        let message = format!("Note is too long (maximum is {MAX_NOTE} characters)");
        problems.add(path, UserErrorCode::NoteTooLong, message);
    } else if text.contains('\0') {
        problems.add(path, UserErrorCode::Invalid, "Note can't contain a NUL character");
    }
}

/// Discount codes as they are kept: trimmed, each once, whatever its case.
pub fn codes(problems: &mut Problems, path: &[&str], sent: &[String]) -> Vec<String> {
    let mut kept: Vec<String> = Vec::new();
    for (index, code) in sent.iter().enumerate() {
        let code = code.trim();
        if code.chars().count() > MAX_LINE || code.contains('\0') {
            let message = format!("A discount code has up to {MAX_LINE} characters, and no NUL");
            blame(problems, (path, index, &[]), UserErrorCode::Invalid, message);
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

/// A buyer, with the e-mail address in lower case and without spaces around anything.
pub fn buyer(problems: &mut Problems, path: &[&str], sent: &BuyerPatch) -> BuyerPatch {
    let trimmed = |text: &Option<String>| {
        text.as_deref().map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned)
    };
    let clean = BuyerPatch {
        email: sent.email.as_ref().map(|email| trimmed(email).map(|email| email.to_lowercase())),
        phone: sent.phone.as_ref().map(trimmed),
        ..sent.clone()
    };
    if let Some(Some(email)) = &clean.email {
        credentials::email(problems, &[path, &["email"]].concat(), email);
    }
    if let Some(Some(phone)) = &clean.phone {
        problems.line(&[path, &["phone"]].concat(), phone);
    }
    clean
}

/// At most one may ask to be selected.
pub fn one_selected(problems: &mut Problems, path: &[&str], selected: impl Iterator<Item = Option<bool>>) {
    let wanted = selected.enumerate().filter(|(_, selected)| *selected == Some(true));
    for (index, _) in wanted.skip(1) {
        let code = UserErrorCode::OnlyOneDeliveryAddressCanBeSelected;
        blame(problems, (path, index, &["selected"]), code, "Only one delivery address can be selected");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attribute(key: &str, value: &str) -> Attribute {
        Attribute { key: key.to_owned(), value: value.to_owned() }
    }

    #[test]
    fn the_same_attributes_have_the_same_key_in_any_order_and_no_others() {
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
    fn of_attributes_with_one_key_the_last_is_kept() {
        let kept = kept_attributes(&[attribute("a", "1"), attribute("b", "2"), attribute("a", "3")]);
        assert_eq!(kept, [attribute("a", "3"), attribute("b", "2")]);
    }

    #[test]
    fn codes_are_trimmed_and_kept_once() {
        let mut problems = Problems::default();
        let sent = [" SUMMER ", "", "summer", "TEN"].map(str::to_owned);
        assert_eq!(codes(&mut problems, &["discountCodes"], &sent), ["SUMMER", "TEN"]);
        assert!(problems.check().is_ok());
    }
}
