//! What of a cart can be had: which variants are for sale, and how many pieces of them.

use std::collections::HashMap;
use std::sync::Arc;

use crate::db::{Conn, DbError};
use crate::domain::catalog::{InventoryPolicy, ProductStatus};
use crate::domain::ids::{CartLineId, VariantId};
use crate::repositories::carts::CartLine;
use crate::repositories::inventory;
use crate::repositories::products::Product;
use crate::repositories::variants::{self, Variant};
use crate::services::pricing::Priced;

/// How many pieces of a variant can be had.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Room {
    /// It is not for sale, or not there.
    Gone,
    /// So many at most.
    Pieces(i64),
    /// As many as are wanted: its stock is not counted, or it is sold on when it has run out.
    Any,
}

impl Room {
    /// How many of the pieces that are wanted can be had beside those that are taken already.
    #[must_use]
    pub fn accept(self, taken: i64, wanted: i64) -> i64 {
        match self {
            Self::Gone => 0,
            Self::Pieces(pieces) => wanted.min(pieces.saturating_sub(taken)).max(0),
            Self::Any => wanted,
        }
    }
}

/// Variants with their products, and what is available of them.
pub struct Goods {
    variants: HashMap<VariantId, (Arc<Variant>, Arc<Product>)>,
    available: HashMap<VariantId, i64>,
}

/// A line that can't be had as it stands in its cart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shortage {
    /// Which.
    pub line_id: CartLineId,
    /// What it wants to buy.
    pub variant_id: VariantId,
    /// How many of its pieces can be had; `None` when it is no longer for sale at all.
    pub available: Option<i64>,
}

impl Goods {
    /// Reads these variants: two statements.
    ///
    /// # Errors
    /// [`DbError`] of the reads.
    pub async fn read(conn: &mut Conn, ids: &[VariantId]) -> Result<Self, DbError> {
        let variants = variants::with_products(conn, ids).await?;
        let mut available: HashMap<VariantId, i64> = HashMap::new();
        for (level, ..) in inventory::for_sale(conn, ids).await? {
            *available.entry(level.variant_id).or_default() += level.available();
        }
        let variants = variants
            .into_iter()
            .map(|(variant, product)| (variant.id, (Arc::new(variant), Arc::new(product))))
            .collect();
        Ok(Self { variants, available })
    }

    /// What a price was made from.
    #[must_use]
    pub fn of(priced: &Priced) -> Self {
        let available = priced.levels.iter();
        Self {
            variants: priced.variants.clone(),
            available: available
                .map(|(variant, levels)| (*variant, levels.iter().map(|level| level.available()).sum()))
                .collect(),
        }
    }

    /// How many pieces of a variant can be had.
    #[must_use]
    pub fn room(&self, variant: VariantId) -> Room {
        match self.variants.get(&variant) {
            Some((variant, product)) if product.status == ProductStatus::Active => {
                if variant.inventory_tracked && variant.inventory_policy == InventoryPolicy::Deny {
                    Room::Pieces(self.available.get(&variant.id).copied().unwrap_or(0))
                } else {
                    Room::Any
                }
            }
            _ => Room::Gone,
        }
    }

    /// What buyers call a variant; empty when it is not for sale.
    #[must_use]
    pub fn title(&self, variant: VariantId) -> &str {
        match self.variants.get(&variant) {
            Some((_, product)) if product.status == ProductStatus::Active => &product.title,
            _ => "",
        }
    }

    /// The lines that can't be had as they stand. Lines of one variant share what there is of it, the first first.
    #[must_use]
    pub fn shortages(&self, lines: &[CartLine]) -> Vec<Shortage> {
        let mut taken: HashMap<VariantId, i64> = HashMap::new();
        let mut short = Vec::new();
        for line in lines {
            let room = self.room(line.variant_id);
            let taken = taken.entry(line.variant_id).or_default();
            let accepted = room.accept(*taken, line.quantity);
            *taken += accepted;
            if accepted < line.quantity {
                short.push(Shortage {
                    line_id: line.id,
                    variant_id: line.variant_id,
                    available: (room != Room::Gone).then_some(accepted),
                });
            }
        }
        short
    }
}
