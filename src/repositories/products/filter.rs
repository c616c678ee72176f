//! What a search of products asks for, as conditions for the databases. Called by the lists of products.

use diesel::dsl::{exists, not, sql};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Text};
use uuid::Uuid;

use super::extent::Extent;
use super::list::ProductList;
use super::ranked::{MAX_MATCHES, matches_to_ask};
#[cfg(feature = "sqlite")]
use super::visible;
use crate::db::expr::{Condition, constant, in_ids, lower, of_each_row};
use crate::db::schema::{product_tags, products, variants};
use crate::domain::catalog::ProductStatus;
use crate::domain::ids::{Id, ProductId};
use crate::domain::money::Currency;
use crate::domain::search::{Comparator, FieldTerm, Node, RequiredWords, Status, ValueMatch};
use crate::domain::text;
use crate::domain::time::Timestamp;
use crate::repositories::Visibility;
use crate::repositories::conditions::{compare, price, text_condition};

/// How tags, variants and words are asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Asked {
    /// Of the index, at once.
    Index,
    /// Of each product that is looked at.
    Product,
}

/// Writes the function that turns a search into a condition, for one backend. The backends differ
/// in full-text search and in diesel's types.
macro_rules! condition {
    ($name:ident, $backend:ty, $with:ident, $without:ident, $written:ident) => {
        pub(super) fn $name(
            node: &Node,
            currency: Currency,
            asked: Asked,
        ) -> Condition<products::table, $backend> {
            let each = |nodes: Vec<&Node>| -> Vec<Condition<products::table, $backend>> {
                nodes.into_iter().map(|node| $name(node, currency, asked)).collect()
            };
            let with = |words: RequiredWords| -> Condition<products::table, $backend> {
                // A list of the first matches would have all others be no match.
                if asked == Asked::Index {
                    $with(words.$written(), MAX_MATCHES)
                } else {
                    Box::new(not($without(words.$written())))
                }
            };
            match node {
                Node::All => Box::new(constant(true)),
                Node::And(nodes) => {
                    let (refused, others) = RequiredWords::refused(nodes);
                    let mut all = each(others);
                    all.extend(refused.map(|words| $without(words.$written())));
                    let all = all.into_iter().reduce(|a, b| Box::new(a.and(b)));
                    all.unwrap_or_else(|| Box::new(constant(true)))
                }
                Node::Or(nodes) => {
                    let (words, others) = RequiredWords::among(nodes);
                    let mut any = each(others);
                    any.extend(words.map(with));
                    let any = any.into_iter().reduce(|a, b| Box::new(a.or(b)));
                    any.unwrap_or_else(|| Box::new(constant(false)))
                }
                Node::Not(node) => match node.as_ref() {
                    Node::Text(words) => $without(RequiredWords::Text(words.clone()).$written()),
                    Node::Title(words) => $without(RequiredWords::Title(words.clone()).$written()),
                    node => Box::new(not($name(node, currency, Asked::Product))),
                },
                Node::Text(words) => with(RequiredWords::Text(words.clone())),
                Node::Title(words) => with(RequiredWords::Title(words.clone())),
                Node::Field(FieldTerm::Tag(value)) => {
                    text_condition!(product_tags::tag, product_tags::tag_key, text::key, value, |meets| {
                        of_each!($backend, asked, is_indexed(value), product_tags, meets)
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
                        of_each!($backend, asked, is_indexed(value), variants, meets)
                    })
                }
                Node::Field(FieldTerm::Barcode(value)) => {
                    let (barcode, key) = (variants::barcode, || variants::barcode_key.assume_not_null());
                    text_condition!(barcode.assume_not_null(), key(), text::key, value, |meets| {
                        of_each!($backend, asked, is_indexed(value), variants, meets)
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
                            of_each!($backend, asked, true, variants, variants::price.eq(minor))
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

/// A condition on any of the product's tags or variants. What an index finds is read once, and all
/// of it, as only short lists ask the index: OFFSET keeps PostgreSQL from asking for each product
/// instead, which takes longest where nothing is found. Where each product is asked, OFFSET keeps
/// it from reading all tags or variants of the shop instead, which takes longest where few products
/// are asked.
macro_rules! of_each {
    ($backend:ty, $asked:expr, $is_indexed:expr, $table:ident, $meets:expr) => {{
        let found = $table::table.filter($meets);
        let condition: Condition<products::table, $backend> = if $asked == Asked::Index && $is_indexed {
            Box::new(products::id.eq_any(found.select($table::product_id).offset(0)))
        } else {
            Box::new(exists(found.filter($table::product_id.eq(products::id)).offset(0)))
        };
        condition
    }};
}

/// Whether an index finds what matches.
fn is_indexed(value: &ValueMatch) -> bool {
    matches!(value, ValueMatch::AnyOf(_) | ValueMatch::StartsWith(_))
}

/// The same rule as `domain::inventory::is_for_sale`, for any of a product's variants.
const AVAILABLE_FOR_SALE: &str = "EXISTS (SELECT 1 FROM variants v WHERE v.product_id = products.id \
    AND (NOT v.inventory_tracked OR v.inventory_policy = 'continue' OR 0 < \
    (SELECT sum(i.on_hand - i.reserved) FROM inventory_levels i JOIN locations l ON l.id = i.location_id \
    WHERE i.variant_id = v.id AND l.is_active)) LIMIT 1 OFFSET 0)";

/// The pieces that can still be sold of all variants of a product that are counted. Nothing, which
/// compares with no number, where there is no such variant.
const INVENTORY_TOTAL: &str = "(SELECT CAST(sum(CASE WHEN l.is_active THEN i.on_hand - i.reserved ELSE 0 END) AS bigint) \
    FROM variants v LEFT JOIN inventory_levels i ON i.variant_id = v.id LEFT JOIN locations l ON l.id = i.location_id \
    WHERE v.product_id = products.id AND v.inventory_tracked)";

/// The products that have words: of more than so many, those that the index finds first. The bound also has the database read the
/// index once; without it PostgreSQL would ask for each product whether it is in there.
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

/// The products that do not have words, without a bound; OFFSET as in `of_each!`.
#[cfg(feature = "postgres")]
fn without_postgres(query: String) -> Condition<products::table, diesel::pg::Pg> {
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
fn without_sqlite(query: String) -> Condition<products::table, diesel::sqlite::Sqlite> {
    Box::new(
        sql::<Bool>(
            "products.search_id NOT IN (SELECT rowid FROM product_search WHERE product_search MATCH ",
        )
        .bind::<Text, _>(query)
        .sql(")"),
    )
}

#[cfg(feature = "postgres")]
condition!(postgres_condition, diesel::pg::Pg, with_postgres, without_postgres, to_tsquery);
#[cfg(feature = "sqlite")]
condition!(sqlite_condition, diesel::sqlite::Sqlite, with_sqlite, without_sqlite, to_fts5);

/// The products that a reader may see. PostgreSQL plans a statement once for all its values, and only where the status is compared
/// alone does it pass over the others in the index that sorts.
#[cfg(feature = "postgres")]
pub(super) fn postgres_visible(visibility: Visibility) -> products::BoxedQuery<'static, diesel::pg::Pg> {
    let query = products::table.into_boxed();
    if visibility.is_all() { query } else { query.filter(products::status.eq(ProductStatus::Active)) }
}

/// The same for SQLite, which would take the index of statuses instead of the one that sorts.
#[cfg(feature = "sqlite")]
pub(super) fn sqlite_visible(
    visibility: Visibility,
) -> products::BoxedQuery<'static, diesel::sqlite::Sqlite> {
    products::table.filter(visible(visibility)).into_boxed()
}

/// Writes the function that turns a list's filter into a condition, for one backend: within what of the list is looked at, and
/// beginning with the words that all must have, which are looked for together.
macro_rules! filtered {
    ($name:ident, $backend:ty, $condition:ident, $matching:ident, $without:ident, $written:ident) => {
        pub(super) fn $name(list: &ProductList, extent: &Extent) -> Condition<products::table, $backend> {
            let currency = list.currency;
            let of_each_product = || -> Condition<products::table, $backend> {
                let Some((words, rest)) = RequiredWords::split(&list.filter) else {
                    return $condition(&list.filter, currency, Asked::Product);
                };
                let met = not($without(words.$written()));
                match rest {
                    Node::All => Box::new(met),
                    rest => Box::new(met.and($condition(&rest, currency, Asked::Product))),
                }
            };
            match extent {
                // The products to be looked at are given, and an index of something else would lead to others.
                Extent::Few(ids) => {
                    Box::new(in_ids(products::id, ids).and(of_each_row(of_each_product(), false)))
                }
                Extent::UpTo(_) | Extent::Rest => Box::new(of_each_row(of_each_product(), false)),
                Extent::Whole => match RequiredWords::split(&list.filter) {
                    Some((words, rest)) => {
                        let found = $matching(words.$written(), matches_to_ask(&rest));
                        match rest {
                            Node::All => found,
                            rest => {
                                let asked = $condition(&rest, currency, Asked::Product);
                                Box::new(found.and(of_each_row(asked, false)))
                            }
                        }
                    }
                    None => $condition(&list.filter, currency, Asked::Index),
                },
            }
        }
    };
}

#[cfg(feature = "postgres")]
filtered!(postgres_filter, diesel::pg::Pg, postgres_condition, with_postgres, without_postgres, to_tsquery);
#[cfg(feature = "sqlite")]
filtered!(sqlite_filter, diesel::sqlite::Sqlite, sqlite_condition, with_sqlite, without_sqlite, to_fts5);

fn status(status: Status) -> ProductStatus {
    match status {
        Status::Active => ProductStatus::Active,
        Status::Draft => ProductStatus::Draft,
        Status::Archived => ProductStatus::Archived,
    }
}
