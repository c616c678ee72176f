//! Makes words from text, for the index and the query alike, and writes them in each database's
//! full-text language.
//!
//! The repositories call it when they index a product and when they run a search. It must never
//! let anything but letters, digits and their marks into a rendered expression.

use std::collections::HashSet;

use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

use super::MAX_WORDS;
use super::forms::{self, Sequence};
use crate::domain::text;

/// Longer words are cut: Postgres refuses lexemes of 2 KiB, and nobody types them out.
pub(super) const MAX_WORD_CHARS: usize = 128;

/// How much of a text is indexed, in bytes of its words: Postgres holds no document of more than 1
/// MiB.
const MAX_INDEXED_BYTES: usize = 300_000;

/// Splits text into words, so that accents, letter case and punctuation make no difference.
///
/// Compatibility forms are unfolded and accents dropped (`Ｃｒêｐｅ` is `crepe`), letters are folded to
/// lower case (`Straße` is `strasse`), apostrophes vanish (`don't` is `dont`) and everything else
/// that is no letter or digit separates words. Text without spaces, as in Chinese or Japanese,
/// stays one word. Normalising words again leaves them as they are.
#[must_use]
pub fn normalize(text: &str) -> Vec<String> {
    compounds(text).into_iter().flatten().map(cut).collect()
}

/// The words of texts as an index has them, in the texts' order: see `forms`. At the end
/// come words whose parts a hyphen joins, `tshirt` of a `T-Shirt`, and those behind an article,
/// `ete` of `l'été`. Of texts that are too long, the end is left out.
#[must_use]
pub fn index_words(texts: &[&str]) -> Vec<String> {
    let (mut words, mut more) = (Vec::new(), Vec::new());
    let mut left = MAX_INDEXED_BYTES;
    for compound in texts.iter().flat_map(|text| compounds(text)) {
        let made = compound.iter().flat_map(|word| forms::indexed(word)).collect::<Vec<_>>();
        let whole = forms::joined(&compound).map(|whole| forms::stem(&whole));
        let size: usize = made.iter().chain(&whole).map(|word| word.len() + 1).sum();
        if size > left {
            break;
        }
        left -= size;
        words.extend(made);
        more.extend(whole);
    }
    let behind_articles = texts.iter().flat_map(|text| text.split_whitespace()).filter_map(behind_article);
    for word in
        behind_articles.flat_map(|word| compounds(word).concat()).flat_map(|word| forms::indexed(&word))
    {
        let Some(rest) = left.checked_sub(word.len() + 1) else { break };
        left = rest;
        more.push(word);
    }
    words.extend(more);
    words
}

/// What stands behind a French or Italian article that an apostrophe shortens.
fn behind_article(word: &str) -> Option<&str> {
    let (article, rest) = word.split_once(['\'', '\u{2019}'])?;
    let article = article.trim_start_matches(|c: char| !c.is_alphanumeric()).to_ascii_lowercase();
    let is_article = matches!(
        article.as_str(),
        "c" | "d" | "j" | "l" | "m" | "n" | "s" | "t" | "qu" | "un" | "dell" | "all" | "nell" | "sull"
    );
    (is_article && rest.chars().nth(1).is_some()).then_some(rest)
}

/// The words of a text, those together that only hyphens stand between.
fn compounds(text: &str) -> Vec<Vec<String>> {
    let folded = text::folded(text.nfkd().filter(|&c| !vanishes(c)));
    folded
        .split(|c| !is_word_char(c) && !is_hyphen(c))
        .map(|chunk| {
            let parts = chunk.split(is_hyphen).filter(|part| part.chars().any(char::is_alphanumeric));
            parts.map(ToOwned::to_owned).collect::<Vec<_>>()
        })
        .filter(|parts| !parts.is_empty())
        .collect()
}

fn cut(word: String) -> String {
    if word.len() <= MAX_WORD_CHARS { word } else { word.chars().take(MAX_WORD_CHARS).collect() }
}

/// Whether a character is left out without ending the word: apostrophes, the soft hyphen and the
/// invisible joiners.
pub(in crate::domain) const fn vanishes(c: char) -> bool {
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

/// Whether a character belongs to a word.
pub(in crate::domain) fn is_word_char(c: char) -> bool {
    // Letters in circles and squares count as letters in Unicode, but the databases index no
    // symbols, and a search for one could never match.
    (c.is_alphanumeric() || is_combining_mark(c)) && !matches!(c, '\u{1f100}'..='\u{1f1ff}')
}

/// Words to look for; there is always at least one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TextMatch {
    /// The words, those together that only hyphens stand between; none of them empty.
    compounds: Vec<Vec<String>>,
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
        let compounds: Vec<Vec<String>> =
            compounds(text).into_iter().map(|parts| parts.into_iter().map(cut).collect()).collect();
        let several = compounds.iter().map(Vec::len).sum::<usize>() > 1;
        (!compounds.is_empty()).then_some(Self { compounds, phrase: phrase && several, prefix })
    }

    /// The normalised words.
    #[must_use]
    pub fn words(&self) -> Vec<String> {
        self.compounds.concat()
    }

    /// How many words the index is asked for: one for every two characters where words are not told
    /// apart.
    pub(super) fn cost(&self) -> usize {
        self.compounds.iter().flatten().map(|word| forms::cost(word)).sum()
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
        let last = self.compounds.last().and_then(|parts| parts.last());
        let mut letters = last.map(|word| word.chars()).into_iter().flatten();
        self.prefix && letters.next().is_some_and(|letter| letter < '\u{2e80}') && letters.next().is_none()
    }

    /// What is looked for: all of these, each in any of its forms.
    #[must_use]
    pub fn sought(&self) -> Vec<Vec<Sequence>> {
        if self.phrase {
            return vec![vec![Sequence::phrase(self.compounds.iter().flatten(), self.prefix)]];
        }
        let last = self.compounds.len().saturating_sub(1);
        let sought = self.compounds.iter().enumerate();
        sought.map(|(at, parts)| Sequence::forms(parts, self.prefix && at == last)).collect()
    }

    /// Writes the match for FTS5's `MATCH`, within one column if given.
    ///
    /// The column is a name from the program, never input.
    #[must_use]
    pub fn to_fts5(&self, column: Option<&'static str>) -> String {
        fts5(&self.sought(), " AND ", column)
    }

    /// Writes the match for Postgres's `to_tsquery('simple', …)`, within one weight (`A` to `D`) if given.
    #[must_use]
    pub fn to_tsquery(&self, weight: Option<char>) -> String {
        tsquery(&self.sought(), " & ", weight)
    }

    /// Adds the words of a neighbour that must match too, or gives it back if one of the two would
    /// change its meaning.
    pub(super) fn join(&mut self, next: Self) -> Option<Self> {
        if self.phrase || self.prefix || next.phrase {
            return Some(next);
        }
        self.compounds.extend(next.compounds);
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
/// Words are taken apart as in the index, repeated ones dropped, and only the first [`MAX_WORDS`]
/// kept.
pub fn any_of(words: impl Iterator<Item = String>) -> Option<AnyWord> {
    let mut seen = HashSet::new();
    let words: Vec<String> = words
        .flat_map(|word| compounds(&word).concat())
        .flat_map(|word| Sequence::whole(&word).words)
        .filter(|word| seen.insert(word.clone()))
        .take(MAX_WORDS)
        .collect();
    (!words.is_empty()).then_some(AnyWord(words))
}

impl AnyWord {
    /// The words, as the index has them.
    #[must_use]
    pub fn words(&self) -> &[String] {
        &self.0
    }

    fn sought(&self) -> Vec<Vec<Sequence>> {
        self.0.iter().map(|word| vec![Sequence::of(word.clone())]).collect()
    }

    /// Writes the match for FTS5's `MATCH`; see [`TextMatch::to_fts5`].
    #[must_use]
    pub fn to_fts5(&self, column: Option<&'static str>) -> String {
        fts5(&self.sought(), " OR ", column)
    }

    /// Writes the match for `to_tsquery`; see [`TextMatch::to_tsquery`].
    #[must_use]
    pub fn to_tsquery(&self, weight: Option<char>) -> String {
        tsquery(&self.sought(), " | ", weight)
    }
}

/// Joins what stands on one level, in parentheses if it is several.
fn grouped(parts: Vec<String>, operator: &str) -> String {
    let joined = parts.join(operator);
    if parts.len() > 1 { format!("({joined})") } else { joined }
}

/// Writes words as an FTS5 expression that can stand next to any operator.
fn fts5(sought: &[Vec<Sequence>], between: &str, column: Option<&'static str>) -> String {
    let written = |sequence: &Sequence| {
        let words = sequence.words.join(" ").replace('"', r#""""#);
        // A star at the end applies to the last word alone.
        format!(r#""{words}"{}"#, if sequence.is_open { "*" } else { "" })
    };
    let of_word = |forms: &Vec<Sequence>| grouped(forms.iter().map(written).collect(), " OR ");
    let expression = sought.iter().map(of_word).collect::<Vec<_>>().join(between);
    let is_word = matches!(sought, [forms] if matches!(forms.as_slice(), [form] if form.words.len() == 1));
    match column {
        Some(column) => format!("{{{column}}} : ({expression})"),
        None if is_word => expression,
        None => format!("({expression})"),
    }
}

/// Writes words as a tsquery that can stand next to any operator.
fn tsquery(sought: &[Vec<Sequence>], between: &str, weight: Option<char>) -> String {
    let weight = weight.filter(|weight| matches!(weight, 'A'..='D'));
    let label = weight.map(|weight| format!(":{weight}")).unwrap_or_default();
    let star = if weight.is_some() { "*" } else { ":*" };
    let quoted = |word: &String| format!("'{}'{label}", word.replace('\\', "\\\\").replace('\'', "''"));
    let written = |sequence: &Sequence| {
        let mut words: Vec<String> = sequence.words.iter().map(quoted).collect();
        if sequence.is_open
            && let Some(last) = words.last_mut()
        {
            last.push_str(star);
        }
        grouped(words, " <-> ")
    };
    let of_word = |forms: &Vec<Sequence>| grouped(forms.iter().map(written).collect(), " | ");
    grouped(sought.iter().map(of_word).collect(), between)
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
    fn normalising_twice_changes_nothing() {
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
    fn the_index_has_pieces_of_words() {
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
    fn words_are_sought_in_the_forms_that_the_index_has() {
        let cases = [
            ("滑雪", false, r#""滑雪""#, "'滑雪'"),
            ("滑", false, r#""滑"*"#, "'滑':*"),
            ("滑雪板", false, r#"("滑雪 雪板")"#, "('滑雪' <-> '雪板')"),
            ("Shirts", false, r#""shirt""#, "'shirt'"),
            ("boards", true, r#"(("boards"* OR "board"))"#, "('boards':* | 'board')"),
            ("boxe", true, r#"(("boxe"* OR "box"))"#, "('boxe':* | 'box')"),
            ("T-Shirts", false, r#"(("t shirt" OR "tshirt"))"#, "(('t' <-> 'shirt') | 'tshirt')"),
        ];
        for (text, prefix, fts5, tsquery) in cases {
            let text = TextMatch::new(text, false, prefix).unwrap();
            assert_eq!((text.to_fts5(None).as_str(), text.to_tsquery(None).as_str()), (fts5, tsquery));
        }
        let phrase = TextMatch::new("滑雪板 boots", true, false).unwrap();
        assert_eq!(phrase.to_fts5(None), r#"("滑雪 雪板 板 boot")"#);
        assert_eq!(TextMatch::new(&"字".repeat(32), false, false).unwrap().cost(), 16);
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
