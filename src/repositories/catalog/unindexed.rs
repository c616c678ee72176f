//! Rows whose search words and keys could not be computed by a migration, since only the server
//! knows how. Filled by migrations, emptied by `services::catalog::search_index` before the shop
//! opens.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::db::expr::in_ids;
use crate::db::schema::unindexed_rows;
use crate::db::types::AnyId;
use crate::db::{Conn, DbError, load, on_conn};
use crate::domain::ids::Id;

/// Returns up to `limit` rows: their ids and tables.
pub async fn page(conn: &mut Conn, limit: i64) -> Result<Vec<(AnyId, String)>, DbError> {
    load!(
        conn,
        unindexed_rows::table
            .order_by(unindexed_rows::row_id)
            .limit(limit)
            .select((unindexed_rows::row_id, unindexed_rows::kind))
    )
}

/// Removes rows that have been indexed.
pub async fn remove<I: Id>(conn: &mut Conn, rows: &[I]) -> Result<(), DbError> {
    on_conn!(conn, |c| {
        diesel::delete(unindexed_rows::table.filter(in_ids(unindexed_rows::row_id, rows))).execute(c).await
    })?;
    Ok(())
}
