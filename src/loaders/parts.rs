//! The parts of the catalog and of content that reads depend on, so that responses computed from
//! them can be cached. Called for each key of a read with what was found for it.

use std::sync::Arc;

use super::{
    Collection, CollectionPage, CollectionPageQuery, Image, Product, ProductPage, ProductSort, Variant,
};
use crate::concurrency::ReadParts;
use crate::domain::catalog::search::Node;
use crate::domain::events::CatalogPart;
use crate::domain::ids::{CollectionId, ImageId, ProductId, VariantId};
use crate::domain::page::{Cursor, PageRequest};
use crate::repositories::Visibility;
use crate::repositories::catalog::collections::{CollectionList, CollectionSort};
use crate::repositories::catalog::products::ProductList;

/// The value of a key.
pub(super) type Item<V> = Option<Arc<V>>;
/// The values of a key.
pub(super) type Items<V> = Arc<[V]>;
/// A page of the product list.
pub(super) type ListPage = (ProductList, PageRequest<Cursor>);
/// A page of the list of collections.
pub(super) type CollectionListPage = (CollectionList, PageRequest<Cursor>);
/// A page of products in collections, and who sees it.
pub(super) type PageOfCollections = (Visibility, CollectionPageQuery);

/// For whatever belongs to a product: it depends on the product.
pub(super) fn of_product<P, V>(_: &P, id: &ProductId, _: Option<&V>, parts: &mut ReadParts) {
    parts.add(&CatalogPart::Product(*id));
}

pub(super) fn of_product_handle<P, K: AsRef<str>>(
    _: &P,
    handle: &K,
    found: Option<&Item<Product>>,
    parts: &mut ReadParts,
) {
    parts.add(&CatalogPart::ProductHandle(handle.as_ref()));
    if let Some(Some(product)) = found {
        parts.add(&CatalogPart::Product(product.id));
    }
}

pub(super) fn of_image<P>(_: &P, _: &ImageId, found: Option<&Item<Image>>, parts: &mut ReadParts) {
    match found {
        Some(Some(image)) => parts.add(&CatalogPart::Product(image.product_id)),
        _ => parts.add_unknown(),
    }
}

/// For renditions: they are stored together with the image, and never change.
pub(super) fn of_renditions<P, K, V>(_: &P, _: &K, _: Option<&V>, _: &mut ReadParts) {}

pub(super) fn of_variant<P>(_: &P, _: &VariantId, found: Option<&Item<Variant>>, parts: &mut ReadParts) {
    match found {
        Some(Some(variant)) => parts.add(&CatalogPart::Product(variant.product_id)),
        _ => parts.add_unknown(),
    }
}

pub(super) fn of_stock<P, V>(_: &P, id: &VariantId, _: Option<&V>, parts: &mut ReadParts) {
    parts.add(&CatalogPart::Stock(*id));
    parts.add(&CatalogPart::Locations);
}

pub(super) fn of_collection<P, V>(_: &P, id: &CollectionId, _: Option<&V>, parts: &mut ReadParts) {
    parts.add(&CatalogPart::Collection(*id));
}

pub(super) fn of_collection_handle<P, K: AsRef<str>>(
    _: &P,
    handle: &K,
    found: Option<&Item<Collection>>,
    parts: &mut ReadParts,
) {
    parts.add(&CatalogPart::CollectionHandle(handle.as_ref()));
    if let Some(Some(collection)) = found {
        parts.add(&CatalogPart::Collection(collection.id));
    }
}

/// The collections that contain a product.
pub(super) fn of_memberships<P>(
    _: &P,
    id: &ProductId,
    found: Option<&Items<Arc<Collection>>>,
    parts: &mut ReadParts,
) {
    parts.add(&CatalogPart::Product(*id));
    parts.add(&CatalogPart::Collections);
    for collection in found.iter().flat_map(|found| found.iter()) {
        parts.add(&CatalogPart::Collection(collection.id));
    }
}

pub(super) fn of_collection_page(
    (_, query): &PageOfCollections,
    id: &CollectionId,
    found: Option<&Item<ProductPage>>,
    parts: &mut ReadParts,
) {
    parts.add(&CatalogPart::Collection(*id));
    add_order(query.sort, parts);
    add_products(found.and_then(Option::as_deref), parts);
}

pub(super) fn of_page<K>(
    (list, _): &ListPage,
    _: &K,
    found: Option<&Arc<ProductPage>>,
    parts: &mut ReadParts,
) {
    add_order(Some(list.sort), parts);
    if list.filter != Node::All {
        parts.add(&CatalogPart::Products);
    }
    if list.filter.depends_on_stock() {
        parts.add(&CatalogPart::AllStock);
        parts.add(&CatalogPart::Locations);
    }
    add_products(found.map(Arc::as_ref), parts);
}

pub(super) fn of_collection_list<K>(
    (list, _): &CollectionListPage,
    _: &K,
    found: Option<&Arc<CollectionPage>>,
    parts: &mut ReadParts,
) {
    parts.add(&CatalogPart::Collections);
    if list.filter != Node::All || list.sort == CollectionSort::UpdatedAt {
        parts.add(&CatalogPart::AllCollections);
    }
    for (collection, _) in found.iter().flat_map(|page| page.items.iter()) {
        parts.add(&CatalogPart::Collection(collection.id));
    }
}

/// What depends on any property of any product, except stock and sales.
pub(super) fn of_all_products<P, K, V>(_: &P, _: &K, _: Option<&V>, parts: &mut ReadParts) {
    parts.add(&CatalogPart::Products);
}

/// Pages, menus and policies change rarely, so all of them are one part.
pub(super) fn of_content<P, K, V>(_: &P, _: &K, _: Option<&V>, parts: &mut ReadParts) {
    parts.add(&CatalogPart::Content);
}

/// Adds what the order of a list depends on. Sales change without an event.
fn add_order(sort: Option<ProductSort>, parts: &mut ReadParts) {
    match sort {
        None | Some(ProductSort::Id | ProductSort::CreatedAt) => parts.add(&CatalogPart::Listing),
        Some(ProductSort::BestSelling) => parts.add_unknown(),
        Some(_) => parts.add(&CatalogPart::Products),
    }
}

/// Adds the products of a page, which are read together with it.
fn add_products(page: Option<&ProductPage>, parts: &mut ReadParts) {
    for (product, _) in page.iter().flat_map(|page| page.items.iter()) {
        parts.add(&CatalogPart::Product(product.id));
    }
}
