//! Refunds and returns: what goes back never comes to more than what was paid, and what comes back is counted once.

use mercato::domain::orders::OrderStatus;
use serde_json::{Value, json};

use super::{Shop, blamed, pieces};
use crate::support::{Reply, TestApp, both};

/// What is asked of a refund.
const REFUND: &str = "refund {
    id status note totalRefunded { amount } shippingAmount { amount }
    refundLineItems { quantity subtotal { amount } lineItem { title currentQuantity } }
}";

async fn refund(shop: &Shop, input: Value) -> Reply {
    shop.change("refundCreate", REFUND, input).await
}

fn restocked(line: &str, quantity: i64, restock: bool) -> Value {
    json!({ "lineItemId": line, "quantity": quantity, "restock": restock })
}

both!(pieces_that_are_not_sent_are_refunded_and_can_be_sold_again);
async fn pieces_that_are_not_sent_are_refunded_and_can_be_sold_again(app: TestApp) {
    let shop = Shop::open(app).await;
    let [mugs, bowls] = shop.lines().await;
    let reply = refund(&shop, json!({ "lineItems": [pieces(&mugs, 1)], "note": "Chipped." })).await.ok();
    let made = &reply["refundCreate.refund"];
    assert_eq!((&made["status"], &made["note"]), (&json!("SUCCEEDED"), &json!("Chipped.")));
    assert_eq!(made["totalRefunded"]["amount"], "5.00");
    let line = json!({ "quantity": 1, "subtotal": { "amount": "5.00" }, "lineItem": { "title": "Mug", "currentQuantity": 2 } });
    assert_eq!(made["refundLineItems"], json!([line]));
    assert_eq!(reply["refundCreate.order.status"], "PARTIALLY_REFUNDED");
    assert_eq!(reply["refundCreate.order.financialStatus"], "PARTIALLY_REFUNDED");
    assert_eq!(shop.stock().await, [(10, 2), (10, 2)], "it can be sold again");

    // A piece that is refunded is not sent any more.
    let reply = shop.send(json!([pieces(&mugs, 3)])).await;
    assert_eq!(blamed(&reply, "fulfillmentCreate"), ["fulfillment.lineItems.0.quantity NOT_ALLOWED"]);
    refund(&shop, json!({ "lineItems": [restocked(&bowls, 1, false)] })).await.assert_ok();
    assert_eq!(shop.stock().await, [(10, 2), (9, 1)], "one is broken: off the shelf");
    let reply = shop.send(Value::Null).await.ok();
    assert_eq!(
        reply["fulfillmentCreate.order.status"], "PARTIALLY_REFUNDED",
        "money that went back shows first"
    );
    assert_eq!(reply["fulfillmentCreate.order.fulfillmentStatus"], "FULFILLED");
    assert_eq!(shop.stock().await, [(8, 0), (8, 0)]);
}

both!(more_than_was_paid_does_not_go_back);
async fn more_than_was_paid_does_not_go_back(app: TestApp) {
    let shop = Shop::open(app).await;
    let [mugs, bowls] = shop.lines().await;
    for (input, expected) in [
        (json!({ "shippingAmount": "29.01" }), vec!["refund.orderId NOT_ALLOWED"]),
        (json!({ "lineItems": [pieces(&mugs, 4)] }), vec!["refund.lineItems.0.quantity NOT_ALLOWED"]),
        (
            json!({ "lineItems": [{ "lineItemId": mugs, "quantity": 1, "amount": "15.01" }] }),
            vec!["refund.lineItems.0.amount NOT_ALLOWED"],
        ),
        (
            json!({ "lineItems": [{ "lineItemId": mugs, "quantity": 1, "amount": "-1" }] }),
            vec!["refund.lineItems.0.amount INVALID"],
        ),
        (json!({}), vec!["refund BLANK"]),
        (json!({ "lineItems": [pieces(&mugs, 0)] }), vec!["refund BLANK"]),
    ] {
        assert_eq!(blamed(&refund(&shop, input.clone()).await, "refundCreate"), expected, "{input}");
    }
    assert_eq!((shop.status().await, shop.stock().await), (OrderStatus::Paid, [(10, 3), (10, 2)]));

    // Twenty ask for ten each at once: two of them get it.
    let all = (0..20).map(|_| refund(&shop, json!({ "shippingAmount": "10" })));
    let replies = futures_util::future::join_all(all).await;
    let made = replies.iter().filter(|reply| reply.user_errors("refundCreate").is_empty()).count();
    let gone = shop.app.ledger(shop.order).await.iter().filter(|row| *row == "refunded 1000").count();
    assert_eq!((made, gone), (2, 2));
    let reply = refund(&shop, json!({ "lineItems": [pieces(&mugs, 3), pieces(&bowls, 2)] })).await;
    assert_eq!(blamed(&reply, "refundCreate"), ["refund.orderId NOT_ALLOWED"]);
    assert!(reply.user_errors("refundCreate")[0].message.contains("9.00 of the requested 29.00"));

    let rest = json!({ "lineItems": [pieces(&bowls, 1)], "shippingAmount": "2" });
    assert_eq!(refund(&shop, rest).await.ok()["refundCreate.order.status"], "REFUNDED");
    assert_eq!(
        blamed(&refund(&shop, json!({ "shippingAmount": "1" })).await, "refundCreate"),
        ["refund.orderId NOT_ALLOWED"]
    );
}

both!(a_refund_that_is_sent_twice_under_one_key_goes_back_once);
async fn a_refund_that_is_sent_twice_under_one_key_goes_back_once(app: TestApp) {
    let shop = Shop::open(app).await;
    let [mugs, _] = shop.lines().await;
    let input = |quantity| json!({ "lineItems": [pieces(&mugs, quantity)], "idempotencyKey": "once" });
    let replies = futures_util::future::join_all((0..8).map(|_| refund(&shop, input(1)))).await;
    let ids: Vec<Value> =
        replies.into_iter().map(|reply| reply.ok()["refundCreate.refund.id"].clone()).collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    let ledger = shop.app.ledger(shop.order).await;
    assert_eq!(ledger[2..], ["refund_requested 500", "refunded 500"]);
    assert_eq!(shop.stock().await[0], (10, 2));
    assert_eq!(refund(&shop, input(2)).await.code(), "CONFLICT");
}

both!(a_cancellation_that_is_sent_many_times_at_once_under_one_key_succeeds_each_time);
async fn a_cancellation_that_is_sent_many_times_at_once_under_one_key_succeeds_each_time(app: TestApp) {
    let shop = Shop::open(app).await;
    let input = json!({ "reason": "CUSTOMER", "idempotencyKey": "once" });
    let all = (0..8).map(|_| shop.change("orderCancel", "order { status }", input.clone()));
    for reply in futures_util::future::join_all(all).await {
        // Those that find the order cancelled already are told what the first one was told.
        reply.assert_ok();
    }
    let history = shop.app.history(shop.order).await;
    assert_eq!(history.iter().filter(|kind| *kind == "order.cancelled").count(), 1, "{history:?}");
    // With another key, it is refused.
    let again = json!({ "reason": "CUSTOMER", "idempotencyKey": "again" });
    let reply = shop.change("orderCancel", "order { status }", again).await;
    assert!(!reply.user_errors("orderCancel").is_empty());
}

both!(a_refund_that_the_provider_refuses_leaves_the_order_as_it_was_paid);
async fn a_refund_that_the_provider_refuses_leaves_the_order_as_it_was_paid(app: TestApp) {
    let shop = Shop::with(app, "tok_norefund").await;
    let [mugs, _] = shop.lines().await;
    let reply = refund(&shop, json!({ "lineItems": [pieces(&mugs, 2)] })).await.ok();
    assert_eq!(reply["refundCreate.refund.status"], "FAILED");
    assert_eq!(reply["refundCreate.order.status"], "PAID");
    assert_eq!(shop.app.order_lines(shop.order).await[0].refunded_quantity, 0);
    // They are still to be sent, and taken from what lies free.
    shop.send(json!([pieces(&mugs, 3)])).await.assert_ok();
    assert_eq!(shop.stock().await[0], (7, 0));
}

both!(money_goes_back_for_a_part_of_a_price_and_never_twice);
async fn money_goes_back_for_a_part_of_a_price_and_never_twice(app: TestApp) {
    let shop = Shop::open(app).await;
    let [mugs, _] = shop.lines().await;
    let goodwill = json!({ "lineItems": [{ "lineItemId": mugs, "quantity": 0, "amount": "4" }] });
    let reply = refund(&shop, goodwill).await.ok();
    assert_eq!(reply["refundCreate.refund.totalRefunded.amount"], "4.00");
    let reply = refund(&shop, json!({ "lineItems": [pieces(&mugs, 3)] })).await.ok();
    assert_eq!(reply["refundCreate.refund.totalRefunded.amount"], "11.00", "what is left of the line");
}

both!(what_comes_back_is_on_the_shelf_once);
async fn what_comes_back_is_on_the_shelf_once(app: TestApp) {
    let shop = Shop::open(app).await;
    let [mugs, bowls] = shop.lines().await;
    let ask = |lines: Value| {
        shop.change(
            "returnCreate",
            "return { id status }",
            json!({ "lineItems": lines, "reason": "Too big" }),
        )
    };
    assert_eq!(blamed(&ask(json!([pieces(&mugs, 1)])).await, "returnCreate"), ["return.orderId NOT_ALLOWED"]);
    shop.send(Value::Null).await.assert_ok();
    assert_eq!(shop.stock().await, [(7, 0), (8, 0)]);

    let reply = ask(json!([pieces(&mugs, 2), pieces(&bowls, 1)])).await.ok();
    assert_eq!(reply["returnCreate.return.status"], "OPEN");
    let id = reply["returnCreate.return.id"].clone();
    assert_eq!(
        blamed(&ask(json!([pieces(&mugs, 2)])).await, "returnCreate"),
        ["return.lineItems.0.quantity NOT_ALLOWED"]
    );

    let receive = |input: Value| {
        shop.change("returnReceive", "return { status returnLineItems { quantity receivedQuantity } }", input)
    };
    let too_many = json!({ "id": id, "lineItems": [pieces(&mugs, 3)] });
    assert_eq!(blamed(&receive(too_many).await, "returnReceive"), ["input.lineItems.0.quantity NOT_ALLOWED"]);
    let input =
        json!({ "id": id, "lineItems": [pieces(&mugs, 1), pieces(&bowls, 1)], "idempotencyKey": "r" });
    for _ in 0..2 {
        let reply = receive(input.clone()).await.ok();
        assert_eq!(reply["returnReceive.return.status"], "RECEIVED");
        let lines =
            json!([{ "quantity": 2, "receivedQuantity": 1 }, { "quantity": 1, "receivedQuantity": 1 }]);
        assert_eq!(reply["returnReceive.return.returnLineItems"], lines);
        assert_eq!(shop.stock().await, [(8, 0), (9, 0)]);
    }
    assert_eq!(blamed(&receive(json!({ "id": id })).await, "returnReceive"), ["id NOT_ALLOWED"]);

    // Refunding all mugs puts back only those that are not back yet.
    refund(&shop, json!({ "lineItems": [pieces(&mugs, 3)] })).await.assert_ok();
    assert_eq!(shop.stock().await, [(10, 0), (9, 0)]);
    assert_eq!(
        blamed(&ask(json!([pieces(&mugs, 1)])).await, "returnCreate"),
        ["return.lineItems.0.quantity NOT_ALLOWED"]
    );
    let sent = "query($id: ID!) { order(id: $id) { fulfillments { id } } }";
    let sent = shop.clerk().ask_with(sent, json!({ "id": shop.gid() })).await.ok();
    let reply = shop.change("fulfillmentCancel", "", json!({ "id": sent["order.fulfillments.0.id"] })).await;
    assert_eq!(blamed(&reply, "fulfillmentCancel"), ["id NOT_ALLOWED"], "it arrived");
}

both!(what_comes_back_broken_is_not_on_the_shelf);
async fn what_comes_back_broken_is_not_on_the_shelf(app: TestApp) {
    let shop = Shop::open(app).await;
    let [mugs, _] = shop.lines().await;
    shop.send(Value::Null).await.assert_ok();
    let input = json!({ "lineItems": [pieces(&mugs, 1)] });
    let id = shop.change("returnCreate", "return { id }", input).await.ok()["returnCreate.return.id"].clone();
    shop.change("returnReceive", "", json!({ "id": id, "restock": false })).await.assert_ok();
    refund(&shop, json!({ "lineItems": [restocked(&mugs, 1, false)] })).await.assert_ok();
    assert_eq!(shop.stock().await[0], (7, 0));
}
