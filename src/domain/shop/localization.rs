//! Native names of languages, currency symbols, and measurement systems of countries.
//!
//! The codes themselves and their English names are in `domain::codes`.

use crate::domain::codes::{COUNTRIES, CURRENCIES, Code, LANGUAGES};

/// Languages and their native names, sorted by code; others use their English names.
const ENDONYMS: &[Code] = &[
    ("AF", "Afrikaans"),
    ("AR", "العربية"),
    ("AZ", "azərbaycan"),
    ("BE", "беларуская"),
    ("BG", "български"),
    ("BN", "বাংলা"),
    ("BR", "brezhoneg"),
    ("BS", "bosanski"),
    ("CA", "català"),
    ("CS", "čeština"),
    ("CY", "Cymraeg"),
    ("DA", "dansk"),
    ("DE", "Deutsch"),
    ("EL", "Ελληνικά"),
    ("EN", "English"),
    ("EO", "esperanto"),
    ("ES", "español"),
    ("ET", "eesti"),
    ("EU", "euskara"),
    ("FA", "فارسی"),
    ("FI", "suomi"),
    ("FO", "føroyskt"),
    ("FR", "français"),
    ("GA", "Gaeilge"),
    ("GL", "galego"),
    ("GU", "ગુજરાતી"),
    ("HE", "עברית"),
    ("HI", "हिन्दी"),
    ("HR", "hrvatski"),
    ("HU", "magyar"),
    ("HY", "հայերեն"),
    ("ID", "Indonesia"),
    ("IS", "íslenska"),
    ("IT", "italiano"),
    ("JA", "日本語"),
    ("KA", "ქართული"),
    ("KK", "қазақ тілі"),
    ("KM", "ខ្មែរ"),
    ("KO", "한국어"),
    ("LB", "Lëtzebuergesch"),
    ("LO", "ລາວ"),
    ("LT", "lietuvių"),
    ("LV", "latviešu"),
    ("MK", "македонски"),
    ("MN", "монгол"),
    ("MR", "मराठी"),
    ("MS", "Melayu"),
    ("MT", "Malti"),
    ("NB", "norsk bokmål"),
    ("NE", "नेपाली"),
    ("NL", "Nederlands"),
    ("NN", "norsk nynorsk"),
    ("NO", "norsk"),
    ("PA", "ਪੰਜਾਬੀ"),
    ("PL", "polski"),
    ("PT", "português"),
    ("PT_BR", "português (Brasil)"),
    ("PT_PT", "português (Portugal)"),
    ("RM", "rumantsch"),
    ("RO", "română"),
    ("RU", "русский"),
    ("SK", "slovenčina"),
    ("SL", "slovenščina"),
    ("SQ", "shqip"),
    ("SR", "српски"),
    ("SV", "svenska"),
    ("SW", "Kiswahili"),
    ("TA", "தமிழ்"),
    ("TE", "తెలుగు"),
    ("TH", "ไทย"),
    ("TR", "Türkçe"),
    ("UK", "українська"),
    ("UR", "اردو"),
    ("UZ", "o‘zbek"),
    ("VI", "Tiếng Việt"),
    ("ZH", "中文"),
    ("ZH_CN", "简体中文"),
    ("ZH_TW", "繁體中文"),
    ("ZU", "isiZulu"),
];

/// Currencies and their symbols, sorted by code; others use their codes.
const SYMBOLS: &[Code] = &[
    ("AUD", "$"),
    ("BRL", "R$"),
    ("CAD", "$"),
    ("CNY", "¥"),
    ("CRC", "₡"),
    ("CZK", "Kč"),
    ("DKK", "kr."),
    ("EUR", "€"),
    ("GBP", "£"),
    ("GEL", "₾"),
    ("HKD", "$"),
    ("HUF", "Ft"),
    ("ILS", "₪"),
    ("INR", "₹"),
    ("ISK", "kr"),
    ("JPY", "¥"),
    ("KRW", "₩"),
    ("KZT", "₸"),
    ("MXN", "$"),
    ("MYR", "RM"),
    ("NGN", "₦"),
    ("NOK", "kr"),
    ("NZD", "$"),
    ("PHP", "₱"),
    ("PLN", "zł"),
    ("RON", "lei"),
    ("RUB", "₽"),
    ("SEK", "kr"),
    ("SGD", "$"),
    ("THB", "฿"),
    ("TRY", "₺"),
    ("TWD", "NT$"),
    ("UAH", "₴"),
    ("USD", "$"),
    ("VND", "₫"),
    ("ZAR", "R"),
];

/// Countries that use imperial units.
const IMPERIAL: &[&str] = &["LR", "MM", "US"];

fn find(table: &[Code], code: &str) -> Option<&'static str> {
    table.iter().find(|(known, _)| *known == code).map(|(_, name)| *name)
}

/// A country's English name, or the code if it is unknown.
#[must_use]
pub fn country_name(code: &str) -> &str {
    find(COUNTRIES, code).unwrap_or(code)
}

/// A language's English name, or the code if it is unknown.
#[must_use]
pub fn language_name(code: &str) -> &str {
    find(LANGUAGES, code).unwrap_or(code)
}

/// A language's native name.
#[must_use]
pub fn endonym(code: &str) -> &str {
    find(ENDONYMS, code).unwrap_or_else(|| language_name(code))
}

/// A currency's English name, or the code if it is unknown.
#[must_use]
pub fn currency_name(code: &str) -> &str {
    CURRENCIES.iter().find(|(known, ..)| *known == code).map_or(code, |(_, name, _)| name)
}

/// A currency's symbol, or its code if it has none.
#[must_use]
pub fn currency_symbol(code: &str) -> &str {
    find(SYMBOLS, code).unwrap_or(code)
}

/// Whether a country uses imperial units.
#[must_use]
pub fn is_imperial(country: &str) -> bool {
    IMPERIAL.contains(&country)
}

/// Whether two codes are regional variants of the same language: `PT` and `PT_BR`.
#[must_use]
pub fn is_same_language(one: &str, other: &str) -> bool {
    let base = |code: &str| code.split('_').next().unwrap_or_default().to_owned();
    base(one) == base(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_symbols_belong_to_existing_codes() {
        assert!(ENDONYMS.iter().all(|(code, _)| find(LANGUAGES, code).is_some()));
        assert!(SYMBOLS.iter().all(|(code, _)| CURRENCIES.iter().any(|(known, ..)| known == code)));
        assert!(IMPERIAL.iter().all(|code| find(COUNTRIES, code).is_some()));
        assert!(ENDONYMS.is_sorted() && SYMBOLS.is_sorted());
    }

    #[test]
    fn missing_names_fall_back_to_english_or_the_code() {
        assert_eq!((endonym("DE"), endonym("VO"), language_name("QQ")), ("Deutsch", "Volapük", "QQ"));
        assert_eq!((currency_symbol("EUR"), currency_symbol("CHF")), ("€", "CHF"));
        assert!(is_same_language("PT", "PT_BR") && !is_same_language("PT", "ES"));
    }
}
