//! Diesel queries, and the only place that names a table. Functions on `&mut Conn` that read alike in every file: `find`,
//! `lock`, `by_ids`, `page`, `insert`, `update`, `delete`. Not found is `None`; lists return a `Page`.
//!
//! Loaders and services call them. They never open a transaction, take a pool, check a permission or append an event.

pub mod api_keys;
pub mod attempt_counters;
pub mod carts;
pub mod collections;
mod conditions;
pub mod customer_addresses;
pub mod customer_tokens;
pub mod customers;
pub mod discounts;
pub mod draft_orders;
pub mod events;
pub mod fulfillments;
pub mod idempotency;
pub mod images;
pub mod inventory;
pub mod jobs;
pub mod locations;
pub mod media;
pub mod menus;
pub mod order_import;
pub mod orders;
pub mod pages;
pub mod payments;
pub mod privacy;
pub mod products;
pub mod refresh_tokens;
pub mod refunds;
pub mod reports;
pub mod returns;
pub mod roles;
pub mod search;
pub mod shipping;
pub mod shop_policies;
pub mod shops;
pub mod sitemap;
pub mod staff;
pub mod tax_rates;
pub mod unindexed;
pub mod unpaid_orders;
pub mod url_redirects;
pub mod variants;
pub mod webhooks;
mod words;

/// Which products a read may see.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Visibility {
    /// What everybody may see: active products.
    Published,
    /// Drafts and archived products too.
    All,
}

impl Visibility {
    /// Whether every product may be seen.
    #[must_use]
    pub fn is_all(self) -> bool {
        self == Self::All
    }
}
