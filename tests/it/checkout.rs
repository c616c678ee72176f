//! From the cart to the order: what is put in, what it costs, and what an order that nobody has paid for may hold.

pub(super) mod carts;
pub(super) mod discounts;
pub(super) mod holds;
pub(super) mod place_order;
pub(super) mod shipping;
pub(super) mod taxes;
