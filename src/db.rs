//! The database: pools, connections, transactions, column types, migrations, and errors made alike.
//!
//! Two backends, one query: repositories write a query once and `on_conn!` expands it for each backend; what differs by
//! nature stands side by side in `on_each!`. Services open connections and transactions here; nobody asks for a second
//! connection while holding one. Never knows a table's meaning.

mod announcements;
mod conn;
mod error;
pub mod expr;
mod migrations;
mod pool;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "sqlite")]
mod private_file;
mod reclaim;
#[expect(missing_docs, reason = "generated from the database")]
pub mod schema;
#[cfg(feature = "sqlite")]
mod sqlite;
#[cfg(feature = "sqlite")]
mod sqlite_deadline;
mod statements;
mod together;
mod tx;
pub mod types;

pub use announcements::Announcements;
#[cfg(feature = "sqlite")]
pub(crate) use conn::load_sqlite;
pub use conn::{Conn, ConnMut};
pub(crate) use conn::{insert_all, load, on_conn, on_each};
pub use error::{Constraint, DbError, OnConstraint};
pub use pool::{Backend, Db, DbConfig};
pub use statements::Statements;
pub use together::Together;
pub use tx::{AsRetryable, Tx, retrying};
