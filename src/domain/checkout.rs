//! Carts and what they cost: discounts, delivery and taxes, and the quote that adds them up.
//!
//! `services::checkout` reads what is needed from the database and passes it in.

pub mod carts;
pub mod discounts;
pub mod pricing;
pub mod quotes;
pub mod shipping;
pub mod taxes;
