//! Flat-rate delivery.

use super::ShippingStrategy;
use crate::domain::checkout::shipping::Tariff;

/// Delivery at a flat rate, or at the rate's price table.
pub struct Flat;

impl Flat {
    /// The name that rates refer to.
    pub const NAME: &'static str = "flat";
}

impl ShippingStrategy for Flat {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn title(&self) -> &'static str {
        "Delivery"
    }

    /// Free of weight and distance charges: staff set the price.
    fn default_tariff(&self) -> Tariff {
        Tariff::default()
    }
}
