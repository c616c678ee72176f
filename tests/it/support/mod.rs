//! The tools for writing tests: a real server for each test, clients that send GraphQL over its
//! socket, and a clock that tests advance.
//!
//! A test is an `async fn` that takes a [`TestApp`]. [`both!`] creates two tests from it,
//! `name::sqlite` and `name::postgres`:
//!
//! ```ignore
//! use mercato::domain::access::permissions::Permission;
//! use serde_json::json;
//!
//! use crate::support::{TestApp, both};
//!
//! both!(a_draft_is_hidden_from_buyers);
//! async fn a_draft_is_hidden_from_buyers(app: TestApp) {
//!     app.create_product(json!({ "title": "Tall Mug", "status": "DRAFT" })).await;
//!
//!     let document = "query($handle: String!) { product(handle: $handle) { title } }";
//!     let variables = json!({ "handle": "tall-mug" });
//!     let buyer = app.anonymous().ask_with(document, variables.clone()).await.ok();
//!     assert!(buyer["product"].is_null());
//!
//!     let staff = app.staff(&[Permission::ReadProducts]).ask_with(document, variables).await.ok();
//!     assert_eq!(staff["product.title"], "Tall Mug");
//! }
//! ```
//!
//! - A [`Reply`] is indexed by the path in its data: `reply["products.nodes.0.title"]`.
//!   [`Reply::ok`] asserts that there are neither errors nor user errors, [`Reply::code`] and
//!   [`Reply::user_errors`] read them, and [`Reply::statements`] is the number of SQL statements of
//!   the request.
//! - Each test has its own database, so tests share nothing and run in parallel. `app.clock` stands
//!   still until it is advanced.
//! - A test whose server needs other settings takes a [`Database`] instead, and starts the server
//!   itself: `TestApp::with(database, &[("BODY_LIMIT", "2048")])`.
//!
//! PostgreSQL is a private server that is started from installed binaries, or the one at
//! `TEST_DATABASE_URL`. Without either, its tests are skipped with a message, unless
//! `MERCATO_REQUIRE_ALL_TESTS=1` is set.

mod app;
mod builders;
mod client;
mod clock;
mod databases;
#[cfg(feature = "lambda")]
pub mod lambda;
pub mod live;
pub mod localstripe;
pub mod log;
mod orders;
pub mod paypal;
pub mod pgbouncer;
pub mod postgres;
pub mod postgres_replica;
pub mod postgres_tls;
mod prices;
pub mod programs;
mod receiver;
pub mod redis;
pub mod scratch;
pub mod smtp;
pub mod stripe;
mod wire;

use std::io::Write;
use std::sync::{Arc, Mutex};

pub use app::TestApp;
pub use client::{Client, Reply};
pub use clock::TestClock;
pub use databases::Database;
pub use orders::{blank_order, order_argument, order_id, order_input, update_variables, uuid, with_key};
pub use prices::{Codes, id_of, line};
pub use receiver::{Receiver, ReceiverBehavior};
pub use wire::{HttpResponse, escaped, request, send};

/// Creates two tests from an async function that takes a [`TestApp`] or a [`Database`]: one on
/// SQLite and one on PostgreSQL.
macro_rules! both {
    ($(#[$attribute:meta])* $name:ident) => {
        mod $name {
            use $crate::support::{Database, run};

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            $(#[$attribute])*
            async fn sqlite() {
                run(Database::sqlite().await, super::$name).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            $(#[$attribute])*
            async fn postgres() {
                run(Database::postgres().await, super::$name).await;
            }
        }
    };
}
pub(crate) use both;

/// Is told of a request to the double of a service, before it takes effect. Returns whether it
/// does; otherwise, it is lost.
pub type Watcher = Arc<dyn Fn() -> bool + Send + Sync>;

/// The argument of a test.
pub trait Start {
    /// Creates it from a database.
    async fn start(database: Database) -> Self;
}

impl Start for Database {
    async fn start(database: Database) -> Self {
        database
    }
}

impl Start for TestApp {
    async fn start(database: Database) -> Self {
        Self::with(database, &[]).await
    }
}

/// Runs a test, unless it is skipped because its database is missing.
pub async fn run<T: Start>(database: Option<Database>, test: impl AsyncFnOnce(T)) {
    if let Some(database) = database {
        test(T::start(database).await).await;
    }
}

/// A setting of the test run, from the environment.
#[expect(clippy::disallowed_methods, reason = "the settings of a test run are no settings of the server")]
pub fn setting(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Prints that tests are skipped, and why: once for each reason, bypassing the capture of output.
///
/// # Panics
/// When `MERCATO_REQUIRE_ALL_TESTS` forbids that.
pub fn skip(reason: &'static str) {
    static PRINTED: Mutex<Vec<&str>> = Mutex::new(Vec::new());
    assert!(setting("MERCATO_REQUIRE_ALL_TESTS").is_none(), "MERCATO_REQUIRE_ALL_TESTS is set, but {reason}");
    let mut printed = PRINTED.lock().unwrap();
    if !printed.contains(&reason) {
        printed.push(reason);
        // The output of `eprintln!` is not shown if the test passes.
        let text = format!("\n*** TESTS ARE SKIPPED: {reason} ***\n\n");
        std::io::stderr().write_all(text.as_bytes()).unwrap();
    }
}
