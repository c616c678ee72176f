//! Use cases. Each service is built in `app.rs`. Its methods authorize the caller, validate the
//! input (reporting all problems at once), open a transaction, call repositories, append events and
//! commit.
//!
//! GraphQL resolvers, commands and jobs call services. A service knows nothing of GraphQL or HTTP,
//! and holds no database connection while it calls external systems.

pub mod access;
pub mod catalog;
pub mod checkout;
pub mod content;
pub mod customers;
mod idempotency;
mod input;
pub mod jobs;
mod locked_order;
pub mod mails;
pub mod media;
pub mod orders;
pub mod payments;
pub mod reports;
pub mod shop;
pub mod staff;
pub mod transfer;
pub mod webhooks;

pub use access::{ApiKeys, Attempts, RateLimits, Sessions};
pub use catalog::{Catalog, Collections, Inventory, Options, Products, Variants};
pub use checkout::{Carts, Checkout, Discounts, Pricing, Shipping, Taxes};
pub use content::{Menus, Pages, Redirects, Sitemaps};
pub use customers::{Customers, Privacy};
pub use jobs::{CleanUp, Jobs};
pub use mails::Mails;
pub use media::Media;
pub use orders::Orders;
pub use payments::{GiftCards, Payments};
pub use reports::Reports;
pub use shop::{Shop, ShopSettings};
pub use staff::Staff;
pub use transfer::{CustomerExport, EventExport, OrderExport, OrderImport, ProductExport, ProductImport};
pub use webhooks::Webhooks;

use std::sync::Arc;

/// All services, available to resolvers through the request's context.
pub struct Services {
    /// Lists of products and collections.
    pub catalog: Catalog,
    /// Creates, updates and deletes products.
    pub products: Products,
    /// Creates, updates and deletes variants.
    pub variants: Variants,
    /// Renames and reorders product options.
    pub options: Options,
    /// Creates, updates and deletes collections.
    pub collections: Collections,
    /// Stock levels and locations.
    pub inventory: Inventory,
    /// Turns carts into orders.
    pub checkout: Checkout,
    /// Payments through payment providers.
    pub payments: Arc<Payments>,
    /// Gift cards and store credit.
    pub gift_cards: GiftCards,
    /// Orders after they are placed, and draft orders.
    pub orders: Orders,
    /// Prices baskets.
    pub pricing: Arc<Pricing>,
    /// Creates, updates and deletes discounts.
    pub discounts: Discounts,
    /// Creates, updates and deletes tax rates.
    pub taxes: Taxes,
    /// Creates, updates and deletes shipping zones and rates.
    pub shipping: Shipping,
    /// Carts.
    pub carts: Carts,
    /// Customer accounts, sign-in and address books.
    pub customers: Customers,
    /// Export and erasure of personal data.
    pub privacy: Privacy,
    /// Renders and queues mails.
    pub mails: Mails,
    /// Staff accounts, sign-in and roles.
    pub staff: Staff,
    /// API keys of integrations.
    pub api_keys: ApiKeys,
    /// Webhook subscriptions and deliveries.
    pub webhooks: Webhooks,
    /// Sales reports.
    pub reports: Reports,
    /// Export of the event log.
    pub event_export: EventExport,
    /// Background jobs and their schedule.
    pub jobs: Jobs,
    /// Deletes expired and obsolete data.
    pub clean_up: CleanUp,
    /// Settings of the shop.
    pub shop_settings: ShopSettings,
    /// Content pages.
    pub pages: Pages,
    /// Navigation menus.
    pub menus: Menus,
    /// Redirects from old URLs.
    pub redirects: Redirects,
    /// Sitemaps of published content.
    pub sitemaps: Sitemaps,
    /// Product images and videos.
    pub media: Media,
}

/// Overwrites a field if the patch has a value for it.
fn set<T: Clone>(field: &mut T, value: Option<&T>) {
    if let Some(value) = value {
        field.clone_from(value);
    }
}
