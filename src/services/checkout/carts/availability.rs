//! Which variants can be added to a cart, and how many units of them.

use std::collections::HashMap;
use std::sync::Arc;

use crate::db::{Conn, DbError};
use crate::domain::catalog::InventoryPolicy;
use crate::domain::ids::VariantId;
use crate::repositories::catalog::inventory;
use crate::repositories::catalog::products::Product;
use crate::repositories::catalog::variants::{self, Variant};

/// How many units of a variant can be bought.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Availability {
    /// The variant does not exist or is not for sale.
    Unavailable,
    /// At most this number.
    Limited(i64),
    /// Any number: its inventory is not tracked, or it may be oversold.
    Unlimited,
}

impl Availability {
    /// Limits a requested quantity to what is available in addition to `taken` units.
    #[must_use]
    pub fn limit(self, taken: i64, requested: i64) -> i64 {
        match self {
            Self::Unavailable => 0,
            Self::Limited(units) => requested.min(units.saturating_sub(taken)).max(0),
            Self::Unlimited => requested,
        }
    }
}

/// Variants with their products and available stock.
pub struct SellableVariants {
    variants: HashMap<VariantId, (Arc<Variant>, Arc<Product>)>,
    available: HashMap<VariantId, i64>,
}

impl SellableVariants {
    /// Reads the variants with two statements.
    ///
    /// # Errors
    /// Database errors.
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

    /// How many units of a variant can be bought.
    #[must_use]
    pub fn availability(&self, variant: VariantId) -> Availability {
        match self.variants.get(&variant) {
            Some((variant, product)) if product.is_for_sale() => {
                if variant.inventory_tracked && variant.inventory_policy == InventoryPolicy::Deny {
                    Availability::Limited(self.available.get(&variant.id).copied().unwrap_or(0))
                } else {
                    Availability::Unlimited
                }
            }
            _ => Availability::Unavailable,
        }
    }

    /// The product's title; empty when the variant is not for sale.
    #[must_use]
    pub fn title(&self, variant: VariantId) -> &str {
        match self.variants.get(&variant) {
            Some((_, product)) if product.is_for_sale() => &product.title,
            _ => "",
        }
    }
}
