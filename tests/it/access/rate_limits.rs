//! How much a caller may ask for: by address, by customer and by API key, in one process and in several.

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

/// It costs two points.
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

/// Asks as a storefront does on its server, naming its buyer.
async fn ask_for(app: &TestApp, (header, buyer): (&str, &str)) -> Reply {
    let request = request("POST", "/api/2025-01/graphql.json").header("content-type", "application/json");
    let body = json!({ "query": SHOP }).to_string();
    Reply::new(app.send(request.header(header, buyer).body(body).unwrap()).await)
}

both!(buyers_of_a_storefront_that_names_them_are_told_apart);
async fn buyers_of_a_storefront_that_names_them_are_told_apart(database: Database) {
    let app = TestApp::with(database, &[PROXY, LIMIT]).await;
    for buyer in [("Shopify-Storefront-Buyer-IP", "192.0.2.7"), ("X-Shopify-Client-IP", "2001:db8::1")] {
        for _ in 0..3 {
            ask_for(&app, buyer).await.assert_ok();
        }
        assert_throttled(&ask_for(&app, buyer).await, 6);
    }
    ask_for(&app, ("X-Shopify-Client-IP", "192.0.2.8")).await.assert_ok();
}

both!(whom_nobody_trusts_names_no_buyer);
async fn whom_nobody_trusts_names_no_buyer(database: Database) {
    let app = TestApp::with(database, &[LIMIT]).await;
    for buyer in ["192.0.2.7", "192.0.2.8", "192.0.2.9"] {
        ask_for(&app, ("X-Shopify-Client-IP", buyer)).await.assert_ok();
    }
    assert_throttled(&ask_for(&app, ("X-Shopify-Client-IP", "192.0.2.10")).await, 6);
}

both!(an_address_that_asks_for_too_much_waits);
async fn an_address_that_asks_for_too_much_waits(database: Database) {
    let app = TestApp::with(database, &[PROXY, LIMIT]).await;
    for _ in 0..3 {
        ask_from(&app, "192.0.2.7").await.assert_ok();
    }
    let refused = ask_from(&app, "192.0.2.7").await;
    assert_throttled(&refused, 6);
    for named in ["costs 2 points", "0 of 6", "2 come back per second", "API key"] {
        assert!(refused.message().contains(named), "{named} in {}", refused.message());
    }
    ask_from(&app, "192.0.2.8").await.assert_ok();
    app.clock.advance(Duration::from_secs(1));
    ask_from(&app, "192.0.2.7").await.assert_ok();
    assert_throttled(&ask_from(&app, "192.0.2.7").await, 6);

    // By GET as well, and for whoever sends tokens that are none.
    let get = request("GET", "/graphql?query=%7Bshop%7Bname%7D%7D").header("x-forwarded-for", "192.0.2.7");
    assert_throttled(&Reply::new(app.send(get.body("").unwrap()).await), 6);
    let guess = app.signed_in("mk_guess");
    // A wrong token costs a point beside what is asked for.
    for _ in 0..2 {
        guess.ask_from("192.0.2.9", SHOP, json!({})).await.assert_ok();
    }
    assert_throttled(&guess.ask_from("192.0.2.9", SHOP, json!({})).await, 6);
}

both!(what_a_request_did_not_cost_is_given_back);
async fn what_a_request_did_not_cost_is_given_back(database: Database) {
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
        "as much as a bucket holds needs a full one"
    );
    assert_eq!(cost(&large)["actualQueryCost"], json!(null));
    app.clock.advance(Duration::from_secs(100));
    app.anonymous().ask("{ products(first: 200) { nodes { title } } }").await.assert_ok();
}

both!(an_ipv6_host_is_its_network);
async fn an_ipv6_host_is_its_network(database: Database) {
    let app = TestApp::with(database, &[PROXY, LIMIT]).await;
    for host in ["2001:db8:1:2::1", "2001:db8:1:2::2", "2001:db8:1:2:ffff::1"] {
        ask_from(&app, host).await.assert_ok();
    }
    assert_throttled(&ask_from(&app, "2001:db8:1:2::3").await, 6);
    ask_from(&app, "2001:db8:1:3::1").await.assert_ok();
}

both!(nobody_but_a_trusted_proxy_says_where_a_request_comes_from);
async fn nobody_but_a_trusted_proxy_says_where_a_request_comes_from(database: Database) {
    let app = TestApp::with(database, &[LIMIT]).await;
    for last in 1..=3 {
        ask_from(&app, &format!("192.0.2.{last}")).await.assert_ok();
    }
    assert_throttled(&ask_from(&app, "192.0.2.4").await, 6);
}

both!(each_kind_of_caller_has_a_limit_of_its_own);
async fn each_kind_of_caller_has_a_limit_of_its_own(database: Database) {
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
    assert!(app.anonymous().ask(SHOP).await.status() == 429, "signing in is no way around it");
}

both!(a_socket_is_limited_as_requests_are);
async fn a_socket_is_limited_as_requests_are(database: Database) {
    let app = TestApp::with(database, &[LIMIT]).await;
    let mut socket = Socket::of(&app.anonymous()).await;
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

both!(wrong_tokens_of_sockets_are_counted);
async fn wrong_tokens_of_sockets_are_counted(database: Database) {
    let app = TestApp::with(database, &[("RATE_LIMIT_ANONYMOUS", "2/1")]).await;
    let init = json!({ "type": "connection_init", "payload": { "Authorization": "Bearer mk_guess" } });
    for _ in 0..2 {
        let mut socket = Socket::open(app.address, "graphql-transport-ws").await;
        socket.say(&init).await;
        let told = socket.hear().await;
        assert_eq!(told["type"], "connection_ack");
        assert_eq!(told["payload"]["authorization"]["status"], "INVALID", "{told:#}");
    }
    let mut socket = Socket::open(app.address, "graphql-transport-ws").await;
    socket.say(&init).await;
    assert_eq!(socket.closed().await.code, 1013);
}

/// Another process of a shop.
async fn another(app: &TestApp, settings: &[(&str, &str)]) -> SocketAddr {
    let url = app.database().url();
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

both!(processes_count_new_carts_together);
async fn processes_count_new_carts_together(database: Database) {
    let Some(redis) = RedisServer::start().await else { return };
    let url = redis.url();
    let settings = [("RATE_LIMIT_URL", url.as_str()), ("GUEST_CARTS_PER_HOUR", "4")];
    let app = TestApp::with(database, &settings).await;
    let one = app.anonymous();
    let other = Client { server: another(&app, &settings).await, ..one.clone() };
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
    // One comes back in each quarter of an hour, for all of them together.
    app.clock.advance(Duration::from_secs(15 * 60));
    assert!(other.ask(create).await.ok()["cartCreate.cart.id"].is_string());
    assert_eq!(one.ask(create).await.user_errors("cartCreate")[0].code, "TOO_MANY");
}

both!(processes_share_limits_in_redis_and_go_on_without_it);
async fn processes_share_limits_in_redis_and_go_on_without_it(database: Database) {
    let Some(redis) = RedisServer::start().await else { return };
    let url = redis.url();
    let settings = [("RATE_LIMIT_URL", url.as_str()), LIMIT];
    let app = TestApp::with(database, &settings).await;
    let one = app.anonymous();
    let other = Client { server: another(&app, &settings).await, ..one.clone() };
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
