//! What the GraphQL specification says of errors, variables and validation, where the library that
//! executes documents does otherwise.

use serde_json::{Value, json};

use crate::support::{TestApp, both};

both!(a_field_that_fails_makes_its_parent_null_where_it_may_not_be);
async fn a_field_that_fails_makes_its_parent_null_where_it_may_not_be(app: TestApp) {
    app.create_product(json!({ "title": "Mug", "status": "ACTIVE" })).await;
    let buyer = app.anonymous();
    let below = "{ shop { name } product(handle: \"mug\") { id variants(first: -1) { nodes { id } } } }";
    let reply = buyer.ask(below).await;
    assert_eq!(reply.data()["product"], Value::Null);
    assert_eq!(reply.data()["shop"]["name"], "Mercato");
    assert_eq!(reply.errors()[0]["path"], json!(["product", "variants"]));

    let item = "{ products(first: 1) { nodes { id variants(first: -1) { nodes { id } } } } }";
    assert_eq!(*buyer.ask(item).await.data(), Value::Null);
    let abstract_item = "query($ids: [ID!]!) { nodes(ids: $ids) { id ... on Product { images(first: -1) { nodes { url } } } } }";
    let id = buyer.ask("{ product(handle: \"mug\") { id } }").await.ok()["product.id"].clone();
    let reply = buyer.ask_with(abstract_item, json!({ "ids": [id] })).await;
    assert_eq!(reply.data()["nodes"], json!([null]));
}

both!(nothing_is_executed_without_the_variables_it_needs);
async fn nothing_is_executed_without_the_variables_it_needs(app: TestApp) {
    let document = "mutation($id: ID!) { a: cartCreate { cart { id } } b: cartNoteUpdate(cartId: $id, note: \"n\") { \
                    cart { id } } }";
    for variables in [json!({}), json!({ "id": null }), json!({ "id": ["a"] }), json!({ "id": { "a": 1 } })] {
        let reply = app.anonymous().ask_with(document, variables.clone()).await;
        assert_eq!((reply.code(), reply.status()), ("BAD_USER_INPUT", 200), "{variables}");
        assert!(reply.message().contains("$id"), "{}", reply.message());
        assert_eq!(*reply.data(), Value::Null);
    }
}

both!(defaults_of_variables_count_for_conditions);
async fn defaults_of_variables_count_for_conditions(app: TestApp) {
    let document = "query($with: Boolean = true, $without: Boolean = true) { shop { name @include(if: $with) id \
                    @skip(if: $without) } }";
    let reply = app.anonymous().ask(document).await.ok();
    assert_eq!(reply.data()["shop"], json!({ "name": "Mercato" }));
    let reply = app.anonymous().ask_with(document, json!({ "with": false, "without": false })).await.ok();
    assert!(reply.data()["shop"].get("name").is_none() && reply.data()["shop"].get("id").is_some());
}

both!(fields_conflict_whatever_they_are_selected_on);
async fn fields_conflict_whatever_they_are_selected_on(app: TestApp) {
    for document in [
        "{ product(handle: \"mug\") { a: title ... on Product { a: handle } } }",
        "{ product(handle: \"mug\") { a: title ...F } } fragment F on Product { a: handle }",
        "{ nodes(ids: []) { a: id ... on Product { a: title } } }",
    ] {
        let reply = app.anonymous().ask(document).await;
        assert!(reply.message().contains("conflict"), "{document}: {}", reply.message());
    }
    for document in ["{ __typename(a: 1) }", "{ __typename @nonsense }", "{ shop { __typename @inContext } }"]
    {
        assert_eq!(app.anonymous().ask(document).await.code(), "BAD_USER_INPUT", "{document}");
    }
}
