//! The catalog's reads, coalesced across requests: a storefront's pages ask for the same products
//! over and over.

use std::collections::HashMap;
use std::sync::Arc;

use super::parts::{
    Item, Items, ListPage, PageOfCollections, of_collection, of_collection_handle, of_collection_page,
    of_image, of_memberships, of_page, of_product, of_product_handle, of_renditions, of_stock, of_variant,
};
use super::{Image, InventoryLevel, ProductPage, Variant, group_by_key, index_by};
use crate::db::{Conn, Db, DbError, ReadCoalescer};
use crate::domain::ids::{CollectionId, ImageId, ProductId, VariantId};
use crate::domain::media::{ContentHash, StoredFile};
use crate::repositories::Visibility;
use crate::repositories::catalog::collections::{self, Collection};
use crate::repositories::catalog::products::{self, Product};
use crate::repositories::catalog::{images, inventory, media, variants};

/// The catalog's reads, one set per process. Each is documented at the loader of the same name in
/// [`Loaders`](super::Loaders). Where the result depends on visibility, that is the partition.
pub struct CatalogReads {
    pub(super) products: Reads<Visibility, ProductId, Item<Product>>,
    pub(super) products_by_handle: Reads<Visibility, String, Item<Product>>,
    pub(super) tags: Reads<(), ProductId, Items<String>>,
    pub(super) images: Reads<(), ImageId, Item<Image>>,
    pub(super) images_of_product: Reads<(), ProductId, Items<Arc<Image>>>,
    pub(super) renditions: Reads<(), ContentHash, Items<StoredFile>>,
    pub(super) variants: Reads<(), VariantId, Item<Variant>>,
    pub(super) variants_of_product: Reads<(), ProductId, Items<Arc<Variant>>>,
    pub(super) levels_of_variant: Reads<(), VariantId, Items<(InventoryLevel, bool)>>,
    pub(super) collections: Reads<(), CollectionId, Item<Collection>>,
    pub(super) collections_by_handle: Reads<(), String, Item<Collection>>,
    pub(super) collections_of_product: Reads<(), ProductId, Items<Arc<Collection>>>,
    pub(super) products_of_collection: Reads<PageOfCollections, CollectionId, Item<ProductPage>>,
    /// Pages of the product list; requests for the same page at the same time share it.
    pub pages: Reads<ListPage, (), Arc<ProductPage>>,
}

/// Reads of one kind, by partition and key.
type Reads<P, K, V> = ReadCoalescer<P, K, V>;

impl CatalogReads {
    /// Creates the reads of a database.
    #[must_use]
    pub fn new(db: &Db) -> Self {
        Self {
            products: Reads::new(db, of_product, |mut conn, visibility, ids: Vec<_>| async move {
                let rows = products::by_ids(&mut conn, visibility, &ids).await?;
                Ok(index_by(rows, |product| product.id))
            }),
            products_by_handle: Reads::new(
                db,
                of_product_handle,
                |mut conn, visibility, handles| async move {
                    let rows = products::by_handles(&mut conn, visibility, &handles).await?;
                    Ok(index_by(rows, |product| product.handle.clone()))
                },
            ),
            tags: Reads::new(db, of_product, |mut conn, (), ids: Vec<_>| async move {
                Ok(group_by_key(products::tags(&mut conn, &ids).await?))
            }),
            images: Reads::new(db, of_image, |mut conn, (), ids: Vec<_>| async move {
                Ok(index_by(images::by_ids(&mut conn, &ids).await?, |image| image.id))
            }),
            images_of_product: Reads::new(db, of_product, |mut conn, (), ids: Vec<_>| async move {
                let rows = images::by_product_ids(&mut conn, &ids).await?;
                Ok(group_by_key(rows.into_iter().map(|image| (image.product_id, Arc::new(image)))))
            }),
            renditions: Reads::new(db, of_renditions, |mut conn, (), hashes: Vec<_>| async move {
                let rows = media::renditions(&mut conn, &hashes).await?;
                Ok(group_by_key(rows.into_iter().map(|row| (row.source_hash.clone(), row.file()))))
            }),
            variants: Reads::new(db, of_variant, |mut conn, (), ids: Vec<_>| async move {
                Ok(index_by(variants::by_ids(&mut conn, &ids).await?, |variant| variant.id))
            }),
            variants_of_product: Reads::new(db, of_product, |mut conn, (), ids: Vec<_>| async move {
                let rows = variants::by_product_ids(&mut conn, &ids).await?;
                Ok(group_by_key(rows.into_iter().map(|variant| (variant.product_id, Arc::new(variant)))))
            }),
            levels_of_variant: Reads::new(db, of_stock, |mut conn, (), ids: Vec<_>| async move {
                let rows = inventory::by_variant_ids(&mut conn, &ids).await?;
                Ok(group_by_key(rows.into_iter().map(|row| (row.0.variant_id, row))))
            }),
            collections: Reads::new(db, of_collection, |mut conn, (), ids: Vec<_>| async move {
                Ok(index_by(collections::by_ids(&mut conn, &ids).await?, |collection| collection.id))
            }),
            collections_by_handle: Reads::new(db, of_collection_handle, |mut conn, (), handles| async move {
                let rows = collections::by_handles(&mut conn, &handles).await?;
                Ok(index_by(rows, |collection| collection.handle.clone()))
            }),
            collections_of_product: Reads::new(db, of_memberships, collections_of_products),
            products_of_collection: Reads::new(db, of_collection_page, pages_of_collections),
            pages: Reads::new(db, of_page, |mut conn, (list, request), _| async move {
                let page = products::page(&mut conn, &list, &request).await?;
                let page = page.map(|(product, key)| (Arc::new(product), key));
                Ok::<_, DbError>(HashMap::from([((), Arc::new(page))]))
            }),
        }
    }
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
