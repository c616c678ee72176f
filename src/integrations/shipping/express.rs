//! Express delivery.

use super::ShippingStrategy;
use crate::domain::checkout::shipping::Tariff;

/// Express delivery: faster than standard.
pub struct Express;

impl ShippingStrategy for Express {
    fn name(&self) -> &'static str {
        "express"
    }

    fn title(&self) -> &'static str {
        "Express"
    }

    /// 1.0 per kilogram and 0.3 per kilometer.
    fn default_tariff(&self) -> Tariff {
        Tariff { base: 0, per_kilogram_micros: 1_000_000, per_kilometre_micros: 300_000 }
    }
}
