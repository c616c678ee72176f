//! Use cases. Each service is built in `app.rs`. Its methods authorize the caller, validate the
//! input (reporting all problems at once), open a transaction, call repositories, append events and
//! commit.
//!
//! GraphQL resolvers, commands and jobs call services. A service knows nothing of GraphQL or HTTP,
//! and holds no database connection while it calls external systems.

pub mod address;
pub mod api_keys;
pub mod attempts;
pub mod cart;
pub mod catalog;
pub mod checkout;
pub mod clean_up;
pub mod content;
mod credentials;
mod csv_table;
pub mod customer_export;
pub mod customers;
pub mod demo;
pub mod discounts;
pub mod event_export;
mod idempotency;
pub mod inventory;
pub mod jobs;
mod list_query;
pub mod mails;
pub mod media;
pub mod order_csv;
pub mod order_export;
pub mod order_import;
pub mod orders;
pub mod payments;
pub mod pricing;
pub mod privacy;
pub mod product_csv;
pub mod product_export;
pub mod product_import;
pub mod rate_limits;
pub mod reports;
pub mod sale;
pub mod search_index;
pub mod sessions;
pub mod shipping;
pub mod shop;
mod spreadsheet;
pub mod staff;
pub mod stock;
mod tags;
pub mod taxes;
mod validate;
pub mod webhooks;

pub use api_keys::ApiKeys;
pub use attempts::Attempts;
pub use cart::Carts;
pub use catalog::{Catalog, Collections, Options, Products, Variants};
pub use checkout::Checkout;
pub use clean_up::CleanUp;
pub use content::{Menus, Pages, Redirects, Sitemaps};
pub use customer_export::CustomerExport;
pub use customers::Customers;
pub use discounts::Discounts;
pub use event_export::EventExport;
pub use inventory::Inventory;
pub use jobs::Jobs;
pub use mails::Mails;
pub use media::Media;
pub use order_export::OrderExport;
pub use order_import::OrderImport;
pub use orders::Orders;
pub use payments::Payments;
pub use pricing::Pricing;
pub use privacy::Privacy;
pub use product_export::ProductExport;
pub use product_import::ProductImport;
pub use rate_limits::RateLimits;
pub use reports::Reports;
pub use sessions::Sessions;
pub use shipping::Shipping;
pub use shop::{Shop, ShopSettings};
pub use staff::Staff;
pub use taxes::Taxes;
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
