//! The smallest visit to a shop: it is there, it has what was put in, and it hides what is not for sale.

use std::time::Duration;

use mercato::domain::access::permissions::Permission;
use serde_json::json;

use crate::support::{TestApp, both};

both!(a_draft_is_hidden_from_buyers_and_shown_to_staff);
async fn a_draft_is_hidden_from_buyers_and_shown_to_staff(app: TestApp) {
    app.create_product(json!({ "title": "Tall Mug", "status": "DRAFT" })).await;
    let document = r#"{ product(handle: "tall-mug") { title } }"#;

    for buyer in [app.anonymous(), app.customer(), app.staff(&[])] {
        assert!(buyer.ask(document).await.ok()["product"].is_null());
    }
    let reader = app.staff(&[Permission::ReadProducts]);
    assert_eq!(reader.ask(document).await.ok()["product.title"], "Tall Mug");
}

both!(a_product_is_as_old_as_the_clock_says);
async fn a_product_is_as_old_as_the_clock_says(app: TestApp) {
    app.clock.advance(Duration::from_hours(24));
    app.create_product(json!({ "title": "Tall Mug" })).await;

    let reply = app.anonymous().ask(r#"{ product(handle: "tall-mug") { createdAt } }"#).await.ok();
    assert_eq!(reply["product.createdAt"], "2026-01-02T12:00:00Z");
}

both!(what_is_wrong_with_a_product_is_told_beside_its_field);
async fn what_is_wrong_with_a_product_is_told_beside_its_field(app: TestApp) {
    let document =
        r#"mutation { productCreate(product: { title: " " }) { userErrors { field code message } } }"#;
    let reply = app.admin().ask(document).await;
    let errors = reply.user_errors("productCreate");
    let [error] = errors.as_slice() else { panic!("one error, not {errors:?}") };
    assert_eq!((error.field.as_str(), error.code.as_str()), ("product.title", "BLANK"));
    assert!(!error.message.is_empty());
}

both!(a_product_file_fills_the_shop);
async fn a_product_file_fills_the_shop(app: TestApp) {
    let summary = app.import("Handle,Title,Variant Price\nmug,Tall Mug,12.50\nbowl,Bowl,9\n").await;
    assert_eq!(summary.created, 2);
    let reply = app.anonymous().ask("{ products(first: 5, sortKey: PRICE) { nodes { title } } }").await.ok();
    assert_eq!(reply["products.nodes"], json!([{ "title": "Bowl" }, { "title": "Tall Mug" }]));
}

both!(a_product_is_sold_in_the_variants_it_is_given);
async fn a_product_is_sold_in_the_variants_it_is_given(app: TestApp) {
    let sizes = json!([{ "name": "Size", "values": [{ "name": "S" }, { "name": "L" }] }]);
    let mug = app.create_product(json!({ "title": "Mug", "options": sizes })).await;
    let large = json!([{ "price": "12.50", "optionValues": [{ "optionName": "Size", "name": "L" }] }]);
    let made = app.create_variants(&mug, large).await;
    assert!(app.variants_of(&mug).await.ends_with(&made));
}

both!(the_demo_shop_opens_with_few_statements);
async fn the_demo_shop_opens_with_few_statements(app: TestApp) {
    app.seed_demo().await;
    let reply = app
        .anonymous()
        .ask("{ products(first: 5) { nodes { title variants(first: 3) { nodes { title } } } } }")
        .await
        .ok();
    assert_eq!(reply["products.nodes"].as_array().unwrap().len(), 5);
    assert!(reply.statements() <= 4, "{} statements", reply.statements());
}
