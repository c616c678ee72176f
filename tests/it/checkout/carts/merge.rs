//! Merging another cart of a customer into a cart.

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::{create, create_untracked, lines_of, problems, read, send, send_ok};
use crate::support::{Client, Reply, TestApp, both};

const UPDATE: &str = "cartBuyerIdentityUpdate";

fn variables(cart: &Value, source: &Value) -> Value {
    json!({ "cartId": cart["id"], "buyerIdentity": { "countryCode": "US" }, "mergeFromCartId": source["id"] })
}

async fn merge(client: &Client, cart: &Value, source: &Value) -> Reply {
    send(client, UPDATE, variables(cart, source)).await
}

fn new_line(variant: &str, quantity: i64) -> Value {
    json!({ "merchandiseId": variant, "quantity": quantity })
}

both!(the_lines_and_codes_of_another_cart_are_moved_into_the_customers_cart);
async fn the_lines_and_codes_of_another_cart_are_moved_into_the_customers_cart(app: TestApp) {
    let mug = create_untracked(&app, "Mug").await;
    let bowl = create_untracked(&app, "Bowl").await;
    let engraved = json!({ "merchandiseId": mug, "attributes": [{ "key": "gift", "value": "yes" }] });
    let (guest, customer) = (app.anonymous(), app.customer());
    let input = json!({ "lines": [new_line(&mug, 2)], "discountCodes": ["SUMMER"] });
    let cart = create(&guest, input).await;
    let input = json!({
        "lines": [new_line(&mug, 3), engraved, new_line(&bowl, 1)], "discountCodes": ["summer", "TEN"],
    });
    let source = create(&customer, input).await;

    let merged = send_ok(&customer, UPDATE, variables(&cart, &source)).await;
    assert_eq!(lines_of(&merged), ["Mug 5", "Mug 1", "Bowl 1"]);
    assert_eq!(merged["lines"]["nodes"][1]["attribute"]["value"], "yes");
    assert_eq!(merged["buyerIdentity"]["customer"]["email"], "customer@example.com");
    assert_eq!(merged["buyerIdentity"]["countryCode"], "US");
    let codes: Vec<&Value> =
        merged["discountCodes"].as_array().unwrap().iter().map(|code| &code["code"]).collect();
    assert_eq!(codes, ["SUMMER", "TEN"]);
    let emptied = read(&customer, &source["id"]).await;
    assert_eq!((emptied["totalQuantity"].as_i64(), &emptied["discountCodes"]), (Some(0), &json!([])));

    // A repeated request adds nothing.
    let again = send_ok(&customer, UPDATE, variables(&cart, &source)).await;
    assert_eq!(lines_of(&again), ["Mug 5", "Mug 1", "Bowl 1"]);
}

both!(a_guests_cart_is_merged_by_whoever_has_its_id_and_is_signed_in);
async fn a_guests_cart_is_merged_by_whoever_has_its_id_and_is_signed_in(app: TestApp) {
    let mug = create_untracked(&app, "Mug").await;
    let (guest, customer) = (app.anonymous(), app.customer());
    let source = create(&guest, json!({ "lines": [new_line(&mug, 2)] })).await;
    let cart = create(&customer, json!({ "lines": [new_line(&mug, 1)] })).await;
    let other = create(&guest, json!({ "lines": [new_line(&mug, 1)] })).await;
    assert_eq!(problems(&merge(&guest, &other, &source).await, UPDATE), ["mergeFromCartId NOT_ALLOWED"]);
    assert_eq!(problems(&merge(&customer, &cart, &cart).await, UPDATE), ["mergeFromCartId INVALID"]);
    let merged = merge(&customer, &cart, &source).await.ok();
    assert_eq!(lines_of(&merged["cartBuyerIdentityUpdate.cart"]), ["Mug 3"]);
    assert_eq!(read(&guest, &source["id"]).await["totalQuantity"], 0);
}

both!(the_cart_of_another_customer_is_not_merged);
async fn the_cart_of_another_customer_is_not_merged(app: TestApp) {
    let mug = create_untracked(&app, "Mug").await;
    let (owner, eve) = (app.customer(), app.new_customer("eve@example.com").await);
    let source = create(&owner, json!({ "lines": [new_line(&mug, 2)] })).await;
    let cart = create(&eve, json!({ "lines": [new_line(&mug, 1)] })).await;
    let without_key = json!({ "id": source["id"].as_str().unwrap().split('?').next() });
    for source in [&source, &without_key] {
        assert_eq!(problems(&merge(&eve, &cart, source).await, UPDATE), ["mergeFromCartId INVALID"]);
    }
    assert_eq!(problems(&merge(&eve, &source, &cart).await, UPDATE), ["cartId INVALID"]);
    assert_eq!(lines_of(&read(&eve, &cart["id"]).await), ["Mug 1"]);
    assert_eq!(lines_of(&read(&owner, &source["id"]).await), ["Mug 2"]);
}

both!(merged_quantities_are_limited_to_the_available_stock);
async fn merged_quantities_are_limited_to_the_available_stock(app: TestApp) {
    let mug = app.create_stocked("Mug", "4", 5).await;
    let customer = app.customer();
    let cart = create(&customer, json!({ "lines": [new_line(&mug, 3)] })).await;
    let source = create(&customer, json!({ "lines": [new_line(&mug, 4)] })).await;
    let merged = merge(&customer, &cart, &source).await.ok();
    assert_eq!(lines_of(&merged["cartBuyerIdentityUpdate.cart"]), ["Mug 5"]);
    assert_eq!(merged["cartBuyerIdentityUpdate.warnings.0.code"], "MERCHANDISE_NOT_ENOUGH_STOCK");
}

both!(a_merge_beyond_the_limits_of_a_cart_changes_neither_cart);
async fn a_merge_beyond_the_limits_of_a_cart_changes_neither_cart(app: TestApp) {
    let mug = create_untracked(&app, "Mug").await;
    let customer = app.customer();
    let cart = create(&customer, json!({ "lines": [new_line(&mug, 1_000_000)] })).await;
    let source = create(&customer, json!({ "lines": [new_line(&mug, 1)] })).await;
    assert_eq!(
        problems(&merge(&customer, &cart, &source).await, UPDATE),
        ["mergeFromCartId MAXIMUM_EXCEEDED"]
    );
    assert_eq!(lines_of(&read(&customer, &cart["id"]).await), ["Mug 1000000"]);
    assert_eq!(lines_of(&read(&customer, &source["id"]).await), ["Mug 1"]);
}

both!(concurrent_merges_move_each_line_once);
async fn concurrent_merges_move_each_line_once(app: TestApp) {
    let mug = create_untracked(&app, "Mug").await;
    let customer = app.customer();
    let first = create(&customer, json!({ "lines": [new_line(&mug, 2)] })).await;
    let second = create(&customer, json!({ "lines": [new_line(&mug, 3)] })).await;
    // In both directions at once.
    let merges = (0..6).map(|at| {
        let (cart, source) = if at % 2 == 0 { (&first, &second) } else { (&second, &first) };
        merge(&customer, cart, source)
    });
    for reply in join_all(merges).await {
        reply.assert_ok();
    }
    let quantity = async |cart: &Value| read(&customer, &cart["id"]).await["totalQuantity"].as_i64().unwrap();
    assert_eq!(quantity(&first).await + quantity(&second).await, 5);
}
