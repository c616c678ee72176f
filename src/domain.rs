//! Pure types and rules: ids, money, catalog, orders, pricing, search queries, events.
//!
//! Every layer may use it. It depends only on std and on small crates without I/O, such as serde,
//! chrono, uuid and ipnet. It must not do I/O, be async or use a layer above.

pub mod access;
pub mod catalog;
pub mod checkout;
pub mod codes;
pub mod content;
pub mod customers;
pub mod events;
pub mod ids;
pub mod jobs;
pub mod media;
pub mod money;
pub mod orders;
pub mod page;
pub mod payments;
pub mod reports;
pub mod shop;
pub mod text;
pub mod time;
pub mod traces;
pub mod webhooks;
