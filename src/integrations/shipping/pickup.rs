//! Not sent at all: the buyer comes and picks it up.

use super::ShippingStrategy;
use crate::domain::shipping::Tariff;

/// Not sent at all: the buyer comes and picks it up.
pub struct Pickup;

impl Pickup {
    /// What rates call it.
    pub const NAME: &'static str = "pickup";
}

impl ShippingStrategy for Pickup {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn title(&self) -> &'static str {
        "Pickup"
    }

    /// Nothing, unless staff say otherwise.
    fn usual_tariff(&self) -> Tariff {
        Tariff::default()
    }
}
