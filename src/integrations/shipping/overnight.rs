//! Sent today, there tomorrow.

use super::ShippingStrategy;
use crate::domain::shipping::Tariff;

/// Sent today, there tomorrow.
pub struct Overnight;

impl ShippingStrategy for Overnight {
    fn name(&self) -> &'static str {
        "overnight"
    }

    fn title(&self) -> &'static str {
        "Overnight"
    }

    /// 2.0 a kilogram and 0.5 a kilometre.
    fn usual_tariff(&self) -> Tariff {
        Tariff { base: 0, per_kilogram_micros: 2_000_000, per_kilometre_micros: 500_000 }
    }
}
