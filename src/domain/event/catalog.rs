//! What events tell of the catalogue.

use serde::{Deserialize, Serialize};

use crate::domain::ids::{CollectionId, ProductId, VariantId};

/// A product, as an event names it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ProductEvent {
    /// The product.
    pub product_id: ProductId,
    /// Its handle at that moment.
    pub handle: String,
}

/// Variants of a product.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct VariantsEvent {
    /// The product.
    pub product_id: ProductId,
    /// The variants.
    pub variant_ids: Vec<VariantId>,
}

/// A collection, as an event names it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CollectionEvent {
    /// The collection.
    pub collection_id: CollectionId,
    /// Its handle at that moment.
    pub handle: String,
}

/// Products put into or taken out of a collection.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CollectionProductsEvent {
    /// The collection.
    pub collection_id: CollectionId,
    /// The products.
    pub product_ids: Vec<ProductId>,
}
