//! Request-scoped dataloaders, one for every edge of the graph, so that a list takes as many
//! statements as a single item.
//!
//! Called by resolvers. A [`Loaders`] lives as long as its request and caches nothing beyond it.
//! Loaders never return what the actor may not see: visibility is derived here from the context.

mod batch_scheduler;
mod catalog;
mod content;
mod loader;
mod orders;
mod shared_value;

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use futures_util::future::try_join_all;

use crate::auth::Keys;
use crate::context::OpContext;
use crate::db::{Conn, Db, DbError, StatementCounter};
use crate::domain::cart::CartRef;
use crate::domain::ids::{
    CartId, CollectionId, CustomerId, DiscountId, ImageId, LocationId, MediaId, OrderId, ProductId,
    ShippingRateId, ShippingZoneId, StaffId, TaxRateId, VariantId, WebhookDeliveryId, WebhookSubscriptionId,
};
use crate::domain::media::{ContentHash, StoredFile};
use crate::domain::page::{CursorKey, Page};
use crate::domain::permission::Permission;
use crate::repositories::{
    Visibility, carts, customer_addresses, customers, discounts, locations, media, orders as order_rows,
    products, roles, shipping, staff, tax_rates, webhooks,
};

pub use crate::repositories::api_keys::ApiKey;
pub use crate::repositories::carts::{Cart, CartLine};
pub use crate::repositories::collections::Collection;
pub use crate::repositories::customer_addresses::CustomerAddress;
pub use crate::repositories::customers::Customer;
pub use crate::repositories::discounts::Discount;
pub use crate::repositories::images::Image;
pub use crate::repositories::inventory::InventoryLevel;
pub use crate::repositories::locations::Location;
pub use crate::repositories::media::Media;
pub use crate::repositories::products::{CollectionPageQuery, Product, ProductSort};
pub use crate::repositories::roles::Role;
pub use crate::repositories::shipping::{ShippingRate, ShippingZone};
pub use crate::repositories::staff::StaffMember;
pub use crate::repositories::tax_rates::TaxRate;
pub use crate::repositories::variants::Variant;
pub use crate::repositories::webhooks::{WebhookAttempt, WebhookDelivery, WebhookSubscription};
pub use batch_scheduler::BatchScheduler;
pub use catalog::CatalogReads;
pub use content::{ContentLoaders, ContentPage, Menu, MenuItem, ShopPolicy, UrlRedirect, content_visibility};
use loader::Loader;
pub use loader::{LoadError, LoadResult};
pub use orders::{
    CustomerPageQuery, DraftOrder, EventRow, Fulfillment, Order, OrderLine, OrderLoaders, OrderPage,
    OrderSort, OrderVisibility, Payment, Refund, Return, ledger_totals, refundable,
};

/// A page of products with their cursor keys.
pub type ProductPage = Page<(Arc<Product>, CursorKey)>;

/// The loaders of one request.
pub struct Loaders {
    /// Products the actor may see, by id.
    pub products: Loader<ProductId, Option<Arc<Product>>>,
    /// Products the actor may see, by handle.
    pub products_by_handle: Loader<String, Option<Arc<Product>>>,
    /// A product's tags, in order.
    pub tags: Loader<ProductId, Arc<[String]>>,
    /// Images, by id.
    pub images: Loader<ImageId, Option<Arc<Image>>>,
    /// A product's images, in order.
    pub images_of_product: Loader<ProductId, Arc<[Arc<Image>]>>,
    /// The other sizes and formats of a picture, by the hash of its content.
    pub renditions: Loader<ContentHash, Arc<[StoredFile]>>,
    /// Videos, and pictures that are not ready, by id. Callers must check access.
    pub media: Loader<MediaId, Option<Arc<Media>>>,
    /// A product's videos, and pictures that are not ready, in order. Callers must check access.
    pub media_of_product: Loader<ProductId, Arc<[Arc<Media>]>>,
    /// Variants, by id. Callers must check access to the product.
    pub variants: Loader<VariantId, Option<Arc<Variant>>>,
    /// A product's variants, in order.
    pub variants_of_product: Loader<ProductId, Arc<[Arc<Variant>]>>,
    /// A variant's inventory levels, each with whether its location's stock can be sold.
    pub levels_of_variant: Loader<VariantId, Arc<[(InventoryLevel, bool)]>>,
    /// Collections, by id.
    pub collections: Loader<CollectionId, Option<Arc<Collection>>>,
    /// Collections, by handle.
    pub collections_by_handle: Loader<String, Option<Arc<Collection>>>,
    /// The collections that contain a product, ordered by title.
    pub collections_of_product: Loader<ProductId, Arc<[Arc<Collection>]>>,
    /// A page of a collection's products that the actor may see.
    pub products_of_collection: Loader<(CollectionId, CollectionPageQuery), Option<Arc<ProductPage>>>,
    /// Number of products in a collection that the actor may see.
    pub product_count_of_collection: Loader<CollectionId, i64>,
    /// Number of orders of a customer. Callers must check access.
    pub order_count_of_customer: Loader<CustomerId, i64>,
    /// Carts that the actor may see, by id and token.
    pub carts: Loader<CartRef, Option<AccessibleCart>>,
    /// A cart's lines, in order.
    pub lines_of_cart: Loader<CartId, Arc<[CartLine]>>,
    /// Locations, by id.
    pub locations: Loader<LocationId, Option<Arc<Location>>>,
    /// Discounts, by id.
    pub discounts: Loader<DiscountId, Option<Arc<Discount>>>,
    /// Tax rates, by id.
    pub tax_rates: Loader<TaxRateId, Option<Arc<TaxRate>>>,
    /// Shipping zones, by id.
    pub shipping_zones: Loader<ShippingZoneId, Option<Arc<ShippingZone>>>,
    /// Shipping rates, by id.
    pub shipping_rates: Loader<ShippingRateId, Option<Arc<ShippingRate>>>,
    /// A shipping zone's rates, in order.
    pub rates_of_zone: Loader<ShippingZoneId, Arc<[Arc<ShippingRate>]>>,
    /// Orders the actor may see, by id.
    pub orders: Loader<OrderId, Option<Arc<Order>>>,
    /// A page of a customer's orders. Callers must check access.
    pub orders_of_customer: Loader<(CustomerId, CustomerPageQuery), Option<Arc<OrderPage>>>,
    /// Loaders of what belongs to an order.
    pub for_order: OrderLoaders,
    /// Loaders of pages, menus, policies and redirects.
    pub content: ContentLoaders,
    /// Customers, by id. Callers must check access.
    pub customers: Loader<CustomerId, Option<Arc<Customer>>>,
    /// A customer's addresses, oldest first.
    pub addresses_of_customer: Loader<CustomerId, Arc<[Arc<CustomerAddress>]>>,
    /// Staff members, by id.
    pub staff_members: Loader<StaffId, Option<Arc<StaffMember>>>,
    /// A staff member's roles, ordered by name.
    pub roles_of_staff: Loader<StaffId, Arc<[Arc<Role>]>>,
    /// Webhook subscriptions, by id. Callers must check access.
    pub webhook_subscriptions: Loader<WebhookSubscriptionId, Option<Arc<WebhookSubscription>>>,
    /// The attempts of a webhook delivery, in order.
    pub attempts_of_delivery: Loader<WebhookDeliveryId, Arc<[Arc<WebhookAttempt>]>>,
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
    /// Verifies cart tokens.
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

/// A loader of the catalogue, whose batches are coalesced with those of other requests of the same
/// partition.
macro_rules! shared {
    ($ctx:ident, $reads:ident, $partition:expr) => {
        Loader::shared(stringify!($reads), &$ctx, &|$ctx: Arc<LoadContext>, keys| async move {
            $ctx.catalog.$reads.read($partition, keys, &$ctx.statements).await
        })
    };
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
            products: shared!(ctx, products, ctx.product_visibility),
            products_by_handle: shared!(ctx, products_by_handle, ctx.product_visibility),
            tags: shared!(ctx, tags, ()),
            images: shared!(ctx, images, ()),
            images_of_product: shared!(ctx, images_of_product, ()),
            renditions: shared!(ctx, renditions, ()),
            media: Loader::new("media", &ctx, &|ctx: Arc<LoadContext>, ids| async move {
                Ok(index_by(media::by_ids(&mut ctx.conn().await?, &ids).await?, |row| row.id))
            }),
            media_of_product: Loader::new(
                "media_of_product",
                &ctx,
                &|ctx: Arc<LoadContext>, ids| async move {
                    let rows = media::not_in_images(&mut ctx.conn().await?, &ids).await?;
                    Ok(group_by_key(rows.into_iter().map(|row| (row.product_id, Arc::new(row)))))
                },
            ),
            variants: shared!(ctx, variants, ()),
            variants_of_product: shared!(ctx, variants_of_product, ()),
            levels_of_variant: shared!(ctx, levels_of_variant, ()),
            collections: shared!(ctx, collections, ()),
            collections_by_handle: shared!(ctx, collections_by_handle, ()),
            collections_of_product: shared!(ctx, collections_of_product, ()),
            products_of_collection: Loader::shared("products_of_collection", &ctx, &products_of_collections),
            product_count_of_collection: Loader::new(
                "product_count_of_collection",
                &ctx,
                &|ctx: Arc<LoadContext>, ids| async move {
                    let counts =
                        products::count_in_collections(&mut ctx.conn().await?, ctx.product_visibility, &ids)
                            .await?;
                    Ok(counts.into_iter().collect())
                },
            ),
            order_count_of_customer: Loader::new(
                "order_count_of_customer",
                &ctx,
                &|ctx: Arc<LoadContext>, ids| async move {
                    let counts = order_rows::count_of_customers(&mut ctx.conn().await?, &ids).await?;
                    Ok(counts.into_iter().collect())
                },
            ),
            carts: Loader::new("carts", &ctx, &accessible_carts),
            lines_of_cart: Loader::new("lines_of_cart", &ctx, &|ctx: Arc<LoadContext>, ids| async move {
                let rows = carts::lines(&mut ctx.conn().await?, &ids).await?;
                Ok(group_by_key(rows.into_iter().map(|line| (line.cart_id, line))))
            }),
            locations: Loader::new("locations", &ctx, &|ctx: Arc<LoadContext>, ids| async move {
                Ok(index_by(locations::by_ids(&mut ctx.conn().await?, &ids).await?, |location| location.id))
            }),
            discounts: Loader::new("discounts", &ctx, &|ctx: Arc<LoadContext>, ids| async move {
                Ok(index_by(discounts::by_ids(&mut ctx.conn().await?, &ids).await?, |discount| discount.id))
            }),
            tax_rates: Loader::new("tax_rates", &ctx, &|ctx: Arc<LoadContext>, ids| async move {
                Ok(index_by(tax_rates::by_ids(&mut ctx.conn().await?, &ids).await?, |rate| rate.id))
            }),
            shipping_zones: Loader::new("shipping_zones", &ctx, &|ctx: Arc<LoadContext>, ids| async move {
                Ok(index_by(shipping::zones_by_ids(&mut ctx.conn().await?, &ids).await?, |zone| zone.id))
            }),
            shipping_rates: Loader::new("shipping_rates", &ctx, &|ctx: Arc<LoadContext>, ids| async move {
                Ok(index_by(shipping::rates_by_ids(&mut ctx.conn().await?, &ids).await?, |rate| rate.id))
            }),
            rates_of_zone: Loader::new("rates_of_zone", &ctx, &|ctx: Arc<LoadContext>, ids| async move {
                let rows = shipping::rates_of_zones(&mut ctx.conn().await?, &ids).await?;
                Ok(group_by_key(rows.into_iter().map(|rate| (rate.zone_id, Arc::new(rate)))))
            }),
            orders: Loader::new("orders", &ctx, &orders::by_ids),
            orders_of_customer: Loader::new("orders_of_customer", &ctx, &orders::pages_of_customers),
            for_order: OrderLoaders::new(&ctx),
            content: ContentLoaders::new(&ctx),
            customers: Loader::new("customers", &ctx, &|ctx: Arc<LoadContext>, ids| async move {
                Ok(index_by(customers::by_ids(&mut ctx.conn().await?, &ids).await?, |customer| customer.id))
            }),
            addresses_of_customer: Loader::new(
                "addresses_of_customer",
                &ctx,
                &|ctx: Arc<LoadContext>, ids| async move {
                    let rows = customer_addresses::by_customer_ids(&mut ctx.conn().await?, &ids).await?;
                    Ok(group_by_key(rows.into_iter().map(|address| (address.customer_id, Arc::new(address)))))
                },
            ),
            staff_members: Loader::new("staff_members", &ctx, &|ctx: Arc<LoadContext>, ids| async move {
                Ok(index_by(staff::by_ids(&mut ctx.conn().await?, &ids).await?, |member| member.id))
            }),
            roles_of_staff: Loader::new("roles_of_staff", &ctx, &|ctx: Arc<LoadContext>, ids| async move {
                let rows = roles::of_staff(&mut ctx.conn().await?, &ids).await?;
                Ok(group_by_key(rows.into_iter().map(|(member, role)| (member, Arc::new(role)))))
            }),
            webhook_subscriptions: Loader::new(
                "webhook_subscriptions",
                &ctx,
                &|ctx: Arc<LoadContext>, ids| async move {
                    Ok(index_by(webhooks::by_ids(&mut ctx.conn().await?, &ids).await?, |webhook| webhook.id))
                },
            ),
            attempts_of_delivery: Loader::new(
                "attempts_of_delivery",
                &ctx,
                &|ctx: Arc<LoadContext>, ids| async move {
                    let rows = webhooks::attempts_by_delivery_ids(&mut ctx.conn().await?, &ids).await?;
                    Ok(group_by_key(rows.into_iter().map(|attempt| (attempt.delivery_id, Arc::new(attempt)))))
                },
            ),
        }
    }
}

/// Reads one page of products for each of many collections, with one statement per distinct page.
async fn products_of_collections(
    ctx: Arc<LoadContext>,
    keys: Vec<(CollectionId, CollectionPageQuery)>,
) -> LoadResult<Arc<HashMap<(CollectionId, CollectionPageQuery), Option<Arc<ProductPage>>>>> {
    let mut collections_by_page: HashMap<CollectionPageQuery, Vec<CollectionId>> = HashMap::new();
    for (collection, page) in keys {
        collections_by_page.entry(page).or_default().push(collection);
    }
    let reads = collections_by_page.into_iter().map(|(page, ids)| {
        let LoadContext { catalog, product_visibility, statements, .. } = &*ctx;
        async move {
            let found = catalog
                .products_of_collection
                .read((*product_visibility, page.clone()), ids.clone(), statements)
                .await?;
            let pages = ids.into_iter().map(|id| ((id, page.clone()), found.get(&id).cloned().flatten()));
            Ok::<_, LoadError>(pages.collect::<Vec<_>>())
        }
    });
    Ok(Arc::new(try_join_all(reads).await?.into_iter().flatten().collect()))
}

/// A cart that the actor may use, or could use until it was ordered.
#[derive(Clone)]
pub struct AccessibleCart {
    /// The cart.
    pub row: Arc<Cart>,
    /// Whether it was ordered. Then it no longer exists for clients.
    pub is_ordered: bool,
}

/// Reads carts, without those whose token is wrong or which belong to another customer.
async fn accessible_carts(
    ctx: Arc<LoadContext>,
    keys: Vec<CartRef>,
) -> Result<HashMap<CartRef, Option<AccessibleCart>>, DbError> {
    let ids: Vec<CartId> = keys.iter().map(|key| key.id).collect();
    let rows = carts::by_ids(&mut ctx.conn().await?, &ids).await?;
    let rows: HashMap<CartId, AccessibleCart> = rows
        .into_iter()
        .map(|(row, is_ordered)| (row.id, AccessibleCart { row: Arc::new(row), is_ordered }))
        .collect();
    let find = |key: CartRef| {
        let has_access = |cart: &&AccessibleCart| ctx.keys.may_open_cart(&cart.row, &key.token, ctx.customer);
        let cart = rows.get(&key.id).filter(has_access).cloned();
        (key, cart)
    };
    Ok(keys.into_iter().map(find).collect())
}

/// Indexes rows by a unique key.
fn index_by<K: Eq + Hash, V>(rows: Vec<V>, key: impl Fn(&V) -> K) -> HashMap<K, Option<Arc<V>>> {
    rows.into_iter().map(|row| (key(&row), Some(Arc::new(row)))).collect()
}

/// Groups rows by a key, keeping their order.
fn group_by_key<K: Eq + Hash, V>(rows: impl IntoIterator<Item = (K, V)>) -> HashMap<K, Arc<[V]>> {
    let mut groups: HashMap<K, Vec<V>> = HashMap::new();
    for (key, row) in rows {
        groups.entry(key).or_default().push(row);
    }
    groups.into_iter().map(|(key, rows)| (key, rows.into())).collect()
}
