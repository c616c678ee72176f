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

/// A location, as an event names it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LocationEvent {
    /// The location.
    pub location_id: LocationId,
    /// Its name at that moment.
    pub name: String,
}
