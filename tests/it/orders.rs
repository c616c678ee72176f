//! The life of orders as staff lead it: paid, sent, cancelled, refunded, returned, put together by hand; and who sees what of it.

mod drafts;
mod edits;
mod financial_status;
mod lists;
mod money;
mod opening;
mod sight;
mod statements;

use mercato::domain::access::permissions::Permission::{ReadOrders, WriteOrders};
use mercato::domain::ids::OrderId;
use mercato::domain::orders::OrderStatus;
use serde_json::{Value, json};

use crate::support::{Client, Reply, TestApp, both, id_of, order_argument, order_id, order_of};

/// What a mutation of orders is asked for.
const ORDER: &str = "order { id status financialStatus fulfillmentStatus cancelReason canceledAt } \
                     userErrors { field message code }";

/// A shop with a mug at 5 and a bowl at 7, and an order of three mugs and two bowls for 29, placed by a guest.
struct Shop {
    app: TestApp,
    mug: String,
    bowl: String,
    order: OrderId,
}

impl Shop {
    /// The order is paid for.
    async fn open(app: TestApp) -> Self {
        Self::with(app, "tok_ok").await
    }

    /// The order's payment ends as the token says.
    async fn with(app: TestApp, token: &str) -> Self {
        let (mug, bowl) = (app.stocked("Mug", "5", 10).await, app.stocked("Bowl", "7", 10).await);
        let cart = app.cart(&[(&mug, 3), (&bowl, 2)]).await;
        let order = order_id(&app.anonymous().place(order_of(&cart, "29", token)).await.ok());
        Self { app, mug, bowl, order }
    }

    /// Staff who see and change orders.
    fn clerk(&self) -> Client {
        self.app.staff(&[ReadOrders, WriteOrders])
    }

    fn gid(&self) -> String {
        gid(self.order)
    }

    /// The global ids of the order's lines: mugs and bowls.
    async fn lines(&self) -> [String; 2] {
        let lines = self.app.order_lines(self.order).await;
        [0, 1].map(|at| format!("gid://mercato/OrderLine/{}", uuid_of(lines[at].id)))
    }

    /// Asks for a mutation of orders, which gets the order's id unless it is told of a thing itself.
    async fn change(&self, mutation: &str, more: &str, mut told: Value) -> Reply {
        if told.get("id").is_none() && told.get("orderId").is_none() {
            told[order_argument(mutation)] = json!(self.gid());
        }
        self.clerk().change_order(mutation, &format!("{more} {ORDER}"), told).await
    }

    async fn send(&self, lines: Value) -> Reply {
        let input = if lines.is_null() { json!({}) } else { json!({ "lineItems": lines }) };
        self.change("fulfillmentCreate", "fulfillment { id status }", input).await
    }

    async fn status(&self) -> OrderStatus {
        self.app.order(self.order).await.status
    }

    /// What lies of mugs and bowls: on hand, and reserved of it.
    async fn stock(&self) -> [(i64, i64); 2] {
        [self.app.stock(&self.mug).await, self.app.stock(&self.bowl).await]
    }
}

fn gid(order: OrderId) -> String {
    format!("gid://mercato/Order/{}", uuid_of(order))
}

fn uuid_of(id: impl mercato::domain::ids::Id) -> uuid::Uuid {
    id.uuid()
}

/// Pieces of a line.
fn pieces(line: &str, quantity: i64) -> Value {
    json!({ "lineItemId": line, "quantity": quantity })
}

/// The fields to blame with their codes.
#[track_caller]
fn blamed(reply: &Reply, mutation: &str) -> Vec<String> {
    assert!(
        reply[&format!("{mutation}.order")].is_null(),
        "what is refused changes nothing: {:#}",
        reply.body()
    );
    reply.user_errors(mutation).into_iter().map(|error| format!("{} {}", error.field, error.code)).collect()
}

both!(an_order_is_sent_in_parts_and_a_part_can_come_back);
async fn an_order_is_sent_in_parts_and_a_part_can_come_back(app: TestApp) {
    let shop = Shop::open(app).await;
    let [mugs, bowls] = shop.lines().await;
    assert_eq!(shop.stock().await, [(10, 3), (10, 2)]);

    let mut input = json!({ "lineItems": [pieces(&mugs, 2)] });
    input["trackingInfo"] = json!({ "company": "DHL", "number": "1Z9", "url": "https://dhl.example/1Z9" });
    let more = "fulfillment {
        id status trackingCompany trackingInfo { number url }
        fulfillmentLineItems(first: 9) { nodes { quantity lineItem { id title fulfillableQuantity } } }
    }";
    let reply = shop.change("fulfillmentCreate", more, input).await.ok();
    assert_eq!(reply["fulfillmentCreate.order.status"], "PARTIALLY_FULFILLED");
    assert_eq!(reply["fulfillmentCreate.order.fulfillmentStatus"], "PARTIALLY_FULFILLED");
    let sent = &reply["fulfillmentCreate.fulfillment"];
    assert_eq!(
        (&sent["trackingCompany"], &sent["trackingInfo"][0]["number"]),
        (&json!("DHL"), &json!("1Z9"))
    );
    let line = json!({ "quantity": 2, "lineItem": { "id": mugs, "title": "Mug", "fulfillableQuantity": 1 } });
    assert_eq!(sent["fulfillmentLineItems"]["nodes"], json!([line]));
    assert_eq!(shop.stock().await, [(8, 1), (10, 2)], "they left the shelf where they were reserved");
    let first = sent["id"].clone();
    let negative =
        "query($id: ID!) { order(id: $id) { fulfillments { trackingInfo(first: -1) { number } } } }";
    let reply = shop.clerk().ask_with(negative, json!({ "id": shop.gid() })).await;
    assert_eq!(reply.code(), "BAD_USER_INPUT");

    let reply = shop.send(json!([pieces(&mugs, 2), pieces(&bowls, 3)])).await;
    assert_eq!(
        blamed(&reply, "fulfillmentCreate"),
        ["fulfillment.lineItems.0.quantity NOT_ALLOWED", "fulfillment.lineItems.1.quantity NOT_ALLOWED"]
    );
    assert_eq!(shop.stock().await, [(8, 1), (10, 2)]);

    let reply = shop.send(Value::Null).await.ok();
    assert_eq!(reply["fulfillmentCreate.order.status"], "FULFILLED", "all that was left");
    assert_eq!(shop.stock().await, [(7, 0), (8, 0)]);
    let reply = shop.send(Value::Null).await;
    assert_eq!(blamed(&reply, "fulfillmentCreate"), ["fulfillment.orderId NOT_ALLOWED"]);
    let message = &reply.user_errors("fulfillmentCreate")[0].message;
    assert!(message.contains("FULFILLED") && message.contains("refund"), "{message}");

    let back = |id: &Value| json!({ "id": id });
    let reply = shop.change("fulfillmentCancel", "fulfillment { status }", back(&first)).await.ok();
    assert_eq!(reply["fulfillmentCancel.fulfillment.status"], "CANCELED");
    assert_eq!(reply["fulfillmentCancel.order.status"], "PARTIALLY_FULFILLED");
    assert_eq!(shop.stock().await, [(9, 2), (8, 0)], "on the shelf and reserved again");
    let reply = shop.change("fulfillmentCancel", "", back(&first)).await;
    assert_eq!(blamed(&reply, "fulfillmentCancel"), ["id NOT_ALLOWED"]);

    assert_eq!(shop.send(Value::Null).await.ok()["fulfillmentCreate.order.status"], "FULFILLED");
    assert_eq!(shop.stock().await, [(7, 0), (8, 0)]);
    let kinds = shop.app.history(shop.order).await;
    let expected = ["order.placed", "order.paid", "fulfillment.created", "fulfillment.created"];
    assert_eq!(kinds[..4], expected);
    assert_eq!(kinds[4..], ["fulfillment.cancelled", "fulfillment.created"]);
}

both!(what_is_wrong_with_a_fulfillment_is_told);
async fn what_is_wrong_with_a_fulfillment_is_told(app: TestApp) {
    let shop = Shop::open(app).await;
    let [mugs, _] = shop.lines().await;
    let none = "gid://mercato/OrderLine/01890a5d-ac96-774b-bcce-b302099a8057";
    for (input, expected) in [
        (json!({ "lineItems": [] }), vec!["fulfillment.lineItems BLANK"]),
        (json!({ "lineItems": [pieces(&mugs, 0)] }), vec!["fulfillment.lineItems.0.quantity INVALID"]),
        (
            json!({ "lineItems": [pieces(&mugs, 1), pieces(&mugs, 1)] }),
            vec!["fulfillment.lineItems.1.lineItemId TAKEN"],
        ),
        (json!({ "lineItems": [pieces(none, 1)] }), vec!["fulfillment.lineItems.0.lineItemId NOT_FOUND"]),
        (json!({ "trackingInfo": { "url": "nowhere" } }), vec!["fulfillment.trackingInfo.url INVALID"]),
        (json!({ "idempotencyKey": "" }), vec!["idempotencyKey INVALID"]),
        (
            json!({ "orderId": "gid://mercato/Order/01890a5d-ac96-774b-bcce-b302099a8057" }),
            vec!["fulfillment.orderId NOT_FOUND"],
        ),
    ] {
        assert_eq!(blamed(&shop.change("fulfillmentCreate", "", input).await, "fulfillmentCreate"), expected);
    }
    let unknown = json!({ "id": "gid://mercato/Fulfillment/01890a5d-ac96-774b-bcce-b302099a8057" });
    assert_eq!(
        blamed(&shop.change("fulfillmentCancel", "", unknown).await, "fulfillmentCancel"),
        ["id NOT_FOUND"]
    );
    assert_eq!((shop.status().await, shop.stock().await), (OrderStatus::Paid, [(10, 3), (10, 2)]));
}

both!(a_fulfillment_that_is_sent_twice_under_one_key_sends_pieces_once);
async fn a_fulfillment_that_is_sent_twice_under_one_key_sends_pieces_once(app: TestApp) {
    let shop = Shop::open(app).await;
    let [mugs, _] = shop.lines().await;
    let input = |quantity| json!({ "lineItems": [pieces(&mugs, quantity)], "idempotencyKey": "one" });
    let both = futures_util::future::join_all(
        (0..8).map(|_| shop.change("fulfillmentCreate", "fulfillment { id }", input(1))),
    );
    let ids: Vec<Value> =
        both.await.into_iter().map(|reply| reply.ok()["fulfillmentCreate.fulfillment.id"].clone()).collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    assert_eq!(shop.stock().await, [(9, 2), (10, 2)]);
    assert_eq!(shop.change("fulfillmentCreate", "", input(2)).await.code(), "CONFLICT");
}

both!(pieces_that_two_send_at_once_are_sent_once);
async fn pieces_that_two_send_at_once_are_sent_once(app: TestApp) {
    let shop = Shop::open(app).await;
    let [mugs, _] = shop.lines().await;
    let all = (0..6).map(|_| shop.send(json!([pieces(&mugs, 1)])));
    let replies = futures_util::future::join_all(all).await;
    let sent = replies.iter().filter(|reply| reply.user_errors("fulfillmentCreate").is_empty()).count();
    assert_eq!((sent, shop.stock().await), (3, [(7, 0), (10, 2)]));
}

both!(what_is_sold_beyond_the_stock_is_taken_from_what_came_in_since);
async fn what_is_sold_beyond_the_stock_is_taken_from_what_came_in_since(app: TestApp) {
    let cup = app.sold("Cup", json!({ "price": "2", "inventoryPolicy": "CONTINUE" })).await;
    let shelf = app.create_location("Rack").await;
    app.put(&cup, &shelf, 1).await;
    let mut shop = Shop::open(app).await;
    let cart = shop.app.cart(&[(&cup, 3)]).await;
    shop.order = order_id(&shop.app.anonymous().place(order_of(&cart, "6", "tok_ok")).await.ok());
    assert_eq!(shop.app.stock(&cup).await, (1, 1));
    shop.app.put(&cup, &shelf, 1).await;
    let reply = shop.send(Value::Null).await.ok();
    assert_eq!(reply["fulfillmentCreate.order.status"], "FULFILLED");
    assert_eq!(shop.app.stock(&cup).await, (0, 0), "one was reserved, one came in, one is nowhere");
    let id = reply["fulfillmentCreate.fulfillment.id"].clone();
    shop.change("fulfillmentCancel", "", json!({ "id": id })).await.assert_ok();
    assert_eq!(shop.app.stock(&cup).await, (2, 2), "what was taken is back");
}

both!(an_order_that_is_cancelled_gives_everything_back);
async fn an_order_that_is_cancelled_gives_everything_back(app: TestApp) {
    let shop = Shop::open(app).await;
    let input = json!({ "reason": "FRAUD", "staffNote": "Stolen card.", "idempotencyKey": "k" });
    for _ in 0..2 {
        let reply = shop.change("orderCancel", "", input.clone()).await.ok();
        assert_eq!(reply["orderCancel.order.status"], "CANCELED");
        assert_eq!(reply["orderCancel.order.cancelReason"], "FRAUD");
        assert!(reply["orderCancel.order.canceledAt"].is_string());
        assert_eq!(reply["orderCancel.order.financialStatus"], "REFUNDED");
    }
    assert_eq!(shop.stock().await, [(10, 0), (10, 0)]);
    let ledger = shop.app.ledger(shop.order).await;
    assert_eq!(ledger[2..], ["refund_requested 2900", "refunded 2900"]);

    let reply = shop.change("orderCancel", "", json!({ "reason": "OTHER" })).await;
    assert_eq!(blamed(&reply, "orderCancel"), ["id NOT_ALLOWED"]);
    let message = &reply.user_errors("orderCancel")[0].message;
    assert_eq!(message, "An order that is CANCELED allows no cancellation. It allows: refund");
    for (mutation, blamed_for) in
        [("orderMarkAsPaid", "id NOT_ALLOWED"), ("fulfillmentCreate", "fulfillment.orderId NOT_ALLOWED")]
    {
        let reply = shop.change(mutation, "", json!({})).await;
        assert_eq!(blamed(&reply, mutation), [blamed_for], "{mutation}");
    }
}

both!(an_order_of_which_something_is_sent_is_not_cancelled);
async fn an_order_of_which_something_is_sent_is_not_cancelled(app: TestApp) {
    let shop = Shop::open(app).await;
    let [mugs, _] = shop.lines().await;
    shop.send(json!([pieces(&mugs, 1)])).await.assert_ok();
    let cancel = || shop.change("orderCancel", "", json!({ "reason": "CUSTOMER" }));
    assert_eq!(blamed(&cancel().await, "orderCancel"), ["id NOT_ALLOWED"]);
    // Nor when money went back, which hides it in the status.
    let refund = json!({ "lineItems": [pieces(&mugs, 1)] });
    shop.change("refundCreate", "", refund).await.assert_ok();
    assert_eq!(shop.status().await, OrderStatus::PartiallyRefunded);
    let reply = cancel().await;
    assert!(reply.user_errors("orderCancel")[0].message.contains("cancel its fulfillments first"));
}

both!(an_order_that_is_not_paid_for_is_cancelled_or_marked_as_paid);
async fn an_order_that_is_not_paid_for_is_cancelled_or_marked_as_paid(app: TestApp) {
    let (mug, bowl) = (app.stocked("Mug", "5", 10).await, app.stocked("Bowl", "7", 10).await);
    let mut shop = Shop { app, mug, bowl, order: id_of("x/01890a5d-ac96-774b-bcce-b302099a8057") };
    let transfer = |cart: &str| {
        let mut input = order_of(cart, "5", "");
        input["payment"] = json!({ "provider": "manual" });
        input
    };
    let cart = shop.app.cart(&[(&shop.mug, 1)]).await;
    shop.order = order_id(&shop.app.anonymous().place(transfer(&cart)).await.ok());
    assert_eq!(shop.status().await, OrderStatus::PendingPayment);
    assert_eq!(
        blamed(&shop.send(Value::Null).await, "fulfillmentCreate"),
        ["fulfillment.orderId NOT_ALLOWED"]
    );

    let all =
        (0..4).map(|at| shop.change("orderMarkAsPaid", "", json!({ "idempotencyKey": at.to_string() })));
    let replies = futures_util::future::join_all(all).await;
    let paid = replies.iter().filter(|reply| reply.user_errors("orderMarkAsPaid").is_empty()).count();
    assert_eq!(paid, 1, "it is paid once");
    assert_eq!(shop.status().await, OrderStatus::Paid);
    let ledger = shop.app.ledger(shop.order).await;
    assert_eq!(ledger.iter().filter(|row| row.starts_with("captured")).collect::<Vec<_>>(), ["captured 500"]);
    assert_eq!(shop.stock().await[0], (10, 1));

    let cart = shop.app.cart(&[(&shop.mug, 1)]).await;
    shop.order = order_id(&shop.app.anonymous().place(transfer(&cart)).await.ok());
    assert_eq!(shop.stock().await[0], (10, 2));
    let reply = shop.change("orderCancel", "", json!({ "reason": "CUSTOMER" })).await.ok();
    assert_eq!(reply["orderCancel.order.financialStatus"], "VOIDED");
    assert_eq!(shop.stock().await[0], (10, 1));
}

both!(an_order_that_was_given_up_by_the_clock_is_paid_late_if_its_stock_is_there);
async fn an_order_that_was_given_up_by_the_clock_is_paid_late_if_its_stock_is_there(app: TestApp) {
    let mug = app.stocked("Mug", "5", 1).await;
    let cart = app.cart(&[(&mug, 1)]).await;
    let mut input = order_of(&cart, "5", "");
    input["payment"] = json!({ "provider": "manual" });
    let order = order_id(&app.anonymous().place(input).await.ok());
    let shop = Shop { app, mug: mug.clone(), bowl: mug, order };
    shop.app.clock.advance(std::time::Duration::from_secs(8 * 24 * 60 * 60));
    shop.app.app.services.payments.expire_due(&shop.app.app.system()).await.unwrap();
    assert_eq!((shop.status().await, shop.stock().await[0]), (OrderStatus::Expired, (1, 0)));

    // Somebody else has it.
    let other = shop.app.cart(&[(&shop.mug, 1)]).await;
    let placed = shop.app.anonymous().place(order_of(&other, "5", "tok_ok")).await.ok();
    let reply = shop.change("orderMarkAsPaid", "", json!({})).await;
    assert_eq!(blamed(&reply, "orderMarkAsPaid"), ["id INSUFFICIENT_STOCK"]);
    assert_eq!(shop.status().await, OrderStatus::Expired);
    assert!(!shop.app.ledger(order).await.iter().any(|row| row.starts_with("captured")));

    let cancel = json!({ "id": gid(order_id(&placed)), "reason": "OTHER" });
    shop.change("orderCancel", "", cancel).await.assert_ok();
    let reply = shop.change("orderMarkAsPaid", "", json!({})).await.ok();
    assert_eq!(reply["orderMarkAsPaid.order.status"], "PAID");
    assert_eq!(shop.stock().await[0], (1, 1));
}

both!(stock_that_is_not_put_back_is_off_the_shelf);
async fn stock_that_is_not_put_back_is_off_the_shelf(app: TestApp) {
    let shop = Shop::open(app).await;
    let input = json!({ "reason": "INVENTORY", "restock": false, "refund": false });
    let reply = shop.change("orderCancel", "", input).await.ok();
    assert_eq!(reply["orderCancel.order.financialStatus"], "PAID", "its money was kept");
    assert_eq!(shop.stock().await, [(7, 0), (8, 0)]);
}

both!(an_order_tells_who_did_what_when);
async fn an_order_tells_who_did_what_when(app: TestApp) {
    let shop = Shop::open(app).await;
    shop.change("orderNoteAdd", "", json!({ "note": "Rang: gate code 7." })).await.assert_ok();
    let reply = shop.change("orderNoteAdd", "", json!({ "note": " " })).await;
    assert_eq!(blamed(&reply, "orderNoteAdd"), ["note BLANK"]);
    shop.send(Value::Null).await.assert_ok();

    let document = "query($id: ID!, $after: String) { order(id: $id) {
        timeline(first: 3, after: $after) { nodes { kind message actor happenedAt details } pageInfo { hasNextPage endCursor } }
    } }";
    let ask = |after: Value| {
        let variables = json!({ "id": shop.gid(), "after": after });
        async { shop.clerk().ask_with(document, variables).await.ok() }
    };
    let reply = ask(Value::Null).await;
    let nodes = reply["order.timeline.nodes"].as_array().unwrap();
    let told = |node: &Value| {
        [&node["kind"], &node["message"], &node["actor"]].map(|text| text.as_str().unwrap().to_owned())
    };
    let staff = "staff:READ_ORDERS+WRITE_ORDERS";
    assert_eq!(told(&nodes[0]), ["order.placed", "The order was placed", "anonymous"]);
    assert_eq!(nodes[1]["kind"], "order.paid");
    assert_eq!(told(&nodes[2]), ["order.note_added", "Rang: gate code 7.", staff]);
    assert!(nodes[2]["happenedAt"].is_string());
    assert_eq!(nodes[2]["details"]["note"], "Rang: gate code 7.");
    assert_eq!(reply["order.timeline.pageInfo.hasNextPage"], true);
    let rest = ask(reply["order.timeline.pageInfo.endCursor"].clone()).await;
    assert_eq!(told(&rest["order.timeline.nodes.0"]), ["fulfillment.created", "Units shipped: 5", staff]);
}
