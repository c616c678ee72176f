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

/// From how few pieces of a variant on staff are told that it runs out.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct LowStock(i64);

impl LowStock {
    /// From so many pieces on; 0: never.
    #[must_use]
    pub fn at(threshold: i64) -> Self {
        Self(threshold)
    }

    /// The number of pieces.
    #[must_use]
    pub fn threshold(self) -> i64 {
        self.0
    }

    /// Whether what is available fell to the threshold just now: what was few before is not told again.
    #[must_use]
    pub fn is_reached(self, before: i64, after: i64) -> bool {
        self.0 > 0 && before > self.0 && after <= self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stock_runs_low_once() {
        let low = LowStock::at(5);
        let reached = [(7, 6), (6, 5), (9, 0), (5, 4), (5, 5), (4, 6), (3, -1)];
        let reached = reached.map(|(before, after)| low.is_reached(before, after));
        assert_eq!(reached, [false, true, true, false, false, false, false]);
        assert!(!LowStock::at(0).is_reached(1, 0), "it is switched off");
    }
}
