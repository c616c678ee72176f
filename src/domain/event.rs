//! Domain events: what happened, in the past tense, with a typed and versioned payload. Services append them in the
//! transaction of their cause; whoever follows the log reads them by kind and version.

use serde::{Deserialize, Serialize};

use super::ids::{CollectionId, Id, LocationId, ProductId, VariantId};

/// Something that happened in the shop.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Event {
    /// A product was made, with its variants.
    ProductCreated(ProductEvent),
    /// A product's own fields, its options or its images changed.
    ProductUpdated(ProductEvent),
    /// A product was deleted, with its variants.
    ProductDeleted(ProductEvent),
    /// Variants were added to a product.
    VariantsCreated(VariantsEvent),
    /// Variants of a product changed.
    VariantsUpdated(VariantsEvent),
    /// Variants of a product were deleted.
    VariantsDeleted(VariantsEvent),
    /// A collection was made.
    CollectionCreated(CollectionEvent),
    /// A collection's own fields or rules changed.
    CollectionUpdated(CollectionEvent),
    /// A collection was deleted; its products stay.
    CollectionDeleted(CollectionEvent),
    /// Products were put into a collection by hand.
    CollectionProductsAdded(CollectionProductsEvent),
    /// Products were taken out of a collection by hand.
    CollectionProductsRemoved(CollectionProductsEvent),
    /// The stock of a variant at a location changed.
    InventoryLevelChanged(InventoryEvent),
    /// A location was made.
    LocationCreated(LocationEvent),
    /// A location changed.
    LocationUpdated(LocationEvent),
}

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

/// A change of stock.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct InventoryEvent {
    /// The variant.
    pub variant_id: VariantId,
    /// The location.
    pub location_id: LocationId,
    /// By how many pieces on hand changed.
    pub delta: i64,
    /// How many pieces are on hand since.
    pub on_hand: i64,
    /// Why, in a word: `correction`, `received`, `import`.
    pub reason: String,
}

/// A location, as an event names it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LocationEvent {
    /// The location.
    pub location_id: LocationId,
    /// Its name at that moment.
    pub name: String,
}

impl Event {
    /// The kind's name in the log.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::ProductCreated(_) => "product.created",
            Self::ProductUpdated(_) => "product.updated",
            Self::ProductDeleted(_) => "product.deleted",
            Self::VariantsCreated(_) => "variants.created",
            Self::VariantsUpdated(_) => "variants.updated",
            Self::VariantsDeleted(_) => "variants.deleted",
            Self::CollectionCreated(_) => "collection.created",
            Self::CollectionUpdated(_) => "collection.updated",
            Self::CollectionDeleted(_) => "collection.deleted",
            Self::CollectionProductsAdded(_) => "collection.products_added",
            Self::CollectionProductsRemoved(_) => "collection.products_removed",
            Self::InventoryLevelChanged(_) => "inventory.level_changed",
            Self::LocationCreated(_) => "location.created",
            Self::LocationUpdated(_) => "location.updated",
        }
    }

    /// The version of the payload's shape; it rises when a field changes its meaning or goes.
    #[must_use]
    pub fn version(&self) -> i32 {
        1
    }

    /// The thing whose history the event belongs to: its type's name and its id.
    #[must_use]
    pub fn aggregate(&self) -> (&'static str, uuid::Uuid) {
        fn of<I: Id>(id: I) -> (&'static str, uuid::Uuid) {
            (I::TYPE, id.uuid())
        }
        match self {
            Self::ProductCreated(event) | Self::ProductUpdated(event) | Self::ProductDeleted(event) => {
                of(event.product_id)
            }
            Self::VariantsCreated(event) | Self::VariantsUpdated(event) | Self::VariantsDeleted(event) => {
                of(event.product_id)
            }
            Self::CollectionCreated(event)
            | Self::CollectionUpdated(event)
            | Self::CollectionDeleted(event) => of(event.collection_id),
            Self::CollectionProductsAdded(event) | Self::CollectionProductsRemoved(event) => {
                of(event.collection_id)
            }
            Self::InventoryLevelChanged(event) => of(event.variant_id),
            Self::LocationCreated(event) | Self::LocationUpdated(event) => of(event.location_id),
        }
    }
}
