//! Pickup by the buyer.

use super::ShippingStrategy;
use crate::domain::checkout::shipping::Tariff;

/// No delivery: the buyer picks the order up.
pub struct Pickup;

impl Pickup {
    /// The name that rates refer to.
    pub const NAME: &'static str = "pickup";
}

impl ShippingStrategy for Pickup {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn title(&self) -> &'static str {
        "Pickup"
    }

    /// Free unless staff set a price.
    fn default_tariff(&self) -> Tariff {
        Tariff::default()
    }
}
