//! Amounts as Stripe writes them: integers in a minor unit that is mostly, but not always, that of
//! ISO 4217. See "Zero-decimal currencies" and "Special cases" in Stripe's guide to currencies.

use crate::domain::money::{Currency, Money};

/// Currencies whose number of decimals at Stripe differs from that in ISO 4217.
const EXCEPTIONS: &[(&str, u32)] = &[
    // Without decimals, but written with two for historical reasons.
    ("ISK", 2),
    ("UGX", 2),
    // Its fifths are no longer in use.
    ("MGA", 0),
];

/// Converts an amount in minor units to Stripe's. `verb` says what for: to charge or to refund it.
///
/// # Errors
/// A message that names the amount, if Stripe can't do that with exactly so much.
pub(super) fn to_stripe(amount: i64, currency: &str, verb: &str) -> Result<i64, String> {
    let currency = Currency::parse(currency).map_err(|error| error.to_string())?;
    let decimals = decimals(currency);
    let converted = rescale(amount, currency.decimals(), decimals);
    // The third decimal has to be zero: card networks don't support it.
    let valid = converted.filter(|converted| decimals < 3 || converted % 10 == 0);
    valid.ok_or_else(|| {
        let amount = Money::new(amount, currency).to_decimal();
        format!("Stripe can't {verb} exactly {amount} {}", currency.code())
    })
}

/// Converts an amount from Stripe to an exact amount of money.
///
/// # Errors
/// A message that names the amount, if it is not a whole number of minor units.
pub(super) fn from_stripe(amount: i64, currency: &str) -> Result<Money, String> {
    let currency = Currency::parse(currency).map_err(|error| error.to_string())?;
    let converted = rescale(amount, decimals(currency), currency.decimals());
    let converted = converted.ok_or_else(|| {
        format!("Stripe's amount of {amount} {} is not a whole number of minor units", currency.code())
    })?;
    Ok(Money::new(converted, currency))
}

/// The number of decimals of a currency at Stripe.
fn decimals(currency: Currency) -> u32 {
    let exception = EXCEPTIONS.iter().find(|(code, _)| *code == currency.code());
    exception.map_or(currency.decimals(), |(_, decimals)| *decimals)
}

/// Changes the number of decimals of an amount; `None` if that isn't possible exactly.
fn rescale(amount: i64, from: u32, to: u32) -> Option<i64> {
    let factor = 10_i64.checked_pow(from.abs_diff(to))?;
    if to >= from {
        amount.checked_mul(factor)
    } else if amount % factor == 0 {
        Some(amount / factor)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_the_same_in_both_directions() {
        for (amount, currency, at_stripe) in [
            (1_250, "USD", 1_250),
            (500, "JPY", 500),
            (500, "XPF", 500),
            (5, "ISK", 500),
            (5, "UGX", 500),
            (500, "MGA", 5),
            (5_120, "KWD", 5_120),
            (5_120, "BHD", 5_120),
            (1_050, "HUF", 1_050),
            (0, "EUR", 0),
        ] {
            assert_eq!(to_stripe(amount, currency, "charge"), Ok(at_stripe), "{amount} {currency}");
            let lower_case = currency.to_ascii_lowercase();
            let money = from_stripe(at_stripe, &lower_case).unwrap();
            assert_eq!((money.minor(), money.currency().code()), (amount, currency));
        }
    }

    #[test]
    fn amounts_are_never_rounded() {
        for currency in ["BHD", "JOD", "KWD", "OMR", "TND"] {
            let message = to_stripe(5_124, currency, "charge").unwrap_err();
            assert_eq!(message, format!("Stripe can't charge exactly 5.124 {currency}"));
            // Such an amount is unexpected, but it would be exact.
            assert_eq!(from_stripe(5_124, currency).unwrap().minor(), 5_124);
        }
        let message = to_stripe(1_250, "MGA", "refund").unwrap_err();
        assert_eq!(message, "Stripe can't refund exactly 12.50 MGA");
        let message = from_stripe(250, "isk").unwrap_err();
        assert!(message.contains("250 ISK"), "{message}");
        assert!(to_stripe(i64::MAX, "ISK", "charge").is_err() && to_stripe(1, "ZZZ", "charge").is_err());
    }
}
