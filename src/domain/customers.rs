//! How customers are addressed: postal addresses and e-mail addresses.
//!
//! Carts, orders and staff use them too.

pub mod addresses;
pub mod emails;
