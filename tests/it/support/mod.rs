//! What tests are written with: a real server each, clients that send GraphQL over its socket, and a clock to move.
//!
//! A test is an `async fn` of a [`TestApp`], and [`both!`] makes two of it, `name::sqlite` and `name::postgres`:
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
//! - A [`Reply`] is indexed by the path in its data: `reply["products.nodes.0.title"]`. [`Reply::ok`] insists that there
//!   are neither errors nor user errors, [`Reply::code`] and [`Reply::user_errors`] read them, and [`Reply::statements`]
//!   counts the SQL that the answer took.
//! - Each test has a database of its own, so tests share nothing and run side by side. `app.clock` stands still until it
//!   is moved.
//! - A test whose server needs other settings takes a [`Database`] in place of the `TestApp`, and starts it itself:
//!   `TestApp::with(database, &[("BODY_LIMIT", "2048")])`.
//!
//! PostgreSQL is a private server that is started from the binaries at hand, or the one at `TEST_DATABASE_URL`. Where there
//! is neither, its tests say so and are skipped, unless `MERCATO_REQUIRE_ALL_TESTS=1` forbids that.

mod app;
mod builders;
mod client;
mod clock;
mod databases;
pub mod live;
pub mod log;
mod orders;
mod postgres;
mod prices;
mod receiver;
pub mod redis;
pub mod scratch;
pub mod smtp;
mod wire;

use std::io::Write;
use std::sync::Mutex;

pub use app::TestApp;
pub use client::{Client, Reply};
pub use databases::Database;
pub use orders::{blank_order, keyed, order_argument, order_id, order_of, update_of};
pub use prices::{Codes, id_of, line};
pub use receiver::{Mood, Receiver};
pub use wire::{Answer, escaped, request, send};

/// Makes two tests of an async function of a [`TestApp`] or a [`Database`]: one on SQLite, one on PostgreSQL.
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

/// What a test can start from.
pub trait Start {
    /// Starts it.
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

/// Runs a test, unless its database is missing and tests may be skipped.
pub async fn run<T: Start>(database: Option<Database>, test: impl AsyncFnOnce(T)) {
    if let Some(database) = database {
        test(T::start(database).await).await;
    }
}

/// A setting of the test run.
#[expect(clippy::disallowed_methods, reason = "the settings of a test run are no settings of the server")]
pub fn setting(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Says that tests are skipped for want of something: once each, and past the capture of tests' output.
///
/// # Panics
/// When `MERCATO_REQUIRE_ALL_TESTS` forbids that.
pub fn skip(what: &'static str) {
    static SAID: Mutex<Vec<&str>> = Mutex::new(Vec::new());
    assert!(setting("MERCATO_REQUIRE_ALL_TESTS").is_none(), "MERCATO_REQUIRE_ALL_TESTS is set, but {what}");
    let mut said = SAID.lock().unwrap();
    if !said.contains(&what) {
        said.push(what);
        // Not `eprintln!`, whose output nobody sees of a test that passes.
        let text = format!("\n*** TESTS ARE SKIPPED: {what} ***\n\n");
        std::io::stderr().write_all(text.as_bytes()).unwrap();
    }
}
