//! Types that storefronts name in fragments, but that this shop has no values of.

#![expect(unreachable_code, reason = "the macros generate code after matches on uninhabited types")]

use async_graphql::{ID, Object};

use super::cost::CartDiscountAllocation;
use super::lines::{CartLine, CartLineCost, Merchandise};
use crate::graphql::types::attribute::Attribute;

/// A line that consists of component lines. Never returned, since bundles are not supported.
#[derive(Clone)]
pub(super) enum ComponentizableCartLine {}

/// A line that consists of component lines, such as a bundle. Never returned, since bundles are not
/// supported.
#[Object]
impl ComponentizableCartLine {
    /// The ID of the line.
    pub async fn id(&self) -> ID {
        match *self {}
    }

    /// The number of units.
    pub async fn quantity(&self) -> i64 {
        match *self {}
    }

    /// The product variant that the buyer intends to buy.
    pub async fn merchandise(&self) -> Merchandise {
        match *self {}
    }

    /// The cost of the line.
    pub async fn cost(&self) -> CartLineCost {
        match *self {}
    }

    /// The custom attributes set by the storefront.
    pub async fn attributes(&self) -> Vec<Attribute> {
        match *self {}
    }

    /// The custom attribute with this key, if there is one.
    pub async fn attribute(
        &self,
        #[graphql(desc = "The key of the attribute.")] key: String,
    ) -> Option<Attribute> {
        let _ = key;
        match *self {}
    }

    /// The discounts applied to the line.
    pub async fn discount_allocations(&self) -> Vec<CartDiscountAllocation> {
        match *self {}
    }

    /// The components of the line.
    async fn line_components(&self) -> Vec<CartLine> {
        match *self {}
    }
}
