//! Carts, and placing orders; and the discounts, taxes and shipping rates that staff set for them.
//!
//! Its resolvers call the services of `services::checkout`.

pub(super) mod carts;
pub(super) mod discounts;
mod place_order;
pub(super) mod shipping;
pub(super) mod taxes;

pub(super) use place_order::{CheckoutMutation, PaymentQuery};
