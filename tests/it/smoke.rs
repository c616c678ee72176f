//! The basics: the server runs, products can be created and imported, and drafts are hidden.

use std::time::Duration;

use mercato::domain::access::permissions::Permission;
use serde_json::json;

use crate::support::{TestApp, both};

both!(drafts_are_hidden_from_buyers_but_visible_to_staff);
async fn drafts_are_hidden_from_buyers_but_visible_to_staff(app: TestApp) {
    app.create_product(json!({ "title": "Tall Mug", "status": "DRAFT" })).await;
    let document = r#"{ product(handle: "tall-mug") { title } }"#;

    for buyer in [app.anonymous(), app.customer(), app.staff(&[])] {
        assert!(buyer.ask(document).await.ok()["product"].is_null());
    }
    let reader = app.staff(&[Permission::ReadProducts]);
    assert_eq!(reader.ask(document).await.ok()["product.title"], "Tall Mug");
}

both!(products_are_created_at_the_time_of_the_clock);
async fn products_are_created_at_the_time_of_the_clock(app: TestApp) {
    app.clock.advance(Duration::from_hours(24));
    app.create_product(json!({ "title": "Tall Mug" })).await;

    let reply = app.anonymous().ask(r#"{ product(handle: "tall-mug") { createdAt } }"#).await.ok();
    assert_eq!(reply["product.createdAt"], "2026-01-02T12:00:00Z");
}

both!(user_errors_name_the_invalid_field);
async fn user_errors_name_the_invalid_field(app: TestApp) {
    let document =
        r#"mutation { productCreate(product: { title: " " }) { userErrors { field code message } } }"#;
    let reply = app.admin().ask(document).await;
    let errors = reply.user_errors("productCreate");
    let [error] = errors.as_slice() else { panic!("expected one error, not {errors:?}") };
    assert_eq!((error.field.as_str(), error.code.as_str()), ("product.title", "BLANK"));
    assert!(!error.message.is_empty());
}

both!(products_can_be_imported);
async fn products_can_be_imported(app: TestApp) {
    let summary = app.import("Handle,Title,Variant Price\nmug,Tall Mug,12.50\nbowl,Bowl,9\n").await;
    assert_eq!(summary.created, 2);
    let reply = app.anonymous().ask("{ products(first: 5, sortKey: PRICE) { nodes { title } } }").await.ok();
    assert_eq!(reply["products.nodes"], json!([{ "title": "Bowl" }, { "title": "Tall Mug" }]));
}

both!(variants_can_be_added_to_a_product);
async fn variants_can_be_added_to_a_product(app: TestApp) {
    let sizes = json!([{ "name": "Size", "values": [{ "name": "S" }, { "name": "L" }] }]);
    let mug = app.create_product(json!({ "title": "Mug", "options": sizes })).await;
    let large = json!([{ "price": "12.50", "optionValues": [{ "optionName": "Size", "name": "L" }] }]);
    let created = app.create_variants(&mug, large).await;
    assert!(app.variants_of(&mug).await.ends_with(&created));
}

both!(a_page_of_the_demo_shop_takes_few_statements);
async fn a_page_of_the_demo_shop_takes_few_statements(app: TestApp) {
    app.seed_demo().await;
    let reply = app
        .anonymous()
        .ask("{ products(first: 5) { nodes { title variants(first: 3) { nodes { title } } } } }")
        .await
        .ok();
    assert_eq!(reply["products.nodes"].as_array().unwrap().len(), 5);
    assert!(reply.statements() <= 4, "{} statements", reply.statements());
}
