//! Rate limits by address, customer and API key, for one process and shared by several.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use mercato::app::{App, Dependencies};
use mercato::config::{Config, Overrides};
use mercato::domain::access::permissions::Permission::ReadProducts;
use serde_json::json;
use tokio::net::TcpListener;

use crate::support::live::Socket;
use crate::support::redis::RedisServer;
use crate::support::{Client, Database, Reply, TestApp, both, request};

/// A query that costs two points.
const SHOP: &str = "{ shop { name } }";
const UPDATES: &str = "subscription { productUpdated(id: \"gid://mercato/Product/01890a5d-ac96-774b-bcce-b302099a8057\") { product { id } } }";
const PROXY: (&str, &str) = ("TRUSTED_PROXIES", "127.0.0.1");
const LIMIT: (&str, &str) = ("RATE_LIMIT_ANONYMOUS", "6/2");

async fn ask_from(app: &TestApp, address: &str) -> Reply {
    app.anonymous().ask_from(address, SHOP, json!({})).await
}

#[track_caller]
fn assert_throttled(reply: &Reply, maximum: u64) {
    assert_eq!((reply.status(), reply.code()), (429, "THROTTLED"), "{:#}", reply.body());
    assert_eq!(reply.header("retry-after"), "1");
    let status = &reply.body()["extensions"]["cost"]["throttleStatus"];
    let expected = json!({ "maximumAvailable": maximum, "currentlyAvailable": 0, "restoreRate": 2 });
    assert_eq!(*status, expected, "{:#}", reply.body());
}

/// Sends a query as a storefront's server does, with its buyer's address in a header.
async fn ask_for(app: &TestApp, (header, buyer): (&str, &str)) -> Reply {
    let request = request("POST", "/api/2025-01/graphql.json").header("content-type", "application/json");
    let body = json!({ "query": SHOP }).to_string();
    Reply::new(app.send(request.header(header, buyer).body(body).unwrap()).await)
}

both!(buyers_have_separate_limits_if_their_storefront_sends_their_addresses);
async fn buyers_have_separate_limits_if_their_storefront_sends_their_addresses(database: Database) {
    let app = TestApp::with(database, &[PROXY, LIMIT]).await;
    for buyer in [("Shopify-Storefront-Buyer-IP", "192.0.2.7"), ("X-Shopify-Client-IP", "2001:db8::1")] {
        for _ in 0..3 {
            ask_for(&app, buyer).await.assert_ok();
        }
        assert_throttled(&ask_for(&app, buyer).await, 6);
    }
    ask_for(&app, ("X-Shopify-Client-IP", "192.0.2.8")).await.assert_ok();
}

both!(buyer_addresses_from_untrusted_clients_are_ignored);
async fn buyer_addresses_from_untrusted_clients_are_ignored(database: Database) {
    let app = TestApp::with(database, &[LIMIT]).await;
    for buyer in ["192.0.2.7", "192.0.2.8", "192.0.2.9"] {
        ask_for(&app, ("X-Shopify-Client-IP", buyer)).await.assert_ok();
    }
    assert_throttled(&ask_for(&app, ("X-Shopify-Client-IP", "192.0.2.10")).await, 6);
}

both!(an_address_over_its_limit_is_throttled);
async fn an_address_over_its_limit_is_throttled(database: Database) {
    let app = TestApp::with(database, &[PROXY, LIMIT]).await;
    for _ in 0..3 {
        ask_from(&app, "192.0.2.7").await.assert_ok();
    }
    let refused = ask_from(&app, "192.0.2.7").await;
    assert_throttled(&refused, 6);
    for part in ["costs 2 points", "0 of 6", "2 are restored per second", "API key"] {
        assert!(refused.message().contains(part), "{part} in {}", refused.message());
    }
    ask_from(&app, "192.0.2.8").await.assert_ok();
    app.clock.advance(Duration::from_secs(1));
    ask_from(&app, "192.0.2.7").await.assert_ok();
    assert_throttled(&ask_from(&app, "192.0.2.7").await, 6);

    // The limit also applies to GET requests, and to requests with invalid tokens.
    let get = request("GET", "/graphql?query=%7Bshop%7Bname%7D%7D").header("x-forwarded-for", "192.0.2.7");
    assert_throttled(&Reply::new(app.send(get.body("").unwrap()).await), 6);
    let guess = app.signed_in("mk_guess");
    // An invalid token costs a point in addition to the query.
    for _ in 0..2 {
        guess.ask_from("192.0.2.9", SHOP, json!({})).await.assert_ok();
    }
    assert_throttled(&guess.ask_from("192.0.2.9", SHOP, json!({})).await, 6);
}

both!(the_unused_part_of_a_requests_cost_is_refunded);
async fn the_unused_part_of_a_requests_cost_is_refunded(database: Database) {
    let app = TestApp::with(database, &[("RATE_LIMIT_ANONYMOUS", "100/1")]).await;
    let cost = |reply: &Reply| reply.body()["extensions"]["cost"].clone();
    let none = app.anonymous().ask("{ products(first: 10) { nodes { title } } }").await.ok();
    let (requested, actual) =
        (cost(&none)["requestedQueryCost"].as_u64(), cost(&none)["actualQueryCost"].as_u64());
    assert!(requested > Some(10) && actual < Some(10), "{:#}", none.body());
    let left = 100 - actual.unwrap();
    let expected = json!({ "maximumAvailable": 100, "currentlyAvailable": left, "restoreRate": 1 });
    assert_eq!(cost(&none)["throttleStatus"], expected);
    let large = app.anonymous().ask("{ products(first: 200) { nodes { title } } }").await;
    assert_eq!(
        (large.status(), large.code()),
        (429, "THROTTLED"),
        "a query that costs as much as the bucket holds needs a full bucket"
    );
    assert_eq!(cost(&large)["actualQueryCost"], json!(null));
    app.clock.advance(Duration::from_secs(100));
    app.anonymous().ask("{ products(first: 200) { nodes { title } } }").await.assert_ok();
}

both!(ipv6_addresses_of_a_network_share_a_limit);
async fn ipv6_addresses_of_a_network_share_a_limit(database: Database) {
    let app = TestApp::with(database, &[PROXY, LIMIT]).await;
    for host in ["2001:db8:1:2::1", "2001:db8:1:2::2", "2001:db8:1:2:ffff::1"] {
        ask_from(&app, host).await.assert_ok();
    }
    assert_throttled(&ask_from(&app, "2001:db8:1:2::3").await, 6);
    ask_from(&app, "2001:db8:1:3::1").await.assert_ok();
}

both!(forwarded_addresses_from_untrusted_clients_are_ignored);
async fn forwarded_addresses_from_untrusted_clients_are_ignored(database: Database) {
    let app = TestApp::with(database, &[LIMIT]).await;
    for last in 1..=3 {
        ask_from(&app, &format!("192.0.2.{last}")).await.assert_ok();
    }
    assert_throttled(&ask_from(&app, "192.0.2.4").await, 6);
}

both!(each_kind_of_caller_has_its_own_limit);
async fn each_kind_of_caller_has_its_own_limit(database: Database) {
    let limits = [LIMIT, ("RATE_LIMIT_CUSTOMER", "4/2"), ("RATE_LIMIT_API_KEY", "8/2")];
    let app = TestApp::with(database, &limits).await;
    let other = app.new_customer("eve@example.com").await;
    for (client, maximum) in [
        (app.anonymous(), 6),
        (app.customer(), 4),
        (other, 4),
        (app.staff(&[ReadProducts]), 8),
        (app.admin(), 8),
    ] {
        for _ in 0..maximum / 2 {
            client.ask(SHOP).await.assert_ok();
        }
        assert_throttled(&client.ask(SHOP).await, maximum);
    }
    assert!(app.anonymous().ask(SHOP).await.status() == 429, "signing in does not reset the anonymous limit");
}

both!(operations_on_a_socket_are_rate_limited);
async fn operations_on_a_socket_are_rate_limited(database: Database) {
    let app = TestApp::with(database, &[LIMIT]).await;
    let mut socket = Socket::connect(&app.anonymous()).await;
    for id in ["1", "2", "3"] {
        socket.subscribe(id, SHOP, json!({})).await;
        assert_eq!(socket.next().await.unwrap()["type"], "next");
        assert_eq!(socket.next().await.unwrap()["type"], "complete");
    }
    socket.subscribe("4", SHOP, json!({})).await;
    let refused = socket.next().await.unwrap();
    assert_eq!(refused["payload"]["errors"][0]["extensions"]["code"], "THROTTLED", "{refused:#}");
    assert_eq!(socket.next().await.unwrap()["type"], "complete");
    socket.subscribe("5", UPDATES, json!({})).await;
    let refused = socket.next().await.unwrap();
    assert_eq!(refused["type"], "error", "{refused:#}");
}

both!(invalid_tokens_on_sockets_count_towards_the_limit);
async fn invalid_tokens_on_sockets_count_towards_the_limit(database: Database) {
    let app = TestApp::with(database, &[("RATE_LIMIT_ANONYMOUS", "2/1")]).await;
    let init = json!({ "type": "connection_init", "payload": { "Authorization": "Bearer mk_guess" } });
    for _ in 0..2 {
        let mut socket = Socket::open(app.address, "graphql-transport-ws").await;
        socket.send(&init).await;
        let ack = socket.receive().await;
        assert_eq!(ack["type"], "connection_ack");
        assert_eq!(ack["payload"]["authorization"]["status"], "INVALID", "{ack:#}");
    }
    let mut socket = Socket::open(app.address, "graphql-transport-ws").await;
    socket.send(&init).await;
    assert_eq!(socket.closed().await.code, 1013);
}

/// Starts another process on the same database.
async fn start_process(app: &TestApp, settings: &[(&str, &str)]) -> SocketAddr {
    let url = app.database().shop_url();
    let own = [("DATABASE_URL", url.as_str()), ("JWT_SECRET", "a secret of tests that is long enough")];
    let get = |name: &str| {
        settings.iter().chain(&own).find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
    };
    let config = Config::read(get, &Overrides::default()).unwrap();
    let app = App::with(config, Dependencies { clock: Arc::clone(&app.clock) as _ }).await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(mercato::http::serve(Arc::new(app), listener, std::future::pending()));
    address
}

both!(processes_share_the_limit_on_new_carts);
async fn processes_share_the_limit_on_new_carts(database: Database) {
    let Some(redis) = RedisServer::start().await else { return };
    let url = redis.url();
    let settings = [("RATE_LIMIT_URL", url.as_str()), ("GUEST_CARTS_PER_HOUR", "4")];
    let app = TestApp::with(database, &settings).await;
    let one = app.anonymous();
    let other = Client { server: start_process(&app, &settings).await, ..one.clone() };
    let create = "mutation { cartCreate { cart { id } userErrors { code message } } }";
    for client in [&one, &other, &one, &other] {
        assert!(client.ask(create).await.ok()["cartCreate.cart.id"].is_string());
    }
    for client in [&one, &other] {
        let refused = client.ask(create).await.user_errors("cartCreate").remove(0);
        assert_eq!(refused.code, "TOO_MANY");
        assert!(
            refused.message.contains("Up to 4 carts") && refused.message.contains("in 15 min"),
            "{refused:?}"
        );
    }
    // The shared limit allows one more cart every 15 minutes.
    app.clock.advance(Duration::from_mins(15));
    assert!(other.ask(create).await.ok()["cartCreate.cart.id"].is_string());
    assert_eq!(one.ask(create).await.user_errors("cartCreate")[0].code, "TOO_MANY");
}

both!(processes_share_rate_limits_in_redis_and_keep_working_without_it);
async fn processes_share_rate_limits_in_redis_and_keep_working_without_it(database: Database) {
    let Some(redis) = RedisServer::start().await else { return };
    let url = redis.url();
    let settings = [("RATE_LIMIT_URL", url.as_str()), LIMIT];
    let app = TestApp::with(database, &settings).await;
    let one = app.anonymous();
    let other = Client { server: start_process(&app, &settings).await, ..one.clone() };
    for client in [&one, &other, &one] {
        client.ask(SHOP).await.assert_ok();
    }
    assert_throttled(&other.ask(SHOP).await, 6);
    assert_throttled(&one.ask(SHOP).await, 6);
    app.clock.advance(Duration::from_secs(2));
    other.ask(SHOP).await.assert_ok();
    one.ask(SHOP).await.assert_ok();
    assert_throttled(&one.ask(SHOP).await, 6);

    redis.stop();
    for client in [&one, &other] {
        for _ in 0..3 {
            client.ask(SHOP).await.assert_ok();
        }
        assert_throttled(&client.ask(SHOP).await, 6);
    }
}
