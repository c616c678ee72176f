//! The languages of mails, and how each formats amounts and dates. Their texts are in `languages/`,
//! one file each.

use std::collections::BTreeMap;

use chrono::{Datelike, NaiveDate};
use serde::Deserialize;

use crate::domain::catalog::text_enum;
use crate::domain::money::Money;

text_enum! {
    /// A language that mails are written in, as an RFC 5646 tag.
    Language {
        /// English, also the fallback.
        English = "en",
        /// German.
        German = "de",
        /// French.
        French = "fr",
        /// Spanish.
        Spanish = "es",
    }
}

impl Language {
    /// The mail language for a code of `domain::codes::LANGUAGES` such as `DE` or `PT_BR`; English
    /// when there is no code or no translation.
    #[must_use]
    pub fn from_code(code: Option<&str>) -> Self {
        let base = code.unwrap_or_default().split(['_', '-']).next().unwrap_or_default();
        Self::parse(base).unwrap_or(Self::English)
    }

    /// Its embedded file.
    fn file(self) -> &'static str {
        match self {
            Self::English => include_str!("languages/en.json"),
            Self::German => include_str!("languages/de.json"),
            Self::French => include_str!("languages/fr.json"),
            Self::Spanish => include_str!("languages/es.json"),
        }
    }
}

/// The texts of a language and its number and date formats.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TextCatalog {
    /// Decimal separator of amounts.
    decimal_sign: char,
    /// Thousands separator of amounts.
    thousands_sign: char,
    /// Date format with the placeholders `{day}`, `{month}` and `{year}`.
    date: String,
    /// The names of the months.
    months: Vec<String>,
    /// Texts by name, `<kind of mail>.<text>`; `shared.<text>` for those used by several kinds.
    /// `{name}` is a placeholder for a value.
    texts: BTreeMap<String, String>,
}

impl TextCatalog {
    /// Parses the embedded file of a language.
    ///
    /// # Errors
    /// When the file is malformed, which tests rule out.
    pub(super) fn load(language: Language) -> Result<Self, serde_json::Error> {
        serde_json::from_str(language.file())
    }

    /// Parses other texts of a language, which has the same number and date formats.
    ///
    /// # Errors
    /// When they are malformed, which tests rule out.
    pub(crate) fn with_texts(language: Language, texts: &str) -> Result<Self, serde_json::Error> {
        Ok(Self { texts: serde_json::from_str(texts)?, ..Self::load(language)? })
    }

    /// Returns a text with its placeholders filled in; `None` when there is no such text or a value
    /// is missing.
    #[must_use]
    pub(crate) fn text(&self, name: &str, value: impl Fn(&str) -> Option<String>) -> Option<String> {
        interpolate(self.texts.get(name)?, value)
    }

    /// Replaces a text by one that uses no other placeholders.
    ///
    /// # Errors
    /// A sentence for the author of the override, when there is no such text or it uses an unknown
    /// placeholder.
    pub(super) fn replace(&mut self, name: &str, text: &str) -> Result<(), String> {
        let Some(known) = self.texts.get_mut(name) else {
            return Err(format!("there is no text {name} to override"));
        };
        let is_known = |value: &str| {
            let place = format!("{{{value}}}");
            known.contains(&place).then_some(place)
        };
        if interpolate(text, is_known).is_none() {
            return Err(format!("{name} can only use the placeholders of `{known}`"));
        }
        text.clone_into(known);
        Ok(())
    }

    /// The names of all texts.
    #[cfg(test)]
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.texts.keys().map(String::as_str)
    }

    /// Formats an amount with its currency code: `1,234.50 USD`.
    #[must_use]
    pub(crate) fn format_money(&self, money: Money) -> String {
        let decimal = money.to_decimal();
        let (sign, digits) = decimal.strip_prefix('-').map_or(("", decimal.as_str()), |rest| ("-", rest));
        let (whole, fraction) =
            digits.split_once('.').map_or((digits, None), |(whole, rest)| (whole, Some(rest)));
        let mut text = sign.to_owned();
        for (at, digit) in whole.chars().enumerate() {
            let left = whole.len().saturating_sub(at);
            if at > 0 && left.is_multiple_of(3) {
                text.push(self.thousands_sign);
            }
            text.push(digit);
        }
        if let Some(fraction) = fraction {
            text.push(self.decimal_sign);
            text.push_str(fraction);
        }
        // No line break between the amount and its currency.
        text.push('\u{a0}');
        text.push_str(money.currency().code());
        text
    }

    /// Formats a date: `24 November 2026`.
    #[must_use]
    pub(super) fn format_date(&self, day: NaiveDate) -> Option<String> {
        let month = self.months.get(usize::try_from(day.month0()).ok()?)?;
        interpolate(&self.date, |name| match name {
            "day" => Some(day.day().to_string()),
            "month" => Some(month.clone()),
            "year" => Some(day.year().to_string()),
            _ => None,
        })
    }
}

/// Fills in the `{name}` placeholders of a text.
fn interpolate(text: &str, value: impl Fn(&str) -> Option<String>) -> Option<String> {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}')?;
        filled.push_str(before);
        filled.push_str(&value(name)?);
        rest = after;
    }
    filled.push_str(rest);
    Some(filled)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::money::Currency;

    fn load_all() -> Vec<(Language, TextCatalog)> {
        Language::ALL.iter().map(|language| (*language, TextCatalog::load(*language).unwrap())).collect()
    }

    #[test]
    fn every_language_has_every_text_with_the_same_values() {
        let values = |text: &str| {
            let mut names: Vec<String> =
                text.split('{').skip(1).map(|rest| rest.split('}').next().unwrap().to_owned()).collect();
            names.sort_unstable();
            names
        };
        let all = load_all();
        let (_, english) = &all[0];
        for (language, catalog) in &all {
            assert_eq!(
                catalog.texts.keys().collect::<Vec<_>>(),
                english.texts.keys().collect::<Vec<_>>(),
                "{language:?}"
            );
            for (name, text) in &catalog.texts {
                assert_eq!(values(text), values(&english.texts[name]), "{name} in {language:?}");
                assert!(
                    !text.trim().is_empty() && !text.contains(['<', '>', '&']),
                    "{name} in {language:?}: {text}"
                );
            }
            assert_eq!(catalog.months.len(), 12, "{language:?}");
        }
    }

    #[test]
    fn untranslated_languages_fall_back_to_english() {
        for (code, language) in [
            (None, Language::English),
            (Some("DE"), Language::German),
            (Some("de-AT"), Language::German),
            (Some("FR"), Language::French),
            (Some("ES"), Language::Spanish),
            (Some("PT_BR"), Language::English),
            (Some("JA"), Language::English),
        ] {
            assert_eq!(Language::from_code(code), language, "{code:?}");
        }
    }

    #[test]
    fn money_and_dates_are_formatted_by_language() {
        let money = |minor, code| Money::new(minor, Currency::parse(code).unwrap());
        let day = NaiveDate::from_ymd_opt(2026, 3, 1).unwrap();
        let expected = [
            (
                Language::English,
                ["1,234.50\u{a0}USD", "-0.05\u{a0}EUR", "1,234,567\u{a0}JPY", "999.005\u{a0}KWD"],
                "1 March 2026",
            ),
            (
                Language::German,
                ["1.234,50\u{a0}USD", "-0,05\u{a0}EUR", "1.234.567\u{a0}JPY", "999,005\u{a0}KWD"],
                "1. März 2026",
            ),
            (
                Language::French,
                [
                    "1\u{202f}234,50\u{a0}USD",
                    "-0,05\u{a0}EUR",
                    "1\u{202f}234\u{202f}567\u{a0}JPY",
                    "999,005\u{a0}KWD",
                ],
                "1 mars 2026",
            ),
            (
                Language::Spanish,
                ["1.234,50\u{a0}USD", "-0,05\u{a0}EUR", "1.234.567\u{a0}JPY", "999,005\u{a0}KWD"],
                "1 de marzo de 2026",
            ),
        ];
        for (language, amounts, date) in expected {
            let catalog = TextCatalog::load(language).unwrap();
            let written =
                [money(123_450, "USD"), money(-5, "EUR"), money(1_234_567, "JPY"), money(999_005, "KWD")];
            assert_eq!(written.map(|amount| catalog.format_money(amount)), amounts);
            assert_eq!(catalog.format_date(day).unwrap(), date);
        }
    }

    #[test]
    fn texts_with_missing_values_are_not_rendered() {
        assert_eq!(
            interpolate("a {b} c", |_| Some("{d}".to_owned())),
            Some("a {d} c".to_owned()),
            "a value is not interpolated again"
        );
        assert_eq!(interpolate("a {b} c", |_| None), None);
    }
}
