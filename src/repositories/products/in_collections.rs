//! The products of collections: one statement for however many collections are asked for at once.

use diesel::dsl::count_star;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Text};
use diesel_async::RunQueryDsl;

use super::{Product, ProductSort};
use crate::db::expr::in_ids;
use crate::db::schema::{collection_products, products};
use crate::db::types::sql::{Timestamptz, Uuid};
use crate::db::{Conn, DbError, load, on_each};
use crate::domain::ids::{CollectionId, Id, ProductId};
use crate::domain::page::{Cursor, CursorKey, Direction, Page, PageRequest};
use crate::domain::time::Timestamp;
use crate::repositories::Visibility;

/// What lists have for a key that are sorted by id alone.
const NO_KEY: &str = "0";
/// The product's id, as the index has it that keeps the members in staff's order.
const ID: &str = "cp.product_id";

/// A page that is asked for of each of several collections.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct CollectionPage {
    /// The order; `None` is the order staff gave.
    pub sort: Option<ProductSort>,
    /// The order turned around.
    pub reverse: bool,
    /// The page.
    pub request: PageRequest<Cursor>,
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Uuid)]
    collection_id: CollectionId,
    #[diesel(sql_type = BigInt)]
    position: i64,
    #[diesel(embed)]
    product: Product,
}

impl CollectionPage {
    /// The SQL expression that is sorted by.
    fn key(&self) -> &'static str {
        match self.sort {
            None => "cp.position",
            Some(ProductSort::Title) => "p.title_key",
            Some(ProductSort::ProductType) => "p.type_key",
            Some(ProductSort::Vendor) => "p.vendor_key",
            Some(ProductSort::UpdatedAt) => "p.updated_at",
            Some(ProductSort::CreatedAt) => "p.created_at",
            Some(ProductSort::BestSelling) => "p.units_sold",
            Some(ProductSort::Price) => "p.min_price",
            // Relevance needs a query, and a collection has none.
            Some(ProductSort::Id | ProductSort::Relevance) => NO_KEY,
        }
    }

    fn falls(&self) -> bool {
        self.reverse
            ^ (self.sort == Some(ProductSort::BestSelling))
            ^ (self.request.direction == Direction::Backward)
    }

    /// The statement: a part for each collection, which stops when its page is full, where one over all of them would number all
    /// their products. Both databases give the rows part by part. SQLite numbers such parameters by their first appearance, so
    /// they appear in the order they are bound: a collection, whether all products can be seen, the cursor's key and id if there
    /// is one, how many rows; then the other collections.
    fn sql(&self, collections: usize) -> String {
        let (key, direction) = (self.key(), if self.falls() { "DESC" } else { "ASC" });
        let (beyond, size) = match (&self.request.cursor, self.falls()) {
            (None, _) => (String::new(), 3),
            (Some(_), false) => (format!("AND ({key} > $3 OR ({key} = $3 AND {ID} > $4))"), 5),
            (Some(_), true) => (format!("AND ({key} < $3 OR ({key} = $3 AND {ID} < $4))"), 5),
        };
        // A number there would be a column's.
        let order = if key == NO_KEY { String::new() } else { format!("{key} {direction}, ") };
        let part = |at: usize| {
            let collection = if at == 0 { 1 } else { size + at };
            format!(
                "SELECT * FROM (SELECT cp.collection_id, cp.position, p.* \
                 FROM collection_products cp JOIN products p ON p.id = cp.product_id \
                 WHERE cp.collection_id = ${collection} AND ($2 OR p.status = 'active') {beyond} \
                 ORDER BY {order}{ID} {direction} LIMIT ${size}) part{at}"
            )
        };
        (0..collections).map(part).collect::<Vec<_>>().join(" UNION ALL ")
    }

    fn product_key(&self, row: &Row) -> CursorKey {
        self.sort.map_or(CursorKey::Integer(row.position), |sort| sort.key(&row.product))
    }
}

/// The same page of each of these collections: products with the key they have in its order, in pages by collection. A
/// collection without products is left out.
pub async fn page_in_collections(
    conn: &mut Conn,
    visibility: Visibility,
    collections: &[CollectionId],
    wanted: &CollectionPage,
) -> Result<Vec<(CollectionId, Page<(Product, CursorKey)>)>, DbError> {
    let everything = visibility == Visibility::All;
    let size = wanted.request.rows();
    // As many parts as SQLite joins in one statement.
    const MAX_PARTS: usize = 500;
    let mut rows: Vec<Row> = Vec::new();
    for collections in collections.chunks(MAX_PARTS) {
        let Some((first, others)) = collections.split_first() else { continue };
        macro_rules! load {
            ($c:ident) => {{
                let query = diesel::sql_query(wanted.sql(collections.len())).into_boxed();
                let query = query.bind::<Uuid, _>(*first).bind::<Bool, _>(everything);
                let query = match &wanted.request.cursor {
                    None => query,
                    Some(cursor) => {
                        let moment =
                            matches!(wanted.sort, Some(ProductSort::CreatedAt | ProductSort::UpdatedAt));
                        let keyed = match &cursor.key {
                            CursorKey::Integer(micros) if moment => query.bind::<Timestamptz, _>(
                                Timestamp::from_micros(*micros).unwrap_or(Timestamp::EPOCH),
                            ),
                            CursorKey::Integer(integer) => query.bind::<BigInt, _>(*integer),
                            CursorKey::Text(text) => query.bind::<Text, _>(text.clone()),
                            CursorKey::None => query.bind::<BigInt, _>(0),
                        };
                        keyed.bind::<Uuid, _>(ProductId::from_uuid(cursor.id))
                    }
                };
                let query = query.bind::<BigInt, _>(size);
                let query = others.iter().fold(query, |query, other| query.bind::<Uuid, _>(*other));
                query.load::<Row>($c).await
            }};
        }
        let found: Vec<Row> = on_each!(conn, postgres: |c| load!(c), sqlite: |c| load!(c))?;
        rows.extend(found);
    }

    let mut pages: Vec<(CollectionId, Vec<(Product, CursorKey)>)> = Vec::new();
    for row in rows {
        let key = wanted.product_key(&row);
        match pages.last_mut() {
            Some((collection, products)) if *collection == row.collection_id => {
                products.push((row.product, key))
            }
            _ => pages.push((row.collection_id, vec![(row.product, key)])),
        }
    }
    Ok(pages.into_iter().map(|(id, rows)| (id, Page::of_rows(rows, &wanted.request))).collect())
}

/// How many products each of these collections has that a reader may see. A collection without any
/// is left out.
pub async fn count_in_collections(
    conn: &mut Conn,
    visibility: Visibility,
    collections: &[CollectionId],
) -> Result<Vec<(CollectionId, i64)>, DbError> {
    load!(
        conn,
        collection_products::table
            .inner_join(products::table)
            .filter(in_ids(collection_products::collection_id, collections))
            .filter(super::visible(visibility))
            .group_by(collection_products::collection_id)
            .select((collection_products::collection_id, count_star()))
    )
}
