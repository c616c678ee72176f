//! The catalogue's reads, which requests share: a storefront's pages ask for the same edges over and over.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Image, InventoryLevel, ProductPage, Variant, grouped, single};
use crate::db::{Db, DbError, Together};
use crate::domain::ids::{CollectionId, ImageId, ProductId, VariantId};
use crate::domain::media::{ContentHash, StoredFile};
use crate::domain::page::{Cursor, PageRequest};
use crate::repositories::collections::{self, Collection};
use crate::repositories::products::{self, CollectionPage, Product, ProductList};
use crate::repositories::{Visibility, images, inventory, media, variants};

/// The catalogue's reads; one for the process. What each gives is told at the edge of the same name in
/// [`Loaders`](super::Loaders). Where it depends on who may see what, that is the lane.
pub struct CatalogReads {
    pub(super) products: Reads<Visibility, ProductId, One<Product>>,
    pub(super) products_by_handle: Reads<Visibility, String, One<Product>>,
    pub(super) tags: Reads<(), ProductId, Many<String>>,
    pub(super) images: Reads<(), ImageId, One<Image>>,
    pub(super) images_of_product: Reads<(), ProductId, Many<Arc<Image>>>,
    pub(super) renditions: Reads<(), ContentHash, Many<StoredFile>>,
    pub(super) variants: Reads<(), VariantId, One<Variant>>,
    pub(super) variants_of_product: Reads<(), ProductId, Many<Arc<Variant>>>,
    pub(super) levels_of_variant: Reads<(), VariantId, Many<(InventoryLevel, bool)>>,
    pub(super) collections: Reads<(), CollectionId, One<Collection>>,
    pub(super) collections_by_handle: Reads<(), String, One<Collection>>,
    pub(super) collections_of_product: Reads<(), ProductId, Many<Arc<Collection>>>,
    pub(super) products_of_collection: Reads<PageOfCollections, CollectionId, One<ProductPage>>,
    /// Pages of the list of products: those who ask for the same one at the same time share it.
    pub pages: Reads<ListPage, (), Arc<ProductPage>>,
}

/// Reads of a kind: by lane and key.
type Reads<L, K, V> = Arc<Together<L, K, V>>;
/// What one key has.
type One<V> = Option<Arc<V>>;
/// What one key has several of.
type Many<V> = Arc<[V]>;
/// Which page of the list of products.
type ListPage = (ProductList, PageRequest<Cursor>);
/// Which page of collections, for whom.
type PageOfCollections = (Visibility, CollectionPage);

impl CatalogReads {
    /// The reads of a database.
    #[must_use]
    pub fn new(db: &Db) -> Self {
        Self {
            products: Together::new(db, |mut conn, visibility, ids: Vec<_>| async move {
                let rows = products::by_ids(&mut conn, visibility, &ids).await?;
                Ok(single(rows, |product| product.id))
            }),
            products_by_handle: Together::new(db, |mut conn, visibility, handles| async move {
                let rows = products::by_handles(&mut conn, visibility, &possible(handles)).await?;
                Ok(single(rows, |product| product.handle.clone()))
            }),
            tags: Together::new(db, |mut conn, (), ids: Vec<_>| async move {
                Ok(grouped(products::tags(&mut conn, &ids).await?))
            }),
            images: Together::new(db, |mut conn, (), ids: Vec<_>| async move {
                Ok(single(images::by_ids(&mut conn, &ids).await?, |image| image.id))
            }),
            images_of_product: Together::new(db, |mut conn, (), ids: Vec<_>| async move {
                let rows = images::by_product_ids(&mut conn, &ids).await?;
                Ok(grouped(rows.into_iter().map(|image| (image.product_id, Arc::new(image)))))
            }),
            renditions: Together::new(db, |mut conn, (), hashes: Vec<_>| async move {
                let rows = media::renditions(&mut conn, &hashes).await?;
                Ok(grouped(rows.into_iter().map(|row| (row.source_hash.clone(), row.file()))))
            }),
            variants: Together::new(db, |mut conn, (), ids: Vec<_>| async move {
                Ok(single(variants::by_ids(&mut conn, &ids).await?, |variant| variant.id))
            }),
            variants_of_product: Together::new(db, |mut conn, (), ids: Vec<_>| async move {
                let rows = variants::by_product_ids(&mut conn, &ids).await?;
                Ok(grouped(rows.into_iter().map(|variant| (variant.product_id, Arc::new(variant)))))
            }),
            levels_of_variant: Together::new(db, |mut conn, (), ids: Vec<_>| async move {
                let rows = inventory::by_variant_ids(&mut conn, &ids).await?;
                Ok(grouped(rows.into_iter().map(|row| (row.0.variant_id, row))))
            }),
            collections: Together::new(db, |mut conn, (), ids: Vec<_>| async move {
                Ok(single(collections::by_ids(&mut conn, &ids).await?, |collection| collection.id))
            }),
            collections_by_handle: Together::new(db, |mut conn, (), handles| async move {
                let rows = collections::by_handles(&mut conn, &possible(handles)).await?;
                Ok(single(rows, |collection| collection.handle.clone()))
            }),
            collections_of_product: Together::new(db, |mut conn, (), ids: Vec<_>| async move {
                let rows = collections::by_product_ids(&mut conn, &ids).await?;
                let rows = rows.into_iter().flat_map(|(collection, products)| {
                    let collection = Arc::new(collection);
                    products.into_iter().map(move |product| (product, Arc::clone(&collection)))
                });
                Ok(grouped(rows))
            }),
            products_of_collection: Together::new(
                db,
                |mut conn, (visibility, page), ids: Vec<_>| async move {
                    let found = products::page_in_collections(&mut conn, visibility, &ids, &page).await?;
                    let pages = found.into_iter().map(|(collection, products)| {
                        (collection, Some(Arc::new(products.map(|(product, key)| (Arc::new(product), key)))))
                    });
                    Ok(pages.collect())
                },
            ),
            pages: Together::new(db, |mut conn, (list, request), _| async move {
                let page = products::page(&mut conn, &list, &request).await?;
                let page = page.map(|(product, key)| (Arc::new(product), key));
                Ok::<_, DbError>(HashMap::from([((), Arc::new(page))]))
            }),
        }
    }
}

/// Handles that something may have: no database takes a NUL in a text.
fn possible(mut handles: Vec<String>) -> Vec<String> {
    handles.retain(|handle| !handle.contains('\0'));
    handles
}
