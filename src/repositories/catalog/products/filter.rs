//! Translates product searches to SQL conditions. Called by the product lists.

use diesel::dsl::{exists, not, sql};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Text};
use uuid::Uuid;

#[cfg(feature = "postgres")]
use super::first_matches::FirstMatches;
use super::list::ProductList;
#[cfg(feature = "sqlite")]
use super::list::sqlite_range;
use super::ranking::MAX_MATCHES;
use super::scan::ScanRange;
#[cfg(feature = "sqlite")]
use super::visible;
use crate::db::expr::{Condition, constant, in_ids, lower, without_index};
use crate::db::schema::{product_tags, products, variants};
use crate::domain::catalog::ProductStatus;
use crate::domain::catalog::search::{Comparator, FieldTerm, Node, RequiredWords, Status, ValueMatch};
use crate::domain::ids::{Id, ProductId};
use crate::domain::money::Currency;
use crate::domain::page::{Cursor, PageRequest, RowPosition};
use crate::domain::text;
use crate::domain::time::Timestamp;
use crate::repositories::Visibility;
use crate::repositories::conditions::{compare, compare_price, text_condition};

/// How tags, variants and words are tested.
#[derive(Clone, Copy, Debug)]
pub(super) enum Lookup<'a> {
    /// By reading all matches from the index.
    Index,
    /// For each examined product separately.
    PerProduct(Examined<'a>),
}

/// The products that a condition is tested for. On SQLite, words are looked up for these only.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(not(feature = "sqlite"), expect(dead_code, reason = "PostgreSQL looks up each product"))]
pub(super) enum Examined<'a> {
    /// Any product of the shop.
    Any,
    /// The products of a list after the page's cursor, up to a position if there is one.
    Range(&'a ProductList, &'a PageRequest<Cursor>, Option<&'a RowPosition>),
    /// These products.
    Candidates(&'a [ProductId]),
    /// The first products in the index with these words, up to this number.
    Matches(&'a RequiredWords, usize),
}

impl<'a> Lookup<'a> {
    fn is_index(self) -> bool {
        matches!(self, Self::Index)
    }

    fn examined(self) -> Examined<'a> {
        if let Self::PerProduct(examined) = self { examined } else { Examined::Any }
    }
}

/// Defines the function that translates a search to a condition, for one backend. The backends
/// differ in full-text search and in diesel's types.
macro_rules! condition {
    ($name:ident, $backend:ty, $with:ident, $without:ident, $written:ident) => {
        pub(super) fn $name(
            node: &Node,
            currency: Currency,
            lookup: Lookup<'_>,
        ) -> Condition<products::table, $backend> {
            let each = |nodes: Vec<&Node>| -> Vec<Condition<products::table, $backend>> {
                nodes.into_iter().map(|node| $name(node, currency, lookup)).collect()
            };
            let without = |words: RequiredWords| $without(words.$written(), lookup.examined());
            let with = |words: RequiredWords| -> Condition<products::table, $backend> {
                // `$with` finds only the first matches, so a test of single products can't use it.
                if lookup.is_index() {
                    $with(words.$written(), MAX_MATCHES)
                } else {
                    Box::new(not(without(words)))
                }
            };
            match node {
                Node::All => Box::new(constant(true)),
                Node::And(nodes) => {
                    let (excluded, others) = RequiredWords::extract_excluded(nodes);
                    let mut all = each(others);
                    all.extend(excluded.map(without));
                    let all = all.into_iter().reduce(|a, b| Box::new(a.and(b)));
                    all.unwrap_or_else(|| Box::new(constant(true)))
                }
                Node::Or(nodes) => {
                    let (words, others) = RequiredWords::extract_alternatives(nodes);
                    let mut any = each(others);
                    any.extend(words.map(with));
                    let any = any.into_iter().reduce(|a, b| Box::new(a.or(b)));
                    any.unwrap_or_else(|| Box::new(constant(false)))
                }
                Node::Not(node) => match node.as_ref() {
                    Node::Text(words) => without(RequiredWords::Text(words.clone())),
                    Node::Title(words) => without(RequiredWords::Title(words.clone())),
                    node => Box::new(not($name(node, currency, Lookup::PerProduct(lookup.examined())))),
                },
                Node::Text(words) => with(RequiredWords::Text(words.clone())),
                Node::Title(words) => with(RequiredWords::Title(words.clone())),
                Node::Field(FieldTerm::Tag(value)) => {
                    text_condition!(product_tags::tag, product_tags::tag_key, text::key, value, |meets| {
                        of_each!($backend, lookup, is_indexed(value), product_tags, meets)
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
                    // Handles contain no upper-case letters outside of ASCII.
                    let key = || lower(products::handle);
                    text_condition!(products::handle, key(), text::lower, value, |meets| meets)
                }
                Node::Field(FieldTerm::Sku(value)) => {
                    let (sku, key) = (variants::sku, || variants::sku_key.assume_not_null());
                    text_condition!(sku.assume_not_null(), key(), text::key, value, |meets| {
                        of_each!($backend, lookup, is_indexed(value), variants, meets)
                    })
                }
                Node::Field(FieldTerm::Barcode(value)) => {
                    let (barcode, key) = (variants::barcode, || variants::barcode_key.assume_not_null());
                    text_condition!(barcode.assume_not_null(), key(), text::key, value, |meets| {
                        of_each!($backend, lookup, is_indexed(value), variants, meets)
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
                    let Some((comparator, minor)) = compare_price(*comparator, amount, currency) else {
                        return Box::new(constant(false));
                    };
                    // Products store the range of their variants' prices, which means nothing
                    // without variants.
                    let has_variants =
                        || exists(variants::table.filter(variants::product_id.eq(products::id)).offset(0));
                    match comparator {
                        Comparator::Greater => Box::new(products::max_price.gt(minor).and(has_variants())),
                        Comparator::GreaterOrEqual => {
                            Box::new(products::max_price.ge(minor).and(has_variants()))
                        }
                        Comparator::Less => Box::new(products::min_price.lt(minor).and(has_variants())),
                        Comparator::LessOrEqual => {
                            Box::new(products::min_price.le(minor).and(has_variants()))
                        }
                        Comparator::Equal => {
                            of_each!($backend, lookup, true, variants, variants::price.eq(minor))
                        }
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

/// A condition on any of the product's tags or variants. Matches of an index are read once and
/// completely, since only short lists use the index: OFFSET keeps PostgreSQL from turning this into
/// a test per product, which is slowest if nothing matches. When products are tested separately,
/// OFFSET keeps it from reading all tags or variants of the shop, which is slowest if few products
/// are tested.
macro_rules! of_each {
    ($backend:ty, $lookup:expr, $is_indexed:expr, $table:ident, $meets:expr) => {{
        let found = $table::table.filter($meets);
        let condition: Condition<products::table, $backend> = if $lookup.is_index() && $is_indexed {
            Box::new(products::id.eq_any(found.select($table::product_id).offset(0)))
        } else {
            Box::new(exists(found.filter($table::product_id.eq(products::id)).offset(0)))
        };
        condition
    }};
}

/// Whether an index can find the matches.
fn is_indexed(value: &ValueMatch) -> bool {
    matches!(value, ValueMatch::AnyOf(_) | ValueMatch::StartsWith(_))
}

/// The same rule as `domain::catalog::inventory::is_for_sale`, for any of a product's variants.
const AVAILABLE_FOR_SALE: &str = "EXISTS (SELECT 1 FROM variants v WHERE v.product_id = products.id \
    AND (NOT v.inventory_tracked OR v.inventory_policy = 'continue' OR 0 < \
    (SELECT sum(i.on_hand - i.reserved) FROM inventory_levels i JOIN locations l ON l.id = i.location_id \
    WHERE i.variant_id = v.id AND l.is_active)) LIMIT 1 OFFSET 0)";

/// The available units of a product's tracked variants together; NULL, which compares with nothing,
/// if there are none.
const INVENTORY_TOTAL: &str = "(SELECT CAST(sum(CASE WHEN l.is_active THEN i.on_hand - i.reserved ELSE 0 END) AS bigint) \
    FROM variants v LEFT JOIN inventory_levels i ON i.variant_id = v.id LEFT JOIN locations l ON l.id = i.location_id \
    WHERE v.product_id = products.id AND v.inventory_tracked)";

/// Products that contain words; the first ones in the index if there are more than `limit`. The
/// limit also makes the database read the index once; without it PostgreSQL would look up each
/// product separately.
#[cfg(feature = "postgres")]
fn with_postgres(query: String, limit: usize) -> Condition<products::table, diesel::pg::Pg> {
    Box::new(
        sql::<Bool>(
            "products.id IN (SELECT product_id FROM product_search WHERE document @@ to_tsquery('simple', ",
        )
        .bind::<Text, _>(query)
        .sql(&format!(") LIMIT {limit})")),
    )
}

/// Like `with_postgres`, if every result must contain the words. With an array, PostgreSQL looks up
/// the product of each match; with a subquery, it may instead read all products in list order to
/// find the matches.
#[cfg(feature = "postgres")]
fn matching_postgres(words: &RequiredWords, limit: usize) -> Condition<products::table, diesel::pg::Pg> {
    let first = FirstMatches::of(words, limit);
    Box::new(
        sql::<Bool>(&format!("products.id = ANY (ARRAY(SELECT product_id FROM {}", first.start))
            .bind::<Text, _>(words.to_tsquery())
            .sql(&format!("{} AS found))", first.end)),
    )
}

/// Products that do not contain words, without a limit; OFFSET as in `of_each!`.
#[cfg(feature = "postgres")]
fn without_postgres(query: String, _: Examined<'_>) -> Condition<products::table, diesel::pg::Pg> {
    Box::new(
        sql::<Bool>(
            "NOT EXISTS (SELECT 1 FROM product_search s WHERE s.product_id = products.id AND s.document @@ \
             to_tsquery('simple', ",
        )
        .bind::<Text, _>(query)
        .sql(") OFFSET 0)"),
    )
}

#[cfg(feature = "sqlite")]
fn with_sqlite(query: String, limit: usize) -> Condition<products::table, diesel::sqlite::Sqlite> {
    Box::new(
        sql::<Bool>("products.search_id IN (SELECT rowid FROM product_search WHERE product_search MATCH ")
            .bind::<Text, _>(query)
            .sql(&format!(" LIMIT {limit})")),
    )
}

#[cfg(feature = "sqlite")]
fn matching_sqlite(
    words: &RequiredWords,
    limit: usize,
) -> Condition<products::table, diesel::sqlite::Sqlite> {
    with_sqlite(words.to_fts5(), limit)
}

/// Products that do not contain words. SQLite collects all matches of the subquery, so it is
/// limited to the examined products, which may be far fewer.
#[cfg(feature = "sqlite")]
fn without_sqlite(
    query: String,
    examined: Examined<'_>,
) -> Condition<products::table, diesel::sqlite::Sqlite> {
    let found = sql::<Bool>(
        "products.search_id NOT IN (SELECT rowid FROM product_search WHERE product_search MATCH ",
    )
    .bind::<Text, _>(query);
    // As in `ranking`, the plus keeps the index from being queried for each rowid.
    let of_products = " AND +rowid IN (SELECT search_id FROM products WHERE ";
    let of_matches = " AND +rowid IN (SELECT rowid FROM product_search WHERE product_search MATCH ";
    match examined {
        Examined::Any => Box::new(found.sql(")")),
        Examined::Range(list, request, up_to) => {
            let range = sqlite_range(list, request, up_to);
            Box::new(found.sql(of_products).bind::<Bool, _>(range).sql("))"))
        }
        Examined::Candidates(ids) => {
            Box::new(found.sql(of_products).bind::<Bool, _>(in_ids(products::id, ids)).sql("))"))
        }
        Examined::Matches(words, limit) => {
            let words = words.to_fts5();
            Box::new(found.sql(of_matches).bind::<Text, _>(words).sql(&format!(" LIMIT {limit}))")))
        }
    }
}

#[cfg(feature = "postgres")]
condition!(postgres_condition, diesel::pg::Pg, with_postgres, without_postgres, to_tsquery);
#[cfg(feature = "sqlite")]
condition!(sqlite_condition, diesel::sqlite::Sqlite, with_sqlite, without_sqlite, to_fts5);

/// The products that a reader may see. PostgreSQL plans a statement once for all values, and can
/// skip other products within the sorting index only if nothing but the status is compared.
#[cfg(feature = "postgres")]
pub(super) fn postgres_visible(visibility: Visibility) -> products::BoxedQuery<'static, diesel::pg::Pg> {
    let query = products::table.into_boxed();
    if visibility.is_all() { query } else { query.filter(products::status.eq(ProductStatus::Active)) }
}

/// The same for SQLite, which would otherwise use the index on the status instead of the one that
/// sorts.
#[cfg(feature = "sqlite")]
pub(super) fn sqlite_visible(
    visibility: Visibility,
) -> products::BoxedQuery<'static, diesel::sqlite::Sqlite> {
    products::table.filter(visible(visibility)).into_boxed()
}

/// Defines the function that translates a list's filter to a condition, for one backend: restricted
/// to the part of the list that is examined, and starting from the words that every match must
/// contain.
macro_rules! filtered {
    ($name:ident, $backend:ty, $condition:ident, $matching:ident, $without:ident, $written:ident) => {
        pub(super) fn $name(
            list: &ProductList,
            request: &PageRequest<Cursor>,
            scan: &ScanRange,
        ) -> Condition<products::table, $backend> {
            let currency = list.currency;
            let of_each_product = |examined: Examined<'_>| -> Condition<products::table, $backend> {
                let lookup = Lookup::PerProduct(examined);
                let Some((words, rest)) = RequiredWords::split(&list.filter) else {
                    return $condition(&list.filter, currency, lookup);
                };
                let met = not($without(words.$written(), examined));
                match rest {
                    Node::All => Box::new(met),
                    rest => Box::new(met.and($condition(&rest, currency, lookup))),
                }
            };
            match scan {
                // The candidates are given; another index would only lead to other products.
                ScanRange::Candidates(ids) => {
                    let condition = of_each_product(Examined::Candidates(ids));
                    Box::new(in_ids(products::id, ids).and(without_index(condition, false)))
                }
                ScanRange::UpTo(place) => {
                    let range = Examined::Range(list, request, Some(place));
                    Box::new(without_index(of_each_product(range), false))
                }
                ScanRange::Remaining => {
                    let range = Examined::Range(list, request, None);
                    Box::new(without_index(of_each_product(range), false))
                }
                ScanRange::Matches { words, limit, rest } => {
                    let found = $matching(words, *limit);
                    match rest {
                        Node::All => found,
                        rest => {
                            let lookup = Lookup::PerProduct(Examined::Matches(words, *limit));
                            let condition = $condition(rest, currency, lookup);
                            Box::new(found.and(without_index(condition, false)))
                        }
                    }
                }
                ScanRange::All => $condition(&list.filter, currency, Lookup::Index),
            }
        }
    };
}

#[cfg(feature = "postgres")]
filtered!(
    postgres_filter,
    diesel::pg::Pg,
    postgres_condition,
    matching_postgres,
    without_postgres,
    to_tsquery
);
#[cfg(feature = "sqlite")]
filtered!(sqlite_filter, diesel::sqlite::Sqlite, sqlite_condition, matching_sqlite, without_sqlite, to_fts5);

fn status(status: Status) -> ProductStatus {
    match status {
        Status::Active => ProductStatus::Active,
        Status::Draft => ProductStatus::Draft,
        Status::Archived => ProductStatus::Archived,
    }
}
