//! Mercato as a subgraph: what `_service` and `_entities` return to a gateway, and to whom.

mod gateway;

use std::collections::BTreeSet;

use mercato::domain::access::permissions::Permission::{ReadCustomers, ReadOrders, ReadProducts};
use mercato::domain::ids::Id;
use serde_json::{Value, json};

use crate::schema::{Introspected, name};
use crate::support::{Client, Database, Reply, TestApp, both, order_input};

/// The setting by which a server is a subgraph.
const FEDERATION: (&str, &str) = ("FEDERATION", "on");

const SDL: &str = "{ _service { sdl } }";

/// The id of any entity.
const ANY_ID: &str = "__typename ... on Product { id } ... on ProductVariant { id } ... on Collection { id }
    ... on Customer { id } ... on Order { id }";

async fn subgraph(database: Database) -> TestApp {
    TestApp::with(database, &[FEDERATION]).await
}

/// The representation of an object, as a gateway sends it.
fn representation(id: &str) -> Value {
    json!({ "__typename": id.split('/').nth(3).unwrap(), "id": id })
}

/// Asks for entities by their representations.
async fn find(client: &Client, representations: &[Value], selection: &str) -> Reply {
    let document = format!("query($of: [_Any!]!) {{ _entities(representations: $of) {{ {selection} }} }}");
    client.ask_with(&document, json!({ "of": representations })).await
}

/// Creates products with one variant each. Returns the ids of all.
async fn products_and_variants(app: &TestApp, count: usize) -> Vec<String> {
    let mut ids = Vec::new();
    for at in 0..count {
        let product = app.create_product(json!({ "title": format!("Mug {at}") })).await;
        ids.extend(app.variants_of(&product).await);
        ids.push(product);
    }
    ids
}

both!(a_gateway_reads_a_schema_that_names_the_keys_of_entities);
async fn a_gateway_reads_a_schema_that_names_the_keys_of_entities(database: Database) {
    let app = subgraph(database).await;
    let reply = app.anonymous().ask(SDL).await.ok();
    let sdl = reply["_service.sdl"].as_str().unwrap();
    async_graphql::parser::parse_schema(sdl).unwrap();
    for entity in ["Product", "ProductVariant", "Collection", "Customer", "Order"] {
        let line = format!("type {entity} implements Node @key(fields: \"id\") {{");
        assert!(sdl.lines().any(|known| known == line), "{line}");
    }
    assert_eq!(sdl, mercato::graphql::subgraph_sdl());
}

both!(only_a_subgraph_has_the_fields_for_gateways);
async fn only_a_subgraph_has_the_fields_for_gateways(database: Database) {
    let app = subgraph(database).await;
    let plain = TestApp::sqlite().await;
    let names = |schema: &Introspected| -> BTreeSet<String> {
        let types = schema.types().map(|of| name(of).to_owned());
        types.chain(schema.fields()).collect()
    };
    let (with, without) = (Introspected::by(&app.admin()).await, Introspected::by(&plain.admin()).await);
    let added: Vec<String> = names(&with).difference(&names(&without)).cloned().collect();
    let expected =
        ["QueryRoot._entities", "QueryRoot._service", "_Any", "_Entity", "_Service", "_Service.sdl"];
    assert_eq!(added, expected);
    assert!(names(&without).is_subset(&names(&with)));

    let entities = "{ _entities(representations: []) { __typename } }";
    for document in [SDL, entities, "query { ...F } fragment F on QueryRoot { _service { sdl } }"] {
        let reply = plain.admin().ask(document).await;
        assert_eq!((reply.status(), reply.code()), (400, "BAD_USER_INPUT"), "{document}");
        assert!(reply.message().contains("FEDERATION=on"), "{}", reply.message());
        app.admin().ask(document).await.assert_ok();
    }
}

#[tokio::test]
async fn the_schema_of_a_subgraph_is_for_those_who_may_introspect() {
    let production = [FEDERATION, ("MERCATO_ENV", "production"), ("PUBLIC_URL", "https://api.shop.example")];
    let app = TestApp::with(Database::sqlite().await.unwrap(), &production).await;
    for client in [app.anonymous(), app.customer()] {
        let reply = client.ask(SDL).await;
        assert_eq!((reply.status(), reply.code()), (403, "FORBIDDEN"));
        assert!(reply.message().contains("INTROSPECTION=staff"), "{}", reply.message());
        // The objects themselves are for everybody.
        find(&client, &[], "__typename").await.assert_ok();
    }
    app.staff(&[]).ask(SDL).await.assert_ok();

    let off = [&production[..], &[("INTROSPECTION", "off")]].concat();
    let app = TestApp::with(Database::sqlite().await.unwrap(), &off).await;
    assert_eq!(app.admin().ask(SDL).await.code(), "FORBIDDEN");
}

both!(entities_are_found_in_the_order_of_their_representations);
async fn entities_are_found_in_the_order_of_their_representations(database: Database) {
    let app = subgraph(database).await;
    let product = app.create_product(json!({ "title": "Mug" })).await;
    let variant = app.variants_of(&product).await.remove(0);
    let collection = app.create_collection(json!({ "title": "Mugs" })).await;
    let missing = "gid://mercato/Product/00000000-0000-7000-8000-000000000000".to_owned();
    let representations: Vec<Value> =
        [&variant, &missing, &collection, &product, &variant].map(|id| representation(id)).to_vec();
    let reply = find(&app.anonymous(), &representations, ANY_ID).await.ok();
    let mut expected = representations.clone();
    expected[1] = Value::Null;
    assert_eq!(reply["_entities"], json!(expected));

    // In the other namespace, and with a field that another subgraph requires.
    let mut external = representation(&product.replace("mercato", "shopify"));
    external["title"] = json!("Cup");
    let reply = find(&app.anonymous(), &[external], "... on Product { title }").await.ok();
    assert_eq!(reply["_entities.0.title"], "Mug");
}

both!(entities_are_read_in_batches);
async fn entities_are_read_in_batches(database: Database) {
    let app = subgraph(database).await;
    let ids = products_and_variants(&app, 6).await;
    let representations: Vec<Value> = ids.iter().map(|id| representation(id)).collect();
    let selection = "... on Product { title variants(first: 2) { nodes { id } } }
        ... on ProductVariant { product { title collections(first: 2) { nodes { id } } } }";
    let few = find(&app.anonymous(), &representations[..2], selection).await.ok();
    let many = find(&app.anonymous(), &representations, selection).await.ok();
    assert_eq!(many["_entities"].as_array().unwrap().len(), 12);
    assert_eq!(few.statements(), many.statements());
    assert!(many.statements() <= 8, "{} statements", many.statements());
    let cost = |reply: &Reply| reply.body()["extensions"]["cost"]["requestedQueryCost"].as_u64().unwrap();
    assert!(cost(&many) > 5 * cost(&few), "{} and {}", cost(&few), cost(&many));
}

both!(entities_are_visible_to_those_who_see_them_by_node);
async fn entities_are_visible_to_those_who_see_them_by_node(database: Database) {
    let app = subgraph(database).await;
    let mug = app.create_stocked("Mug", "5", 10).await;
    let draft = app.create_product(json!({ "title": "Cup", "status": "DRAFT" })).await;
    let draft_variant = app.variants_of(&draft).await.remove(0);
    let collection = app.create_collection(json!({ "title": "Mugs" })).await;
    let cart = app.cart_of(Some(app.customer_id), &[(&mug, 1)], &[], None).await;
    let customers = app.customer().place(order_input(&cart, "5", "tok_ok")).await.ok();
    let guests = app.anonymous().place(order_input(&app.cart(&[(&mug, 1)]).await, "5", "tok_ok")).await.ok();
    let order = |placed: &Reply| placed["orderPlace.order.id"].as_str().unwrap().to_owned();
    let ids =
        [mug, draft, draft_variant, collection, app.customer_id.gid(), order(&customers), order(&guests)];
    let representations: Vec<Value> = ids.iter().map(|id| representation(id)).collect();
    let by_nodes = "query($ids: [ID!]!) { nodes(ids: $ids) { id } }";

    let other = app.new_customer("other@example.com").await;
    for (who, client, expected) in [
        // The variant, the draft and its variant, the collection, the customer, and the two orders.
        ("anonymous", app.anonymous(), [true, false, false, true, false, false, false]),
        ("the customer", app.customer(), [true, false, false, true, true, true, false]),
        ("another customer", other, [true, false, false, true, false, false, false]),
        ("staff", app.staff(&[]), [true, false, false, true, false, false, false]),
        ("who may read products", app.staff(&[ReadProducts]), [true, true, true, true, false, false, false]),
        (
            "who may read customers",
            app.staff(&[ReadCustomers]),
            [true, false, false, true, true, false, false],
        ),
        ("who may read orders", app.staff(&[ReadOrders]), [true, false, false, true, false, true, true]),
        ("the admin", app.admin(), [true; 7]),
    ] {
        let found = find(&client, &representations, ANY_ID).await.ok();
        let seen: Vec<bool> =
            found["_entities"].as_array().unwrap().iter().map(|entity| !entity.is_null()).collect();
        assert_eq!(seen, expected, "{who}");
        let nodes = client.ask_with(by_nodes, json!({ "ids": ids })).await.ok();
        let seen: Vec<bool> = nodes["nodes"].as_array().unwrap().iter().map(|node| !node.is_null()).collect();
        assert_eq!(seen, expected, "{who}, by `nodes`");
    }

    // What a customer may not see of an order is not visible this way either.
    let order = &representations[5..6];
    let reply = find(&app.customer(), order, "... on Order { name transactions { kind } }").await;
    assert_eq!(reply.code(), "FORBIDDEN");
}

both!(wrong_representations_are_explained);
async fn wrong_representations_are_explained(database: Database) {
    let app = subgraph(database).await;
    let id = "gid://mercato/Product/00000000-0000-7000-8000-000000000000";
    for (wrong, expected) in [
        (json!({}), "`__typename` and `id`"),
        (json!("Product"), "`__typename` and `id`"),
        (json!({ "id": id }), "`__typename` and `id`"),
        (json!({ "__typename": "Product" }), "`__typename` and `id`"),
        (json!({ "__typename": "Product", "id": 7 }), "`__typename` and `id`"),
        (json!({ "__typename": "Product", "id": "7" }), "not the id of a Product"),
        (json!({ "__typename": "Order", "id": id }), "not the id of a Order"),
        (json!({ "__typename": "Shop", "id": id }), "`Shop` is not a type of `_Entity`"),
        (json!({ "__typename": "x".repeat(500), "id": id }), "is not a type of `_Entity`"),
    ] {
        let reply = find(&app.admin(), &[representation(id), wrong.clone()], "__typename").await;
        assert_eq!(reply.code(), "BAD_USER_INPUT", "{wrong}");
        assert!(reply.message().contains(expected), "{wrong}: {}", reply.message());
        assert!(reply.message().len() < 250, "{}", reply.message());
        assert!(reply.data().is_null());
    }
    let null = find(&app.admin(), &[Value::Null], "__typename").await;
    assert!(null.message().contains("$of.0"), "{}", null.message());
    let many = vec![representation(id); 251];
    let reply = find(&app.admin(), &many, "__typename").await;
    assert!(reply.message().contains("up to 250 entries"), "{}", reply.message());
    find(&app.admin(), &many[..250], "__typename").await.assert_ok();
}
