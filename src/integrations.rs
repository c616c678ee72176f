//! Clients for everything outside the process (mail, payments, storage, webhooks, Redis), each
//! behind a trait or type of its own.
//!
//! Services call these modules by name. They know nothing of tables, GraphQL or HTTP routes.

pub mod downloads;
pub mod event_stream;
mod http_client;
pub mod images;
pub mod mail;
mod outgoing;
pub mod payments;
pub mod public_http;
pub mod redis_buckets;
pub mod redis_ping;
pub mod storage;
pub mod videos;
pub mod webhooks;
