//! How texts are compared: one definition of case and accent folding for names, tags, vendors, SKUs
//! and e-mail addresses.
//!
//! Text that is compared or sorted in a database is stored a second time as its [`key`], because
//! the databases' own case folding only covers ASCII. All code must use the same function for the
//! same column.

pub mod html;
pub mod spelling;
pub mod web_addresses;

use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

/// The key by which a text is compared and sorted: ignores case, accents and compatibility forms,
/// so that `APFEL` finds `Äpfel`, which sorts before `Zebra`. The key of ASCII text is its lower
/// case.
#[must_use]
pub fn key(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    fold(text.nfkd())
}

/// Folds decomposed characters; see [`key`].
pub(super) fn fold(decomposed: impl Iterator<Item = char>) -> String {
    // Upper-casing merges characters with several lower-case forms, such as ς and σ or ß and ss,
    // but leaves ẞ, which only lower-casing unfolds.
    let cased = decomposed
        .filter(|&c| !is_accent(c))
        .flat_map(char::to_lowercase)
        .flat_map(char::to_uppercase)
        .flat_map(char::to_lowercase);
    let mut text = String::new();
    for c in cased {
        match plain_latin(c) {
            Some(plain) => text.push_str(plain),
            None => text.push(c),
        }
    }
    // Recomposes marks that are not accents, such as a dakuten or a Hangul vowel.
    text.nfc().collect()
}

/// The lower case of a text whose spelling matters, such as an e-mail address or a handle.
#[must_use]
pub fn lower(text: &str) -> String {
    if text.is_ascii() { text.to_ascii_lowercase() } else { text.nfc().collect::<String>().to_lowercase() }
}

/// Whether a mark is an accent that does not change the letter's identity, as in Latin, Greek,
/// Cyrillic, Hebrew and Arabic. The vowel signs, tone marks and dakuten of other scripts form
/// different letters.
fn is_accent(c: char) -> bool {
    is_combining_mark(c)
        && matches!(c,
            '\0'..='\u{77f}'
            | '\u{1ab0}'..='\u{1aff}'
            | '\u{1dc0}'..='\u{1dff}'
            | '\u{20d0}'..='\u{20ff}'
            | '\u{fe00}'..='\u{fe2f}'
            | '\u{e0100}'..='\u{e01ef}')
}

/// The plain spelling of Latin letters that Unicode does not decompose, in lower case.
pub(super) const fn plain_latin(c: char) -> Option<&'static str> {
    Some(match c {
        'æ' => "ae",
        'œ' => "oe",
        'ß' => "ss",
        'þ' => "th",
        'ø' => "o",
        'ł' => "l",
        'đ' | 'ð' | 'ɖ' | 'ɗ' => "d",
        'ħ' => "h",
        'ı' | 'ɨ' => "i",
        'ŧ' => "t",
        'ŋ' => "n",
        'ĸ' | 'ƙ' => "k",
        'ɓ' | 'ƀ' => "b",
        'ƴ' => "y",
        'ƶ' => "z",
        'ə' | 'ǝ' => "e",
        _ => return None,
    })
}

/// Whether a character (without accents) is a Latin letter.
pub(super) const fn is_latin(c: char) -> bool {
    matches!(c,
        'a'..='z' | 'A'..='Z' | '\u{c0}'..='\u{2af}' | '\u{1e00}'..='\u{1eff}' | '\u{2c60}'..='\u{2c7f}' | '\u{a720}'..='\u{a7ff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_ignore_case_and_accents_in_every_script() {
        for (text, expected) in [
            ("Äpfel & Öl", "apfel & ol"),
            ("ŁÓDŹ", "lodz"),
            ("Smørrebrød", "smorrebrod"),
            ("ÆØÅ Þingvellir Đà Œuvre", "aeoa thingvellir da oeuvre"),
            ("Straße STRASSE STRAẞE", "strasse strasse strasse"),
            ("İstanbul ıstanbul", "istanbul istanbul"),
            ("КР-01 Ёлка", "кр-01 елка"),
            ("ΟΔΟΣ", "οδοσ"),
            ("Ｆｕｌｌ", "full"),
            ("JÜRGEN@MÜLLER.EXAMPLE", "jurgen@muller.example"),
        ] {
            assert_eq!(key(text), expected, "{text}");
        }
    }

    #[test]
    fn keys_keep_marks_that_distinguish_letters() {
        let letters = ["バス", "ハス", "パス", "한국", "हिन्दी", "हन्दी", "เท้า", "เทา"];
        for (at, text) in letters.iter().enumerate() {
            assert!(letters.iter().skip(at + 1).all(|other| key(other) != key(text)), "{text}");
        }
        assert_eq!(key("ﾊﾞｽ"), "バス");
        assert_eq!(key("ハ\u{3099}ス"), "バス");
    }

    #[test]
    fn keys_are_idempotent() {
        for c in '\0'..='\u{2ffff}' {
            let once = key(&format!("a{c}b"));
            assert_eq!(key(&once), once, "{c:?}");
        }
    }

    #[test]
    fn lower_case_keeps_accents() {
        assert_eq!(lower("Jürgen@MÜLLER.example"), "jürgen@müller.example");
        assert_eq!(lower("u\u{308}"), "ü");
    }
}
