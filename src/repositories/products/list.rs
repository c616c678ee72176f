//! The list of products: filtered by the search language, sorted, and read a page at a time.

use diesel::dsl::{not, sql};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Text};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use super::{Product, visible};
use crate::db::expr::{Condition, constant, lower};
#[cfg(feature = "sqlite")]
use crate::db::load_sqlite;
use crate::db::schema::{product_tags, products, variants};
use crate::db::{Conn, DbError, on_each};
use crate::domain::catalog::ProductStatus;
use crate::domain::ids::{Id, ProductId};
use crate::domain::money::Currency;
use crate::domain::page::{Cursor, CursorKey, Direction, KeyKind, Page, PageRequest};
use crate::domain::search::{self, AnyWord, FieldTerm, Node, Status, TextMatch};
use crate::domain::time::Timestamp;
use crate::repositories::Visibility;
use crate::repositories::conditions::{compare, price, text_condition};

/// What a list of products is sorted by; products that are equal in it are sorted by id.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ProductSort {
    /// Title, A to Z.
    Title,
    /// Type, A to Z.
    ProductType,
    /// Vendor, A to Z.
    Vendor,
    /// Oldest change first.
    UpdatedAt,
    /// Oldest first.
    CreatedAt,
    /// Most sold first.
    BestSelling,
    /// Cheapest first, by the cheapest variant.
    Price,
    /// In the order they were made.
    Id,
    /// Best match of the query first.
    Relevance,
}

/// Which products, in which order.
#[derive(Clone, Debug)]
pub struct ProductList {
    /// Which may be seen at all.
    pub visibility: Visibility,
    /// What the query asks for.
    pub filter: Node,
    /// The currency that prices in the query are in.
    pub currency: Currency,
    /// The order.
    pub sort: ProductSort,
    /// The order turned around.
    pub reverse: bool,
}

impl ProductSort {
    /// Whether the key falls in the sort's own direction.
    fn falls(self) -> bool {
        matches!(self, Self::BestSelling | Self::Relevance)
    }

    /// The kind of key that products have in this order.
    #[must_use]
    pub fn key_kind(self) -> KeyKind {
        match self {
            Self::Title | Self::ProductType | Self::Vendor => KeyKind::Text,
            Self::UpdatedAt | Self::CreatedAt | Self::BestSelling | Self::Price | Self::Relevance => {
                KeyKind::Integer
            }
            Self::Id => KeyKind::None,
        }
    }

    /// The key that a product has in this order; its rank is not the product's own and is read beside it.
    pub(super) fn key(self, product: &Product) -> CursorKey {
        match self {
            Self::Title => CursorKey::Text(product.title.to_ascii_lowercase()),
            Self::ProductType => CursorKey::Text(product.product_type.to_ascii_lowercase()),
            Self::Vendor => CursorKey::Text(product.vendor.to_ascii_lowercase()),
            Self::UpdatedAt => CursorKey::Integer(product.updated_at.micros()),
            Self::CreatedAt => CursorKey::Integer(product.created_at.micros()),
            Self::BestSelling => CursorKey::Integer(product.units_sold),
            Self::Price => CursorKey::Integer(product.min_price),
            Self::Relevance => CursorKey::Integer(0),
            Self::Id => CursorKey::None,
        }
    }
}

/// Writes the function that turns a search into a condition, for one backend. The backends differ in full-text search and
/// in diesel's types alone.
macro_rules! condition {
    ($name:ident, $backend:ty, text: $text:expr, title: $title:expr) => {
        fn $name(node: &Node, currency: Currency) -> Condition<products::table, $backend> {
            let all = |nodes: &[Node]| {
                nodes
                    .iter()
                    .map(|node| $name(node, currency))
                    .reduce(|a, b| Box::new(a.and(b)) as Condition<_, _>)
            };
            let any = |nodes: &[Node]| {
                nodes
                    .iter()
                    .map(|node| $name(node, currency))
                    .reduce(|a, b| Box::new(a.or(b)) as Condition<_, _>)
            };
            match node {
                Node::All => Box::new(constant(true)),
                Node::And(nodes) => all(nodes).unwrap_or_else(|| Box::new(constant(true))),
                Node::Or(nodes) => any(nodes).unwrap_or_else(|| Box::new(constant(false))),
                Node::Not(node) => Box::new(not($name(node, currency))),
                Node::Text(words) => $text(words),
                Node::Title(words) => $title(words),
                Node::Field(FieldTerm::Tag(value)) => text_condition!(product_tags::tag, value, |meets| {
                    products::id.eq_any(product_tags::table.filter(meets).select(product_tags::product_id))
                }),
                Node::Field(FieldTerm::Vendor(value)) => {
                    text_condition!(products::vendor, value, |meets| meets)
                }
                Node::Field(FieldTerm::ProductType(value)) => {
                    text_condition!(products::product_type, value, |meets| meets)
                }
                Node::Field(FieldTerm::Handle(value)) => {
                    text_condition!(products::handle, value, |meets| meets)
                }
                Node::Field(FieldTerm::Sku(value)) => {
                    text_condition!(variants::sku.assume_not_null(), value, |meets| of_variant!(meets))
                }
                Node::Field(FieldTerm::Barcode(value)) => {
                    text_condition!(variants::barcode.assume_not_null(), value, |meets| of_variant!(meets))
                }
                Node::Field(FieldTerm::Id(ids)) => {
                    let ids: Vec<ProductId> = ids
                        .iter()
                        .filter_map(|id| Uuid::try_parse(id).ok())
                        .map(ProductId::from_uuid)
                        .collect();
                    Box::new(products::id.eq_any(ids))
                }
                Node::Field(FieldTerm::Status(wanted)) => {
                    let wanted: Vec<ProductStatus> = wanted.iter().copied().map(status).collect();
                    Box::new(products::status.eq_any(wanted))
                }
                Node::Field(FieldTerm::AvailableForSale(wanted)) => {
                    let available = sql::<Bool>(AVAILABLE_FOR_SALE);
                    if *wanted { Box::new(available) } else { Box::new(not(available)) }
                }
                Node::Field(FieldTerm::Price(comparator, amount)) => {
                    let Some((comparator, minor)) = price(*comparator, amount, currency) else {
                        return Box::new(constant(false));
                    };
                    compare!(variants::price, comparator, minor, |meets| of_variant!(meets))
                }
                Node::Field(FieldTerm::CreatedAt(comparator, at)) => {
                    compare!(products::created_at, *comparator, Timestamp::from(*at), |meets| meets)
                }
                Node::Field(FieldTerm::UpdatedAt(comparator, at)) => {
                    compare!(products::updated_at, *comparator, Timestamp::from(*at), |meets| meets)
                }
            }
        }
    };
}

/// A condition on any of the product's variants.
macro_rules! of_variant {
    ($meets:expr) => {
        products::id.eq_any(variants::table.filter($meets).select(variants::product_id))
    };
}

/// The same rule as `domain::inventory::is_for_sale`, for any of a product's variants.
const AVAILABLE_FOR_SALE: &str = "EXISTS (SELECT 1 FROM variants v WHERE v.product_id = products.id \
    AND (NOT v.inventory_tracked OR v.inventory_policy = 'continue' OR 0 < \
    (SELECT sum(i.on_hand - i.reserved) FROM inventory_levels i JOIN locations l ON l.id = i.location_id \
    WHERE i.variant_id = v.id AND l.is_active)))";

#[cfg(feature = "postgres")]
fn matches_postgres(tsquery: String) -> Condition<products::table, diesel::pg::Pg> {
    Box::new(
        sql::<Bool>(
            "products.id IN (SELECT product_id FROM product_search WHERE document @@ to_tsquery('simple', ",
        )
        .bind::<Text, _>(tsquery)
        .sql("))"),
    )
}

#[cfg(feature = "sqlite")]
fn matches_sqlite(fts5: String) -> Condition<products::table, diesel::sqlite::Sqlite> {
    Box::new(
        sql::<Bool>("products.search_id IN (SELECT rowid FROM product_search WHERE product_search MATCH ")
            .bind::<Text, _>(fts5)
            .sql(")"),
    )
}

#[cfg(feature = "postgres")]
condition!(postgres_condition, diesel::pg::Pg,
    text: |words: &TextMatch| matches_postgres(words.to_tsquery(None)),
    title: |words: &TextMatch| matches_postgres(words.to_tsquery(Some('A'))));

#[cfg(feature = "sqlite")]
condition!(sqlite_condition, diesel::sqlite::Sqlite,
    text: |words: &TextMatch| matches_sqlite(words.to_fts5(None)),
    title: |words: &TextMatch| matches_sqlite(words.to_fts5(Some("title"))));

/// How well a product matches, as an integer that a cursor can hold.
#[cfg(feature = "postgres")]
const POSTGRES_RANK: [&str; 2] = [
    "coalesce((SELECT (1000000 * ts_rank(s.document, to_tsquery('simple', ",
    "))::float8)::bigint FROM product_search s WHERE s.product_id = products.id), 0)",
];
/// SQLite's rank is smaller for better matches; a match in the title counts for more, as it does on PostgreSQL.
#[cfg(feature = "sqlite")]
const SQLITE_RANK: [&str; 2] = [
    "coalesce((SELECT CAST(-1000000 * bm25(product_search, 10.0, 1.0) AS INTEGER) FROM product_search WHERE product_search MATCH ",
    " AND product_search.rowid = products.search_id), 0)",
];

/// Filters a boxed query to what follows the cursor, and sorts it: by key and id, so that no two rows are equal.
macro_rules! keyset {
    ($query:ident, $key:expr, $value:expr, $id:expr, $falls:expr) => {{
        if let (Some(value), Some(id)) = ($value, $id) {
            // Written so that an index on (key, id) bounds the scan.
            $query = if $falls {
                $query.filter($key.le(value.clone()).and($key.lt(value).or(products::id.lt(id))))
            } else {
                $query.filter($key.ge(value.clone()).and($key.gt(value).or(products::id.gt(id))))
            };
        }
        if $falls {
            $query.order_by(($key.desc(), products::id.desc()))
        } else {
            $query.order_by(($key.asc(), products::id.asc()))
        }
    }};
}

/// Reads a page of a list on one backend: rows with their rank, which is 0 unless they are sorted by it.
macro_rules! read_page {
    (|$query:ident| $load:expr, $condition:ident, $list:expr, $request:expr, $rank:expr, $matcher:expr) => {{
        let (list, request): (&ProductList, &PageRequest<Cursor>) = ($list, $request);
        let falls = list.reverse ^ list.sort.falls() ^ (request.direction == Direction::Backward);
        let text = request.cursor.as_ref().and_then(|cursor| match &cursor.key {
            CursorKey::Text(text) => Some(text.clone()),
            _ => None,
        });
        let integer = request.cursor.as_ref().and_then(|cursor| match cursor.key {
            CursorKey::Integer(integer) => Some(integer),
            _ => None,
        });
        let moment = integer.and_then(Timestamp::from_micros);
        let id = request.cursor.as_ref().map(|cursor| ProductId::from_uuid(cursor.id));
        let query = products::table.filter(visible(list.visibility));
        let mut query = match &list.filter {
            Node::All => query.into_boxed(),
            filter => query.filter($condition(filter, list.currency)).into_boxed(),
        };
        let words = (list.sort == ProductSort::Relevance).then(|| wanted_words(&list.filter)).flatten();
        if let Some(words) = words {
            let [before, after] = $rank;
            let rank = || sql::<BigInt>(before).bind::<Text, _>($matcher(&words)).sql(after);
            if let (Some(value), Some(id)) = (integer, id) {
                query = if falls {
                    query.filter(rank().lt(value).or(rank().eq(value).and(products::id.lt(id))))
                } else {
                    query.filter(rank().gt(value).or(rank().eq(value).and(products::id.gt(id))))
                };
            }
            query = if falls {
                query.order_by((rank().desc(), products::id.desc()))
            } else {
                query.order_by((rank().asc(), products::id.asc()))
            };
            let $query = query.limit(request.rows()).select((Product::as_select(), rank()));
            $load
        } else {
            query = match list.sort {
                ProductSort::Title => keyset!(query, lower(products::title), text, id, falls),
                ProductSort::ProductType => keyset!(query, lower(products::product_type), text, id, falls),
                ProductSort::Vendor => keyset!(query, lower(products::vendor), text, id, falls),
                ProductSort::UpdatedAt => keyset!(query, products::updated_at, moment, id, falls),
                ProductSort::CreatedAt => keyset!(query, products::created_at, moment, id, falls),
                ProductSort::BestSelling => keyset!(query, products::units_sold, integer, id, falls),
                ProductSort::Price => keyset!(query, products::min_price, integer, id, falls),
                ProductSort::Id | ProductSort::Relevance => {
                    // Relevance without words is no order of its own; it falls where Id rises.
                    let falls = falls ^ list.sort.falls();
                    if let Some(id) = id {
                        query = if falls {
                            query.filter(products::id.lt(id))
                        } else {
                            query.filter(products::id.gt(id))
                        };
                    }
                    if falls {
                        query.order_by(products::id.desc())
                    } else {
                        query.order_by(products::id.asc())
                    }
                }
            };
            let $query =
                query.limit(request.rows()).select((Product::as_select(), 0_i64.into_sql::<BigInt>()));
            $load
        }
    }};
}

/// A page of products, each with the key it has in the list's order.
pub async fn page(
    conn: &mut Conn,
    list: &ProductList,
    request: &PageRequest<Cursor>,
) -> Result<Page<(Product, CursorKey)>, DbError> {
    let rows: Vec<(Product, i64)> = on_each!(conn,
        postgres: |c| read_page!(|query| query.load(c).await, postgres_condition, list, request, POSTGRES_RANK, |words: &AnyWord| words.to_tsquery(None)),
        sqlite: |c| read_page!(|query| load_sqlite!(c, query), sqlite_condition, list, request, SQLITE_RANK, |words: &AnyWord| words.to_fts5(None)),
    )?;
    let ranked = list.sort == ProductSort::Relevance && wanted_words(&list.filter).is_some();
    Ok(Page::of_rows(rows, request).map(|(product, rank)| {
        let key = if ranked { CursorKey::Integer(rank) } else { list.sort.key(&product) };
        (product, key)
    }))
}

/// Products that share words with this one, best match first: those it can be shown beside.
pub async fn recommendations(
    conn: &mut Conn,
    product: ProductId,
    words: Vec<String>,
    limit: i64,
) -> Result<Vec<Product>, DbError> {
    let Some(words) = search::any_of(words.into_iter()) else { return Ok(Vec::new()) };
    macro_rules! read {
        ($c:ident, $matches:expr, $rank:expr, $text:expr) => {{
            let [before, after] = $rank;
            products::table
                .filter(products::status.eq(ProductStatus::Active))
                .filter(products::id.ne(product))
                .filter($matches)
                .order_by((sql::<BigInt>(before).bind::<Text, _>($text).sql(after).desc(), products::id))
                .limit(limit)
                .select(Product::as_select())
                .load($c)
                .await
        }};
    }
    on_each!(conn,
        postgres: |c| read!(c, matches_postgres(words.to_tsquery(None)), POSTGRES_RANK, words.to_tsquery(None)),
        sqlite: |c| read!(c, matches_sqlite(words.to_fts5(None)), SQLITE_RANK, words.to_fts5(None)),
    )
}

/// The words a query asks for, by which its matches are ranked; `None` when it asks for none.
fn wanted_words(filter: &Node) -> Option<AnyWord> {
    fn collect(node: &Node, words: &mut Vec<String>) {
        match node {
            Node::And(nodes) | Node::Or(nodes) => nodes.iter().for_each(|node| collect(node, words)),
            Node::Text(text) | Node::Title(text) => words.extend(text.words().iter().cloned()),
            Node::All | Node::Not(_) | Node::Field(_) => {}
        }
    }
    let mut words = Vec::new();
    collect(filter, &mut words);
    search::any_of(words.into_iter())
}

fn status(status: Status) -> ProductStatus {
    match status {
        Status::Active => ProductStatus::Active,
        Status::Draft => ProductStatus::Draft,
        Status::Archived => ProductStatus::Archived,
    }
}
