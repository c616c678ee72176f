//! What the server exposes in production, and the URLs, headers and CORS rules of its responses.

use std::sync::Arc;

use hyper::Request;
use mercato::app::Role;
use serde_json::json;
use tokio::net::TcpListener;

use crate::support::live::Socket;
use crate::support::{Database, HttpResponse, Reply, TestApp, both, request, send};

const PUBLIC_URL: &str = "https://api.shop.example";
const PRODUCTION: [(&str, &str); 2] = [("MERCATO_ENV", "production"), ("PUBLIC_URL", PUBLIC_URL)];
const SCHEMA: &str = "{ __schema { queryType { name } } }";

async fn production(settings: &[(&str, &str)]) -> TestApp {
    TestApp::with(Database::sqlite().await.unwrap(), &[settings, &PRODUCTION].concat()).await
}

fn get(path: &str) -> Request<String> {
    request("GET", path).body(String::new()).unwrap()
}

/// Posts a document with some headers.
async fn post(app: &TestApp, document: &str, headers: &[(&str, &str)]) -> HttpResponse {
    let mut request = request("POST", "/graphql").header("content-type", "application/json");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    app.send(request.body(json!({ "query": document }).to_string()).unwrap()).await
}

#[tokio::test]
async fn graphiql_and_metrics_are_not_served_with_the_shop_in_production() {
    let app = production(&[]).await;
    for path in ["/", "/graphiql", "/graphiql/", "/metrics"] {
        assert_eq!(app.send(get(path)).await.status, 404, "{path}");
    }
    assert_eq!(app.send(get("/health")).await.status, 200);
    app.anonymous().ask("{ __typename shop { name } }").await.assert_ok();

    let app = production(&[("GRAPHIQL", "on")]).await;
    let page = app.send(get("/graphiql")).await;
    assert_eq!(page.status, 200);
    let html = String::from_utf8_lossy(&page.body);
    let script = html.split('"').find(|part| part.contains("/graphiql/assets/") && part.ends_with(".js"));
    if let Some(script) = script {
        assert_eq!(app.send(get(script)).await.status, 200, "{script}");
    }
}

#[tokio::test]
async fn metrics_and_health_are_served_at_a_separate_address() {
    let app = production(&[]).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = tokio::spawn(mercato::http::serve_monitoring(Arc::clone(&app.app), listener, Role::Server));
    let response = send(address, get("/metrics")).await;
    assert!(String::from_utf8_lossy(&response.body).contains("mercato_events_waiting"), "{response:?}");
    for path in ["/livez", "/readyz", "/health"] {
        assert_eq!(send(address, get(path)).await.status, 200, "{path}");
    }
    for path in ["/graphql", "/"] {
        assert_eq!(send(address, get(path)).await.status, 404, "{path}");
    }
    serving.abort();
}

#[tokio::test]
async fn introspection_is_for_staff_in_production() {
    let app = production(&[]).await;
    let by_get = app.send(get("/graphql?query=%7B__schema%7BqueryType%7Bname%7D%7D%7D")).await;
    for reply in [app.anonymous().ask(SCHEMA).await, app.customer().ask(SCHEMA).await, Reply::new(by_get)] {
        assert_eq!((reply.status(), reply.code()), (403, "FORBIDDEN"), "{:#}", reply.body());
        assert!(reply.message().contains("INTROSPECTION=staff"), "{}", reply.message());
        assert!(reply.data().is_null());
    }
    let hidden = "query { ...Rest } fragment Rest on QueryRoot { __type(name: \"Order\") { name } }";
    assert_eq!(app.anonymous().ask(hidden).await.code(), "FORBIDDEN");
    let mut socket = Socket::connect(&app.anonymous()).await;
    socket.send(&json!({ "id": "1", "type": "subscribe", "payload": { "query": SCHEMA } })).await;
    let message = socket.receive().await;
    assert_eq!(message["type"], "error", "{message}");
    assert_eq!(message["payload"][0]["extensions"]["code"], "FORBIDDEN", "{message}");
    let staff = app.staff(&[]).ask(SCHEMA).await.ok();
    assert_eq!(staff["__schema.queryType.name"], "QueryRoot");

    let app = production(&[("INTROSPECTION", "off")]).await;
    assert_eq!(app.admin().ask(SCHEMA).await.code(), "FORBIDDEN");
    let app = production(&[("INTROSPECTION", "public")]).await;
    app.anonymous().ask(SCHEMA).await.assert_ok();
    TestApp::sqlite().await.anonymous().ask(SCHEMA).await.assert_ok();
}

const CHECKOUT_URL: &str = "mutation {
    cartCreate(input: {}) { cart { checkoutUrl } }
}";
const SHOP: &str = "{
    shop { primaryDomain { host sslEnabled url } }
    products(first: 1) { nodes { featuredImage { url } } }
}";

both!(urls_start_with_the_public_url_regardless_of_request_headers);
async fn urls_start_with_the_public_url_regardless_of_request_headers(database: Database) {
    let app = TestApp::with(database, &PRODUCTION).await;
    app.seed_demo().await;
    let forged = [
        ("host", "evil.example"),
        ("x-forwarded-host", "evil.example"),
        ("x-forwarded-proto", "http"),
        ("forwarded", "host=evil.example;proto=http"),
    ];
    let response = post(&app, SHOP, &forged).await.json();
    let domain = json!({ "host": "api.shop.example", "sslEnabled": true, "url": format!("{PUBLIC_URL}/") });
    assert_eq!(response["data"]["shop"]["primaryDomain"], domain);
    let image = response["data"]["products"]["nodes"][0]["featuredImage"]["url"].as_str().unwrap();
    assert!(image.starts_with(&format!("{PUBLIC_URL}/")), "{image}");
    let cart = post(&app, CHECKOUT_URL, &forged).await.json();
    let checkout = cart["data"]["cartCreate"]["cart"]["checkoutUrl"].as_str().unwrap().to_owned();
    assert!(checkout.starts_with(&format!("{PUBLIC_URL}/checkout/")), "{checkout}");
}

#[tokio::test]
async fn forwarded_hosts_are_accepted_only_from_trusted_proxies() {
    let domain = |response: HttpResponse| response.json()["data"]["shop"]["primaryDomain"]["url"].clone();
    let headers = [("host", "shop.test"), ("x-forwarded-host", "front.test"), ("x-forwarded-proto", "https")];
    let app = TestApp::sqlite().await;
    assert_eq!(domain(post(&app, SHOP, &headers).await), "http://shop.test/");
    let database = Database::sqlite().await.unwrap();
    let app = TestApp::with(database, &[("TRUSTED_PROXIES", "127.0.0.0/8")]).await;
    assert_eq!(domain(post(&app, SHOP, &headers).await), "https://front.test/");
    assert_eq!(domain(post(&app, SHOP, &headers[..1]).await), "http://shop.test/");
    let invalid = [("host", "shop.test"), ("x-forwarded-host", "a/b\"")];
    assert_eq!(domain(post(&app, SHOP, &invalid).await), "http://localhost/");
}

#[tokio::test]
async fn every_response_has_security_headers() {
    let app = production(&[("GRAPHIQL", "on")]).await;
    let responses = [
        ("a query", post(&app, SHOP, &[]).await),
        ("with a token", post(&app, SHOP, &[("authorization", "Bearer nonsense")]).await),
        ("by GET", app.send(get("/graphql?query=%7B__typename%7D")).await),
        ("health", app.send(get("/health")).await),
        ("an unknown path", app.send(get("/nothing")).await),
        ("the wrong method", app.send(request("DELETE", "/health").body(String::new()).unwrap()).await),
        ("an unknown image", app.send(get("/media/none/none.webp")).await),
        ("an image", app.send(get("/demo/linen-notebook.svg")).await),
        ("GraphiQL", app.send(get("/graphiql")).await),
    ];
    for (what, response) in &responses {
        assert_eq!(response.header("x-content-type-options"), "nosniff", "{what}");
        assert_eq!(response.header("referrer-policy"), "no-referrer", "{what}");
        assert_eq!(response.header("x-frame-options"), "DENY", "{what}");
        assert_eq!(response.header("strict-transport-security"), "max-age=31536000", "{what}");
        assert!(response.header("content-security-policy").contains("default-src 'none'"), "{what}");
        let is_public = ["an image", "GraphiQL"].contains(what) && response.status == 200;
        if is_public {
            assert_ne!(response.header("cache-control"), "no-store", "{what}");
        } else {
            assert_eq!(response.header("cache-control"), "no-store", "{what}");
            assert_eq!(response.header("vary"), "Authorization, Accept-Encoding, Origin", "{what}");
        }
    }
    let app = TestApp::sqlite().await;
    assert_eq!(post(&app, SHOP, &[]).await.header("strict-transport-security"), "", "without TLS");
}

/// The CORS preflight request of a browser, for a page of another origin.
fn preflight(origin: &str) -> Request<String> {
    let request = request("OPTIONS", "/graphql").header("origin", origin);
    request.header("access-control-request-method", "POST").body(String::new()).unwrap()
}

#[tokio::test]
async fn other_origins_must_be_allowed_in_production() {
    let app = production(&[]).await;
    let allowed = async |app: &TestApp, origin: &str| {
        let allow_origin = app.send(preflight(origin)).await.header("access-control-allow-origin").to_owned();
        let response = post(app, SHOP, &[("origin", origin)]).await;
        assert_eq!(response.header("access-control-allow-origin"), allow_origin);
        assert_eq!(response.status.is_success(), !allow_origin.is_empty());
        allow_origin
    };
    assert_eq!(allowed(&app, "https://shop.example").await, "");
    assert_eq!(allowed(&app, "null").await, "");
    assert_eq!(allowed(&app, PUBLIC_URL).await, PUBLIC_URL, "its own origin, for pages such as GraphiQL");
    let app = production(&[("CORS_ORIGINS", "https://shop.example")]).await;
    assert_eq!(allowed(&app, "https://shop.example").await, "https://shop.example");
    assert_eq!(allowed(&app, "https://evil.example").await, "");
    let app = production(&[("CORS_ORIGINS", "*")]).await;
    assert_eq!(allowed(&app, "https://evil.example").await, "https://evil.example");
}

#[tokio::test]
async fn names_of_operations_are_truncated_in_the_log() {
    let app = TestApp::sqlite().await;
    let reply = app.anonymous().ask(&format!("query {} {{ __typename }}", "a".repeat(60_000))).await.ok();
    let logged = reply.logged("graphql.operation.name");
    assert!(logged.chars().count() <= 101 && logged.ends_with('…'), "{}", logged.len());
}
