//! Which lines of a cart can be bought. Carts and checkout both use the rules of this module.
//!
//! Lines whose product is no longer for sale are ignored: the cart shows a warning, they cost
//! nothing, and they are left out of the order. If there is too little stock for a line, the cart
//! shows a warning, and checkout is refused until the buyer changes the line.

use crate::domain::ids::{CartLineId, Id, VariantId};
use crate::repositories::checkout::carts::CartLine;
use crate::services::catalog::inventory::stock::{self, Demand};
use crate::services::checkout::pricing::PricedBasket;

/// A line that can't be bought as it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UnavailableLine {
    /// The line.
    pub line_id: CartLineId,
    /// Its variant.
    pub variant_id: VariantId,
    /// Number of units that are available; `None` when the product is no longer for sale.
    pub available: Option<i64>,
}

/// The lines that are for sale: those that were priced.
#[must_use]
pub fn sellable_lines(lines: &[CartLine], priced: &PricedBasket) -> Vec<CartLine> {
    let is_quoted = |line: &&CartLine| priced.quote.lines.iter().any(|quoted| quoted.key == line.id.uuid());
    lines.iter().filter(is_quoted).cloned().collect()
}

/// Whether any of these lines has to be shipped.
#[must_use]
pub fn needs_shipping(sellable: &[CartLine], priced: &PricedBasket) -> bool {
    let is_shipped = |line: &CartLine| {
        priced.variants.get(&line.variant_id).is_some_and(|(variant, _)| variant.requires_shipping)
    };
    sellable.iter().any(is_shipped)
}

/// The demands of lines that are for sale, in their order.
#[must_use]
pub fn demands(sellable: &[CartLine], priced: &PricedBasket) -> Vec<Demand> {
    let demand = |line: &CartLine| {
        let (variant, _) = priced.variants.get(&line.variant_id)?;
        Some(Demand::of(variant, line.quantity))
    };
    sellable.iter().filter_map(demand).collect()
}

/// The lines that can't be bought as they are. If several lines are of the same variant, the first
/// ones get the available units.
#[must_use]
pub fn unavailable_lines(lines: &[CartLine], priced: &PricedBasket) -> Vec<UnavailableLine> {
    let sellable = sellable_lines(lines, priced);
    let shortfalls = stock::plan(&demands(&sellable, priced), &priced.levels).err().unwrap_or_default();
    let unavailable = |line: &CartLine| {
        let available = match sellable.iter().position(|other| other.id == line.id) {
            None => None,
            Some(index) => Some(shortfalls.iter().find(|shortfall| shortfall.line == index)?.available),
        };
        Some(UnavailableLine { line_id: line.id, variant_id: line.variant_id, available })
    };
    lines.iter().filter_map(unavailable).collect()
}
