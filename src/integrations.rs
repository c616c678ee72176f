//! The world outside, behind traits: what the shop works with and could work with another of, and the breakers
//! before it.
//!
//! Services call them by name. They know nothing of tables, GraphQL or HTTP routes.

pub mod breaker;
pub mod downloads;
pub mod event_stream;
pub mod mail;
pub mod payments;
pub mod pictures;
pub mod public_http;
pub mod redis_buckets;
pub mod shipping;
pub mod storage;
pub mod videos;
pub mod webhooks;
