//! What can be put into a cart: which variants are for sale, and how many pieces of them.

use std::collections::HashMap;
use std::sync::Arc;

use crate::db::{Conn, DbError};
use crate::domain::catalog::InventoryPolicy;
use crate::domain::ids::VariantId;
use crate::repositories::inventory;
use crate::repositories::products::Product;
use crate::repositories::variants::{self, Variant};
use crate::services::sale::is_for_sale;

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

    /// How many pieces of a variant can be had.
    #[must_use]
    pub fn room(&self, variant: VariantId) -> Room {
        match self.variants.get(&variant) {
            Some((variant, product)) if is_for_sale(product) => {
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
            Some((_, product)) if is_for_sale(product) => &product.title,
            _ => "",
        }
    }
}
