//! Draft orders, created by staff on behalf of a buyer, and their manual discounts.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::domain::catalog::text_enum;
use crate::domain::checkout::carts::Attribute;
use crate::domain::checkout::quotes::{Allocation, Quote, QuotedLine, TaxLine};
use crate::domain::customers::addresses::Address;
use crate::domain::ids::{CustomerId, VariantId};

text_enum! {
    /// The unit of a manual discount's value.
    DraftDiscountType {
        /// Minor units.
        FixedAmount = "FIXED_AMOUNT",
        /// Millionths: 10 % is 100000.
        Percentage = "PERCENTAGE",
    }
}

/// The contents of a draft order.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Draft {
    /// The items.
    pub lines: Vec<DraftLine>,
    /// The customer, if they have an account.
    pub customer_id: Option<CustomerId>,
    /// E-mail address in lower case.
    pub email: Option<String>,
    /// Phone number.
    pub phone: Option<String>,
    /// Shipping address.
    pub shipping_address: Option<Address>,
    /// Billing address.
    pub billing_address: Option<Address>,
    /// Handle of the chosen delivery option.
    pub delivery_option: Option<String>,
    /// A discount on the whole draft.
    pub discount: Option<DraftDiscount>,
    /// A note for the buyer.
    pub note: String,
    /// Custom attributes.
    pub attributes: Vec<Attribute>,
    /// The price as of the last change, including manual discounts.
    pub quote: Option<Quote>,
}

/// A line of a draft.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DraftLine {
    /// Identifies the line within the draft.
    pub key: Uuid,
    /// The variant.
    pub variant_id: VariantId,
    /// Number of units.
    pub quantity: i64,
    /// A discount on this line.
    pub discount: Option<DraftDiscount>,
    /// Custom attributes.
    pub attributes: Vec<Attribute>,
}

/// A discount given manually by staff.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DraftDiscount {
    /// Title shown to the buyer.
    pub title: String,
    /// The unit of `value`.
    pub kind: DraftDiscountType,
    /// Minor units, or millionths.
    pub value: i64,
}

impl DraftDiscount {
    /// The reduction of an amount; never more than the amount itself.
    #[must_use]
    pub fn reduction(&self, amount: i64) -> i64 {
        let reduction = match self.kind {
            DraftDiscountType::FixedAmount => self.value,
            DraftDiscountType::Percentage => proportion(amount, self.value, 1_000_000),
        };
        reduction.clamp(0, amount.max(0))
    }
}

impl Draft {
    /// Applies the draft's manual discounts to a quote and keeps its totals consistent. Line
    /// discounts are applied first; the discount on the whole draft is spread over the lines in
    /// proportion to what they cost then. Taxes are reduced in proportion.
    pub fn apply_discounts(&self, quote: &mut Quote) {
        let before: Vec<i64> = quote.lines.iter().map(QuotedLine::total).collect();
        for line in &mut quote.lines {
            let own = self.lines.iter().find(|known| known.key == line.key);
            if let Some(discount) = own.and_then(|line| line.discount.as_ref()) {
                let reduction = discount.reduction(line.total());
                add_allocation(line, discount, reduction);
            }
        }
        if let Some(discount) = &self.discount {
            let total: i64 = quote.lines.iter().map(QuotedLine::total).sum();
            let reduction = discount.reduction(total);
            let (mut passed, mut allocated) = (0_i64, 0_i64);
            for line in &mut quote.lines {
                passed = passed.saturating_add(line.total());
                let cumulative = if total == 0 { 0 } else { floor_share(reduction, passed, total) };
                let part = cumulative.saturating_sub(allocated);
                allocated = cumulative;
                add_allocation(line, discount, part);
            }
        }
        for (line, before) in quote.lines.iter_mut().zip(before) {
            let after = line.total();
            for tax in &mut line.taxes {
                scale_tax(tax, before, after);
            }
            line.taxes.retain(|tax| tax.amount != 0 || before == after);
            line.tax_total = line.taxes.iter().map(|tax| tax.amount).sum();
        }
        quote.discount_total = quote.lines.iter().map(|line| line.discount_total).sum();
        let of_delivery = quote.delivery.iter().flat_map(|delivery| &delivery.taxes);
        let of_lines = quote.lines.iter().map(|line| line.tax_total);
        quote.tax_total = of_lines.chain(of_delivery.map(|tax| tax.amount)).sum();
        let net = quote.subtotal.saturating_sub(quote.discount_total).saturating_add(quote.shipping_total);
        quote.total = if quote.taxes_included { net } else { net.saturating_add(quote.tax_total) };
    }
}

fn add_allocation(line: &mut QuotedLine, discount: &DraftDiscount, amount: i64) {
    if amount > 0 {
        let title = discount.title.clone();
        line.discounts.push(Allocation { discount_id: None, title, code: None, amount });
        line.discount_total = line.discount_total.saturating_add(amount);
    }
}

/// Scales a tax after the taxed amount changed from `before` to `after`.
fn scale_tax(tax: &mut TaxLine, before: i64, after: i64) {
    tax.amount = if before == 0 { 0 } else { proportion(tax.amount, after, before) };
}

/// `amount × part ÷ whole`, halves rounded away from zero; arguments must not be negative.
fn proportion(amount: i64, part: i64, whole: i64) -> i64 {
    let (amount, part, whole) = (i128::from(amount), i128::from(part), i128::from(whole.max(1)));
    i64::try_from((amount * part * 2 + whole) / (whole * 2)).unwrap_or(i64::MAX)
}

fn floor_share(amount: i64, part: i64, whole: i64) -> i64 {
    i64::try_from(i128::from(amount) * i128::from(part) / i128::from(whole.max(1))).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::checkout::quotes::QuotedLine;
    use crate::domain::ids::Id;

    fn line(key: u128, unit_price: i64, quantity: i64, tax: i64) -> QuotedLine {
        let taxes = vec![TaxLine { title: "VAT".to_owned(), rate_micros: 200_000, amount: tax }];
        QuotedLine {
            key: Uuid::from_u128(key),
            variant_id: VariantId::from_uuid(Uuid::nil()),
            quantity,
            unit_price,
            discounts: Vec::new(),
            discount_total: 0,
            taxes,
            tax_total: tax,
        }
    }

    fn quote(taxes_included: bool) -> Quote {
        let lines = vec![line(1, 1_000, 3, 500), line(2, 333, 1, 56), line(3, 0, 2, 0)];
        let (subtotal, tax_total) = (3_333, 556);
        let total = if taxes_included { subtotal } else { subtotal + tax_total };
        Quote { lines, taxes_included, subtotal, tax_total, total, ..Quote::default() }
    }

    fn discount(kind: DraftDiscountType, value: i64) -> Option<DraftDiscount> {
        Some(DraftDiscount { title: "Friend".to_owned(), kind, value })
    }

    fn draft(line_discount: Option<DraftDiscount>, order_discount: Option<DraftDiscount>) -> Draft {
        let variant_id = VariantId::from_uuid(Uuid::nil());
        let line = |key, discount| DraftLine {
            key: Uuid::from_u128(key),
            variant_id,
            quantity: 1,
            discount,
            attributes: Vec::new(),
        };
        Draft {
            lines: vec![line(1, line_discount), line(2, None)],
            discount: order_discount,
            ..Draft::default()
        }
    }

    fn check_sums(quote: &Quote) {
        for line in &quote.lines {
            assert_eq!(line.discount_total, line.discounts.iter().map(|one| one.amount).sum::<i64>());
            assert_eq!(line.tax_total, line.taxes.iter().map(|one| one.amount).sum::<i64>());
            assert!(
                line.total() >= 0 && line.tax_total >= 0 && line.discounts.iter().all(|one| one.amount > 0)
            );
        }
        assert_eq!(quote.discount_total, quote.lines.iter().map(|line| line.discount_total).sum::<i64>());
        assert_eq!(quote.tax_total, quote.lines.iter().map(|line| line.tax_total).sum::<i64>());
        let net = quote.subtotal - quote.discount_total + quote.shipping_total;
        assert_eq!(quote.total, if quote.taxes_included { net } else { net + quote.tax_total });
    }

    #[test]
    fn line_and_order_discounts_add_up() {
        let mut priced = quote(true);
        let tenth = discount(DraftDiscountType::Percentage, 100_000);
        draft(tenth, discount(DraftDiscountType::FixedAmount, 1_000)).apply_discounts(&mut priced);
        assert_eq!(priced.discount_total, 300 + 1_000);
        assert_eq!(priced.total, 2_033);
        check_sums(&priced);
    }

    #[test]
    fn discounts_never_exceed_the_price_and_always_add_up() {
        for taxes_included in [true, false] {
            for value in [0, 1, 7, 333, 3_333, 999_999, 1_000_000] {
                for kind in DraftDiscountType::ALL {
                    for (first, all) in [
                        (discount(*kind, value), None),
                        (None, discount(*kind, value)),
                        (discount(*kind, value), discount(*kind, value)),
                    ] {
                        let mut priced = quote(taxes_included);
                        draft(first, all).apply_discounts(&mut priced);
                        check_sums(&priced);
                    }
                }
            }
        }
        let mut free = quote(false);
        draft(None, discount(DraftDiscountType::Percentage, 1_000_000)).apply_discounts(&mut free);
        assert_eq!((free.total, free.tax_total), (0, 0));
    }
}
