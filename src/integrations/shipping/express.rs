//! Sent before what is sent as usual.

use super::ShippingStrategy;
use crate::domain::shipping::Tariff;

/// Sent before what is sent as usual.
pub struct Express;

impl ShippingStrategy for Express {
    fn name(&self) -> &'static str {
        "express"
    }

    fn title(&self) -> &'static str {
        "Express"
    }

    /// 1.0 a kilogram and 0.3 a kilometre.
    fn usual_tariff(&self) -> Tariff {
        Tariff { base: 0, per_kilogram_micros: 1_000_000, per_kilometre_micros: 300_000 }
    }
}
