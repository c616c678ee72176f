//! Requirements of the GraphQL specification for errors, variables and validation that
//! async-graphql does not meet by itself.

use serde_json::{Value, json};

use crate::support::{TestApp, both};

both!(errors_in_non_null_fields_propagate_to_the_parent);
async fn errors_in_non_null_fields_propagate_to_the_parent(app: TestApp) {
    app.create_product(json!({ "title": "Mug", "status": "ACTIVE" })).await;
    let buyer = app.anonymous();
    let nested = "{ shop { name } product(handle: \"mug\") { id variants(first: -1) { nodes { id } } } }";
    let reply = buyer.ask(nested).await;
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

both!(operations_without_required_variables_are_not_executed);
async fn operations_without_required_variables_are_not_executed(app: TestApp) {
    let document = "mutation($id: ID!) { a: cartCreate { cart { id } } b: cartNoteUpdate(cartId: $id, note: \"n\") { \
                    cart { id } } }";
    for variables in [json!({}), json!({ "id": null }), json!({ "id": ["a"] }), json!({ "id": { "a": 1 } })] {
        let reply = app.anonymous().ask_with(document, variables.clone()).await;
        assert_eq!((reply.code(), reply.status()), ("BAD_USER_INPUT", 200), "{variables}");
        assert!(reply.message().contains("$id"), "{}", reply.message());
        assert_eq!(*reply.data(), Value::Null);
    }
}

both!(default_values_of_variables_apply_to_skip_and_include);
async fn default_values_of_variables_apply_to_skip_and_include(app: TestApp) {
    let document = "query($with: Boolean = true, $without: Boolean = true) { shop { name @include(if: $with) id \
                    @skip(if: $without) } }";
    let reply = app.anonymous().ask(document).await.ok();
    assert_eq!(reply.data()["shop"], json!({ "name": "Mercato" }));
    let reply = app.anonymous().ask_with(document, json!({ "with": false, "without": false })).await.ok();
    assert!(reply.data()["shop"].get("name").is_none() && reply.data()["shop"].get("id").is_some());
    let reply = app.anonymous().ask_with(document, json!({ "with": null })).await;
    assert_eq!((reply.code(), reply.data()), ("BAD_USER_INPUT", &Value::Null));
    assert!(reply.message().contains("`$with` is null"), "{}", reply.message());
}

both!(a_mutation_with_a_wrong_value_changes_nothing);
async fn a_mutation_with_a_wrong_value_changes_nothing(app: TestApp) {
    let document = "mutation($title: String!, $value: DiscountValueInput!) { \
                    a: productCreate(product: { title: $title }) { product { id } } \
                    b: discountCreate(discount: { title: $title, value: $value }) { discount { id } } }";
    let literal = document.replace(", $value: DiscountValueInput!", "");
    let values =
        ["{}", "{ freeShipping: null }", "{ freeShipping: true, percentage: null }", "{ freeShipping: 3 }"];
    let documents = values.map(|value| (literal.replace("$value", value), json!({ "title": "Mug" })));
    let variables = [json!({}), json!({ "freeShipping": null }), json!({ "freeShipping": "yes" })];
    let variables = variables.map(|value| (document.to_owned(), json!({ "title": "Mug", "value": value })));
    for (document, variables) in documents.into_iter().chain(variables) {
        let reply = app.admin().ask_with(&document, variables.clone()).await;
        assert_eq!((reply.code(), reply.data()), ("BAD_USER_INPUT", &Value::Null), "{document} {variables}");
    }
    let products = app.admin().ask("{ products(first: 1) { nodes { id } } }").await.ok();
    assert_eq!(products["products"]["nodes"], json!([]));
}

both!(conflicting_fields_are_rejected);
async fn conflicting_fields_are_rejected(app: TestApp) {
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

both!(fields_have_the_order_of_the_document);
async fn fields_have_the_order_of_the_document(app: TestApp) {
    app.create_product(json!({ "title": "Mug", "status": "ACTIVE" })).await;
    // Fields that are read from the database come before those that are in memory.
    let document = "query($text: String!) {
            found: products(first: 1, query: $text) { nodes { title handle } }
            product(handle: \"mug\") { variants(first: 1) { nodes { title } } title ... on Node { id } handle }
            none: collection(handle: \"none\") { id }
            shop { name }
            ...Rest
        }
        fragment Rest on QueryRoot { __typename found: products(first: 1, query: $text) { pageInfo { hasNextPage } } }";
    for caller in [app.anonymous(), app.admin()] {
        let reply = caller.ask_with(document, json!({ "text": "mug" })).await.ok();
        let expected = "found nodes title handle pageInfo hasNextPage product variants nodes title title id handle \
                        none shop name __typename";
        assert_eq!(field_names(reply.text()).join(" "), expected);
    }
}

/// The names of all fields in the data of a response, in their order.
fn field_names(response: &str) -> Vec<&str> {
    let data = response.split("\"extensions\"").next().unwrap_or_default();
    let parts: Vec<&str> = data.split('"').collect();
    let names = parts.windows(2).filter(|pair| pair[1].starts_with(':')).map(|pair| pair[0]);
    names.skip_while(|name| *name != "data").skip(1).collect()
}
