//! Products by relevance: the full-text index finds and ranks its matches once, up to a limit, and
//! products are joined to them. Called by the product lists.

use diesel::backend::Backend;
use diesel::dsl::AsSelect;
use diesel::expression::Expression;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::{BigInt, Text};

use super::Product;
use super::scan::max_rows;
use crate::db::expr::{Condition, InIds, in_ids};
use crate::db::schema::products;
use crate::db::types::sql::Uuid;
use crate::domain::catalog::search::Node;
use crate::domain::ids::ProductId;

/// Maximum number of matches that a search examines; of more matches, the first ones in the index.
/// Ranking every match of a common word would get slower as the shop grows.
pub(super) const MAX_MATCHES: usize = 5_000;

/// Maximum number of matches that are tested for other conditions: the more these cost, the fewer.
pub(super) fn max_matches(rest: &Node) -> usize {
    MAX_MATCHES.min(max_rows(rest))
}

/// The best matches of a full-text expression that meet a condition, each with its rank as an
/// integer that fits into a cursor.
pub(super) struct RankedMatches<DB: Backend> {
    columns: AsSelect<Product, DB>,
    words: String,
    condition: Condition<products::table, DB>,
    after: Option<(i64, ProductId)>,
    is_ascending: bool,
    matches: usize,
    restrict_to: Option<InIds<products::id>>,
    limit: i64,
}

impl<DB: Backend> RankedMatches<DB>
where
    Product: Selectable<DB>,
{
    /// Best matches first.
    pub(super) fn new(words: String, condition: Condition<products::table, DB>, limit: i64) -> Self
    where
        AsSelect<Product, DB>: Expression,
    {
        let (columns, after, is_ascending) = (Product::as_select(), None, false);
        Self {
            columns,
            words,
            condition,
            after,
            is_ascending,
            matches: MAX_MATCHES,
            restrict_to: None,
            limit,
        }
    }

    /// Limits the number of matches that are ranked.
    pub(super) fn limit_matches(self, matches: usize) -> Self {
        Self { matches, ..self }
    }

    /// Ranks only these products, regardless of which the index finds first.
    pub(super) fn restrict_to(self, candidates: Option<&[ProductId]>) -> Self {
        Self { restrict_to: candidates.map(|ids| in_ids(products::id, ids)), ..self }
    }

    /// Starts after a product with this rank, or before it in ascending order.
    pub(super) fn after(self, after: Option<(i64, ProductId)>, is_ascending: bool) -> Self {
        Self { after, is_ascending, ..self }
    }
}

impl<DB: Backend> Query for RankedMatches<DB>
where
    AsSelect<Product, DB>: Expression,
{
    type SqlType = (<AsSelect<Product, DB> as Expression>::SqlType, BigInt);
}

impl<DB: Backend> QueryId for RankedMatches<DB> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

/// Defines the statement; the backends differ only in their full-text index.
macro_rules! statement {
    ($backend:ty, $stays_prepared:literal, $matches:literal, $met:literal, $among:literal, $join:literal) => {
        impl QueryFragment<$backend> for RankedMatches<$backend> {
            fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, $backend>) -> QueryResult<()> {
                if !$stays_prepared {
                    out.unsafe_to_cache_prepared();
                }
                out.push_sql("SELECT ");
                self.columns.walk_ast(out.reborrow())?;
                out.push_sql($matches);
                out.push_bind_param::<Text, _>(&self.words)?;
                out.push_sql($met);
                if let Some(restrict_to) = &self.restrict_to {
                    out.push_sql($among);
                    restrict_to.walk_ast(out.reborrow())?;
                    out.push_sql(")");
                }
                out.push_sql(" LIMIT ");
                out.push_sql(&self.matches.to_string());
                out.push_sql($join);
                self.condition.walk_ast(out.reborrow())?;
                let (comparison, direction) =
                    if self.is_ascending { (" > ", " ASC") } else { (" < ", " DESC") };
                if let Some((rank, id)) = &self.after {
                    out.push_sql(") AND (ranked.score");
                    out.push_sql(comparison);
                    out.push_bind_param::<BigInt, _>(rank)?;
                    out.push_sql(" OR ranked.score = ");
                    out.push_bind_param::<BigInt, _>(rank)?;
                    out.push_sql(" AND products.id");
                    out.push_sql(comparison);
                    out.push_bind_param::<Uuid, _>(id)?;
                }
                out.push_sql(") ORDER BY ranked.score");
                out.push_sql(direction);
                out.push_sql(", products.id");
                out.push_sql(direction);
                out.push_sql(" LIMIT ");
                out.push_bind_param::<BigInt, _>(&self.limit)
            }
        }
    };
}

// The number of matches is a part of the text, so there are too many texts to keep them prepared. A
// rank of 0 is that of products sorted by id.
#[cfg(feature = "postgres")]
statement!(
    diesel::pg::Pg,
    false,
    ", ranked.score FROM (SELECT product_id, greatest(1, (1000000 * ts_rank(document, query))::float8::bigint) AS score \
     FROM (SELECT product_id, document, query FROM product_search, to_tsquery('simple', ",
    ") AS query WHERE document @@ query",
    " AND product_id IN (SELECT id FROM products WHERE ",
    ") AS found) AS ranked JOIN products ON products.id = ranked.product_id WHERE ("
);
// SQLite's rank is smaller for better matches; a match in the title counts for more, as on
// PostgreSQL. CROSS JOIN fixes the join order: matches first. The plus makes it look up each match
// by rowid; without it the index would be queried again for each rowid.
#[cfg(feature = "sqlite")]
statement!(
    diesel::sqlite::Sqlite,
    true,
    ", ranked.score FROM (SELECT rowid AS search_id, CAST(-1000000 * bm25(product_search, 10.0, 1.0) AS INTEGER) AS score \
     FROM product_search WHERE product_search MATCH ",
    "",
    " AND +rowid IN (SELECT search_id FROM products WHERE ",
    ") AS ranked CROSS JOIN products ON products.search_id = ranked.search_id WHERE ("
);
