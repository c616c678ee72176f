//! What an order came to, and whether the parts that a file names make up the whole.
//!
//! A file leaves two things open, and the amounts answer them: whether prices contained the taxes, and what the discount was
//! taken off. Of all readings under which everything adds up the plainest is taken; where there is none, the order is refused.

/// What an order came to, in minor units.
/// `total = lines - line_discounts - discount + shipping`, and `+ tax` where prices don't contain taxes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// The lines before discounts.
    pub lines: i64,
    /// What was taken off single lines.
    pub line_discounts: i64,
    /// What was taken off all lines together.
    pub discount: i64,
    /// What delivery cost after its discount.
    pub shipping: i64,
    /// What was taken off delivery.
    pub shipping_discount: i64,
    /// All taxes.
    pub tax: i64,
    /// Whether prices contained the taxes; `None` when there were none.
    pub taxes_included: Option<bool>,
    /// What was to be paid.
    pub total: i64,
}

/// The amounts an order's rows name.
#[derive(Clone, Copy, Debug, Default)]
pub struct Named {
    /// The sum of prices times quantities.
    pub lines: i64,
    /// The sum of the lines' own discounts.
    pub line_discounts: i64,
    /// The order's discount.
    pub discount: i64,
    /// The lines after discounts, where the file has it.
    pub subtotal: Option<i64>,
    /// What delivery cost.
    pub shipping: i64,
    /// All taxes.
    pub tax: i64,
    /// What was to be paid.
    pub total: i64,
}

impl Named {
    /// What the amounts mean; `None` when they don't add up.
    pub fn add_up(&self) -> Option<Totals> {
        let mut readings = self.readings().into_iter().flatten();
        readings.find_map(|reading| self.with_taxes(reading))
    }

    /// What the discount may have been taken off, the likeliest first.
    fn readings(&self) -> [Option<Totals>; 4] {
        let plain = Totals {
            lines: self.lines,
            line_discounts: self.line_discounts,
            discount: self.discount,
            shipping: self.shipping,
            tax: self.tax,
            total: self.total,
            ..Totals::default()
        };
        // The order's discount is the sum of all, those of single lines too.
        let summed = self.discount.checked_sub(self.line_discounts).filter(|rest| *rest >= 0);
        let summed = summed.map(|discount| Totals { discount, ..plain });
        // Free delivery: the lines are left alone, as the subtotal shows.
        let of_shipping = Totals { discount: 0, shipping_discount: self.discount, ..plain };
        let of_shipping = self.subtotal.map(|_| of_shipping);
        let before = of_shipping.and_then(|reading| {
            let shipping = self.shipping.checked_sub(self.discount).filter(|rest| *rest >= 0)?;
            Some(Totals { shipping, ..reading })
        });
        [Some(plain), summed, before, of_shipping]
    }

    /// A reading with what the total says of taxes, if subtotal and total are what they must be.
    fn with_taxes(&self, reading: Totals) -> Option<Totals> {
        let discounts = reading.line_discounts.checked_add(reading.discount)?;
        let net = reading.lines.checked_sub(discounts).filter(|net| *net >= 0)?;
        if self.subtotal.is_some_and(|subtotal| subtotal != net) {
            return None;
        }
        let contained = net.checked_add(reading.shipping)?;
        let taxes_included = match reading.tax {
            0 if contained == self.total => None,
            0 => return None,
            _ if contained == self.total => Some(true),
            tax if contained.checked_add(tax)? == self.total => Some(false),
            _ => return None,
        };
        Some(Totals { taxes_included, ..reading })
    }
}
