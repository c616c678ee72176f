//! Stock: what is on a shelf, what of it is promised, and when a variant may be sold.

use super::catalog::InventoryPolicy;

/// Whether a variant may be sold, by its policy and what is available of it at all locations together.
#[must_use]
pub fn is_for_sale(tracked: bool, policy: InventoryPolicy, available: i64) -> bool {
    !tracked || policy == InventoryPolicy::Continue || available > 0
}
