//! Who may see an order: staff with permission, its customer, and anyone who has its token.

use mercato::domain::access::permissions::Permission::{
    ReadCustomers, ReadOrders, ReadProducts, WriteOrders,
};
use serde_json::{Value, json};

use super::gid;
use crate::support::{Client, TestApp, both, order_id, order_input};

const BY_ID: &str = "query($id: ID!, $token: String) { order(id: $id, token: $token) { name email token } }";
const BY_NODE: &str = "query($id: ID!) { node(id: $id) { id ... on Order { name email token } } }";
const BY_NODES: &str = "query($id: ID!) { nodes(ids: [$id]) { id ... on Order { name email token } } }";

/// Whether a client sees an order without a token: by `order`, `node` and `nodes`.
async fn sees(client: &Client, id: &str) -> [bool; 3] {
    let by_id = client.ask_with(BY_ID, json!({ "id": id })).await.ok();
    let by_node = client.ask_with(BY_NODE, json!({ "id": id })).await.ok();
    let by_nodes = client.ask_with(BY_NODES, json!({ "id": id })).await.ok();
    [&by_id["order"], &by_node["node"], &by_nodes["nodes.0"]].map(|found| !found.is_null())
}

both!(orders_are_visible_to_staff_their_customer_and_holders_of_their_token);
async fn orders_are_visible_to_staff_their_customer_and_holders_of_their_token(app: TestApp) {
    let mug = app.create_stocked("Mug", "5", 10).await;
    let cart = app.cart_of(Some(app.customer_id), &[(&mug, 1)], &[], None).await;
    let customers = gid(order_id(&app.customer().place(order_input(&cart, "5", "tok_ok")).await.ok()));
    let cart = app.cart(&[(&mug, 1)]).await;
    let placed = app.anonymous().place(order_input(&cart, "5", "tok_ok")).await.ok();
    let (guests, token) = (gid(order_id(&placed)), placed["orderPlace.token"].clone());
    let other = app.new_customer("other@example.com").await;

    for (who, client, expected) in [
        ("anonymous", app.anonymous(), [false, false]),
        ("the customer", app.customer(), [true, false]),
        ("another customer", other.clone(), [false, false]),
        ("staff who may read orders", app.staff(&[ReadOrders]), [true, true]),
        ("staff who may only write orders", app.staff(&[WriteOrders]), [false, false]),
        ("staff with other permissions", app.staff(&[ReadProducts, ReadCustomers]), [false, false]),
    ] {
        assert_eq!(sees(&client, &customers).await, [expected[0]; 3], "a customer's order for {who}");
        assert_eq!(sees(&client, &guests).await, [expected[1]; 3], "a guest's order for {who}");
    }

    for client in [app.anonymous(), other.clone(), app.customer()] {
        let reply = client.ask_with(BY_ID, json!({ "id": guests, "token": token })).await.ok();
        assert_eq!(reply["order.name"], "#1002");
        for wrong in ["", "0", &format!("{}0", token.as_str().unwrap()), &"0".repeat(48)] {
            let reply = client.ask_with(BY_ID, json!({ "id": guests, "token": wrong })).await.ok();
            assert!(reply["order"].is_null(), "{wrong}");
        }
    }
    // A token is valid for one order.
    let reply = app.anonymous().ask_with(BY_ID, json!({ "id": customers, "token": token })).await.ok();
    assert!(reply["order"].is_null());
    // The parts of an order can't be fetched by their ids either.
    for kind in ["OrderLine", "Fulfillment", "Refund", "Return", "Payment", "DraftOrder"] {
        let id = guests.replace("/Order/", &format!("/{kind}/"));
        let reply = app.anonymous().ask_with(BY_NODE, json!({ "id": id })).await.ok();
        assert!(reply["node"].is_null(), "{kind}");
    }

    let orders = "{ customer { orders(first: 9) { nodes { name } } } }";
    assert_eq!(app.customer().ask(orders).await.ok()["customer.orders.nodes"], json!([{ "name": "#1001" }]));
    assert_eq!(other.ask(orders).await.ok()["customer.orders.nodes"], json!([]));
    assert!(app.anonymous().ask(orders).await.ok()["customer"].is_null());
}

both!(guests_see_the_fields_for_buyers_but_not_those_for_staff);
async fn guests_see_the_fields_for_buyers_but_not_those_for_staff(app: TestApp) {
    let shop = super::Shop::open(app).await;
    let [mugs, _] = shop.lines().await;
    let input = json!({ "lineItems": [super::units(&mugs, 1)], "note": "Difficult customer" });
    shop.change("refundCreate", "", input).await.assert_ok();
    let token = shop.app.app.auth.keys.order_token(shop.order);
    let ask = |fields: &str| {
        let document =
            format!("query($id: ID!, $token: String) {{ order(id: $id, token: $token) {{ {fields} }} }}");
        let variables = json!({ "id": shop.gid(), "token": token });
        let client = shop.app.anonymous();
        async move { client.ask_with(&document, variables).await }
    };
    let reply = ask(
        "name orderNumber email status financialStatus fulfillmentStatus currencyCode edited
        subtotalPrice { amount } totalPrice { amount currencyCode } totalTax { amount } totalShippingPrice { amount }
        totalRefunded { amount } currentTotalPrice { amount } currentSubtotalPrice { amount } currentTotalTax { amount }
        totalPriceV2 { amount } note customAttributes { key value } statusUrl processedAt canceledAt cancelReason
        shippingAddress { city } billingAddress { city } shippingLine { title } customer { email }
        successfulFulfillments(first: 2) { trackingCompany } returns { id } fulfillments { id }
        refunds { status totalRefunded { amount } refundLineItems { quantity } }
        lineItems(first: 1) { edges { cursor node {
            title variantTitle quantity currentQuantity originalTotalPrice { amount } discountedTotalPrice { amount }
            taxLines { title rate price { amount } } variant { price { amount } } sku
        } } pageInfo { hasNextPage } }",
    )
    .await
    .ok();
    let order = &reply["order"];
    assert_eq!(
        (&order["email"], &order["totalPrice"]["amount"]),
        (&json!("ada@example.com"), &json!("29.00"))
    );
    assert_eq!(
        (&order["totalRefunded"]["amount"], &order["currentTotalPrice"]["amount"]),
        (&json!("5.00"), &json!("24.00"))
    );
    assert_eq!(
        (&order["currentSubtotalPrice"]["amount"], &order["note"]),
        (&json!("24.00"), &json!("Ring twice"))
    );
    let line = &order["lineItems"]["edges"][0]["node"];
    assert_eq!((&line["quantity"], &line["currentQuantity"]), (&json!(3), &json!(2)));
    assert!(order["statusUrl"].as_str().unwrap().contains(&token));

    let negative = "successfulFulfillments(first: -1) { trackingCompany }";
    assert_eq!(ask(negative).await.code(), "BAD_USER_INPUT");
    for fields in [
        "timeline(first: 1) { nodes { kind } }",
        "transactions { kind }",
        "refundableAmount { amount }",
        "refunds { note }",
    ] {
        assert_eq!(ask(fields).await.code(), "UNAUTHENTICATED", "{fields}");
    }
    let staff = "query($id: ID!) { order(id: $id) { refundableAmount { amount } refunds { note }
        transactions { kind provider amount { amount } message processedAt reference } } }";
    let reply = shop.clerk().ask_with(staff, json!({ "id": shop.gid() })).await.ok();
    assert_eq!(reply["order.refundableAmount.amount"], "24.00");
    let kinds: Vec<&Value> =
        reply["order.transactions"].as_array().unwrap().iter().map(|row| &row["kind"]).collect();
    assert_eq!(kinds, ["REQUESTED", "CAPTURED", "REFUND_REQUESTED", "REFUNDED"]);
    assert_eq!(reply["order.refunds.0.note"], "Difficult customer");
}
