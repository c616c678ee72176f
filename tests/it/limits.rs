//! How much one caller may ask for: what used to stop the server is refused with a clear error,
//! whatever way it comes, and real storefronts stay far below every limit.

use serde_json::{Value, json};

use crate::support::live::Socket;
use crate::support::{Database, Reply, TestApp, both, escaped, request};

/// Documents that used to abort, freeze or fill the server, each with the limit that refuses it.
fn hostile() -> Vec<(String, &'static str)> {
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

/// A fragment of 2,000 aliases that is spread 1,000 times: too long for an address.
fn spread_often() -> String {
    let aliases: String = (0..2_000).map(|n| format!("a{n}: id ")).collect();
    format!("{{ shop {{ {} }} }} fragment F on Shop {{ {aliases} }}", "...F ".repeat(1_000))
}

/// Whether errors refuse a document for a limit, and say so.
#[track_caller]
fn assert_refused(errors: &Value, setting: &str) {
    let code = errors[0]["extensions"]["code"].as_str().unwrap_or_default();
    assert!(matches!(code, "LIMIT_EXCEEDED" | "MAX_COST_EXCEEDED"), "{errors}");
    let message = errors[0]["message"].as_str().unwrap_or_default();
    assert!(message.contains(setting) && message.contains("limit"), "{setting}: {message}");
}

both!(what_asks_for_too_much_is_refused_whatever_way_it_comes);
async fn what_asks_for_too_much_is_refused_whatever_way_it_comes(app: TestApp) {
    let buyer = app.anonymous();
    let mut socket = Socket::of(&buyer).await;
    for (at, (document, setting)) in hostile().into_iter().enumerate() {
        let posted = buyer.ask(&document).await;
        assert_eq!(posted.status(), 400);
        assert_refused(&posted.body()["errors"], setting);

        let path = format!("/graphql?query={}", escaped(&document));
        let got = Reply::new(app.send(request("GET", &path).body(String::new()).unwrap()).await);
        assert_eq!(got.status(), 400);
        assert_refused(&got.body()["errors"], setting);

        socket.subscribe(&at.to_string(), &document, json!({})).await;
        let message = socket.hear().await;
        assert_eq!(message["type"], "error", "{message}");
        assert_refused(&message["payload"], setting);
    }
    assert_refused(&buyer.ask(&spread_often()).await.body()["errors"], "QUERY_MAX_FIELDS");
    buyer.ask("{ shop { name } }").await.assert_ok();
}

both!(a_fragment_that_is_not_there_is_refused_before_it_is_expanded);
async fn a_fragment_that_is_not_there_is_refused_before_it_is_expanded(app: TestApp) {
    let sixfold: String = (0..25)
        .map(|n| format!("fragment F{n} on QueryRoot {{ {} }} ", format!("...F{} ", n + 1).repeat(6)))
        .collect();
    let refused = app.anonymous().ask(&format!("{{ ...F0 }} {sixfold}")).await;
    assert_eq!(refused.code(), "BAD_USER_INPUT");
    assert!(refused.message().contains("`F25`"), "{}", refused.message());
}

both!(a_webhooks_document_is_weighed_like_any_other);
async fn a_webhooks_document_is_weighed_like_any_other(app: TestApp) {
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

both!(staff_may_ask_for_more_and_settings_say_how_much);
async fn staff_may_ask_for_more_and_settings_say_how_much(database: Database) {
    let settings = [("QUERY_MAX_ALIASES", "anonymous=2,customer=3,api_key=4")];
    let app = TestApp::with(database, &settings).await;
    let aliases = |count: usize| {
        let fields: String = (0..count).map(|n| format!("a{n}: __typename ")).collect();
        format!("{{ {fields} }}")
    };
    for (client, max) in [(app.anonymous(), 2), (app.customer(), 3), (app.admin(), 4)] {
        client.ask(&aliases(max)).await.assert_ok();
        let refused = client.ask(&aliases(max + 1)).await;
        let message = refused.message();
        let said = format!("is {}, and the limit is {max} (QUERY_MAX_ALIASES)", max + 1);
        assert!(message.contains(&said), "{message}");
    }
}

both!(responses_tell_what_they_cost);
async fn responses_tell_what_they_cost(app: TestApp) {
    app.create_product(json!({ "title": "Mug", "status": "ACTIVE" })).await;
    let reply = app.anonymous().ask("{ products(first: 10) { nodes { id title } } }").await.ok();
    let cost = &reply.body()["extensions"]["cost"];
    assert_eq!((&cost["requestedQueryCost"], &cost["actualQueryCost"]), (&json!(22), &json!(4)));
}

both!(a_full_page_of_products_passes_with_room_to_spare);
async fn a_full_page_of_products_passes_with_room_to_spare(app: TestApp) {
    app.seed_demo().await;
    let page = "{ products(first: 250) { nodes { id handle title description vendor productType tags \
                featuredImage { url altText width height } priceRange { minVariantPrice { amount currencyCode } } \
                options { name values } variants(first: 100) { nodes { id title sku availableForSale price { amount \
                currencyCode } selectedOptions { name value } } } collections(first: 20) { nodes { id handle title } } } \
                pageInfo { hasNextPage endCursor } } }";
    let reply = app.anonymous().ask(page).await.ok();
    let cost = reply.body()["extensions"]["cost"]["requestedQueryCost"].as_u64().unwrap();
    assert!(cost < 1_000_000, "{cost}");
}

both!(a_response_has_only_so_many_fields_and_bytes);
async fn a_response_has_only_so_many_fields_and_bytes(database: Database) {
    let settings = [("RESPONSE_MAX_FIELDS", "anonymous=100"), ("RESPONSE_MAX_BYTES", "customer=2000")];
    let app = TestApp::with(database, &settings).await;
    app.seed_demo().await;
    let page = "{ products(first: 250) { nodes { id title handle vendor variants(first: 250) { nodes { id title } } } } }";
    for (client, setting) in
        [(app.anonymous(), "RESPONSE_MAX_FIELDS"), (app.customer(), "RESPONSE_MAX_BYTES")]
    {
        let refused = client.ask(page).await;
        assert_eq!((refused.code(), refused.status()), ("LIMIT_EXCEEDED", 400));
        assert!(refused.message().contains(setting), "{}", refused.message());
        client.ask("{ shop { name } }").await.assert_ok();
    }
    app.admin().ask(page).await.assert_ok();
    assert_eq!(app.app.response_memory.used(), 0, "all of it is given back");
}

both!(errors_are_counted_too);
async fn errors_are_counted_too(database: Database) {
    let app = TestApp::with(database, &[("RESPONSE_MAX_ERRORS", "3")]).await;
    let fields: String = (0..10).map(|n| format!("a{n}: product(id: \"nonsense\") {{ id }} ")).collect();
    let errors = app.anonymous().ask(&format!("{{ {fields} }}")).await;
    assert_eq!(errors.errors().len(), 4, "{:#}", errors.body());
    let last = errors.errors()[3]["message"].as_str().unwrap();
    assert!(last.contains("RESPONSE_MAX_ERRORS"), "{last}");
}

both!(a_query_ends_at_its_deadline_and_a_mutation_goes_on);
async fn a_query_ends_at_its_deadline_and_a_mutation_goes_on(database: Database) {
    let app = TestApp::with(database, &[("QUERY_TIMEOUT_MS", "customer=1,api_key=1")]).await;
    app.seed_demo().await;
    let page = "{ products(first: 250) { nodes { id title variants(first: 250) { nodes { id title price { amount } } } } } }";
    let refused = app.customer().ask(page).await;
    assert_eq!((refused.code(), refused.status()), ("TIMEOUT", 503));
    assert!(refused.message().contains("QUERY_TIMEOUT_MS"), "{}", refused.message());

    let create = "mutation { productCreate(product: { title: \"Slow Mug\", status: ACTIVE, price: \"5\" }) { product { id } } }";
    // Whether it is done in time or not: it is done.
    let _ = app.admin().ask(create).await;
    for _ in 0..2_000 {
        let found = app.anonymous().ask("{ product(handle: \"slow-mug\") { title } }").await.ok();
        if found["product"] != Value::Null {
            return;
        }
    }
    panic!("the mutation was not carried out");
}

both!(deferred_parts_come_with_the_rest);
async fn deferred_parts_come_with_the_rest(app: TestApp) {
    app.create_product(json!({ "title": "Mug", "status": "ACTIVE" })).await;
    let document = "query($later: Boolean!) { products(first: 1) { nodes @stream(initialCount: 1, label: \"items\") { \
                    id ... @defer(if: $later, label: \"words\") { title } ...More @defer } } } \
                    fragment More on Product { handle }";
    let reply = app.anonymous().ask_with(document, json!({ "later": true })).await.ok();
    assert_eq!(reply["products.nodes.0.title"], "Mug");
    assert_eq!(reply["products.nodes.0.handle"], "mug");
}
