//! Refunds and returns: never more is refunded than was paid, and returned units are restocked
//! once.

use mercato::domain::orders::OrderStatus;
use serde_json::{Value, json};

use super::{Shop, errors_of, units};
use crate::support::{Reply, TestApp, both};

/// The selection of `refundCreate`.
const REFUND: &str = "refund {
    id status note totalRefunded { amount } shippingAmount { amount }
    refundLineItems { quantity subtotal { amount } lineItem { title currentQuantity } }
}";

async fn refund(shop: &Shop, input: Value) -> Reply {
    shop.change("refundCreate", REFUND, input).await
}

fn refund_line(line: &str, quantity: i64, restock: bool) -> Value {
    json!({ "lineItemId": line, "quantity": quantity, "restock": restock })
}

both!(refunded_units_that_were_not_shipped_are_restocked);
async fn refunded_units_that_were_not_shipped_are_restocked(app: TestApp) {
    let shop = Shop::open(app).await;
    let [mugs, bowls] = shop.lines().await;
    let reply = refund(&shop, json!({ "lineItems": [units(&mugs, 1)], "note": "Chipped." })).await.ok();
    let refunded = &reply["refundCreate.refund"];
    assert_eq!((&refunded["status"], &refunded["note"]), (&json!("SUCCEEDED"), &json!("Chipped.")));
    assert_eq!(refunded["totalRefunded"]["amount"], "5.00");
    let line = json!({ "quantity": 1, "subtotal": { "amount": "5.00" }, "lineItem": { "title": "Mug", "currentQuantity": 2 } });
    assert_eq!(refunded["refundLineItems"], json!([line]));
    assert_eq!(reply["refundCreate.order.status"], "PARTIALLY_REFUNDED");
    assert_eq!(reply["refundCreate.order.financialStatus"], "PARTIALLY_REFUNDED");
    assert_eq!(shop.stock().await, [(10, 2), (10, 2)], "the unit is available again");

    // A refunded unit can't be fulfilled any more.
    let reply = shop.fulfill(json!([units(&mugs, 3)])).await;
    assert_eq!(errors_of(&reply, "fulfillmentCreate"), ["fulfillment.lineItems.0.quantity NOT_ALLOWED"]);
    refund(&shop, json!({ "lineItems": [refund_line(&bowls, 1, false)] })).await.assert_ok();
    assert_eq!(
        shop.stock().await,
        [(10, 2), (9, 1)],
        "a unit that is not restocked is removed from the stock"
    );
    let reply = shop.fulfill(Value::Null).await.ok();
    assert_eq!(
        reply["fulfillmentCreate.order.status"], "PARTIALLY_REFUNDED",
        "the refund takes precedence in the status"
    );
    assert_eq!(reply["fulfillmentCreate.order.fulfillmentStatus"], "FULFILLED");
    assert_eq!(shop.stock().await, [(8, 0), (8, 0)]);
}

both!(refunds_never_exceed_the_payment);
async fn refunds_never_exceed_the_payment(app: TestApp) {
    let shop = Shop::open(app).await;
    let [mugs, bowls] = shop.lines().await;
    for (input, expected) in [
        (json!({ "shippingAmount": "29.01" }), vec!["refund.orderId NOT_ALLOWED"]),
        (json!({ "lineItems": [units(&mugs, 4)] }), vec!["refund.lineItems.0.quantity NOT_ALLOWED"]),
        (
            json!({ "lineItems": [{ "lineItemId": mugs, "quantity": 1, "amount": "15.01" }] }),
            vec!["refund.lineItems.0.amount NOT_ALLOWED"],
        ),
        (
            json!({ "lineItems": [{ "lineItemId": mugs, "quantity": 1, "amount": "-1" }] }),
            vec!["refund.lineItems.0.amount INVALID"],
        ),
        (json!({}), vec!["refund BLANK"]),
        (json!({ "lineItems": [units(&mugs, 0)] }), vec!["refund BLANK"]),
    ] {
        assert_eq!(errors_of(&refund(&shop, input.clone()).await, "refundCreate"), expected, "{input}");
    }
    assert_eq!((shop.status().await, shop.stock().await), (OrderStatus::Paid, [(10, 3), (10, 2)]));

    // Of twenty concurrent refunds of 10 each, only two fit into the payment.
    let all = (0..20).map(|_| refund(&shop, json!({ "shippingAmount": "10" })));
    let replies = futures_util::future::join_all(all).await;
    let succeeded = replies.iter().filter(|reply| reply.user_errors("refundCreate").is_empty()).count();
    let refunded = shop.app.ledger(shop.order).await.iter().filter(|row| *row == "refunded 1000").count();
    assert_eq!((succeeded, refunded), (2, 2));
    let reply = refund(&shop, json!({ "lineItems": [units(&mugs, 3), units(&bowls, 2)] })).await;
    assert_eq!(errors_of(&reply, "refundCreate"), ["refund.orderId NOT_ALLOWED"]);
    assert!(reply.user_errors("refundCreate")[0].message.contains("9.00 of the requested 29.00"));

    let rest = json!({ "lineItems": [units(&bowls, 1)], "shippingAmount": "2" });
    assert_eq!(refund(&shop, rest).await.ok()["refundCreate.order.status"], "REFUNDED");
    assert_eq!(
        errors_of(&refund(&shop, json!({ "shippingAmount": "1" })).await, "refundCreate"),
        ["refund.orderId NOT_ALLOWED"]
    );
}

both!(a_repeated_refund_with_the_same_key_is_paid_once);
async fn a_repeated_refund_with_the_same_key_is_paid_once(app: TestApp) {
    let shop = Shop::open(app).await;
    let [mugs, _] = shop.lines().await;
    let input = |quantity| json!({ "lineItems": [units(&mugs, quantity)], "idempotencyKey": "once" });
    let replies = futures_util::future::join_all((0..8).map(|_| refund(&shop, input(1)))).await;
    let ids: Vec<Value> =
        replies.into_iter().map(|reply| reply.ok()["refundCreate.refund.id"].clone()).collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    let ledger = shop.app.ledger(shop.order).await;
    assert_eq!(ledger[2..], ["refund_requested 500", "refunded 500"]);
    assert_eq!(shop.stock().await[0], (10, 2));
    assert_eq!(refund(&shop, input(2)).await.code(), "CONFLICT");
}

both!(concurrent_cancellations_with_the_same_key_all_succeed);
async fn concurrent_cancellations_with_the_same_key_all_succeed(app: TestApp) {
    let shop = Shop::open(app).await;
    let input = json!({ "reason": "CUSTOMER", "idempotencyKey": "once" });
    let all = (0..8).map(|_| shop.change("orderCancel", "order { status }", input.clone()));
    for reply in futures_util::future::join_all(all).await {
        // If the order is already canceled, the response of the first cancellation is repeated.
        reply.assert_ok();
    }
    let history = shop.app.history(shop.order).await;
    assert_eq!(history.iter().filter(|kind| *kind == "order.cancelled").count(), 1, "{history:?}");
    // With another key, the cancellation is rejected.
    let again = json!({ "reason": "CUSTOMER", "idempotencyKey": "again" });
    let reply = shop.change("orderCancel", "order { status }", again).await;
    assert!(!reply.user_errors("orderCancel").is_empty());
}

both!(a_refund_that_the_provider_rejects_leaves_the_order_paid);
async fn a_refund_that_the_provider_rejects_leaves_the_order_paid(app: TestApp) {
    let shop = Shop::with(app, "tok_norefund").await;
    let [mugs, _] = shop.lines().await;
    let reply = refund(&shop, json!({ "lineItems": [units(&mugs, 2)] })).await.ok();
    assert_eq!(reply["refundCreate.refund.status"], "FAILED");
    assert_eq!(reply["refundCreate.order.status"], "PAID");
    assert_eq!(shop.app.order_lines(shop.order).await[0].refunded_quantity, 0);
    // The units still have to be fulfilled, and are taken from the available stock.
    shop.fulfill(json!([units(&mugs, 3)])).await.assert_ok();
    assert_eq!(shop.stock().await[0], (7, 0));
}

both!(refunding_a_line_pays_only_what_was_not_refunded_before);
async fn refunding_a_line_pays_only_what_was_not_refunded_before(app: TestApp) {
    let shop = Shop::open(app).await;
    let [mugs, _] = shop.lines().await;
    let goodwill = json!({ "lineItems": [{ "lineItemId": mugs, "quantity": 0, "amount": "4" }] });
    let reply = refund(&shop, goodwill).await.ok();
    assert_eq!(reply["refundCreate.refund.totalRefunded.amount"], "4.00");
    let reply = refund(&shop, json!({ "lineItems": [units(&mugs, 3)] })).await.ok();
    assert_eq!(reply["refundCreate.refund.totalRefunded.amount"], "11.00", "the rest of the line");
}

both!(a_cancellation_refunds_what_is_left_of_each_line);
async fn a_cancellation_refunds_what_is_left_of_each_line(app: TestApp) {
    let shop = Shop::open(app).await;
    let [mugs, bowls] = shop.lines().await;
    let goodwill = json!({ "lineItems": [{ "lineItemId": mugs, "quantity": 0, "amount": "4" }] });
    refund(&shop, goodwill).await.assert_ok();
    shop.change("orderCancel", "", json!({ "reason": "CUSTOMER" })).await.assert_ok();
    let document = "query($id: ID!) { order(id: $id) { totalRefunded { amount } refunds {
        refundLineItems { lineItem { id } quantity subtotal { amount } } } } }";
    let order = shop.app.admin().ask_with(document, json!({ "id": shop.gid() })).await.ok();
    assert_eq!(order["order.totalRefunded.amount"], "29.00");
    let line = |id: &str, quantity: i64, amount: &str| json!({ "lineItem": { "id": id }, "quantity": quantity, "subtotal": { "amount": amount } });
    let refunds = order["order.refunds"].as_array().unwrap();
    let lines: Vec<&Value> =
        refunds.iter().flat_map(|refund| refund["refundLineItems"].as_array().unwrap()).collect();
    assert_eq!(lines, [&line(&mugs, 0, "4.00"), &line(&mugs, 3, "11.00"), &line(&bowls, 2, "14.00")]);
}

both!(returned_units_are_restocked_once);
async fn returned_units_are_restocked_once(app: TestApp) {
    let shop = Shop::open(app).await;
    let [mugs, bowls] = shop.lines().await;
    let ask = |lines: Value| {
        shop.change(
            "returnCreate",
            "return { id status }",
            json!({ "lineItems": lines, "reason": "Too big" }),
        )
    };
    assert_eq!(
        errors_of(&ask(json!([units(&mugs, 1)])).await, "returnCreate"),
        ["return.orderId NOT_ALLOWED"]
    );
    shop.fulfill(Value::Null).await.assert_ok();
    assert_eq!(shop.stock().await, [(7, 0), (8, 0)]);

    let reply = ask(json!([units(&mugs, 2), units(&bowls, 1)])).await.ok();
    assert_eq!(reply["returnCreate.return.status"], "OPEN");
    let id = reply["returnCreate.return.id"].clone();
    assert_eq!(
        errors_of(&ask(json!([units(&mugs, 2)])).await, "returnCreate"),
        ["return.lineItems.0.quantity NOT_ALLOWED"]
    );

    let receive = |input: Value| {
        shop.change("returnReceive", "return { status returnLineItems { quantity receivedQuantity } }", input)
    };
    let too_many = json!({ "id": id, "lineItems": [units(&mugs, 3)] });
    assert_eq!(
        errors_of(&receive(too_many).await, "returnReceive"),
        ["input.lineItems.0.quantity NOT_ALLOWED"]
    );
    let input = json!({ "id": id, "lineItems": [units(&mugs, 1), units(&bowls, 1)], "idempotencyKey": "r" });
    for _ in 0..2 {
        let reply = receive(input.clone()).await.ok();
        assert_eq!(reply["returnReceive.return.status"], "RECEIVED");
        let lines =
            json!([{ "quantity": 2, "receivedQuantity": 1 }, { "quantity": 1, "receivedQuantity": 1 }]);
        assert_eq!(reply["returnReceive.return.returnLineItems"], lines);
        assert_eq!(shop.stock().await, [(8, 0), (9, 0)]);
    }
    assert_eq!(errors_of(&receive(json!({ "id": id })).await, "returnReceive"), ["id NOT_ALLOWED"]);

    // Refunding all mugs restocks only those that were not restocked before.
    refund(&shop, json!({ "lineItems": [units(&mugs, 3)] })).await.assert_ok();
    assert_eq!(shop.stock().await, [(10, 0), (9, 0)]);
    assert_eq!(
        errors_of(&ask(json!([units(&mugs, 1)])).await, "returnCreate"),
        ["return.lineItems.0.quantity NOT_ALLOWED"]
    );
    let document = "query($id: ID!) { order(id: $id) { fulfillments { id } } }";
    let reply = shop.clerk().ask_with(document, json!({ "id": shop.gid() })).await.ok();
    let reply = shop.change("fulfillmentCancel", "", json!({ "id": reply["order.fulfillments.0.id"] })).await;
    assert_eq!(errors_of(&reply, "fulfillmentCancel"), ["id NOT_ALLOWED"], "its units were returned");
}

both!(returned_units_are_not_restocked_if_staff_say_so);
async fn returned_units_are_not_restocked_if_staff_say_so(app: TestApp) {
    let shop = Shop::open(app).await;
    let [mugs, _] = shop.lines().await;
    shop.fulfill(Value::Null).await.assert_ok();
    let input = json!({ "lineItems": [units(&mugs, 1)] });
    let id = shop.change("returnCreate", "return { id }", input).await.ok()["returnCreate.return.id"].clone();
    shop.change("returnReceive", "", json!({ "id": id, "restock": false })).await.assert_ok();
    refund(&shop, json!({ "lineItems": [refund_line(&mugs, 1, false)] })).await.assert_ok();
    assert_eq!(shop.stock().await[0], (7, 0));
}
