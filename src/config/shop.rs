//! Settings of the shop itself: what a new one starts with, and when stock counts as low.

use super::{Overrides, Problems};
use crate::domain::catalog::inventory::LowStockThreshold;
use crate::domain::codes::COUNTRIES;
use crate::domain::money::Currency;
use crate::services::shop::NewShop;

/// The settings that only a new shop uses.
const NEW_SHOP_SETTINGS: [&str; 4] = ["SHOP_NAME", "SHOP_CURRENCY", "SHOP_COUNTRY", "SHOP_TAXES_INCLUDED"];

/// Reads `SHOP_CURRENCY`; `None` when it is invalid.
pub(super) fn read_currency(
    get: &impl Fn(&str) -> Option<String>,
    problems: &mut Problems,
) -> Option<Currency> {
    let code = get("SHOP_CURRENCY").unwrap_or("USD".to_owned());
    problems.parse_optional("SHOP_CURRENCY", Some(code), |text| {
        Currency::parse(text).map_err(|error| error.to_string())
    })
}

/// Reads `SHOP_COUNTRY`.
pub(super) fn read_country(get: &impl Fn(&str) -> Option<String>, problems: &mut Problems) -> String {
    problems.parse("SHOP_COUNTRY", get("SHOP_COUNTRY"), "US".to_owned(), |text| {
        let known = COUNTRIES.iter().find(|(code, _)| *code == text);
        known.map(|(code, _)| (*code).to_owned()).ok_or("must be a two-letter country code such as GB".into())
    })
}

/// Reads `SHOP_TAXES_INCLUDED`.
pub(super) fn read_taxes_included(get: &impl Fn(&str) -> Option<String>, problems: &mut Problems) -> bool {
    problems.parse("SHOP_TAXES_INCLUDED", get("SHOP_TAXES_INCLUDED"), true, |text| {
        text.parse().map_err(|_error| "must be true or false".to_owned())
    })
}

/// Reads `LOW_STOCK_THRESHOLD`.
pub(super) fn read_low_stock(
    get: &impl Fn(&str) -> Option<String>,
    problems: &mut Problems,
) -> LowStockThreshold {
    let default = LowStockThreshold::new(5);
    problems.parse("LOW_STOCK_THRESHOLD", get("LOW_STOCK_THRESHOLD"), default, |text| {
        let units = text.parse().ok().filter(|units| (0..=1_000_000).contains(units));
        units.map(LowStockThreshold::new).ok_or("must be a number of units from 0 to 1000000".into())
    })
}

/// The initial values of a new shop, from its settings.
pub(super) fn new_shop(
    get: &impl Fn(&str) -> Option<String>,
    overrides: &Overrides,
    currency: Currency,
    country: String,
    taxes_included: bool,
) -> NewShop {
    let name = get("SHOP_NAME").or_else(|| overrides.shop_name.clone()).unwrap_or("Mercato".to_owned());
    let explicit = NEW_SHOP_SETTINGS.into_iter().filter(|name| get(name).is_some()).collect();
    NewShop { name, currency, country, taxes_included, explicit }
}
