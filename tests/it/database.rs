//! Transactions that fail, statements that are abandoned or too slow, and turns of callers at
//! writing.

mod pooler;
mod replica;
mod tls;

use std::sync::Mutex;
use std::time::{Duration, Instant};

use diesel::QueryableByName;
use diesel::sql_types::Text;
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};
use futures_util::FutureExt;
use futures_util::future::{join, join_all, maybe_done};
use mercato::db::{Backend, Conn, ConnMut, DbError, StatementCounter, Tx};
use mercato::domain::access::callers::Caller;
use mercato::domain::ids::{Id, ProductId};
use mercato::error::{Error, ErrorCode};
use mercato::repositories::catalog::products;
use serde_json::json;
use tokio::sync::{Notify, Semaphore};

use crate::support::{Database, TestApp, both, run as run_test, uuid};

/// A statement that takes a minute, or forever.
const ENDLESS: [&str; 2] = [
    "SELECT pg_sleep(60)",
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n",
];
/// A statement that takes some tenths of a second.
const SLOW: [&str; 2] = [
    "SELECT pg_sleep(0.3)",
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 1000000) SELECT count(*) FROM n",
];
const RENAME: [&str; 2] = ["UPDATE shops SET name = 'renamed'", "UPDATE shops SET name = 'renamed'"];
/// The timeout of operations that must not take long.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Runs SQL, in the variant for PostgreSQL or for SQLite.
async fn run(conn: &mut Conn, sql: [&str; 2]) -> Result<(), DbError> {
    let result = match conn.start(|| "it::database::run") {
        ConnMut::Postgres(c) => c.batch_execute(sql[0]).await,
        ConnMut::Sqlite(c) => c.batch_execute(sql[1]).await,
        ConnMut::None => panic!("there is no connection"),
    };
    conn.finish(result.map_err(DbError::from))
}

/// Renames the shop in a transaction that then fails.
async fn fail_transaction(app: &TestApp) {
    let statements = StatementCounter::default();
    let result = app.app.db.transaction(&statements, async |tx: &mut Tx| {
        run(tx.conn(), RENAME).await?;
        Err::<(), _>(Error::BadInput("refused".to_owned()))
    });
    assert!(matches!(result.await, Err(Error::BadInput(_))));
}

/// Renames the shop in a transaction, sends the last statement, if any, and drops the transaction.
/// Retries while an earlier abandoned transaction still locks the shop's row.
async fn abandon_transaction(app: &TestApp, last: Option<[&str; 2]>) {
    loop {
        let (statements, is_sent) = (StatementCounter::default(), Notify::new());
        let renamed = app.app.db.transaction(&statements, async |tx: &mut Tx| {
            run(tx.conn(), RENAME).await?;
            if let Some(sql) = last {
                // Polled once, which sends it, and dropped.
                assert!(tokio::time::timeout(Duration::ZERO, run(tx.conn(), sql)).await.is_err());
            }
            is_sent.notify_one();
            std::future::pending::<Result<(), DbError>>().await
        });
        tokio::select! {
            () = is_sent.notified() => return,
            result = renamed => assert!(matches!(result, Err(DbError::Timeout(..))), "{result:?}"),
        }
    }
}

both!(failed_transactions_are_rolled_back_and_keep_their_connections);
async fn failed_transactions_are_rolled_back_and_keep_their_connections(app: TestApp) {
    let document = "mutation($token: String!) { customerEmailVerify(token: $token) { userErrors { code } } }";
    for _ in 0..2 {
        app.anonymous().ask_with(document, json!({ "token": "x" })).await;
    }
    for _ in 0..250 {
        join_all(
            (0..2).map(|_| async { tokio::join!(fail_transaction(&app), abandon_transaction(&app, None)) }),
        )
        .await;
    }
    // At most the size of the pools.
    assert!(app.app.db.connections_opened() <= 5, "{} connections", app.app.db.connections_opened());
    let name = app.anonymous().ask("{ shop { name } }").await.ok();
    assert_ne!(name["shop.name"], "renamed");
}

both!(inserts_of_very_many_rows_take_several_statements);
async fn inserts_of_very_many_rows_take_several_statements(app: TestApp) {
    let product = app.create_product(json!({ "title": "Ring" })).await;
    let id = ProductId::from_uuid(uuid(&product));
    // With three parameters each, more than SQLite allows in a statement.
    let tags: Vec<String> = (0..12_000).map(|number| format!("tag {number}")).collect();
    let (statements, tags) = (StatementCounter::default(), &tags);
    let insert = async |tx: &mut Tx| products::add_tags(tx.conn(), id, tags).await;
    app.app.db.transaction(&statements, insert).await.unwrap();
    assert_eq!(statements.count(), 14, "with `BEGIN` and `COMMIT`");
    let mut conn = app.app.db.read(&StatementCounter::default()).await.unwrap();
    assert_eq!(products::tags(&mut conn, &[id]).await.unwrap().len(), 12_000);
}

both!(callers_take_turns_at_writing);
async fn callers_take_turns_at_writing(database: Database) {
    // On PostgreSQL, half of the connections can be used for writing.
    let app = TestApp::with(database, &[("DB_POOL_SIZE", "2")]).await;
    let (is_open, may_end, served) = (Notify::new(), Notify::new(), Mutex::new(Vec::new()));
    let caller = |last| Some(Caller::Network([192, 0, 2, last].into()));
    let [crowd, guest] = [1, 2].map(|last| StatementCounter::default().on_behalf_of(caller(last)));
    let first = app.app.db.transaction(&crowd, async |_: &mut Tx| {
        is_open.notify_one();
        may_end.notified().await;
        Ok::<_, DbError>(())
    });
    let write = |name: &'static str, caller| {
        let served = &served;
        app.app.db.transaction(caller, async move |_: &mut Tx| {
            served.lock().unwrap().push(name);
            Ok::<_, DbError>(())
        })
    };
    let others = async {
        is_open.notified().await;
        // All are polled once, in this order, before the first transaction ends.
        let waiting = join_all(
            [("crowd", &crowd), ("crowd", &crowd), ("crowd", &crowd), ("guest", &guest)]
                .map(|(name, caller)| write(name, caller)),
        );
        let (results, ()) = tokio::join!(waiting, async { may_end.notify_one() });
        results.into_iter().collect::<Result<Vec<()>, _>>().unwrap();
    };
    let (ended, ()) = tokio::join!(first, others);
    ended.unwrap();
    assert_eq!(*served.lock().unwrap(), ["crowd", "guest", "crowd", "crowd"]);
}

/// Adds tags to a product.
async fn add_tags(tx: &mut Tx, id: ProductId, tags: &[String]) -> Result<(), DbError> {
    products::add_tags(tx.conn(), id, tags).await.map(drop)
}

async fn tags_of(app: &TestApp, id: ProductId) -> Vec<String> {
    let mut conn = app.app.db.read(&StatementCounter::default()).await.unwrap();
    products::tags(&mut conn, &[id]).await.unwrap().into_iter().map(|(_, tag)| tag).collect()
}

both!(a_transaction_that_waits_for_the_commit_of_the_next_one_does_not_depend_on_it);
async fn a_transaction_that_waits_for_the_commit_of_the_next_one_does_not_depend_on_it(app: TestApp) {
    let id = ProductId::from_uuid(uuid(&app.create_product(json!({ "title": "Ring" })).await));
    for end in ["succeeds", "fails", "is dropped"] {
        let (statements, tags) = (StatementCounter::default(), ["a", "b"].map(|tag| format!("{tag} {end}")));
        let (first_waits, second_waits) = (Notify::new(), Notify::new());
        let (first_may_end, second_may_end) = (Semaphore::new(0), Semaphore::new(0));
        let first = app.app.db.transaction(&statements, async |tx: &mut Tx| {
            add_tags(tx, id, &tags[..1]).await?;
            first_waits.notify_one();
            drop(first_may_end.acquire().await);
            Ok::<_, DbError>(())
        });
        let second = app.app.db.transaction(&statements, async |tx: &mut Tx| {
            add_tags(tx, id, &tags[1..]).await?;
            second_waits.notify_one();
            drop(second_may_end.acquire().await);
            if end == "fails" { Err(DbError::corrupt("refused")) } else { Ok(()) }
        });
        let (mut first, mut second) = (Box::pin(maybe_done(first)), Box::pin(maybe_done(second)));
        tokio::select! {
            () = &mut first => panic!("it waits"),
            () = first_waits.notified() => {}
        }
        assert!((&mut second).now_or_never().is_none());
        first_may_end.add_permits(1);
        tokio::select! {
            _ = join(&mut first, &mut second) => panic!("the second one waits"),
            () = second_waits.notified() => {}
        }
        if !matches!(app.app.db.backend(), Backend::Postgres(_)) {
            // SQLite commits both together.
            assert!((&mut first).now_or_never().is_none());
            assert!(!tags_of(&app, id).await.contains(&tags[0]));
        }
        if end == "is dropped" {
            drop(second);
            first.as_mut().await;
        } else {
            second_may_end.add_permits(1);
            join(&mut first, &mut second).await;
            assert_eq!(second.as_mut().take_output().unwrap().is_ok(), end == "succeeds");
        }
        first.as_mut().take_output().unwrap().unwrap();
        let found = tags_of(&app, id).await;
        assert_eq!(
            tags.each_ref().map(|tag| found.contains(tag)),
            [true, end == "succeeds"],
            "{end}: {found:?}"
        );
    }
}

both!(transactions_that_fail_leave_out_none_but_themselves);
async fn transactions_that_fail_leave_out_none_but_themselves(app: TestApp) {
    let id = ProductId::from_uuid(uuid(&app.create_product(json!({ "title": "Ring" })).await));
    let (statements, tags) =
        (StatementCounter::default(), &(100..200).map(|n| n.to_string()).collect::<Vec<_>>());
    let write = |at: usize| {
        app.app.db.transaction(&statements, async move |tx: &mut Tx| {
            add_tags(tx, id, &tags[at..=at]).await?;
            if at.is_multiple_of(3) { Err(DbError::corrupt("refused")) } else { Ok(()) }
        })
    };
    let results = join_all((0..tags.len()).map(write)).await;
    let mut found = tags_of(&app, id).await;
    found.sort();
    let expected = |at: &usize| results[*at].is_ok();
    assert!((0..tags.len()).all(|at| results[at].is_ok() != at.is_multiple_of(3)));
    assert_eq!(found, (0..tags.len()).filter(expected).map(|at| tags[at].clone()).collect::<Vec<_>>());
}

both!(an_abandoned_statement_is_canceled_and_its_connection_reset);
async fn an_abandoned_statement_is_canceled_and_its_connection_reset(app: TestApp) {
    for _ in 0..3 {
        let mut conn = app.app.db.write(&StatementCounter::default()).await.unwrap();
        assert!(tokio::time::timeout(Duration::ZERO, run(&mut conn, ENDLESS)).await.is_err());
    }
    // On SQLite, a statement of a transaction ends by itself or at its timeout.
    if let Backend::Postgres(_) = app.app.db.backend() {
        for _ in 0..3 {
            tokio::time::timeout(TIMEOUT, abandon_transaction(&app, Some(ENDLESS))).await.unwrap();
        }
    }
    // Until the abandoned statement has ended, it locks the row, or uses SQLite's only write
    // connection.
    tokio::time::timeout(TIMEOUT, abandon_transaction(&app, None)).await.unwrap();
    let name = app.anonymous().ask("{ shop { name } }").await.ok();
    assert_ne!(name["shop.name"], "renamed");
}

both!(an_abandoned_read_frees_its_connection);
async fn an_abandoned_read_frees_its_connection(app: TestApp) {
    // More reads than there are connections.
    for _ in 0..6 {
        let mut conn = app.app.db.read(&StatementCounter::default()).await.unwrap();
        assert!(tokio::time::timeout(Duration::ZERO, run(&mut conn, ENDLESS)).await.is_err());
    }
    let statements = StatementCounter::default();
    let reads = join_all((0..4).map(|_| app.app.db.read(&statements)));
    for conn in tokio::time::timeout(TIMEOUT, reads).await.unwrap() {
        run(&mut conn.unwrap(), ["SELECT 1", "SELECT 1"]).await.unwrap();
    }
}

both!(statements_have_a_timeout);
async fn statements_have_a_timeout(database: Database) {
    let app = TestApp::with(database, &[("STATEMENT_TIMEOUT_MS", "100")]).await;
    let mut conn = app.app.db.read(&StatementCounter::default()).await.unwrap();
    let result = tokio::time::timeout(TIMEOUT, run(&mut conn, ENDLESS)).await.unwrap();
    assert!(matches!(result, Err(DbError::Timeout(..))), "{result:?}");
    // Its connection can be used again.
    drop(conn);
    let mut conn = app.app.db.read(&StatementCounter::default()).await.unwrap();
    run(&mut conn, ["SELECT 1", "SELECT 1"]).await.unwrap();
    drop(conn);

    // A timeout rolls back the transaction.
    let statements = StatementCounter::default();
    let result = app.app.db.transaction(&statements, async |tx: &mut Tx| {
        run(tx.conn(), RENAME).await?;
        let result = tokio::time::timeout(TIMEOUT, run(tx.conn(), ENDLESS)).await.unwrap();
        assert!(run(tx.conn(), RENAME).await.is_err(), "no further statements run in the transaction");
        result
    });
    let result = result.await;
    assert!(matches!(result, Err(DbError::Timeout(..))), "{result:?}");
    let name = app.anonymous().ask("{ shop { name } }").await.ok();
    assert_ne!(name["shop.name"], "renamed");
    fail_transaction(&app).await;

    // Statements of the system have no timeout, but the next user of the connection has one again.
    for _ in 0..4 {
        let mut conn = app.app.db.read(&app.app.system().statements).await.unwrap();
        run(&mut conn, SLOW).await.unwrap();
    }
    let mut conn = app.app.db.read(&StatementCounter::default()).await.unwrap();
    assert!(tokio::time::timeout(TIMEOUT, run(&mut conn, ENDLESS)).await.unwrap().is_err());
}

#[test]
fn a_timeout_names_the_limit_and_the_remedy() {
    let error = DbError::Timeout(Some(Duration::from_millis(250)), diesel::result::Error::NotFound);
    let error = Error::from(error);
    assert_eq!(error.code(), ErrorCode::Timeout);
    let text = error.to_string();
    assert!(
        text.contains("250 ms") && text.contains("STATEMENT_TIMEOUT_MS") && text.contains("fewer"),
        "{text}"
    );
}

/// On a runtime with one thread, so that a blocking call would be noticed.
#[tokio::test(flavor = "current_thread")]
async fn a_slow_read_does_not_block_its_thread() {
    let database = Database::sqlite().await.unwrap();
    let app = TestApp::with(database, &[("STATEMENT_TIMEOUT_MS", "400")]).await;
    let db = app.app.db.clone();
    let slow = tokio::spawn(async move {
        let mut conn = db.read(&StatementCounter::default()).await.unwrap();
        run(&mut conn, ENDLESS).await
    });
    let (mut longest, mut last) = (Duration::ZERO, Instant::now());
    while !slow.is_finished() {
        tokio::task::yield_now().await;
        longest = longest.max(last.elapsed());
        last = Instant::now();
    }
    assert!(matches!(slow.await.unwrap(), Err(DbError::Timeout(..))));
    assert!(longest < Duration::from_millis(200), "blocked for {longest:?}");
}

/// How SQLite runs a query on this connection.
async fn sqlite_plan(conn: &mut Conn, query: &str) -> String {
    #[derive(QueryableByName)]
    struct Step {
        #[diesel(sql_type = Text)]
        detail: String,
    }
    let ConnMut::Sqlite(c) = conn.start(|| "it::database::sqlite_plan") else { panic!("this is not SQLite") };
    let step = diesel::sql_query(format!("EXPLAIN QUERY PLAN {query}")).get_result::<Step>(c).await;
    conn.finish(step.map_err(DbError::from)).unwrap().detail
}

/// On PostgreSQL, autovacuum does it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_clean_up_refreshes_the_statistics_of_sqlite() {
    run_test(Database::sqlite().await, async |app: TestApp| {
        let plan = async || {
            let mut conn = app.app.db.read(&StatementCounter::default()).await.unwrap();
            sqlite_plan(&mut conn, "SELECT * FROM things WHERE kind = 1").await
        };
        let table = "CREATE TABLE things (kind integer, name text); CREATE INDEX by_kind ON things (kind)";
        app.database().run(&format!("{table}; INSERT INTO things VALUES (1, 'first'); ANALYZE")).await;
        assert_eq!(plan().await, "SCAN things", "a single row needs no index");
        let insert = "INSERT INTO things
            WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n LIMIT 1000) SELECT i, 'next' FROM n";
        app.database().run(insert).await;
        app.app.services.clean_up.run(&app.app.system()).await.unwrap();
        assert_eq!(plan().await, "SEARCH things USING INDEX by_kind (kind=?)");
    })
    .await;
}
