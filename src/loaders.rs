//! Request-scoped dataloaders: one for every edge of the graph, so that a list costs as many statements as one item.
//!
//! Resolvers call them; one [`Loaders`] lives as long as its request, and so caches nothing longer. What an actor may not
//! see, no loader gives: visibility is decided here once, from the context.

mod awaited;
mod catalog;
mod content;
mod edge;
mod orders;
mod turns;

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use futures_util::future::try_join_all;

use crate::auth::Keys;
use crate::context::OpContext;
use crate::db::{Conn, Db, DbError, Statements};
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
pub use crate::repositories::products::{CollectionPage, Product, ProductSort};
pub use crate::repositories::roles::Role;
pub use crate::repositories::shipping::{ShippingRate, ShippingZone};
pub use crate::repositories::staff::StaffMember;
pub use crate::repositories::tax_rates::TaxRate;
pub use crate::repositories::variants::Variant;
pub use crate::repositories::webhooks::{WebhookAttempt, WebhookDelivery, WebhookSubscription};
pub use catalog::CatalogReads;
pub use content::{Content, ContentPage, Menu, MenuItem, ShopPolicy, UrlRedirect, content_visibility};
use edge::Edge;
pub use edge::{LoadError, Loaded};
pub use orders::{
    CustomerPage, DraftOrder, EventRow, Fulfillment, OfOrder, Order, OrderLine, OrderPage, OrderSort,
    OrderVisibility, Payment, Refund, Return, paid, refundable,
};
pub use turns::Turns;

/// A page of products with their keys in the page's order.
pub type ProductPage = Page<(Arc<Product>, CursorKey)>;

/// The loaders of one request.
pub struct Loaders {
    /// Products the actor may see, by id.
    pub products: Edge<ProductId, Option<Arc<Product>>>,
    /// Products the actor may see, by handle.
    pub products_by_handle: Edge<String, Option<Arc<Product>>>,
    /// A product's tags, in order.
    pub tags: Edge<ProductId, Arc<[String]>>,
    /// Images, by id.
    pub images: Edge<ImageId, Option<Arc<Image>>>,
    /// A product's images, in order.
    pub images_of_product: Edge<ProductId, Arc<[Arc<Image>]>>,
    /// The other sizes and formats of a picture, by the hash of its content.
    pub renditions: Edge<ContentHash, Arc<[StoredFile]>>,
    /// Videos, and pictures that are not ready, by id, whoever may see them: who asks is to see to that.
    pub media: Edge<MediaId, Option<Arc<Media>>>,
    /// What a product has besides its images: videos, and pictures that are not ready; in order, whoever may see them.
    pub media_of_product: Edge<ProductId, Arc<[Arc<Media>]>>,
    /// Variants, by id, whoever may see them: their product decides.
    pub variants: Edge<VariantId, Option<Arc<Variant>>>,
    /// A product's variants, in order.
    pub variants_of_product: Edge<ProductId, Arc<[Arc<Variant>]>>,
    /// A variant's levels, each with whether its location's stock can be sold.
    pub levels_of_variant: Edge<VariantId, Arc<[(InventoryLevel, bool)]>>,
    /// Collections, by id.
    pub collections: Edge<CollectionId, Option<Arc<Collection>>>,
    /// Collections, by handle.
    pub collections_by_handle: Edge<String, Option<Arc<Collection>>>,
    /// The collections a product is in, by title.
    pub collections_of_product: Edge<ProductId, Arc<[Arc<Collection>]>>,
    /// A page of a collection's products that the actor may see.
    pub products_of_collection: Edge<(CollectionId, CollectionPage), Option<Arc<ProductPage>>>,
    /// How many of a collection's products the actor may see.
    pub product_count_of_collection: Edge<CollectionId, i64>,
    /// How many orders a customer has, whoever may see them: who asks is to see to that.
    pub order_count_of_customer: Edge<CustomerId, i64>,
    /// Carts that the actor may see, by id and token.
    pub carts: Edge<CartRef, Option<OpenedCart>>,
    /// A cart's lines, in order.
    pub lines_of_cart: Edge<CartId, Arc<[CartLine]>>,
    /// Locations, by id.
    pub locations: Edge<LocationId, Option<Arc<Location>>>,
    /// Discounts, by id.
    pub discounts: Edge<DiscountId, Option<Arc<Discount>>>,
    /// Tax rates, by id.
    pub tax_rates: Edge<TaxRateId, Option<Arc<TaxRate>>>,
    /// Shipping zones, by id.
    pub shipping_zones: Edge<ShippingZoneId, Option<Arc<ShippingZone>>>,
    /// Shipping rates, by id.
    pub shipping_rates: Edge<ShippingRateId, Option<Arc<ShippingRate>>>,
    /// A shipping zone's rates, in order.
    pub rates_of_zone: Edge<ShippingZoneId, Arc<[Arc<ShippingRate>]>>,
    /// Orders the actor may see, by id.
    pub orders: Edge<OrderId, Option<Arc<Order>>>,
    /// A page of a customer's orders, whoever may see them: who asks is to see to that.
    pub orders_of_customer: Edge<(CustomerId, CustomerPage), Option<Arc<OrderPage>>>,
    /// What belongs to an order.
    pub of_order: OfOrder,
    /// Pages, menus, policies and redirects.
    pub content: Content,
    /// Customers, by id, whoever may see them: who asks for one is to see to that.
    pub customers: Edge<CustomerId, Option<Arc<Customer>>>,
    /// A customer's addresses, in the order they were made.
    pub addresses_of_customer: Edge<CustomerId, Arc<[Arc<CustomerAddress>]>>,
    /// Members of staff, by id.
    pub staff_members: Edge<StaffId, Option<Arc<StaffMember>>>,
    /// A member's roles, by name.
    pub roles_of_staff: Edge<StaffId, Arc<[Arc<Role>]>>,
    /// Endpoints of other services, by id, whoever may see them: who asks for one is to see to that.
    pub webhook_subscriptions: Edge<WebhookSubscriptionId, Option<Arc<WebhookSubscription>>>,
    /// The attempts to send a message, in order.
    pub attempts_of_delivery: Edge<WebhookDeliveryId, Arc<[Arc<WebhookAttempt>]>>,
}

/// What a request reads from, what its actor may see of it, and where its statements are counted.
struct Source {
    db: Db,
    statements: Statements,
    turns: Turns,
    catalog: Arc<CatalogReads>,
    sees: Visibility,
    sees_content: Visibility,
    orders: OrderVisibility,
    customer: Option<CustomerId>,
    /// What tells the keys of carts.
    keys: Arc<Keys>,
}

impl Source {
    async fn conn(&self) -> Result<Conn, DbError> {
        self.db.read(&self.statements).await
    }
}

/// Which products the actor of an operation may see.
#[must_use]
pub fn visibility(op: &OpContext) -> Visibility {
    if op.may(Permission::ReadProducts) { Visibility::All } else { Visibility::Published }
}

/// An edge of the catalog, whose batches are read together with those of other requests in the same lane.
macro_rules! shared {
    ($source:ident, $reads:ident, $lane:expr) => {
        Edge::shared(&$source, &|$source: Arc<Source>, keys| async move {
            $source.catalog.$reads.read($lane, keys, &$source.statements).await
        })
    };
}

impl Loaders {
    /// The loaders of one request, or of one event of a subscription, which `turns` drives.
    #[must_use]
    pub fn new(
        db: &Db,
        catalog: &Arc<CatalogReads>,
        keys: &Arc<Keys>,
        op: &OpContext,
        turns: &Turns,
    ) -> Self {
        let source = Arc::new(Source {
            db: db.clone(),
            statements: op.statements.clone(),
            turns: turns.clone(),
            catalog: Arc::clone(catalog),
            sees: visibility(op),
            sees_content: content_visibility(op),
            orders: OrderVisibility::of(op),
            customer: op.actor.customer(),
            keys: Arc::clone(keys),
        });
        Self {
            products: shared!(source, products, source.sees),
            products_by_handle: shared!(source, products_by_handle, source.sees),
            tags: shared!(source, tags, ()),
            images: shared!(source, images, ()),
            images_of_product: shared!(source, images_of_product, ()),
            renditions: shared!(source, renditions, ()),
            media: Edge::new(&source, &|source: Arc<Source>, ids| async move {
                Ok(single(media::by_ids(&mut source.conn().await?, &ids).await?, |row| row.id))
            }),
            media_of_product: Edge::new(&source, &|source: Arc<Source>, ids| async move {
                let rows = media::besides_images(&mut source.conn().await?, &ids).await?;
                Ok(grouped(rows.into_iter().map(|row| (row.product_id, Arc::new(row)))))
            }),
            variants: shared!(source, variants, ()),
            variants_of_product: shared!(source, variants_of_product, ()),
            levels_of_variant: shared!(source, levels_of_variant, ()),
            collections: shared!(source, collections, ()),
            collections_by_handle: shared!(source, collections_by_handle, ()),
            collections_of_product: shared!(source, collections_of_product, ()),
            products_of_collection: Edge::shared(&source, &products_of_collections),
            product_count_of_collection: Edge::new(&source, &|source: Arc<Source>, ids| async move {
                let counts =
                    products::count_in_collections(&mut source.conn().await?, source.sees, &ids).await?;
                Ok(counts.into_iter().collect())
            }),
            order_count_of_customer: Edge::new(&source, &|source: Arc<Source>, ids| async move {
                let counts = order_rows::count_of_customers(&mut source.conn().await?, &ids).await?;
                Ok(counts.into_iter().collect())
            }),
            carts: Edge::new(&source, &open_carts),
            lines_of_cart: Edge::new(&source, &|source: Arc<Source>, ids| async move {
                let rows = carts::lines(&mut source.conn().await?, &ids).await?;
                Ok(grouped(rows.into_iter().map(|line| (line.cart_id, line))))
            }),
            locations: Edge::new(&source, &|source: Arc<Source>, ids| async move {
                Ok(single(locations::by_ids(&mut source.conn().await?, &ids).await?, |location| location.id))
            }),
            discounts: Edge::new(&source, &|source: Arc<Source>, ids| async move {
                Ok(single(discounts::by_ids(&mut source.conn().await?, &ids).await?, |discount| discount.id))
            }),
            tax_rates: Edge::new(&source, &|source: Arc<Source>, ids| async move {
                Ok(single(tax_rates::by_ids(&mut source.conn().await?, &ids).await?, |rate| rate.id))
            }),
            shipping_zones: Edge::new(&source, &|source: Arc<Source>, ids| async move {
                Ok(single(shipping::zones_by_ids(&mut source.conn().await?, &ids).await?, |zone| zone.id))
            }),
            shipping_rates: Edge::new(&source, &|source: Arc<Source>, ids| async move {
                Ok(single(shipping::rates_by_ids(&mut source.conn().await?, &ids).await?, |rate| rate.id))
            }),
            rates_of_zone: Edge::new(&source, &|source: Arc<Source>, ids| async move {
                let rows = shipping::rates_of_zones(&mut source.conn().await?, &ids).await?;
                Ok(grouped(rows.into_iter().map(|rate| (rate.zone_id, Arc::new(rate)))))
            }),
            orders: Edge::new(&source, &orders::by_ids),
            orders_of_customer: Edge::new(&source, &orders::of_customers),
            of_order: OfOrder::new(&source),
            content: Content::new(&source),
            customers: Edge::new(&source, &|source: Arc<Source>, ids| async move {
                Ok(single(customers::by_ids(&mut source.conn().await?, &ids).await?, |customer| customer.id))
            }),
            addresses_of_customer: Edge::new(&source, &|source: Arc<Source>, ids| async move {
                let rows = customer_addresses::by_customer_ids(&mut source.conn().await?, &ids).await?;
                Ok(grouped(rows.into_iter().map(|address| (address.customer_id, Arc::new(address)))))
            }),
            staff_members: Edge::new(&source, &|source: Arc<Source>, ids| async move {
                Ok(single(staff::by_ids(&mut source.conn().await?, &ids).await?, |member| member.id))
            }),
            roles_of_staff: Edge::new(&source, &|source: Arc<Source>, ids| async move {
                let rows = roles::of_staff(&mut source.conn().await?, &ids).await?;
                Ok(grouped(rows.into_iter().map(|(member, role)| (member, Arc::new(role)))))
            }),
            webhook_subscriptions: Edge::new(&source, &|source: Arc<Source>, ids| async move {
                Ok(single(webhooks::by_ids(&mut source.conn().await?, &ids).await?, |webhook| webhook.id))
            }),
            attempts_of_delivery: Edge::new(&source, &|source: Arc<Source>, ids| async move {
                let rows = webhooks::attempts_of(&mut source.conn().await?, &ids).await?;
                Ok(grouped(rows.into_iter().map(|attempt| (attempt.delivery_id, Arc::new(attempt)))))
            }),
        }
    }
}

/// Reads one page of many collections: a statement for each different page that is asked for, however many collections.
async fn products_of_collections(
    source: Arc<Source>,
    keys: Vec<(CollectionId, CollectionPage)>,
) -> Loaded<Arc<HashMap<(CollectionId, CollectionPage), Option<Arc<ProductPage>>>>> {
    let mut wanted: HashMap<CollectionPage, Vec<CollectionId>> = HashMap::new();
    for (collection, page) in keys {
        wanted.entry(page).or_default().push(collection);
    }
    let reads = wanted.into_iter().map(|(page, ids)| {
        let Source { catalog, sees, statements, .. } = &*source;
        async move {
            let found =
                catalog.products_of_collection.read((*sees, page.clone()), ids.clone(), statements).await?;
            let pages = ids.into_iter().map(|id| ((id, page.clone()), found.get(&id).cloned().flatten()));
            Ok::<_, LoadError>(pages.collect::<Vec<_>>())
        }
    });
    Ok(Arc::new(try_join_all(reads).await?.into_iter().flatten().collect()))
}

/// A cart that the actor may use, or could until it was ordered.
#[derive(Clone)]
pub struct OpenedCart {
    /// The cart.
    pub row: Arc<Cart>,
    /// Whether an order of it stands: then there is no such cart any more, for anybody.
    pub is_ordered: bool,
}

/// Reads carts, and gives those that the actor knows the key of and that are nobody else's.
async fn open_carts(
    source: Arc<Source>,
    keys: Vec<CartRef>,
) -> Result<HashMap<CartRef, Option<OpenedCart>>, DbError> {
    let ids: Vec<CartId> = keys.iter().map(|key| key.id).collect();
    let rows = carts::by_ids(&mut source.conn().await?, &ids).await?;
    let rows: HashMap<CartId, OpenedCart> = rows
        .into_iter()
        .map(|(row, is_ordered)| (row.id, OpenedCart { row: Arc::new(row), is_ordered }))
        .collect();
    let open = |key: CartRef| {
        let is_open = |cart: &&OpenedCart| source.keys.opens_cart(&cart.row, &key.token, source.customer);
        let cart = rows.get(&key.id).filter(is_open).cloned();
        (key, cart)
    };
    Ok(keys.into_iter().map(open).collect())
}

/// Rows by a key that each has alone.
fn single<K: Eq + Hash, V>(rows: Vec<V>, key: impl Fn(&V) -> K) -> HashMap<K, Option<Arc<V>>> {
    rows.into_iter().map(|row| (key(&row), Some(Arc::new(row)))).collect()
}

/// Rows by a key that several may have, in their order.
fn grouped<K: Eq + Hash, V>(rows: impl IntoIterator<Item = (K, V)>) -> HashMap<K, Arc<[V]>> {
    let mut groups: HashMap<K, Vec<V>> = HashMap::new();
    for (key, row) in rows {
        groups.entry(key).or_default().push(row);
    }
    groups.into_iter().map(|(key, rows)| (key, rows.into())).collect()
}
