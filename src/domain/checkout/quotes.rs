//! The price of a cart or order: lines, discounts, delivery and taxes, in minor units of one
//! currency. Carts show a current quote, orders keep the one they were placed with.
//!
//! The numbers always add up: a line's total is its gross less its discounts; the subtotal is the
//! sum of the lines' gross; the tax total is the sum of the tax lines of all lines and of delivery;
//! and `total = subtotal - discount_total + shipping_total`, plus `tax_total` if prices exclude
//! taxes.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::domain::customers::addresses::Address;
use crate::domain::ids::{DiscountId, LocationId, VariantId};

/// The price of a cart or order.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Quote {
    /// The lines, in the cart's order.
    pub lines: Vec<QuotedLine>,
    /// The chosen delivery; `None` if none is chosen or nothing is shipped.
    pub delivery: Option<QuotedDelivery>,
    /// Whether prices include taxes.
    pub taxes_included: bool,
    /// Sum of all lines before discounts.
    pub subtotal: i64,
    /// Discounts on lines; discounts on delivery are deducted from `shipping_total`.
    pub discount_total: i64,
    /// Price of delivery after discounts.
    pub shipping_total: i64,
    /// All taxes, whether included in prices or not.
    pub tax_total: i64,
    /// The amount to be paid.
    pub total: i64,
}

/// A priced line.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct QuotedLine {
    /// Identifies the line.
    pub key: Uuid,
    /// The variant.
    pub variant_id: VariantId,
    /// Number of units.
    pub quantity: i64,
    /// Price of a unit before discounts.
    pub unit_price: i64,
    /// The share of each discount in the whole line.
    pub discounts: Vec<Allocation>,
    /// The sum of `discounts`.
    pub discount_total: i64,
    /// The taxes on the whole line.
    pub taxes: Vec<TaxLine>,
    /// The sum of `taxes`.
    pub tax_total: i64,
}

impl QuotedLine {
    /// Price of the line before discounts.
    #[must_use]
    pub fn gross(&self) -> i64 {
        self.unit_price.saturating_mul(self.quantity)
    }

    /// Price of the line after discounts.
    #[must_use]
    pub fn total(&self) -> i64 {
        self.gross().saturating_sub(self.discount_total)
    }
}

/// The share of a discount in a line or in delivery.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Allocation {
    /// The discount; `None` for manual and imported ones.
    pub discount_id: Option<DiscountId>,
    /// Title shown to buyers.
    pub title: String,
    /// The code that was entered; `None` for an automatic discount.
    pub code: Option<String>,
    /// Minor units, above zero.
    pub amount: i64,
}

/// A tax on a line or on delivery.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TaxLine {
    /// Name of the tax, such as `VAT`.
    pub title: String,
    /// Rate in millionths: 20 % is 200,000.
    pub rate_micros: i64,
    /// Minor units.
    pub amount: i64,
}

/// A delivery option.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeliveryOption {
    /// Identifies the option among those of a cart.
    pub handle: String,
    /// Title shown to buyers.
    pub title: String,
    /// Name of the shipping strategy: `standard`, `express`, `overnight`, `flat`, `pickup`.
    pub strategy: String,
    /// Price in minor units, before discounts.
    pub price: i64,
    /// Where the buyer picks the order up; `None` if it is shipped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pickup: Option<PickupPlace>,
}

/// A pickup location, as it was when it was chosen.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PickupPlace {
    /// The location.
    pub location_id: LocationId,
    /// The location's name.
    pub name: String,
    /// Street and number.
    pub address1: Option<String>,
    /// Second address line.
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
    /// The address, with the location's name as the company.
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

/// The chosen delivery.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct QuotedDelivery {
    /// The option.
    pub option: DeliveryOption,
    /// The share of each discount in its price.
    pub discounts: Vec<Allocation>,
    /// The taxes on it.
    pub taxes: Vec<TaxLine>,
}
