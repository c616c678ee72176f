//! Money: an integer number of minor units and an ISO 4217 currency. Floats are never used for
//! amounts.

pub mod micros;
pub mod rounding;

use std::fmt;

use serde::{Deserialize, Serialize};

use super::codes::CURRENCIES;

/// An ISO 4217 currency.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Currency {
    code: &'static str,
    decimals: u32,
}

/// Why a text is not a valid currency or amount.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// The code is not in ISO 4217.
    #[error("`{0}` is not an ISO 4217 currency code such as USD")]
    UnknownCurrency(String),
    /// The text is not a plain decimal number.
    #[error("`{0}` is not an amount: write digits with a decimal point, such as 12.50")]
    NotAnAmount(String),
    /// The amount has more decimals than the currency.
    #[error("`{amount}` has more than the {decimals} decimals of {currency}")]
    TooManyDecimals {
        /// The amount as given.
        amount: String,
        /// The currency's number of decimals.
        decimals: u32,
        /// The currency's code.
        currency: &'static str,
    },
    /// The amount does not fit into 64 bits of minor units.
    #[error("`{0}` is too large an amount")]
    TooLarge(String),
}

impl Currency {
    /// Parses a three-letter code, ignoring case.
    ///
    /// # Errors
    /// [`MoneyError::UnknownCurrency`] if ISO 4217 has no such code.
    pub fn parse(code: &str) -> Result<Self, MoneyError> {
        let upper = code.trim().to_ascii_uppercase();
        CURRENCIES
            .iter()
            .find(|(known, ..)| *known == upper)
            .map(|&(code, _, decimals)| Self { code, decimals })
            .ok_or_else(|| MoneyError::UnknownCurrency(code.to_owned()))
    }

    /// The three-letter code.
    #[must_use]
    pub fn code(self) -> &'static str {
        self.code
    }

    /// Number of decimals of the minor unit: 2 for USD, 0 for JPY, 3 for KWD.
    #[must_use]
    pub fn decimals(self) -> u32 {
        self.decimals
    }

    /// Minor units per major unit.
    #[must_use]
    pub fn factor(self) -> i64 {
        10_i64.pow(self.decimals)
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code)
    }
}

impl Serialize for Currency {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code)
    }
}

impl<'de> Deserialize<'de> for Currency {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let code = String::deserialize(deserializer)?;
        Self::parse(&code).map_err(serde::de::Error::custom)
    }
}

/// An amount of money.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Money {
    minor: i64,
    currency: Currency,
}

impl Money {
    /// An amount in minor units.
    #[must_use]
    pub fn new(minor: i64, currency: Currency) -> Self {
        Self { minor, currency }
    }

    /// Parses a plain decimal: `12`, `12.5`, `-0.05`. Exact: fractions of the currency's minor unit
    /// are rejected, except for trailing zeros.
    ///
    /// # Errors
    /// [`MoneyError`] if the text is not a valid amount.
    pub fn parse(text: &str, currency: Currency) -> Result<Self, MoneyError> {
        let trimmed = text.trim();
        let not_an_amount = || MoneyError::NotAnAmount(text.to_owned());
        let too_large = || MoneyError::TooLarge(text.to_owned());

        let (negative, digits) = match trimmed.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, trimmed),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if !all_digits(whole) || !all_digits(fraction) || (whole.is_empty() && fraction.is_empty()) {
            return Err(not_an_amount());
        }

        let significant = fraction.trim_end_matches('0');
        let missing = (currency.decimals as usize).checked_sub(significant.len()).ok_or_else(|| {
            MoneyError::TooManyDecimals {
                amount: text.to_owned(),
                decimals: currency.decimals,
                currency: currency.code,
            }
        })?;
        let minor = whole
            .bytes()
            .chain(significant.bytes())
            .chain(std::iter::repeat_n(b'0', missing))
            .try_fold(0_i64, |sum, digit| sum.checked_mul(10)?.checked_add(i64::from(digit - b'0')))
            .ok_or_else(too_large)?;
        Ok(Self { minor: if negative { -minor } else { minor }, currency })
    }

    /// The amount in minor units: cents for USD.
    #[must_use]
    pub fn minor(self) -> i64 {
        self.minor
    }

    /// The amount's currency.
    #[must_use]
    pub fn currency(self) -> Currency {
        self.currency
    }

    /// Formats the amount as a decimal with all of the currency's decimals: `12.50`.
    #[must_use]
    pub fn to_decimal(self) -> String {
        let factor = self.currency.factor().unsigned_abs();
        let minor = self.minor.unsigned_abs();
        let sign = if self.minor < 0 { "-" } else { "" };
        let (whole, fraction) = (minor / factor, minor % factor);
        match self.currency.decimals as usize {
            0 => format!("{sign}{whole}"),
            width => format!("{sign}{whole}.{fraction:0width$}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str, code: &str) -> Result<i64, MoneyError> {
        Money::parse(text, Currency::parse(code)?).map(Money::minor)
    }

    #[test]
    fn amounts_are_exact_in_every_currency() {
        assert_eq!(parse("12.50", "USD"), Ok(1250));
        assert_eq!(parse("12.5", "usd"), Ok(1250));
        assert_eq!(parse(" 12 ", "USD"), Ok(1200));
        assert_eq!(parse(".05", "USD"), Ok(5));
        assert_eq!(parse("-0.05", "USD"), Ok(-5));
        assert_eq!(parse("12.500", "USD"), Ok(1250));
        assert_eq!(parse("1200", "JPY"), Ok(1200));
        assert_eq!(parse("1200.00", "JPY"), Ok(1200));
        assert_eq!(parse("1.234", "KWD"), Ok(1234));
    }

    #[test]
    fn invalid_amounts_are_rejected_with_the_reason() {
        for text in ["", "-", ".", "abc", "1,234.50", "£3.00", "1e3", "--1", "1.2.3", "٣"] {
            assert_eq!(parse(text, "USD"), Err(MoneyError::NotAnAmount(text.to_owned())), "{text:?}");
        }
        assert!(matches!(parse("0.001", "USD"), Err(MoneyError::TooManyDecimals { .. })));
        assert!(matches!(parse("0.1", "JPY"), Err(MoneyError::TooManyDecimals { .. })));
        assert!(matches!(parse("99999999999999999999", "USD"), Err(MoneyError::TooLarge(_))));
        assert!(matches!(parse("1", "ZZZ"), Err(MoneyError::UnknownCurrency(_))));
    }

    #[test]
    fn decimal_text_round_trips() {
        for (minor, code, text) in [
            (1250, "USD", "12.50"),
            (5, "USD", "0.05"),
            (-5, "USD", "-0.05"),
            (7, "JPY", "7"),
            (1, "KWD", "0.001"),
        ] {
            let money = Money::new(minor, Currency::parse(code).unwrap());
            assert_eq!(money.to_decimal(), text);
            assert_eq!(Money::parse(text, money.currency()), Ok(money));
        }
    }
}
