//! The demo shop: fills an empty database with a small realistic shop, through the services that
//! staff and imports use.

mod content;
mod trade;

pub use trade::CUSTOMER_PASSWORD;

use std::io::Cursor;

use serde::Deserialize;

use crate::context::OpContext;
use crate::db::{Db, DbError};
use crate::domain::catalog::CollectionSortOrder;
use crate::domain::catalog::collection_rules::CollectionRules;
use crate::error::Error;
use crate::repositories::catalog::products;
use crate::services::catalog::NewCollection;
use crate::services::transfer::product_import::{ImportError, ImportedProduct};
use crate::services::{Collections, OrderImport, ProductImport, Services, Shop};

const PRODUCTS: &str = include_str!("demo/products.csv");
const COLLECTIONS: &str = include_str!("demo/collections.json");

/// The name of the demo shop.
pub const SHOP_NAME: &str = "Mercato Paper & Home";

#[derive(Deserialize)]
struct DemoCollection {
    handle: String,
    title: String,
    description_html: String,
    sort_order: String,
    image: Option<String>,
    rules: Option<CollectionRules>,
    #[serde(default)]
    products: Vec<String>,
}

/// What is needed to create the demo shop.
#[derive(Clone, Copy)]
pub struct DemoShop<'a> {
    /// The shop.
    pub shop: &'a Shop,
    /// The services.
    pub services: &'a Services,
    /// Imports its products.
    pub import: &'a ProductImport,
    /// Imports its orders.
    pub order_import: &'a OrderImport,
}

/// Why the demo shop could not be created.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// Its products or orders could not be imported.
    #[error(transparent)]
    Import(#[from] ImportError),
    /// Something else could not be written.
    #[error(transparent)]
    Write(#[from] Error),
    /// The embedded data is malformed, which a test rules out.
    #[error("the demo's data is broken: {0}")]
    Data(String),
}

impl From<DbError> for DemoError {
    fn from(error: DbError) -> Self {
        Self::Write(error.into())
    }
}

/// Creates the demo shop.
///
/// # Errors
/// [`DemoError`]; what was written before remains.
pub async fn fill(db: &Db, op: &OpContext, demo: DemoShop<'_>) -> Result<(), DemoError> {
    import_products(op, demo.import).await?;
    create_collections(db, op, &demo.services.collections).await?;
    content::fill(db, op, &demo).await?;
    trade::fill(db, op, &demo).await
}

async fn import_products(op: &OpContext, import: &ProductImport) -> Result<(), DemoError> {
    let mut first_error = None;
    import
        .run(op, Cursor::new(PRODUCTS), false, |imported| {
            if let ImportedProduct::Failed(errors) = imported {
                first_error = errors.first().map(ToString::to_string);
            }
        })
        .await?;
    if let Some(first_error) = first_error {
        return Err(DemoError::Data(first_error));
    }
    Ok(())
}

async fn create_collections(db: &Db, op: &OpContext, collections: &Collections) -> Result<(), DemoError> {
    let collections_data: Vec<DemoCollection> =
        serde_json::from_str(COLLECTIONS).map_err(|error| DemoError::Data(error.to_string()))?;
    for collection in collections_data {
        let new = NewCollection {
            title: collection.title,
            handle: Some(collection.handle),
            description_html: collection.description_html,
            sort_order: CollectionSortOrder::parse(&collection.sort_order),
            rules: collection.rules,
            image: collection.image.map(|url| (url, None)),
            ..NewCollection::default()
        };
        let created = collections.create(op, &new).await?;
        if !collection.products.is_empty() {
            let mut ids = Vec::with_capacity(collection.products.len());
            let mut conn = db.read(&op.statements).await?;
            for handle in &collection.products {
                let product = products::find_by_handle(&mut conn, handle).await?;
                ids.push(product.ok_or_else(|| DemoError::Data(format!("no product `{handle}`")))?.id);
            }
            drop(conn);
            collections.add_products(op, created.id, &ids).await?;
        }
    }
    Ok(())
}
