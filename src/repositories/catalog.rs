//! Products, variants and collections; their images and their stock; and the words that
//! everything is searched by, those of orders, customers and discounts included.
//!
//! Called by loaders and `services`. What a buyer may see is decided by the [`Visibility`] that
//! callers pass.
//!
//! [`Visibility`]: super::Visibility

pub mod collections;
pub mod images;
pub mod inventory;
pub mod locations;
pub mod media;
pub mod products;
pub mod search;
pub mod unindexed;
pub mod variants;
pub(super) mod words;
