//! Limits on operations: documents that could overload the server are rejected with a clear error,
//! over every transport, while real storefronts stay far below all limits.

use serde_json::{Value, json};

use crate::support::live::Socket;
use crate::support::{Database, Reply, TestApp, both, escaped, request};

/// Documents that could crash or block the server or exhaust its memory, with the limits they
/// exceed.
fn hostile_documents() -> Vec<(String, &'static str)> {
    let doubling: String =
        (0..25).map(|n| format!("fragment F{n} on QueryRoot {{ ...F{0} ...F{0} }} ", n + 1)).collect();
    let sixfold: String = (0..25)
        .map(|n| format!("fragment F{n} on QueryRoot {{ {} }} ", format!("...F{} ", n + 1).repeat(6)))
        .collect();
    let pages = |times: usize| {
        let open = "products(first: 250) { nodes { collections(first: 250) { nodes { ".repeat(times);
        format!("{{ {open} id {} }}", "} } } } ".repeat(times))
    };
    let introspection = "possibleTypes { interfaces { ".repeat(4);
    vec![
        (format!("{{ a(b: {}{}) }}", "[".repeat(2_000), "]".repeat(2_000)), "QUERY_MAX_NESTING"),
        (format!("{{ a(b: {}1{}) }}", "{c: ".repeat(1_000), "}".repeat(1_000)), "QUERY_MAX_NESTING"),
        (format!("{{ ...F0 }} {doubling} fragment F25 on QueryRoot {{ __typename }}"), "QUERY_MAX_FIELDS"),
        (format!("{{ ...F0 }} {sixfold} fragment F25 on QueryRoot {{ __typename }}"), "QUERY_MAX_FIELDS"),
        (
            format!("{{ __typename }} {doubling} fragment F25 on QueryRoot {{ __typename }}"),
            "QUERY_MAX_FIELDS",
        ),
        (format!("{{ a(b: [\"\"\" \" {}", "[".repeat(2_000)), "QUERY_MAX_NESTING"),
        (pages(2), "QUERY_MAX_COST"),
        (
            format!("{{ __schema {{ types {{ {introspection} name {} }} }} }}", "} } ".repeat(4)),
            "QUERY_MAX_COST",
        ),
        (format!("{{ {} }}", "a!".repeat(4_000)), "QUERY_MAX_TOKENS"),
        (format!("{{ {} }}", "a: __typename ".repeat(300)), "QUERY_MAX_ALIASES"),
        (format!("mutation {{ {} }}", "cartCreate { cart { id } } ".repeat(11)), "QUERY_MAX_ROOT_FIELDS"),
        (format!("{{ {} }}", "__typename @skip(if: false) ".repeat(101)), "QUERY_MAX_DIRECTIVES"),
    ]
}

/// A fragment of 2,000 aliases that is spread 1,000 times: too long for a URL.
fn repeated_spreads() -> String {
    let aliases: String = (0..2_000).map(|n| format!("a{n}: id ")).collect();
    format!("{{ shop {{ {} }} }} fragment F on Shop {{ {aliases} }}", "...F ".repeat(1_000))
}

/// Asserts that the errors name the setting of the exceeded limit.
#[track_caller]
fn assert_limit_exceeded(errors: &Value, setting: &str) {
    let code = errors[0]["extensions"]["code"].as_str().unwrap_or_default();
    assert!(matches!(code, "LIMIT_EXCEEDED" | "MAX_COST_EXCEEDED"), "{errors}");
    let message = errors[0]["message"].as_str().unwrap_or_default();
    assert!(message.contains(setting) && message.contains("limit"), "{setting}: {message}");
}

both!(hostile_documents_are_rejected_over_every_transport);
async fn hostile_documents_are_rejected_over_every_transport(app: TestApp) {
    let buyer = app.anonymous();
    let mut socket = Socket::connect(&buyer).await;
    for (at, (document, setting)) in hostile_documents().into_iter().enumerate() {
        let posted = buyer.ask(&document).await;
        assert_eq!(posted.status(), 400);
        assert_limit_exceeded(&posted.body()["errors"], setting);

        let path = format!("/graphql?query={}", escaped(&document));
        let got = Reply::new(app.send(request("GET", &path).body(String::new()).unwrap()).await);
        assert_eq!(got.status(), 400);
        assert_limit_exceeded(&got.body()["errors"], setting);

        socket.subscribe(&at.to_string(), &document, json!({})).await;
        let message = socket.receive().await;
        assert_eq!(message["type"], "error", "{message}");
        assert_limit_exceeded(&message["payload"], setting);
    }
    assert_limit_exceeded(&buyer.ask(&repeated_spreads()).await.body()["errors"], "QUERY_MAX_FIELDS");
    buyer.ask("{ shop { name } }").await.assert_ok();
}

both!(unknown_fragments_are_rejected_before_fragments_are_expanded);
async fn unknown_fragments_are_rejected_before_fragments_are_expanded(app: TestApp) {
    let sixfold: String = (0..25)
        .map(|n| format!("fragment F{n} on QueryRoot {{ {} }} ", format!("...F{} ", n + 1).repeat(6)))
        .collect();
    let rejected = app.anonymous().ask(&format!("{{ ...F0 }} {sixfold}")).await;
    assert_eq!(rejected.code(), "BAD_USER_INPUT");
    assert!(rejected.message().contains("`F25`"), "{}", rejected.message());
}

both!(the_limits_apply_to_payload_queries_of_webhooks);
async fn the_limits_apply_to_payload_queries_of_webhooks(app: TestApp) {
    let create = "mutation($query: String!) { webhookSubscriptionCreate(webhookSubscription: { url: \
                  \"https://shop.example/hook\", topics: [ORDER_PLACED], query: $query }) { userErrors { field code \
                  message } } }";
    for document in [
        format!(
            "subscription {{ orderEvents(query: {}\"\"{}) {{ cursor }} }}",
            "[".repeat(2_000),
            "]".repeat(2_000)
        ),
        format!("subscription {{ orderEvents {{ {} }} }}", "a: cursor ".repeat(1_001)),
    ] {
        let reply = app.admin().ask_with(create, json!({ "query": document })).await;
        let errors = reply.user_errors("webhookSubscriptionCreate");
        assert!(errors[0].message.contains("QUERY_MAX_"), "{errors:?}");
    }
}

both!(limits_can_be_set_for_each_kind_of_caller);
async fn limits_can_be_set_for_each_kind_of_caller(database: Database) {
    let settings = [("QUERY_MAX_ALIASES", "anonymous=2,customer=3,api_key=4")];
    let app = TestApp::with(database, &settings).await;
    let aliases = |count: usize| {
        let fields: String = (0..count).map(|n| format!("a{n}: __typename ")).collect();
        format!("{{ {fields} }}")
    };
    for (client, max) in [(app.anonymous(), 2), (app.customer(), 3), (app.admin(), 4)] {
        client.ask(&aliases(max)).await.assert_ok();
        let rejected = client.ask(&aliases(max + 1)).await;
        let message = rejected.message();
        let expected = format!("is {}, and the limit is {max} (QUERY_MAX_ALIASES)", max + 1);
        assert!(message.contains(&expected), "{message}");
    }
}

both!(responses_include_their_cost);
async fn responses_include_their_cost(app: TestApp) {
    app.create_product(json!({ "title": "Mug", "status": "ACTIVE" })).await;
    let reply = app.anonymous().ask("{ products(first: 10) { nodes { id title } } }").await.ok();
    let cost = &reply.body()["extensions"]["cost"];
    assert_eq!((&cost["requestedQueryCost"], &cost["actualQueryCost"]), (&json!(22), &json!(4)));
}

both!(the_size_of_responses_is_limited);
async fn the_size_of_responses_is_limited(database: Database) {
    let settings = [("RESPONSE_MAX_FIELDS", "anonymous=100"), ("RESPONSE_MAX_BYTES", "customer=2000")];
    let app = TestApp::with(database, &settings).await;
    app.seed_demo().await;
    let page = "{ products(first: 250) { nodes { id title handle vendor variants(first: 250) { nodes { id title } } } } }";
    for (client, setting) in
        [(app.anonymous(), "RESPONSE_MAX_FIELDS"), (app.customer(), "RESPONSE_MAX_BYTES")]
    {
        let rejected = client.ask(page).await;
        assert_eq!((rejected.code(), rejected.status()), ("LIMIT_EXCEEDED", 400));
        assert!(rejected.message().contains(setting), "{}", rejected.message());
        client.ask("{ shop { name } }").await.assert_ok();
    }
    app.admin().ask(page).await.assert_ok();
    assert_eq!(app.app.response_memory.used(), 0, "all reserved memory is released");
}

both!(the_number_of_errors_is_limited);
async fn the_number_of_errors_is_limited(database: Database) {
    let app = TestApp::with(database, &[("RESPONSE_MAX_ERRORS", "3")]).await;
    let fields: String = (0..10).map(|n| format!("a{n}: product(id: \"nonsense\") {{ id }} ")).collect();
    let errors = app.anonymous().ask(&format!("{{ {fields} }}")).await;
    assert_eq!(errors.errors().len(), 4, "{:#}", errors.body());
    let last = errors.errors()[3]["message"].as_str().unwrap();
    assert!(last.contains("RESPONSE_MAX_ERRORS"), "{last}");
}

both!(queries_time_out_but_mutations_are_completed);
async fn queries_time_out_but_mutations_are_completed(database: Database) {
    let app = TestApp::with(database, &[("QUERY_TIMEOUT_MS", "customer=1,api_key=1")]).await;
    app.seed_demo().await;
    let page = "{ products(first: 250) { nodes { id title variants(first: 250) { nodes { id title price { amount } } } } } }";
    let rejected = app.customer().ask(page).await;
    assert_eq!((rejected.code(), rejected.status()), ("TIMEOUT", 503));
    assert!(rejected.message().contains("QUERY_TIMEOUT_MS"), "{}", rejected.message());

    let create = "mutation { productCreate(product: { title: \"Slow Mug\", status: ACTIVE, price: \"5\" }) { product { id } } }";
    // It may be completed in time or later.
    let _ = app.admin().ask(create).await;
    for _ in 0..2_000 {
        let found = app.anonymous().ask("{ product(handle: \"slow-mug\") { title } }").await.ok();
        if found["product"] != Value::Null {
            return;
        }
    }
    panic!("the mutation was not completed");
}

both!(deferred_fragments_are_part_of_the_response);
async fn deferred_fragments_are_part_of_the_response(app: TestApp) {
    app.create_product(json!({ "title": "Mug", "status": "ACTIVE" })).await;
    let document = "query($later: Boolean!) { products(first: 1) { nodes @stream(initialCount: 1, label: \"items\") { \
                    id ... @defer(if: $later, label: \"words\") { title } ...More @defer } } } \
                    fragment More on Product { handle }";
    let reply = app.anonymous().ask_with(document, json!({ "later": true })).await.ok();
    assert_eq!(reply["products.nodes.0.title"], "Mug");
    assert_eq!(reply["products.nodes.0.handle"], "mug");
}
