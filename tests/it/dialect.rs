//! Storefronts written for the Storefront API: they construct ids, and send a public access token.

use mercato::domain::access::permissions::Permission::ManageStaff;
use serde_json::{Value, json};

use crate::support::live::Socket;
use crate::support::{Database, HttpResponse, Reply, TestApp, both, request};

const HEADER: &str = "x-shopify-storefront-access-token";
const SHOP: &str = "{ shop { name } }";
const KEY_CREATE: &str = "mutation($input: ApiKeyCreateInput!) {
    apiKeyCreate(apiKey: $input) { apiKey { id hint isStorefront permissions } secret userErrors { field code message } }
}";
const KEY_REVOKE: &str = "mutation($id: ID!) { apiKeyRevoke(id: $id) { userErrors { code } } }";
const ADD: &str = "mutation($cart: ID!, $variant: ID!) {
    cartLinesAdd(cartId: $cart, lines: [{ merchandiseId: $variant }]) {
        cart { id totalQuantity lines(first: 5) { nodes { id merchandise { ... on ProductVariant { key: id product { id } } } } } }
        userErrors { field code message }
    }
}";

/// The id that a storefront constructs from a type and the part of our id after the last slash.
fn shopify_id(id: &str) -> String {
    let (rest, name) = id.rsplit_once('/').unwrap();
    format!("gid://shopify/{}/{name}", rest.rsplit_once('/').unwrap().1)
}

/// Sends a document with an access token of a storefront, which may be invalid.
async fn ask_with_token(app: &TestApp, key: &str, document: &str) -> Reply {
    let request = request("POST", "/graphql").header("content-type", "application/json").header(HEADER, key);
    let response: HttpResponse =
        app.send(request.body(json!({ "query": document }).to_string()).unwrap()).await;
    Reply::new(response)
}

async fn storefront_key(app: &TestApp) -> (String, String) {
    let input = json!({ "name": "web", "permissions": [], "isStorefront": true });
    let created = app.admin().ask_with(KEY_CREATE, json!({ "input": input })).await.ok();
    let text = |path: &str| created[path].as_str().unwrap().to_owned();
    (text("apiKeyCreate.apiKey.id"), text("apiKeyCreate.secret"))
}

both!(ids_constructed_by_a_storefront_are_accepted);
async fn ids_constructed_by_a_storefront_are_accepted(app: TestApp) {
    let mug = app.create_stocked("Mug", "4", 5).await;
    let cart = app.cart(&[]).await;
    let buyer = app.anonymous();
    let variables = json!({ "cart": shopify_id(&cart), "variant": shopify_id(&mug) });
    let reply = buyer.ask_with(ADD, variables).await.ok();
    assert_eq!(reply["cartLinesAdd.cart.totalQuantity"], 1);
    // Responses always contain our own ids.
    assert_eq!(reply["cartLinesAdd.cart.id"], *cart);
    assert_eq!(reply["cartLinesAdd.cart.lines.nodes.0.merchandise.key"], *mug);

    let document = "query($cart: ID!, $node: ID!) { cart(id: $cart) { id } node(id: $node) { id } }";
    let reply =
        buyer.ask_with(document, json!({ "cart": shopify_id(&cart), "node": shopify_id(&mug) })).await.ok();
    assert_eq!((&reply["cart.id"], &reply["node.id"]), (&json!(cart), &json!(mug)));
    // A cookie from before the shop moved to Mercato: its cart does not exist.
    let reply =
        buyer.ask_with(document, json!({ "cart": "gid://shopify/Cart/c1-12ab?key=34cd", "node": mug })).await;
    assert_eq!(reply.ok()["cart"], Value::Null);

    let product = product_of(&app, &mug).await;
    let found = "query($search: String!) { products(first: 2, query: $search) { nodes { id } } }";
    let found =
        app.admin().ask_with(found, json!({ "search": format!("id:{}", shopify_id(&product)) })).await.ok();
    assert_eq!(found["products.nodes"], json!([{ "id": product }]));
}

/// The id of a variant's product.
async fn product_of(app: &TestApp, variant: &str) -> String {
    let document = "query($id: ID!) { node(id: $id) { ... on ProductVariant { product { id } } } }";
    let reply = app.anonymous().ask_with(document, json!({ "id": variant })).await.ok();
    reply["node.product.id"].as_str().unwrap().to_owned()
}

both!(ids_in_responses_have_the_configured_namespace);
async fn ids_in_responses_have_the_configured_namespace(database: Database) {
    let app = TestApp::with(database, &[("ID_NAMESPACE", "shopify")]).await;
    let mug = app.create_stocked("gid://mercato/ is no id here", "4", 5).await;
    let created = app.anonymous().ask("mutation { cartCreate { cart { id } } }").await.ok();
    let cart = created["cartCreate.cart.id"].as_str().unwrap().to_owned();
    assert!(mug.starts_with("gid://shopify/ProductVariant/"), "{mug}");
    assert!(cart.starts_with("gid://shopify/Cart/") && cart.contains("?key="), "{cart}");
    let reply = app.anonymous().ask_with(ADD, json!({ "cart": cart, "variant": mug })).await.ok();
    let lines = &reply["cartLinesAdd.cart.lines.nodes.0"];
    assert_eq!(lines["merchandise"]["key"], *mug);
    assert!(!lines.to_string().contains("gid://mercato/"), "{lines}");

    let document =
        "query($id: ID!) { node(id: $id) { ... on ProductVariant { id product { title options { id } } } } }";
    // Ids in our own namespace are still accepted.
    let own_id = mug.replace("shopify", "mercato");
    let reply = app.anonymous().ask_with(document, json!({ "id": own_id })).await.ok();
    assert_eq!(reply["node.id"], *mug);
    assert_eq!(reply["node.product.title"], "gid://mercato/ is no id here");
    let option = reply["node.product.options.0.id"].as_str().unwrap();
    assert!(option.starts_with("gid://shopify/ProductOption/"), "{option}");

    // Subscriptions use the namespace as well.
    app.start_workers();
    let live =
        "subscription($cart: ID!, $after: String) { cartUpdated(id: $cart, after: $after) { cart { id } } }";
    let mut socket = app.subscribe(&app.anonymous(), live, json!({ "cart": cart })).await;
    let note =
        "mutation($cart: ID!) { cartNoteUpdate(cartId: $cart, note: \"soon\") { userErrors { code } } }";
    app.anonymous().ask_with(note, json!({ "cart": cart })).await.assert_ok();
    assert_eq!(socket.event().await["cartUpdated"]["cart"]["id"], *cart);
}

both!(a_storefront_key_grants_no_additional_permissions);
async fn a_storefront_key_grants_no_additional_permissions(app: TestApp) {
    let (id, key) = storefront_key(&app).await;
    // Hydrogen treats tokens of any other length as private, and rejects them in a page.
    assert_eq!(key.len(), 32, "{key}");
    ask_with_token(&app, &key, SHOP).await.assert_ok();
    assert_eq!(ask_with_token(&app, &key, "{ viewer { name } }").await.ok()["viewer"], Value::Null);
    assert_eq!(
        ask_with_token(&app, &key, "{ orders(first: 1) { nodes { id } } }").await.code(),
        "UNAUTHENTICATED"
    );
    // It is not a bearer token.
    let orders = app.signed_in(&key).ask("{ orders(first: 1) { nodes { id } } }").await;
    assert_eq!(orders.code(), "UNAUTHENTICATED");
    // While keys are not required, the header is ignored.
    for unknown in ["", "mp_unknown", "mk_admin", &"x".repeat(2_000)] {
        ask_with_token(&app, unknown, SHOP).await.assert_ok();
    }
    app.admin().ask_with(KEY_REVOKE, json!({ "id": id })).await.assert_ok();
    ask_with_token(&app, &key, SHOP).await.assert_ok();

    let input = json!({ "name": "web", "permissions": ["READ_PRODUCTS"], "isStorefront": true });
    let refused = app.admin().ask_with(KEY_CREATE, json!({ "input": input })).await;
    let error = refused.user_errors("apiKeyCreate").remove(0);
    assert_eq!((error.field.as_str(), error.code.as_str()), ("apiKey.permissions", "NOT_ALLOWED"));
}

both!(buyers_need_a_storefront_key_if_it_is_required);
async fn buyers_need_a_storefront_key_if_it_is_required(database: Database) {
    let app = TestApp::with(database, &[("REQUIRE_STOREFRONT_KEY", "true")]).await;
    let (id, key) = storefront_key(&app).await;
    ask_with_token(&app, &key, SHOP).await.assert_ok();
    for client in [app.anonymous(), app.customer()] {
        let refused = client.ask(SHOP).await;
        assert_eq!(refused.code(), "UNAUTHENTICATED");
        assert!(refused.message().contains("X-Shopify-Storefront-Access-Token"), "{}", refused.message());
    }
    // API keys of services are not accepted in this header, because they are secret.
    for wrong in ["", "mp_unknown", "mk_admin"] {
        assert_eq!(ask_with_token(&app, wrong, SHOP).await.code(), "UNAUTHENTICATED", "{wrong}");
    }
    app.staff(&[ManageStaff]).ask(SHOP).await.assert_ok();

    let init = |payload: Value| json!({ "type": "connection_init", "payload": payload });
    let mut socket = Socket::open(app.address, "graphql-transport-ws").await;
    socket.send(&init(json!({}))).await;
    assert_eq!(socket.closed().await.code, 4403);
    for payload in
        [json!({ HEADER: key }), json!({ "headers": { "X-Shopify-Storefront-Access-Token": key } })]
    {
        let mut socket = Socket::open(app.address, "graphql-transport-ws").await;
        socket.send(&init(payload)).await;
        assert_eq!(socket.receive().await["type"], "connection_ack");
    }

    app.admin().ask_with(KEY_REVOKE, json!({ "id": id })).await.assert_ok();
    assert_eq!(ask_with_token(&app, &key, SHOP).await.code(), "UNAUTHENTICATED");
}
