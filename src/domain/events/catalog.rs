//! Payloads of events about the catalog.

use serde::{Deserialize, Serialize};

use crate::domain::ids::{CollectionId, ProductId, VariantId};

/// The payload of events about a product.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ProductEvent {
    /// The product.
    pub product_id: ProductId,
    /// Its handle at the time.
    pub handle: String,
    /// Whether its status changed; `None` if that was not recorded.
    #[serde(default)]
    pub status_changed: Option<bool>,
    /// The rule-based collections that it joined or left; `None` if they were not recorded.
    #[serde(default)]
    pub collection_ids: Option<Vec<CollectionId>>,
}

/// The payload of events about a product's variants.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct VariantsEvent {
    /// The product.
    pub product_id: ProductId,
    /// The variants.
    pub variant_ids: Vec<VariantId>,
    /// The rule-based collections that the product joined or left; `None` if they were not
    /// recorded.
    #[serde(default)]
    pub collection_ids: Option<Vec<CollectionId>>,
}

/// The payload of events about a collection.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CollectionEvent {
    /// The collection.
    pub collection_id: CollectionId,
    /// Its handle at the time.
    pub handle: String,
}

/// The payload of events about products added to or removed from a collection.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CollectionProductsEvent {
    /// The collection.
    pub collection_id: CollectionId,
    /// The products.
    pub product_ids: Vec<ProductId>,
}
