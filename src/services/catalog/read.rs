//! Lists of products and collections.

use std::collections::HashMap;
use std::sync::Arc;

use crate::context::OpContext;
use crate::db::Db;
use crate::domain::access::permissions::Permission;
use crate::domain::catalog::search::{self, Node, Warning};
use crate::domain::ids::{ProductId, VariantId};
use crate::domain::page::{Cursor, Page, PageRequest};
use crate::error::Error;
use crate::loaders::{
    CatalogReads, CollectionPage, Image, Product, ProductPage, ProductSort, Variant, visibility,
};
use crate::repositories::catalog::collections::{self, CollectionList, CollectionSort};
use crate::repositories::catalog::products::{self, ProductList};
use crate::repositories::catalog::{images, variants};
use crate::services::Shop;
use crate::services::input::list_query;

/// Reads lists of products and collections.
pub struct Catalog {
    db: Db,
    reads: Arc<CatalogReads>,
    shop: Arc<Shop>,
}

/// A list of products: filter, sort order and page.
#[derive(Clone, Debug)]
pub struct ProductQuery {
    /// A query in the search language.
    pub query: Option<String>,
    /// The sort key.
    pub sort: ProductSort,
    /// Whether the sort order is reversed.
    pub reverse: bool,
    /// The requested page.
    pub request: PageRequest<Cursor>,
}

/// A page of products, with warnings about the query.
#[derive(Debug)]
pub struct ProductListing {
    /// The page.
    pub products: Arc<ProductPage>,
    /// Parts of the query that were ignored.
    pub warnings: Vec<Warning>,
}

impl Catalog {
    /// Creates the service.
    #[must_use]
    pub fn new(db: Db, reads: Arc<CatalogReads>, shop: Arc<Shop>) -> Self {
        Self { db, reads, shop }
    }

    /// A page of the products that the actor may see.
    ///
    /// # Errors
    /// [`Error::BadInput`] when the query exceeds the limits of a search.
    pub async fn products(&self, op: &OpContext, query: &ProductQuery) -> Result<ProductListing, Error> {
        let (filter, warnings) = read_query(op, query.query.as_deref())?;
        let list = ProductList {
            visibility: visibility(op),
            filter,
            currency: self.shop.currency,
            sort: query.sort,
            reverse: query.reverse,
        };
        let pages =
            self.reads.lists.products.read((list, query.request.clone()), [()], &op.statements).await?;
        let products = pages.get(&()).map(Arc::clone).unwrap_or_default();
        Ok(ProductListing { products, warnings })
    }

    /// The image of each variant that has one: its own, or else the first one of its product.
    /// Callers must have obtained the variants, and with them the right to see their images.
    ///
    /// # Errors
    /// Database errors.
    pub async fn images_of_variants(
        &self,
        op: &OpContext,
        ids: &[VariantId],
    ) -> Result<HashMap<VariantId, Image>, Error> {
        let mut conn = self.db.read(&op.statements).await?;
        let rows = variants::by_ids(&mut conn, ids).await?;
        let mut products: Vec<ProductId> = rows.iter().map(|variant| variant.product_id).collect();
        products.sort_unstable();
        products.dedup();
        let images = images::by_product_ids(&mut conn, &products).await?;
        let image_of = |variant: &Variant| {
            let own = images.iter().find(|image| Some(image.id) == variant.image_id);
            let image = own.or_else(|| images.iter().find(|image| image.product_id == variant.product_id))?;
            Some((variant.id, image.clone()))
        };
        Ok(rows.iter().filter_map(image_of).collect())
    }

    /// Counts the products that match a search query and that the actor may see; `None` when that
    /// would require looking at too many.
    ///
    /// # Errors
    /// [`Error::BadInput`] when the query exceeds the limits of a search.
    pub async fn count_products(&self, op: &OpContext, query: Option<&str>) -> Result<Option<i64>, Error> {
        let (filter, _) = read_query(op, query)?;
        let list = ProductList {
            visibility: visibility(op),
            filter,
            currency: self.shop.currency,
            sort: ProductSort::Id,
            reverse: false,
        };
        Ok(products::count(&mut self.db.read(&op.statements).await?, &list).await?)
    }

    /// Counts the collections that match a search query.
    ///
    /// # Errors
    /// [`Error::BadInput`] when the query exceeds the limits of a search.
    pub async fn count_collections(&self, op: &OpContext, query: Option<&str>) -> Result<i64, Error> {
        let (filter, _) = list_query::read(query, search::parse_collections)?;
        Ok(collections::count(&mut self.db.read(&op.statements).await?, &filter).await?)
    }

    /// Returns up to ten related products, best matches first: they share type, tags or words of
    /// the title.
    ///
    /// # Errors
    /// Database errors.
    pub async fn recommendations(
        &self,
        op: &OpContext,
        product: &Product,
        tags: &[String],
    ) -> Result<Arc<[Arc<Product>]>, Error> {
        const LIMIT: i64 = 10;
        let words = std::iter::once(product.product_type.as_str())
            .chain(tags.iter().map(String::as_str))
            .chain(std::iter::once(product.title.as_str()))
            .flat_map(search::normalize)
            .collect();
        let found =
            self.reads.lists.recommendations.read((words, LIMIT), [product.id], &op.statements).await?;
        Ok(found.get(&product.id).cloned().unwrap_or_default())
    }

    /// The first tags in alphabetical order.
    ///
    /// # Errors
    /// Database errors.
    pub async fn tags(&self, op: &OpContext, limit: usize) -> Result<Page<String>, Error> {
        let request = PageRequest::<()>::first(limit);
        let partition = (visibility(op), request.row_limit());
        let rows = self.reads.lists.tags.read(partition, [()], &op.statements).await?;
        Ok(Page::from_rows(rows.get(&()).map(|rows| rows.to_vec()).unwrap_or_default(), &request))
    }

    /// The first product types in alphabetical order.
    ///
    /// # Errors
    /// Database errors.
    pub async fn types(&self, op: &OpContext, limit: usize) -> Result<Page<String>, Error> {
        let request = PageRequest::<()>::first(limit);
        let partition = (visibility(op), request.row_limit());
        let rows = self.reads.lists.types.read(partition, [()], &op.statements).await?;
        Ok(Page::from_rows(rows.get(&()).map(|rows| rows.to_vec()).unwrap_or_default(), &request))
    }

    /// A page of the collections that match a search query, with warnings about parts of the query
    /// that were ignored.
    ///
    /// # Errors
    /// [`Error::BadInput`] when the query exceeds the limits of a search.
    pub async fn collections(
        &self,
        op: &OpContext,
        query: Option<&str>,
        sort: CollectionSort,
        reverse: bool,
        request: &PageRequest<Cursor>,
    ) -> Result<(Arc<CollectionPage>, Vec<Warning>), Error> {
        let (filter, warnings) = list_query::read(query, search::parse_collections)?;
        let list = CollectionList { filter, sort, reverse };
        let pages = self.reads.lists.collections.read((list, request.clone()), [()], &op.statements).await?;
        Ok((pages.get(&()).map(Arc::clone).unwrap_or_default(), warnings))
    }

    /// Whether the catalog has no products.
    ///
    /// # Errors
    /// Database errors.
    pub async fn is_empty(&self, op: &OpContext) -> Result<bool, Error> {
        Ok(products::is_empty(&mut self.db.read(&op.statements).await?).await?)
    }
}

/// Parses a search query, with warnings about parts that were ignored.
fn read_query(op: &OpContext, query: Option<&str>) -> Result<(Node, Vec<Warning>), Error> {
    let parse = if op.may(Permission::ReadInventory) { search::parse_with_stock } else { search::parse };
    list_query::read(query, parse)
}
