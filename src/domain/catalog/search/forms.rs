//! The indexed forms of words: stems of English words, and pairs of characters for scripts without
//! spaces.
//!
//! Called only by `words`, both for indexing and for searching. A change of these rules requires a
//! migration that re-indexes everything by filling `unindexed_rows`. There is no dictionary.

use unicode_normalization::char::is_combining_mark;

use super::words::MAX_WORD_CHARS;

/// Consecutive words of the index.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Sequence {
    /// The words, at least one.
    pub words: Vec<String>,
    /// Whether the last word is a prefix.
    pub is_prefix: bool,
}

impl Sequence {
    /// A single word, as indexed.
    pub(super) fn single(word: String) -> Self {
        Self { words: vec![word], is_prefix: false }
    }

    /// The sequence that finds a word; it may start and end inside of a text without spaces.
    pub(super) fn for_word(word: &str) -> Self {
        let mut words = index_forms(word);
        let characters =
            segments(word).last().filter(|last| last.is_unspaced).map(|last| graphemes(last.text).len());
        match characters {
            // A single last character is only indexed at the end of a text.
            Some(2..) => {
                words.pop();
                Self { words, is_prefix: false }
            }
            Some(_) => Self { words, is_prefix: true },
            None => Self { words, is_prefix: false },
        }
    }

    /// Consecutive words.
    pub(super) fn phrase<'a>(words: impl IntoIterator<Item = &'a String>, is_prefix: bool) -> Self {
        let words: Vec<&String> = words.into_iter().collect();
        let Some((last, before)) = words.split_last() else {
            return Self { words: Vec::new(), is_prefix };
        };
        let end = Self::for_word(last);
        let mut words: Vec<String> = before.iter().flat_map(|word| index_forms(word)).collect();
        words.extend(end.words);
        Self { words, is_prefix: end.is_prefix || is_prefix }
    }

    /// The alternatives that find a compound of hyphenated parts, or a single word.
    pub(super) fn forms(parts: &[String], is_prefix: bool) -> Vec<Self> {
        match parts {
            [word] if is_prefix => prefix_forms(word),
            [word] => vec![Self::for_word(word)],
            parts => {
                let mut forms = vec![Self::phrase(parts, is_prefix)];
                if let Some(joined) = join_parts(parts) {
                    forms.extend(if is_prefix {
                        prefix_forms(&joined)
                    } else {
                        vec![Self::for_word(&joined)]
                    });
                }
                forms
            }
        }
    }
}

/// The alternatives that find words with a prefix. The index contains stems (`box` for `boxes`), so
/// while `boxes` is being typed, `boxe` must not find less than `box`.
fn prefix_forms(word: &str) -> Vec<Sequence> {
    let whole = Sequence::for_word(word);
    let Some(start) = segments(word).last().filter(|last| !last.is_unspaced).map(|last| last.text) else {
        return vec![whole];
    };
    let with_last = |last: String, is_prefix| {
        let mut words = whole.words.clone();
        words.pop();
        words.push(last);
        Sequence { words, is_prefix }
    };
    let mut forms = vec![with_last(start.to_owned(), true)];
    for stem in [stem(start), stem(&format!("{start}s"))] {
        let form = with_last(stem.clone(), false);
        if !stem.starts_with(start) && !forms.contains(&form) {
            forms.push(form);
        }
    }
    forms
}

/// The indexed words of a word: its stem, or, for text without spaces, all pairs of adjacent
/// characters and the last character.
pub(super) fn index_forms(word: &str) -> Vec<String> {
    let mut words = Vec::new();
    for segment in segments(word) {
        if segment.is_unspaced {
            let graphemes = graphemes(segment.text);
            words.extend(graphemes.windows(2).map(<[&str]>::concat));
            words.extend(graphemes.last().map(|last| (*last).to_owned()));
        } else {
            let cut: String = segment.text.chars().take(MAX_WORD_CHARS).collect();
            words.push(stem(&cut));
        }
    }
    words
}

/// The number of index lookups that finding a word takes.
pub(super) fn cost(word: &str) -> usize {
    let cost = |segment: Segment<'_>| {
        if segment.is_unspaced { graphemes(segment.text).len().div_ceil(2) } else { 1 }
    };
    segments(word).into_iter().map(cost).sum()
}

/// The parts of a hyphenated word joined, if there are several and the script uses spaces.
pub(super) fn join_parts(parts: &[String]) -> Option<String> {
    let joined = parts.concat();
    let is_plain = parts.len() > 1 && joined.len() <= MAX_WORD_CHARS && !joined.chars().any(is_unspaced);
    is_plain.then_some(joined)
}

/// The stem of an English word: without its plural ending. Words of other languages lose a letter
/// at most. The stem need not be a word, but is the same for `box` and `boxes`, `berry` and
/// `berries`, `hoodie` and `hoodies`.
pub(super) fn stem(word: &str) -> String {
    if !word.bytes().all(|byte| byte.is_ascii_lowercase()) {
        return word.to_owned();
    }
    let ends_with_any = |word: &str, ends: &[&str]| ends.iter().any(|end| word.ends_with(end));
    let mut stem = word;
    if stem.len() > 3 && !ends_with_any(stem, &["ss", "us", "is"]) {
        stem = stem.strip_suffix('s').unwrap_or(stem);
    }
    if stem.len() > 3 && ends_with_any(stem, &["ie", "se", "xe", "ze", "che", "she"]) {
        stem = stem.strip_suffix('e').unwrap_or(stem);
    }
    match stem.strip_suffix('y') {
        Some(start) if start.len() > 2 && !ends_with_any(start, &["a", "e", "i", "o", "u"]) => {
            format!("{start}i")
        }
        _ => stem.to_owned(),
    }
}

/// A part of a word in one kind of script.
struct Segment<'a> {
    text: &'a str,
    /// Whether the script is written without spaces.
    is_unspaced: bool,
}

fn segments(word: &str) -> Vec<Segment<'_>> {
    let mut segments = Vec::new();
    let (mut start, mut kind) = (0, None);
    for (at, c) in word.char_indices() {
        // A combining mark belongs to the script of its letter.
        let next = if is_combining_mark(c) { kind.unwrap_or(is_unspaced(c)) } else { is_unspaced(c) };
        if let Some(is_unspaced) = kind.filter(|kind| *kind != next) {
            segments.extend(word.get(start..at).map(|text| Segment { text, is_unspaced }));
            start = at;
        }
        kind = Some(next);
    }
    if let Some(is_unspaced) = kind {
        segments.extend(word.get(start..).map(|text| Segment { text, is_unspaced }));
    }
    segments
}

/// The characters of a text, each with its combining marks.
fn graphemes(text: &str) -> Vec<&str> {
    let mut graphemes = Vec::new();
    let mut start = 0;
    for (at, c) in text.char_indices().skip(1) {
        if !is_combining_mark(c) {
            graphemes.extend(text.get(start..at));
            start = at;
        }
    }
    graphemes.extend(text.get(start..).filter(|last| !last.is_empty()));
    graphemes
}

/// Whether a character belongs to a script written without spaces between words, or with endings
/// attached to them: Chinese, Japanese, Korean, Thai, Lao, Burmese, Khmer.
const fn is_unspaced(c: char) -> bool {
    matches!(c,
        '\u{e00}'..='\u{eff}'
        | '\u{1000}'..='\u{109f}'
        | '\u{1100}'..='\u{11ff}'
        | '\u{1780}'..='\u{17ff}'
        | '\u{1950}'..='\u{19df}'
        | '\u{1a20}'..='\u{1aaf}'
        | '\u{2e80}'..='\u{2fdf}'
        | '\u{3005}'..='\u{318f}'
        | '\u{31a0}'..='\u{31ff}'
        | '\u{3400}'..='\u{4dbf}'
        | '\u{4e00}'..='\u{9fff}'
        | '\u{a960}'..='\u{a97f}'
        | '\u{a9e0}'..='\u{a9ff}'
        | '\u{aa60}'..='\u{aa7f}'
        | '\u{ac00}'..='\u{d7ff}'
        | '\u{f900}'..='\u{faff}'
        | '\u{1b000}'..='\u{1b16f}'
        | '\u{20000}'..='\u{3ffff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_a_word_share_a_stem() {
        for forms in [
            ["shirt", "shirts"],
            ["box", "boxes"],
            ["dish", "dishes"],
            ["watch", "watches"],
            ["dress", "dresses"],
            ["case", "cases"],
            ["bus", "buses"],
            ["berry", "berries"],
            ["hoodie", "hoodies"],
            ["toy", "toys"],
            ["shoe", "shoes"],
            ["rose", "roses"],
            ["axe", "axes"],
            ["pie", "pies"],
            ["chemise", "chemises"],
        ] {
            assert_eq!(stem(forms[0]), stem(forms[1]), "{forms:?}");
        }
        for word in ["gas", "glass", "this", "virus", "a1s", "größe", "кеды", "滑雪"] {
            assert_eq!(stem(word), word);
        }
    }
}
