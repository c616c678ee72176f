//! Parsing of manual discounts on draft orders.

use serde::Serialize;

use crate::domain::money::Currency;
use crate::domain::orders::drafts::{DraftDiscount, DraftDiscountType};
use crate::error::UserErrorCode;
use crate::services::input::Problems;

/// A manual discount.
#[derive(Clone, Debug, Serialize)]
pub struct DiscountInput {
    /// Title shown to buyers.
    pub title: Option<String>,
    /// Whether `value` is an amount or a percentage.
    pub kind: DraftDiscountType,
    /// An amount, or a percentage such as `10`, as a decimal number.
    pub value: String,
}

/// Validates and converts a discount.
pub(super) fn parse_discount(
    problems: &mut Problems,
    field: &[&str],
    input: &DiscountInput,
    currency: Currency,
) -> DraftDiscount {
    let title = input.title.as_deref().map(str::trim).filter(|title| !title.is_empty()).unwrap_or("Discount");
    problems.line(field, title);
    let value = match input.kind {
        DraftDiscountType::FixedAmount => problems.amount(field, &input.value, currency),
        DraftDiscountType::Percentage => match parse_percentage(&input.value) {
            Some(micros) => micros,
            None => {
                let message = "A percentage is a number from 0 to 100 with up to four decimals";
                problems.add(field, UserErrorCode::Invalid, message);
                0
            }
        },
    };
    DraftDiscount { title: title.to_owned(), kind: input.kind, value }
}

/// Parses a percentage to millionths: 12.5 is 125000.
fn parse_percentage(text: &str) -> Option<i64> {
    let (whole, fraction) = text.trim().split_once('.').unwrap_or((text.trim(), ""));
    let is_number = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || whole.len() > 3 || fraction.len() > 4 || !is_number(whole) || !is_number(fraction)
    {
        return None;
    }
    let micros = format!("{whole}{fraction:0<4}").parse::<i64>().ok()?;
    (micros <= 1_000_000).then_some(micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_are_exact() {
        for (text, micros) in
            [("10", 100_000), ("12.5", 125_000), ("0.0001", 1), ("100", 1_000_000), ("0", 0)]
        {
            assert_eq!(parse_percentage(text), Some(micros), "{text}");
        }
        for text in ["", "-1", "100.1", "1e2", "10%", "0.00001", "1,5", "."] {
            assert_eq!(parse_percentage(text), None, "{text}");
        }
    }
}
