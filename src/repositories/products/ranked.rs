//! Products by relevance: the full-text index finds and ranks its matches once, up to a bound, and products are joined to them.
//! Called by the lists of products.

use diesel::backend::Backend;
use diesel::dsl::AsSelect;
use diesel::expression::Expression;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::{BigInt, Text};

use super::Product;
use super::extent::rows_to_ask;
use crate::db::expr::{Condition, InIds, in_ids};
use crate::db::schema::products;
use crate::db::types::sql::Uuid;
use crate::domain::ids::ProductId;
use crate::domain::search::Node;

/// How many products a search looks at: of more matches, those that the index finds first. Ranking every match of a word that
/// each product has would take longer the larger the shop is.
pub(super) const MAX_MATCHES: usize = 5_000;

/// How many that is where more than words is asked of each: as many, unless extraordinarily much is
/// asked.
pub(super) fn matches_to_ask(rest: &Node) -> usize {
    MAX_MATCHES.min(rows_to_ask(rest).saturating_mul(2))
}

/// The best matches of a full-text expression that meet a condition, each with its rank, as an integer that a cursor can hold.
pub(super) struct Ranked<DB: Backend> {
    columns: AsSelect<Product, DB>,
    words: String,
    condition: Condition<products::table, DB>,
    after: Option<(i64, ProductId)>,
    is_ascending: bool,
    matches: usize,
    among: Option<InIds<products::id>>,
    limit: i64,
}

impl<DB: Backend> Ranked<DB>
where
    Product: Selectable<DB>,
{
    /// The best matches first.
    pub(super) fn new(words: String, condition: Condition<products::table, DB>, limit: i64) -> Self
    where
        AsSelect<Product, DB>: Expression,
    {
        let (columns, after, is_ascending) = (Product::as_select(), None, false);
        Self { columns, words, condition, after, is_ascending, matches: MAX_MATCHES, among: None, limit }
    }

    /// So many matches and no more are ranked.
    pub(super) fn of_matches(self, matches: usize) -> Self {
        Self { matches, ..self }
    }

    /// Only these products are ranked, whichever the index finds first.
    pub(super) fn among(self, few: Option<&[ProductId]>) -> Self {
        Self { among: few.map(|ids| in_ids(products::id, ids)), ..self }
    }

    /// Those that follow a product with this rank, or come before it when the order is turned around.
    pub(super) fn after(self, after: Option<(i64, ProductId)>, is_ascending: bool) -> Self {
        Self { after, is_ascending, ..self }
    }
}

impl<DB: Backend> Query for Ranked<DB>
where
    AsSelect<Product, DB>: Expression,
{
    type SqlType = (<AsSelect<Product, DB> as Expression>::SqlType, BigInt);
}

impl<DB: Backend> QueryId for Ranked<DB> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

/// Writes the statement; the backends differ in their full-text index alone.
macro_rules! statement {
    ($backend:ty, $matches:literal, $met:literal, $among:literal, $join:literal) => {
        impl QueryFragment<$backend> for Ranked<$backend> {
            fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, $backend>) -> QueryResult<()> {
                out.push_sql("SELECT ");
                self.columns.walk_ast(out.reborrow())?;
                out.push_sql($matches);
                out.push_bind_param::<Text, _>(&self.words)?;
                out.push_sql($met);
                if let Some(among) = &self.among {
                    out.push_sql($among);
                    among.walk_ast(out.reborrow())?;
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

#[cfg(feature = "postgres")]
statement!(
    diesel::pg::Pg,
    ", ranked.score FROM (SELECT product_id, (1000000 * ts_rank(document, query))::float8::bigint AS score FROM \
     (SELECT product_id, document, query FROM product_search, to_tsquery('simple', ",
    ") AS query WHERE document @@ query",
    " AND product_id IN (SELECT id FROM products WHERE ",
    ") AS found) AS ranked JOIN products ON products.id = ranked.product_id WHERE ("
);
// SQLite's rank is smaller for better matches; a match in the title counts for more, as it does on PostgreSQL. CROSS JOIN keeps the
// order: matches first. The plus has each match asked for its rowid; without it the index would be
// asked anew for each rowid.
#[cfg(feature = "sqlite")]
statement!(
    diesel::sqlite::Sqlite,
    ", ranked.score FROM (SELECT rowid AS search_id, CAST(-1000000 * bm25(product_search, 10.0, 1.0) AS INTEGER) AS score \
     FROM product_search WHERE product_search MATCH ",
    "",
    " AND +rowid IN (SELECT search_id FROM products WHERE ",
    ") AS ranked CROSS JOIN products ON products.search_id = ranked.search_id WHERE ("
);
