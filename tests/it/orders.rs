//! Orders as staff process them: paid, shipped, canceled, refunded, returned, created as drafts;
//! and who may see them.

mod drafts;
mod edits;
mod financial_status;
mod lists;
mod opening;
mod refunds;
mod statements;
mod visibility;

use mercato::domain::access::permissions::Permission::{ReadOrders, WriteOrders};
use mercato::domain::ids::OrderId;
use mercato::domain::orders::OrderStatus;
use serde_json::{Value, json};

use crate::support::{Client, Reply, TestApp, both, id_of, order_argument, order_id, order_input};

/// The selection of every mutation of an order.
const ORDER: &str = "order { id status financialStatus fulfillmentStatus cancelReason canceledAt } \
                     userErrors { field message code }";

/// A shop that sells mugs for 5 and bowls for 7, with a guest's order of three mugs and two bowls
/// for 29.
struct Shop {
    app: TestApp,
    mug: String,
    bowl: String,
    order: OrderId,
}

impl Shop {
    /// With a paid order.
    async fn open(app: TestApp) -> Self {
        Self::with(app, "tok_ok").await
    }

    /// With an order whose payment has the outcome of the token.
    async fn with(app: TestApp, token: &str) -> Self {
        let (mug, bowl) =
            (app.create_stocked("Mug", "5", 10).await, app.create_stocked("Bowl", "7", 10).await);
        let cart = app.cart(&[(&mug, 3), (&bowl, 2)]).await;
        let order = order_id(&app.anonymous().place(order_input(&cart, "29", token)).await.ok());
        Self { app, mug, bowl, order }
    }

    /// A staff member who may read and write orders.
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

    /// Runs a mutation of an order: by default of the shop's order.
    async fn change(&self, mutation: &str, more: &str, mut fields: Value) -> Reply {
        if fields.get("id").is_none() && fields.get("orderId").is_none() {
            fields[order_argument(mutation)] = json!(self.gid());
        }
        self.clerk().change_order(mutation, &format!("{more} {ORDER}"), fields).await
    }

    async fn fulfill(&self, lines: Value) -> Reply {
        let input = if lines.is_null() { json!({}) } else { json!({ "lineItems": lines }) };
        self.change("fulfillmentCreate", "fulfillment { id status }", input).await
    }

    async fn status(&self) -> OrderStatus {
        self.app.order(self.order).await.status
    }

    /// The stock of mugs and bowls: on hand, and reserved.
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

/// A line item input with a quantity.
fn units(line: &str, quantity: i64) -> Value {
    json!({ "lineItemId": line, "quantity": quantity })
}

/// The fields and codes of the user errors.
#[track_caller]
fn errors_of(reply: &Reply, mutation: &str) -> Vec<String> {
    assert!(
        reply[&format!("{mutation}.order")].is_null(),
        "a rejected mutation returns no order: {:#}",
        reply.body()
    );
    reply.user_errors(mutation).into_iter().map(|error| format!("{} {}", error.field, error.code)).collect()
}

both!(orders_can_be_fulfilled_in_parts_and_a_fulfillment_canceled);
async fn orders_can_be_fulfilled_in_parts_and_a_fulfillment_canceled(app: TestApp) {
    let shop = Shop::open(app).await;
    let [mugs, bowls] = shop.lines().await;
    assert_eq!(shop.stock().await, [(10, 3), (10, 2)]);

    let mut input = json!({ "lineItems": [units(&mugs, 2)] });
    input["trackingInfo"] = json!({ "company": "DHL", "number": "1Z9", "url": "https://dhl.example/1Z9" });
    let more = "fulfillment {
        id status trackingCompany trackingInfo { number url }
        fulfillmentLineItems(first: 9) { nodes { quantity lineItem { id title fulfillableQuantity } } }
    }";
    let reply = shop.change("fulfillmentCreate", more, input).await.ok();
    assert_eq!(reply["fulfillmentCreate.order.status"], "PARTIALLY_FULFILLED");
    assert_eq!(reply["fulfillmentCreate.order.fulfillmentStatus"], "PARTIALLY_FULFILLED");
    let first_fulfillment = &reply["fulfillmentCreate.fulfillment"];
    assert_eq!(
        (&first_fulfillment["trackingCompany"], &first_fulfillment["trackingInfo"][0]["number"]),
        (&json!("DHL"), &json!("1Z9"))
    );
    let line = json!({ "quantity": 2, "lineItem": { "id": mugs, "title": "Mug", "fulfillableQuantity": 1 } });
    assert_eq!(first_fulfillment["fulfillmentLineItems"]["nodes"], json!([line]));
    assert_eq!(shop.stock().await, [(8, 1), (10, 2)], "the reserved units are taken from the stock");
    let first = first_fulfillment["id"].clone();
    let negative =
        "query($id: ID!) { order(id: $id) { fulfillments { trackingInfo(first: -1) { number } } } }";
    let reply = shop.clerk().ask_with(negative, json!({ "id": shop.gid() })).await;
    assert_eq!(reply.code(), "BAD_USER_INPUT");

    let reply = shop.fulfill(json!([units(&mugs, 2), units(&bowls, 3)])).await;
    assert_eq!(
        errors_of(&reply, "fulfillmentCreate"),
        ["fulfillment.lineItems.0.quantity NOT_ALLOWED", "fulfillment.lineItems.1.quantity NOT_ALLOWED"]
    );
    assert_eq!(shop.stock().await, [(8, 1), (10, 2)]);

    let reply = shop.fulfill(Value::Null).await.ok();
    assert_eq!(reply["fulfillmentCreate.order.status"], "FULFILLED", "the remaining units are fulfilled");
    assert_eq!(shop.stock().await, [(7, 0), (8, 0)]);
    let reply = shop.fulfill(Value::Null).await;
    assert_eq!(errors_of(&reply, "fulfillmentCreate"), ["fulfillment.orderId NOT_ALLOWED"]);
    let message = &reply.user_errors("fulfillmentCreate")[0].message;
    assert!(message.contains("FULFILLED") && message.contains("refund"), "{message}");

    let fulfillment = |id: &Value| json!({ "id": id });
    let reply = shop.change("fulfillmentCancel", "fulfillment { status }", fulfillment(&first)).await.ok();
    assert_eq!(reply["fulfillmentCancel.fulfillment.status"], "CANCELED");
    assert_eq!(reply["fulfillmentCancel.order.status"], "PARTIALLY_FULFILLED");
    assert_eq!(shop.stock().await, [(9, 2), (8, 0)], "the units are on hand and reserved again");
    let reply = shop.change("fulfillmentCancel", "", fulfillment(&first)).await;
    assert_eq!(errors_of(&reply, "fulfillmentCancel"), ["id NOT_ALLOWED"]);

    assert_eq!(shop.fulfill(Value::Null).await.ok()["fulfillmentCreate.order.status"], "FULFILLED");
    assert_eq!(shop.stock().await, [(7, 0), (8, 0)]);
    let kinds = shop.app.history(shop.order).await;
    let expected = ["order.placed", "order.paid", "fulfillment.created", "fulfillment.created"];
    assert_eq!(kinds[..4], expected);
    assert_eq!(kinds[4..], ["fulfillment.cancelled", "fulfillment.created"]);
}

both!(invalid_fulfillments_are_rejected_with_all_problems);
async fn invalid_fulfillments_are_rejected_with_all_problems(app: TestApp) {
    let shop = Shop::open(app).await;
    let [mugs, _] = shop.lines().await;
    let unknown_line = "gid://mercato/OrderLine/01890a5d-ac96-774b-bcce-b302099a8057";
    for (input, expected) in [
        (json!({ "lineItems": [] }), vec!["fulfillment.lineItems BLANK"]),
        (json!({ "lineItems": [units(&mugs, 0)] }), vec!["fulfillment.lineItems.0.quantity INVALID"]),
        (
            json!({ "lineItems": [units(&mugs, 1), units(&mugs, 1)] }),
            vec!["fulfillment.lineItems.1.lineItemId TAKEN"],
        ),
        (
            json!({ "lineItems": [units(unknown_line, 1)] }),
            vec!["fulfillment.lineItems.0.lineItemId NOT_FOUND"],
        ),
        (json!({ "trackingInfo": { "url": "nowhere" } }), vec!["fulfillment.trackingInfo.url INVALID"]),
        (json!({ "idempotencyKey": "" }), vec!["idempotencyKey INVALID"]),
        (
            json!({ "orderId": "gid://mercato/Order/01890a5d-ac96-774b-bcce-b302099a8057" }),
            vec!["fulfillment.orderId NOT_FOUND"],
        ),
    ] {
        assert_eq!(
            errors_of(&shop.change("fulfillmentCreate", "", input).await, "fulfillmentCreate"),
            expected
        );
    }
    let unknown = json!({ "id": "gid://mercato/Fulfillment/01890a5d-ac96-774b-bcce-b302099a8057" });
    assert_eq!(
        errors_of(&shop.change("fulfillmentCancel", "", unknown).await, "fulfillmentCancel"),
        ["id NOT_FOUND"]
    );
    assert_eq!((shop.status().await, shop.stock().await), (OrderStatus::Paid, [(10, 3), (10, 2)]));
}

both!(a_repeated_fulfillment_with_the_same_key_is_created_once);
async fn a_repeated_fulfillment_with_the_same_key_is_created_once(app: TestApp) {
    let shop = Shop::open(app).await;
    let [mugs, _] = shop.lines().await;
    let input = |quantity| json!({ "lineItems": [units(&mugs, quantity)], "idempotencyKey": "one" });
    let replies = futures_util::future::join_all(
        (0..8).map(|_| shop.change("fulfillmentCreate", "fulfillment { id }", input(1))),
    );
    let ids: Vec<Value> = replies
        .await
        .into_iter()
        .map(|reply| reply.ok()["fulfillmentCreate.fulfillment.id"].clone())
        .collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    assert_eq!(shop.stock().await, [(9, 2), (10, 2)]);
    assert_eq!(shop.change("fulfillmentCreate", "", input(2)).await.code(), "CONFLICT");
}

both!(concurrent_fulfillments_never_exceed_the_ordered_quantity);
async fn concurrent_fulfillments_never_exceed_the_ordered_quantity(app: TestApp) {
    let shop = Shop::open(app).await;
    let [mugs, _] = shop.lines().await;
    let all = (0..6).map(|_| shop.fulfill(json!([units(&mugs, 1)])));
    let replies = futures_util::future::join_all(all).await;
    let count = replies.iter().filter(|reply| reply.user_errors("fulfillmentCreate").is_empty()).count();
    assert_eq!((count, shop.stock().await), (3, [(7, 0), (10, 2)]));
}

both!(oversold_units_are_taken_from_stock_that_was_added_later);
async fn oversold_units_are_taken_from_stock_that_was_added_later(app: TestApp) {
    let cup = app.create_digital("Cup", json!({ "price": "2", "inventoryPolicy": "CONTINUE" })).await;
    let shelf = app.create_location("Rack").await;
    app.add_stock(&cup, &shelf, 1).await;
    let mut shop = Shop::open(app).await;
    let cart = shop.app.cart(&[(&cup, 3)]).await;
    shop.order = order_id(&shop.app.anonymous().place(order_input(&cart, "6", "tok_ok")).await.ok());
    assert_eq!(shop.app.stock(&cup).await, (1, 1));
    shop.app.add_stock(&cup, &shelf, 1).await;
    let reply = shop.fulfill(Value::Null).await.ok();
    assert_eq!(reply["fulfillmentCreate.order.status"], "FULFILLED");
    assert_eq!(shop.app.stock(&cup).await, (0, 0), "one was reserved, one was added, one is missing");
    let id = reply["fulfillmentCreate.fulfillment.id"].clone();
    shop.change("fulfillmentCancel", "", json!({ "id": id })).await.assert_ok();
    assert_eq!(shop.app.stock(&cup).await, (2, 2), "the units that were taken are back");
}

both!(canceling_an_order_releases_its_stock_and_refunds_its_payment);
async fn canceling_an_order_releases_its_stock_and_refunds_its_payment(app: TestApp) {
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
    assert_eq!(errors_of(&reply, "orderCancel"), ["id NOT_ALLOWED"]);
    let message = &reply.user_errors("orderCancel")[0].message;
    assert_eq!(message, "An order that is CANCELED allows no cancellation. It allows: refund");
    for (mutation, expected) in
        [("orderMarkAsPaid", "id NOT_ALLOWED"), ("fulfillmentCreate", "fulfillment.orderId NOT_ALLOWED")]
    {
        let reply = shop.change(mutation, "", json!({})).await;
        assert_eq!(errors_of(&reply, mutation), [expected], "{mutation}");
    }
}

both!(an_order_with_a_fulfillment_cannot_be_canceled);
async fn an_order_with_a_fulfillment_cannot_be_canceled(app: TestApp) {
    let shop = Shop::open(app).await;
    let [mugs, _] = shop.lines().await;
    shop.fulfill(json!([units(&mugs, 1)])).await.assert_ok();
    let cancel = || shop.change("orderCancel", "", json!({ "reason": "CUSTOMER" }));
    assert_eq!(errors_of(&cancel().await, "orderCancel"), ["id NOT_ALLOWED"]);
    // The same applies after a refund, which hides the fulfillment in the status.
    let refund = json!({ "lineItems": [units(&mugs, 1)] });
    shop.change("refundCreate", "", refund).await.assert_ok();
    assert_eq!(shop.status().await, OrderStatus::PartiallyRefunded);
    let reply = cancel().await;
    assert!(reply.user_errors("orderCancel")[0].message.contains("cancel its fulfillments first"));
}

both!(unpaid_orders_can_be_marked_as_paid_once_or_canceled);
async fn unpaid_orders_can_be_marked_as_paid_once_or_canceled(app: TestApp) {
    let (mug, bowl) = (app.create_stocked("Mug", "5", 10).await, app.create_stocked("Bowl", "7", 10).await);
    let mut shop = Shop { app, mug, bowl, order: id_of("x/01890a5d-ac96-774b-bcce-b302099a8057") };
    let manual = |cart: &str| {
        let mut input = order_input(cart, "5", "");
        input["payment"] = json!({ "provider": "manual" });
        input
    };
    let cart = shop.app.cart(&[(&shop.mug, 1)]).await;
    shop.order = order_id(&shop.app.anonymous().place(manual(&cart)).await.ok());
    assert_eq!(shop.status().await, OrderStatus::PendingPayment);
    assert_eq!(
        errors_of(&shop.fulfill(Value::Null).await, "fulfillmentCreate"),
        ["fulfillment.orderId NOT_ALLOWED"]
    );

    let all =
        (0..4).map(|at| shop.change("orderMarkAsPaid", "", json!({ "idempotencyKey": at.to_string() })));
    let replies = futures_util::future::join_all(all).await;
    let paid = replies.iter().filter(|reply| reply.user_errors("orderMarkAsPaid").is_empty()).count();
    assert_eq!(paid, 1, "the order is paid once");
    assert_eq!(shop.status().await, OrderStatus::Paid);
    let ledger = shop.app.ledger(shop.order).await;
    assert_eq!(ledger.iter().filter(|row| row.starts_with("captured")).collect::<Vec<_>>(), ["captured 500"]);
    assert_eq!(shop.stock().await[0], (10, 1));

    let cart = shop.app.cart(&[(&shop.mug, 1)]).await;
    shop.order = order_id(&shop.app.anonymous().place(manual(&cart)).await.ok());
    assert_eq!(shop.stock().await[0], (10, 2));
    let reply = shop.change("orderCancel", "", json!({ "reason": "CUSTOMER" })).await.ok();
    assert_eq!(reply["orderCancel.order.financialStatus"], "VOIDED");
    assert_eq!(shop.stock().await[0], (10, 1));
}

both!(an_expired_order_can_be_paid_late_if_its_units_are_in_stock);
async fn an_expired_order_can_be_paid_late_if_its_units_are_in_stock(app: TestApp) {
    let mug = app.create_stocked("Mug", "5", 1).await;
    let cart = app.cart(&[(&mug, 1)]).await;
    let mut input = order_input(&cart, "5", "");
    input["payment"] = json!({ "provider": "manual" });
    let order = order_id(&app.anonymous().place(input).await.ok());
    let shop = Shop { app, mug: mug.clone(), bowl: mug, order };
    shop.app.clock.advance(std::time::Duration::from_hours(8 * 24));
    shop.app.app.services.payments.expire_due(&shop.app.app.system()).await.unwrap();
    assert_eq!((shop.status().await, shop.stock().await[0]), (OrderStatus::Expired, (1, 0)));

    // Another order has the only unit.
    let other = shop.app.cart(&[(&shop.mug, 1)]).await;
    let placed = shop.app.anonymous().place(order_input(&other, "5", "tok_ok")).await.ok();
    let reply = shop.change("orderMarkAsPaid", "", json!({})).await;
    assert_eq!(errors_of(&reply, "orderMarkAsPaid"), ["id INSUFFICIENT_STOCK"]);
    assert_eq!(shop.status().await, OrderStatus::Expired);
    assert!(!shop.app.ledger(order).await.iter().any(|row| row.starts_with("captured")));

    let cancel = json!({ "id": gid(order_id(&placed)), "reason": "OTHER" });
    shop.change("orderCancel", "", cancel).await.assert_ok();
    let reply = shop.change("orderMarkAsPaid", "", json!({})).await.ok();
    assert_eq!(reply["orderMarkAsPaid.order.status"], "PAID");
    assert_eq!(shop.stock().await[0], (1, 1));
}

both!(canceling_without_restocking_removes_the_units_from_the_stock);
async fn canceling_without_restocking_removes_the_units_from_the_stock(app: TestApp) {
    let shop = Shop::open(app).await;
    let input = json!({ "reason": "INVENTORY", "restock": false, "refund": false });
    let reply = shop.change("orderCancel", "", input).await.ok();
    assert_eq!(reply["orderCancel.order.financialStatus"], "PAID", "the payment was not refunded");
    assert_eq!(shop.stock().await, [(7, 0), (8, 0)]);
}

both!(the_timeline_of_an_order_shows_who_did_what_when);
async fn the_timeline_of_an_order_shows_who_did_what_when(app: TestApp) {
    let shop = Shop::open(app).await;
    shop.change("orderNoteAdd", "", json!({ "note": "Rang: gate code 7." })).await.assert_ok();
    let reply = shop.change("orderNoteAdd", "", json!({ "note": " " })).await;
    assert_eq!(errors_of(&reply, "orderNoteAdd"), ["note BLANK"]);
    shop.fulfill(Value::Null).await.assert_ok();

    let document = "query($id: ID!, $after: String) { order(id: $id) {
        timeline(first: 3, after: $after) { nodes { kind message actor happenedAt details } pageInfo { hasNextPage endCursor } }
    } }";
    let page = |after: Value| {
        let variables = json!({ "id": shop.gid(), "after": after });
        async { shop.clerk().ask_with(document, variables).await.ok() }
    };
    let reply = page(Value::Null).await;
    let nodes = reply["order.timeline.nodes"].as_array().unwrap();
    let summary = |node: &Value| {
        [&node["kind"], &node["message"], &node["actor"]].map(|text| text.as_str().unwrap().to_owned())
    };
    let staff = "staff:READ_ORDERS+WRITE_ORDERS";
    assert_eq!(summary(&nodes[0]), ["order.placed", "The order was placed", "anonymous"]);
    assert_eq!(nodes[1]["kind"], "order.paid");
    assert_eq!(summary(&nodes[2]), ["order.note_added", "Rang: gate code 7.", staff]);
    assert!(nodes[2]["happenedAt"].is_string());
    assert_eq!(nodes[2]["details"]["note"], "Rang: gate code 7.");
    assert_eq!(reply["order.timeline.pageInfo.hasNextPage"], true);
    let rest = page(reply["order.timeline.pageInfo.endCursor"].clone()).await;
    assert_eq!(summary(&rest["order.timeline.nodes.0"]), ["fulfillment.created", "Units shipped: 5", staff]);
}
