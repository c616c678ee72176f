//! What events tell of carts.

use serde::{Deserialize, Serialize};

use crate::domain::ids::CartId;

/// A cart. Whoever wants to know more reads it: it changes too often for every state to be kept.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CartEvent {
    /// The cart.
    pub cart_id: CartId,
    /// How many pieces were in it since.
    pub total_quantity: i64,
}
