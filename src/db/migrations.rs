//! Migrations, run by the binary: those of the backend in use, each once, whatever number of processes start at once.

use diesel::backend::Backend;
use diesel::migration::{MigrationSource, MigrationVersion};
#[cfg(feature = "postgres")]
use diesel_async::SimpleAsyncConnection;
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

#[cfg(feature = "sqlite")]
use sha2::{Digest, Sha256};

use super::conn::Pooled;
use super::{Db, DbError, Statements};
#[cfg(feature = "sqlite")]
use crate::domain::hex::hex;

#[cfg(feature = "postgres")]
const POSTGRES: EmbeddedMigrations = embed_migrations!("migrations/postgres");
#[cfg(feature = "sqlite")]
const SQLITE: EmbeddedMigrations = embed_migrations!("migrations/sqlite");

#[cfg(feature = "sqlite")]
diesel::define_sql_function! {
    /// SHA-256 as hexadecimal digits. PostgreSQL has it; migrations give it to SQLite.
    fn sha256_hex(text: diesel::sql_types::Text) -> diesel::sql_types::Text;
}

/// The key of the advisory lock that one migrating process holds at a time.
#[cfg(feature = "postgres")]
const POSTGRES_LOCK: i64 = 0x6d65_7263_6174_6f00;

impl Db {
    /// Runs the migrations that have not run yet; gives their versions.
    ///
    /// # Errors
    /// [`DbError`] when one fails; those before it stay, it itself leaves nothing behind.
    /// [`DbError::TooNew`] when the database has one that this program does not know.
    pub async fn migrate(&self) -> Result<Vec<String>, DbError> {
        let mut conn = self.write(&Statements::unlimited()).await?;
        // The session's lock and state end with the connection.
        match std::mem::replace(&mut conn.pooled, Pooled::None) {
            #[cfg(feature = "postgres")]
            Pooled::Postgres(object) => {
                let mut connection = deadpool::managed::Object::take(*object);
                connection.batch_execute(&format!("SELECT pg_advisory_lock({POSTGRES_LOCK})")).await?;
                let mut harness = diesel_async::AsyncMigrationHarness::new(connection);
                let applied = harness.applied_migrations().map_err(DbError::unavailable)?;
                if let Some(version) = unknown::<diesel::pg::Pg>(POSTGRES, &applied).map_err(DbError::from)? {
                    return Err(DbError::TooNew(version));
                }
                let versions = harness.run_pending_migrations(POSTGRES).map_err(DbError::unavailable)?;
                Ok(versions.iter().map(ToString::to_string).collect())
            }
            #[cfg(feature = "sqlite")]
            Pooled::Sqlite(mut object) => object
                .spawn_blocking(|connection| {
                    sha256_hex_utils::register_impl(connection, |text: String| {
                        hex(&Sha256::digest(text.as_bytes()))
                    })?;
                    connection.immediate_transaction(|connection| {
                        let applied = connection
                            .applied_migrations()
                            .map_err(diesel::result::Error::QueryBuilderError)?;
                        if let Some(version) = unknown::<diesel::sqlite::Sqlite>(SQLITE, &applied)? {
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
            Pooled::None => Err(DbError::discarded()),
        }
    }
}

/// The newest migration that has run and is none of a program's.
fn unknown<DB: Backend>(
    known: EmbeddedMigrations,
    applied: &[MigrationVersion<'_>],
) -> Result<Option<String>, diesel::result::Error> {
    let known =
        MigrationSource::<DB>::migrations(&known).map_err(diesel::result::Error::QueryBuilderError)?;
    let known: Vec<_> = known.iter().map(|migration| migration.name().version().as_owned()).collect();
    let unknown = applied.iter().filter(|version| !known.contains(&version.as_owned()));
    Ok(unknown.map(ToString::to_string).max())
}
