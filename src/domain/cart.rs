//! Carts: what a buyer means to buy.

use serde::{Deserialize, Serialize};

/// Something a storefront notes on a cart, on one of its lines, or on the order that comes of it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Attribute {
    /// What it is called.
    pub key: String,
    /// Its value; may be empty.
    pub value: String,
}
