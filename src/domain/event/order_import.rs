//! What events tell of orders that were imported.

use serde::{Deserialize, Serialize};

use crate::domain::ids::OrderId;
use crate::domain::order::OrderStatus;
use crate::domain::time::Timestamp;

/// An order that was placed elsewhere and imported.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct OrderImportedEvent {
    /// The order.
    pub order_id: OrderId,
    /// Its number in this shop.
    pub number: i64,
    /// What it was called where it came from.
    pub imported_as: String,
    /// The state it came in.
    pub status: OrderStatus,
    /// What it came to, minor units.
    pub total: i64,
    /// ISO 4217.
    pub currency: String,
    /// When it was placed.
    pub placed_at: Timestamp,
}
