//! The reads of the catalog and of content, coalesced across requests: a storefront's pages ask for
//! the same products and menus over and over.

use std::collections::HashMap;
use std::sync::Arc;

use super::content_reads::ContentReads;
use super::list_reads::ListReads;
use super::parts::{
    Item, Items, PageOfCollections, of_collection, of_collection_handle, of_collection_page, of_image,
    of_memberships, of_product, of_product_handle, of_renditions, of_stock, of_variant,
};
use super::{Image, InventoryLevel, ProductPage, Reads, Variant, by_key, group_by_key, group_rows, index_by};
use crate::db::{Conn, Db, DbError, Lookups};
use crate::domain::catalog::Description;
use crate::domain::ids::{CollectionId, ImageId, ProductId, VariantId};
use crate::domain::media::{ContentHash, StoredFile};
use crate::repositories::Visibility;
use crate::repositories::catalog::collections::{self, Collection};
use crate::repositories::catalog::products::{self, Product};
use crate::repositories::catalog::{images, inventory, media, variants};

/// The reads of the catalog and of content, one set per process. Most are documented at the loader
/// of the same name in [`Loaders`](super::Loaders). Where the result depends on visibility, that is
/// the partition.
pub struct CatalogReads {
    pub(super) products: Reads<Visibility, ProductId, Item<Product>>,
    pub(super) products_by_handle: Reads<Visibility, String, Item<Product>>,
    pub(super) product_descriptions: Reads<Visibility, ProductId, Item<Description>>,
    pub(super) tags: Reads<(), ProductId, Items<String>>,
    pub(super) images: Reads<(), ImageId, Item<Image>>,
    pub(super) images_of_product: Reads<(), ProductId, Items<Arc<Image>>>,
    pub(super) renditions: Reads<(), ContentHash, Items<StoredFile>>,
    pub(super) variants: Reads<(), VariantId, Item<Variant>>,
    pub(super) variants_of_product: Reads<(), ProductId, Items<Arc<Variant>>>,
    pub(super) levels_of_variant: Reads<(), VariantId, Items<(InventoryLevel, bool)>>,
    pub(super) collections: Reads<(), CollectionId, Item<Collection>>,
    pub(super) collections_by_handle: Reads<(), String, Item<Collection>>,
    pub(super) collection_descriptions: Reads<(), CollectionId, Item<Description>>,
    pub(super) collections_of_product: Reads<(), ProductId, Items<Arc<Collection>>>,
    pub(super) products_of_collection: Reads<PageOfCollections, CollectionId, Item<ProductPage>>,
    /// Lists of products and collections.
    pub lists: ListReads,
    pub(super) content: ContentReads,
}

impl CatalogReads {
    /// Creates the reads of a database. Keeps products, collections and what belongs to them in up
    /// to `cache_bytes` of memory.
    #[must_use]
    pub fn new(db: &Db, cache_bytes: u64, lookups: &Lookups) -> Self {
        // So that one kind doesn't displace the others.
        let share = |percent| cache_bytes * percent / 100;
        Self {
            products: Reads::new(db, of_product, products_by_ids).cached(share(15), lookups),
            products_by_handle: Reads::new(db, of_product_handle, products_by_handles)
                .cached(share(10), lookups),
            product_descriptions: Reads::new(db, of_product, descriptions_of_products)
                .cached(share(8), lookups),
            tags: Reads::new(db, of_product, |mut conn, (), ids: Vec<_>| async move {
                Ok(group_by_key(products::tags(&mut conn, &ids).await?))
            })
            .cached(share(5), lookups),
            images: Reads::new(db, of_image, |mut conn, (), ids: Vec<_>| async move {
                Ok(index_by(images::by_ids(&mut conn, &ids).await?, |image| image.id))
            }),
            images_of_product: Reads::new(db, of_product, |mut conn, (), ids: Vec<_>| async move {
                Ok(group_rows(images::by_product_ids(&mut conn, &ids).await?, |image| image.product_id))
            })
            .cached(share(10), lookups),
            renditions: Reads::new(db, of_renditions, |mut conn, (), hashes: Vec<_>| async move {
                let rows = media::renditions(&mut conn, &hashes).await?;
                Ok(group_by_key(rows.into_iter().map(|row| (row.source_hash.clone(), row.file()))))
            }),
            variants: Reads::new(db, of_variant, |mut conn, (), ids: Vec<_>| async move {
                Ok(index_by(variants::by_ids(&mut conn, &ids).await?, |variant| variant.id))
            })
            .cached(share(10), lookups),
            variants_of_product: Reads::new(db, of_product, |mut conn, (), ids: Vec<_>| async move {
                Ok(group_rows(variants::by_product_ids(&mut conn, &ids).await?, |variant| variant.product_id))
            })
            .cached(share(15), lookups),
            levels_of_variant: Reads::new(db, of_stock, |mut conn, (), ids: Vec<_>| async move {
                let rows = inventory::by_variant_ids(&mut conn, &ids).await?;
                Ok(group_by_key(rows.into_iter().map(|row| (row.0.variant_id, row))))
            })
            .cached(share(10), lookups),
            collections: Reads::new(db, of_collection, |mut conn, (), ids: Vec<_>| async move {
                Ok(index_by(collections::by_ids(&mut conn, &ids).await?, |collection| collection.id))
            })
            .cached(share(4), lookups),
            collections_by_handle: Reads::new(db, of_collection_handle, |mut conn, (), handles| async move {
                let rows = collections::by_handles(&mut conn, &handles).await?;
                Ok(index_by(rows, |collection| collection.handle.clone()))
            })
            .cached(share(1), lookups),
            collection_descriptions: Reads::new(db, of_collection, |mut conn, (), ids: Vec<_>| async move {
                Ok(by_key(collections::descriptions(&mut conn, &ids).await?))
            })
            .cached(share(2), lookups),
            collections_of_product: Reads::new(db, of_memberships, collections_of_products)
                .cached(share(10), lookups),
            products_of_collection: Reads::new(db, of_collection_page, pages_of_collections),
            lists: ListReads::new(db),
            content: ContentReads::new(db),
        }
    }
}

async fn products_by_ids(
    mut conn: Conn,
    visibility: Visibility,
    ids: Vec<ProductId>,
) -> Result<HashMap<ProductId, Item<Product>>, DbError> {
    Ok(index_by(products::by_ids(&mut conn, visibility, &ids).await?, |product| product.id))
}

async fn descriptions_of_products(
    mut conn: Conn,
    visibility: Visibility,
    ids: Vec<ProductId>,
) -> Result<HashMap<ProductId, Item<Description>>, DbError> {
    Ok(by_key(products::descriptions(&mut conn, visibility, &ids).await?))
}

async fn products_by_handles(
    mut conn: Conn,
    visibility: Visibility,
    handles: Vec<String>,
) -> Result<HashMap<String, Item<Product>>, DbError> {
    let rows = products::by_handles(&mut conn, visibility, &handles).await?;
    Ok(index_by(rows, |product| product.handle.clone()))
}

/// Reads the collections that contain each of these products.
async fn collections_of_products(
    mut conn: Conn,
    (): (),
    ids: Vec<ProductId>,
) -> Result<HashMap<ProductId, Items<Arc<Collection>>>, DbError> {
    let rows = collections::by_product_ids(&mut conn, &ids).await?;
    let rows = rows.into_iter().flat_map(|(collection, products)| {
        let collection = Arc::new(collection);
        products.into_iter().map(move |product| (product, Arc::clone(&collection)))
    });
    Ok(group_by_key(rows))
}

/// Reads the same page of the products of each of these collections.
async fn pages_of_collections(
    mut conn: Conn,
    (visibility, page): PageOfCollections,
    ids: Vec<CollectionId>,
) -> Result<HashMap<CollectionId, Item<ProductPage>>, DbError> {
    let found = products::page_in_collections(&mut conn, visibility, &ids, &page).await?;
    let pages = found.into_iter().map(|(collection, products)| {
        (collection, Some(Arc::new(products.map(|(product, key)| (Arc::new(product), key)))))
    });
    Ok(pages.collect())
}
