//! How much of the list of products a search looks at. A search that no index answers would look at every product, and take the
//! longer the larger the shop is; so it looks at a bounded number of them in the list's order, and the page tells where it
//! stopped. Called by the list of products.

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{Bool, Text};
#[cfg(feature = "postgres")]
use diesel_async::RunQueryDsl;

use super::filter::Asked;
#[cfg(feature = "postgres")]
use super::filter::postgres_condition;
#[cfg(feature = "sqlite")]
use super::filter::sqlite_condition;
use super::list::{ProductList, place_beyond};
use super::ranked::matches_to_ask;
use crate::db::expr::Condition;
use crate::db::schema::{product_tags, products, variants};
use crate::db::{Conn, DbError, on_each};
use crate::domain::ids::ProductId;
use crate::domain::money::Currency;
use crate::domain::page::{Cursor, PageRequest, Place};
use crate::domain::search::{self, Comparator, FieldTerm, Node, RequiredWords};
use crate::domain::text;
use crate::repositories::conditions::{price, text_condition};

/// How long a search may look at products, in about microseconds.
const MAX_WORK: usize = 40_000;
/// How long it takes to read one.
const READING: usize = 2;
/// Of how many products a search looks at each, wherever in the list they stand.
const MAX_FEW: usize = 2_000;
/// One more, as statements count: it tells that there are more.
const FEW_AND_ONE: i64 = MAX_FEW as i64 + 1;
/// Of how many conditions it is found out whether few products meet them.
const MAX_TRIED: usize = 3;

/// How many products a search may ask whether they meet a condition.
pub(super) fn rows_to_ask(condition: &Node) -> usize {
    MAX_WORK.checked_div(READING.saturating_add(search::work(condition))).unwrap_or(MAX_WORK)
}

/// What of a list is looked at.
#[derive(Debug)]
pub(super) enum Extent {
    /// All of it: it is short, or an index answers.
    Whole,
    /// What is behind the page's cursor, which is not much and is asked product by product.
    Rest,
    /// These products, among which all are that are asked for.
    Few(Vec<ProductId>),
    /// From the page's cursor up to this place.
    UpTo(Place),
}

impl Extent {
    /// How much of a list is looked at for a page.
    pub(super) async fn of(
        conn: &mut Conn,
        list: &ProductList,
        request: &PageRequest<Cursor>,
    ) -> Result<Self, DbError> {
        if list.filter == Node::All {
            return Ok(Self::Whole);
        }
        // What has words is found by them, unless they have too many matches to ask all of these
        // for the rest.
        let required = RequiredWords::split(&list.filter);
        if let Some((words, rest)) = &required
            && !is_cut(conn, words, rest).await?
        {
            return Ok(Self::Whole);
        }
        let rows = rows_to_ask(&list.filter);
        let Some(place) = place_beyond(conn, list, request, rows).await? else {
            let is_whole = request.cursor.is_none() && required.is_none();
            return Ok(if is_whole { Self::Whole } else { Self::Rest });
        };
        Ok(match few(conn, list, rows).await? {
            Some(ids) => Self::Few(ids),
            None => Self::UpTo(place),
        })
    }
}

/// Whether words have more matches than are asked for the rest of a filter. Where there is no rest,
/// the first matches are all that is shown.
pub(super) async fn is_cut(conn: &mut Conn, words: &RequiredWords, rest: &Node) -> Result<bool, DbError> {
    if *rest == Node::All {
        return Ok(false);
    }
    let end = format!(" LIMIT 1 OFFSET {})", matches_to_ask(rest));
    let found: Vec<bool> = on_each!(conn,
        postgres: |c| {
            sql::<Bool>("SELECT EXISTS (SELECT 1 FROM product_search WHERE document @@ to_tsquery('simple', ")
                .bind::<Text, _>(words.to_tsquery())
                .sql(&format!("){end}"))
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

/// The products among which all of a list are, where it asks for something that only few products
/// have: at most so many.
pub(super) async fn few(
    conn: &mut Conn,
    list: &ProductList,
    rows: usize,
) -> Result<Option<Vec<ProductId>>, DbError> {
    for condition in search::beginnings(&list.filter).into_iter().take(MAX_TRIED) {
        let ids = some(conn, condition, list.currency).await?;
        if ids.len() <= MAX_FEW.min(rows) {
            return Ok(Some(ids));
        }
    }
    Ok(None)
}

/// Products that meet a condition which an index answers, some of them twice: more than [`MAX_FEW`] where not all of them are
/// given.
async fn some(conn: &mut Conn, condition: &Node, currency: Currency) -> Result<Vec<ProductId>, DbError> {
    let alternatives = match condition {
        Node::Or(alternatives) => alternatives.as_slice(),
        one => std::slice::from_ref(one),
    };
    let mut ids = Vec::new();
    for condition in alternatives {
        ids.extend(some_of(conn, condition, currency).await?);
        if ids.len() > MAX_FEW {
            break;
        }
    }
    Ok(ids)
}

async fn some_of(conn: &mut Conn, condition: &Node, currency: Currency) -> Result<Vec<ProductId>, DbError> {
    macro_rules! read {
        (|$query:ident| $load:expr, $backend:ty, $condition:ident) => {{
            macro_rules! of {
                ($table:ident, $met:expr) => {{
                    let met: Condition<$table::table, $backend> = $met;
                    let $query = $table::table.filter(met).select($table::product_id).limit(FEW_AND_ONE);
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
                    let price = price(Comparator::Equal, amount, currency).map(|(_, minor)| minor);
                    of!(variants, Box::new(variants::price.eq_any(price)))
                }
                condition => {
                    let $query = products::table
                        .filter($condition(condition, currency, Asked::Index))
                        .select(products::id)
                        .limit(FEW_AND_ONE);
                    $load
                }
            }
        }};
    }
    on_each!(conn,
        postgres: |c| read!(|query| query.load(c).await, diesel::pg::Pg, postgres_condition),
        sqlite: |c| read!(
            |query| c.load_rows_blocking(query).await, diesel::sqlite::Sqlite, sqlite_condition
        ),
    )
}
