//! What events tell of discounts, taxes and shipping.

use serde::{Deserialize, Serialize};

use crate::domain::ids::{DiscountId, ShippingRateId, ShippingZoneId, TaxRateId};

/// A discount, as an event names it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DiscountEvent {
    /// The discount.
    pub discount_id: DiscountId,
    /// Its title at that moment.
    pub title: String,
    /// Its code; `None`: automatic.
    pub code: Option<String>,
}

/// A tax rate, as an event names it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TaxRateEvent {
    /// The rate.
    pub tax_rate_id: TaxRateId,
    /// Its name at that moment.
    pub name: String,
    /// Millionths of the price.
    pub rate_micros: i64,
}

/// A shipping zone, as an event names it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ShippingZoneEvent {
    /// The zone.
    pub shipping_zone_id: ShippingZoneId,
    /// Its name at that moment.
    pub name: String,
}

/// A shipping rate, as an event names it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ShippingRateEvent {
    /// The rate.
    pub shipping_rate_id: ShippingRateId,
    /// The zone it is of.
    pub shipping_zone_id: ShippingZoneId,
    /// Its name at that moment.
    pub name: String,
}
