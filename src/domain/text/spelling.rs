//! Spelling suggestions for misspelled names.

/// Maximum length in bytes of a name for which suggestions are made: the cost grows with the
/// length.
const MAX_LENGTH: usize = 60;
/// Maximum number of suggestions.
const MAX_SUGGESTIONS: usize = 3;

/// The known names that are similar to an unknown one, most similar first.
#[must_use]
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    if name.len() > MAX_LENGTH {
        return Vec::new();
    }
    let max = name.len() * 2 / 5 + 1;
    let has_similar_length = |known: &&str| known.len().abs_diff(name.len()) <= max;
    let known = known.into_iter().filter(has_similar_length).map(|known| (distance(name, known), known));
    let mut near: Vec<_> = known.filter(|(distance, _)| *distance <= max).collect();
    near.sort_unstable();
    near.into_iter().take(MAX_SUGGESTIONS).map(|(_, known)| known).collect()
}

/// A "Did you mean" question to be appended to an error message; empty if nothing is similar.
#[must_use]
pub fn did_you_mean<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let near = nearest(name, known);
    match near.as_slice() {
        [] => String::new(),
        [one] => format!(" Did you mean \"{one}\"?"),
        [others @ .., last] => format!(" Did you mean \"{}\" or \"{last}\"?", others.join("\", \"")),
    }
}

/// The edit distance of two names: insertions, deletions, replacements and swaps of adjacent
/// letters, ignoring case.
#[must_use]
pub fn distance(one: &str, other: &str) -> usize {
    strsim::osa_distance(&one.to_ascii_lowercase(), &other.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_count_edits_and_transpositions() {
        for (one, other, edits) in [
            ("title", "title", 0),
            ("titel", "title", 1),
            ("Title", "title", 0),
            ("frist", "first", 1),
            ("lins", "lines", 1),
            ("", "abc", 3),
            ("abc", "", 3),
            ("kitten", "sitting", 3),
            ("menü", "menu", 1),
        ] {
            assert_eq!(distance(one, other), edits, "{one} {other}");
            assert_eq!(distance(other, one), edits, "{other} {one}");
        }
    }

    #[test]
    fn similar_names_are_suggested_nearest_first() {
        let known = ["handle", "title", "titles", "totalTitle", "vendor"];
        assert_eq!(nearest("titel", known), ["title", "titles"]);
        assert_eq!(nearest("nonsense", known), Vec::<&str>::new());
        assert_eq!(nearest(&"title".repeat(20), known), Vec::<&str>::new());
        assert_eq!(did_you_mean("titel", known), " Did you mean \"title\" or \"titles\"?");
        assert_eq!(did_you_mean("hanlde", known), " Did you mean \"handle\"?");
        assert_eq!(did_you_mean("nonsense", known), "");
    }
}
