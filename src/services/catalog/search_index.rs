//! Backfills the search index for rows written by older versions. Runs when a process starts and
//! after `mercato migrate`, once migrations are done. Later writes index their own rows.

use std::collections::HashMap;

use crate::context::OpContext;
use crate::db::{Db, DbError, Tx};
use crate::domain::catalog::Description;
use crate::domain::ids::{CollectionId, CustomerId, DiscountId, Id, OrderId, ProductId};
use crate::repositories::catalog::{collections, products, unindexed, variants};
use crate::repositories::checkout::discounts;
use crate::repositories::{Visibility, customers, orders};
use crate::services::catalog;

/// Number of rows per transaction. An interrupted run continues with the next batch.
const BATCH_SIZE: i64 = 200;
/// Logs progress each time this number of rows is done.
const LOG_EVERY_ROWS: usize = 10_000;

/// Indexes all rows that migrations have marked, and returns their number. Concurrent runs in
/// several processes are harmless: they do the same work with the same result.
///
/// # Errors
/// Database errors.
pub async fn backfill(db: &Db, op: &OpContext) -> Result<usize, DbError> {
    let mut done = 0;
    loop {
        let count = db.transaction(&op.statements, async |tx: &mut Tx| backfill_batch(tx).await).await?;
        if count == 0 {
            return Ok(done);
        }
        if done / LOG_EVERY_ROWS != (done + count) / LOG_EVERY_ROWS {
            tracing::info!(rows = done + count, "indexing for searches");
        }
        done += count;
    }
}

async fn backfill_batch(tx: &mut Tx) -> Result<usize, DbError> {
    let rows = unindexed::page(tx.conn(), BATCH_SIZE).await?;
    let mut by_kind: HashMap<String, Vec<uuid::Uuid>> = HashMap::new();
    let mut count = 0;
    for (id, kind) in rows {
        by_kind.entry(kind).or_default().push(id.0);
        count += 1;
    }
    for (kind, ids) in by_kind {
        match kind.as_str() {
            "products" => backfill_products(tx, &typed(&ids)).await?,
            "orders" => backfill_orders(tx, &typed(&ids)).await?,
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
    Ok(count)
}

fn typed<I: Id>(ids: &[uuid::Uuid]) -> Vec<I> {
    ids.iter().copied().map(I::from_uuid).collect()
}

async fn backfill_products(tx: &mut Tx, ids: &[ProductId]) -> Result<(), DbError> {
    let mut tags: HashMap<ProductId, Vec<String>> = HashMap::new();
    for (id, tag) in products::tags(tx.conn(), ids).await? {
        tags.entry(id).or_default().push(tag);
    }
    let all = variants::by_product_ids(tx.conn(), ids).await?;
    variants::refresh_keys(tx.conn(), &all).await?;
    let mut variants_by_product: HashMap<ProductId, Vec<_>> = HashMap::new();
    for variant in all {
        variants_by_product.entry(variant.product_id).or_default().push(variant);
    }
    let descriptions = products::descriptions(tx.conn(), Visibility::All, ids).await?;
    let mut descriptions: HashMap<ProductId, Description> = descriptions.into_iter().collect();
    for product in products::by_ids(tx.conn(), Visibility::All, ids).await? {
        let tags = tags.remove(&product.id).unwrap_or_default();
        let variants = variants_by_product.remove(&product.id).unwrap_or_default();
        products::refresh_keys(tx.conn(), &product, &tags).await?;
        let description = descriptions.remove(&product.id).unwrap_or_default();
        catalog::index_words(tx, &product, &description, &variants, &tags).await?;
    }
    Ok(())
}

async fn backfill_orders(tx: &mut Tx, ids: &[OrderId]) -> Result<(), DbError> {
    let lines = orders::lines(tx.conn(), ids).await?;
    orders::refresh_line_keys(tx.conn(), &lines).await?;
    let all = orders::by_ids(tx.conn(), ids).await?;
    orders::refresh_words(tx.conn(), &all).await
}
