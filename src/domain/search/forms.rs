//! The forms that a word has in the index: English words without their endings, and texts without
//! spaces in pairs of characters.
//!
//! Called by `words` alone, for what is indexed and what is looked for alike: a rule that changes
//! here needs an index that is made anew, by a migration that fills `unindexed_rows`. It knows no
//! dictionary.

use unicode_normalization::char::is_combining_mark;

use super::words::MAX_WORD_CHARS;

/// Words of the index, one after another.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Sequence {
    /// The words; there is at least one.
    pub words: Vec<String>,
    /// Whether the last of them may be only the beginning of a word.
    pub is_open: bool,
}

impl Sequence {
    /// One word, as the index has it.
    pub(super) fn of(word: String) -> Self {
        Self { words: vec![word], is_open: false }
    }

    /// What a word is found by: it may begin and end inside of a text without spaces.
    pub(super) fn whole(word: &str) -> Self {
        let mut words = indexed(word);
        let characters =
            segments(word).last().filter(|last| last.is_unspaced).map(|last| units(last.text).len());
        match characters {
            // The last character by itself is there only where the text ends.
            Some(2..) => {
                words.pop();
                Self { words, is_open: false }
            }
            Some(_) => Self { words, is_open: true },
            None => Self { words, is_open: false },
        }
    }

    /// Words that follow one another.
    pub(super) fn phrase<'a>(words: impl IntoIterator<Item = &'a String>, prefix: bool) -> Self {
        let words: Vec<&String> = words.into_iter().collect();
        let Some((last, before)) = words.split_last() else {
            return Self { words: Vec::new(), is_open: prefix };
        };
        let end = Self::whole(last);
        let mut words: Vec<String> = before.iter().flat_map(|word| indexed(word)).collect();
        words.extend(end.words);
        Self { words, is_open: end.is_open || prefix }
    }

    /// What a word is found by whose parts hyphens join, or that is one part alone.
    pub(super) fn forms(parts: &[String], prefix: bool) -> Vec<Self> {
        match parts {
            [word] if prefix => begun(word),
            [word] => vec![Self::whole(word)],
            parts => {
                let mut forms = vec![Self::phrase(parts, prefix)];
                if let Some(whole) = joined(parts) {
                    forms.extend(if prefix { begun(&whole) } else { vec![Self::whole(&whole)] });
                }
                forms
            }
        }
    }
}

/// What the beginning of a word is found by. The index has words without their endings, `box` of
/// `boxes`: on the way there, `boxe` must not find less than `box` does.
fn begun(word: &str) -> Vec<Sequence> {
    let whole = Sequence::whole(word);
    let Some(start) = segments(word).last().filter(|last| !last.is_unspaced).map(|last| last.text) else {
        return vec![whole];
    };
    let ending_in = |last: String, is_open| {
        let mut words = whole.words.clone();
        words.pop();
        words.push(last);
        Sequence { words, is_open }
    };
    let mut forms = vec![ending_in(start.to_owned(), true)];
    for stem in [stem(start), stem(&format!("{start}s"))] {
        let form = ending_in(stem.clone(), false);
        if !stem.starts_with(start) && !forms.contains(&form) {
            forms.push(form);
        }
    }
    forms
}

/// The words that stand for a word in the index: its stem; of a text without spaces, every two
/// characters that follow one another, and the last one.
pub(super) fn indexed(word: &str) -> Vec<String> {
    let mut words = Vec::new();
    for segment in segments(word) {
        if segment.is_unspaced {
            let units = units(segment.text);
            words.extend(units.windows(2).map(<[&str]>::concat));
            words.extend(units.last().map(|last| (*last).to_owned()));
        } else {
            let cut: String = segment.text.chars().take(MAX_WORD_CHARS).collect();
            words.push(stem(&cut));
        }
    }
    words
}

/// How many words the index is asked for to find a word.
pub(super) fn cost(word: &str) -> usize {
    let cost =
        |segment: Segment<'_>| if segment.is_unspaced { units(segment.text).len().div_ceil(2) } else { 1 };
    segments(word).into_iter().map(cost).sum()
}

/// The parts of a word without the hyphens between them, where they are several and in a script
/// with spaces.
pub(super) fn joined(parts: &[String]) -> Option<String> {
    let whole = parts.concat();
    let is_plain = parts.len() > 1 && whole.len() <= MAX_WORD_CHARS && !whole.chars().any(is_unspaced);
    is_plain.then_some(whole)
}

/// An English word without the ending of its plural; others lose a letter at most. What is left
/// need not be a word, but is the same for `box` and `boxes`, `berry` and `berries`, `hoodie` and
/// `hoodies`.
pub(super) fn stem(word: &str) -> String {
    if !word.bytes().all(|byte| byte.is_ascii_lowercase()) {
        return word.to_owned();
    }
    let ends_in = |word: &str, ends: &[&str]| ends.iter().any(|end| word.ends_with(end));
    let mut stem = word;
    if stem.len() > 3 && !ends_in(stem, &["ss", "us", "is"]) {
        stem = stem.strip_suffix('s').unwrap_or(stem);
    }
    if stem.len() > 3 && ends_in(stem, &["ie", "se", "xe", "ze", "che", "she"]) {
        stem = stem.strip_suffix('e').unwrap_or(stem);
    }
    match stem.strip_suffix('y') {
        Some(start) if start.len() > 2 && !ends_in(start, &["a", "e", "i", "o", "u"]) => format!("{start}i"),
        _ => stem.to_owned(),
    }
}

/// A piece of a word in one kind of script.
struct Segment<'a> {
    text: &'a str,
    /// Whether the script has no spaces between words.
    is_unspaced: bool,
}

fn segments(word: &str) -> Vec<Segment<'_>> {
    let mut segments = Vec::new();
    let (mut start, mut kind) = (0, None);
    for (at, c) in word.char_indices() {
        // A mark is of the script of its letter.
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

/// The characters of a text, each with its marks.
fn units(text: &str) -> Vec<&str> {
    let mut units = Vec::new();
    let mut start = 0;
    for (at, c) in text.char_indices().skip(1) {
        if !is_combining_mark(c) {
            units.extend(text.get(start..at));
            start = at;
        }
    }
    units.extend(text.get(start..).filter(|last| !last.is_empty()));
    units
}

/// Whether a character is of a script in which words run together or into their endings: Chinese,
/// Japanese, Korean, Thai, Lao, Burmese, Khmer.
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
    fn the_forms_of_a_word_have_one_stem() {
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
