//! Payloads of events about discounts, taxes and shipping.

use serde::{Deserialize, Serialize};

use crate::domain::ids::{DiscountId, ShippingRateId, ShippingZoneId, TaxRateId};

/// The payload of events about a discount.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DiscountEvent {
    /// The discount.
    pub discount_id: DiscountId,
    /// Its title at the time.
    pub title: String,
    /// Its code; `None` for an automatic discount.
    pub code: Option<String>,
}

/// The payload of events about a tax rate.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TaxRateEvent {
    /// The rate.
    pub tax_rate_id: TaxRateId,
    /// Its name at the time.
    pub name: String,
    /// The rate in millionths.
    pub rate_micros: i64,
}

/// The payload of events about a shipping zone.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ShippingZoneEvent {
    /// The zone.
    pub shipping_zone_id: ShippingZoneId,
    /// Its name at the time.
    pub name: String,
}

/// The payload of events about a shipping rate.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ShippingRateEvent {
    /// The rate.
    pub shipping_rate_id: ShippingRateId,
    /// The zone that it belongs to.
    pub shipping_zone_id: ShippingZoneId,
    /// Its name at the time.
    pub name: String,
}
