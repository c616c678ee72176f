//! Prices a cart or order: from its lines, the discounts that may apply, the chosen delivery and
//! the tax rates of the destination to a [`Quote`] whose numbers add up exactly.
//!
//! # Rules
//!
//! - All amounts are integers of minor units; the currency's number of decimals makes no difference
//!   here.
//! - **Discounts** are chosen and combined as described in [`super::discounts`]. A percentage is
//!   taken of the sum of its lines, rounded half-up once, and spread over them by the
//!   largest-remainder method; a fixed amount is spread the same way and capped at what the lines
//!   cost. So a discount is the sum of its allocations, and no line becomes negative.
//! - **Taxes** are rounded half-up per line, on its price after discounts, for all rates together,
//!   and spread over the rates by the largest-remainder method ([`super::taxes`]). Delivery is a
//!   line of its own. If prices include taxes, the taxes are calculated from the price and nothing
//!   is added.
//! - `total = subtotal - discount_total + shipping_total`, plus `tax_total` if prices exclude
//!   taxes.

mod selection;
#[cfg(test)]
mod tests;

use uuid::Uuid;

use super::discounts::{DiscountRefusal, DiscountRule};
use super::quotes::{Allocation, DeliveryOption, Quote, QuotedDelivery, QuotedLine, TaxLine};
use super::taxes::{ApplicableRate, SHIPPING_TAX_CLASS, calculate_taxes};
use crate::domain::ids::{CollectionId, DiscountId, ProductId, VariantId};
use crate::domain::money::Currency;
use selection::Selection;

/// Maximum price of an order's lines together, and of its delivery, in minor units; far below the
/// limit of 64 bits.
pub const MAX_AMOUNT: i64 = 1_000_000_000_000_000;
/// Maximum price of a single unit of a variant, in minor units. A cart holds at most a million
/// units, so its total can always be computed, even if prices rose in the meantime.
pub const MAX_PRICE: i64 = 1_000_000_000_000;

/// Everything that determines the price of a cart or order.
#[derive(Clone, Debug)]
pub struct PricingInput<'a> {
    /// The lines.
    pub lines: Vec<PricingLine<'a>>,
    /// Active discounts that are not used up.
    pub discounts: Vec<DiscountCandidate<'a>>,
    /// Whether any line requires shipping.
    pub is_shipped: bool,
    /// The chosen delivery option, if any.
    pub delivery: Option<DeliveryOption>,
    /// The tax rates of the destination.
    pub tax_rates: &'a [ApplicableRate],
    /// Whether prices include taxes.
    pub taxes_included: bool,
    /// The currency of all amounts.
    pub currency: Currency,
}

/// A line to be priced.
#[derive(Clone, Debug)]
pub struct PricingLine<'a> {
    /// Identifies the line.
    pub key: Uuid,
    /// The variant.
    pub variant_id: VariantId,
    /// The variant's product.
    pub product_id: ProductId,
    /// The collections that contain the product.
    pub collections: &'a [CollectionId],
    /// Number of units, above zero.
    pub quantity: i64,
    /// Price of a unit, not negative.
    pub unit_price: i64,
    /// The tax class; `None` if it is not taxed.
    pub tax_class: Option<&'a str>,
    /// Whether discounts may apply to it: gift cards are worth what they cost.
    pub is_discountable: bool,
}

/// A discount that may apply.
#[derive(Clone, Debug)]
pub struct DiscountCandidate<'a> {
    /// The discount's id.
    pub id: DiscountId,
    /// The title shown to buyers.
    pub title: &'a str,
    /// The code that was entered; `None` for an automatic discount.
    pub code: Option<&'a str>,
    /// The value and conditions.
    pub rule: &'a DiscountRule,
}

/// The result of considering a discount.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DiscountOutcome {
    /// It reduces the price.
    Applied,
    /// It will reduce the price once a delivery option is chosen.
    AwaitingDelivery,
    /// It does not apply.
    Refused(DiscountRefusal),
}

/// An amount is too large to be represented.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the basket costs more than an order can")]
pub struct AmountOverflow;

/// Calculates a quote, and the outcome of each discount of the input, in input order.
///
/// # Errors
/// [`AmountOverflow`] if an amount exceeds 64 bits. The limit for orders is lower: see
/// [`MAX_AMOUNT`].
pub fn price(input: &PricingInput<'_>) -> Result<(Quote, Vec<DiscountOutcome>), AmountOverflow> {
    let subtotal = subtotal(input)?;
    let selected = selection::select(input, subtotal);
    let mut quote = Quote { subtotal, taxes_included: input.taxes_included, ..Quote::default() };
    for (at, line) in input.lines.iter().enumerate() {
        let quoted = quote_line(input, &selected, at, line)?;
        quote.discount_total += quoted.discount_total;
        quote.tax_total = sum(quote.tax_total, quoted.tax_total)?;
        quote.lines.push(quoted);
    }
    if let Some(option) = &input.delivery {
        let delivery = quote_delivery(input, &selected, option)?;
        let off: i64 = delivery.discounts.iter().map(|discount| discount.amount).sum();
        quote.shipping_total = delivery.option.price - off;
        quote.tax_total = sum(quote.tax_total, tax_sum(&delivery.taxes)?)?;
        quote.delivery = Some(delivery);
    }
    let untaxed = sum(quote.subtotal - quote.discount_total, quote.shipping_total)?;
    quote.total = if quote.taxes_included { untaxed } else { sum(untaxed, quote.tax_total)? };
    Ok((quote, selected.outcomes))
}

fn subtotal(input: &PricingInput<'_>) -> Result<i64, AmountOverflow> {
    let gross = |line: &PricingLine<'_>| line.unit_price.checked_mul(line.quantity).ok_or(AmountOverflow);
    input.lines.iter().try_fold(0_i64, |so_far, line| sum(so_far, gross(line)?))
}

fn sum(one: i64, other: i64) -> Result<i64, AmountOverflow> {
    one.checked_add(other).ok_or(AmountOverflow)
}

fn tax_sum(lines: &[TaxLine]) -> Result<i64, AmountOverflow> {
    lines.iter().try_fold(0, |so_far, line| sum(so_far, line.amount))
}

fn quote_line(
    input: &PricingInput<'_>,
    selected: &Selection,
    at: usize,
    line: &PricingLine<'_>,
) -> Result<QuotedLine, AmountOverflow> {
    let discounts = selected.line_allocations(input, at);
    let discount_total = discounts.iter().map(|discount| discount.amount).sum();
    let mut quoted = QuotedLine {
        key: line.key,
        variant_id: line.variant_id,
        quantity: line.quantity,
        unit_price: line.unit_price,
        discounts,
        discount_total,
        taxes: Vec::new(),
        tax_total: 0,
    };
    if let Some(class) = line.tax_class {
        quoted.taxes = calculate_taxes(quoted.total(), class, input.tax_rates, input.taxes_included)
            .ok_or(AmountOverflow)?;
        quoted.tax_total = tax_sum(&quoted.taxes)?;
    }
    Ok(quoted)
}

fn quote_delivery(
    input: &PricingInput<'_>,
    selected: &Selection,
    option: &DeliveryOption,
) -> Result<QuotedDelivery, AmountOverflow> {
    let discounts = selected.delivery_allocations(input);
    let off: i64 = discounts.iter().map(|discount| discount.amount).sum();
    let taxes =
        calculate_taxes(option.price - off, SHIPPING_TAX_CLASS, input.tax_rates, input.taxes_included);
    Ok(QuotedDelivery { option: option.clone(), discounts, taxes: taxes.ok_or(AmountOverflow)? })
}

impl DiscountCandidate<'_> {
    fn allocation(&self, amount: i64) -> Option<Allocation> {
        (amount > 0).then(|| Allocation {
            discount_id: Some(self.id),
            title: self.title.to_owned(),
            code: self.code.map(str::to_owned),
            amount,
        })
    }
}
