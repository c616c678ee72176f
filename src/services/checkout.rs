//! Buying: carts, what they cost, and how a cart becomes an order; with the discounts, taxes and
//! shipping rates that staff set for it.
//!
//! Orders after they are placed belong to `services::orders`, charges to `services::payments`.

pub mod carts;
pub mod discounts;
pub(super) mod order_lines;
mod place_order;
pub mod pricing;
pub mod sale;
pub mod shipping;
pub mod taxes;

pub use carts::Carts;
pub use discounts::Discounts;
pub use place_order::{
    Checkout, ChosenPayment, Completion, CompletionState, DirectPayment, HoldLimits, PlaceOrder, PlacedOrder,
    Readiness, RetryPayment, Submission, missing_address_parts,
};
pub use pricing::Pricing;
pub use shipping::Shipping;
pub use taxes::Taxes;
