//! Types of the dialect that this shop has nothing of: storefronts ask for them in fragments, and find none.

#![expect(unreachable_code, reason = "there is no value of these types, whatever the macros add behind it")]

use async_graphql::{ID, Object};

use super::cost::CartDiscountAllocation;
use super::line::{CartLine, CartLineCost, Merchandise};
use crate::graphql::attribute::Attribute;
use crate::graphql::shop::MoneyV2;

/// A gift card that pays for a part of a cart. The shop has none, so there never is one.
pub enum AppliedGiftCard {}

/// A line that is made up of others. The shop sells no bundles, so there never is one.
#[derive(Clone)]
pub enum ComponentizableCartLine {}

/// A gift card that pays for a part of a cart.
#[Object]
impl AppliedGiftCard {
    /// The card's global id.
    async fn id(&self) -> ID {
        match *self {}
    }

    /// What it pays.
    async fn amount_used(&self) -> MoneyV2 {
        match *self {}
    }

    /// What is left on it.
    async fn balance(&self) -> MoneyV2 {
        match *self {}
    }

    /// The last characters of its code.
    async fn last_characters(&self) -> String {
        match *self {}
    }
}

/// A line that is made up of others. The shop sells no bundles, so there never is one.
#[Object]
impl ComponentizableCartLine {
    /// The line's global id.
    pub async fn id(&self) -> ID {
        match *self {}
    }

    /// How many pieces.
    pub async fn quantity(&self) -> i64 {
        match *self {}
    }

    /// What is bought.
    pub async fn merchandise(&self) -> Merchandise {
        match *self {}
    }

    /// What the line costs.
    pub async fn cost(&self) -> CartLineCost {
        match *self {}
    }

    /// What the storefront noted on it.
    pub async fn attributes(&self) -> Vec<Attribute> {
        match *self {}
    }

    /// What the storefront noted on it under a key.
    pub async fn attribute(&self, #[graphql(desc = "What it is called.")] key: String) -> Option<Attribute> {
        let _ = key;
        match *self {}
    }

    /// What discounts take off the line.
    pub async fn discount_allocations(&self) -> Vec<CartDiscountAllocation> {
        match *self {}
    }

    /// The lines it is made up of.
    async fn line_components(&self) -> Vec<CartLine> {
        match *self {}
    }
}
