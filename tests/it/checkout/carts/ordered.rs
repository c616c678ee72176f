//! Carts after checkout, and orders of carts with unavailable lines.

use serde_json::{Value, json};

use super::access::assert_no_access;
use super::{create, create_untracked, line_id, lines_of, read, warnings_of};
use crate::support::{Client, Reply, TestApp, both, order_id, order_input, with_key};

const HIDE: &str = "mutation($id: ID!, $product: ProductUpdateInput!) {
    productUpdate(id: $id, product: $product) { userErrors { message } }
}";

/// Orders a cart of products without shipping, and pays by card.
async fn order(client: &Client, cart: &Value, total: &str) -> Reply {
    client.place(order_input(cart["id"].as_str().unwrap(), total, "tok_ok")).await
}

/// Creates an untracked product at 10.00 without shipping; returns the ids of product and variant.
async fn download(app: &TestApp, title: &str) -> (String, String) {
    let variant = json!({ "price": "10.00", "isInventoryTracked": false, "requiresShipping": false });
    app.create_priced(json!({ "title": title, "status": "ACTIVE" }), variant).await
}

both!(an_ordered_cart_is_no_longer_accessible_and_a_new_one_can_be_created);
async fn an_ordered_cart_is_no_longer_accessible_and_a_new_one_can_be_created(app: TestApp) {
    let (_, font) = download(&app, "Font").await;
    let lamp = create_untracked(&app, "Lamp").await;
    let (guest, ada) = (app.anonymous(), app.new_customer("ada@example.com").await);
    for buyer in [&guest, &ada] {
        let cart = create(buyer, json!({ "lines": [{ "merchandiseId": font }] })).await;
        let (id, line) = (cart["id"].as_str().unwrap(), line_id(&cart, 0));
        let input = with_key(order_input(id, "10", "tok_ok"), "once");
        let placed = buyer.place(input.clone()).await.ok();
        assert_no_access(buyer, &cart["id"], &lamp, &line).await;
        // The same request returns the same order, and a different one is rejected.
        let again = buyer.place(input).await.ok();
        assert_eq!(again["orderPlace.order"], placed["orderPlace.order"]);
        let other = order(buyer, &cart, "10").await;
        assert_eq!(other.user_errors("orderPlace")[0].code, "TAKEN");
        let next = create(buyer, json!({ "lines": [{ "merchandiseId": font }] })).await;
        order(buyer, &next, "10").await.assert_ok();
    }
    assert_eq!(app.count_orders().await, 4);
}

both!(a_cart_is_accessible_again_if_its_payment_is_declined);
async fn a_cart_is_accessible_again_if_its_payment_is_declined(app: TestApp) {
    let (_, font) = download(&app, "Font").await;
    let buyer = app.anonymous();
    let cart = create(&buyer, json!({ "lines": [{ "merchandiseId": font }] })).await;
    let id = cart["id"].as_str().unwrap();
    let declined = buyer.place(order_input(id, "10", "tok_decline")).await;
    assert_eq!(declined.user_errors("orderPlace")[0].code, "PAYMENT_DECLINED");
    assert_eq!(lines_of(&read(&buyer, &cart["id"]).await), ["Font 1"]);
    order(&buyer, &cart, "10").await.assert_ok();
    assert_eq!(read(&buyer, &cart["id"]).await, Value::Null);
}

both!(a_subscriber_to_a_cart_is_notified_of_its_order);
async fn a_subscriber_to_a_cart_is_notified_of_its_order(app: TestApp) {
    app.start_workers();
    let (_, font) = download(&app, "Font").await;
    let buyer = app.anonymous();
    let cart = create(&buyer, json!({ "lines": [{ "merchandiseId": font }] })).await;
    let document = "subscription($id: ID!, $after: String) {
        cartUpdated(id: $id, after: $after) { kind cart { id } }
    }";
    let mut live = app.subscribe(&buyer, document, json!({ "id": cart["id"] })).await;
    order(&buyer, &cart, "10").await.assert_ok();
    assert_eq!(live.event().await["cartUpdated"], json!({ "kind": "cart.updated", "cart": null }));
}

both!(unpublished_products_are_neither_shown_nor_ordered);
async fn unpublished_products_are_neither_shown_nor_ordered(app: TestApp) {
    let (_, font) = download(&app, "Font").await;
    for status in ["DRAFT", "ARCHIVED"] {
        let (product, song) = download(&app, "Song").await;
        let buyer = app.anonymous();
        let lines = json!([{ "merchandiseId": font, "quantity": 2 }, { "merchandiseId": song }]);
        let cart = create(&buyer, json!({ "lines": lines })).await;
        let hidden = json!({ "id": product, "product": { "status": status } });
        app.admin().ask_with(HIDE, hidden).await.assert_ok();
        let seen = read(&buyer, &cart["id"]).await;
        assert_eq!(
            (lines_of(&seen), &seen["cost"]["totalAmount"]["amount"]),
            (vec!["Font 2".to_owned()], &json!("20.00"))
        );
        assert_eq!(
            warnings_of(&seen["warnings"]),
            [("MERCHANDISE_OUT_OF_STOCK".to_owned(), line_id(&cart, 1))]
        );
        // The earlier total is outdated, and the one that the cart now shows is accepted.
        let before = order(&buyer, &cart, "30").await;
        assert_eq!(before.user_errors("orderPlace")[0].field, "input.expectedTotal");
        let placed = order(&buyer, &cart, "20").await.ok();
        let ordered = app.order_lines(order_id(&placed)).await;
        assert_eq!(ordered.iter().map(|line| line.title.as_str()).collect::<Vec<_>>(), ["Font"]);
    }
    // A cart with nothing else is empty.
    let (product, song) = download(&app, "Song").await;
    let cart = create(&app.anonymous(), json!({ "lines": [{ "merchandiseId": song }] })).await;
    app.admin().ask_with(HIDE, json!({ "id": product, "product": { "status": "DRAFT" } })).await.assert_ok();
    let refused = order(&app.anonymous(), &cart, "0").await;
    let error = &refused.user_errors("orderPlace")[0];
    assert_eq!((error.field.as_str(), error.code.as_str()), ("input.cartId", "BLANK"));
}
