//! Carts, and what decides their price: discounts, shipping zones and rates, and tax rates.
//!
//! Called by loaders and `services::checkout`. Prices are calculated in `domain`, not here.

pub mod cart_payments;
pub mod carts;
pub mod discounts;
pub mod shipping;
pub mod tax_rates;
