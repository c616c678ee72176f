//! Sent as everything is.

use super::ShippingStrategy;
use crate::domain::shipping::Tariff;

/// Sent as everything is.
pub struct Standard;

impl ShippingStrategy for Standard {
    fn name(&self) -> &'static str {
        "standard"
    }

    fn title(&self) -> &'static str {
        "Standard"
    }

    /// 0.5 a kilogram and 0.1 a kilometre.
    fn usual_tariff(&self) -> Tariff {
        Tariff { base: 0, per_kilogram_micros: 500_000, per_kilometre_micros: 100_000 }
    }
}
