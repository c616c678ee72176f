//! From the cart to the order: carts, prices, placing orders, and the limits on unpaid orders.

pub(super) mod carts;
pub(super) mod completion;
pub(super) mod discounts;
pub(super) mod gift_cards;
pub(super) mod holds;
pub(super) mod place_order;
pub(super) mod shipping;
pub(super) mod taxes;
