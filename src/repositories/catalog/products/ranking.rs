//! Products by relevance: the full-text index finds and ranks its matches once, up to a limit, and
//! products are joined to them. Called by the product lists.

use diesel::backend::Backend;
use diesel::dsl::AsSelect;
use diesel::expression::Expression;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::{BigInt, Text};

use super::Product;
#[cfg(feature = "postgres")]
use super::first_matches::FirstMatches;
use super::scan::max_rows;
use crate::db::expr::{Condition, InIds};
use crate::db::schema::products;
use crate::db::types::sql::Uuid;
use crate::domain::catalog::search::{Node, RequiredWords};
use crate::domain::ids::ProductId;

/// Maximum number of matches that a search examines; of more matches, the first ones in the index.
/// Ranking every match of a common word would get slower as the shop grows.
pub(super) const MAX_MATCHES: usize = 5_000;
/// Up to this number of words, [`MAX_MATCHES`] are ranked: the more words, the longer it takes to
/// find and to rank a match.
const MAX_CHEAP_WORDS: usize = 8;

/// Maximum number of matches that are ranked or tested: fewer for many words, and for other
/// conditions that are slow to test. Words whose position matters count twice.
pub(super) fn max_matches(words: &RequiredWords, rest: &Node) -> usize {
    max_matches_of(words.total_words() + words.positional_words()).min(max_rows(rest))
}

/// Maximum number of matches that are ranked for this number of words; a prefix counts twice.
pub(super) fn max_matches_of(words: usize) -> usize {
    let words = words.max(MAX_CHEAP_WORDS);
    MAX_MATCHES
        .saturating_mul(MAX_CHEAP_WORDS * MAX_CHEAP_WORDS)
        .checked_div(words.saturating_mul(words))
        .unwrap_or_default()
}

/// The best matches of a full-text expression that meet a condition, each with its rank as a
/// positive integer that fits into a cursor.
pub(super) struct RankedMatches<DB: Backend> {
    columns: AsSelect<Product, DB>,
    words: String,
    /// The number of words that are alternatives to each other.
    #[cfg(feature = "postgres")]
    alternative_words: usize,
    matches: Matches,
    condition: Condition<products::table, DB>,
    after: Option<(i64, ProductId)>,
    is_ascending: bool,
    limit: i64,
}

/// The matches that are ranked.
pub(super) enum Matches {
    /// The first ones in the index, up to this number.
    First(usize),
    /// Those among candidates, regardless of which the index finds first.
    Candidates(InIds<products::id>),
    /// Those among the first products with these words anywhere, up to this number.
    Sample {
        #[cfg(feature = "postgres")]
        words: String,
        products: usize,
    },
}

impl<DB: Backend> RankedMatches<DB>
where
    Product: Selectable<DB>,
{
    /// Best matches first.
    pub(super) fn new(
        words: String,
        matches: Matches,
        condition: Condition<products::table, DB>,
        limit: i64,
    ) -> Self
    where
        AsSelect<Product, DB>: Expression,
    {
        Self {
            columns: Product::as_select(),
            words,
            #[cfg(feature = "postgres")]
            alternative_words: 0,
            matches,
            condition,
            after: None,
            is_ascending: false,
            limit,
        }
    }

    /// Starts after a product with this rank, or before it in ascending order.
    pub(super) fn after(self, after: Option<(i64, ProductId)>, is_ascending: bool) -> Self {
        Self { after, is_ascending, ..self }
    }
}

#[cfg(feature = "postgres")]
impl RankedMatches<diesel::pg::Pg> {
    /// Sets how many of the words are alternatives to each other.
    pub(super) fn alternatives(self, alternative_words: usize) -> Self {
        Self { alternative_words, ..self }
    }

    fn walk_matches<'b>(&'b self, mut out: AstPass<'_, 'b, diesel::pg::Pg>) -> QueryResult<()> {
        // The number of matches is a part of the text, so there are too many texts to keep them
        // prepared.
        out.unsafe_to_cache_prepared();
        out.push_sql(
            "SELECT product_id, greatest(1, (1000000 * ts_rank(document, query))::float8::bigint) AS score \
             FROM to_tsquery('simple', ",
        );
        out.push_bind_param::<Text, _>(&self.words)?;
        out.push_sql(") AS query, ");
        let (words, limit) = match &self.matches {
            Matches::First(limit) => (&self.words, *limit),
            Matches::Sample { words, products } => (words, *products),
            Matches::Candidates(ids) => {
                out.push_sql("product_search WHERE product_id IN (SELECT id FROM products WHERE ");
                ids.walk_ast(out.reborrow())?;
                out.push_sql(") AND document @@ query");
                return Ok(());
            }
        };
        let first = FirstMatches::new(self.alternative_words, limit);
        out.push_sql(first.start);
        out.push_bind_param::<Text, _>(words)?;
        out.push_sql(&first.end);
        out.push_sql(" AS found WHERE document @@ query");
        Ok(())
    }
}

#[cfg(feature = "sqlite")]
impl RankedMatches<diesel::sqlite::Sqlite> {
    /// SQLite's rank is smaller for better matches; a match in the title counts for more, as on
    /// PostgreSQL. The plus makes it look up each match by rowid; without it, the index would be
    /// queried again for each rowid.
    fn walk_matches<'b>(&'b self, mut out: AstPass<'_, 'b, diesel::sqlite::Sqlite>) -> QueryResult<()> {
        out.push_sql(
            "SELECT rowid AS search_id, max(1, CAST(-1000000 * bm25(product_search, 10.0, 1.0) AS INTEGER)) AS score \
             FROM product_search WHERE product_search MATCH ",
        );
        out.push_bind_param::<Text, _>(&self.words)?;
        match &self.matches {
            Matches::Candidates(ids) => {
                out.push_sql(" AND +rowid IN (SELECT search_id FROM products WHERE ");
                ids.walk_ast(out.reborrow())?;
                out.push_sql(")");
            }
            Matches::First(limit) | Matches::Sample { products: limit, .. } => {
                out.push_sql(&format!(" LIMIT {limit}"));
            }
        }
        Ok(())
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
    ($backend:ty, $join:literal) => {
        impl QueryFragment<$backend> for RankedMatches<$backend> {
            fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, $backend>) -> QueryResult<()> {
                out.push_sql("SELECT ");
                self.columns.walk_ast(out.reborrow())?;
                out.push_sql(", ranked.score FROM (");
                self.walk_matches(out.reborrow())?;
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

#[cfg(feature = "postgres")]
statement!(diesel::pg::Pg, ") AS ranked JOIN products ON products.id = ranked.product_id WHERE (");
// CROSS JOIN fixes the join order: matches first.
#[cfg(feature = "sqlite")]
statement!(
    diesel::sqlite::Sqlite,
    ") AS ranked CROSS JOIN products ON products.search_id = ranked.search_id WHERE ("
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fewer_matches_are_ranked_for_more_words() {
        let cases = [(0, 5_000), (1, 5_000), (8, 5_000), (9, 3_950), (16, 1_250), (20, 800)];
        assert_eq!(cases.map(|(words, _)| (words, max_matches_of(words))), cases);
    }
}
