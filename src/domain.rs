//! Pure types and rules: ids, money, catalog, orders, pricing, search queries, events.
//!
//! Every layer may use it. It depends on std, serde, chrono, uuid and ipnet, and must not do I/O,
//! be async or use a layer above.

pub mod address;
pub mod attempts;
pub mod caller;
pub mod cart;
pub mod catalog;
pub mod client_address;
pub mod codes;
pub mod collection_rules;
pub mod discount;
pub mod draft;
pub mod email;
pub mod event;
pub mod fulfillment;
pub mod handle;
pub mod hex;
pub mod html;
pub mod ids;
pub mod inventory;
pub mod job;
pub mod localization;
pub mod media;
pub mod menu;
pub mod micros;
pub mod money;
pub mod order;
pub mod owner;
pub mod page;
pub mod payment;
pub mod permission;
pub mod policy;
pub mod pricing;
pub mod query_limits;
pub mod quote;
pub mod rate_limit;
pub mod redirect;
pub mod reorder;
pub mod report;
pub mod rounding;
pub mod search;
pub mod shipping;
pub mod shop_profile;
pub mod spelling;
pub mod tax;
pub mod text;
pub mod time;
pub mod web_text;
pub mod webhook;
