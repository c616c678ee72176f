//! Database queries with Diesel; the only place that names tables. Functions take a `&mut Conn` and
//! are named alike in every file: `find`, `lock`, `by_ids`, `page`, `insert`, `update`, `delete`. A
//! missing row is `None`; lists return a `Page`.
//!
//! Called by loaders and services. Repositories never open transactions, take connections from the
//! pool, check permissions or append events.

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

/// The products that a read may return.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Visibility {
    /// Published (active) products only.
    Published,
    /// All products, including drafts and archived ones.
    All,
}

impl Visibility {
    /// Whether all products are visible.
    #[must_use]
    pub fn is_all(self) -> bool {
        self == Self::All
    }
}
