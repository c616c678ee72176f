//! Postal addresses, as customers, carts and orders keep them. An order's is a copy: it stays as it was when the order was placed.

use serde::{Deserialize, Serialize};

/// A postal address. Everything may be missing; who needs a part checks for it.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Address {
    /// Given name.
    pub first_name: Option<String>,
    /// Family name.
    pub last_name: Option<String>,
    /// Company.
    pub company: Option<String>,
    /// Street and number.
    pub address1: Option<String>,
    /// More of the address.
    pub address2: Option<String>,
    /// City.
    pub city: Option<String>,
    /// Province, state or region: its code where it has one (`CA`, `ON`), or its name.
    pub province: Option<String>,
    /// Postal code.
    pub zip: Option<String>,
    /// ISO 3166-1 alpha-2.
    pub country: Option<String>,
    /// Phone number.
    pub phone: Option<String>,
    /// Degrees north, where known.
    pub latitude: Option<f64>,
    /// Degrees east, where known.
    pub longitude: Option<f64>,
}
