//! Reads from a replica: which ones, how old they may be, and what happens without it.

use std::time::{Duration, Instant};

use mercato::db::ReplicaStatus;
use serde_json::json;

use super::TIMEOUT;
use crate::support::postgres_replica::ReplicatedServer;
use crate::support::{TestApp, request};

const LIST: &str = "{ products(first: 1) { nodes { id } } }";
const PRODUCTS: &str = "query($title: String) { products(first: 1, query: $title) { nodes { title } } }";
const CREATE_CART: &str = "mutation($lines: [CartLineInput!]) {
    cartCreate(input: { lines: $lines }) { cart { id } userErrors { code message } }
}";
const CART: &str = "query($id: ID!) { cart(id: $id) {
    totalQuantity
    lines(first: 5) { nodes { merchandise { ... on ProductVariant { product { title } } } } }
} }";

fn status(app: &TestApp) -> ReplicaStatus {
    app.app.db.replica_status().expect("there is a replica")
}

/// Waits for what happens in the background.
async fn wait_until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let started = Instant::now();
    while !holds().await {
        assert!(started.elapsed() < 3 * TIMEOUT, "{what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The value of a metric.
async fn metric(app: &TestApp, name: &str) -> i64 {
    let response = app.send(request("GET", "/metrics").body(String::new()).unwrap()).await;
    let text = String::from_utf8(response.body.to_vec()).unwrap();
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.expect(&text).parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_buyer_always_sees_their_own_cart_while_anonymous_reads_go_to_a_replica_that_lags() {
    let Some(server) = ReplicatedServer::start("delayed", &["recovery_min_apply_delay=1s"]).await else {
        return;
    };
    let database = server.database().await;
    let url = server.replica_url(&database);
    let settings = [("DATABASE_READ_URL", url.as_str()), ("DATABASE_READ_MAX_LAG_MS", "5000")];
    let app = TestApp::with(database, &settings).await;
    wait_until("the replica is used", async || status(&app).is_used).await;

    // Queries of the catalog go to the replica, and are counted; those of staff don't.
    wait_until("buyers read from the replica", async || {
        let reads = status(&app).reads;
        app.anonymous().ask(LIST).await.assert_ok();
        app.customer().ask(LIST).await.assert_ok();
        status(&app).reads >= reads + 2
    })
    .await;
    let reads = status(&app).reads;
    app.admin().ask(LIST).await.assert_ok();
    assert_eq!(status(&app).reads, reads, "staff read from the primary");

    for quantity in 1..=3 {
        let title = format!("Mug{quantity}");
        let variant = app.create_stocked(&title, "1.00", 10).await;
        let lines = json!([{ "merchandiseId": variant, "quantity": quantity }]);
        let created = app.anonymous().ask_with(CREATE_CART, json!({ "lines": lines })).await.ok();
        let reads = status(&app).reads;
        let cart = app.anonymous().ask_with(CART, json!({ "id": created["cartCreate.cart.id"] })).await.ok();
        assert_eq!(cart["cart.totalQuantity"], quantity);
        assert_eq!(cart["cart.lines.nodes.0.merchandise.product.title"], title.as_str());
        // Who has just written reads nothing older than that.
        let found = app.anonymous().ask_with(PRODUCTS, json!({ "title": title })).await.ok();
        assert_eq!(found["products.nodes.0.title"], title.as_str());
        assert_eq!(status(&app).reads, reads);
    }

    // Others read what the replica has, which is everything in the end.
    let reads = status(&app).reads;
    wait_until("the replica has the mug", async || {
        let found = app.customer().ask_with(PRODUCTS, json!({ "title": "Mug3" })).await.ok();
        found["products.nodes"][0]["title"] == "Mug3"
    })
    .await;
    assert!(status(&app).reads > reads);
    wait_until("the writes of the anonymous buyer are old", async || {
        let reads = status(&app).reads;
        app.anonymous().ask(LIST).await.assert_ok();
        status(&app).reads > reads
    })
    .await;
    assert!(metric(&app, "mercato_replica_reads_total").await > 0);
    assert_eq!(metric(&app, "mercato_replica_used").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_lags_too_far_or_is_down_is_not_used() {
    let Some(server) = ReplicatedServer::start("stopped", &[]).await else { return };
    let database = server.database().await;
    let url = server.replica_url(&database);
    let settings = [("DATABASE_READ_URL", url.as_str()), ("DATABASE_READ_MAX_LAG_MS", "2000")];
    let app = TestApp::with(database, &settings).await;
    let report = async || {
        let response = app.send(request("GET", "/health").body(String::new()).unwrap()).await;
        assert_eq!(response.status, 200);
        response.json()["database"]["replica"]["status"].as_str().unwrap().to_owned()
    };
    wait_until("the replica is used", async || report().await == "ok").await;

    server.run_on_replica("SELECT pg_wal_replay_pause()").await;
    wait_until("the replica lags too far", async || {
        // Without writes, there is nothing that it lacks.
        app.database().run("UPDATE shops SET name = name").await;
        !status(&app).is_used
    })
    .await;
    app.create_product(json!({ "title": "Mug" })).await;
    let before = status(&app);
    let found = app.anonymous().ask_with(PRODUCTS, json!({ "title": "Mug" })).await.ok();
    assert_eq!(found["products.nodes.0.title"], "Mug", "the primary answers");
    let after = status(&app);
    assert!(after.fallbacks > before.fallbacks && after.reads == before.reads, "{before:?}, {after:?}");
    assert_eq!(report().await, "unavailable");

    server.run_on_replica("SELECT pg_wal_replay_resume()").await;
    wait_until("the replica is used again", async || status(&app).is_used).await;
    server.kill_replica();
    wait_until("the replica is missed", async || !status(&app).is_used).await;
    app.anonymous().ask(LIST).await.assert_ok();
    let ready = app.send(request("GET", "/readyz").body(String::new()).unwrap()).await;
    assert_eq!(ready.status, 200);
}
