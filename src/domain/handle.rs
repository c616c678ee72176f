//! Handles: the part of a URL that names a product or a collection.

/// How long a handle may be, in characters.
pub const MAX_LENGTH: usize = 255;

/// How much of that a title may fill, so that a number fits behind it.
const MAX_STEM: usize = MAX_LENGTH - 15;

/// A handle made of a title: lower case, accents dropped, every run of other characters one hyphen. `None` when the title has
/// no letter or digit.
#[must_use]
pub fn from_title(title: &str) -> Option<String> {
    let mut handle = String::with_capacity(title.len());
    for word in super::search::normalize(title) {
        if !handle.is_empty() {
            handle.push('-');
        }
        handle.push_str(&word);
    }
    let handle = handle.chars().take(MAX_STEM).collect::<String>().trim_end_matches('-').to_owned();
    (!handle.is_empty()).then_some(handle)
}

/// What is wrong with a handle that was given, or `None`.
#[must_use]
pub fn problem(handle: &str) -> Option<String> {
    if handle.is_empty() {
        return Some("Handle can't be blank".to_owned());
    }
    if handle.chars().count() > MAX_LENGTH {
        return Some(format!("Handle is too long (maximum is {MAX_LENGTH} characters)"));
    }
    let bad =
        handle.chars().find(|c| !(c.is_alphanumeric() && !c.is_uppercase() || matches!(c, '-' | '_')))?;
    Some(format!("Handle can't contain {bad:?}: use lower-case letters, digits, hyphens and underscores"))
}

/// The `n`th alternative to a handle that is taken: `shirt`, `shirt-1`, `shirt-2`.
#[must_use]
pub fn alternative(handle: &str, n: u32) -> String {
    if n == 0 { handle.to_owned() } else { format!("{handle}-{n}") }
}
