//! Discounts: what they give, on what, from which subtotal on, and which of them go together.
//!
//! - A discount has a **class**: *order* (a percentage or an amount off everything), *product* (the same off some products, and
//!   buy X get Y) or *shipping* (free delivery).
//! - Two discounts **combine** when each names the other's class in its `combines_with`; that holds for two of one class, too.
//! - Of what can't be combined, the set is taken that takes most off lines and delivery together; between equals the one with
//!   more codes that the buyer typed ([`super::pricing`]).
//! - Within a set product discounts come first, then order discounts, then those of shipping, each class in the order the
//!   discounts were made; each is reckoned on what those before it left.
//! - `minimum_subtotal` looks at the whole basket before discounts.
//!
//! A rule is kept as JSON; what can change while a discount is in use (period, limits, uses) are columns.

use serde::{Deserialize, Serialize};

use super::ids::{CollectionId, ProductId};
use super::money::Money;
use super::time::Timestamp;

/// What a discount gives and when.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DiscountRule {
    /// What it gives.
    pub value: DiscountValue,
    /// What the basket must cost before discounts, minor units; `None`: anything.
    pub minimum_subtotal: Option<i64>,
    /// What it may stand beside.
    #[serde(default)]
    pub combines_with: CombinesWith,
}

/// What a discount gives.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum DiscountValue {
    /// A part of the price.
    Percentage {
        /// Millionths of the price, up to all of it.
        rate_micros: i64,
        /// Off what; `None`: the whole order.
        items: Option<Items>,
    },
    /// An amount.
    FixedAmount {
        /// Minor units.
        amount: i64,
        /// Off each piece; otherwise once, spread over the lines.
        each: bool,
        /// Off what; `None`: the whole order.
        items: Option<Items>,
    },
    /// For so many pieces that are bought, so many others are cheaper: whole sets of both alone. A piece is either bought or given;
    /// the cheapest are given.
    BuyXGetY {
        /// What must be bought; `None`: anything.
        buy: Option<Items>,
        /// How many pieces a set has of it.
        buy_quantity: i64,
        /// What is cheaper; `None`: anything.
        get: Option<Items>,
        /// How many pieces a set has of it.
        get_quantity: i64,
        /// Millionths off the price of those; all of it makes them free.
        rate_micros: i64,
        /// How many sets an order may have; `None`: any number.
        uses_per_order: Option<i64>,
    },
    /// Delivery costs nothing.
    FreeShipping,
}

/// Products by themselves and by the collections they are in.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Items {
    /// These products.
    pub products: Vec<ProductId>,
    /// And all that is in one of these collections.
    pub collections: Vec<CollectionId>,
}

/// Which classes of discounts a discount may stand beside.
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

/// What kind of thing a discount takes off. In the order discounts are applied.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum DiscountClass {
    /// Of some products.
    Product,
    /// Of the whole order.
    Order,
    /// Of delivery.
    Shipping,
}

/// When a discount can be used, and how often it was.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Terms {
    /// Whether staff have it switched on.
    pub is_active: bool,
    /// From when on.
    pub starts_at: Timestamp,
    /// Until when, that moment not included.
    pub ends_at: Option<Timestamp>,
    /// How many orders may use it.
    pub usage_limit: Option<i64>,
    /// How many orders of one customer may use it.
    pub customer_limit: Option<i64>,
    /// How many orders use it.
    pub used_count: i64,
}

/// Why a discount takes nothing off. The text is for the buyer.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refusal {
    /// There is no such code.
    #[error("There is no discount with this code")]
    Unknown,
    /// It is switched off.
    #[error("This discount is not active")]
    NotActive,
    /// Its time has not come.
    #[error("This discount has not begun yet")]
    NotYet,
    /// Its time is over.
    #[error("This discount has expired")]
    Expired,
    /// As many orders use it as may.
    #[error("This discount has been used up")]
    UsedUp,
    /// As many orders of this customer use it as may.
    #[error("You have used this discount as often as it can be")]
    UsedUpByCustomer,
    /// The basket is too small.
    #[error("This discount is for orders of {} {} or more", .0.to_decimal(), .0.currency().code())]
    MinimumNotReached(Money),
    /// There is nothing in the basket that it takes anything off.
    #[error("Nothing in the cart is entitled to this discount")]
    NothingToTakeOff,
    /// It stands beside none of those that take more off.
    #[error("This discount can't be combined with the others, and they take more off")]
    DoesNotCombine,
}

impl DiscountRule {
    /// Its class.
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

    /// Whether the two may take something off one basket.
    #[must_use]
    pub fn combines(&self, other: &Self) -> bool {
        self.combines_with.has(other.class()) && other.combines_with.has(self.class())
    }

    /// What it looks at by product and collection.
    pub fn items(&self) -> impl Iterator<Item = &Items> {
        let (one, two) = match &self.value {
            DiscountValue::Percentage { items, .. } | DiscountValue::FixedAmount { items, .. } => {
                (items.as_ref(), None)
            }
            DiscountValue::BuyXGetY { buy, get, .. } => (buy.as_ref(), get.as_ref()),
            DiscountValue::FreeShipping => (None, None),
        };
        one.into_iter().chain(two)
    }

    /// Whether it must be known which collections products are in.
    #[must_use]
    pub fn looks_at_collections(&self) -> bool {
        self.items().any(|items| !items.collections.is_empty())
    }
}

impl Items {
    /// Whether a product is meant that is in these collections.
    #[must_use]
    pub fn has(&self, product: ProductId, collections: &[CollectionId]) -> bool {
        self.products.contains(&product) || collections.iter().any(|id| self.collections.contains(id))
    }
}

impl CombinesWith {
    fn has(self, class: DiscountClass) -> bool {
        match class {
            DiscountClass::Order => self.order_discounts,
            DiscountClass::Product => self.product_discounts,
            DiscountClass::Shipping => self.shipping_discounts,
        }
    }
}

impl Terms {
    /// Whether an order may use it now, of a customer whose orders use it so often already.
    ///
    /// # Errors
    /// [`Refusal`] says why not.
    pub fn check(&self, now: Timestamp, used_by_customer: i64) -> Result<(), Refusal> {
        if !self.is_active {
            return Err(Refusal::NotActive);
        }
        if now < self.starts_at {
            return Err(Refusal::NotYet);
        }
        if self.ends_at.is_some_and(|end| now >= end) {
            return Err(Refusal::Expired);
        }
        if self.usage_limit.is_some_and(|limit| self.used_count >= limit) {
            return Err(Refusal::UsedUp);
        }
        if self.customer_limit.is_some_and(|limit| used_by_customer >= limit) {
            return Err(Refusal::UsedUpByCustomer);
        }
        Ok(())
    }
}

/// How a code is looked up, however it was typed.
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
    fn both_must_agree_to_be_combined() {
        let shipping = CombinesWith { shipping_discounts: true, ..CombinesWith::default() };
        let order = CombinesWith { order_discounts: true, ..CombinesWith::default() };
        let percentage = || DiscountValue::Percentage { rate_micros: 100_000, items: None };
        let ten = rule(percentage(), shipping);
        assert!(ten.combines(&rule(DiscountValue::FreeShipping, order)));
        assert!(!ten.combines(&rule(DiscountValue::FreeShipping, CombinesWith::default())));
        assert!(!ten.combines(&rule(percentage(), order)), "the first does not want another order discount");
        assert!(rule(percentage(), order).combines(&rule(percentage(), order)));
    }

    #[test]
    fn terms_say_why_not() {
        let at = |seconds: i64| Timestamp::from_micros(seconds * 1_000_000).unwrap();
        let terms = Terms {
            is_active: true,
            starts_at: at(10),
            ends_at: Some(at(20)),
            usage_limit: Some(5),
            customer_limit: Some(1),
            used_count: 4,
        };
        assert_eq!(terms.check(at(10), 0), Ok(()));
        assert_eq!(terms.check(at(9), 0), Err(Refusal::NotYet));
        assert_eq!(terms.check(at(20), 0), Err(Refusal::Expired));
        assert_eq!(terms.check(at(15), 1), Err(Refusal::UsedUpByCustomer));
        assert_eq!(Terms { used_count: 5, ..terms }.check(at(15), 0), Err(Refusal::UsedUp));
        assert_eq!(Terms { is_active: false, ..terms }.check(at(15), 0), Err(Refusal::NotActive));
        assert_eq!(code_key(" SümMer-10 "), "sümmer-10");
    }
}
