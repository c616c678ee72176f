//! Reads of the catalogue that are lists of the whole shop.

use std::sync::Arc;

use crate::context::OpContext;
use crate::db::Db;
use crate::domain::page::{Cursor, CursorKey, Page, PageRequest};
use crate::domain::permission::Permission;
use crate::domain::search::{self, Node, Warning};
use crate::error::Error;
use crate::loaders::{CatalogReads, Collection, Product, ProductPage, ProductSort, visibility};
use crate::repositories::collections::{self, CollectionSort};
use crate::repositories::products::{self, ProductList};
use crate::services::{Shop, list_query};

/// Reads lists of products and collections.
pub struct Catalog {
    db: Db,
    reads: Arc<CatalogReads>,
    shop: Arc<Shop>,
}

/// Which products are asked for, in which order.
#[derive(Clone, Debug)]
pub struct ProductQuery {
    /// In the search language.
    pub query: Option<String>,
    /// The order.
    pub sort: ProductSort,
    /// The order turned around.
    pub reverse: bool,
    /// The page.
    pub request: PageRequest<Cursor>,
}

/// A list with what was not understood of its query.
#[derive(Debug)]
pub struct Visible {
    /// The page.
    pub products: Arc<ProductPage>,
    /// What was ignored.
    pub warnings: Vec<Warning>,
}

/// A page of collections, each with the key it has in the list's order.
pub type CollectionPage = Page<(Arc<Collection>, CursorKey)>;

impl Catalog {
    /// The service over a database.
    #[must_use]
    pub fn new(db: Db, reads: Arc<CatalogReads>, shop: Arc<Shop>) -> Self {
        Self { db, reads, shop }
    }

    /// A page of the products the actor may see.
    ///
    /// # Errors
    /// [`Error::BadInput`] when the query is larger than a search may be.
    pub async fn products(&self, op: &OpContext, query: &ProductQuery) -> Result<Visible, Error> {
        let (filter, warnings) = read_query(op, query.query.as_deref())?;
        let list = ProductList {
            visibility: visibility(op),
            filter,
            currency: self.shop.currency,
            sort: query.sort,
            reverse: query.reverse,
        };
        let pages = self.reads.pages.read((list, query.request.clone()), [()], &op.statements).await?;
        let products = pages.get(&()).map(Arc::clone).unwrap_or_default();
        Ok(Visible { products, warnings })
    }

    /// How many products that the actor may see a query finds; `None` where too many would have to be looked at.
    ///
    /// # Errors
    /// [`Error::BadInput`] when the query is larger than a search may be.
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

    /// How many collections a query finds.
    ///
    /// # Errors
    /// [`Error::BadInput`] when the query is larger than a search may be.
    pub async fn count_collections(&self, op: &OpContext, query: Option<&str>) -> Result<i64, Error> {
        let (filter, _) = list_query::read(query, search::parse_collections)?;
        Ok(collections::count(&mut self.db.read(&op.statements).await?, &filter).await?)
    }

    /// Up to ten products that a product can be shown beside, best first: those that share its type, tags and title's words.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn recommendations(
        &self,
        op: &OpContext,
        product: &Product,
        tags: &[String],
    ) -> Result<Vec<Arc<Product>>, Error> {
        const LIMIT: i64 = 10;
        let words = std::iter::once(product.product_type.as_str())
            .chain(tags.iter().map(String::as_str))
            .chain(std::iter::once(product.title.as_str()))
            .flat_map(search::normalize)
            .collect();
        let mut conn = self.db.read(&op.statements).await?;
        let found = products::recommendations(&mut conn, product.id, words, LIMIT).await?;
        Ok(found.into_iter().map(Arc::new).collect())
    }

    /// The first tags in use, A to Z.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn tags(&self, op: &OpContext, limit: usize) -> Result<Page<String>, Error> {
        let mut conn = self.db.read(&op.statements).await?;
        let request = PageRequest::<()>::first(limit);
        let rows = products::distinct_tags(&mut conn, visibility(op), request.rows()).await?;
        Ok(Page::of_rows(rows, &request))
    }

    /// The first product types in use, A to Z.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn types(&self, op: &OpContext, limit: usize) -> Result<Page<String>, Error> {
        let mut conn = self.db.read(&op.statements).await?;
        let request = PageRequest::<()>::first(limit);
        let rows = products::distinct_types(&mut conn, visibility(op), request.rows()).await?;
        Ok(Page::of_rows(rows, &request))
    }

    /// A page of the collections that a query finds, and what of the query was not understood.
    ///
    /// # Errors
    /// [`Error::BadInput`] when the query is larger than a search may be.
    pub async fn collections(
        &self,
        op: &OpContext,
        query: Option<&str>,
        sort: CollectionSort,
        reverse: bool,
        request: &PageRequest<Cursor>,
    ) -> Result<(CollectionPage, Vec<Warning>), Error> {
        let (filter, warnings) = list_query::read(query, search::parse_collections)?;
        let mut conn = self.db.read(&op.statements).await?;
        let page = collections::page(&mut conn, &filter, sort, reverse, request).await?;
        Ok((page.map(|(collection, key)| (Arc::new(collection), key)), warnings))
    }

    /// Whether there is no product at all.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn is_empty(&self, op: &OpContext) -> Result<bool, Error> {
        Ok(products::is_empty(&mut self.db.read(&op.statements).await?).await?)
    }
}

/// What a query asks for, and what was not understood of it.
fn read_query(op: &OpContext, query: Option<&str>) -> Result<(Node, Vec<Warning>), Error> {
    let parse = if op.may(Permission::ReadInventory) { search::parse_with_stock } else { search::parse };
    list_query::read(query, parse)
}
