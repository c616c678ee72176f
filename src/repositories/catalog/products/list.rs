//! The product list: filtered by a search query, sorted and paginated.

use diesel::dsl::count_star;
use diesel::prelude::*;
#[cfg(feature = "postgres")]
use diesel_async::RunQueryDsl;

use super::filter::{Examined, Lookup};
#[cfg(feature = "postgres")]
use super::filter::{postgres_condition, postgres_filter, postgres_visible};
#[cfg(feature = "sqlite")]
use super::filter::{sqlite_condition, sqlite_filter, sqlite_visible};
use super::ranking::{Matches, RankedMatches, max_matches, max_matches_of};
use super::scan::{self, ScanRange, WordMatches, max_rows};
use super::{Product, visible};
#[cfg(feature = "sqlite")]
use crate::db::expr::{Condition, constant};
use crate::db::expr::{Side, in_ids, on_side};
#[cfg(feature = "sqlite")]
use crate::db::load_sqlite;
use crate::db::schema::products;
use crate::db::types::AnyId;
use crate::db::{Conn, DbError, per_backend};
use crate::domain::catalog::ProductStatus;
use crate::domain::catalog::search::{self, Node, RequiredWords};
use crate::domain::ids::{Id, ProductId};
use crate::domain::money::Currency;
use crate::domain::page::{
    Cursor, CursorKey, CursorKeyKind, Direction, MAX_PAGE_SIZE, Page, PageRequest, RowPosition,
};
use crate::domain::text;
use crate::domain::time::Timestamp;
use crate::repositories::Visibility;
use crate::repositories::keyset::{after_id, after_key};

/// The sort key of a list of products; ties are sorted by id.
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
    /// Best-selling first.
    BestSelling,
    /// By the cheapest variant, cheapest first.
    Price,
    /// By creation, oldest first.
    Id,
    /// Best match of the query first.
    Relevance,
}

/// A filtered and sorted list of products.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct ProductList {
    /// The products that the reader may see.
    pub visibility: Visibility,
    /// The filter.
    pub filter: Node,
    /// The currency of prices in the filter.
    pub currency: Currency,
    /// The sort key.
    pub sort: ProductSort,
    /// Whether to reverse the order.
    pub reverse: bool,
}

impl ProductSort {
    /// The type of the cursor key in this order.
    #[must_use]
    pub fn key_kind(self) -> CursorKeyKind {
        match self {
            Self::Title | Self::ProductType | Self::Vendor => CursorKeyKind::Text,
            Self::UpdatedAt | Self::CreatedAt | Self::BestSelling | Self::Price | Self::Relevance => {
                CursorKeyKind::Integer
            }
            Self::Id => CursorKeyKind::None,
        }
    }

    /// The product's sort key in this order; a rank is not stored in the product and is read beside
    /// it.
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

/// Expands an expression for the column that a list is sorted by, with functions that read its
/// value from a cursor key and make a cursor key of it; the last argument is for lists that are
/// sorted by id only.
macro_rules! by_key {
    ($sort:expr, |$column:ident, $value_of:ident, $key_of:ident| $keyed:expr, $by_id:expr) => {{
        macro_rules! keyed {
            ($of:expr, $read:expr, $make:expr) => {{
                let ($column, $value_of, $key_of) = ($of, $read, $make);
                $keyed
            }};
        }
        let (text, integer, moment) = (CursorKey::text, CursorKey::integer, CursorKey::moment);
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

/// Sorts a boxed query by a key and the id, and restricts it to the rows after one position and up
/// to another.
macro_rules! between {
    ($query:expr, $key:expr, $value_of:expr, $after:expr, $up_to:expr, $is_descending:expr) => {{
        let up_to: Option<&RowPosition> = $up_to;
        let (key, value_of, query) = ($key, $value_of, $query);
        let up_to = up_to.and_then(|(key, id)| Some((value_of(key)?, AnyId(*id))));
        let query = match up_to {
            Some(place) => query.filter(on_side(Side::UpTo, key, products::id, place, $is_descending)),
            None => query,
        };
        after_key!(query, key, value_of, products::id, $after, $is_descending)
    }};
}

/// The same for a query sorted by id.
macro_rules! between_ids {
    ($query:expr, $after:expr, $up_to:expr, $is_descending:expr) => {{
        let up_to: Option<&RowPosition> = $up_to;
        let query = $query;
        let query = match up_to.map(|(_, id)| ProductId::from_uuid(*id)) {
            Some(id) if $is_descending => query.filter(products::id.ge(id)),
            Some(id) => query.filter(products::id.le(id)),
            None => query,
        };
        after_id!(query, products::id, $after, $is_descending)
    }};
}

impl ProductList {
    /// Whether keys are descending in the direction in which the page is read. What can't be ranked
    /// is sorted by id.
    fn is_descending(&self, request: &PageRequest<Cursor>) -> bool {
        request.is_descending(self.reverse ^ (self.sort == ProductSort::BestSelling))
    }
}

/// Reads a page of a list on one backend.
macro_rules! read_page {
    (|$query:ident| $load:expr, $visible:ident, $filter:ident, $list:expr, $request:expr, $scan:expr) => {{
        let (list, request, scan): (&ProductList, &PageRequest<Cursor>, &ScanRange) =
            ($list, $request, $scan);
        let (is_descending, after) = (list.is_descending(request), request.position());
        let up_to = if let ScanRange::UpTo(place) = scan { Some(place) } else { None };
        let query = $visible(list.visibility);
        let query = match &list.filter {
            Node::All => query,
            _ => query.filter($filter(list, request, scan)),
        };
        let query = by_key!(
            list.sort,
            |key, value_of, _key_of| between!(query, key, value_of, after.as_ref(), up_to, is_descending),
            between_ids!(query, after.as_ref(), up_to, is_descending)
        );
        let $query = query.limit(request.row_limit()).select(Product::as_select());
        $load
    }};
}

/// The condition that `between!` adds to a query, for its subqueries.
#[cfg(feature = "sqlite")]
pub(super) fn sqlite_range(
    list: &ProductList,
    request: &PageRequest<Cursor>,
    up_to: Option<&RowPosition>,
) -> Condition<products::table, diesel::sqlite::Sqlite> {
    let is_descending = list.is_descending(request);
    let side = |side: Side, (key, id): &RowPosition| {
        let condition: Condition<products::table, diesel::sqlite::Sqlite> = by_key!(
            list.sort,
            |column, value_of, _key_of| {
                let place = (value_of(key)?, AnyId(*id));
                Box::new(on_side(side, column, products::id, place, is_descending))
            },
            {
                let id = ProductId::from_uuid(*id);
                match (side, is_descending) {
                    (Side::After, false) => Box::new(products::id.gt(id)),
                    (Side::After, true) => Box::new(products::id.lt(id)),
                    (Side::UpTo, false) => Box::new(products::id.le(id)),
                    (Side::UpTo, true) => Box::new(products::id.ge(id)),
                }
            }
        );
        Some(condition)
    };
    let after = request.position().as_ref().and_then(|position| side(Side::After, position));
    let up_to = up_to.and_then(|position| side(Side::UpTo, position));
    let both = after.into_iter().chain(up_to).reduce(|after, up_to| Box::new(after.and(up_to)));
    both.unwrap_or_else(|| Box::new(constant(true)))
}

/// Returns the position of the product `rows` rows after the page's cursor, if the list is that
/// long. Reads only an index.
pub(super) async fn position_after(
    conn: &mut Conn,
    list: &ProductList,
    request: &PageRequest<Cursor>,
    rows: usize,
) -> Result<Option<RowPosition>, DbError> {
    let rows = i64::try_from(rows).unwrap_or(i64::MAX);
    let (is_descending, after) = (list.is_descending(request), request.position());
    macro_rules! read {
        (|$query:ident| $load:expr) => {{
            let all = products::table.into_boxed();
            by_key!(
                list.sort,
                |key, value_of, key_of| {
                    let sorted = after_key!(all, key, value_of, products::id, after.as_ref(), is_descending);
                    let $query = sorted.offset(rows).limit(1).select((key, products::id));
                    let found: QueryResult<Vec<(_, ProductId)>> = $load;
                    found.map(|found| found.into_iter().next().map(|(key, id)| (key_of(key), id.uuid())))
                },
                {
                    let sorted = after_id!(all, products::id, after.as_ref(), is_descending);
                    let $query = sorted.offset(rows).limit(1).select(products::id);
                    let found: QueryResult<Vec<ProductId>> = $load;
                    let key = || match list.sort.key_kind() {
                        CursorKeyKind::Integer => CursorKey::Integer(0),
                        _ => CursorKey::None,
                    };
                    found.map(|found| found.into_iter().next().map(|id| (key(), id.uuid())))
                }
            )
        }};
    }
    per_backend!(conn,
        postgres: |c| read!(|query| query.load(c).await),
        sqlite: |c| read!(|query| load_sqlite!(c, query)),
    )
}

/// Returns a page of products, each with its sort key.
pub async fn page(
    conn: &mut Conn,
    list: &ProductList,
    request: &PageRequest<Cursor>,
) -> Result<Page<(Product, CursorKey)>, DbError> {
    let ranking = match list.sort {
        ProductSort::Relevance => RequiredWords::split(&list.filter),
        _ => None,
    };
    let scan = if let Some((words, rest)) = ranking {
        if let Some(rows) = ranked_rows(conn, list, request, &words, &rest).await? {
            let page = Page::from_rows(rows, request);
            return Ok(page.map(|(product, rank)| (product, CursorKey::Integer(rank))));
        }
        ScanRange::without_index(conn, list, request).await?
    } else {
        ScanRange::of(conn, list, request).await?
    };
    // Searches take too long for an async worker thread.
    #[cfg(feature = "sqlite")]
    let is_long = list.filter != Node::All;
    let rows: Vec<Product> = per_backend!(conn,
        postgres: |c| read_page!(|query| query.load(c).await, postgres_visible, postgres_filter, list, request, &scan),
        sqlite: |c| read_page!(
            |query| if is_long { c.load_rows_blocking(query).await } else { load_sqlite!(c, query) },
            sqlite_visible, sqlite_filter, list, request, &scan
        ),
    )?;
    let is_full = rows.len() > request.limit;
    let page = Page::from_rows(rows, request).with_keys(|product| list.sort.key(product));
    Ok(match scan {
        ScanRange::UpTo(place) if !is_full => page.continued_at(place, request.direction),
        _ => page,
    })
}

/// Counts the products of a list on one backend.
macro_rules! count_query {
    ($visible:ident, $filter:ident, $list:expr, $request:expr, $scan:expr) => {{
        let list: &ProductList = $list;
        let query = $visible(list.visibility);
        let query = match &list.filter {
            Node::All => query,
            _ => query.filter($filter(list, $request, $scan)),
        };
        query.select(count_star())
    }};
}

/// Counts the products of a list; `None` if a search would have to examine more products than
/// allowed.
pub async fn count(conn: &mut Conn, list: &ProductList) -> Result<Option<i64>, DbError> {
    let request = PageRequest::first(0);
    let scan = ScanRange::of(conn, list, &request).await?;
    if matches!(scan, ScanRange::UpTo(_)) {
        return Ok(None);
    }
    // A count examines all matches, which takes too long for an async worker thread.
    let counted: Vec<i64> = per_backend!(conn,
        postgres: |c| count_query!(postgres_visible, postgres_filter, list, &request, &scan).load(c).await,
        sqlite: |c| c.load_rows_blocking(count_query!(sqlite_visible, sqlite_filter, list, &request, &scan)).await,
    )?;
    Ok(Some(counted.into_iter().sum()))
}

/// Reads a page of a list sorted by relevance: rows with their rank. `None` if finding enough
/// matches to rank takes too long; the list is sorted by id instead.
async fn ranked_rows(
    conn: &mut Conn,
    list: &ProductList,
    request: &PageRequest<Cursor>,
    words: &RequiredWords,
    rest: &Node,
) -> Result<Option<Vec<(Product, i64)>>, DbError> {
    let after = request.cursor.as_ref().and_then(|cursor| match cursor.key {
        CursorKey::Integer(rank) => Some((rank, ProductId::from_uuid(cursor.id))),
        _ => None,
    });
    // Further pages keep the order of the first: a rank of 0 means a list sorted by id.
    if after.is_some_and(|(rank, _)| rank == 0) {
        return Ok(None);
    }
    let is_ascending = list.reverse ^ (request.direction == Direction::Backward);
    let found = WordMatches::of(conn, words, rest).await?;
    // Another condition may narrow down too many matches to few candidates.
    let candidates = match found {
        WordMatches::First(_) => None,
        _ => scan::find_candidates(conn, list, max_rows(rest)).await?,
    };
    let first = |limit| (Matches::First(limit), Examined::Matches(words, limit));
    let (matches, examined) = match (&candidates, found) {
        (Some(ids), _) => (Matches::Candidates(in_ids(products::id, ids)), Examined::Candidates(ids)),
        (None, WordMatches::First(limit)) => first(limit),
        (None, WordMatches::TooMany) => first(max_matches(words, rest)),
        (None, WordMatches::Sampled { tested, matches })
            if *rest == Node::All && (after.is_some() || matches >= MAX_PAGE_SIZE) =>
        {
            let sample = Matches::Sample {
                #[cfg(feature = "postgres")]
                words: words.to_tsquery_anywhere(),
                products: tested,
            };
            (sample, Examined::Any)
        }
        (None, WordMatches::Sampled { .. }) => return Ok(None),
    };
    let is_sample = matches!(matches, Matches::Sample { .. });
    macro_rules! query {
        ($backend:ty, $words:expr, $condition:ident) => {{
            let condition = $condition(rest, list.currency, Lookup::PerProduct(examined));
            let condition = Box::new(visible(list.visibility).and(condition));
            RankedMatches::<$backend>::new($words, matches, condition, request.row_limit())
                .after(after, is_ascending)
        }};
    }
    let rows = per_backend!(conn,
        postgres: |c| {
            let query = query!(diesel::pg::Pg, words.to_tsquery(), postgres_condition);
            query.alternatives(words.alternative_words()).load(c).await
        },
        sqlite: |c| c.load_rows_blocking(query!(diesel::sqlite::Sqlite, words.to_fts5(), sqlite_condition)).await,
    )?;
    // Too few of the matches found may be visible.
    let is_too_small = is_sample && after.is_none() && rows.len() <= request.limit;
    Ok((!is_too_small).then_some(rows))
}

/// Returns products that share words with this one, best match first, for recommendations.
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
            let matches = Matches::First(max_matches_of(words.words().len()));
            RankedMatches::<$backend>::new($words, matches, Box::new(others), limit)
        }};
    }
    let rows: Vec<(Product, i64)> = per_backend!(conn,
        postgres: |c| {
            let query = query!(diesel::pg::Pg, words.to_tsquery(None));
            query.alternatives(words.words().len()).load(c).await
        },
        sqlite: |c| c.load_rows_blocking(query!(diesel::sqlite::Sqlite, words.to_fts5(None))).await,
    )?;
    Ok(rows.into_iter().map(|(product, _)| product).collect())
}
