//! The reads of lists of products and collections, coalesced across requests.

use std::collections::HashMap;
use std::sync::Arc;

use super::parts::{CollectionListPage, Items, ListPage, of_all_products, of_collection_list, of_page};
use super::{CollectionPage, ProductPage, Reads};
use crate::db::{Conn, Db, DbError};
use crate::domain::ids::ProductId;
use crate::repositories::Visibility;
use crate::repositories::catalog::collections;
use crate::repositories::catalog::products::{self, Product};

/// The reads of lists. What a list consists of is the partition.
pub struct ListReads {
    /// Pages of products. Requests for the same page at the same time share it.
    pub products: Reads<ListPage, (), Arc<ProductPage>>,
    /// Pages of collections.
    pub collections: Reads<CollectionListPage, (), Arc<CollectionPage>>,
    /// Other products that share words with one, best matches first, up to a number.
    pub recommendations: Reads<(Vec<String>, i64), ProductId, Items<Arc<Product>>>,
    /// The first distinct tags of products, sorted, up to a number.
    pub tags: Reads<(Visibility, i64), (), Items<String>>,
    /// The first distinct types of products, sorted, up to a number.
    pub types: Reads<(Visibility, i64), (), Items<String>>,
}

impl ListReads {
    /// Creates the reads of a database.
    pub(super) fn new(db: &Db) -> Self {
        Self {
            products: Reads::new(db, of_page, |mut conn, (list, request), _| async move {
                let page = products::page(&mut conn, &list, &request).await?;
                let page = page.map(|(product, key)| (Arc::new(product), key));
                Ok(HashMap::from([((), Arc::new(page))]))
            }),
            collections: Reads::new(db, of_collection_list, |mut conn, (list, request), _| async move {
                let page = collections::page(&mut conn, &list, &request).await?;
                let page = page.map(|(collection, key)| (Arc::new(collection), key));
                Ok(HashMap::from([((), Arc::new(page))]))
            }),
            recommendations: Reads::new(db, of_all_products, recommended_products),
            tags: Reads::new(db, of_all_products, |mut conn, (visibility, limit), _| async move {
                let tags = products::distinct_tags(&mut conn, visibility, limit).await?;
                Ok(HashMap::from([((), tags.into())]))
            }),
            types: Reads::new(db, of_all_products, |mut conn, (visibility, limit), _| async move {
                let types = products::distinct_types(&mut conn, visibility, limit).await?;
                Ok(HashMap::from([((), types.into())]))
            }),
        }
    }
}

/// Reads the products that share words with each of the given ones, all of which have the same
/// words.
async fn recommended_products(
    mut conn: Conn,
    (words, limit): (Vec<String>, i64),
    ids: Vec<ProductId>,
) -> Result<HashMap<ProductId, Items<Arc<Product>>>, DbError> {
    let mut recommended = HashMap::new();
    for id in ids {
        let found = products::recommendations(&mut conn, id, words.clone(), limit).await?;
        recommended.insert(id, found.into_iter().map(Arc::new).collect());
    }
    Ok(recommended)
}
