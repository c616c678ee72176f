//! What a basket costs: its lines, discounts, delivery and taxes, in minor units of one currency. Carts show a quote, orders keep
//! the one they were placed at.
//!
//! The numbers always add up: a line's total is its gross less its discounts; the subtotal is the sum of the lines' gross; the
//! tax total is the sum of the tax lines of lines and delivery; and
//! `total = subtotal - discount_total + shipping_total`, and `+ tax_total` where prices don't contain taxes.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::address::Address;
use super::ids::{DiscountId, LocationId, VariantId};

/// What a basket costs.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Quote {
    /// In the basket's order.
    pub lines: Vec<QuotedLine>,
    /// The delivery that was chosen; `None` while none is, or when nothing is sent.
    pub delivery: Option<QuotedDelivery>,
    /// Whether prices contain the taxes.
    pub taxes_included: bool,
    /// The lines before discounts.
    pub subtotal: i64,
    /// The discounts of all lines; those of delivery are in `shipping_total`.
    pub discount_total: i64,
    /// What delivery costs after its discounts.
    pub shipping_total: i64,
    /// All taxes, contained in the prices or not.
    pub tax_total: i64,
    /// What is to be paid.
    pub total: i64,
}

/// A line of a basket.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct QuotedLine {
    /// What the basket calls the line.
    pub key: Uuid,
    /// What is bought.
    pub variant_id: VariantId,
    /// How many pieces.
    pub quantity: i64,
    /// One piece, before discounts.
    pub unit_price: i64,
    /// What each discount takes off the whole line.
    pub discounts: Vec<Allocation>,
    /// The sum of `discounts`.
    pub discount_total: i64,
    /// The taxes on the whole line.
    pub taxes: Vec<TaxLine>,
    /// The sum of `taxes`.
    pub tax_total: i64,
}

impl QuotedLine {
    /// The line before discounts.
    #[must_use]
    pub fn gross(&self) -> i64 {
        self.unit_price.saturating_mul(self.quantity)
    }

    /// The line after discounts.
    #[must_use]
    pub fn total(&self) -> i64 {
        self.gross().saturating_sub(self.discount_total)
    }
}

/// What a discount takes off a line or off delivery.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Allocation {
    /// Which discount; `None` for one that staff gave by hand or that came with an import.
    pub discount_id: Option<DiscountId>,
    /// What buyers call it.
    pub title: String,
    /// The code it was asked for by; `None` for an automatic one.
    pub code: Option<String>,
    /// Minor units, above zero.
    pub amount: i64,
}

/// A tax on a line or on delivery.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TaxLine {
    /// What it is called: `VAT`.
    pub title: String,
    /// Millionths: 20 % is 200000.
    pub rate_micros: i64,
    /// Minor units.
    pub amount: i64,
}

/// A delivery that can be chosen.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeliveryOption {
    /// What clients send to choose it; unique among the options of a basket.
    pub handle: String,
    /// What buyers read.
    pub title: String,
    /// The strategy's name: `standard`, `express`, `overnight`, `flat`, `pickup`.
    pub strategy: String,
    /// Minor units, before discounts.
    pub price: i64,
    /// Where the buyer picks it up; `None` where it is sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pickup: Option<PickupPlace>,
}

/// Where a buyer picks an order up, as it was when that was chosen.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PickupPlace {
    /// The location.
    pub location_id: LocationId,
    /// What it is called.
    pub name: String,
    /// Street and number.
    pub address1: Option<String>,
    /// More of the address.
    pub address2: Option<String>,
    /// City.
    pub city: Option<String>,
    /// Province, state or region.
    pub province: Option<String>,
    /// Postal code.
    pub zip: Option<String>,
    /// ISO 3166-1 alpha-2.
    pub country: Option<String>,
    /// Phone number.
    pub phone: Option<String>,
}

impl PickupPlace {
    /// Its address, with its name as a company's.
    #[must_use]
    pub fn address(&self) -> Address {
        Address {
            company: Some(self.name.clone()),
            address1: self.address1.clone(),
            address2: self.address2.clone(),
            city: self.city.clone(),
            province: self.province.clone(),
            zip: self.zip.clone(),
            country: self.country.clone(),
            phone: self.phone.clone(),
            ..Address::default()
        }
    }
}

/// The delivery that was chosen.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct QuotedDelivery {
    /// Which.
    pub option: DeliveryOption,
    /// What each discount takes off its price.
    pub discounts: Vec<Allocation>,
    /// The taxes on it.
    pub taxes: Vec<TaxLine>,
}
