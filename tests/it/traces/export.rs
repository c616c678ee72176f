//! The export of traces, to a collector that understands OTLP.

use serde_json::{Value, json};

use super::process::Process;
use crate::support::{Client, Database, Receiver, both, request, send};

/// The trace of the storefront that places the order, and its span.
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const STOREFRONT: &str = "00f067aa0ba902b7";

/// The kinds of spans.
const SERVER: i64 = 2;
const CLIENT: i64 = 3;
const PRODUCER: i64 = 4;
const CONSUMER: i64 = 5;

/// The spans that a collector has received.
struct Spans(Vec<Value>);

impl Spans {
    fn received(collector: &Receiver) -> Self {
        let list = |of: &Value, name: &str| of[name].as_array().unwrap().clone();
        let requests = collector.received().into_iter().filter(|request| request.path == "/v1/traces");
        let resources = requests.flat_map(|request| list(&request.json(), "resourceSpans"));
        let scopes = resources.flat_map(|resource| list(&resource, "scopeSpans"));
        Self(scopes.flat_map(|scope| list(&scope, "spans")).collect())
    }

    fn find(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|span| span["name"] == name)
    }

    fn named(&self, name: &str) -> &Value {
        let names = || self.0.iter().map(|span| span["name"].to_string()).collect::<Vec<_>>().join(", ");
        self.find(name).unwrap_or_else(|| panic!("there is no span {name}, only {}", names()))
    }

    /// The child of a span with a name.
    fn child(&self, parent: &Value, name: &str) -> &Value {
        let mut children = self.0.iter().filter(|span| span["parentSpanId"] == parent["spanId"]);
        children.find(|span| span["name"] == name).unwrap_or_else(|| panic!("{parent} has no child {name}"))
    }

    fn parent(&self, child: &Value) -> &Value {
        let parent = self.0.iter().find(|span| span["spanId"] == child["parentSpanId"]);
        parent.unwrap_or_else(|| panic!("{child} has no parent"))
    }
}

/// The value of an attribute, as text.
fn attribute<'a>(span: &'a Value, name: &str) -> &'a str {
    let attribute = span["attributes"].as_array().unwrap().iter().find(|one| one["key"] == name);
    let value = &attribute.unwrap_or_else(|| panic!("{span} has no attribute {name}"))["value"];
    value["stringValue"].as_str().or(value["intValue"].as_str()).unwrap()
}

/// Creates a product with stock and a cart with one unit of it. Returns the cart.
async fn create_cart(admin: &Client) -> String {
    let product = "mutation { productCreate(product: { title: \"Cup\", status: ACTIVE, price: \"5\" }) {
        product { id variants(first: 1) { nodes { id } } } userErrors { message }
    } }";
    let product = admin.ask(product).await.ok();
    let variant = &product["productCreate.product.variants.nodes.0.id"];
    let update = "mutation($product: ID!, $variant: ID!) {
        productVariantsBulkUpdate(productId: $product, variants: [{
            id: $variant, requiresShipping: false, isInventoryTracked: false
        }]) {
            userErrors { message }
        }
    }";
    let variables = json!({ "product": product["productCreate.product.id"], "variant": variant });
    admin.ask_with(update, variables).await.assert_ok();
    let cart = "mutation($variant: ID!) {
        cartCreate(input: { lines: [{ merchandiseId: $variant, quantity: 1 }] }) {
            cart { id } userErrors { message }
        }
    }";
    let cart = admin.ask_with(cart, json!({ "variant": variant })).await.ok();
    cart["cartCreate.cart.id"].as_str().unwrap().to_owned()
}

/// Places an order for a cart, as a part of the storefront's trace. Returns the request id.
async fn place_order(shop: &Process, cart: &str) -> String {
    let document = "mutation PlaceOrder($input: OrderPlaceInput!) {
        orderPlace(input: $input, idempotencyKey: \"k\") { order { id } userErrors { message } }
    }";
    let input = json!({
        "cartId": cart, "email": "ada@example.com", "expectedTotal": "5",
        "payment": { "provider": "test", "token": "tok_ok" },
    });
    let body = json!({ "query": document, "variables": { "input": input } }).to_string();
    let request = request("POST", "/graphql")
        .header("content-type", "application/json")
        .header("traceparent", format!("00-{TRACE}-{STOREFRONT}-01"));
    let response = send(shop.address, request.body(body).unwrap()).await;
    assert!(response.json()["data"]["orderPlace"]["order"]["id"].is_string(), "{response:?}");
    response.header("x-request-id").to_owned()
}

both!(a_trace_follows_an_order_from_http_to_its_mail_and_its_webhook);
async fn a_trace_follows_an_order_from_http_to_its_mail_and_its_webhook(database: Database) {
    let (collector, endpoint) = (Receiver::start().await, Receiver::start().await);
    let settings = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.base_url()),
        ("OTEL_EXPORTER_OTLP_HEADERS", "api-key=a%20key".to_owned()),
        // Only what the caller traces is recorded.
        ("OTEL_TRACES_SAMPLER_ARG", "0".to_owned()),
    ];
    let settings = settings.each_ref().map(|(name, value)| (*name, value.as_str()));
    let shop = Process::start(&database, &settings).await;
    let admin = shop.admin();
    let subscribe = "mutation($url: String!) {
        webhookSubscriptionCreate(webhookSubscription: { url: $url, topics: [ORDER_PLACED] }) {
            webhookSubscription { id } userErrors { message }
        }
    }";
    admin.ask_with(subscribe, json!({ "url": endpoint.url() })).await.assert_ok();
    let cart = create_cart(&admin).await;
    let request_id = place_order(&shop, &cart).await;
    shop.wait_until("the mail and the webhook are traced", async || {
        let spans = Spans::received(&collector);
        let mail = spans.find("process mail.order_confirmation");
        mail.is_some() && spans.find("deliver order.placed").is_some() && !endpoint.accepted().is_empty()
    })
    .await;
    shop.stop().await;

    let request = &collector.received()[0];
    assert_eq!((request.header("api-key"), request.header("content-type")), ("a key", "application/json"));
    let resource = &request.json()["resourceSpans"][0]["resource"];
    assert_eq!(attribute(resource, "service.name"), "mercato");
    let spans = Spans::received(&collector);
    for span in &spans.0 {
        assert_eq!(span["traceId"], TRACE, "{span}");
        assert!(span["status"].is_null(), "{span}");
    }
    let system = match &database {
        Database::Sqlite(_) => "sqlite",
        Database::Postgres(..) => "postgresql",
    };

    let http = spans.named("POST /graphql");
    assert_eq!((&http["parentSpanId"], &http["kind"]), (&json!(STOREFRONT), &json!(SERVER)));
    assert_eq!(attribute(http, "http.route"), "/graphql");
    assert_eq!(attribute(http, "http.response.status_code"), "200");

    let operation = spans.child(http, "mutation");
    assert_eq!(attribute(operation, "graphql.operation.name"), "PlaceOrder");
    assert_eq!(attribute(operation, "mercato.request_id"), request_id);

    for statement in ["orders::insert", "events::insert"] {
        let statement = spans.child(operation, statement);
        assert_eq!((&statement["kind"], attribute(statement, "db.system.name")), (&json!(CLIENT), system));
    }
    assert_eq!(spans.child(operation, "payments.test")["kind"], CLIENT);

    let job = spans.named("process mail.order_confirmation");
    assert_eq!(job["kind"], CONSUMER);
    assert_eq!(attribute(job, "mercato.request_id"), request_id);
    let event = spans.parent(job);
    assert!(event["name"].as_str().unwrap().starts_with("publish order."), "{event}");
    assert_eq!((&event["kind"], &event["parentSpanId"]), (&json!(PRODUCER), &operation["spanId"]));
    assert_eq!(attribute(event, "mercato.request_id"), request_id);
    assert_eq!(spans.child(job, "events::find")["kind"], CLIENT);
    assert_eq!(spans.child(job, "mail")["kind"], CLIENT);

    let delivery = spans.named("deliver order.placed");
    assert_eq!(delivery["parentSpanId"], operation["spanId"]);
    let call = spans.child(delivery, "webhooks");
    assert_eq!((&call["kind"], attribute(call, "http.request.method")), (&json!(CLIENT), "POST"));
    assert_eq!(attribute(call, "http.response.status_code"), "200");
    let sent = format!("00-{TRACE}-{}-01", call["spanId"].as_str().unwrap());
    assert_eq!(endpoint.accepted()[0].header("traceparent"), sent);
}

#[tokio::test]
async fn traces_begin_here_without_a_caller_that_traces() {
    let collector = Receiver::start().await;
    let database = Database::sqlite().await.unwrap();
    let url = collector.base_url();
    let shop = Process::start(&database, &[("OTEL_EXPORTER_OTLP_ENDPOINT", url.as_str())]).await;
    shop.admin().ask("query Name { shop { name } }").await.assert_ok();
    shop.stop().await;
    // What was not exported yet is exported before the process ends.
    let spans = Spans::received(&collector);
    let operation = spans.named("query");
    let http = spans.parent(operation);
    assert!(http["parentSpanId"].is_null() && http["traceId"] != TRACE, "{http}");
}

#[tokio::test]
async fn requests_are_served_while_the_collector_is_down() {
    let mut collector = Receiver::start().await;
    collector.stop_listening().await;
    let database = Database::sqlite().await.unwrap();
    let url = collector.base_url();
    let shop = Process::start(&database, &[("OTEL_EXPORTER_OTLP_ENDPOINT", url.as_str())]).await;
    for _ in 0..50 {
        shop.admin().ask("{ shop { name } }").await.assert_ok();
    }
    shop.stop().await;
}
