//! Discounts: what they reduce, under which conditions, and how they combine.
//!
//! - A discount has a **class**: *order* (a percentage or an amount off everything), *product* (the
//!   same off some products, and buy X get Y) or *shipping* (free delivery).
//! - Two discounts **combine** if each lists the other's class in its `combines_with`; this applies
//!   to two discounts of the same class, too.
//! - Among discounts that can't be combined, the set with the largest reduction of lines and
//!   delivery is chosen; ties go to the set with more codes entered by the buyer
//!   ([`super::pricing`]).
//! - Within a set, product discounts are applied first, then order discounts, then shipping
//!   discounts, each class in order of creation; each applies to what the previous ones left.
//! - `minimum_subtotal` is compared with the whole cart before discounts.
//!
//! A rule is stored as JSON; what can change while a discount is in use (period, limits, usage) is
//! stored in columns.

use serde::{Deserialize, Serialize};

use crate::domain::ids::{CollectionId, ProductId};
use crate::domain::money::Money;
use crate::domain::time::Timestamp;

/// A discount's value and conditions.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DiscountRule {
    /// The reduction.
    pub value: DiscountValue,
    /// Minimum subtotal before discounts, in minor units; `None` for no minimum.
    pub minimum_subtotal: Option<i64>,
    /// The discount classes it combines with.
    #[serde(default)]
    pub combines_with: CombinesWith,
}

/// The reduction that a discount gives.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum DiscountValue {
    /// A percentage of the price.
    Percentage {
        /// The rate in millionths, at most 1,000,000.
        rate_micros: i64,
        /// The discounted items; `None` for the whole order.
        items: Option<ItemSelection>,
    },
    /// A fixed amount.
    FixedAmount {
        /// The amount in minor units.
        amount: i64,
        /// Whether the amount is taken off each unit; otherwise it is taken off once and spread
        /// over the lines.
        each: bool,
        /// The discounted items; `None` for the whole order.
        items: Option<ItemSelection>,
    },
    /// For every `buy_quantity` units bought, `get_quantity` other units are discounted; only
    /// complete sets count. A unit is either bought or discounted; the cheapest ones are
    /// discounted.
    BuyXGetY {
        /// The items to buy; `None` for any.
        buy: Option<ItemSelection>,
        /// Units to buy per set.
        buy_quantity: i64,
        /// The discounted items; `None` for any.
        get: Option<ItemSelection>,
        /// Discounted units per set.
        get_quantity: i64,
        /// The discount rate in millionths; 1,000,000 makes the units free.
        rate_micros: i64,
        /// Maximum number of sets per order; `None` for no limit.
        uses_per_order: Option<i64>,
    },
    /// Free delivery.
    FreeShipping,
}

/// A selection of products, individually and by collection.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ItemSelection {
    /// Individual products.
    pub products: Vec<ProductId>,
    /// Collections whose products are included.
    pub collections: Vec<CollectionId>,
}

/// The classes that a discount combines with.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CombinesWith {
    /// Order discounts.
    pub order_discounts: bool,
    /// Product discounts.
    pub product_discounts: bool,
    /// Shipping discounts.
    pub shipping_discounts: bool,
}

/// What a discount reduces. Sorted in the order of application.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum DiscountClass {
    /// Some products.
    Product,
    /// The whole order.
    Order,
    /// Delivery.
    Shipping,
}

/// When and how often a discount may be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DiscountTerms {
    /// Whether staff have activated it.
    pub is_active: bool,
    /// Start of the period.
    pub starts_at: Timestamp,
    /// End of the period, exclusive.
    pub ends_at: Option<Timestamp>,
    /// Maximum number of orders that may use it.
    pub usage_limit: Option<i64>,
    /// Maximum number of orders per customer that may use it.
    pub customer_limit: Option<i64>,
    /// Number of orders that have used it.
    pub used_count: i64,
}

/// Why a discount does not apply. The text is shown to the buyer.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DiscountRefusal {
    /// The code does not exist.
    #[error("There is no discount with this code")]
    Unknown,
    /// It is deactivated.
    #[error("This discount is not active")]
    NotActive,
    /// Its period has not started.
    #[error("This discount has not begun yet")]
    NotStarted,
    /// Its period is over.
    #[error("This discount has expired")]
    Expired,
    /// The usage limit is reached.
    #[error("This discount has been used up")]
    UsedUp,
    /// The customer's usage limit is reached.
    #[error("You have used this discount as often as it can be")]
    UsedUpByCustomer,
    /// The subtotal is below the minimum.
    #[error("This discount is for orders of {} {} or more", .0.to_decimal(), .0.currency().code())]
    MinimumNotReached(Money),
    /// No item is eligible.
    #[error("Nothing in the cart is entitled to this discount")]
    NotEntitled,
    /// It can't be combined with discounts that give more.
    #[error("This discount can't be combined with the others, and they take more off")]
    DoesNotCombine,
}

impl DiscountRule {
    /// The discount's class.
    #[must_use]
    pub fn class(&self) -> DiscountClass {
        match &self.value {
            DiscountValue::FreeShipping => DiscountClass::Shipping,
            DiscountValue::BuyXGetY { .. }
            | DiscountValue::Percentage { items: Some(_), .. }
            | DiscountValue::FixedAmount { items: Some(_), .. } => DiscountClass::Product,
            DiscountValue::Percentage { items: None, .. }
            | DiscountValue::FixedAmount { items: None, .. } => DiscountClass::Order,
        }
    }

    /// Whether the two discounts may be used together.
    #[must_use]
    pub fn combines(&self, other: &Self) -> bool {
        self.combines_with.contains(other.class()) && other.combines_with.contains(self.class())
    }

    /// The item selections of the rule.
    pub fn items(&self) -> impl Iterator<Item = &ItemSelection> {
        let (one, two) = match &self.value {
            DiscountValue::Percentage { items, .. } | DiscountValue::FixedAmount { items, .. } => {
                (items.as_ref(), None)
            }
            DiscountValue::BuyXGetY { buy, get, .. } => (buy.as_ref(), get.as_ref()),
            DiscountValue::FreeShipping => (None, None),
        };
        one.into_iter().chain(two)
    }

    /// Whether evaluating the rule requires the products' collections.
    #[must_use]
    pub fn uses_collections(&self) -> bool {
        self.items().any(|items| !items.collections.is_empty())
    }
}

impl ItemSelection {
    /// Whether a product with these collections is selected.
    #[must_use]
    pub fn contains(&self, product: ProductId, collections: &[CollectionId]) -> bool {
        self.products.contains(&product) || collections.iter().any(|id| self.collections.contains(id))
    }
}

impl CombinesWith {
    fn contains(self, class: DiscountClass) -> bool {
        match class {
            DiscountClass::Order => self.order_discounts,
            DiscountClass::Product => self.product_discounts,
            DiscountClass::Shipping => self.shipping_discounts,
        }
    }
}

impl DiscountTerms {
    /// Checks whether another order may use the discount now, given the number of the customer's
    /// orders that already use it.
    ///
    /// # Errors
    /// [`DiscountRefusal`] says why not.
    pub fn check(&self, now: Timestamp, used_by_customer: i64) -> Result<(), DiscountRefusal> {
        if !self.is_active {
            return Err(DiscountRefusal::NotActive);
        }
        if now < self.starts_at {
            return Err(DiscountRefusal::NotStarted);
        }
        if self.ends_at.is_some_and(|end| now >= end) {
            return Err(DiscountRefusal::Expired);
        }
        if self.usage_limit.is_some_and(|limit| self.used_count >= limit) {
            return Err(DiscountRefusal::UsedUp);
        }
        if self.customer_limit.is_some_and(|limit| used_by_customer >= limit) {
            return Err(DiscountRefusal::UsedUpByCustomer);
        }
        Ok(())
    }
}

/// The normalized form by which a code is looked up.
#[must_use]
pub fn code_key(code: &str) -> String {
    code.trim().to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(value: DiscountValue, combines_with: CombinesWith) -> DiscountRule {
        DiscountRule { value, minimum_subtotal: None, combines_with }
    }

    #[test]
    fn discounts_combine_only_if_both_allow_it() {
        let shipping = CombinesWith { shipping_discounts: true, ..CombinesWith::default() };
        let order = CombinesWith { order_discounts: true, ..CombinesWith::default() };
        let percentage = || DiscountValue::Percentage { rate_micros: 100_000, items: None };
        let ten = rule(percentage(), shipping);
        assert!(ten.combines(&rule(DiscountValue::FreeShipping, order)));
        assert!(!ten.combines(&rule(DiscountValue::FreeShipping, CombinesWith::default())));
        assert!(!ten.combines(&rule(percentage(), order)), "the first allows no other order discount");
        assert!(rule(percentage(), order).combines(&rule(percentage(), order)));
    }

    #[test]
    fn unmet_terms_give_the_reason() {
        let at = |seconds: i64| Timestamp::from_micros(seconds * 1_000_000).unwrap();
        let terms = DiscountTerms {
            is_active: true,
            starts_at: at(10),
            ends_at: Some(at(20)),
            usage_limit: Some(5),
            customer_limit: Some(1),
            used_count: 4,
        };
        assert_eq!(terms.check(at(10), 0), Ok(()));
        assert_eq!(terms.check(at(9), 0), Err(DiscountRefusal::NotStarted));
        assert_eq!(terms.check(at(20), 0), Err(DiscountRefusal::Expired));
        assert_eq!(terms.check(at(15), 1), Err(DiscountRefusal::UsedUpByCustomer));
        assert_eq!(DiscountTerms { used_count: 5, ..terms }.check(at(15), 0), Err(DiscountRefusal::UsedUp));
        assert_eq!(
            DiscountTerms { is_active: false, ..terms }.check(at(15), 0),
            Err(DiscountRefusal::NotActive)
        );
        assert_eq!(code_key(" SümMer-10 "), "sümmer-10");
    }
}
