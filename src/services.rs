//! Use cases. A service is built in `app.rs` from what it needs; each of its methods authorizes, validates (all problems at
//! once), opens a transaction, calls repositories, appends events and commits.
//!
//! Resolvers and commands call services. A service knows nothing of GraphQL or HTTP, and holds no connection while it calls
//! the outside world.

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

/// All services, for resolvers to pick from the request's context.
pub struct Services {
    /// Reads of the catalogue.
    pub catalog: Catalog,
    /// Writes of products.
    pub products: Products,
    /// Writes of variants.
    pub variants: Variants,
    /// Writes of products' options.
    pub options: Options,
    /// Writes of collections.
    pub collections: Collections,
    /// Stock and locations.
    pub inventory: Inventory,
    /// Placing orders.
    pub checkout: Checkout,
    /// Having them paid for.
    pub payments: Arc<Payments>,
    /// Orders once they are placed.
    pub orders: Orders,
    /// What baskets cost.
    pub pricing: Arc<Pricing>,
    /// Writes of discounts.
    pub discounts: Discounts,
    /// Writes of tax rates.
    pub taxes: Taxes,
    /// Writes of shipping zones and rates.
    pub shipping: Shipping,
    /// Carts.
    pub carts: Carts,
    /// Customers, their sign-in and their addresses.
    pub customers: Customers,
    /// What is held on customers.
    pub privacy: Privacy,
    /// What mails say.
    pub mails: Mails,
    /// Staff, their sign-in and their roles.
    pub staff: Staff,
    /// Keys of services.
    pub api_keys: ApiKeys,
    /// Messages to other services.
    pub webhooks: Webhooks,
    /// Sales in figures.
    pub reports: Reports,
    /// Events for other services.
    pub event_export: EventExport,
    /// Jobs and the schedule.
    pub jobs: Jobs,
    /// What nobody needs any more.
    pub clean_up: CleanUp,
    /// What staff change of the shop itself.
    pub shop_settings: ShopSettings,
    /// Pages.
    pub pages: Pages,
    /// Menus.
    pub menus: Menus,
    /// Redirects from old paths.
    pub redirects: Redirects,
    /// What is published, for search engines.
    pub sitemaps: Sitemaps,
    /// Pictures and videos of products.
    pub media: Media,
}

/// Sets a field that a patch names, and leaves others as they are.
fn set<T: Clone>(field: &mut T, value: Option<&T>) {
    if let Some(value) = value {
        field.clone_from(value);
    }
}
