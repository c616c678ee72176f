//! The amounts of an order, and whether the parts stated in a file make up the total.
//!
//! A file leaves two questions open that its amounts answer: whether prices included taxes, and
//! what the discount applied to. Of all interpretations under which the amounts add up, the
//! simplest is used; if there is none, the order is rejected.

/// The amounts of an order, in minor units. `total = lines - line_discounts - discount + shipping`,
/// and `+ tax` if prices don't include taxes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Sum of the lines, before discounts.
    pub lines: i64,
    /// Sum of discounts on single lines.
    pub line_discounts: i64,
    /// Discount on all lines together.
    pub discount: i64,
    /// Shipping, after its discount.
    pub shipping: i64,
    /// Discount on shipping.
    pub shipping_discount: i64,
    /// Sum of the taxes.
    pub tax: i64,
    /// Whether prices included taxes; `None` when there were none.
    pub taxes_included: Option<bool>,
    /// The total.
    pub total: i64,
}

/// The amounts stated in an order's rows.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct StatedAmounts {
    /// Sum of prices times quantities.
    pub lines: i64,
    /// Sum of the lines' own discounts.
    pub line_discounts: i64,
    /// Discount of the order.
    pub discount: i64,
    /// Sum of the lines after discounts, if the file has it.
    pub subtotal: Option<i64>,
    /// Shipping.
    pub shipping: i64,
    /// Sum of the taxes.
    pub tax: i64,
    /// The total.
    pub total: i64,
}

impl StatedAmounts {
    /// Interprets the amounts; `None` when they don't add up.
    pub(super) fn reconcile(&self) -> Option<Totals> {
        let mut candidates = self.candidates().into_iter().flatten();
        candidates.find_map(|candidate| self.resolve_taxes(candidate))
    }

    /// Interpretations of the discount, the most likely first.
    fn candidates(&self) -> [Option<Totals>; 4] {
        let plain = Totals {
            lines: self.lines,
            line_discounts: self.line_discounts,
            discount: self.discount,
            shipping: self.shipping,
            tax: self.tax,
            total: self.total,
            ..Totals::default()
        };
        // The order's discount includes those of single lines.
        let summed = self.discount.checked_sub(self.line_discounts).filter(|rest| *rest >= 0);
        let summed = summed.map(|discount| Totals { discount, ..plain });
        // Free shipping: the lines are not discounted, as the subtotal shows.
        let free_shipping = Totals { discount: 0, shipping_discount: self.discount, ..plain };
        let free_shipping = self.subtotal.map(|_| free_shipping);
        let before_discount = free_shipping.and_then(|candidate| {
            let shipping = self.shipping.checked_sub(self.discount).filter(|rest| *rest >= 0)?;
            Some(Totals { shipping, ..candidate })
        });
        [Some(plain), summed, before_discount, free_shipping]
    }

    /// Determines from the total whether prices include taxes; `None` if subtotal and total don't
    /// match the candidate.
    fn resolve_taxes(&self, candidate: Totals) -> Option<Totals> {
        let discounts = candidate.line_discounts.checked_add(candidate.discount)?;
        let net = candidate.lines.checked_sub(discounts).filter(|net| *net >= 0)?;
        if self.subtotal.is_some_and(|subtotal| subtotal != net) {
            return None;
        }
        let net_with_shipping = net.checked_add(candidate.shipping)?;
        let taxes_included = match candidate.tax {
            0 if net_with_shipping == self.total => None,
            0 => return None,
            _ if net_with_shipping == self.total => Some(true),
            tax if net_with_shipping.checked_add(tax)? == self.total => Some(false),
            _ => return None,
        };
        Some(Totals { taxes_included, ..candidate })
    }
}
