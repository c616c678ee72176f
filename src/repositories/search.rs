//! The search index: the words of each product, made by `domain::search` so that both databases find alike.

use diesel::sql_types::Text;
use diesel_async::RunQueryDsl;

use crate::db::types::sql::Uuid;
use crate::db::{Conn, DbError, on_each};
use crate::domain::ids::ProductId;
use crate::domain::search::normalize;

/// Puts a product into the index, in place of what was there: words of its title count for more than those of the rest.
pub async fn index(conn: &mut Conn, id: ProductId, title: &str, rest: &[&str]) -> Result<(), DbError> {
    let title = normalize(title).join(" ");
    let body = rest.iter().flat_map(|text| normalize(text)).collect::<Vec<_>>().join(" ");
    on_each!(conn,
        postgres: |c| {
            diesel::sql_query(
                "INSERT INTO product_search (product_id, document) VALUES ($1, \
                 setweight(to_tsvector('simple', $2), 'A') || setweight(to_tsvector('simple', $3), 'D')) \
                 ON CONFLICT (product_id) DO UPDATE SET document = excluded.document",
            )
            .bind::<Uuid, _>(id)
            .bind::<Text, _>(title)
            .bind::<Text, _>(body)
            .execute(c)
            .await
        },
        sqlite: |c| {
            diesel::sql_query(
                "INSERT OR REPLACE INTO product_search (rowid, title, body) \
                 SELECT search_id, ?, ? FROM products WHERE id = ?",
            )
            .bind::<Text, _>(title)
            .bind::<Text, _>(body)
            .bind::<Uuid, _>(id)
            .execute(c)
            .await
        },
    )?;
    Ok(())
}
