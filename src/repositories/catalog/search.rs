//! The search index of products. The words are split by `domain::catalog::search`, so that both
//! databases find the same.

use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::result::QueryResult;
use diesel::sql_types::Text;
use diesel_async::RunQueryDsl;

use crate::db::types::sql::Uuid;
use crate::db::{Conn, DbError, on_conn};
use crate::domain::catalog::search::index_words;
use crate::domain::ids::ProductId;

/// Indexes a product, replacing its previous words; words of the title rank higher than those of
/// the rest.
pub async fn index(conn: &mut Conn, id: ProductId, title: &str, rest: &[&str]) -> Result<(), DbError> {
    let (title, body) = (index_words(&[title]).join(" "), index_words(rest).join(" "));
    on_conn!(conn, |c| Index { id, title, body }.execute(c).await)?;
    Ok(())
}

/// The statement. A query type instead of SQL text, so that it stays prepared.
#[derive(QueryId)]
struct Index {
    id: ProductId,
    title: String,
    body: String,
}

#[cfg(feature = "postgres")]
impl QueryFragment<diesel::pg::Pg> for Index {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, diesel::pg::Pg>) -> QueryResult<()> {
        out.push_sql("INSERT INTO product_search (product_id, document) VALUES (");
        out.push_bind_param::<Uuid, _>(&self.id)?;
        out.push_sql(", setweight(to_tsvector('simple', ");
        out.push_bind_param::<Text, _>(&self.title)?;
        out.push_sql("), 'A') || setweight(to_tsvector('simple', ");
        out.push_bind_param::<Text, _>(&self.body)?;
        out.push_sql("), 'D')) ON CONFLICT (product_id) DO UPDATE SET document = excluded.document");
        Ok(())
    }
}

#[cfg(feature = "sqlite")]
impl QueryFragment<diesel::sqlite::Sqlite> for Index {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, diesel::sqlite::Sqlite>) -> QueryResult<()> {
        out.push_sql("INSERT OR REPLACE INTO product_search (rowid, title, body) SELECT search_id, ");
        out.push_bind_param::<Text, _>(&self.title)?;
        out.push_sql(", ");
        out.push_bind_param::<Text, _>(&self.body)?;
        out.push_sql(" FROM products WHERE id = ");
        out.push_bind_param::<Uuid, _>(&self.id)?;
        Ok(())
    }
}
