//! Request-scoped dataloaders, one for every edge of the graph, so that a list takes as many
//! statements as a single item.
//!
//! Called by resolvers. A [`Loaders`] lives as long as its request and caches nothing beyond it.
//! Loaders never return what the actor may not see: visibility is derived here from the context.

mod catalog;
mod catalog_reads;
mod checkout;
mod content;
mod content_reads;
mod customers;
mod list_reads;
mod loader;
mod orders;
mod parts;
mod staff;

use std::collections::HashMap;
use std::hash::Hash;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use crate::auth::Keys;
use crate::concurrency::BatchScheduler;
use crate::context::OpContext;
use crate::db::{Conn, Db, DbError, ReadCoalescer, StatementCounter};
use crate::domain::access::permissions::Permission;
use crate::domain::ids::CustomerId;
use crate::domain::page::{CursorKey, Page};
use crate::repositories::Visibility;

pub use crate::repositories::access::api_keys::ApiKey;
pub use crate::repositories::catalog::collections::Collection;
pub use crate::repositories::catalog::images::Image;
pub use crate::repositories::catalog::inventory::InventoryLevel;
pub use crate::repositories::catalog::locations::Location;
pub use crate::repositories::catalog::media::Media;
pub use crate::repositories::catalog::products::{CollectionPageQuery, Product, ProductSort};
pub use crate::repositories::catalog::variants::Variant;
pub use crate::repositories::checkout::carts::{Cart, CartLine};
pub use crate::repositories::checkout::discounts::Discount;
pub use crate::repositories::checkout::shipping::{ShippingRate, ShippingZone};
pub use crate::repositories::checkout::tax_rates::TaxRate;
pub use crate::repositories::customers::Customer;
pub use crate::repositories::customers::addresses::CustomerAddress;
pub use crate::repositories::payments::credit::{CreditAccount, CreditTransaction};
pub use crate::repositories::payments::saved_methods::SavedMethod;
pub use crate::repositories::staff::StaffMember;
pub use crate::repositories::staff::roles::Role;
pub use crate::repositories::webhooks::{WebhookAttempt, WebhookDelivery, WebhookSubscription};
pub use catalog::CatalogLoaders;
pub use catalog_reads::CatalogReads;
pub use checkout::{AccessibleCart, CheckoutLoaders};
pub use content::{ContentLoaders, ContentPage, Menu, MenuItem, ShopPolicy, UrlRedirect, content_visibility};
pub use customers::CustomerLoaders;
pub use loader::{LoadError, LoadResult};
pub use orders::{
    CustomerPageQuery, DraftOrder, EventRow, Fulfillment, Order, OrderLine, OrderLoaders, OrderPage,
    OrderSort, OrderVisibility, Payment, Refund, Return, ledger_totals, refundable,
};
pub use staff::StaffLoaders;

/// A page of products with their cursor keys.
pub type ProductPage = Page<(Arc<Product>, CursorKey)>;

/// A page of collections with their cursor keys.
pub type CollectionPage = Page<(Arc<Collection>, CursorKey)>;

/// Reads of one kind, by partition and key.
type Reads<P, K, V> = ReadCoalescer<P, K, V>;

/// The loaders of an area, created on first use: most requests need those of one or two areas, and
/// all of them together are several kilobytes.
pub struct Area<T> {
    ctx: Arc<LoadContext>,
    loaders: OnceLock<Box<T>>,
}

/// The loaders of an area.
trait AreaLoaders {
    /// Creates the loaders for one request.
    fn new(ctx: &Arc<LoadContext>) -> Self;
}

impl<T> Area<T> {
    fn new(ctx: &Arc<LoadContext>) -> Self {
        Self { ctx: Arc::clone(ctx), loaders: OnceLock::new() }
    }
}

impl<T: AreaLoaders> Deref for Area<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.loaders.get_or_init(|| Box::new(T::new(&self.ctx)))
    }
}

/// The loaders of one request.
pub struct Loaders {
    /// The catalog and its stock.
    pub catalog: Area<CatalogLoaders>,
    /// Carts, discounts, taxes and shipping.
    pub checkout: Area<CheckoutLoaders>,
    /// Orders and what belongs to them.
    pub orders: Area<OrderLoaders>,
    /// Customers.
    pub customers: Area<CustomerLoaders>,
    /// Staff and webhooks.
    pub staff: Area<StaffLoaders>,
    /// Pages, menus, policies and redirects.
    pub content: Area<ContentLoaders>,
}

/// What the loaders of a request need: the database, what the actor may see, and the statement
/// counter.
struct LoadContext {
    db: Db,
    statements: StatementCounter,
    scheduler: BatchScheduler,
    catalog: Arc<CatalogReads>,
    product_visibility: Visibility,
    page_visibility: Visibility,
    order_visibility: OrderVisibility,
    customer: Option<CustomerId>,
    /// Verifies cart keys.
    keys: Arc<Keys>,
}

impl LoadContext {
    async fn conn(&self) -> Result<Conn, DbError> {
        self.db.read(&self.statements).await
    }
}

/// Which products the actor of an operation may see.
#[must_use]
pub fn visibility(op: &OpContext) -> Visibility {
    if op.may(Permission::ReadProducts) { Visibility::All } else { Visibility::Published }
}

impl Loaders {
    /// Creates the loaders of one request, or of one event of a subscription, driven by
    /// `scheduler`.
    #[must_use]
    pub fn new(
        db: &Db,
        catalog: &Arc<CatalogReads>,
        keys: &Arc<Keys>,
        op: &OpContext,
        scheduler: &BatchScheduler,
    ) -> Self {
        let ctx = Arc::new(LoadContext {
            db: db.clone(),
            statements: op.statements.clone(),
            scheduler: scheduler.clone(),
            catalog: Arc::clone(catalog),
            product_visibility: visibility(op),
            page_visibility: content_visibility(op),
            order_visibility: OrderVisibility::for_actor(op),
            customer: op.actor.customer(),
            keys: Arc::clone(keys),
        });
        Self {
            catalog: Area::new(&ctx),
            checkout: Area::new(&ctx),
            orders: Area::new(&ctx),
            customers: Area::new(&ctx),
            staff: Area::new(&ctx),
            content: Area::new(&ctx),
        }
    }
}

/// Indexes rows by a unique key.
fn index_by<K: Eq + Hash, V>(rows: Vec<V>, key: impl Fn(&V) -> K) -> HashMap<K, Option<Arc<V>>> {
    rows.into_iter().map(|row| (key(&row), Some(Arc::new(row)))).collect()
}

/// Shares values that each have a key of their own.
fn by_key<K: Eq + Hash, V>(rows: Vec<(K, V)>) -> HashMap<K, Option<Arc<V>>> {
    rows.into_iter().map(|(key, value)| (key, Some(Arc::new(value)))).collect()
}

/// Groups rows by a key that they have, keeping their order.
fn group_rows<K: Eq + Hash, V>(rows: Vec<V>, key: impl Fn(&V) -> K) -> HashMap<K, Arc<[Arc<V>]>> {
    group_by_key(rows.into_iter().map(|row| (key(&row), Arc::new(row))))
}

/// Groups rows by a key, keeping their order.
fn group_by_key<K: Eq + Hash, V>(rows: impl IntoIterator<Item = (K, V)>) -> HashMap<K, Arc<[V]>> {
    let mut groups: HashMap<K, Vec<V>> = HashMap::new();
    for (key, row) in rows {
        groups.entry(key).or_default().push(row);
    }
    groups.into_iter().map(|(key, rows)| (key, rows.into())).collect()
}
