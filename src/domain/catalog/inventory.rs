//! Stock levels, and when a variant may be sold.

use serde::{Deserialize, Serialize};

use super::InventoryPolicy;
use crate::domain::ids::LocationId;

/// Whether a variant may be sold, given its policy and its stock at all locations together.
#[must_use]
pub fn is_for_sale(tracked: bool, policy: InventoryPolicy, available: i64) -> bool {
    !tracked || policy == InventoryPolicy::Continue || available > 0
}

/// Units of a variant at a location.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UnitsAtLocation {
    /// The location.
    pub location_id: LocationId,
    /// Number of units, above zero.
    pub quantity: i64,
}

/// The stock at which staff are warned that a variant runs low.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct LowStockThreshold(i64);

impl LowStockThreshold {
    /// A warning at `threshold` units; 0 disables warnings.
    #[must_use]
    pub fn new(threshold: i64) -> Self {
        Self(threshold)
    }

    /// The threshold in units.
    #[must_use]
    pub fn threshold(self) -> i64 {
        self.0
    }

    /// Whether this change reached the threshold; a stock that was low before does not trigger
    /// again.
    #[must_use]
    pub fn is_reached(self, before: i64, after: i64) -> bool {
        self.0 > 0 && before > self.0 && after <= self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_low_stock_threshold_is_reached_only_when_stock_crosses_it() {
        let low = LowStockThreshold::new(5);
        let reached = [(7, 6), (6, 5), (9, 0), (5, 4), (5, 5), (4, 6), (3, -1)];
        let reached = reached.map(|(before, after)| low.is_reached(before, after));
        assert_eq!(reached, [false, true, true, false, false, false, false]);
        assert!(!LowStockThreshold::new(0).is_reached(1, 0), "a threshold of zero is switched off");
    }
}
