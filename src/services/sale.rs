//! Whether a line of a cart can be bought: the one rule by which prices count it, carts show it and
//! orders take it.
//!
//! What buyers may not buy any more is left out: a cart warns of it, costs nothing for it, and is
//! ordered without it. Of what is for sale there must be enough: a cart warns of what is short, and
//! an order is refused until its buyer has changed the line.

use crate::domain::catalog::ProductStatus;
use crate::domain::ids::{CartLineId, Id, VariantId};
use crate::repositories::carts::CartLine;
use crate::repositories::products::Product;
use crate::services::pricing::Priced;
use crate::services::stock::{self, Want};

/// A line that can't be had as it stands in its cart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shortage {
    /// Which.
    pub line_id: CartLineId,
    /// What it wants to buy.
    pub variant_id: VariantId,
    /// How many of its units can be had; `None` when it is no longer for sale at all.
    pub available: Option<i64>,
}

/// Whether buyers can buy a product's variants, as far as there are any.
#[must_use]
pub fn is_for_sale(product: &Product) -> bool {
    product.status == ProductStatus::Active
}

/// The lines that an order of a cart has, of those that were priced: what is for sale.
#[must_use]
pub fn sold_lines(lines: &[CartLine], priced: &Priced) -> Vec<CartLine> {
    let is_quoted = |line: &&CartLine| priced.quote.lines.iter().any(|quoted| quoted.key == line.id.uuid());
    lines.iter().filter(is_quoted).cloned().collect()
}

/// What lines that are for sale want of the stock, in their order.
#[must_use]
pub fn wants(sold: &[CartLine], priced: &Priced) -> Vec<Want> {
    let want = |line: &CartLine| {
        let (variant, _) = priced.variants.get(&line.variant_id)?;
        Some(Want::of(variant, line.quantity))
    };
    sold.iter().filter_map(want).collect()
}

/// The lines of a cart that can't be had as they stand. Lines of one variant share what there is of
/// it, the first first.
#[must_use]
pub fn shortages(lines: &[CartLine], priced: &Priced) -> Vec<Shortage> {
    let sold = sold_lines(lines, priced);
    let short = stock::plan(&wants(&sold, priced), &priced.levels).err().unwrap_or_default();
    let shortage = |line: &CartLine| {
        let available = match sold.iter().position(|one| one.id == line.id) {
            None => None,
            Some(at) => Some(short.iter().find(|short| short.line == at)?.available),
        };
        Some(Shortage { line_id: line.id, variant_id: line.variant_id, available })
    };
    lines.iter().filter_map(shortage).collect()
}
