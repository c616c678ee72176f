//! The database layer: pools, connections, transactions, column types, migrations and errors.
//!
//! Repositories write a query once, and `on_conn!` expands it for both backends; queries that have
//! to differ stand side by side in `per_backend!`. Services open connections and transactions
//! here. Never ask for a second connection while holding one: the pool could run dry. This layer
//! knows nothing about what tables mean.

mod backend;
#[cfg(feature = "sqlite")]
mod commit_group;
mod commit_signals;
mod conn;
mod entity_cache;
mod error;
pub mod expr;
mod integrity;
mod lock;
mod migrations;
mod pool;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "sqlite")]
mod private_file;
mod read_coalescer;
#[cfg(feature = "postgres")]
mod recent_writers;
mod reclaim;
#[cfg(feature = "postgres")]
mod replica;
#[expect(missing_docs, reason = "generated from the database")]
// Clippy does not look for it when it compiles tests.
#[cfg_attr(not(test), expect(clippy::wildcard_imports, reason = "generated from the database"))]
pub mod schema;
#[cfg(feature = "sqlite")]
mod sqlite;
#[cfg(feature = "sqlite")]
mod sqlite_deadline;
#[cfg(feature = "sqlite")]
mod sqlite_files;
mod statement_counter;
mod statement_metrics;
mod turn;
mod tx;
pub mod types;
mod weigh;

pub use backend::{Backend, DbConfig, Pooler, ReplicaConfig, ReplicaStatus};
pub use commit_signals::CommitSignals;
pub(crate) use conn::MAX_ROWS_PER_INSERT;
#[cfg(feature = "sqlite")]
pub(crate) use conn::load_sqlite;
pub use conn::{Conn, ConnMut};
pub(crate) use conn::{insert_all, load, on_conn, per_backend};
pub use entity_cache::Lookups;
pub use error::{Constraint, DbError, OnConstraint};
pub use lock::{DatabaseLock, real_path};
pub use pool::{Db, PoolUsage};
#[cfg(feature = "postgres")]
pub use postgres::{ConnectError, PostgresServer};
pub use read_coalescer::ReadCoalescer;
#[cfg(feature = "sqlite")]
pub use sqlite_files::{copy_sqlite, detach_sqlite, is_damage, remove_companions, sqlite_exists};
pub use statement_counter::StatementCounter;
pub use statement_metrics::StatementMetrics;
pub use tx::{MAX_RETRIES, Retryable, Tx, TxWork};
pub use weigh::Weigh;
pub(crate) use weigh::impl_weigh;
