//! Detects environment variables that look like misspelled settings.

use std::collections::BTreeSet;

use crate::domain::text::spelling::distance;

/// Minimum length of a name to be considered misspelled: short names resemble too many others.
const MIN_LENGTH: usize = 6;
/// One typo is tolerated per so many letters of a name.
const LETTERS_PER_TYPO: usize = 6;

/// Suffixes that are easily left out.
const UNIT_SUFFIXES: [&str; 2] = ["_MS", "_BYTES"];

/// Returns a warning about each variable that is not a setting but resembles one that is not set.
pub(super) fn find_misspelled(settings: &BTreeSet<String>, set: impl Iterator<Item = String>) -> Vec<String> {
    let set: BTreeSet<String> = set.collect();
    let unset: Vec<&String> = settings.difference(&set).collect();
    let unknown = set.difference(settings).filter(|name| name.len() >= MIN_LENGTH);
    unknown
        .filter_map(|name| {
            let setting = nearest(name, &unset)?;
            Some(format!("there is no setting {name}: did you mean {setting}?"))
        })
        .collect()
}

/// The setting that a name most likely stands for. Called for each variable at startup, so it
/// measures only the distance to names of a similar length with the same first or last letter.
fn nearest<'a>(name: &str, settings: &[&'a String]) -> Option<&'a String> {
    let max = name.len() / LETTERS_PER_TYPO;
    let (first, last) = ends(name);
    let is_similar = |setting: &&&String| {
        let other = ends(setting);
        setting.len().abs_diff(name.len()) <= max && (other.0 == first || other.1 == last)
    };
    let similar = settings.iter().filter(is_similar);
    let near =
        similar.map(|setting| (distance(name, setting), *setting)).filter(|(distance, _)| *distance <= max);
    let is_without_unit =
        |setting: &&String| setting.strip_prefix(name).is_some_and(|unit| UNIT_SUFFIXES.contains(&unit));
    near.min().map(|(_, setting)| setting).or_else(|| settings.iter().copied().find(is_without_unit))
}

/// The first and the last letter of a name.
fn ends(name: &str) -> (Option<u8>, Option<u8>) {
    let mut letters = name.bytes().map(|letter| letter.to_ascii_uppercase());
    (letters.next(), letters.next_back())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn warnings(set: &[&str]) -> Vec<String> {
        let settings = ["PUBLIC_URL", "PORT", "HOST", "HTTP_BODY_TIMEOUT_MS", "JWT_SECRET", "SHOP_NAME"];
        find_misspelled(&settings.map(str::to_owned).into(), set.iter().map(|name| (*name).to_owned()))
    }

    #[test]
    fn only_misspelled_settings_are_reported() {
        assert_eq!(warnings(&["JWT_SECRT"]), ["there is no setting JWT_SECRT: did you mean JWT_SECRET?"]);
        assert_eq!(warnings(&["HTTP_BODY_TIMEOUT", "PUBLIC-URL", "public_url"]).len(), 3);
        let others = ["PATH", "HOME", "HOSTNAME", "HTTP_PROXY", "PGPORT", "SHOP_PORT", "PORTS", "PUBLIC_URL"];
        assert_eq!(warnings(&others), Vec::<String>::new());
        assert_eq!(
            warnings(&["SHOP_NAME", "SHOP_NAMES"]),
            Vec::<String>::new(),
            "the correct setting is set, too"
        );
    }
}
