//! Payloads of events about carts.

use serde::{Deserialize, Serialize};

use crate::domain::ids::CartId;

/// The payload of events about a cart. Carts change too often to record their contents; consumers
/// read the cart itself.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CartEvent {
    /// The cart.
    pub cart_id: CartId,
    /// Number of units in the cart after the event.
    pub total_quantity: i64,
}
