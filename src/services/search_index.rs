//! Words and keys of what was in the database before the server knew how to make them. Called when
//! a process starts and after `mercato migrate`, once the migrations are done; everything that is
//! written later has its words from the write itself.

use std::collections::HashMap;

use crate::context::OpContext;
use crate::db::{Db, DbError, Tx, retrying};
use crate::domain::ids::{CollectionId, CustomerId, DiscountId, Id, OrderId, ProductId};
use crate::repositories::{
    Visibility, collections, customers, discounts, orders, products, unindexed, variants,
};
use crate::services::catalog;

/// How many rows are read and written at a time: a process that is ended in the middle goes on
/// where it was.
const BATCH: i64 = 200;
/// After how many rows the log hears of it.
const TOLD_EVERY: usize = 10_000;

/// Indexes what migrations left to be indexed; gives how many rows that were. A second process that
/// starts meanwhile does the same work, with the same result.
///
/// # Errors
/// [`DbError`] when the database does not answer.
pub async fn fill(db: &Db, op: &OpContext) -> Result<usize, DbError> {
    let mut done = 0;
    loop {
        let count = retrying(|| fill_batch(db, op)).await?;
        if count == 0 {
            return Ok(done);
        }
        if done / TOLD_EVERY != (done + count) / TOLD_EVERY {
            tracing::info!(rows = done + count, "indexing for searches");
        }
        done += count;
    }
}

async fn fill_batch(db: &Db, op: &OpContext) -> Result<usize, DbError> {
    let mut tx = db.begin(&op.statements).await?;
    let rows = unindexed::page(tx.conn(), BATCH).await?;
    let mut by_kind: HashMap<String, Vec<uuid::Uuid>> = HashMap::new();
    let mut count = 0;
    for (id, kind) in rows {
        by_kind.entry(kind).or_default().push(id.0);
        count += 1;
    }
    for (kind, ids) in by_kind {
        match kind.as_str() {
            "products" => fill_products(&mut tx, &typed(&ids)).await?,
            "orders" => fill_orders(&mut tx, &typed(&ids)).await?,
            "collections" => {
                for collection in collections::by_ids(tx.conn(), &typed::<CollectionId>(&ids)).await? {
                    collections::refresh_words(tx.conn(), &collection).await?;
                }
            }
            "customers" => {
                for customer in customers::by_ids(tx.conn(), &typed::<CustomerId>(&ids)).await? {
                    customers::refresh_words(tx.conn(), &customer).await?;
                }
            }
            "discounts" => {
                for discount in discounts::by_ids(tx.conn(), &typed::<DiscountId>(&ids)).await? {
                    discounts::refresh_words(tx.conn(), &discount).await?;
                }
            }
            other => tracing::warn!(kind = other, "rows of an unknown kind are left out of searches"),
        }
        unindexed::remove(tx.conn(), &typed::<ProductId>(&ids)).await?;
    }
    tx.commit().await?;
    Ok(count)
}

fn typed<I: Id>(ids: &[uuid::Uuid]) -> Vec<I> {
    ids.iter().copied().map(I::from_uuid).collect()
}

async fn fill_products(tx: &mut Tx, ids: &[ProductId]) -> Result<(), DbError> {
    let mut tags: HashMap<ProductId, Vec<String>> = HashMap::new();
    for (id, tag) in products::tags(tx.conn(), ids).await? {
        tags.entry(id).or_default().push(tag);
    }
    let all = variants::by_product_ids(tx.conn(), ids).await?;
    variants::refresh_keys(tx.conn(), &all).await?;
    let mut of_product: HashMap<ProductId, Vec<_>> = HashMap::new();
    for variant in all {
        of_product.entry(variant.product_id).or_default().push(variant);
    }
    for product in products::by_ids(tx.conn(), Visibility::All, ids).await? {
        let tags = tags.remove(&product.id).unwrap_or_default();
        let variants = of_product.remove(&product.id).unwrap_or_default();
        products::refresh_keys(tx.conn(), &product, &tags).await?;
        catalog::index(tx, &product, &variants, &tags).await?;
    }
    Ok(())
}

async fn fill_orders(tx: &mut Tx, ids: &[OrderId]) -> Result<(), DbError> {
    let lines = orders::lines(tx.conn(), ids).await?;
    orders::refresh_line_keys(tx.conn(), &lines).await?;
    let all = orders::by_ids(tx.conn(), ids).await?;
    orders::refresh_words(tx.conn(), &all).await
}
