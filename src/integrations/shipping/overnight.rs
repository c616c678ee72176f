//! Overnight delivery.

use super::ShippingStrategy;
use crate::domain::checkout::shipping::Tariff;

/// Next-day delivery.
pub struct Overnight;

impl ShippingStrategy for Overnight {
    fn name(&self) -> &'static str {
        "overnight"
    }

    fn title(&self) -> &'static str {
        "Overnight"
    }

    /// 2.0 per kilogram and 0.5 per kilometer.
    fn default_tariff(&self) -> Tariff {
        Tariff { base: 0, per_kilogram_micros: 2_000_000, per_kilometre_micros: 500_000 }
    }
}
