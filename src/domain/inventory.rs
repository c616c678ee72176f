//! Stock: what is on a shelf, what of it is promised, and when a variant may be sold.

use serde::{Deserialize, Serialize};

use super::catalog::InventoryPolicy;
use super::ids::LocationId;

/// Whether a variant may be sold, by its policy and what is available of it at all locations together.
#[must_use]
pub fn is_for_sale(tracked: bool, policy: InventoryPolicy, available: i64) -> bool {
    !tracked || policy == InventoryPolicy::Continue || available > 0
}

/// Pieces of a variant at a location.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pieces {
    /// Where.
    pub location_id: LocationId,
    /// How many, above zero.
    pub quantity: i64,
}
