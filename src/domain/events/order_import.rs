//! Payloads of events about imported orders.

use serde::{Deserialize, Serialize};

use crate::domain::ids::OrderId;
use crate::domain::orders::OrderStatus;
use crate::domain::time::Timestamp;

/// The payload of an order's import.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct OrderImportedEvent {
    /// The order.
    pub order_id: OrderId,
    /// Its number in this shop.
    pub number: i64,
    /// Its name in the system it came from.
    pub imported_as: String,
    /// Its status when imported.
    pub status: OrderStatus,
    /// Its total in minor units.
    pub total: i64,
    /// ISO 4217.
    pub currency: String,
    /// When it was placed.
    pub placed_at: Timestamp,
}
