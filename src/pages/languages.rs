//! The language of a page: the one in the URL, else the browser's, else the shop's.

use crate::services::mails::Language;

/// Chooses the language. `wanted` is an RFC 5646 tag, `shop` a code of `domain::codes::LANGUAGES`.
pub(super) fn choose_language(wanted: Option<&str>, accepted: Option<&str>, shop: &str) -> Language {
    let wanted = wanted.and_then(parse_tag);
    wanted.or_else(|| accepted.and_then(best_accepted)).unwrap_or_else(|| Language::from_code(Some(shop)))
}

/// The code of a language in `domain::codes::LANGUAGES`.
pub(super) fn code(language: Language) -> &'static str {
    match language {
        Language::English => "EN",
        Language::German => "DE",
        Language::French => "FR",
        Language::Spanish => "ES",
    }
}

/// The texts of a language.
pub(super) fn file(language: Language) -> &'static str {
    match language {
        Language::English => include_str!("languages/en.json"),
        Language::German => include_str!("languages/de.json"),
        Language::French => include_str!("languages/fr.json"),
        Language::Spanish => include_str!("languages/es.json"),
    }
}

/// The language of a tag such as `de-AT`.
fn parse_tag(tag: &str) -> Option<Language> {
    Language::parse(tag.split('-').next().unwrap_or_default())
}

/// The language with the highest weight in an `Accept-Language` header; the first one of several.
fn best_accepted(header: &str) -> Option<Language> {
    let mut best: Option<(Language, f32)> = None;
    for item in header.split(',') {
        let (tag, weight) = item.split_once(';').unwrap_or((item, ""));
        let weight = weight.trim().strip_prefix("q=").map_or(Some(1.0), |weight| weight.parse().ok());
        let (Some(language), Some(weight)) = (parse_tag(tag.trim()), weight) else { continue };
        if weight > 0.0 && best.is_none_or(|(_, known)| weight > known) {
            best = Some((language, weight));
        }
    }
    best.map(|(language, _)| language)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::codes::LANGUAGES;

    #[test]
    fn the_url_takes_precedence_over_the_browser_and_the_shop() {
        for (wanted, accepted, shop, expected) in [
            (Some("fr"), Some("de"), "ES", Language::French),
            (Some("xx"), Some("de-AT,de;q=0.9"), "ES", Language::German),
            (None, Some("nl, en;q=0.5, es;q=0.8"), "FR", Language::Spanish),
            (None, Some("nl;q=1, de;q=0"), "FR", Language::French),
            (None, Some("*"), "DE", Language::German),
            (None, None, "JA", Language::English),
        ] {
            assert_eq!(choose_language(wanted, accepted, shop), expected, "{wanted:?} {accepted:?} {shop}");
        }
    }

    #[test]
    fn codes_are_known() {
        for language in Language::ALL {
            let code = code(*language);
            assert!(LANGUAGES.iter().any(|(known, _)| *known == code));
            assert_eq!(Language::from_code(Some(code)), *language);
        }
    }
}
