//! Splits text into words, for the index and for queries alike, and renders them in each database's
//! full-text query language.
//!
//! Repositories call it when they index a product and when they search. Only letters, digits and
//! their marks may get into a rendered expression.

use std::collections::HashSet;

use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

use super::MAX_WORDS;
use super::forms::{self, Sequence};
use crate::domain::text;

/// Maximum length of a word in characters; longer ones are cut. Postgres rejects lexemes of 2 KiB.
pub(super) const MAX_WORD_CHARS: usize = 128;

/// Maximum size in bytes of the indexed words of a text: Postgres limits documents to 1 MiB.
const MAX_INDEXED_BYTES: usize = 300_000;

/// Splits text into words, ignoring accents, letter case and punctuation.
///
/// Compatibility forms are decomposed and accents removed (`Ｃｒêｐｅ` becomes `crepe`), letters are
/// lower-cased (`Straße` becomes `strasse`), apostrophes are removed (`don't` becomes `dont`), and
/// everything else that is not a letter or digit separates words. Text without spaces, as in
/// Chinese or Japanese, stays one word. Normalization is idempotent.
#[must_use]
pub fn normalize(text: &str) -> Vec<String> {
    compounds(text).into_iter().flatten().map(truncate).collect()
}

/// The indexed words of texts, in order; see `forms`. They are followed by joined compounds
/// (`tshirt` for `T-Shirt`) and words after an elided article (`ete` for `l'été`). Texts that are
/// too long are cut off.
#[must_use]
pub fn index_words(texts: &[&str]) -> Vec<String> {
    let (mut words, mut more) = (Vec::new(), Vec::new());
    let mut left = MAX_INDEXED_BYTES;
    for compound in texts.iter().flat_map(|text| compounds(text)) {
        let forms_of_parts = compound.iter().flat_map(|word| forms::index_forms(word)).collect::<Vec<_>>();
        let whole = forms::join_parts(&compound).map(|whole| forms::stem(&whole));
        let size: usize = forms_of_parts.iter().chain(&whole).map(|word| word.len() + 1).sum();
        if size > left {
            break;
        }
        left -= size;
        words.extend(forms_of_parts);
        more.extend(whole);
    }
    let words_after_articles =
        texts.iter().flat_map(|text| text.split_whitespace()).filter_map(word_after_article);
    for word in words_after_articles
        .flat_map(|word| compounds(word).concat())
        .flat_map(|word| forms::index_forms(&word))
    {
        let Some(rest) = left.checked_sub(word.len() + 1) else { break };
        left = rest;
        more.push(word);
    }
    words.extend(more);
    words
}

/// The word after an elided French or Italian article.
fn word_after_article(word: &str) -> Option<&str> {
    let (article, rest) = word.split_once(['\'', '\u{2019}'])?;
    let article = article.trim_start_matches(|c: char| !c.is_alphanumeric()).to_ascii_lowercase();
    let is_article = matches!(
        article.as_str(),
        "c" | "d" | "j" | "l" | "m" | "n" | "s" | "t" | "qu" | "un" | "dell" | "all" | "nell" | "sull"
    );
    (is_article && rest.chars().nth(1).is_some()).then_some(rest)
}

/// The words of a text; words joined by hyphens are grouped.
fn compounds(text: &str) -> Vec<Vec<String>> {
    let folded = text::fold(text.nfkd().filter(|&c| !is_ignorable(c)));
    folded
        .split(|c| !is_word_char(c) && !is_hyphen(c))
        .map(|chunk| {
            let parts = chunk.split(is_hyphen).filter(|part| part.chars().any(char::is_alphanumeric));
            parts.map(ToOwned::to_owned).collect::<Vec<_>>()
        })
        .filter(|parts| !parts.is_empty())
        .collect()
}

fn truncate(word: String) -> String {
    if word.len() <= MAX_WORD_CHARS { word } else { word.chars().take(MAX_WORD_CHARS).collect() }
}

/// Whether a character is dropped without ending the word: apostrophes, the soft hyphen and
/// invisible joiners.
pub(in crate::domain) const fn is_ignorable(c: char) -> bool {
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

const fn is_hyphen(c: char) -> bool {
    matches!(c, '-' | '\u{2010}'..='\u{2013}')
}

/// Whether a character can be part of a word.
pub(in crate::domain) fn is_word_char(c: char) -> bool {
    // Unicode counts circled and squared letters as letters, but the databases don't index symbols,
    // so a search for one could never match.
    (c.is_alphanumeric() || is_combining_mark(c)) && !matches!(c, '\u{1f100}'..='\u{1f1ff}')
}

/// Words to search for; never empty.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TextMatch {
    /// The words; those joined by hyphens are grouped. None is empty.
    compounds: Vec<Vec<String>>,
    is_phrase: bool,
    is_prefix: bool,
}

impl TextMatch {
    /// Creates a match for the words of `text`; `None` if there are none.
    ///
    /// All words must occur. With `is_phrase` they must be consecutive; with `is_prefix` the last
    /// one matches the beginning of a word.
    #[must_use]
    pub fn new(text: &str, is_phrase: bool, is_prefix: bool) -> Option<Self> {
        let compounds: Vec<Vec<String>> =
            compounds(text).into_iter().map(|parts| parts.into_iter().map(truncate).collect()).collect();
        let has_several = compounds.iter().map(Vec::len).sum::<usize>() > 1;
        let mut text = Self { compounds, is_phrase: is_phrase && has_several, is_prefix };
        text.remove_duplicates();
        (!text.compounds.is_empty()).then_some(text)
    }

    /// The normalized words.
    #[must_use]
    pub fn words(&self) -> Vec<String> {
        self.compounds.concat()
    }

    /// The number of index lookups it takes: for scripts without spaces, one for every two
    /// characters.
    pub(super) fn cost(&self) -> usize {
        self.compounds.iter().flatten().map(|word| forms::cost(word)).sum()
    }

    /// Whether the words must be consecutive; always false for a single word.
    #[must_use]
    pub const fn is_phrase(&self) -> bool {
        self.is_phrase
    }

    /// Whether the last word is a prefix.
    #[must_use]
    pub const fn is_prefix(&self) -> bool {
        self.is_prefix
    }

    /// Whether the prefix is a single letter of an alphabet. A single Chinese or Japanese character
    /// is as specific as a word.
    pub(super) fn has_short_prefix(&self) -> bool {
        let last = self.compounds.last().and_then(|parts| parts.last());
        let mut letters = last.map(|word| word.chars()).into_iter().flatten();
        self.is_prefix && letters.next().is_some_and(|letter| letter < '\u{2e80}') && letters.next().is_none()
    }

    /// The sequences to search for: all must match, each in any of its forms.
    #[must_use]
    pub fn sequences(&self) -> Vec<Vec<Sequence>> {
        if self.is_phrase {
            return vec![vec![Sequence::phrase(self.compounds.iter().flatten(), self.is_prefix)]];
        }
        let last = self.compounds.len().saturating_sub(1);
        let sequences = self.compounds.iter().enumerate();
        sequences.map(|(at, parts)| Sequence::forms(parts, self.is_prefix && at == last)).collect()
    }

    /// Renders the match for FTS5's `MATCH`, optionally within one column.
    ///
    /// The column is a constant name, never user input.
    #[must_use]
    pub fn to_fts5(&self, column: Option<&'static str>) -> String {
        fts5(&self.sequences(), " AND ", column)
    }

    /// Renders the match for Postgres's `to_tsquery('simple', …)`, optionally within one weight
    /// (`A` to `D`).
    #[must_use]
    pub fn to_tsquery(&self, weight: Option<char>) -> String {
        tsquery(&self.sequences(), " & ", " <-> ", weight)
    }

    /// Like [`Self::to_tsquery`], but the words of phrases may be anywhere.
    pub(super) fn to_tsquery_anywhere(&self) -> String {
        tsquery(&self.sequences(), " & ", " & ", None)
    }

    /// The number of words in phrases, among them hyphenated words and pairs of characters.
    pub(super) fn words_in_phrases(&self) -> usize {
        self.sequences().iter().flatten().map(|form| form.words.len()).filter(|&words| words > 1).sum()
    }

    /// Merges the words of an adjacent match that must match, too; returns it if merging would
    /// change the meaning of either.
    pub(super) fn join(&mut self, next: Self) -> Option<Self> {
        if self.is_phrase || self.is_prefix || next.is_phrase {
            return Some(next);
        }
        self.compounds.extend(next.compounds);
        self.is_prefix = next.is_prefix;
        self.remove_duplicates();
        None
    }

    /// Removes repeated words. A prefix stays last, even if the same word is required as well.
    fn remove_duplicates(&mut self) {
        if self.is_phrase {
            return;
        }
        let prefix = if self.is_prefix { self.compounds.pop() } else { None };
        let mut seen = HashSet::new();
        self.compounds.retain(|parts| seen.insert(parts.clone()));
        self.compounds.extend(prefix);
    }
}

/// Words of which at least one must occur; never empty.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AnyWord(Vec<String>);

/// Creates a match for products with any of these words, as recommendations need it; `None` if
/// there are none.
///
/// Words are split as in the index, duplicates are dropped, and only the first [`MAX_WORDS`] are
/// kept.
pub fn any_of(words: impl Iterator<Item = String>) -> Option<AnyWord> {
    let mut seen = HashSet::new();
    let words: Vec<String> = words
        .flat_map(|word| compounds(&word).concat())
        .flat_map(|word| Sequence::for_word(&word).words)
        .filter(|word| seen.insert(word.clone()))
        .take(MAX_WORDS)
        .collect();
    (!words.is_empty()).then_some(AnyWord(words))
}

impl AnyWord {
    /// The words, as indexed.
    #[must_use]
    pub fn words(&self) -> &[String] {
        &self.0
    }

    fn sequences(&self) -> Vec<Vec<Sequence>> {
        self.0.iter().map(|word| vec![Sequence::single(word.clone())]).collect()
    }

    /// Renders the match for FTS5's `MATCH`; see [`TextMatch::to_fts5`].
    #[must_use]
    pub fn to_fts5(&self, column: Option<&'static str>) -> String {
        fts5(&self.sequences(), " OR ", column)
    }

    /// Renders the match for `to_tsquery`; see [`TextMatch::to_tsquery`].
    #[must_use]
    pub fn to_tsquery(&self, weight: Option<char>) -> String {
        tsquery(&self.sequences(), " | ", " <-> ", weight)
    }
}

/// Joins operands, in parentheses if there are several.
fn grouped(parts: &[String], operator: &str) -> String {
    let joined = parts.join(operator);
    if parts.len() > 1 { format!("({joined})") } else { joined }
}

/// Renders words as an FTS5 expression that can be combined with any operator.
fn fts5(sequences: &[Vec<Sequence>], between: &str, column: Option<&'static str>) -> String {
    let render = |sequence: &Sequence| {
        let words = sequence.words.join(" ").replace('"', r#""""#);
        // A star at the end applies to the last word only.
        format!(r#""{words}"{}"#, if sequence.is_prefix { "*" } else { "" })
    };
    let of_word = |forms: &Vec<Sequence>| grouped(&forms.iter().map(render).collect::<Vec<_>>(), " OR ");
    let expression = sequences.iter().map(of_word).collect::<Vec<_>>().join(between);
    let is_word = matches!(sequences, [forms] if matches!(forms.as_slice(), [form] if form.words.len() == 1));
    match column {
        Some(column) => format!("{{{column}}} : ({expression})"),
        None if is_word => expression,
        None => format!("({expression})"),
    }
}

/// Renders words as a tsquery that can be combined with any operator: `between` two sequences, and
/// `within` each.
fn tsquery(sequences: &[Vec<Sequence>], between: &str, within: &str, weight: Option<char>) -> String {
    let weight = weight.filter(|weight| matches!(weight, 'A'..='D'));
    let label = weight.map(|weight| format!(":{weight}")).unwrap_or_default();
    let star = if weight.is_some() { "*" } else { ":*" };
    let quote = |word: &String| format!("'{}'{label}", word.replace('\\', "\\\\").replace('\'', "''"));
    let render = |sequence: &Sequence| {
        let mut words: Vec<String> = sequence.words.iter().map(quote).collect();
        if sequence.is_prefix
            && let Some(last) = words.last_mut()
        {
            last.push_str(star);
        }
        grouped(&words, within)
    };
    let of_word = |forms: &Vec<Sequence>| grouped(&forms.iter().map(render).collect::<Vec<_>>(), " | ");
    grouped(&sequences.iter().map(of_word).collect::<Vec<_>>(), between)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_normalized_into_words() {
        let cases: &[(&str, &[&str])] = &[
            ("", &[]),
            ("... --- !!!", &[]),
            ("The Snow-Board 2000", &["the", "snow", "board", "2000"]),
            ("don't DON’T donʼt", &["dont", "dont", "dont"]),
            ("'quoted' rock'n'roll", &["quoted", "rocknroll"]),
            ("Crème Brûlée", &["creme", "brulee"]),
            ("Cre\u{300}me", &["creme"]),
            ("ŁÓDŹ Øre", &["lodz", "ore"]),
            ("Straße STRASSE STRAẞE", &["strasse", "strasse", "strasse"]),
            ("ΟΔΟΣ οδος", &["οδοσ", "οδοσ"]),
            ("İstanbul ıstanbul ISTANBUL", &["istanbul", "istanbul", "istanbul"]),
            ("Ｆｕｌｌ ﬁt ① x²", &["full", "fit", "1", "x2"]),
            ("½", &["1", "2"]),
            ("hand\u{ad}made", &["handmade"]),
            ("滑雪板 スキー", &["滑雪板", "スキー"]),
            ("バス パス \u{3099}", &["バス", "パス"]),
            ("हिन्दी เท้า", &["हिन्दी", "เท้า"]),
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
    fn normalizing_is_idempotent() {
        for c in '\0'..='\u{1ffff}' {
            let words = normalize(&format!("a{c}b"));
            assert_eq!(normalize(&words.join(" ")), words, "for {c:?}");
            assert!(words.iter().all(|word| !word.is_empty() && word.chars().all(is_word_char)), "{c:?}");
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
        for (text, is_phrase, is_prefix, fts5, tsquery) in cases {
            let text = TextMatch::new(text, is_phrase, is_prefix).unwrap();
            assert_eq!((text.to_fts5(None).as_str(), text.to_tsquery(None).as_str()), (fts5, tsquery));
        }
        assert_eq!(TextMatch::new("!!!", true, true), None);

        let phrase = TextMatch::new("t-shirt snow", true, true).unwrap();
        assert_eq!(phrase.to_tsquery_anywhere(), "('t' & 'shirt' & 'snow':*)");
        assert_eq!(phrase.words_in_phrases(), 3);

        let text = TextMatch::new("snow board", false, true).unwrap();
        assert_eq!((text.to_tsquery_anywhere(), text.words_in_phrases()), (text.to_tsquery(None), 0));
        assert_eq!(text.to_fts5(Some("title")), r#"{title} : ("snow" AND "board"*)"#);
        assert_eq!(text.to_tsquery(Some('A')), "('snow':A & 'board':A*)");
        assert_eq!(text.to_tsquery(Some('\'')), "('snow' & 'board':*)", "there is no such weight");
    }

    #[test]
    fn index_words_include_stems_and_parts_of_words() {
        let cases: &[(&str, &str)] = &[
            ("T-Shirts for boys", "t shirt for boy tshirt"),
            ("MUG-12-L", "mug 12 l mug12l"),
            ("滑雪板套装", "滑雪 雪板 板套 套装 装"),
            ("iPhone用ケース 2台", "iphone 用ケ ケー ース ス 2 台"),
            ("한국어", "한국 국어 어"),
            ("เท้า", "เท้ ท้า า"),
            ("滑 - 雪", "滑 雪"),
            ("Soldes d’été, L'Oréal", "solde dete loreal ete oreal"),
            ("don't", "dont"),
        ];
        for (text, expected) in cases {
            assert_eq!(index_words(&[*text]).join(" "), *expected, "for {text}");
        }
        let long = "字".repeat(500_000);
        assert!(index_words(&[long.as_str()]).join(" ").len() <= MAX_INDEXED_BYTES);
    }

    #[test]
    fn searched_words_have_the_forms_in_the_index() {
        let cases = [
            ("滑雪", false, r#""滑雪""#, "'滑雪'"),
            ("滑", false, r#""滑"*"#, "'滑':*"),
            ("滑雪板", false, r#"("滑雪 雪板")"#, "('滑雪' <-> '雪板')"),
            ("Shirts", false, r#""shirt""#, "'shirt'"),
            ("boards", true, r#"(("boards"* OR "board"))"#, "('boards':* | 'board')"),
            ("boxe", true, r#"(("boxe"* OR "box"))"#, "('boxe':* | 'box')"),
            ("T-Shirts", false, r#"(("t shirt" OR "tshirt"))"#, "(('t' <-> 'shirt') | 'tshirt')"),
        ];
        for (text, is_prefix, fts5, tsquery) in cases {
            let text = TextMatch::new(text, false, is_prefix).unwrap();
            assert_eq!((text.to_fts5(None).as_str(), text.to_tsquery(None).as_str()), (fts5, tsquery));
        }
        let phrase = TextMatch::new("滑雪板 boots", true, false).unwrap();
        assert_eq!(phrase.to_fts5(None), r#"("滑雪 雪板 板 boot")"#);
        assert_eq!(TextMatch::new(&"字".repeat(32), false, false).unwrap().cost(), 16);
    }

    #[test]
    fn alternative_words_are_rendered() {
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
