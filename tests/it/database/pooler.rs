//! PgBouncer in transaction mode: nothing relies on the state of a session, and nothing is left in
//! one.

use std::time::Duration;

use futures_util::future::join_all;
use mercato::db::{PostgresServer, StatementCounter};

use super::{ENDLESS, run};
use crate::support::{Database, TestApp, order_input, pgbouncer, scratch};

/// Unsets `DATABASE_DIRECT_URL`.
const WITHOUT_DIRECT_URL: (&str, &str) = ("DATABASE_DIRECT_URL", "");

/// Fails if a client has left something in the session. PgBouncer itself may keep statements
/// prepared there, from version 1.21 on.
const FAIL_IF_CHANGED: &str = "DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_prepared_statements WHERE name NOT LIKE 'PGBOUNCER%') THEN
        RAISE EXCEPTION 'a statement is still prepared';
    END IF;
    IF current_setting('statement_timeout') <> '0' OR current_setting('plan_cache_mode') <> 'auto' THEN
        RAISE EXCEPTION 'a setting was made for the session';
    END IF;
END $$";

/// Creates a mug, sells one, and lists all of them.
async fn sell_mug(app: &TestApp, number: usize) {
    let variant = app.create_stocked(&format!("Mug {number}"), "1.00", 5).await;
    let cart = app.cart(&[(&variant, 1)]).await;
    app.anonymous().place(order_input(&cart, "1.00", "tok_ok")).await.assert_ok();
    app.anonymous().ask("{ products(first: 20) { nodes { title tags } } }").await.assert_ok();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shop_behind_a_pooler_serves_many_at_once_and_leaves_nothing_in_sessions() {
    let Some(server) = pgbouncer::server().await else { return };
    let database = Database::Postgres(server, server.create().await);
    let app = TestApp::with(database, &[WITHOUT_DIRECT_URL, ("DB_POOL_SIZE", "8")]).await;
    assert!(app.app.db.shares_sessions(), "the pooler is detected");

    join_all((0..12).map(|number| sell_mug(&app, number))).await;
    app.work().await;
    assert_eq!(app.count_orders().await, 12);

    let (pooler, mut clients) = (PostgresServer::parse(&app.database().shop_url()).unwrap(), Vec::new());
    for _ in 0..10 {
        let (client, transport) = pooler.connect().await.unwrap();
        tokio::spawn(async move { transport.await.ok() });
        // Each keeps its session to itself.
        client.batch_execute("BEGIN").await.unwrap();
        client.batch_execute(FAIL_IF_CHANGED).await.unwrap();
        clients.push(client);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn abandoned_statements_are_canceled_without_ending_the_pooler() {
    let Some(server) = pgbouncer::server().await else { return };
    let database = Database::Postgres(server, server.create().await);
    let app = TestApp::with(database, &[("STATEMENT_TIMEOUT_MS", "600000")]).await;
    for _ in 0..20 {
        let abandoned = (0..3).map(async |_| {
            let mut conn = app.app.db.read(&StatementCounter::default()).await.unwrap();
            assert!(tokio::time::timeout(Duration::ZERO, run(&mut conn, ENDLESS)).await.is_err());
        });
        join_all(abandoned).await;
        let name = app.anonymous().ask("{ shop { name } }").await.ok();
        assert_ne!(name["shop.name"], "");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_is_migrated_through_a_pooler() {
    let Some(server) = pgbouncer::server().await else { return };
    let name = format!("mercato_test_{}_{}_empty", std::process::id(), scratch::unique());
    server.run(&format!("CREATE DATABASE {name}")).await;
    let app = TestApp::with(Database::Postgres(server, name), &[WITHOUT_DIRECT_URL]).await;
    app.anonymous().ask("{ shop { name } }").await.assert_ok();
    assert_eq!(app.app.db.migrate().await.unwrap(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_are_announced_over_a_connection_without_the_pooler() {
    let Some(server) = pgbouncer::server().await else { return };
    let database = Database::Postgres(server, server.create().await);
    let app = TestApp::with(database, &[]).await;
    assert!(app.app.db.shares_sessions());
    assert_eq!(app.app.bus.name(), "postgres");
    drop(app);

    // Without such a connection, they are noticed a little later.
    let database = Database::Postgres(server, server.create().await);
    let app = TestApp::with(database, &[WITHOUT_DIRECT_URL]).await;
    assert_eq!(app.app.bus.name(), "local");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pooler_is_detected_whatever_the_number_of_its_idle_sessions() {
    let Some(server) = pgbouncer::server().await else { return };
    for idle in 1..=3 {
        let database = Database::Postgres(server, server.create().await);
        let (pooler, mut clients) = (PostgresServer::parse(&database.shop_url()).unwrap(), Vec::new());
        for _ in 0..idle {
            let (client, transport) = pooler.connect().await.unwrap();
            tokio::spawn(async move { transport.await.ok() });
            client.batch_execute("BEGIN").await.unwrap();
            clients.push(client);
        }
        for client in clients {
            client.batch_execute("COMMIT").await.unwrap();
        }
        let app = TestApp::with(database, &[WITHOUT_DIRECT_URL]).await;
        assert!(app.app.db.shares_sessions(), "{idle} idle sessions");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_without_a_pooler_is_not_mistaken_for_one() {
    let Some(database) = Database::postgres().await else { return };
    let url = database.url();
    let settings = [("DATABASE_URL", url.as_str()), ("DATABASE_POOLER", "detect")];
    let app = TestApp::with(database, &settings).await;
    assert!(!app.app.db.shares_sessions());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pooler_that_is_not_detected_can_be_set() {
    let Some(database) = Database::postgres().await else { return };
    let url = database.url();
    let settings = [("DATABASE_URL", url.as_str()), ("DATABASE_POOLER", "transaction"), WITHOUT_DIRECT_URL];
    let app = TestApp::with(database, &settings).await;
    assert!(app.app.db.shares_sessions());
    sell_mug(&app, 1).await;
    app.work().await;
}
