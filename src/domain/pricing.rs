//! What a basket costs: from its lines, the discounts that may apply, the delivery that was chosen and the tax rates of where it is
//! sent, to a [`Quote`] whose numbers add up to the minor unit.
//!
//! # The rules
//!
//! - All is integers of minor units; whether a currency has none, two or three decimals makes no difference here.
//! - **Discounts** are chosen and reckoned as [`super::discount`] says. A percentage is taken of the sum of the lines it is on, rounded
//!   half-up once, and spread over them by largest remainder; a fixed amount is spread likewise, and is never more than the lines cost. So a
//!   discount is the sum of its allocations, and no line is below zero.
//! - **Taxes** are rounded half-up per line, on what the line costs after discounts, for all rates together, and spread over the rates by
//!   largest remainder ([`super::tax`]). Delivery is a line of its own. Where prices contain the taxes, they are taken out of the price and
//!   nothing is added.
//! - `total = subtotal - discount_total + shipping_total`, and `+ tax_total` where prices don't contain taxes.

mod choice;
#[cfg(test)]
mod tests;

use uuid::Uuid;

use super::discount::{DiscountRule, Refusal};
use super::ids::{CollectionId, DiscountId, ProductId, VariantId};
use super::money::Currency;
use super::quote::{Allocation, DeliveryOption, Quote, QuotedDelivery, QuotedLine, TaxLine};
use super::tax::{Rate, SHIPPING_TAX_CLASS, taxes};
use choice::Chosen;

/// What all lines of an order together, and what delivery, may cost at most, in minor units: far from where 64 bits end.
pub const MAX_AMOUNT: i64 = 1_000_000_000_000_000;
/// What one piece of a variant may cost at most, in minor units. A cart holds at most a million pieces, so that whatever is in
/// one can be added up, even at prices that rose since.
pub const MAX_PRICE: i64 = 1_000_000_000_000;

/// A basket with all that decides on its price.
#[derive(Clone, Debug)]
pub struct Bill<'a> {
    /// What is bought.
    pub lines: Vec<Line<'a>>,
    /// Discounts that are in their period and not used up.
    pub discounts: Vec<Candidate<'a>>,
    /// Whether any of it is sent.
    pub is_sent: bool,
    /// The delivery that was chosen, if any.
    pub delivery: Option<DeliveryOption>,
    /// The rates of where it is sent.
    pub tax_rates: &'a [Rate],
    /// Whether prices contain the taxes.
    pub taxes_included: bool,
    /// What all amounts are in.
    pub currency: Currency,
}

/// A line of a basket.
#[derive(Clone, Debug)]
pub struct Line<'a> {
    /// What the basket calls it.
    pub key: Uuid,
    /// What is bought.
    pub variant_id: VariantId,
    /// The product it is of.
    pub product_id: ProductId,
    /// The collections the product is in.
    pub collections: &'a [CollectionId],
    /// How many pieces, above zero.
    pub quantity: i64,
    /// One piece, not below zero.
    pub unit_price: i64,
    /// Whose rates apply; `None`: no tax is charged.
    pub tax_class: Option<&'a str>,
}

/// A discount that may apply.
#[derive(Clone, Debug)]
pub struct Candidate<'a> {
    /// Which.
    pub id: DiscountId,
    /// What buyers call it.
    pub title: &'a str,
    /// The code it was asked for by; `None`: automatic.
    pub code: Option<&'a str>,
    /// What it gives.
    pub rule: &'a DiscountRule,
}

/// What became of a discount.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fate {
    /// It takes something off.
    Applied,
    /// It will, once a delivery is chosen.
    Waiting,
    /// It takes nothing off.
    Refused(Refusal),
}

/// The basket costs more than can be added up.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the basket costs more than an order can")]
pub struct TooLarge;

/// The price of a basket, and what became of each of the bill's discounts, in their order.
///
/// # Errors
/// [`TooLarge`] where amounts would be beyond 64 bits. What an order may cost is less: see [`MAX_AMOUNT`].
pub fn price(bill: &Bill<'_>) -> Result<(Quote, Vec<Fate>), TooLarge> {
    let subtotal = subtotal(bill)?;
    let chosen = choice::choose(bill, subtotal);
    let mut quote = Quote { subtotal, taxes_included: bill.taxes_included, ..Quote::default() };
    for (at, line) in bill.lines.iter().enumerate() {
        let quoted = quoted_line(bill, &chosen, at, line)?;
        quote.discount_total += quoted.discount_total;
        quote.tax_total = sum(quote.tax_total, quoted.tax_total)?;
        quote.lines.push(quoted);
    }
    if let Some(option) = &bill.delivery {
        let delivery = quoted_delivery(bill, &chosen, option)?;
        let off: i64 = delivery.discounts.iter().map(|discount| discount.amount).sum();
        quote.shipping_total = delivery.option.price - off;
        quote.tax_total = sum(quote.tax_total, tax_sum(&delivery.taxes)?)?;
        quote.delivery = Some(delivery);
    }
    let untaxed = sum(quote.subtotal - quote.discount_total, quote.shipping_total)?;
    quote.total = if quote.taxes_included { untaxed } else { sum(untaxed, quote.tax_total)? };
    Ok((quote, chosen.fates))
}

fn subtotal(bill: &Bill<'_>) -> Result<i64, TooLarge> {
    let gross = |line: &Line<'_>| line.unit_price.checked_mul(line.quantity).ok_or(TooLarge);
    bill.lines.iter().try_fold(0_i64, |so_far, line| sum(so_far, gross(line)?))
}

fn sum(one: i64, other: i64) -> Result<i64, TooLarge> {
    one.checked_add(other).ok_or(TooLarge)
}

fn tax_sum(lines: &[TaxLine]) -> Result<i64, TooLarge> {
    lines.iter().try_fold(0, |so_far, line| sum(so_far, line.amount))
}

fn quoted_line(bill: &Bill<'_>, chosen: &Chosen, at: usize, line: &Line<'_>) -> Result<QuotedLine, TooLarge> {
    let discounts = chosen.of_line(bill, at);
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
        quoted.taxes = taxes(quoted.total(), class, bill.tax_rates, bill.taxes_included).ok_or(TooLarge)?;
        quoted.tax_total = tax_sum(&quoted.taxes)?;
    }
    Ok(quoted)
}

fn quoted_delivery(
    bill: &Bill<'_>,
    chosen: &Chosen,
    option: &DeliveryOption,
) -> Result<QuotedDelivery, TooLarge> {
    let discounts = chosen.of_delivery(bill);
    let off: i64 = discounts.iter().map(|discount| discount.amount).sum();
    let taxes = taxes(option.price - off, SHIPPING_TAX_CLASS, bill.tax_rates, bill.taxes_included);
    Ok(QuotedDelivery { option: option.clone(), discounts, taxes: taxes.ok_or(TooLarge)? })
}

impl Candidate<'_> {
    fn allocation(&self, amount: i64) -> Option<Allocation> {
        (amount > 0).then(|| Allocation {
            discount_id: Some(self.id),
            title: self.title.to_owned(),
            code: self.code.map(str::to_owned),
            amount,
        })
    }
}
