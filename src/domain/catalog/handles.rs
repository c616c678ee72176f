//! Handles: the URL segment that identifies a product or collection.

use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

use crate::domain::text;

/// Maximum length of a handle in characters.
pub const MAX_LENGTH: usize = 255;

/// Maximum length of a handle generated from a title; leaves room for a numeric suffix.
const MAX_STEM: usize = MAX_LENGTH - 15;

/// Generates a handle from a title: lower case, Latin letters without accents, other letters
/// unchanged, and a hyphen for each run of other characters. `None` if the title has no letter or
/// digit.
#[must_use]
pub fn from_title(title: &str) -> Option<String> {
    let spelled = transliterate(title);
    let words = spelled.split(|c| !super::search::is_word_char(c));
    let words: Vec<&str> = words.filter(|word| word.chars().any(char::is_alphanumeric)).collect();
    let handle = words.join("-").chars().take(MAX_STEM).collect::<String>().trim_end_matches('-').to_owned();
    (!handle.is_empty()).then_some(handle)
}

/// Spells a title for a URL. Unlike the search index it keeps the accents of Greek and Cyrillic
/// letters and the marks of other scripts: without them `バス` and `パス` would be the same word.
fn transliterate(title: &str) -> String {
    let mut spelled = String::with_capacity(title.len());
    let mut is_latin = false;
    for c in title.nfc().filter(|&c| !super::search::is_ignorable(c)) {
        if is_combining_mark(c) {
            if !is_latin {
                spelled.push(c);
            }
            continue;
        }
        let decomposed = || std::iter::once(c).nfkd();
        let first = decomposed().next().unwrap_or(c);
        is_latin = text::is_latin(first);
        if is_latin || first.is_ascii() {
            spelled.extend(decomposed().filter(|&c| !is_combining_mark(c)));
        } else if matches!(c, '\u{ff00}'..='\u{ffef}') || is_caseless_capital(c) {
            // Half-width letters, and capitals in styles without lower case, become ordinary
            // letters.
            spelled.extend(decomposed());
        } else {
            spelled.push(c);
        }
    }
    let lower = text::lower(&spelled);
    let mut plain = String::with_capacity(lower.len());
    for c in lower.chars() {
        match text::plain_latin(c) {
            Some(letters) => plain.push_str(letters),
            None => plain.push(c),
        }
    }
    plain
}

fn is_caseless_capital(c: char) -> bool {
    c.is_uppercase() && c.to_lowercase().eq([c])
}

/// Converts a handle to NFC, the form in which it is stored.
#[must_use]
pub fn normalize(handle: &str) -> String {
    handle.nfc().collect()
}

/// Validates a handle; returns the problem, if any.
#[must_use]
pub fn find_problem(handle: &str) -> Option<String> {
    if handle.is_empty() {
        return Some("Handle can't be blank".to_owned());
    }
    if handle.chars().count() > MAX_LENGTH {
        return Some(format!("Handle is too long (maximum is {MAX_LENGTH} characters)"));
    }
    let is_letter = |c: char| c.is_alphanumeric() && !c.is_uppercase() || is_combining_mark(c);
    let bad = handle.chars().find(|&c| !(is_letter(c) || matches!(c, '-' | '_')))?;
    Some(format!("Handle can't contain {bad:?}: use lower-case letters, digits, hyphens and underscores"))
}

/// The `n`th alternative to a handle that is taken: `shirt`, `shirt-1`, `shirt-2`.
#[must_use]
pub fn alternative(handle: &str, n: u32) -> String {
    if n == 0 { handle.to_owned() } else { format!("{handle}-{n}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_become_readable_handles() {
        for (title, expected) in [
            ("Crème brûlée!", "creme-brulee"),
            ("Łódź & Smørrebrød", "lodz-smorrebrod"),
            ("Don’t stop", "dont-stop"),
            ("Straße İstanbul ısı", "strasse-istanbul-isi"),
            ("バス", "バス"),
            ("ハス", "ハス"),
            ("パス", "パス"),
            ("ﾊﾟｽ", "パス"),
            ("हिन्दी किताब", "हिन्दी-किताब"),
            ("รองเท้าผ้าใบ", "รองเท้าผ้าใบ"),
            ("Чай и Ёлка", "чай-и-ёлка"),
            ("ΟΔΟΣ", "οδος"),
            ("滑雪板 套装", "滑雪板-套装"),
            ("한국 사과", "한국-사과"),
            ("Ｆｕｌｌ ½", "full-1-2"),
        ] {
            let handle = from_title(title).unwrap();
            assert_eq!(handle, expected, "{title}");
            assert_eq!(find_problem(&handle), None, "{title}");
            assert_eq!(normalize(&handle), handle, "{title}");
        }
        assert_eq!(from_title("🎿 !!! \u{3099}"), None);
    }

    #[test]
    fn titles_with_any_character_become_valid_handles() {
        for c in '\0'..='\u{2ffff}' {
            let handle = from_title(&format!("a{c}b")).unwrap();
            assert_eq!(find_problem(&handle), None, "{c:?}");
        }
    }
}
