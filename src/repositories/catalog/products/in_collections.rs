//! The products of collections, with one statement for any number of collections.

use diesel::dsl::count_star;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool};
use diesel_async::RunQueryDsl;

use super::{Product, ProductSort};
use crate::db::expr::in_ids;
use crate::db::schema::{collection_products, products};
use crate::db::types::sql::Uuid;
use crate::db::{Conn, DbError, load, per_backend};
use crate::domain::ids::CollectionId;
#[cfg(feature = "postgres")]
use crate::domain::ids::Id;
use crate::domain::page::{Cursor, CursorKey, Page, PageRequest};
use crate::repositories::Visibility;
use crate::repositories::keyset::bind_position;

/// The sort key of lists that are sorted by id only.
const NO_KEY: &str = "0";
/// The product's id, from the index on the members in staff's order.
const ID: &str = "cp.product_id";

/// Maximum number of subqueries that SQLite accepts in one statement.
const MAX_PARTS: usize = 500;

/// A page to be read of each of several collections.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct CollectionPageQuery {
    /// The sort key; `None` for the order set by staff.
    pub sort: Option<ProductSort>,
    /// Whether to reverse the order.
    pub reverse: bool,
    /// The requested page.
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

impl CollectionPageQuery {
    /// The SQL expression of the sort key.
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
            // Relevance requires a query, which collections don't have.
            Some(ProductSort::Id | ProductSort::Relevance) => NO_KEY,
        }
    }

    fn is_descending(&self) -> bool {
        self.request.is_descending(self.reverse ^ (self.sort == Some(ProductSort::BestSelling)))
    }

    /// The subquery of one collection, which stops when its page is full; a single query over all
    /// collections would have to number all their products. SQLite numbers parameters by their
    /// first appearance, so they appear in the order they are bound: the collection or collections,
    /// whether all products are visible, the cursor's key and id if there is one, the number of
    /// rows.
    fn part(&self, collection: &str) -> String {
        let (key, direction) = (self.key(), if self.is_descending() { "DESC" } else { "ASC" });
        let comparison = if self.is_descending() { "<" } else { ">" };
        let beyond = match &self.request.cursor {
            None => String::new(),
            // The same for all rows, so that only the id bounds the scan.
            Some(_) if key == NO_KEY => format!("AND {key} = $3 AND {ID} {comparison} $4"),
            Some(_) => format!("AND ({key}, {ID}) {comparison} ($3, $4) AND {key} {comparison}= $3"),
        };
        let size = self.size_at();
        // In ORDER BY, a number would be the position of a column.
        let order = if key == NO_KEY { String::new() } else { format!("{key} {direction}, ") };
        format!(
            "SELECT cp.collection_id, cp.position, p.* \
             FROM collection_products cp JOIN products p ON p.id = cp.product_id \
             WHERE cp.collection_id = {collection} AND ($2 OR p.status = 'active') {beyond} \
             ORDER BY {order}{ID} {direction} LIMIT ${size}"
        )
    }

    /// The number of the parameter with the number of rows.
    fn size_at(&self) -> usize {
        if self.request.cursor.is_some() { 5 } else { 3 }
    }

    /// One lateral subquery, run for each element of an array: planning one subquery per collection
    /// would take longer than running them.
    #[cfg(feature = "postgres")]
    fn to_postgres(&self) -> String {
        format!(
            "SELECT part.* FROM unnest($1) AS wanted (id) CROSS JOIN LATERAL ({}) AS part",
            self.part("wanted.id")
        )
    }

    /// One subquery per collection; all but the first are bound at the end.
    #[cfg(feature = "sqlite")]
    fn to_sqlite(&self, collections: usize) -> String {
        let part = |at: usize| {
            let collection = if at == 0 { 1 } else { self.size_at() + at };
            format!("SELECT * FROM ({}) part{at}", self.part(&format!("${collection}")))
        };
        (0..collections).map(part).collect::<Vec<_>>().join(" UNION ALL ")
    }

    fn product_key(&self, row: &Row) -> CursorKey {
        self.sort.map_or(CursorKey::Integer(row.position), |sort| sort.key(&row.product))
    }
}

/// Returns the same page of each of these collections: products with their sort keys. Collections
/// without products are left out.
pub async fn page_in_collections(
    conn: &mut Conn,
    visibility: Visibility,
    collections: &[CollectionId],
    query_page: &CollectionPageQuery,
) -> Result<Vec<(CollectionId, Page<(Product, CursorKey)>)>, DbError> {
    let everything = visibility == Visibility::All;
    let size = query_page.request.row_limit();
    let mut rows: Vec<(CollectionId, CursorKey, Product)> = Vec::new();
    for collections in collections.chunks(MAX_PARTS) {
        macro_rules! bind_page {
            ($query:expr) => {{
                let query = $query.bind::<Bool, _>(everything);
                let is_moment =
                    matches!(query_page.sort, Some(ProductSort::CreatedAt | ProductSort::UpdatedAt));
                let query = bind_position!(query, query_page.request.position(), is_moment);
                query.bind::<BigInt, _>(size)
            }};
        }
        let found: Vec<Row> = per_backend!(conn,
            postgres: |c| {
                let ids: Vec<uuid::Uuid> = collections.iter().map(|id| id.uuid()).collect();
                let query = diesel::sql_query(query_page.to_postgres()).into_boxed();
                let query = query.bind::<diesel::sql_types::Array<diesel::sql_types::Uuid>, _>(ids);
                bind_page!(query).load::<Row>(c).await
            },
            sqlite: |c| {
                let query = diesel::sql_query(query_page.to_sqlite(collections.len())).into_boxed();
                let mut ids = collections.iter();
                let query = ids.by_ref().take(1).fold(query, |query, first| query.bind::<Uuid, _>(*first));
                let query = bind_page!(query);
                ids.fold(query, |query, other| query.bind::<Uuid, _>(*other)).load::<Row>(c).await
            },
        )?;
        rows.extend(found.into_iter().map(|row| {
            let key = query_page.product_key(&row);
            (row.collection_id, key, row.product)
        }));
    }

    Ok(pages_of(rows, query_page))
}

/// Groups rows into pages by collection. They are sorted here, because no database guarantees the
/// order of the subqueries' rows.
fn pages_of(
    mut rows: Vec<(CollectionId, CursorKey, Product)>,
    query_page: &CollectionPageQuery,
) -> Vec<(CollectionId, Page<(Product, CursorKey)>)> {
    rows.sort_by(|(left_in, left_key, left), (right_in, right_key, right)| {
        let order = left_key.cmp(right_key).then_with(|| left.id.cmp(&right.id));
        left_in.cmp(right_in).then(if query_page.is_descending() { order.reverse() } else { order })
    });
    let rows = rows.into_iter().map(|(collection, key, product)| (collection, (product, key)));
    Page::from_grouped_rows(rows, &query_page.request)
}

/// Counts the visible products of each of these collections. Collections without any are left out.
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
