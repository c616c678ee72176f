//! The list of products: filtered by the search language, sorted, and read a page at a time.

use diesel::dsl::{count_star, exists, not, sql};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Text};
#[cfg(feature = "postgres")]
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use super::ranked::{MAX_MATCHES, Ranked};
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
use crate::domain::search::{
    self, Comparator, FieldTerm, Node, RequiredWords, Status, TextMatch, ValueMatch,
};
use crate::domain::text;
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
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
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
            Self::Title => CursorKey::Text(text::key(&product.title)),
            Self::ProductType => CursorKey::Text(text::key(&product.product_type)),
            Self::Vendor => CursorKey::Text(text::key(&product.vendor)),
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
    ($name:ident, $backend:ty, $words:expr, $without_words:expr) => {
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
                Node::Not(node) => match node.as_ref() {
                    Node::Text(words) => $without_words(words, false),
                    Node::Title(words) => $without_words(words, true),
                    node => Box::new(not($name(node, currency))),
                },
                Node::Text(words) => $words(words, false),
                Node::Title(words) => $words(words, true),
                Node::Field(FieldTerm::Tag(value)) => {
                    text_condition!(product_tags::tag, product_tags::tag_key, text::key, value, |meets| {
                        of_each!($backend, product_tags, value, meets)
                    })
                }
                Node::Field(FieldTerm::Vendor(value)) => {
                    text_condition!(products::vendor, products::vendor_key, text::key, value, |meets| meets)
                }
                Node::Field(FieldTerm::ProductType(value)) => {
                    let (kind, key) = (products::product_type, products::type_key);
                    text_condition!(kind, key, text::key, value, |meets| meets)
                }
                Node::Field(FieldTerm::Handle(value)) => {
                    // Handles have no capitals of other alphabets.
                    let key = || lower(products::handle);
                    text_condition!(products::handle, key(), text::lower, value, |meets| meets)
                }
                Node::Field(FieldTerm::Sku(value)) => {
                    let (sku, key) = (variants::sku, || variants::sku_key.assume_not_null());
                    text_condition!(sku.assume_not_null(), key(), text::key, value, |meets| {
                        of_each!($backend, variants, value, meets)
                    })
                }
                Node::Field(FieldTerm::Barcode(value)) => {
                    let (barcode, key) = (variants::barcode, || variants::barcode_key.assume_not_null());
                    text_condition!(barcode.assume_not_null(), key(), text::key, value, |meets| {
                        of_each!($backend, variants, value, meets)
                    })
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
                Node::Field(FieldTerm::InventoryTotal(comparator, pieces)) => {
                    compare!(sql::<BigInt>(INVENTORY_TOTAL), *comparator, *pieces, |meets| meets)
                }
                Node::Field(FieldTerm::Price(comparator, amount)) => {
                    let Some((comparator, minor)) = price(*comparator, amount, currency) else {
                        return Box::new(constant(false));
                    };
                    // The product knows the span of its variants' prices, which says nothing where it has none.
                    let has_variants =
                        || exists(variants::table.filter(variants::product_id.eq(products::id)));
                    match comparator {
                        Comparator::Greater => Box::new(products::max_price.gt(minor).and(has_variants())),
                        Comparator::GreaterOrEqual => {
                            Box::new(products::max_price.ge(minor).and(has_variants()))
                        }
                        Comparator::Less => Box::new(products::min_price.lt(minor).and(has_variants())),
                        Comparator::LessOrEqual => {
                            Box::new(products::min_price.le(minor).and(has_variants()))
                        }
                        Comparator::Equal => Box::new(
                            products::id.eq_any(
                                variants::table
                                    .filter(variants::price.eq(minor))
                                    .select(variants::product_id)
                                    .offset(0),
                            ),
                        ),
                    }
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

/// A condition on any of the product's tags or variants. What an index finds is read once: OFFSET and LIMIT keep PostgreSQL from
/// asking for each product instead, which takes longest where nothing is found. Whether there is a value at all is asked
/// product by product, until the page is full: it is so for most.
macro_rules! of_each {
    ($backend:ty, $table:ident, $value:expr, $meets:expr) => {{
        let found = $table::table.filter($meets);
        let condition: Condition<products::table, $backend> = match $value {
            ValueMatch::AnyOf(_) => Box::new(products::id.eq_any(found.select($table::product_id).offset(0))),
            ValueMatch::StartsWith(_) => {
                Box::new(products::id.eq_any(found.select($table::product_id).limit(i64::from(MAX_MATCHES))))
            }
            ValueMatch::Exists => Box::new(exists(found.filter($table::product_id.eq(products::id)))),
        };
        condition
    }};
}

/// The same rule as `domain::inventory::is_for_sale`, for any of a product's variants.
const AVAILABLE_FOR_SALE: &str = "EXISTS (SELECT 1 FROM variants v WHERE v.product_id = products.id \
    AND (NOT v.inventory_tracked OR v.inventory_policy = 'continue' OR 0 < \
    (SELECT sum(i.on_hand - i.reserved) FROM inventory_levels i JOIN locations l ON l.id = i.location_id \
    WHERE i.variant_id = v.id AND l.is_active)))";

/// The pieces that can still be sold of all variants of a product that are counted. Nothing, which
/// compares with no number, where there is no such variant.
const INVENTORY_TOTAL: &str = "(SELECT CAST(sum(CASE WHEN l.is_active THEN i.on_hand - i.reserved ELSE 0 END) AS bigint) \
    FROM variants v LEFT JOIN inventory_levels i ON i.variant_id = v.id LEFT JOIN locations l ON l.id = i.location_id \
    WHERE v.product_id = products.id AND v.inventory_tracked)";

/// The products that have words: of more than [`MAX_MATCHES`], those that the index finds first. The bound also has the database
/// read the index once; without it PostgreSQL would ask for each product whether it is in there.
#[cfg(feature = "postgres")]
fn with_words_postgres(words: &TextMatch, in_title: bool) -> Condition<products::table, diesel::pg::Pg> {
    Box::new(
        sql::<Bool>(
            "products.id IN (SELECT product_id FROM product_search WHERE document @@ to_tsquery('simple', ",
        )
        .bind::<Text, _>(words.to_tsquery(in_title.then_some('A')))
        .sql(&format!(") LIMIT {MAX_MATCHES})")),
    )
}

/// The products that do not have words, without a bound. A join: a list of ids may be too long to be hashed.
#[cfg(feature = "postgres")]
fn without_words_postgres(words: &TextMatch, in_title: bool) -> Condition<products::table, diesel::pg::Pg> {
    Box::new(
        sql::<Bool>(
            "NOT EXISTS (SELECT 1 FROM product_search s WHERE s.product_id = products.id AND s.document @@ \
             to_tsquery('simple', ",
        )
        .bind::<Text, _>(words.to_tsquery(in_title.then_some('A')))
        .sql("))"),
    )
}

#[cfg(feature = "sqlite")]
fn with_words_sqlite(
    words: &TextMatch,
    in_title: bool,
) -> Condition<products::table, diesel::sqlite::Sqlite> {
    Box::new(
        sql::<Bool>("products.search_id IN (SELECT rowid FROM product_search WHERE product_search MATCH ")
            .bind::<Text, _>(words.to_fts5(in_title.then_some("title")))
            .sql(&format!(" LIMIT {MAX_MATCHES})")),
    )
}

#[cfg(feature = "sqlite")]
fn without_words_sqlite(
    words: &TextMatch,
    in_title: bool,
) -> Condition<products::table, diesel::sqlite::Sqlite> {
    Box::new(
        sql::<Bool>(
            "products.search_id NOT IN (SELECT rowid FROM product_search WHERE product_search MATCH ",
        )
        .bind::<Text, _>(words.to_fts5(in_title.then_some("title")))
        .sql(")"),
    )
}

#[cfg(feature = "postgres")]
condition!(postgres_condition, diesel::pg::Pg, with_words_postgres, without_words_postgres);

#[cfg(feature = "sqlite")]
condition!(sqlite_condition, diesel::sqlite::Sqlite, with_words_sqlite, without_words_sqlite);

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

/// Reads a page of a list on one backend.
macro_rules! read_page {
    (|$query:ident| $load:expr, $condition:ident, $list:expr, $request:expr) => {{
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
        query = match list.sort {
            ProductSort::Title => keyset!(query, products::title_key, text, id, falls),
            ProductSort::ProductType => keyset!(query, products::type_key, text, id, falls),
            ProductSort::Vendor => keyset!(query, products::vendor_key, text, id, falls),
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
                if falls { query.order_by(products::id.desc()) } else { query.order_by(products::id.asc()) }
            }
        };
        let $query = query.limit(request.rows()).select(Product::as_select());
        $load
    }};
}

/// A page of products, each with the key it has in the list's order.
pub async fn page(
    conn: &mut Conn,
    list: &ProductList,
    request: &PageRequest<Cursor>,
) -> Result<Page<(Product, CursorKey)>, DbError> {
    let ranked = match list.sort {
        ProductSort::Relevance => RequiredWords::split(&list.filter),
        _ => None,
    };
    if let Some((words, rest)) = ranked {
        let page = Page::of_rows(ranked_rows(conn, list, request, &words, &rest).await?, request);
        return Ok(page.map(|(product, rank)| (product, CursorKey::Integer(rank))));
    }
    // Full-text searches take longer than a worker thread may be kept.
    #[cfg(feature = "sqlite")]
    let has_words = search::looks_for_words(&list.filter);
    let rows: Vec<Product> = on_each!(conn,
        postgres: |c| read_page!(|query| query.load(c).await, postgres_condition, list, request),
        sqlite: |c| read_page!(
            |query| if has_words { c.load_rows_blocking(query).await } else { load_sqlite!(c, query) },
            sqlite_condition, list, request
        ),
    )?;
    Ok(Page::of_rows(rows, request).map(|product| {
        let key = list.sort.key(&product);
        (product, key)
    }))
}

/// A count of a list's products on one backend.
macro_rules! count_query {
    ($condition:ident, $list:expr) => {{
        let list: &ProductList = $list;
        let query = products::table.filter(visible(list.visibility));
        let query = match &list.filter {
            Node::All => query.into_boxed(),
            filter => query.filter($condition(filter, list.currency)).into_boxed(),
        };
        query.select(count_star())
    }};
}

/// How many products a list has.
pub async fn count(conn: &mut Conn, list: &ProductList) -> Result<i64, DbError> {
    // A count looks at all that is found, which takes longer than a worker thread may be kept.
    let counted: Vec<i64> = on_each!(conn,
        postgres: |c| count_query!(postgres_condition, list).load(c).await,
        sqlite: |c| c.load_rows_blocking(count_query!(sqlite_condition, list)).await,
    )?;
    Ok(counted.into_iter().sum())
}

/// Reads a page of a list that is sorted by relevance: rows with their rank.
async fn ranked_rows(
    conn: &mut Conn,
    list: &ProductList,
    request: &PageRequest<Cursor>,
    words: &RequiredWords,
    rest: &Node,
) -> Result<Vec<(Product, i64)>, DbError> {
    let after = request.cursor.as_ref().and_then(|cursor| match cursor.key {
        CursorKey::Integer(rank) => Some((rank, ProductId::from_uuid(cursor.id))),
        _ => None,
    });
    let is_ascending = list.reverse ^ (request.direction == Direction::Backward);
    macro_rules! query {
        ($backend:ty, $words:expr, $condition:ident) => {{
            let condition = Box::new(visible(list.visibility).and($condition(rest, list.currency)));
            Ranked::<$backend>::new($words, condition, request.rows()).after(after, is_ascending)
        }};
    }
    on_each!(conn,
        postgres: |c| query!(diesel::pg::Pg, words.to_tsquery(), postgres_condition).load(c).await,
        sqlite: |c| c.load_rows_blocking(query!(diesel::sqlite::Sqlite, words.to_fts5(), sqlite_condition)).await,
    )
}

/// Products that share words with this one, best match first: those it can be shown beside.
pub async fn recommendations(
    conn: &mut Conn,
    product: ProductId,
    words: Vec<String>,
    limit: i64,
) -> Result<Vec<Product>, DbError> {
    let Some(words) = search::any_of(words.into_iter()) else { return Ok(Vec::new()) };
    macro_rules! query {
        ($backend:ty, $words:expr) => {{
            let others = products::status.eq(ProductStatus::Active).and(products::id.ne(product));
            Ranked::<$backend>::new($words, Box::new(others), limit)
        }};
    }
    let rows: Vec<(Product, i64)> = on_each!(conn,
        postgres: |c| query!(diesel::pg::Pg, words.to_tsquery(None)).load(c).await,
        sqlite: |c| c.load_rows_blocking(query!(diesel::sqlite::Sqlite, words.to_fts5(None))).await,
    )?;
    Ok(rows.into_iter().map(|(product, _)| product).collect())
}

fn status(status: Status) -> ProductStatus {
    match status {
        Status::Active => ProductStatus::Active,
        Status::Draft => ProductStatus::Draft,
        Status::Archived => ProductStatus::Archived,
    }
}
