//! What events tell of stock and locations.

use serde::{Deserialize, Serialize};

use crate::domain::ids::{LocationId, VariantId};

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

/// Pieces that are promised to an order, or are no longer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ReservationEvent {
    /// The variant.
    pub variant_id: VariantId,
    /// The location.
    pub location_id: LocationId,
    /// How many pieces.
    pub quantity: i64,
    /// How many pieces of the location can be sold since.
    pub available: i64,
}

/// A variant of which few pieces can still be sold.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LowStockEvent {
    /// The variant.
    pub variant_id: VariantId,
    /// How many pieces of all active locations can still be sold.
    pub available: i64,
    /// From how few on that is told.
    pub threshold: i64,
}

/// A location, as an event names it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LocationEvent {
    /// The location.
    pub location_id: LocationId,
    /// Its name at that moment.
    pub name: String,
}
