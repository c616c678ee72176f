//! The list of products: filtered by the search language, sorted, and read a page at a time.

use diesel::dsl::count_star;
use diesel::prelude::*;
#[cfg(feature = "postgres")]
use diesel_async::RunQueryDsl;

use super::extent::{self, Extent, rows_to_ask};
use super::filter::Asked;
#[cfg(feature = "postgres")]
use super::filter::{postgres_condition, postgres_filter, postgres_visible};
#[cfg(feature = "sqlite")]
use super::filter::{sqlite_condition, sqlite_filter, sqlite_visible};
use super::ranked::{MAX_MATCHES, Ranked, matches_to_ask};
use super::{Product, visible};
#[cfg(feature = "sqlite")]
use crate::db::load_sqlite;
use crate::db::schema::products;
use crate::db::{Conn, DbError, on_each};
use crate::domain::catalog::ProductStatus;
use crate::domain::ids::{Id, ProductId};
use crate::domain::money::Currency;
use crate::domain::page::{Cursor, CursorKey, Direction, KeyKind, Page, PageRequest, Place};
use crate::domain::search::{self, Node, RequiredWords};
use crate::domain::text;
use crate::domain::time::Timestamp;
use crate::repositories::Visibility;

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

/// A place, as the kinds of keys are compared with it.
struct At {
    text: Option<String>,
    integer: Option<i64>,
    moment: Option<Timestamp>,
    id: ProductId,
}

impl At {
    fn new(key: &CursorKey, id: uuid::Uuid) -> Self {
        let integer = if let CursorKey::Integer(integer) = key { Some(*integer) } else { None };
        Self {
            text: if let CursorKey::Text(text) = key { Some(text.clone()) } else { None },
            integer,
            moment: integer.and_then(Timestamp::from_micros),
            id: ProductId::from_uuid(id),
        }
    }

    fn cursor(request: &PageRequest<Cursor>) -> Option<Self> {
        request.cursor.as_ref().map(|cursor| Self::new(&cursor.key, cursor.id))
    }
}

/// Writes something for the column that a list is sorted by, with what reads its value of a place and what makes a key of it;
/// the last expression is for lists that are sorted by id alone.
macro_rules! by_key {
    ($sort:expr, |$column:ident, $value_of:ident, $key_of:ident| $keyed:expr, $by_id:expr) => {{
        macro_rules! keyed {
            ($of:expr, $read:expr, $make:expr) => {{
                let ($column, $value_of, $key_of) = ($of, $read, $make);
                $keyed
            }};
        }
        let text = |at: &At| at.text.clone();
        let integer = |at: &At| at.integer;
        let moment = |at: &At| at.moment;
        let of_moment = |at: Timestamp| CursorKey::Integer(at.micros());
        match $sort {
            ProductSort::Title => keyed!(products::title_key, text, CursorKey::Text),
            ProductSort::ProductType => keyed!(products::type_key, text, CursorKey::Text),
            ProductSort::Vendor => keyed!(products::vendor_key, text, CursorKey::Text),
            ProductSort::UpdatedAt => keyed!(products::updated_at, moment, of_moment),
            ProductSort::CreatedAt => keyed!(products::created_at, moment, of_moment),
            ProductSort::BestSelling => keyed!(products::units_sold, integer, CursorKey::Integer),
            ProductSort::Price => keyed!(products::min_price, integer, CursorKey::Integer),
            ProductSort::Id | ProductSort::Relevance => $by_id,
        }
    }};
}

/// Sorts a boxed query by a key and id, so that no two rows are equal, and filters it to what follows one place and goes up to
/// another. Written so that an index on (key, id) bounds the scan.
macro_rules! between {
    ($query:expr, $key:expr, $value_of:expr, $after:expr, $up_to:expr, $falls:expr) => {{
        let (after, up_to): (Option<&At>, Option<&At>) = ($after, $up_to);
        let (key, mut query) = ($key, $query);
        if let Some((value, id)) = after.and_then(|at| Some(($value_of(at)?, at.id))) {
            query = if $falls {
                query.filter(key.le(value.clone()).and(key.lt(value).or(products::id.lt(id))))
            } else {
                query.filter(key.ge(value.clone()).and(key.gt(value).or(products::id.gt(id))))
            };
        }
        if let Some((value, id)) = up_to.and_then(|at| Some(($value_of(at)?, at.id))) {
            query = if $falls {
                query.filter(key.ge(value.clone()).and(key.gt(value).or(products::id.ge(id))))
            } else {
                query.filter(key.le(value.clone()).and(key.lt(value).or(products::id.le(id))))
            };
        }
        if $falls {
            query.order_by((key.desc(), products::id.desc()))
        } else {
            query.order_by((key.asc(), products::id.asc()))
        }
    }};
}

/// The same for a query that is sorted by id.
macro_rules! between_ids {
    ($query:expr, $after:expr, $up_to:expr, $falls:expr) => {{
        let (after, up_to): (Option<&At>, Option<&At>) = ($after, $up_to);
        let mut query = $query;
        if let Some(at) = after {
            query = if $falls {
                query.filter(products::id.lt(at.id))
            } else {
                query.filter(products::id.gt(at.id))
            };
        }
        if let Some(at) = up_to {
            query = if $falls {
                query.filter(products::id.ge(at.id))
            } else {
                query.filter(products::id.le(at.id))
            };
        }
        if $falls { query.order_by(products::id.desc()) } else { query.order_by(products::id.asc()) }
    }};
}

impl ProductList {
    /// Whether the key falls where the page is read. Relevance without words is no order of its own; it is the order of ids.
    fn falls(&self, request: &PageRequest<Cursor>) -> bool {
        let turned = self.reverse ^ (request.direction == Direction::Backward);
        turned ^ (self.sort == ProductSort::BestSelling)
    }
}

/// Reads a page of a list on one backend.
macro_rules! read_page {
    (|$query:ident| $load:expr, $visible:ident, $filter:ident, $list:expr, $request:expr, $extent:expr) => {{
        let (list, request, extent): (&ProductList, &PageRequest<Cursor>, &Extent) =
            ($list, $request, $extent);
        let (falls, cursor) = (list.falls(request), At::cursor(request));
        let end = if let Extent::UpTo((key, id)) = extent { Some(At::new(key, *id)) } else { None };
        let query = $visible(list.visibility);
        let query = match &list.filter {
            Node::All => query,
            _ => query.filter($filter(list, extent)),
        };
        let query = by_key!(
            list.sort,
            |key, value_of, _key_of| between!(query, key, value_of, cursor.as_ref(), end.as_ref(), falls),
            between_ids!(query, cursor.as_ref(), end.as_ref(), falls)
        );
        let $query = query.limit(request.rows()).select(Product::as_select());
        $load
    }};
}

/// The place of the product so many rows behind a page's cursor, if the list is that long. Only an index is read.
pub(super) async fn place_beyond(
    conn: &mut Conn,
    list: &ProductList,
    request: &PageRequest<Cursor>,
    rows: usize,
) -> Result<Option<Place>, DbError> {
    let rows = i64::try_from(rows).unwrap_or(i64::MAX);
    let (falls, cursor) = (list.falls(request), At::cursor(request));
    macro_rules! read {
        (|$query:ident| $load:expr) => {{
            let all = products::table.into_boxed();
            by_key!(
                list.sort,
                |key, value_of, key_of| {
                    let sorted = between!(all, key, value_of, cursor.as_ref(), None, falls);
                    let $query = sorted.offset(rows).limit(1).select((key, products::id));
                    let found: QueryResult<Vec<(_, ProductId)>> = $load;
                    found.map(|found| found.into_iter().next().map(|(key, id)| (key_of(key), id.uuid())))
                },
                {
                    let sorted = between_ids!(all, cursor.as_ref(), None, falls);
                    let $query = sorted.offset(rows).limit(1).select(products::id);
                    let found: QueryResult<Vec<ProductId>> = $load;
                    let key = || match list.sort.key_kind() {
                        KeyKind::Integer => CursorKey::Integer(0),
                        _ => CursorKey::None,
                    };
                    found.map(|found| found.into_iter().next().map(|id| (key(), id.uuid())))
                }
            )
        }};
    }
    on_each!(conn,
        postgres: |c| read!(|query| query.load(c).await),
        sqlite: |c| read!(|query| load_sqlite!(c, query)),
    )
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
    let extent = Extent::of(conn, list, request).await?;
    // Searches take longer than a worker thread may be kept.
    #[cfg(feature = "sqlite")]
    let is_long = list.filter != Node::All;
    let rows: Vec<Product> = on_each!(conn,
        postgres: |c| read_page!(|query| query.load(c).await, postgres_visible, postgres_filter, list, request, &extent),
        sqlite: |c| read_page!(
            |query| if is_long { c.load_rows_blocking(query).await } else { load_sqlite!(c, query) },
            sqlite_visible, sqlite_filter, list, request, &extent
        ),
    )?;
    let is_full = rows.len() > request.limit;
    let page = Page::of_rows(rows, request).map(|product| {
        let key = list.sort.key(&product);
        (product, key)
    });
    Ok(match extent {
        Extent::UpTo(place) if !is_full => page.read_up_to(place, request.direction),
        _ => page,
    })
}

/// A count of a list's products on one backend.
macro_rules! count_query {
    ($visible:ident, $filter:ident, $list:expr, $extent:expr) => {{
        let list: &ProductList = $list;
        let query = $visible(list.visibility);
        let query = match &list.filter {
            Node::All => query,
            _ => query.filter($filter(list, $extent)),
        };
        query.select(count_star())
    }};
}

/// How many products a list has; `None` where more products would have to be looked at than a search may.
pub async fn count(conn: &mut Conn, list: &ProductList) -> Result<Option<i64>, DbError> {
    let extent = Extent::of(conn, list, &PageRequest::first(0)).await?;
    if matches!(extent, Extent::UpTo(_)) {
        return Ok(None);
    }
    // A count looks at all that is found, which takes longer than a worker thread may be kept.
    let counted: Vec<i64> = on_each!(conn,
        postgres: |c| count_query!(postgres_visible, postgres_filter, list, &extent).load(c).await,
        sqlite: |c| c.load_rows_blocking(count_query!(sqlite_visible, sqlite_filter, list, &extent)).await,
    )?;
    Ok(Some(counted.into_iter().sum()))
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
    // Of more matches than are ranked, the wanted ones may be known by what only few products have.
    let is_cut = extent::is_cut(conn, words, rest).await?;
    let few = if is_cut { extent::few(conn, list, rows_to_ask(rest)).await? } else { None };
    macro_rules! query {
        ($backend:ty, $words:expr, $condition:ident) => {{
            let asked = $condition(rest, list.currency, Asked::Product);
            let condition = Box::new(visible(list.visibility).and(asked));
            Ranked::<$backend>::new($words, condition, request.rows())
                .of_matches(if few.is_some() { MAX_MATCHES } else { matches_to_ask(rest) })
                .among(few.as_deref())
                .after(after, is_ascending)
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
