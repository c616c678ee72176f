//! Sent for one price, or for what a table says.

use super::ShippingStrategy;
use crate::domain::shipping::Tariff;

/// Sent for one price, or for what a table says.
pub struct Flat;

impl Flat {
    /// What rates call it.
    pub const NAME: &'static str = "flat";
}

impl ShippingStrategy for Flat {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn title(&self) -> &'static str {
        "Delivery"
    }

    /// Nothing by weight or distance: staff say what it costs.
    fn usual_tariff(&self) -> Tariff {
        Tariff::default()
    }
}
