//! Amounts as PayPal writes them: decimal strings with a currency, converted without floats.

use serde::{Deserialize, Serialize};

use crate::domain::money::{Currency, Money};
use crate::integrations::payments::ProviderError;

/// The currencies that PayPal accepts payments in:
/// <https://developer.paypal.com/api/rest/reference/currency-codes/>.
const CURRENCIES: &[&str] = &[
    "AUD", "BRL", "CAD", "CHF", "CNY", "CZK", "DKK", "EUR", "GBP", "HKD", "HUF", "ILS", "JPY", "MXN", "MYR",
    "NOK", "NZD", "PHP", "PLN", "SEK", "SGD", "THB", "TWD", "USD",
];
/// The currencies that PayPal takes no decimals in. Two of them have decimals in ISO 4217.
const CURRENCIES_WITHOUT_DECIMALS: &[&str] = &["HUF", "JPY", "TWD"];

/// An amount in a request or a response.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Amount {
    currency_code: String,
    value: String,
}

impl Amount {
    /// Writes an amount of minor units.
    ///
    /// # Errors
    /// A message that names the currency, if PayPal does not accept it, or no decimals in it.
    pub(super) fn new(minor: i64, currency: &str) -> Result<Self, String> {
        let parsed = Currency::parse(currency).ok().filter(|parsed| CURRENCIES.contains(&parsed.code()));
        let Some(currency) = parsed else {
            return Err(format!("PayPal doesn't support {currency}"));
        };
        let code = currency.code();
        let decimal = Money::new(minor, currency).to_decimal();
        let value = if CURRENCIES_WITHOUT_DECIMALS.contains(&code) {
            let (whole, fraction) = decimal.split_once('.').unwrap_or((decimal.as_str(), ""));
            if fraction.bytes().any(|digit| digit != b'0') {
                return Err(format!("PayPal accepts only whole amounts in {code}, not {decimal}"));
            }
            whole.to_owned()
        } else {
            decimal
        };
        Ok(Self { currency_code: code.to_owned(), value })
    }

    /// Reads the amount.
    ///
    /// # Errors
    /// [`ProviderError::Failed`] if it is not an amount.
    pub(super) fn read(&self) -> Result<Money, ProviderError> {
        Currency::parse(&self.currency_code)
            .and_then(|currency| Money::parse(&self.value, currency))
            .map_err(|error| ProviderError::Failed(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(minor: i64, currency: &str) -> String {
        let amount = Amount::new(minor, currency).unwrap();
        assert_eq!(amount.currency_code, currency.to_ascii_uppercase());
        let read = amount.read().unwrap();
        assert_eq!((read.minor(), read.currency().code()), (minor, amount.currency_code.as_str()));
        amount.value
    }

    #[test]
    fn amounts_have_the_decimals_that_paypal_expects() {
        assert_eq!(written(1250, "USD"), "12.50");
        assert_eq!(written(5, "eur"), "0.05");
        assert_eq!(written(1250, "JPY"), "1250");
        assert_eq!(written(125_000, "HUF"), "1250");
        assert_eq!(written(100, "TWD"), "1");
        assert_eq!(written(9_007_199_254_740_993, "USD"), "90071992547409.93", "more than a float can hold");
    }

    #[test]
    fn amounts_that_paypal_does_not_accept_are_rejected_by_name() {
        for (minor, currency, expected) in [
            (1250, "KWD", "PayPal doesn't support KWD"),
            (1250, "ZZZ", "PayPal doesn't support ZZZ"),
            (1250, "HUF", "PayPal accepts only whole amounts in HUF, not 12.50"),
            (1, "TWD", "PayPal accepts only whole amounts in TWD, not 0.01"),
        ] {
            assert_eq!(Amount::new(minor, currency).unwrap_err(), expected);
        }
    }

    #[test]
    fn amounts_are_read_exactly() {
        let read = |value: &str, currency_code: &str| {
            Amount { currency_code: currency_code.to_owned(), value: value.to_owned() }
                .read()
                .ok()
                .map(Money::minor)
        };
        assert_eq!(read("2.51", "USD"), Some(251));
        assert_eq!(read("100", "USD"), Some(10_000));
        assert_eq!(read("100", "HUF"), Some(10_000));
        assert_eq!(read("100.0", "JPY"), Some(100));
        assert_eq!(read("2.515", "USD"), None);
        assert_eq!(read("1e3", "USD"), None);
    }
}
