//! Payloads of events about stock and locations.

use serde::{Deserialize, Serialize};

use crate::domain::ids::{LocationId, VariantId};

/// The payload of a stock change.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct InventoryEvent {
    /// The variant.
    pub variant_id: VariantId,
    /// The location.
    pub location_id: LocationId,
    /// Change of the number of units on hand.
    pub delta: i64,
    /// Units on hand after the change.
    pub on_hand: i64,
    /// The reason: `correction`, `received`, `import`.
    pub reason: String,
}

/// The payload of a reservation or its release.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ReservationEvent {
    /// The variant.
    pub variant_id: VariantId,
    /// The location.
    pub location_id: LocationId,
    /// Number of units.
    pub quantity: i64,
    /// Units available at the location afterwards.
    pub available: i64,
}

/// The payload of a low-stock warning.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LowStockEvent {
    /// The variant.
    pub variant_id: VariantId,
    /// Units available at all active locations together.
    pub available: i64,
    /// The threshold that was reached.
    pub threshold: i64,
}

/// The payload of events about a location.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LocationEvent {
    /// The location.
    pub location_id: LocationId,
    /// Its name at the time.
    pub name: String,
}
