//! Makes words from text, for the index and the query alike, and writes them in each database's
//! full-text language.
//!
//! The repositories call it when they index a product and when they run a search. It must never
//! let anything but letters and digits into a rendered expression.

use std::collections::HashSet;

use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

use super::MAX_WORDS;

/// Longer words are cut: Postgres refuses lexemes of 2 KiB, and nobody types them out.
const MAX_WORD_CHARS: usize = 128;

/// Splits text into words, so that accents, letter case and punctuation make no difference.
///
/// Compatibility forms are unfolded and combining marks dropped (`Ｃｒêｐｅ` is `crepe`), letters
/// are folded to lower case (`Straße` is `strasse`), apostrophes vanish (`don't` is `dont`) and
/// everything else that is no letter or digit separates words. Text without spaces, as in Chinese
/// or Japanese, stays one word. Normalising words again leaves them as they are.
#[must_use]
pub fn normalize(text: &str) -> Vec<String> {
    // Upper case brings together what has several lower-case forms, such as ς and σ or ß and ss, but
    // leaves ẞ, which only lower case unfolds.
    let folded: String = text
        .nfkd()
        .filter(|&c| !is_combining_mark(c) && !vanishes(c))
        .flat_map(char::to_lowercase)
        .flat_map(char::to_uppercase)
        .flat_map(char::to_lowercase)
        .collect();
    folded
        .split(|c| !is_word_char(c))
        .filter(|word| !word.is_empty())
        .map(|word| word.chars().take(MAX_WORD_CHARS).collect())
        .collect()
}

/// Whether a character is left out without ending the word: apostrophes, the soft hyphen and the
/// invisible joiners.
const fn vanishes(c: char) -> bool {
    matches!(
        c,
        '\'' | '\u{2018}'
            | '\u{2019}'
            | '\u{201b}'
            | '\u{2bb}'
            | '\u{2bc}'
            | '\u{ad}'
            | '\u{200c}'
            | '\u{200d}'
    )
}

/// Whether a character belongs to a word.
fn is_word_char(c: char) -> bool {
    // Letters in circles and squares count as letters in Unicode, but the databases index no
    // symbols, and a search for one could never match.
    c.is_alphanumeric() && !matches!(c, '\u{1f100}'..='\u{1f1ff}')
}

/// Words to look for; there is always at least one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TextMatch {
    words: Vec<String>,
    phrase: bool,
    prefix: bool,
}

impl TextMatch {
    /// Makes a match for the words of `text`; `None` when there are none.
    ///
    /// All words must occur: with `phrase`, one after another; with `prefix`, the last one may be
    /// only the beginning of a word.
    #[must_use]
    pub fn new(text: &str, phrase: bool, prefix: bool) -> Option<Self> {
        let words = normalize(text);
        (!words.is_empty()).then_some(Self { phrase: phrase && words.len() > 1, words, prefix })
    }

    /// The normalised words.
    #[must_use]
    pub fn words(&self) -> &[String] {
        &self.words
    }

    /// Whether the words must follow one another; never set for a single word.
    #[must_use]
    pub const fn is_phrase(&self) -> bool {
        self.phrase
    }

    /// Whether the last word may be only the beginning of a word.
    #[must_use]
    pub const fn is_prefix(&self) -> bool {
        self.prefix
    }

    /// Whether it asks for everything that begins with one letter of an alphabet. A character of Chinese or Japanese is a word's
    /// worth.
    pub(super) fn has_short_prefix(&self) -> bool {
        let mut letters = self.words.last().map(|word| word.chars()).into_iter().flatten();
        self.prefix && letters.next().is_some_and(|letter| letter < '\u{2e80}') && letters.next().is_none()
    }

    /// Writes the match for FTS5's `MATCH`, within one column if given.
    ///
    /// The column is a name from the program, never input.
    #[must_use]
    pub fn to_fts5(&self, column: Option<&'static str>) -> String {
        fts5(&self.words, if self.phrase { FTS5_NEXT } else { FTS5_AND }, self.prefix, column)
    }

    /// Writes the match for Postgres's `to_tsquery('simple', …)`, within one weight (`A` to `D`) if given.
    #[must_use]
    pub fn to_tsquery(&self, weight: Option<char>) -> String {
        let operator = if self.phrase { " <-> " } else { " & " };
        tsquery(&self.words, operator, self.prefix, weight)
    }

    /// Adds the words of a neighbour that must match too, or gives it back if one of the two would
    /// change its meaning.
    pub(super) fn join(&mut self, next: Self) -> Option<Self> {
        if self.phrase || self.prefix || next.phrase {
            return Some(next);
        }
        self.words.extend(next.words);
        self.prefix = next.prefix;
        None
    }
}

/// Words of which at least one must occur; there is always at least one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AnyWord(Vec<String>);

/// Makes a match for products that have any of these words, as recommendations need it; `None` when
/// there are none.
///
/// Words are normalised, repeated ones dropped, and only the first [`MAX_WORDS`] kept.
pub fn any_of(words: impl Iterator<Item = String>) -> Option<AnyWord> {
    let mut seen = HashSet::new();
    let words: Vec<String> = words
        .flat_map(|word| normalize(&word))
        .filter(|word| seen.insert(word.clone()))
        .take(MAX_WORDS)
        .collect();
    (!words.is_empty()).then_some(AnyWord(words))
}

impl AnyWord {
    /// The normalised words.
    #[must_use]
    pub fn words(&self) -> &[String] {
        &self.0
    }

    /// Writes the match for FTS5's `MATCH`; see [`TextMatch::to_fts5`].
    #[must_use]
    pub fn to_fts5(&self, column: Option<&'static str>) -> String {
        fts5(&self.0, FTS5_OR, false, column)
    }

    /// Writes the match for `to_tsquery`; see [`TextMatch::to_tsquery`].
    #[must_use]
    pub fn to_tsquery(&self, weight: Option<char>) -> String {
        tsquery(&self.0, " | ", false, weight)
    }
}

// What stands between two words of an FTS5 expression, within its outer quotes.
const FTS5_NEXT: &str = " ";
const FTS5_AND: &str = r#"" AND ""#;
const FTS5_OR: &str = r#"" OR ""#;

/// Writes words as an FTS5 expression that can stand next to any operator.
fn fts5(words: &[String], between: &str, prefix: bool, column: Option<&'static str>) -> String {
    let words: Vec<String> = words.iter().map(|word| word.replace('"', r#""""#)).collect();
    // A star at the end applies to the last word alone.
    let star = if prefix { "*" } else { "" };
    let expression = format!(r#""{}"{star}"#, words.join(between));
    match column {
        Some(column) => format!("{{{column}}} : ({expression})"),
        None if words.len() > 1 => format!("({expression})"),
        None => expression,
    }
}

/// Writes words as a tsquery that can stand next to any operator.
fn tsquery(words: &[String], operator: &str, prefix: bool, weight: Option<char>) -> String {
    let weight = weight.filter(|weight| matches!(weight, 'A'..='D'));
    let label = weight.map(|weight| format!(":{weight}")).unwrap_or_default();
    let lexemes: Vec<String> = words
        .iter()
        .map(|word| format!("'{}'{label}", word.replace('\\', "\\\\").replace('\'', "''")))
        .collect();
    let star = match (prefix, weight) {
        (false, _) => "",
        (true, None) => ":*",
        (true, Some(_)) => "*",
    };
    let expression = format!("{}{star}", lexemes.join(operator));
    if words.len() > 1 { format!("({expression})") } else { expression }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normalised_words() {
        let cases: &[(&str, &[&str])] = &[
            ("", &[]),
            ("... --- !!!", &[]),
            ("The Snow-Board 2000", &["the", "snow", "board", "2000"]),
            ("don't DON’T donʼt", &["dont", "dont", "dont"]),
            ("'quoted' rock'n'roll", &["quoted", "rocknroll"]),
            ("Crème Brûlée", &["creme", "brulee"]),
            ("Cre\u{300}me", &["creme"]),
            ("ŁÓDŹ Øre", &["łodz", "øre"]),
            ("Straße STRASSE STRAẞE", &["strasse", "strasse", "strasse"]),
            ("ΟΔΟΣ οδος", &["οδοσ", "οδοσ"]),
            ("İstanbul ıstanbul ISTANBUL", &["istanbul", "istanbul", "istanbul"]),
            ("Ｆｕｌｌ ﬁt ① x²", &["full", "fit", "1", "x2"]),
            ("½", &["1", "2"]),
            ("hand\u{ad}made", &["handmade"]),
            ("滑雪板 スキー", &["滑雪板", "スキー"]),
            ("Лыжи ЁЛКА", &["лыжи", "елка"]),
            ("a_b.c@d", &["a", "b", "c", "d"]),
            ("🎿ski🏂 🅿️", &["ski"]),
        ];
        for (text, expected) in cases {
            assert_eq!(normalize(text), *expected, "for {text}");
        }
        assert_eq!(normalize(&"字".repeat(500)), ["字".repeat(128)]);
    }

    #[test]
    fn normalising_twice_changes_nothing() {
        for c in '\0'..='\u{1ffff}' {
            let words = normalize(&format!("a{c}b"));
            assert_eq!(normalize(&words.join(" ")), words, "for {c:?}");
            assert!(
                words.iter().all(|word| !word.is_empty() && word.chars().all(char::is_alphanumeric)),
                "{c:?}"
            );
        }
    }

    #[test]
    fn text_matches_are_rendered() {
        let cases = [
            ("Snow", false, false, r#""snow""#, "'snow'"),
            ("Snow", false, true, r#""snow"*"#, "'snow':*"),
            ("Snow Board", false, false, r#"("snow" AND "board")"#, "('snow' & 'board')"),
            ("Snow Board", false, true, r#"("snow" AND "board"*)"#, "('snow' & 'board':*)"),
            ("Snow Board", true, false, r#"("snow board")"#, "('snow' <-> 'board')"),
            ("Snow Board", true, true, r#"("snow board"*)"#, "('snow' <-> 'board':*)"),
            (r#"a" OR "b"#, false, false, r#"("a" AND "or" AND "b")"#, "('a' & 'or' & 'b')"),
            (r"a' | '\b", false, false, r#"("a" AND "b")"#, "('a' & 'b')"),
        ];
        for (text, phrase, prefix, fts5, tsquery) in cases {
            let text = TextMatch::new(text, phrase, prefix).unwrap();
            assert_eq!((text.to_fts5(None).as_str(), text.to_tsquery(None).as_str()), (fts5, tsquery));
        }
        assert_eq!(TextMatch::new("!!!", true, true), None);

        let text = TextMatch::new("snow board", false, true).unwrap();
        assert_eq!(text.to_fts5(Some("title")), r#"{title} : ("snow" AND "board"*)"#);
        assert_eq!(text.to_tsquery(Some('A')), "('snow':A & 'board':A*)");
        assert_eq!(text.to_tsquery(Some('\'')), "('snow' & 'board':*)", "there is no such weight");
    }

    #[test]
    fn any_words_are_rendered() {
        let any = |words: &[&str]| any_of(words.iter().map(ToString::to_string));
        let words = any(&["The", "snow-board", "", "snow", "'"]).unwrap();
        assert_eq!(words.words(), ["the", "snow", "board"]);
        assert_eq!(words.to_fts5(None), r#"("the" OR "snow" OR "board")"#);
        assert_eq!(words.to_fts5(Some("title")), r#"{title} : ("the" OR "snow" OR "board")"#);
        assert_eq!(words.to_tsquery(None), "('the' | 'snow' | 'board')");
        assert_eq!(words.to_tsquery(Some('B')), "('the':B | 'snow':B | 'board':B)");
        assert_eq!(any(&["snow"]).unwrap().to_fts5(None), r#""snow""#);
        assert_eq!(any(&["snow"]).unwrap().to_tsquery(None), "'snow'");
        assert_eq!(any(&[]), None);
        assert_eq!(any(&["!", "🎿"]), None);
        assert_eq!(any_of((0..1_000).map(|n| n.to_string())).unwrap().words().len(), MAX_WORDS);
    }
}
