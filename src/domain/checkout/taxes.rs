//! Taxes: which rates apply where and to what.
//!
//! All rates of a product's tax class that are defined for the country or for the province add up:
//! a province's rates are charged in addition to its country's. Each is calculated on the same
//! amount; there is no tax on taxes. A class without a rate at a place is not taxed there. Delivery
//! has a class of its own, [`SHIPPING_TAX_CLASS`].

use super::quotes::TaxLine;
use crate::domain::money::rounding::{MICROS, distribute, half_up};

/// The tax class of delivery.
pub const SHIPPING_TAX_CLASS: &str = "shipping";

/// A tax rate that applies at the destination.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ApplicableRate {
    /// The tax's name.
    pub name: String,
    /// The tax class it applies to.
    pub tax_class: String,
    /// The rate in millionths.
    pub rate_micros: i64,
}

/// The normalized form of a tax class.
#[must_use]
pub fn class_key(class: &str) -> String {
    class.trim().to_lowercase()
}

/// The normalized form of a province code: upper case.
#[must_use]
pub fn province_key(province: &str) -> String {
    province.trim().to_uppercase()
}

/// The taxes on an amount, rounded half-up once for all rates together and distributed over them by
/// the largest-remainder method. `None` on overflow.
#[must_use]
pub fn calculate_taxes(
    amount: i64,
    class: &str,
    rates: &[ApplicableRate],
    included: bool,
) -> Option<Vec<TaxLine>> {
    let rates: Vec<&ApplicableRate> = rates.iter().filter(|rate| rate.tax_class == class).collect();
    let weights: Vec<i64> = rates.iter().map(|rate| rate.rate_micros).collect();
    let sum: i128 = weights.iter().map(|micros| i128::from(*micros)).sum();
    let whole = i128::from(MICROS) + if included { sum } else { 0 };
    let total = i64::try_from(half_up(i128::from(amount).checked_mul(sum)?, whole)).ok()?;
    let lines = rates.into_iter().zip(distribute(total, &weights));
    Some(
        lines
            .map(|(rate, amount)| TaxLine { title: rate.name.clone(), rate_micros: rate.rate_micros, amount })
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(name: &str, rate_micros: i64) -> ApplicableRate {
        ApplicableRate { name: name.to_owned(), tax_class: "standard".to_owned(), rate_micros }
    }

    fn amounts(amount: i64, rates: &[ApplicableRate], included: bool) -> Vec<i64> {
        calculate_taxes(amount, "standard", rates, included).unwrap().iter().map(|line| line.amount).collect()
    }

    #[test]
    fn prices_include_or_exclude_taxes() {
        // 12.00 including 20 % is 10.00 plus 2.00; 10.00 excluding 20 % is 12.00 in total.
        assert_eq!(amounts(1_200, &[rate("VAT", 200_000)], true), [200]);
        assert_eq!(amounts(1_000, &[rate("VAT", 200_000)], false), [200]);
        // 9.99 contains 1.665, and a half is rounded up.
        assert_eq!(amounts(999, &[rate("VAT", 200_000)], true), [167]);
        assert_eq!(amounts(0, &[rate("VAT", 200_000)], true), [0]);
    }

    #[test]
    fn rates_are_summed_before_rounding() {
        // GST 5 % and PST 7 % on 0.99: 0.1188 is 0.12, of which 0.05 and 0.07.
        assert_eq!(amounts(99, &[rate("GST", 50_000), rate("PST", 70_000)], false), [5, 7]);
        // 4 % and 4 % of 0.31: 0.0124 each, which together is 0.0248, rounded to 0.02.
        assert_eq!(amounts(31, &[rate("A", 40_000), rate("B", 40_000)], false), [1, 1]);
    }

    #[test]
    fn classes_without_a_rate_are_not_taxed() {
        assert_eq!(calculate_taxes(1_000, "books", &[rate("VAT", 200_000)], false), Some(Vec::new()));
        assert_eq!(calculate_taxes(i64::MAX, "standard", &[rate("VAT", 2_000_000)], false), None);
    }
}
