//! What becomes of a cart when it is ordered, and that an order has what its cart shows.

use serde_json::{Value, json};

use super::access::sees_nothing;
use super::{create, endless, line_id, read, shown, warned};
use crate::support::{Client, Reply, TestApp, both, keyed, order_id, order_of};

const HIDE: &str = "mutation($id: ID!, $product: ProductUpdateInput!) {
    productUpdate(id: $id, product: $product) { userErrors { message } }
}";

/// Pays by card for a cart of what is sent nowhere.
async fn order(client: &Client, cart: &Value, total: &str) -> Reply {
    client.place(order_of(cart["id"].as_str().unwrap(), total, "tok_ok")).await
}

/// Something at 10.00 that is sent nowhere and never runs out: its product and its variant.
async fn download(app: &TestApp, title: &str) -> (String, String) {
    let variant = json!({ "price": "10.00", "isInventoryTracked": false, "requiresShipping": false });
    app.create_priced(json!({ "title": title, "status": "ACTIVE" }), variant).await
}

both!(an_ordered_cart_is_gone_and_the_next_one_is_new);
async fn an_ordered_cart_is_gone_and_the_next_one_is_new(app: TestApp) {
    let (_, font) = download(&app, "Font").await;
    let lamp = endless(&app, "Lamp").await;
    let (guest, ada) = (app.anonymous(), app.new_customer("ada@example.com").await);
    for buyer in [&guest, &ada] {
        let cart = create(buyer, json!({ "lines": [{ "merchandiseId": font }] })).await;
        let (id, line) = (cart["id"].as_str().unwrap(), line_id(&cart, 0));
        let input = keyed(order_of(id, "10", "tok_ok"), "once");
        let placed = buyer.place(input.clone()).await.ok();
        sees_nothing(buyer, &cart["id"], &lamp, &line).await;
        // The same request again is answered by its order; another finds that there is one.
        let again = buyer.place(input).await.ok();
        assert_eq!(again["orderPlace.order"], placed["orderPlace.order"]);
        let other = order(buyer, &cart, "10").await;
        assert_eq!(other.user_errors("orderPlace")[0].code, "TAKEN");
        let next = create(buyer, json!({ "lines": [{ "merchandiseId": font }] })).await;
        order(buyer, &next, "10").await.assert_ok();
    }
    assert_eq!(app.count_orders().await, 4);
}

both!(a_cart_is_back_when_its_payment_is_declined);
async fn a_cart_is_back_when_its_payment_is_declined(app: TestApp) {
    let (_, font) = download(&app, "Font").await;
    let buyer = app.anonymous();
    let cart = create(&buyer, json!({ "lines": [{ "merchandiseId": font }] })).await;
    let id = cart["id"].as_str().unwrap();
    let declined = buyer.place(order_of(id, "10", "tok_decline")).await;
    assert_eq!(declined.user_errors("orderPlace")[0].code, "PAYMENT_DECLINED");
    assert_eq!(shown(&read(&buyer, &cart["id"]).await), ["Font 1"]);
    order(&buyer, &cart, "10").await.assert_ok();
    assert_eq!(read(&buyer, &cart["id"]).await, Value::Null);
}

both!(whoever_follows_a_cart_learns_that_it_is_ordered);
async fn whoever_follows_a_cart_learns_that_it_is_ordered(app: TestApp) {
    app.go_live();
    let (_, font) = download(&app, "Font").await;
    let buyer = app.anonymous();
    let cart = create(&buyer, json!({ "lines": [{ "merchandiseId": font }] })).await;
    let document = "subscription($id: ID!, $after: String) {
        cartUpdated(id: $id, after: $after) { kind cart { id } }
    }";
    let mut live = app.follow(&buyer, document, json!({ "id": cart["id"] })).await;
    order(&buyer, &cart, "10").await.assert_ok();
    assert_eq!(live.event().await["cartUpdated"], json!({ "kind": "cart.updated", "cart": null }));
}

both!(what_is_no_longer_for_sale_is_neither_shown_nor_ordered);
async fn what_is_no_longer_for_sale_is_neither_shown_nor_ordered(app: TestApp) {
    let (_, font) = download(&app, "Font").await;
    for status in ["DRAFT", "ARCHIVED"] {
        let (product, song) = download(&app, "Song").await;
        let buyer = app.anonymous();
        let lines = json!([{ "merchandiseId": font, "quantity": 2 }, { "merchandiseId": song }]);
        let cart = create(&buyer, json!({ "lines": lines })).await;
        let hidden = json!({ "id": product, "product": { "status": status } });
        app.admin().ask_with(HIDE, hidden).await.assert_ok();
        let shows = read(&buyer, &cart["id"]).await;
        assert_eq!(
            (shown(&shows), &shows["cost"]["totalAmount"]["amount"]),
            (vec!["Font 2".to_owned()], &json!("20.00"))
        );
        assert_eq!(warned(&shows["warnings"]), [("MERCHANDISE_OUT_OF_STOCK".to_owned(), line_id(&cart, 1))]);
        // What it cost before is no price any more; what the cart shows is.
        let before = order(&buyer, &cart, "30").await;
        assert_eq!(before.user_errors("orderPlace")[0].field, "input.expectedTotal");
        let placed = order(&buyer, &cart, "20").await.ok();
        let sold = app.order_lines(order_id(&placed)).await;
        assert_eq!(sold.iter().map(|line| line.title.as_str()).collect::<Vec<_>>(), ["Font"]);
    }
    // Of a cart that has nothing else there is nothing to order.
    let (product, song) = download(&app, "Song").await;
    let cart = create(&app.anonymous(), json!({ "lines": [{ "merchandiseId": song }] })).await;
    app.admin().ask_with(HIDE, json!({ "id": product, "product": { "status": "DRAFT" } })).await.assert_ok();
    let refused = order(&app.anonymous(), &cart, "0").await;
    let error = &refused.user_errors("orderPlace")[0];
    assert_eq!((error.field.as_str(), error.code.as_str()), ("input.cartId", "BLANK"));
}
