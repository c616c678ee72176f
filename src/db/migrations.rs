//! Database migrations, embedded in the binary. Each runs once, however many processes start at the
//! same time.

#[cfg(feature = "postgres")]
use std::time::Duration;

use diesel::backend::Backend;
use diesel::migration::{MigrationSource, MigrationVersion};
use diesel_async::RunQueryDsl;
#[cfg(feature = "postgres")]
use diesel_async::{
    AnsiTransactionManager, AsyncMigrationHarness, AsyncPgConnection, SimpleAsyncConnection,
    TransactionManager,
};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

#[cfg(feature = "sqlite")]
use sha2::{Digest, Sha256};

use super::conn::PooledConn;
use super::{Db, DbError, StatementCounter, on_conn};

#[cfg(feature = "postgres")]
const POSTGRES: EmbeddedMigrations = embed_migrations!("migrations/postgres");
#[cfg(feature = "sqlite")]
const SQLITE: EmbeddedMigrations = embed_migrations!("migrations/sqlite");

#[cfg(feature = "sqlite")]
diesel::define_sql_function! {
    /// SHA-256 as hexadecimal digits. PostgreSQL has a function for it; for SQLite, migrations
    /// register this one.
    fn sha256_hex(text: diesel::sql_types::Text) -> diesel::sql_types::Text;
}

/// The key of the advisory lock that a process holds while it migrates.
#[cfg(feature = "postgres")]
const POSTGRES_LOCK: i64 = 0x6d65_7263_6174_6f00;

/// A row of the table in which diesel records migrations.
#[derive(diesel::QueryableByName)]
struct AppliedMigration {
    #[diesel(sql_type = diesel::sql_types::Text)]
    version: String,
}

impl Db {
    /// The versions of this program's migrations that have not been applied. Applied migrations
    /// that it does not know are ignored, so that during a rolling update, old processes go on
    /// working.
    ///
    /// # Errors
    /// [`DbError`] when the database can't be queried, or has never been migrated.
    pub async fn missing_migrations(&self, statements: &StatementCounter) -> Result<Vec<String>, DbError> {
        let applied = self.applied_migrations(statements).await?;
        let known = self.known_migrations()?;
        Ok(known.into_iter().filter(|known| !applied.contains(known)).collect())
    }

    /// Checks that the database has exactly this program's migrations, without changing it.
    ///
    /// # Errors
    /// [`DbError::TooOld`] and [`DbError::TooNew`] when it has not; [`DbError`] when it can't be
    /// queried.
    pub async fn check_migrations(&self) -> Result<(), DbError> {
        let known = self.known_migrations()?;
        let applied = match self.applied_migrations(&StatementCounter::default()).await {
            // There is no table of migrations yet.
            Err(DbError::Query(_)) => Vec::new(),
            applied => applied?,
        };
        if let Some(version) = applied.iter().filter(|version| !known.contains(version)).max() {
            return Err(DbError::TooNew(version.clone()));
        }
        let missing: Vec<String> = known.into_iter().filter(|known| !applied.contains(known)).collect();
        if missing.is_empty() { Ok(()) } else { Err(DbError::TooOld(missing)) }
    }

    /// The version of the newest migration that was applied; `None` if none was.
    ///
    /// # Errors
    /// [`DbError`] when the database can't be queried, or has never been migrated.
    pub async fn newest_migration(&self) -> Result<Option<String>, DbError> {
        Ok(self.applied_migrations(&StatementCounter::default()).await?.into_iter().max())
    }

    async fn applied_migrations(&self, statements: &StatementCounter) -> Result<Vec<String>, DbError> {
        let mut conn = self.read(statements).await?;
        let applied: Vec<AppliedMigration> = on_conn!(&mut conn, |c| {
            diesel::sql_query("SELECT version FROM __diesel_schema_migrations").load(c).await
        })?;
        Ok(applied.into_iter().map(|migration| migration.version).collect())
    }

    /// The versions of this program's migrations, in their order.
    fn known_migrations(&self) -> Result<Vec<String>, DbError> {
        let known = match self.backend() {
            #[cfg(feature = "postgres")]
            super::Backend::Postgres(_) => versions::<diesel::pg::Pg>(&POSTGRES)?,
            #[cfg(feature = "sqlite")]
            super::Backend::Sqlite(_) => versions::<diesel::sqlite::Sqlite>(&SQLITE)?,
        };
        let mut known: Vec<String> = known.iter().map(ToString::to_string).collect();
        known.sort_unstable();
        Ok(known)
    }

    /// Runs the pending migrations and returns their versions.
    ///
    /// # Errors
    /// [`DbError`] when a migration fails; it is rolled back. On SQLite, and through a pooler in
    /// transaction mode, so are those before it.
    /// [`DbError::TooNew`] when the database has a migration that this program does not know.
    pub async fn migrate(&self) -> Result<Vec<String>, DbError> {
        let versions = self.run_pending_migrations().await?;
        // The replica may lack the new tables for a moment.
        #[cfg(feature = "postgres")]
        self.await_replica();
        Ok(versions)
    }

    async fn run_pending_migrations(&self) -> Result<Vec<String>, DbError> {
        #[cfg(feature = "postgres")]
        if let Some(super::Backend::Postgres(server)) = self.configured_direct() {
            let connected = super::postgres::connect(server, Duration::ZERO, false).await;
            return migrate_postgres(connected.map_err(DbError::unavailable)?, false).await;
        }
        let mut conn = self.write(&StatementCounter::unlimited()).await?;
        // Taken out of the pool: the lock and the session's settings end with the connection.
        match std::mem::replace(&mut conn.pooled, PooledConn::None) {
            #[cfg(feature = "postgres")]
            PooledConn::Postgres(object) => {
                let connection = deadpool::managed::Object::take(*object).inner;
                migrate_postgres(connection, conn.has_transaction).await
            }
            #[cfg(feature = "sqlite")]
            PooledConn::Sqlite(mut object) => object
                .spawn_blocking(|connection| {
                    sha256_hex_utils::register_impl(connection, |text: String| {
                        base16ct::lower::encode_string(&Sha256::digest(text.as_bytes()))
                    })?;
                    connection.immediate_transaction(|connection| {
                        let applied = connection
                            .applied_migrations()
                            .map_err(diesel::result::Error::QueryBuilderError)?;
                        if let Some(version) = newest_unknown::<diesel::sqlite::Sqlite>(&SQLITE, &applied)? {
                            return Ok(Err(DbError::TooNew(version)));
                        }
                        let versions = connection
                            .run_pending_migrations(SQLITE)
                            .map_err(diesel::result::Error::QueryBuilderError)?;
                        Ok(Ok(versions.iter().map(ToString::to_string).collect()))
                    })
                })
                .await
                .map_err(DbError::from)?,
            PooledConn::None => Err(DbError::discarded()),
        }
    }
}

/// Runs the pending migrations: each in a transaction of its own, or all of them in the current
/// one, which keeps them and the lock in the same session behind a pooler in transaction mode.
#[cfg(feature = "postgres")]
async fn migrate_postgres(
    mut connection: AsyncPgConnection,
    is_in_transaction: bool,
) -> Result<Vec<String>, DbError> {
    let lock = if is_in_transaction { "pg_advisory_xact_lock" } else { "pg_advisory_lock" };
    connection.batch_execute(&format!("SELECT {lock}({POSTGRES_LOCK})")).await?;
    let (mut connection, versions) = run_pending(connection)?;
    if is_in_transaction {
        AnsiTransactionManager::commit_transaction(&mut connection).await?;
    }
    Ok(versions)
}

#[cfg(feature = "postgres")]
fn run_pending(connection: AsyncPgConnection) -> Result<(AsyncPgConnection, Vec<String>), DbError> {
    let mut harness = AsyncMigrationHarness::new(connection);
    let applied = harness.applied_migrations().map_err(DbError::unavailable)?;
    if let Some(version) = newest_unknown::<diesel::pg::Pg>(&POSTGRES, &applied).map_err(DbError::from)? {
        return Err(DbError::TooNew(version));
    }
    let versions = harness.run_pending_migrations(POSTGRES).map_err(DbError::unavailable)?;
    let versions = versions.iter().map(ToString::to_string).collect();
    Ok((harness.into_inner(), versions))
}

/// The newest applied migration that this program does not know.
fn newest_unknown<DB: Backend>(
    known: &EmbeddedMigrations,
    applied: &[MigrationVersion<'_>],
) -> Result<Option<String>, diesel::result::Error> {
    let known = versions::<DB>(known)?;
    let unknown = applied.iter().filter(|version| !known.contains(&version.as_owned()));
    Ok(unknown.map(ToString::to_string).max())
}

/// The versions of the migrations of a backend.
fn versions<DB: Backend>(
    known: &EmbeddedMigrations,
) -> Result<Vec<MigrationVersion<'static>>, diesel::result::Error> {
    let known = MigrationSource::<DB>::migrations(known).map_err(diesel::result::Error::QueryBuilderError)?;
    Ok(known.iter().map(|migration| migration.name().version().as_owned()).collect())
}
