//! Bounds the number of products that a search examines. A search without a suitable index would
//! have to examine every product, and get slower as the shop grows; instead it examines a bounded
//! number of products in list order, and the page records where it stopped. Called by the product
//! list.

use diesel::dsl::sql;
use diesel::prelude::*;
#[cfg(feature = "postgres")]
use diesel::sql_types::BigInt;
use diesel::sql_types::{Bool, Text};
#[cfg(feature = "postgres")]
use diesel_async::RunQueryDsl;

use super::filter::Lookup;
#[cfg(feature = "postgres")]
use super::filter::postgres_condition;
#[cfg(feature = "sqlite")]
use super::filter::sqlite_condition;
#[cfg(feature = "postgres")]
use super::first_matches::FirstMatches;
use super::list::{ProductList, position_after};
use super::ranking::max_matches;
use crate::db::expr::Condition;
use crate::db::schema::{product_tags, products, variants};
use crate::db::{Conn, DbError, per_backend};
use crate::domain::catalog::search::{self, Comparator, FieldTerm, Node, RequiredWords};
use crate::domain::ids::ProductId;
use crate::domain::money::Currency;
use crate::domain::page::{Cursor, PageRequest, RowPosition};
use crate::domain::text;
use crate::repositories::conditions::{compare_price, text_condition};

/// Time budget of a search, in estimated microseconds; PostgreSQL takes up to twice the estimates.
const MAX_SCAN_MICROS: usize = 30_000;
/// Estimated time to read a product, in microseconds.
const READ_COST: usize = 2;
/// Maximum number of candidates that are examined regardless of their position in the list.
const MAX_CANDIDATES: usize = 2_000;
/// The SQL limit: one more, to see whether there are more.
#[expect(clippy::cast_possible_wrap, reason = "a small constant")]
const CANDIDATE_LIMIT: i64 = MAX_CANDIDATES as i64 + 1;
/// Maximum number of conditions that are tried as a source of candidates.
const MAX_PROBES: usize = 3;

/// Maximum number of products that a search may test for a condition.
pub(super) fn max_rows(condition: &Node) -> usize {
    max_rows_for_cost(search::estimate_cost(condition))
}

/// Maximum number of products that a search may test if a test takes `cost` microseconds.
fn max_rows_for_cost(cost: usize) -> usize {
    MAX_SCAN_MICROS.checked_div(READ_COST.saturating_add(cost)).unwrap_or(MAX_SCAN_MICROS)
}

/// The part of a list that is examined.
#[derive(Debug)]
pub(super) enum ScanRange {
    /// All of it: it is short, or has no filter.
    All,
    /// The first products in the index with required words, tested for the other conditions.
    Matches { words: RequiredWords, limit: usize, rest: Node },
    /// Everything after the page's cursor, which is few products that are tested one by one.
    Remaining,
    /// These candidates, which include all matches.
    Candidates(Vec<ProductId>),
    /// From the page's cursor up to this position.
    UpTo(RowPosition),
}

impl ScanRange {
    /// Determines which part of a list is examined for a page.
    pub(super) async fn of(
        conn: &mut Conn,
        list: &ProductList,
        request: &PageRequest<Cursor>,
    ) -> Result<Self, DbError> {
        if list.filter == Node::All {
            return Ok(Self::All);
        }
        if let Some((words, rest)) = RequiredWords::split(&list.filter)
            && let WordMatches::First(limit) = WordMatches::of(conn, &words, &rest).await?
        {
            return Ok(Self::Matches { words, limit, rest });
        }
        let range = Self::without_index(conn, list, request).await?;
        let candidates = match range {
            Self::UpTo(_) => find_candidates(conn, list, max_rows(&list.filter)).await?,
            _ => None,
        };
        Ok(candidates.map_or(range, Self::Candidates))
    }

    /// The same if no index answers the search.
    pub(super) async fn without_index(
        conn: &mut Conn,
        list: &ProductList,
        request: &PageRequest<Cursor>,
    ) -> Result<Self, DbError> {
        Ok(match position_after(conn, list, request, max_rows(&list.filter)).await? {
            Some(place) => Self::UpTo(place),
            None if request.cursor.is_none() && RequiredWords::split(&list.filter).is_none() => Self::All,
            None => Self::Remaining,
        })
    }
}

/// What the full-text index finds for the required words of a search.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum WordMatches {
    /// All matches can be tested for the other conditions. If there are more than this number, only
    /// the first ones in the index are found.
    First(usize),
    /// More matches than may be tested for the other conditions.
    TooMany,
    /// At least as many products have these words as may be tested for the words' positions: how
    /// many were tested, and how many of them match.
    Sampled { tested: usize, matches: usize },
}

impl WordMatches {
    /// Looks up the required words of a search, and counts matches as far as necessary.
    pub(super) async fn of(conn: &mut Conn, words: &RequiredWords, rest: &Node) -> Result<Self, DbError> {
        if let Some(sampled) = Self::sample(conn, words).await? {
            return Ok(sampled);
        }
        let limit = max_matches(words, rest);
        // Without other conditions, only the first matches are shown anyway.
        if *rest == Node::All {
            return Ok(Self::First(limit));
        }
        let has_more = has_more_matches(conn, words, limit).await?;
        Ok(if has_more { Self::TooMany } else { Self::First(limit) })
    }

    /// PostgreSQL's index contains neither positions nor weights of words: it finds all products
    /// with the words of a phrase, and positions are compared in their documents. This returns
    /// `Some` if there are too many.
    async fn sample(conn: &mut Conn, words: &RequiredWords) -> Result<Option<Self>, DbError> {
        let cost = search::estimate_position_cost(words);
        if cost == 0 {
            return Ok(None);
        }
        let tested = max_rows_for_cost(cost).min(max_matches(words, &Node::All));
        let counts: Vec<(i64, i64)> = per_backend!(conn,
            postgres: |c| {
                let first = FirstMatches::of(words, tested);
                sql::<(BigInt, BigInt)>("SELECT count(*), count(*) FILTER (WHERE document @@ query) FROM to_tsquery('simple', ")
                    .bind::<Text, _>(words.to_tsquery())
                    .sql(&format!(") AS query, {}", first.start))
                    .bind::<Text, _>(words.to_tsquery_anywhere())
                    .sql(&format!("{} AS found", first.end))
                    .load(c)
                    .await
            },
            // FTS5 has the positions in its index.
            sqlite: |_c| Ok::<Vec<(i64, i64)>, diesel::result::Error>(Vec::new()),
        )?;
        let count = |count: i64| usize::try_from(count).unwrap_or(0);
        let too_many = counts.into_iter().find(|(found, _)| count(*found) >= tested);
        Ok(too_many.map(|(_, matches)| Self::Sampled { tested, matches: count(matches) }))
    }
}

/// Whether words have more matches than a limit.
async fn has_more_matches(conn: &mut Conn, words: &RequiredWords, limit: usize) -> Result<bool, DbError> {
    let end = format!(" LIMIT 1 OFFSET {limit})");
    let found: Vec<bool> = per_backend!(conn,
        postgres: |c| {
            let first = FirstMatches::of(words, limit.saturating_add(1));
            sql::<Bool>(&format!("SELECT EXISTS (SELECT 1 FROM {}", first.start))
                .bind::<Text, _>(words.to_tsquery())
                .sql(&format!("{} AS found{end}", first.end))
                .load(c)
                .await
        },
        sqlite: |c| {
            let found = sql::<Bool>("SELECT EXISTS (SELECT 1 FROM product_search WHERE product_search MATCH ");
            c.load_rows_blocking(found.bind::<Text, _>(words.to_fts5()).sql(&end)).await
        },
    )?;
    Ok(found.contains(&true))
}

/// Returns candidates that include all matches of a list, if one of its conditions is met by few
/// products; at most `rows`.
pub(super) async fn find_candidates(
    conn: &mut Conn,
    list: &ProductList,
    rows: usize,
) -> Result<Option<Vec<ProductId>>, DbError> {
    for condition in search::indexable_conditions(&list.filter).into_iter().take(MAX_PROBES) {
        let ids = find_matches(conn, condition, list.currency).await?;
        if ids.len() <= MAX_CANDIDATES.min(rows) {
            return Ok(Some(ids));
        }
    }
    Ok(None)
}

/// Returns products that meet an indexed condition, possibly with duplicates. If there are more
/// than [`MAX_CANDIDATES`], the result is incomplete.
async fn find_matches(
    conn: &mut Conn,
    condition: &Node,
    currency: Currency,
) -> Result<Vec<ProductId>, DbError> {
    let alternatives = match condition {
        Node::Or(alternatives) => alternatives.as_slice(),
        one => std::slice::from_ref(one),
    };
    let mut ids = Vec::new();
    for condition in alternatives {
        ids.extend(find_matches_of(conn, condition, currency).await?);
        if ids.len() > MAX_CANDIDATES {
            break;
        }
    }
    Ok(ids)
}

async fn find_matches_of(
    conn: &mut Conn,
    condition: &Node,
    currency: Currency,
) -> Result<Vec<ProductId>, DbError> {
    macro_rules! read {
        (|$query:ident| $load:expr, $backend:ty, $condition:ident) => {{
            macro_rules! of {
                ($table:ident, $met:expr) => {{
                    let met: Condition<$table::table, $backend> = $met;
                    let $query = $table::table.filter(met).select($table::product_id).limit(CANDIDATE_LIMIT);
                    $load
                }};
            }
            match condition {
                Node::Field(FieldTerm::Tag(value)) => {
                    let (tag, key) = (product_tags::tag, product_tags::tag_key);
                    of!(product_tags, text_condition!(tag, key, text::key, value, |met| met))
                }
                Node::Field(FieldTerm::Sku(value)) => {
                    let (sku, key) = (variants::sku, || variants::sku_key.assume_not_null());
                    of!(variants, text_condition!(sku.assume_not_null(), key(), text::key, value, |met| met))
                }
                Node::Field(FieldTerm::Barcode(value)) => {
                    let (barcode, key) = (variants::barcode, || variants::barcode_key.assume_not_null());
                    of!(
                        variants,
                        text_condition!(barcode.assume_not_null(), key(), text::key, value, |met| met)
                    )
                }
                Node::Field(FieldTerm::Price(Comparator::Equal, amount)) => {
                    let price = compare_price(Comparator::Equal, amount, currency).map(|(_, minor)| minor);
                    of!(variants, Box::new(variants::price.eq_any(price)))
                }
                condition => {
                    let $query = products::table
                        .filter($condition(condition, currency, Lookup::Index))
                        .select(products::id)
                        .limit(CANDIDATE_LIMIT);
                    $load
                }
            }
        }};
    }
    per_backend!(conn,
        postgres: |c| read!(|query| query.load(c).await, diesel::pg::Pg, postgres_condition),
        sqlite: |c| read!(
            |query| c.load_rows_blocking(query).await, diesel::sqlite::Sqlite, sqlite_condition
        ),
    )
}
