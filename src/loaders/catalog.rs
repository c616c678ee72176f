//! Loaders of the catalog and its stock. Products are those that the actor may see; callers check
//! access to the product of everything else. Most batches are coalesced with those of other
//! requests ([`CatalogReads`](super::CatalogReads)).

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::future::try_join_all;

use super::loader::{LoadError, LoadResult, Loader, shared};
use super::{
    AreaLoaders, Collection, CollectionPageQuery, Image, InventoryLevel, LoadContext, Location, Media,
    Product, ProductPage, Variant, group_by_key, index_by,
};
use crate::domain::catalog::Description;
use crate::domain::ids::{CollectionId, ImageId, LocationId, MediaId, ProductId, VariantId};
use crate::domain::media::{ContentHash, StoredFile};
use crate::repositories::catalog::{locations, media, products};

/// The loaders of the catalog and its stock.
pub struct CatalogLoaders {
    /// Products the actor may see, by id.
    pub products: Loader<ProductId, Option<Arc<Product>>>,
    /// Products the actor may see, by handle.
    pub products_by_handle: Loader<String, Option<Arc<Product>>>,
    /// The description of a product that the actor may see.
    pub product_descriptions: Loader<ProductId, Option<Arc<Description>>>,
    /// A product's tags, in order.
    pub tags: Loader<ProductId, Arc<[String]>>,
    /// Images, by id.
    pub images: Loader<ImageId, Option<Arc<Image>>>,
    /// A product's images, in order.
    pub images_of_product: Loader<ProductId, Arc<[Arc<Image>]>>,
    /// The other sizes and formats of an image, by the hash of its content.
    pub renditions: Loader<ContentHash, Arc<[StoredFile]>>,
    /// Videos, and images that are not ready, by id. Callers must check access.
    pub media: Loader<MediaId, Option<Arc<Media>>>,
    /// A product's videos, and images that are not ready, in order. Callers must check access.
    pub media_of_product: Loader<ProductId, Arc<[Arc<Media>]>>,
    /// Variants, by id. Callers must check access to the product.
    pub variants: Loader<VariantId, Option<Arc<Variant>>>,
    /// A product's variants, in order.
    pub variants_of_product: Loader<ProductId, Arc<[Arc<Variant>]>>,
    /// A variant's inventory levels, each with whether its location's stock can be sold.
    pub levels_of_variant: Loader<VariantId, Arc<[(InventoryLevel, bool)]>>,
    /// Locations, by id.
    pub locations: Loader<LocationId, Option<Arc<Location>>>,
    /// Collections, by id.
    pub collections: Loader<CollectionId, Option<Arc<Collection>>>,
    /// Collections, by handle.
    pub collections_by_handle: Loader<String, Option<Arc<Collection>>>,
    /// The description of a collection.
    pub collection_descriptions: Loader<CollectionId, Option<Arc<Description>>>,
    /// The collections that contain a product, ordered by title.
    pub collections_of_product: Loader<ProductId, Arc<[Arc<Collection>]>>,
    /// A page of a collection's products that the actor may see.
    pub products_of_collection: Loader<(CollectionId, CollectionPageQuery), Option<Arc<ProductPage>>>,
    /// Number of products in a collection that the actor may see.
    pub product_count_of_collection: Loader<CollectionId, i64>,
}

impl AreaLoaders for CatalogLoaders {
    fn new(ctx: &Arc<LoadContext>) -> Self {
        Self {
            products: shared!(ctx, products, ctx.product_visibility),
            products_by_handle: shared!(ctx, products_by_handle, ctx.product_visibility),
            product_descriptions: shared!(ctx, product_descriptions, ctx.product_visibility),
            tags: shared!(ctx, tags, ()),
            images: shared!(ctx, images, ()),
            images_of_product: shared!(ctx, images_of_product, ()),
            renditions: shared!(ctx, renditions, ()),
            media: Loader::new("media", ctx, &|ctx: Arc<LoadContext>, ids| async move {
                Ok(index_by(media::by_ids(&mut ctx.conn().await?, &ids).await?, |row| row.id))
            }),
            media_of_product: Loader::new(
                "media_of_product",
                ctx,
                &|ctx: Arc<LoadContext>, ids| async move {
                    let rows = media::not_in_images(&mut ctx.conn().await?, &ids).await?;
                    Ok(group_by_key(rows.into_iter().map(|row| (row.product_id, Arc::new(row)))))
                },
            ),
            variants: shared!(ctx, variants, ()),
            variants_of_product: shared!(ctx, variants_of_product, ()),
            levels_of_variant: shared!(ctx, levels_of_variant, ()),
            locations: Loader::new("locations", ctx, &|ctx: Arc<LoadContext>, ids| async move {
                Ok(index_by(locations::by_ids(&mut ctx.conn().await?, &ids).await?, |location| location.id))
            }),
            collections: shared!(ctx, collections, ()),
            collections_by_handle: shared!(ctx, collections_by_handle, ()),
            collection_descriptions: shared!(ctx, collection_descriptions, ()),
            collections_of_product: shared!(ctx, collections_of_product, ()),
            products_of_collection: Loader::shared("products_of_collection", ctx, &products_of_collections),
            product_count_of_collection: Loader::new(
                "product_count_of_collection",
                ctx,
                &|ctx: Arc<LoadContext>, ids| async move {
                    let counts =
                        products::count_in_collections(&mut ctx.conn().await?, ctx.product_visibility, &ids)
                            .await?;
                    Ok(counts.into_iter().collect())
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
