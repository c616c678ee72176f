//! The world outside, behind traits: what the shop works with and could work with another of.
//!
//! Services call them by name. They know nothing of tables, GraphQL or HTTP routes.

pub mod payments;
pub mod pictures;
pub mod shipping;
pub mod storage;
pub mod videos;
