//! Standard delivery.

use super::ShippingStrategy;
use crate::domain::checkout::shipping::Tariff;

/// Standard delivery.
pub struct Standard;

impl ShippingStrategy for Standard {
    fn name(&self) -> &'static str {
        "standard"
    }

    fn title(&self) -> &'static str {
        "Standard"
    }

    /// 0.5 per kilogram and 0.1 per kilometer.
    fn default_tariff(&self) -> Tariff {
        Tariff { base: 0, per_kilogram_micros: 500_000, per_kilometre_micros: 100_000 }
    }
}
