//! Checks that a database is intact. Called by `mercato doctor`, and for every backup before it is
//! written and before it replaces a shop. Changes nothing.

use diesel_async::RunQueryDsl;

use super::{Db, DbError, StatementCounter, per_backend};

/// The maximum number of problems that are reported.
const MAX_PROBLEMS: usize = 20;

/// What a check finds, one problem a row.
#[derive(diesel::QueryableByName)]
struct Finding {
    #[diesel(sql_type = diesel::sql_types::Text)]
    finding: String,
}

/// A time in microseconds since the Unix epoch.
#[cfg(feature = "postgres")]
#[derive(diesel::QueryableByName)]
struct Micros {
    #[diesel(sql_type = diesel::sql_types::BigInt)]
    micros: i64,
}

/// Reads the whole file. Rows that refer to missing ones are not found by `integrity_check`.
#[cfg(feature = "sqlite")]
const SQLITE_CHECK: &str = "SELECT integrity_check AS finding FROM pragma_integrity_check \
    WHERE integrity_check <> 'ok' \
    UNION ALL \
    SELECT DISTINCT 'rows of ' || \"table\" || ' refer to missing rows of ' || parent \
    FROM pragma_foreign_key_check";

/// What PostgreSQL itself knows to be wrong; it checks rows only when it reads them.
#[cfg(feature = "postgres")]
const POSTGRES_CHECK: &str = "SELECT 'the index ' || indexrelid::regclass::text || ' is invalid' AS finding \
    FROM pg_index WHERE NOT indisvalid \
    UNION ALL \
    SELECT checksum_failures || ' pages have wrong checksums' FROM pg_stat_database \
    WHERE datname = current_database() AND checksum_failures > 0";

impl Db {
    /// Looks for damage. Returns the first problems that it found. On SQLite it reads the
    /// whole file, while others go on using it.
    ///
    /// # Errors
    /// [`DbError`] when the database can't be queried.
    pub async fn integrity_problems(&self) -> Result<Vec<String>, DbError> {
        let mut conn = self.read(&StatementCounter::unlimited()).await?;
        conn.expect_long_reads();
        let found: Vec<Finding> = per_backend!(&mut conn,
            postgres: |c| diesel::sql_query(POSTGRES_CHECK).load(c).await,
            sqlite: |c| diesel::sql_query(SQLITE_CHECK).load(c).await,
        )?;
        Ok(found.into_iter().map(|found| found.finding).take(MAX_PROBLEMS).collect())
    }

    /// The time of the database's server in microseconds since the Unix epoch; `None` on SQLite,
    /// which has none of its own.
    ///
    /// # Errors
    /// [`DbError`] when the database can't be queried.
    pub async fn server_micros(&self) -> Result<Option<i64>, DbError> {
        let mut conn = self.read(&StatementCounter::default()).await?;
        per_backend!(&mut conn,
            postgres: |c| {
                let query = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS micros";
                diesel::sql_query(query).get_result(c).await.map(|row: Micros| Some(row.micros))
            },
            sqlite: |_c| Ok::<_, diesel::result::Error>(None),
        )
    }
}
